#include "coordinator/server/alarms.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/byte_text.h"

namespace holdfast::server {
namespace {

int64_t to_us(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

std::string ms(Duration duration) { return std::to_string(to_ms(duration)) + " ms"; }

/// " for 12 s"; nothing below a second, which is no time to speak of.
std::string for_seconds(Duration duration) {
  if (duration < 1s) return "";
  return " for " + std::to_string(to_ms(duration) / 1'000) + " s";
}

/// Which of the other voters a server is connected with.
std::string connected_with(const std::string& heard, const std::string& silent) {
  if (heard.empty() && silent.empty()) return "it is the only voter";
  if (heard.empty()) return "it is connected with none of the other voters, " + silent;
  if (silent.empty()) return "it is connected with all other voters, " + heard;
  return "of the other voters it is connected with " + heard + ", but not with " + silent;
}

}  // namespace

api::Alarm make_alarm(std::string name, NodeId node, std::string message) {
  api::Alarm alarm;
  alarm.name = std::move(name);
  alarm.message = std::move(message);
  alarm.nodeId = static_cast<int32_t>(node.value);
  return alarm;
}

// It is one server that has no room: what that means for the cluster depends on the others.
void add_room_alarms(const Room& room, NodeId node, std::vector<api::Alarm>& out) {
  const raft::DiskRoom& disk = room.disk();
  const std::string free = "node " + std::to_string(node.value) + ": " + disk.path + " has " +
                           byte_text(disk.free_bytes) + " free";
  const std::string since = for_seconds(room.in_this_state());
  if (disk.full()) {
    out.push_back(make_alarm("NO_SPACE", node,
                             free + ", " + byte_text(disk.wanted_bytes()) +
                                 " are wanted, and there is no room for " + disk.missing +
                                 (since.empty() ? "" : ",") + since +
                                 "; the cluster goes on while a quorum of its servers has room, "
                                 "else only what frees or keeps alive is done"));
  } else if (disk.state == raft::DiskRoom::State::kLow) {
    out.push_back(make_alarm("LOW_SPACE", node,
                             free + " (low" + since + "): below " + byte_text(disk.needed_bytes) +
                                 " this server counts as full"));
  }
  if (const auto slowed = room.slowed()) {
    out.push_back(make_alarm("WRITES_SLOWED", node,
                             "node " + std::to_string(node.value) + ", the leader, " + *slowed));
  }
  if (const auto refused = room.refused_copy()) {
    out.push_back(make_alarm("COPY_REFUSED", node, *refused));
  }
}

void add_snapshot_alarms(const Snapshots& snapshots, const std::string& path, NodeId node,
                         std::vector<api::Alarm>& out) {
  const std::string name = "node " + std::to_string(node.value);
  if (const auto obstacle = snapshots.obstacle()) {
    out.push_back(make_alarm("SNAPSHOT_HELD_UP", node,
                             name + " cannot write its snapshot, and tries again: " + *obstacle));
  }
  if (const auto removed_for = snapshots.removed_for()) {
    out.push_back(make_alarm("SNAPSHOT_REMOVED", node,
                             "the database of " + name +
                                 " had been removed or replaced by somebody, as was found " +
                                 std::to_string(to_ms(*removed_for) / 1'000) +
                                 " s ago; nothing is lost: all of it was written to " + path));
  }
  if (const auto read_for = snapshots.read_for()) {
    out.push_back(
        make_alarm("SNAPSHOT_READ", node,
                   "somebody has kept a transaction on " + path + " of " + name + " open" +
                       for_seconds(*read_for) + " (`fuser " + path +
                       "` finds him): until it ends the log is not cut, and the -wal, which has " +
                       byte_text(snapshots.wal_bytes()) + ", grows"));
  }
}

void add_slow_disk_alarm(const raft::LogWriteStats& log, NodeId node, int64_t slow_sync_ms,
                         std::vector<api::Alarm>& out) {
  const Duration limit = from_ms(slow_sync_ms);
  const std::string name = "the log of node " + std::to_string(node.value);
  if (log.under_way > limit) {
    out.push_back(
        make_alarm("SLOW_DISK", node, name + " waits for its disk for " + ms(log.under_way)));
  } else if (log.recent.p99 > limit) {
    out.push_back(make_alarm("SLOW_DISK", node,
                             "the slowest hundredth of the writes of " + name + " takes " +
                                 ms(log.recent.p99) + " (median " + ms(log.recent.median) +
                                 ", longest " + ms(log.recent.max) + ", " +
                                 std::to_string(log.recent.count) + " in the last minute); " +
                                 ms(limit) + " are the limit"));
  }
}

std::string no_leader_text(NodeId node, Duration without, const std::vector<NodeId>& voters,
                           const std::vector<api::PeerConnection>& connections) {
  std::string heard;
  std::string silent;
  for (const NodeId voter : voters) {
    if (voter == node) continue;
    const bool up = std::ranges::any_of(connections, [&](const api::PeerConnection& each) {
      return each.connected && each.nodeId == static_cast<int32_t>(voter.value);
    });
    std::string& list = up ? heard : silent;
    list += (list.empty() ? "" : ", ") + std::to_string(voter.value);
  }
  return "node " + std::to_string(node.value) + " knows no leader" + for_seconds(without) + "; " +
         connected_with(heard, silent) +
         "; without a majority of the voters nothing is written and no lock granted";
}

std::string catching_up_text(NodeId node, NodeId leader) {
  const std::string self = "node " + std::to_string(node.value);
  if (leader == node) {
    return self + " leads, and has not applied yet all that earlier leaders may have committed";
  }
  return self + " catches up with node " + std::to_string(leader.value) + ", which leads";
}

void add_no_leader_alarm(NodeId node, Duration without, const std::vector<NodeId>& voters,
                         const std::vector<api::PeerConnection>& connections,
                         std::vector<api::Alarm>& out) {
  if (without < kNoLeaderAlarm) return;
  out.push_back(make_alarm("NO_LEADER", node, no_leader_text(node, without, voters, connections)));
}

bool not_found_by_others(NodeId self, NodeId leader, const std::vector<raft::PeerLink>& peers) {
  if (leader && leader != self) return false;
  if (std::ranges::any_of(peers, &raft::PeerLink::inbound_up)) return false;
  return leader == self || std::ranges::any_of(peers, &raft::PeerLink::control_up);
}

void add_address_alarm(const raft::Member* known, const std::string& own,
                       std::vector<api::Alarm>& out) {
  if (known == nullptr || known->peer_address == own) return;
  out.push_back(
      make_alarm("ADDRESS_MISMATCH", known->id,
                 "node " + std::to_string(known->id.value) + " runs with the peer address " + own +
                     ", the cluster knows it at " + known->peer_address +
                     ", and no other server is connected with it; start it with --peer_advertise=" +
                     known->peer_address + " if that leads to it, or replace it by a new server"));
}

void add_twice_alarm(const raft::PeerLink& peer, std::vector<api::Alarm>& out) {
  if (!peer.twice) return;
  const std::string node = "node " + std::to_string(peer.id.value);
  out.push_back(make_alarm(
      "NODE_TWICE", peer.id,
      "two processes run as " + node +
          ", with one store id: one of them has a copy of the other's data directory. What they "
          "vote and acknowledge contradicts itself; stop both, and replace " +
          node + " by a new server"));
}

api::Alarm restore_hold_alarm(int64_t left_ms, bool leads) {
  const std::string seconds = std::to_string((left_ms + 999) / 1'000) + " s";
  const std::string left =
      leads ? "for another " + seconds
            : "for up to " + seconds +
                  " after the last entry of the log (the leader knows how long from now)";
  return make_alarm("RESTORE_HOLD", NodeId(),
                    "the cluster was restored: no lock is granted " + left +
                        ", so that old holders learn of it first; the setting "
                        "restore_hold_until_ms=0 ends that, and then only fencing tokens protect");
}

api::DiskStatus disk_status(const raft::DiskRoom& room, const raft::LogWriteStats& log) {
  api::DiskStatus status;
  status.state = raft::room_state_name(room.state);
  status.path = room.path;
  status.freeBytes = static_cast<int64_t>(room.free_bytes);
  status.neededBytes = static_cast<int64_t>(room.full() ? room.wanted_bytes() : room.needed_bytes);
  status.reserveBytes = static_cast<int64_t>(room.reserve_bytes);
  status.syncMedianUs = to_us(log.recent.median);
  status.syncP99Us = to_us(log.recent.p99);
  status.syncMaxUs = to_us(std::max(log.recent.max, log.under_way));
  return status;
}

}  // namespace holdfast::server
