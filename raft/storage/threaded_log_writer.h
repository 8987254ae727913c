// The log's writer in production: the disk is waited for on threads of its own.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "raft/storage/log_writer.h"

namespace holdfast::raft {

/// One thread writes and syncs; another, off the path of writes, prepares the next segment.
class ThreadedLogWriter final : public LogWriter {
 public:
  /// `log` and `clock` must outlive the writer; the log is appended to by nobody else.
  /// Throws std::system_error if a thread cannot be had.
  ThreadedLogWriter(LogStore& log, Clock& clock, LogWriterNotify notify);
  /// Writes what was submitted, then ends the threads.
  ~ThreadedLogWriter() override;

  void submit(Write write) override { queue_.push(std::move(write)); }
  std::optional<Result<uint64_t>> collect() override { return queue_.collect(); }
  uint64_t waiting_bytes() const override { return queue_.waiting_bytes(); }
  /// Loop thread, which is woken when a segment has become ready.
  LogRoom room() const { return queue_.room(); }
  /// Any thread.
  LogWriteStats stats() const;

 private:
  void end_threads();
  void run_writer();
  void write_batch();
  void run_preparer();

  Clock& clock_;
  SegmentPreparer& preparer_;
  const LogWriterNotify notify_;
  WriteQueue queue_;
  mutable std::mutex stats_mutex_;
  LogWriteStats stats_;
  RecentDurations recent_;
  std::optional<Instant> begun_;  ///< the batch under way
  std::thread write_thread_;
  std::thread prepare_thread_;
};

}  // namespace holdfast::raft
