#include "clients/cli/status_views.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/byte_text.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

const char* role_name(api::RaftRole::type role) {
  switch (role) {
    case api::RaftRole::LEADER:
      return "leader";
    case api::RaftRole::FOLLOWER:
      return "follower";
    case api::RaftRole::CANDIDATE:
      return "candidate";
    case api::RaftRole::PRE_CANDIDATE:
      return "pre-candidate";
    case api::RaftRole::LEARNER:
      return "learner";
    default:
      return "unknown";
  }
}

/// A server that was removed goes on as what it was, for nobody: that is not what to show of it.
const char* role_text(const api::StatusResult& s) {
  const bool removed = std::ranges::find(s.alarms, "REMOVED", &api::Alarm::name) != s.alarms.end();
  return removed ? "removed" : role_name(s.role);
}

json progress_json(const api::StatusResult& s) {
  json out = json::array();
  for (const auto& p : s.progress) {
    out.push_back({{"node_id", p.nodeId},
                   {"match", p.matchIndex},
                   {"next", p.nextIndex},
                   {"state", p.state},
                   {"inflight", p.inflight}});
  }
  return out;
}

json alarms_json(const api::StatusResult& s) {
  json out = json::array();
  for (const auto& a : s.alarms) {
    out.push_back({{"name", a.name}, {"message", a.message}, {"node_id", a.nodeId}});
  }
  return out;
}

json connections_json(const api::StatusResult& s) {
  json out = json::array();
  for (const auto& c : s.connections) {
    out.push_back({{"node_id", c.nodeId},
                   {"address", c.address},
                   {"connected", c.connected},
                   {"last_error", c.lastError}});
  }
  return out;
}

json disk_json(const api::DiskStatus& d) {
  return {{"state", d.state},
          {"path", d.path},
          {"free_bytes", d.freeBytes},
          {"needed_bytes", d.neededBytes},
          {"reserve_bytes", d.reserveBytes},
          {"sync_median_us", d.syncMedianUs},
          {"sync_p99_us", d.syncP99Us},
          {"sync_max_us", d.syncMaxUs}};
}

/// null of a server that receives nothing, or is older than this program.
json receiving_json(const api::StatusResult& s) {
  if (!s.__isset.receiving) return nullptr;
  return {{"from_node", s.receiving.fromNode},
          {"received_bytes", s.receiving.receivedBytes},
          {"total_bytes", s.receiving.totalBytes}};
}

/// Before the first piece the sender makes a copy, which takes a while with a large state.
std::string receiving_text(const api::StateTransfer& t) {
  const std::string whose = "the state of node " + std::to_string(t.fromNode);
  if (t.totalBytes == 0) return "waiting for " + whose;
  const std::string total = byte_text(static_cast<uint64_t>(t.totalBytes));
  if (t.receivedBytes == t.totalBytes) return "verifying and loading " + whose + ": " + total;
  return "receiving " + whose + ": " + byte_text(static_cast<uint64_t>(t.receivedBytes)) + " of " +
         total;
}

/// "-" of a server that says nothing of its disk: it is older than this program. One that just
/// started has not looked yet: all is well, as far as it knows.
std::string disk_text(const api::DiskStatus& d) {
  if (d.state == "ok" && d.freeBytes == 0) return d.state;
  if (d.state.empty()) return "-";
  return d.state + ", " + byte_text(static_cast<uint64_t>(d.freeBytes)) + " free";
}

std::string sync_text(const api::DiskStatus& d) {
  if (d.syncMaxUs == 0) return "-";
  const int64_t tenths = (d.syncP99Us + 99) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

/// The feature level in force, and what the server knows beyond it.
std::string level_text(const api::StatusResult& s) {
  const std::string in_force = std::to_string(s.featureLevel);
  return s.knownLevel > s.featureLevel ? in_force + " of " + std::to_string(s.knownLevel)
                                       : in_force;
}

std::string connected(const api::StatusResult& s) {
  size_t up = 0;
  for (const auto& c : s.connections) up += c.connected ? 1 : 0;
  return std::to_string(up) + "/" + std::to_string(s.connections.size());
}

std::string unconnected_text(const api::PeerConnection& peer) {
  const std::string why = peer.lastError.empty() ? "" : ": " + printable(peer.lastError);
  return "not connected with node " + std::to_string(peer.nodeId) + " at " +
         printable(peer.address) + why;
}

}  // namespace

