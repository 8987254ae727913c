#include "coordinator/server/room.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "base/byte_text.h"
#include "raft/core/quorum.h"

namespace holdfast::server {

using command::CommandKind;

namespace {

/// A client that is refused asks again no sooner: room does not come within milliseconds.
constexpr int64_t kRetryAfterMs = 1'000;
/// Of what may wait for the snapshot.
constexpr double kHundredths = 100;
/// The leader hears at once of so much, and of every such step.
constexpr int kBehindIsNews = 50;
constexpr int kBehindStep = 5;
/// More is no worse, and no server's word.
constexpr int kBehindMax = 1'000'000;
/// Nothing is known of a server: it takes no part in a quorum.
constexpr int kSilent = std::numeric_limits<int>::max();
constexpr const char* kTheSnapshot = "a snapshot of what was written last";

}  // namespace

// No default: a new kind of command is placed here when it is made.
bool frees_or_keeps_alive(CommandKind::type kind) {
  switch (kind) {
    case CommandKind::CLOSE_SESSION:
    case CommandKind::MARK_LATE:
    case CommandKind::RENEW_LATE:
    case CommandKind::EXPIRE_SESSIONS:
    case CommandKind::REVOKE_SESSION:
    case CommandKind::TICK:
    case CommandKind::CANCEL_ACQUIRE:
    case CommandKind::RELEASE:
    case CommandKind::RELEASE_ALL:
    case CommandKind::REVOKE_LOCK:
    case CommandKind::ACKNOWLEDGE_NOTICES:
    case CommandKind::REMOVE_KEY:
      return true;
    case CommandKind::UNSPECIFIED:
    case CommandKind::OPEN_SESSION:
    case CommandKind::ACQUIRE:
    case CommandKind::ACQUIRE_ALL:
    case CommandKind::SET_HOLDER_VALUE:
    case CommandKind::CHANGE_SETTINGS:
    case CommandKind::PUT_KEY:
    case CommandKind::CREATE_KEY:
    case CommandKind::TRANSACT:
    case CommandKind::RESTORE:  // the first entry of a cluster, proposed by nobody
      return false;
  }
  return false;
}

Room::Room(Host& host, PeerCodec& codec, Snapshots& snapshots, RoomPorts ports)
    : host_(host), codec_(codec), snapshots_(snapshots), ports_(std::move(ports)) {
  if (!watched()) return;
  host_.budget = LogBudget({ports_.log_room, ports_.log_bytes_reserved, ports_.log_bytes_kept});
}

void Room::turn() {
  const Instant now = host_.clock.now();
  if (std::exchange(led_, host_.serving) != host_.serving) led_since_ = now;
  set_pace(now);
  if (!watched()) return;
  const bool due = looked_at_ == Instant() || now >= looked_at_ + kLookEvery;
  due ? look(now) : weigh(now);
  report(now);
  host_.no_space = refusal();
}

// A minority that is slow grows its own logs only. That of this server must not, nor those of so
// many that what is written would be on no other disks.
void Room::set_pace(Instant now) {
  const Duration since = now - std::exchange(turned_at_, now);
  if (host_.pace.slowed()) stats_.slowed += since;
  const int behind = host_.serving ? std::max(behind_here(), quorum_is_behind()) : 0;
  host_.pace.turn(now, behind / kHundredths, snapshots_.stats().log_bytes_s);
  if (host_.pace.slowed()) slowed_at_ = now;
}

int Room::behind_here() const { return static_cast<int>(snapshots_.behind() * kHundredths); }

// Who is silent does not take part in a quorum; a new leader has heard of nobody yet.
int Room::behind(NodeId voter) const {
  if (voter == host_.options.self) return behind_here();
  if (const Report* report = fresh_report(voter)) return report->behind;
  return host_.clock.now() - led_since_ < kFresh ? 0 : kSilent;
}

int Room::quorum_is_behind() const {
  if (!watched()) return 0;
  const int behind = -raft::quorum_value(host_.node->core().configuration(),
                                         [this](NodeId voter) { return -this->behind(voter); });
  return behind == kSilent ? 0 : behind;
}

std::optional<std::string> Room::slowed() const {
  const bool lately = slowed_at_ && host_.clock.now() - *slowed_at_ <= kSlowedAlarm;
  if (!lately || !host_.serving) return std::nullopt;
  const std::string what =
      host_.pace.slowed()
          ? "slows writes, because the snapshots do not keep up with them: "
          : "has slowed writes within the last ten seconds, because the snapshots did not keep up "
            "with them: by now ";
  const std::string quorum = std::to_string(quorum_is_behind());
  return what + byte_text(snapshots_.waiting_bytes()) + " of the log wait for its own, and " +
         byte_text(snapshots_.waiting_bytes_max()) + " may; a quorum has " + quorum +
         " % of what may wait. Disks are too slow for what is written, or a snapshot is held up "
         "(SNAPSHOT_HELD_UP); what frees or keeps alive is not slowed";
}

// While there still is room what waits in memory goes to the snapshot: the less is left of it when
// the disk is full, the less room the snapshot needs then.
void Room::look(Instant now) {
  looked_at_ = now;
  const raft::DiskRoom::State before = disk_.state;
  disk_ = ports_.look();
  if (disk_.state > before) snapshots_.hurry();
  ports_.note_snapshot({snapshots_.room_wanted(), snapshots_.room_taken()});
  weigh(now);
  host_.budget.looked_at(stays_full());
  host_.stays_free = disk_.wanted_bytes() + snapshot_lacks();
  if (fits(refused_copy_bytes_)) refused_copy_.clear();
  renew_reserve();
  lend_reserve();
}

// Between two looks at the disk, too, no more is gathered than the snapshot can write: a span that
// finds no room even in the reserve would stay, the log would not be cut, and keys that are removed
// would give no room back. What is written waits no longer, and wants room once and not twice. How
// long that lasts is counted from when the disk is not full: then the reserve begins to grow.
void Room::weigh(Instant now) {
  const bool before = overdrawn_since_.has_value();
  const uint64_t has = disk_.snapshot_bytes(snapshots_.room_taken());
  const bool overdrawn = snapshots_.room_wanted() > has;
  if (overdrawn && !before) snapshots_.hurry();
  if (!overdrawn) overdrawn_since_.reset();
  if (overdrawn && (!before || disk_.full())) overdrawn_since_ = now;
}

// A reserve that grows ends most of these moments. Without one the disk may be called ok for ever,
// and only a database that shrinks, or another leader, ends it.
bool Room::stays_full() const {
  return disk_.full() ||
         (overdrawn_since_ && host_.clock.now() - *overdrawn_since_ >= kOverdrawnLong);
}

// A full disk's reserve is refilled of what is wanted for it.
uint64_t Room::snapshot_lacks() const {
  const uint64_t wanted = snapshots_.room_wanted();
  const uint64_t held = disk_.reserve_bytes + (disk_.full() ? disk_.reserve_short_bytes : 0);
  return wanted > held ? wanted - held + disk_.log_bytes : 0;
}

raft::DiskRoom Room::disk() const {
  raft::DiskRoom disk = disk_;
  disk.short_bytes += snapshot_lacks();
  if (disk_.full() || !stays_full()) return disk;
  disk.state = raft::DiskRoom::State::kFull;
  disk.since = *overdrawn_since_;
  disk.missing = kTheSnapshot;
  return disk;
}

// While the disk is full the log has its segments and no more. What a snapshot covers of it becomes
// segments again: so one is written whenever half a segment has gone.
void Room::renew_reserve() {
  const bool full = host_.budget.full();
  const uint64_t left = full ? host_.budget.left(LogBudget::Use::kFrees) : ~uint64_t{0};
  if (left > hurried_at_bytes_) hurried_at_bytes_ = left;
  if (!full || hurried_at_bytes_ - left < 2 * ports_.log_bytes_kept) return;
  hurried_at_bytes_ = left;
  snapshots_.hurry();
}

// Until the span that found no room is on the disk: by it the log is cut.
void Room::lend_reserve() {
  const bool wanted = snapshots_.wants_room();
  if (std::exchange(lent_, wanted) != wanted) ports_.lend(wanted);
}

void Room::report(Instant now) {
  const NodeId leader = host_.other_leader();
  const bool room = !full();
  const int behind = behind_here();
  const bool slow = std::max(behind, told_behind_) >= kBehindIsNews &&
                    std::abs(behind - told_behind_) >= kBehindStep;
  const bool news = leader != told_leader_ || room != told_room_ || slow;
  if (!news && now < told_at_ + kReportEvery) return;
  told_leader_ = leader;
  told_room_ = room;
  told_behind_ = behind;
  told_at_ = now;
  if (!leader) return;
  peer::RoomReport message;
  message.room = room;
  message.freeBytes = static_cast<int64_t>(disk_.free_bytes);
  message.behind = behind;
  host_.transport.send_app(leader, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kRoomReport), codec_.encode(message));
}

