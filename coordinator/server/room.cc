#include "coordinator/server/room.h"

#include <algorithm>
#include <utility>

#include "raft/core/quorum.h"

namespace holdfast::server {

using command::CommandKind;

namespace {

/// A client that is refused asks again no sooner: room does not come within milliseconds.
constexpr int64_t kRetryAfterMs = 1'000;
/// Of a record and of a batch on disk, roughly (docs/log-format.md).
constexpr uint64_t kRecordBytes = 64;
constexpr uint64_t kBatchBytes = 1'024;

uint64_t log_bytes(const raft::Message& append) {
  uint64_t bytes = kBatchBytes;
  for (const raft::Entry& entry : append.entries) bytes += entry.data.size() + kRecordBytes;
  return bytes;
}

std::string mib(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

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
    : host_(host), codec_(codec), snapshots_(snapshots), ports_(std::move(ports)) {}

void Room::turn() {
  if (!watched()) return;
  const Instant now = host_.clock.now();
  if (std::exchange(led_, host_.serving) != host_.serving) led_since_ = now;
  if (looked_at_ == Instant() || now >= looked_at_ + kLookEvery) look(now);
  report(now);
  host_.no_space = refusal();
}

// While there still is room what waits in memory goes to the snapshot: the less is left of it when
// the disk is full, the less room the snapshot needs then.
void Room::look(Instant now) {
  looked_at_ = now;
  const raft::DiskRoom::State before = disk_.state;
  disk_ = ports_.look();
  if (disk_.state > before) snapshots_.hurry();
  ports_.note_snapshot(snapshots_.stats().next_span_bytes);
  lend_reserve();
}

// Until the span that found no room is on the disk: by it the log is cut.
void Room::lend_reserve() {
  const bool wanted = snapshots_.wants_room();
  if (std::exchange(lent_, wanted) != wanted) ports_.lend(wanted);
}

void Room::report(Instant now) {
  const NodeId leader = host_.other_leader();
  const bool room = !disk_.full();
  const bool news = leader != told_leader_ || room != told_room_;
  if (!news && now < told_at_ + kReportEvery) return;
  told_leader_ = leader;
  told_room_ = room;
  told_at_ = now;
  if (!leader) return;
  peer::RoomReport message;
  message.room = room;
  message.freeBytes = static_cast<int64_t>(disk_.free_bytes);
  host_.transport.send_app(leader, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kRoomReport), codec_.encode(message));
}

Instant Room::next_wakeup() const { return watched() ? told_at_ + kReportEvery : Instant::max(); }

void Room::receive(NodeId from, std::string_view bytes) {
  peer::RoomReport message;
  if (!codec_.decode(bytes, message)) return;
  reports_[from] = {message.room, host_.clock.now()};
}

bool Room::takes(const raft::Message& message) {
  if (!disk_.full() || message.type != raft::MessageType::kAppendRequest ||
      message.entries.empty()) {
    return true;
  }
  // Each segment may end with a rest into which the next batch does not fit: twice is enough.
  const bool fits = 2 * log_bytes(message) + ports_.log_bytes_kept <= ports_.log_bytes_left();
  if (!fits) ++stats_.appends;
  return fits;
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
bool Room::has_room(NodeId voter) const {
  if (voter == host_.options.self) return !disk_.full();
  if (const Report* report = fresh_report(voter)) return report->room;
  return host_.clock.now() - led_since_ < kFresh;
}

bool Room::anybody_full() const {
  return disk_.full() || std::ranges::any_of(reports_, [this](const auto& each) {
           const Report* report = fresh_report(each.first);
           return report != nullptr && !report->room;
         });
}

bool Room::quorum_has_room() const {
  return raft::quorum_value(host_.node->core().configuration(),
                            [this](NodeId voter) { return has_room(voter); });
}

// As long as nobody is full, who is silent does not matter here: a quorum that is down is Raft's
// affair.
std::optional<Refusal> Room::refusal() const {
  if (!host_.serving || !anybody_full()) return std::nullopt;
  if (handing_over()) return std::nullopt;
  std::string why;
  if (disk_.full()) {
    why = "the leader, node " + std::to_string(host_.options.self.value) +
          ", has no room on its disk for " + disk_.missing + ": " + disk_.path + " has " +
          mib(disk_.free_bytes) + " free, and " + mib(disk_.needed_bytes) + " are wanted";
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
  return host_.serving && disk_.full() && quorum_has_room() &&
         host_.clock.now() >= hand_over_began_ + kHandOverEvery;
}

void Room::began_to_hand_over() {
  ++stats_.hand_overs;
  hand_over_began_ = host_.clock.now();
}

// The core gives a transfer up after an election timeout. Until then it proposes nothing itself,
// and what can be repeated waits for the next leader.
bool Room::handing_over() const {
  return host_.clock.now() < hand_over_began_ + host_.options.raft.election_timeout_max;
}

std::optional<std::string> Room::no_room_for_copy(uint64_t bytes) {
  if (!watched()) return std::nullopt;
  if (!disk_.full() && disk_.free_bytes >= bytes + disk_.needed_bytes) return std::nullopt;
  refused_copy_ = "a copy of the state takes " + mib(bytes) + ", and " + disk_.path + " has " +
                  mib(disk_.free_bytes) + " free, of which " + mib(disk_.needed_bytes) +
                  " are to stay free";
  refused_copy_at_ = host_.clock.now();
  return refused_copy_;
}

std::optional<std::string> Room::refused_copy() const {
  const bool lately = !refused_copy_.empty() && host_.clock.now() < refused_copy_at_ + kCopyAlarm;
  return lately ? std::optional(refused_copy_) : std::nullopt;
}

}  // namespace holdfast::server
