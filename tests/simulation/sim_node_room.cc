// A simulated server's disk that runs full: looked at once a second, more rarely than the server's
// thread does, so that more happens between two looks.
#include <algorithm>

#include "coordinator/tree/key_tree.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

namespace {

constexpr Duration kLookEvery = 1s;
/// "Within seconds" (docs/operations.md): a span each second, and three attempts that may each wait
/// for what the last one gave back.
constexpr Duration kGivenBackWithin = 15s;
/// Keys that are in nobody's way.
constexpr uint64_t kFewKeys = 4;
constexpr uint64_t kSomeKeys = 100;

}  // namespace

server::RoomPorts SimNode::room_ports(uint64_t snapshot_bytes) {
  const auto bytes = static_cast<uint64_t>(world_.weather().room_bytes);
  if (bytes == 0) return {};
  room_ = std::make_unique<raft::RoomKeeper>(
      *disk_, *log_, raft::RoomOptions{kDataDirectory, bytes, bytes / 2, snapshot_bytes},
      clock_.now());
  room_at_ = Instant();
  refused_room_ = false;
  return {[this] { return room_->room(); },
          [this](bool lent) {
            if (lent) world_.mark(Mark::kReserveLent);
            room_->lend(lent);
            room_at_ = Instant();
          },
          [this](const raft::SnapshotRoom& room) { room_->note_snapshot(room); },
          [this] { return writer_->room(); },
          log_->preparer().segment_bytes(),
          log_->preparer().segment_bytes() / 4};
}

void SimNode::look_at_disk() {
  if (room_ == nullptr || clock_.now() < room_at_) return;
  room_at_ = clock_.now() + kLookEvery;
  const Status done = room_->step(clock_.now());
  if (!done.ok()) log_line("its reserve: " + done.error().message);
}

void SimNode::mark_room() {
  const server::Host& host = engine_->host();
  const bool refuses = host.serving && host.no_space.has_value();
  const uint64_t proposed = engine_->command_stats().proposed;
  if (refuses && refused_room_ && proposed > proposed_full_) world_.mark(Mark::kFreedWhileFull);
  if (refused_room_ && !refuses && host.serving) {
    world_.mark(Mark::kRoomReturned);
    if (small_disk_) world_.mark(Mark::kKeysGaveRoomBack);
  }
  judge_small_disk(refuses);
  refused_room_ = refuses;
  proposed_full_ = proposed;
}

/// Nothing but its own keys has filled the disk, and they are gone; or so few are left that there
/// is room for a database that holds no others.
void SimNode::judge_small_disk(bool refuses) {
  if (!small_disk_ || span_writer_ == nullptr) return;
  const uint64_t keys = engine_->machine().keys().key_count();
  const auto obstacle = span_writer_->obstacle();
  const bool stuck = obstacle && obstacle->code == ErrorCode::kNoSpace;
  const bool late = (refuses && keys < kFewKeys) || (stuck && keys < kSomeKeys);
  if (!late) gave_back_at_ = world_.now();
  if (world_.now() - gave_back_at_ <= kGivenBackWithin) return;
  throw Broken(Rule::kLive, name_ + " has no room " + std::to_string(to_ms(kGivenBackWithin)) +
                                " ms after all keys that had filled its disk were removed: " +
                                (stuck ? obstacle->message : engine_->host().no_space->message));
}

}  // namespace holdfast::sim