// What waits for room in the log is to hear soon that there will be none.
Instant Room::next_wakeup() const {
  const Instant paced = host_.pace.next_wakeup();
  if (!watched()) return paced;
  const Instant report = std::min(paced, told_at_ + kReportEvery);
  return host_.budget.waited_for() ? std::min(report, looked_at_ + kLookEvery) : report;
}

void Room::receive(NodeId from, std::string_view bytes) {
  peer::RoomReport message;
  if (!codec_.decode(bytes, message)) return;
  const int behind = std::clamp(message.behind, 0, kBehindMax);
  reports_[from] = {message.room, behind, host_.clock.now()};
}

const Room::Report* Room::fresh_report(NodeId node) const {
  const auto at = reports_.find(node);
  const bool fresh = at != reports_.end() && host_.clock.now() - at->second.heard < kFresh;
  return fresh ? &at->second : nullptr;
}

bool Room::has_said_so(NodeId node) const {
  const Report* report = fresh_report(node);
  return report != nullptr && report->room;
}

/// Who is silent may be down and counts as nobody; a new leader has heard of nobody yet.
bool Room::would_not_stay_leader(NodeId node) const {
  const Report* report = fresh_report(node);
  return report != nullptr && !report->room && quorum_has_room();
}

bool Room::has_room(NodeId voter) const {
  if (voter == host_.options.self) return !full();
  if (const Report* report = fresh_report(voter)) return report->room;
  return host_.clock.now() - led_since_ < kFresh;
}

