#include "clients/cpp/sequence_set.h"

#include <algorithm>

namespace holdfast::client {

void SequenceSet::add(int64_t sequence) {
  // The first range that ends at or after the number before this one: the only one to grow upwards.
  auto at = std::partition_point(ranges_.begin(), ranges_.end(),
                                 [&](const Range& r) { return r.last < sequence - 1; });
  if (at == ranges_.end() || at->first > sequence + 1) {
    ranges_.insert(at, {sequence, sequence});
    return;
  }
  at->first = std::min(at->first, sequence);
  at->last = std::max(at->last, sequence);
  const auto next = at + 1;
  if (next == ranges_.end() || next->first > at->last + 1) return;
  at->last = std::max(at->last, next->last);
  ranges_.erase(next);
}

bool SequenceSet::contains(int64_t sequence) const {
  const auto at = std::partition_point(ranges_.begin(), ranges_.end(),
                                       [&](const Range& r) { return r.last < sequence; });
  return at != ranges_.end() && at->first <= sequence;
}

}  // namespace holdfast::client
