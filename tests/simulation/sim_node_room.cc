// A simulated server's disk that runs full: looked at once a second, more rarely than the server's
// thread does, so that more happens between two looks.
#include <algorithm>

#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

namespace {

constexpr Duration kLookEvery = 1s;

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
          [this](uint64_t bytes_wanted) { room_->note_snapshot(bytes_wanted); },
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
  if (refused_room_ && !refuses && host.serving) world_.mark(Mark::kRoomReturned);
  refused_room_ = refuses;
  proposed_full_ = proposed;
}

}  // namespace holdfast::sim
