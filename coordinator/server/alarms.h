// What an operator must act on, as sentences (docs/operations.md); here those of the disk of this
// server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/server/room.h"
#include "coordinator/server/snapshots.h"
#include "gen/cpp/admin_types.h"
#include "raft/storage/log_writer.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::server {

/// About a server; about the cluster if there is no `node`.
api::Alarm make_alarm(std::string name, NodeId node, std::string message);

/// NO_SPACE, LOW_SPACE, COPY_REFUSED: of the disk of this server, `node`.
void add_room_alarms(const Room& room, NodeId node, std::vector<api::Alarm>& out);
/// SNAPSHOT_HELD_UP: nothing can be written to this server's database, which is at `path`;
/// SNAPSHOT_READ: somebody who reads it keeps the log from being cut; SNAPSHOT_REMOVED: it lies
/// there anew, as it had been removed.
void add_snapshot_alarms(const Snapshots& snapshots, const std::string& path, NodeId node,
                         std::vector<api::Alarm>& out);
/// SLOW_DISK: the slowest hundredth of the log's writes takes longer than that, or the one under
/// way does.
void add_slow_disk_alarm(const raft::LogWriteStats& log, NodeId node, int64_t slow_sync_ms,
                         std::vector<api::Alarm>& out);
/// How long no leader may be known without an alarm: elections take less, unless their timeouts are
/// set to longer ones.
inline constexpr Duration kNoLeaderAlarm = 10s;
/// That `node` has known no leader for so long, and which other voters it is connected with.
std::string no_leader_text(NodeId node, Duration without, const std::vector<NodeId>& voters,
                           const std::vector<api::PeerConnection>& connections);
/// What `node` waits for that knows who leads and is not ready; that may be itself.
std::string catching_up_text(NodeId node, NodeId leader);
/// NO_LEADER: `node` has known none for that long; the cluster does nothing, as far as it sees.
void add_no_leader_alarm(NodeId node, Duration without, const std::vector<NodeId>& voters,
                         const std::vector<api::PeerConnection>& connections,
                         std::vector<api::Alarm>& out);
/// Whether the others find this server where the membership says that it is, as far as it can know.
/// Two names may stand for one host: who is dialled, or hears a leader, is found. One that is not
/// may be a server that nobody looks for, because the others are down: that says nothing.
bool not_found_by_others(NodeId self, NodeId leader, const std::vector<raft::PeerLink>& peers);
/// ADDRESS_MISMATCH: the membership knows this server, as `known`, at another address than `own`,
/// and nobody finds it.
void add_address_alarm(const raft::Member* known, const std::string& own,
                       std::vector<api::Alarm>& out);
/// NODE_TWICE: somebody else runs on a copy of this peer's directory.
void add_twice_alarm(const raft::PeerLink& peer, std::vector<api::Alarm>& out);
/// RESTORE_HOLD: no lock is granted for so long, by the clock of the leader, or as of the log's
/// last entry: cluster time between two entries is the leader's alone.
api::Alarm restore_hold_alarm(int64_t left_ms, bool leads);
/// For the status.
api::DiskStatus disk_status(const raft::DiskRoom& room, const raft::LogWriteStats& log);

}  // namespace holdfast::server