json status_json(const std::string& admin, const api::StatusResult& s) {
  return {{"admin", admin},
          {"node_id", s.nodeId},
          {"role", role_text(s)},
          {"term", s.term},
          {"voted_for", s.votedFor},
          {"leader_id", s.leaderId},
          {"leader_address", s.header.leaderAddress},
          {"cluster_id", s.header.clusterId},
          {"commit_index", s.commitIndex},
          {"applied_index", s.appliedIndex},
          {"first_index", s.firstIndex},
          {"last_index", s.lastIndex},
          {"last_term", s.lastTerm},
          {"durable_index", s.durableIndex},
          {"state_digest", s.stateDigest},
          {"voters", s.voters},
          {"outgoing", s.outgoing},
          {"learners", s.learners},
          {"configuration_index", s.configurationIndex},
          {"progress", progress_json(s)},
          {"connections", connections_json(s)},
          {"alarms", alarms_json(s)},
          {"sessions", s.sessions},
          {"locks", s.locks},
          {"waiters", s.waiters},
          {"version", s.version},
          {"store_id", s.storeId},
          {"cluster_time_ms", s.clusterTimeMs},
          {"uptime_ms", s.uptimeMs},
          {"feature_level", s.featureLevel},
          {"known_level", s.knownLevel},
          {"disk", disk_json(s.disk)},
          {"receiving", receiving_json(s)}};
}

Table status_table() {
  return Table({"NODE", "ADMIN", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "LAST", "PEERS",
                "SESSIONS", "LOCKS", "WAITERS", "DISK", "SYNC P99", "LEVEL", "UP", "ALARMS"});
}

void add_status(Table& table, const std::string& admin, const api::StatusResult& s) {
  table.add({std::to_string(s.nodeId), admin, role_text(s), std::to_string(s.term),
             s.leaderId != 0 ? std::to_string(s.leaderId) : "-", std::to_string(s.commitIndex),
             std::to_string(s.appliedIndex), std::to_string(s.lastIndex), connected(s),
             std::to_string(s.sessions), std::to_string(s.locks), std::to_string(s.waiters),
             disk_text(s.disk), sync_text(s.disk), level_text(s), format_ms(s.uptimeMs),
             std::to_string(s.alarms.size())});
}

bool is_degraded(const api::StatusResult& s) {
  return !s.alarms.empty() || !std::ranges::all_of(s.connections, &api::PeerConnection::connected);
}

std::string status_notes(const std::string& admin, const api::StatusResult& s) {
  std::string notes;
  bool quarantined = false;
  for (const auto& alarm : s.alarms) {
    notes += admin + ": " + alarm.name + ": " + alarm.message + "\n";
    quarantined = quarantined || alarm.name == "QUARANTINED";
  }
  // The sentence of a quarantine has it in it.
  if (s.__isset.receiving && !quarantined) {
    notes += admin + ": " + receiving_text(s.receiving) + "\n";
  }
  for (const auto& peer : s.connections) {
    if (!peer.connected) notes += admin + ": " + unconnected_text(peer) + "\n";
  }
  return notes;
}

std::string why_not_taken_over(int32_t node, const std::vector<api::StatusResult>& statuses) {
  const std::string begins = "node " + std::to_string(node) + " did not take over";
  const api::StatusResult* teller = nullptr;
  const api::PeerConnection* link = nullptr;
  for (const auto& status : statuses) {
    const auto at = std::ranges::find(status.connections, node, &api::PeerConnection::nodeId);
    const bool leads = status.role == api::RaftRole::LEADER;
    if (at == status.connections.end() || (teller != nullptr && !leads)) continue;
    teller = &status;
    link = &*at;
  }
  if (teller == nullptr) return begins;
  const bool leads = teller->role == api::RaftRole::LEADER;
  const std::string who =
      "node " + std::to_string(teller->nodeId) + (leads ? ", which leads," : "") + " is ";
  if (!link->connected) return begins + ": " + who + unconnected_text(*link);
  return begins + ", though " + who + "connected with it: ask it for its status";
}

}  // namespace holdfast::cli
