// status, transfer-leader.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/byte_text.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/table.h"

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

json to_json(const std::string& admin, const api::StatusResult& s) {
  return {{"admin", admin},
          {"node_id", s.nodeId},
          {"role", role_name(s.role)},
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
          {"disk", disk_json(s.disk)}};
}

std::string connected(const api::StatusResult& s) {
  size_t up = 0;
  for (const auto& c : s.connections) up += c.connected ? 1 : 0;
  return std::to_string(up) + "/" + std::to_string(s.connections.size());
}

client::Outcome<api::StatusResult> ask_status(const std::string& admin, Duration timeout) {
  auto remote = Remote::connect({admin}, timeout, false);
  if (!remote) return remote.error();
  return (*remote)->read<client::ServerStatus>({});
}

void add_row(Table& table, const std::string& admin, const api::StatusResult& s) {
  table.add({std::to_string(s.nodeId), admin, role_name(s.role), std::to_string(s.term),
             s.leaderId != 0 ? std::to_string(s.leaderId) : "-", std::to_string(s.commitIndex),
             std::to_string(s.appliedIndex), std::to_string(s.lastIndex), connected(s),
             std::to_string(s.sessions), std::to_string(s.locks), std::to_string(s.waiters),
             disk_text(s.disk), sync_text(s.disk), level_text(s), format_ms(s.uptimeMs),
             std::to_string(s.alarms.size())});
}

}  // namespace

int status_command(const Args& args, const Context& context) {
  if (!args.words.empty()) return report(Error{ErrorCode::kBadArgument, "no word is expected"});
  Table table({"NODE", "ADMIN", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "LAST", "PEERS",
               "SESSIONS", "LOCKS", "WAITERS", "DISK", "SYNC P99", "LEVEL", "UP", "ALARMS"});
  json all = json::array();
  std::string notes;
  int exit_code = kExitOk;
  // A server that does not answer within a moment is down; the others should not be waited for.
  const Duration timeout = std::min<Duration>(context.timeout, args.has("timeout") ? 60min : 2s);
  for (const std::string& admin : context.admins) {
    const auto answer = ask_status(admin, timeout);
    if (!answer) {
      exit_code = kExitUnavailable;
      all.push_back({{"admin", admin}, {"error", answer.error().message}});
      const bool silent = answer.error().code == ErrorCode::kTimeout;
      table.add({"-", admin, silent ? "no answer" : "not serving"});
      notes += admin + ": " + answer.error().message + "\n";
      continue;
    }
    all.push_back(to_json(admin, *answer));
    add_row(table, admin, *answer);
    for (const auto& alarm : answer->alarms) {
      notes += admin + ": " + alarm.name + ": " + alarm.message + "\n";
    }
  }
  if (context.json) {
    print_json(all);
  } else {
    std::printf("%s", table.text().c_str());
    std::fflush(stdout);  // the sentences stand below the table in a file and a pipe too
    std::fprintf(stderr, "%s", notes.c_str());
  }
  return exit_code;
}

int transfer_command(const Args& args, const Context& context) {
  if (args.words.size() > 1) return report(Error{ErrorCode::kBadArgument, "one NODE at most"});
  api::TransferLeadershipRequest request;
  if (!args.words.empty()) {
    const auto node = parse_number("NODE", args.words[0], 1, 1'000'000);
    if (!node) return report(node.error());
    request.nodeId = static_cast<int32_t>(*node);
  }
  auto remote = Remote::connect(context.admins, context.timeout, false);
  if (!remote) return report(remote.error());
  const auto answer = (*remote)->write<client::TransferLeadership>(request);
  if (!answer) return report(answer.error());
  if (context.json) {
    print_json({{"changed", !answer->ledAlready},
                {"leader_id", answer->header.leaderId},
                {"term", answer->header.term}});
  } else {
    std::printf("node %d leads %sin term %lld\n", answer->header.leaderId,
                answer->ledAlready ? "already, " : "", static_cast<long long>(answer->header.term));
  }
  return kExitOk;
}

}  // namespace holdfast::cli
