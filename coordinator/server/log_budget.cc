#include "coordinator/server/log_budget.h"

#include <algorithm>

#include "raft/storage/log_format.h"

namespace holdfast::server {

bool LogBudget::take(uint64_t payload_bytes, Use use) {
  if (!limits_.look) return true;
  look();
  raft::BatchSize with = taken_;
  with.add_payload(payload_bytes);
  const bool enough = fits(with, use);
  if (enough) taken_ = with;
  waited_for_ |= !enough;
  return enough;
}

void LogBudget::look() {
  if (std::exchange(looked_, true)) return;
  room_ = limits_.look();
}

// More than half a segment is no batch (WriteQueue), so that what is taken needs no more than what
// is in hand. What is larger alone goes when nothing else is under way and all is in hand, else it
// never could; the disk had room for it when it was last looked at.
bool LogBudget::fits(const raft::BatchSize& size, Use use) const {
  const bool alone = size.records == 1;
  if (alone && room_.whole && !full_) return true;
  if (size.bytes > room_.segment_bytes / 2 && !alone) return false;
  // A term may come into the same write, and a head before it.
  if (size.bytes + 2 * raft::kSectorBytes > room_.segment_bytes) return false;
  return size.room_bytes() + keeps(use) <= room_.bytes;
}

void LogBudget::handed_over() {
  looked_ = false;
  taken_ = {};
}

uint64_t LogBudget::padding_bytes() {
  return limits_.look ? limits_.look().batches * raft::kSectorBytes : 0;
}

uint64_t LogBudget::left(Use use) {
  if (!limits_.look) return ~uint64_t{0};
  look();
  const uint64_t gone = taken_.room_bytes() + keeps(use);
  waited_for_ |= gone >= room_.bytes;
  return room_.bytes - std::min(room_.bytes, gone);
}

}  // namespace holdfast::server
