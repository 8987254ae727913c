// The segments that hold the log, oldest first, and how many of them can go. Owned by the loop
// thread, which learns of a segment when a batch in it is durable: so the newest one known here,
// with the term and vote in its head, is on disk whatever happens to those before it.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/storage/log_positions.h"

namespace holdfast::raft {

class SegmentChain {
 public:
  /// Takes up what became durable, in order.
  void publish(const AppendedBatch& batch);
  /// Size of the segments' files.
  uint64_t bytes() const { return bytes_; }

  struct Cut {
    std::vector<SegmentRef> segments;  ///< oldest first; empty if none can go
    LogIndex before;                   ///< the log that the others hold begins behind it
  };
  /// Takes out as many of the oldest segments as can go so that every entry above `through` stays.
  /// The newest one always stays.
  Cut cut(LogIndex through);

 private:
  struct Link {
    SegmentRef segment;
    LogIndex lowest{kLogOrdinalMax};  ///< of all entries in it, replaced ones too
    uint64_t bytes = 0;
  };
  Cut take_out(size_t count, LogIndex before);

  std::vector<Link> links_;
  uint64_t bytes_ = 0;
};

}  // namespace holdfast::raft
