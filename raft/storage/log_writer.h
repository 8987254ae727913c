// The asynchronous way to the log's disk. The node's driver submits the writes of its core as they
// come; they are made durable in order, and all that wait when the disk comes free go to it as one
// batch: one write, one sync (group commit). threaded_log_writer.h is the one for production.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/histogram.h"
#include "base/recent_durations.h"
#include "raft/core/ready.h"
#include "raft/storage/log_store.h"

namespace holdfast::raft {

/// What was written since the start.
struct LogWriteStats {
  uint64_t batches = 0;         ///< each one write and one sync
  uint64_t bytes = 0;           ///< payload
  DurationHistogram durations;  ///< of a batch: its write and its sync
  DurationSummary recent;       ///< of the last minute
  Duration under_way{};         ///< the batch that the disk has now; zero: none
};

/// What the log takes without asking the disk for room (PROMISE 12): the rest of its segment and
/// those that are ready, less what was submitted and is not durable.
struct LogRoom {
  /// Writes of so much BatchSize::room_bytes() fit whatever happens.
  uint64_t bytes = 0;
  uint64_t segment_bytes = 0;
  /// Nothing waits and all segments are ready: more will not be in hand.
  bool whole = false;
  /// That became durable since the start: each is filled up to a sector.
  uint64_t batches = 0;
};

/// Port of the node's driver. Unless said otherwise members are called on the loop thread.
class LogWriter {
 public:
  virtual ~LogWriter() = default;
  /// Queues one write of the core's Ready (raft/core/ready.h); its number is above that of every
  /// earlier one. Returns at once; the core's caps bound what waits, see waiting_bytes().
  virtual void submit(Write write) = 0;
  /// What happened since the last call: nothing (nullopt), the highest write number that is durable
  /// now with all before it, or the error after which this log is never written again, be it of a
  /// write or of the preparation of a segment. From then on every call returns that error; the
  /// process must end. Also makes what became durable readable through LogStore::entries().
  virtual std::optional<Result<uint64_t>> collect() = 0;
  /// Payload bytes submitted and not yet durable.
  virtual uint64_t waiting_bytes() const = 0;
};

/// Called when collect() has news after it had none: posts a wake-up to the loop. Runs on the
/// thread that does the writing; must not call back into the writer.
using LogWriterNotify = std::function<void()>;

/// What both writers share: the queue of waiting writes, the merge into batches, the completions.
/// Thread-safe; the log is written by whichever one thread calls write_batch(). A disk without room
/// for the next segment fails nothing: what waits goes on waiting, and is acknowledged by nobody.
class WriteQueue {
 public:
  WriteQueue(LogStore& log, LogWriterNotify notify);

  void push(Write write);
  std::optional<Result<uint64_t>> collect();
  uint64_t waiting_bytes() const;
  /// Loop thread. Locks nothing.
  LogRoom room() const;

  /// Writes what waits, up to kMaxBatchBytes or half a segment, and at least one write, as one
  /// batch; nothing if nothing waits, the log has failed or the disk has no room for it, else its
  /// payload bytes. Blocks for the disk.
  std::optional<uint64_t> write_batch();
  /// The last write_batch() found no room. The writing thread's.
  bool out_of_room() const { return out_of_room_; }
  /// Blocks until something waits (true) or close() was called and nothing waits (false).
  bool wait();
  /// What finds no room from now on is given up.
  void close();

  /// Bounds how long the first write of a merged batch waits for the bytes of the last.
  static constexpr uint64_t kMaxBatchBytes = 4 << 20;

 private:
  struct Completed {
    AppendedBatch batch;
    uint64_t room = 0;
  };
  uint64_t take_batch();
  void put_back();
  void finish(Result<AppendedBatch> outcome, uint64_t bytes);

  LogStore& log_;
  /// A batch of several writes is at most half a segment: one that fits into none would extend its
  /// file, and a full disk refuse that although segments are ready.
  const uint64_t batch_bytes_max_;
  LogWriterNotify notify_;
  std::vector<Write> batch_;          ///< the writing thread's
  uint64_t batch_room_ = 0;           ///< BatchSize::room_bytes() of its writes; likewise
  bool out_of_room_ = false;          ///< likewise
  std::vector<Completed> collected_;  ///< the loop thread's
  uint64_t room_owed_ = 0;            ///< of all writes that were not collected; likewise
  uint64_t batches_ = 0;              ///< collected; likewise

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Write> waiting_;
  std::vector<Completed> completed_;
  std::optional<Error> failure_;
  uint64_t last_number_ = 0;
  uint64_t waiting_bytes_ = 0;
  bool news_ = false;
  bool sleeping_ = false;  ///< the writing thread needs a wake-up
  bool closed_ = false;
};

/// Without threads, for simulation and tests: nothing is written before run_one().
class InlineLogWriter final : public LogWriter {
 public:
  explicit InlineLogWriter(
      LogStore& log, LogWriterNotify notify = [] {});

  void submit(Write write) override { queue_.push(std::move(write)); }
  std::optional<Result<uint64_t>> collect() override { return queue_.collect(); }
  uint64_t waiting_bytes() const override { return queue_.waiting_bytes(); }

  /// Writes and syncs one batch of what waits; false if there was nothing to do.
  bool run_one();
  /// Does one bounded piece of preparing the next segment; false if there was nothing to do.
  bool prepare_one();
  LogRoom room() const { return queue_.room(); }
  /// run_one() does nothing before a segment is ready.
  bool out_of_room() const;

 private:
  SegmentPreparer& preparer_;
  WriteQueue queue_;
};

}  // namespace holdfast::raft
