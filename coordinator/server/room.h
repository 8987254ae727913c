// A cluster without room (PROMISE 12): what is admitted while disks are full, who has room as far
// as the leader knows, when a full leader hands over, and what a full server still takes. Decided
// by the state of the disk that raft/storage/room.h keeps; never at apply. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/server/host.h"
#include "coordinator/server/peer_codec.h"
#include "coordinator/server/snapshots.h"
#include "gen/cpp/command_types.h"
#include "raft/storage/log_writer.h"
#include "raft/storage/room.h"

namespace holdfast::server {

/// Commands that free or keep alive. They pass the cap on uncommitted bytes too (ARCHITECTURE, Raft
/// core). All others wait for room.
bool frees_or_keeps_alive(command::CommandKind::type kind);

struct RoomPorts {
  std::function<raft::DiskRoom()> look;  ///< empty: the disk is not watched, and never full
  std::function<void(bool)> lend;        ///< RoomKeeper::lend()
  std::function<void(const raft::SnapshotRoom&)> note_snapshot;
  std::function<raft::LogRoom()> log_room;
  uint64_t log_bytes_reserved = 0;  ///< of it, what only what frees or keeps alive takes
  uint64_t log_bytes_kept = 0;      ///< and what only terms, votes and a leader's own entries take
};

struct RoomStats {
  uint64_t hand_overs = 0;  ///< begun, because this leader's disk was full
  Duration slowed{};        ///< how long this leader has let in no more than the snapshots take
};

class Room {
 public:
  static constexpr Duration kLookEvery = 100ms;
  static constexpr Duration kReportEvery = 1s;
  /// A report that is older says nothing, and a new leader waits so long for the first ones.
  static constexpr Duration kFresh = 3s;
  /// Without room for the snapshot for so long a server counts as full, however much its disk has.
  static constexpr Duration kOverdrawnLong = 1s;
  /// Between two attempts to hand over.
  static constexpr Duration kHandOverEvery = 2s;
  /// An alarm tells for so long that writes were slowed: it is to last from one time to the next.
  static constexpr Duration kSlowedAlarm = 10s;
  /// How long an alarm tells of a copy for which there was no room.
  static constexpr Duration kCopyAlarm = 30s;

  Room(Host& host, PeerCodec& codec, Snapshots& snapshots, RoomPorts ports);

  /// Begins a turn: looks at the disk, tells the leader, and sets Host::no_space.
  void turn();
  Instant next_wakeup() const;
  /// PeerKind::kRoomReport.
  void receive(NodeId from, std::string_view bytes);

  /// This leader is full and stays so, a quorum has room, and the last attempt is not too recent.
  bool wants_to_hand_over() const;
  void began_to_hand_over();
  /// It has said lately that it has room.
  bool has_said_so(NodeId node) const;
  /// It has said lately that it has none: as leader it would hand over to another at once.
  bool would_not_stay_leader(NodeId node) const;
  /// Why there is no room for a copy of so many bytes, if so. Remembered for an alarm.
  std::optional<std::string> no_room_for_copy(uint64_t bytes);

  /// As last looked at; and full if the snapshot has lacked room for long.
  raft::DiskRoom disk() const;
  Duration in_this_state() const { return host_.clock.now() - disk().since; }
  const RoomStats& stats() const { return stats_; }
  /// This leader has slowed writes lately, for the sake of the snapshots: what of them is behind.
  std::optional<std::string> slowed() const;
  /// The last copy for which there was no room, if that is not long ago and there still is none.
  std::optional<std::string> refused_copy() const;
  /// The disk of this server is full, or the snapshot of what waits in memory might find no room.
  bool full() const { return disk_.full() || overdrawn_since_; }

 private:
  struct Report {
    bool room = true;
    int behind = 0;  ///< what waits for the snapshot, in hundredths of what may
    Instant heard;
  };

  bool watched() const { return static_cast<bool>(ports_.look); }
  void set_pace(Instant now);
  int behind_here() const;
  int behind(NodeId voter) const;
  int quorum_is_behind() const;
  void look(Instant now);
  void weigh(Instant now);
  bool stays_full() const;
  bool fits(uint64_t copy_bytes) const;
  uint64_t snapshot_lacks() const;
  void lend_reserve();
  void report(Instant now);
  const Report* fresh_report(NodeId node) const;
  bool has_room(NodeId voter) const;
  bool anybody_full() const;
  bool quorum_has_room() const;
  void renew_reserve();
  std::optional<Refusal> refusal() const;

  Host& host_;
  PeerCodec& codec_;
  Snapshots& snapshots_;
  const RoomPorts ports_;
  raft::DiskRoom disk_;
  Instant looked_at_;
  bool lent_ = false;
  /// More waits for the snapshot than there is room for.
  std::optional<Instant> overdrawn_since_;
  uint64_t hurried_at_bytes_ = ~uint64_t{0};  ///< what the log had left for what frees
  std::map<NodeId, Report> reports_;
  Instant led_since_;  ///< if this server leads
  bool led_ = false;
  Instant hand_over_began_;
  /// What was last told, to whom, when.
  NodeId told_leader_;
  bool told_room_ = true;
  int told_behind_ = 0;
  Instant told_at_;
  Instant turned_at_;
  std::optional<Instant> slowed_at_;  ///< lately
  std::string refused_copy_;
  uint64_t refused_copy_bytes_ = 0;
  Instant refused_copy_at_;
  RoomStats stats_;
};

}  // namespace holdfast::server
