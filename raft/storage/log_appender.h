// The writing half of the log: turns submitted writes into batches on disk. Lives on the sync
// thread; shares nothing with the loop thread but the atomics named here.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "raft/core/ready.h"
#include "raft/storage/batch_encoder.h"
#include "raft/storage/log_format.h"
#include "raft/storage/log_positions.h"
#include "raft/storage/segment_preparer.h"

namespace holdfast::raft {

/// Who the log belongs to; the same in the head of all its segments.
struct LogIdentity {
  StoreId store;
  GroupId group;
  uint64_t salt = 0;
};

class LogAppender {
 public:
  /// Where the log goes on. `next_batch` is above every batch number ever used.
  struct Position {
    SegmentRef segment;
    uint64_t offset = 0;
    uint64_t next_batch = 0;
    LogTail tail;
  };

  LogAppender(LogIdentity identity, uint64_t segment_bytes, Position position,
              SegmentPreparer& preparer);

  /// Makes `writes` durable, in order, as ONE batch: one write, one sync. NO_SPACE while failed()
  /// is false: the disk has no room for the next segment, nothing was touched, and the same writes
  /// may be appended later. After any other error every call returns that error and touches
  /// nothing.
  Result<AppendedBatch> append(std::span<const Write> writes);
  bool failed() const { return failure_.has_value(); }
  /// Bytes that fit without another segment than the current and the prepared ones. Any thread. As
  /// long as nothing is appended but what is counted by BatchSize::room_bytes(), no less fits.
  uint64_t bytes_ahead() const;

 private:
  Result<AppendedBatch> fail(Error error);
  IoStatus write_batch(std::span<const Write> writes, const BatchSize& size, AppendedBatch& batch);
  IoStatus begin_batch(const BatchSize& size);
  IoResult<PreparedSegment> next_segment(uint64_t bytes);
  void encode(const Write& write, AppendedBatch& batch);
  void advance(const HardState& state);
  void advance(const Entry& entry);

  const LogIdentity identity_;
  const uint64_t segment_bytes_;
  Position at_;
  SegmentPreparer& preparer_;
  BatchEncoder encoder_;
  std::optional<Error> failure_;
  std::atomic<uint64_t> bytes_left_;  ///< in the current segment
};

}  // namespace holdfast::raft
