#include "session/sequence_set.h"

#include <algorithm>

namespace holdfast::session {
namespace {

/// The first range that ends at or behind `sequence`.
template <class Ranges>
auto first_reaching(Ranges& ranges, Sequence sequence) {
  return std::lower_bound(ranges.begin(), ranges.end(), sequence,
                          [](const SequenceRange& range, Sequence s) { return range.last < s; });
}

}  // namespace

bool SequenceSet::contains(Sequence sequence) const {
  if (sequence <= floor_) return true;
  const auto it = first_reaching(ranges_, sequence);
  return it != ranges_.end() && it->first <= sequence;
}

SequenceSet::Added SequenceSet::add(SequenceRange range, size_t ranges_max) {
  if (range.last <= floor_) return Added::kPresent;
  // Neighbours merge too: a range that ends just before ours, or begins just behind it.
  const auto begin = first_reaching(ranges_, range.first.prev());
  auto end = begin;
  while (end != ranges_.end() && end->first <= range.last.next()) ++end;
  if (begin != end) {
    if (begin->first <= range.first && range.last <= begin->last) return Added::kPresent;
    range.first = std::min(range.first, begin->first);
    range.last = std::max(range.last, (end - 1)->last);
  }
  if (range.first <= floor_.next()) {
    floor_ = range.last;
    ranges_.erase(begin, end);
  } else if (begin != end) {
    *begin = range;
    ranges_.erase(begin + 1, end);
  } else if (ranges_.size() < ranges_max) {
    ranges_.insert(begin, range);
  } else {
    return Added::kTooMany;
  }
  return Added::kNew;
}

bool SequenceSet::assign(Sequence floor, std::vector<SequenceRange> ranges) {
  Sequence last = floor;
  for (const SequenceRange& range : ranges) {
    if (range.first <= last.next() || range.last < range.first) return false;
    last = range.last;
  }
  floor_ = floor;
  ranges_ = std::move(ranges);
  return true;
}

}  // namespace holdfast::session
