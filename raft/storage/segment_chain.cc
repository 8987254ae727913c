#include "raft/storage/segment_chain.h"

#include <algorithm>
#include <iterator>

namespace holdfast::raft {

void SegmentChain::publish(const AppendedBatch& batch) {
  if (batch.segment == nullptr) return;
  if (links_.empty() || links_.back().segment != batch.segment) {
    links_.push_back({.segment = batch.segment});
  }
  Link& link = links_.back();
  for (const PlacedEntry& entry : batch.entries) link.lowest = std::min(link.lowest, entry.index);
  const uint64_t bytes = std::max(batch.segment->bytes, batch.end);
  bytes_ += bytes - link.bytes;
  link.bytes = bytes;
}

// A log that begins with a segment begins behind the entry that the segment's head names. If an
// entry in it, or in a later one, replaces that entry or one before it, the term before the
// replacement stands in no segment that is left: then the log begins behind the lowest replacement.
// A start finds the same (LogScan::begin()).
SegmentChain::Cut SegmentChain::cut(LogIndex through) {
  LogIndex lowest(kLogOrdinalMax);
  for (size_t oldest_kept = links_.size(); oldest_kept-- > 1;) {
    const Link& link = links_[oldest_kept];
    lowest = std::min(lowest, link.lowest);
    const LogIndex before = std::min(lowest, link.segment->before.index);
    if (before <= through) return take_out(oldest_kept, before);
  }
  return {};
}

SegmentChain::Cut SegmentChain::take_out(size_t count, LogIndex before) {
  Cut cut{.segments = {}, .before = before};
  const auto end = links_.begin() + static_cast<ptrdiff_t>(count);
  for (auto link = links_.begin(); link != end; ++link) {
    bytes_ -= link->bytes;
    cut.segments.push_back(std::move(link->segment));
  }
  links_.erase(links_.begin(), end);
  return cut;
}

}  // namespace holdfast::raft