bool Room::anybody_full() const {
  return full() || std::ranges::any_of(reports_, [this](const auto& each) {
           const Report* report = fresh_report(each.first);
           return report != nullptr && !report->room;
         });
}

bool Room::quorum_has_room() const {
  return raft::quorum_value(host_.node->core().configuration(),
                            [this](NodeId voter) { return has_room(voter); });
}

// As long as nobody is full, who is silent does not matter here: a quorum that is down is Raft's
// affair. While leadership is handed over the core proposes nothing, and what can be repeated waits
// for the next leader; a core that has heard of that one says at the end of the turn only that it
// leads no more.
std::optional<Refusal> Room::refusal() const {
  if (!host_.serving || !anybody_full()) return std::nullopt;
  const raft::Raft& core = host_.node->core();
  if (core.role() != raft::Role::kLeader || core.transferring()) return std::nullopt;
  std::string why;
  if (full()) {
    why = "the leader, node " + std::to_string(host_.options.self.value) +
          ", has no room on its disk for " + (disk_.full() ? disk_.missing : kTheSnapshot) + ": " +
          disk_.path + " has " + byte_text(disk_.free_bytes) + " free, and " +
          byte_text(disk_.wanted_bytes() + snapshot_lacks()) + " are wanted";
  } else if (!quorum_has_room()) {
    why = "no quorum of the servers has room on its disks";
  } else {
    return std::nullopt;
  }
  return Refusal{ErrorCode::kNoSpace,
                 why + "; until there is room again only what frees or keeps alive is done", false,
                 true, kRetryAfterMs};
}

bool Room::wants_to_hand_over() const {
  return host_.serving && stays_full() && quorum_has_room() &&
         host_.clock.now() >= hand_over_began_ + kHandOverEvery;
}

void Room::began_to_hand_over() {
  ++stats_.hand_overs;
  hand_over_began_ = host_.clock.now();
}

bool Room::fits(uint64_t copy_bytes) const {
  return !full() && disk_.free_bytes >= copy_bytes + disk_.wanted_bytes() + snapshot_lacks();
}

std::optional<std::string> Room::no_room_for_copy(uint64_t bytes) {
  if (!watched()) return std::nullopt;
  if (fits(bytes)) return std::nullopt;
  const uint64_t wanted = disk_.wanted_bytes() + snapshot_lacks();
  refused_copy_bytes_ = bytes;
  refused_copy_ = "a copy of the state takes " + byte_text(bytes) + ", and " + disk_.path +
                  " has " + byte_text(disk_.free_bytes) + " free, of which " + byte_text(wanted) +
                  " are to stay free";
  refused_copy_at_ = host_.clock.now();
  return refused_copy_;
}

std::optional<std::string> Room::refused_copy() const {
  const bool lately = !refused_copy_.empty() && host_.clock.now() < refused_copy_at_ + kCopyAlarm;
  return lately ? std::optional(refused_copy_) : std::nullopt;
}

}  // namespace holdfast::server
