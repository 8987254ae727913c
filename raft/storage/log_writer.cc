#include "raft/storage/log_writer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "raft/storage/batch_encoder.h"

namespace holdfast::raft {
namespace {

uint64_t payload_bytes(const Write& write) {
  uint64_t bytes = 0;
  for (const Entry& entry : write.entries) bytes += entry.data.size();
  return bytes;
}

uint64_t room_bytes(const Write& write) { return BatchSize::of({&write, 1}).room_bytes(); }

}  // namespace

WriteQueue::WriteQueue(LogStore& log, LogWriterNotify notify)
    : log_(log),
      batch_bytes_max_(std::min(kMaxBatchBytes, log.preparer().segment_bytes() / 2)),
      notify_(std::move(notify)) {}

void WriteQueue::push(Write write) {
  const uint64_t bytes = payload_bytes(write);
  room_owed_ += room_bytes(write);
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    HF_CHECK(write.number > last_number_, "write numbers must ascend");
    last_number_ = write.number;
    waiting_bytes_ += bytes;
    waiting_.push_back(std::move(write));
    wake = sleeping_;
  }
  if (wake) arrived_.notify_one();
}

std::optional<uint64_t> WriteQueue::write_batch() {
  const uint64_t bytes = take_batch();
  if (batch_.empty()) return std::nullopt;
  Result<AppendedBatch> outcome = log_.append(batch_);
  out_of_room_ = !outcome && outcome.error().code == ErrorCode::kNoSpace && !log_.failed();
  if (out_of_room_) {
    put_back();
    return std::nullopt;
  }
  batch_.clear();
  finish(std::move(outcome), bytes);
  return bytes;
}

void WriteQueue::put_back() {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    waiting_.clear();
  } else {
    waiting_.insert(waiting_.begin(), std::make_move_iterator(batch_.begin()),
                    std::make_move_iterator(batch_.end()));
  }
  batch_.clear();
}

LogRoom WriteQueue::room() const {
  const SegmentPreparer& preparer = log_.preparer();
  const uint64_t ahead = log_.space().bytes_ahead;
  return {ahead - std::min(ahead, room_owed_), preparer.segment_bytes(),
          room_owed_ == 0 && preparer.ready() == preparer.ahead(), batches_};
}

uint64_t WriteQueue::take_batch() {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  if (failure_) return 0;
  batch_room_ = 0;
  BatchSize size;
  while (!waiting_.empty()) {
    size.add(waiting_.front());
    if (!batch_.empty() && size.bytes > batch_bytes_max_) break;
    bytes += payload_bytes(waiting_.front());
    batch_room_ += room_bytes(waiting_.front());
    batch_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return bytes;
}

void WriteQueue::finish(Result<AppendedBatch> outcome, uint64_t bytes) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ -= bytes;
    if (outcome) {
      completed_.push_back({std::move(*outcome), batch_room_});
    } else {
      failure_ = outcome.error();
    }
    tell = !std::exchange(news_, true);
  }
  if (tell) notify_();
}

std::optional<Result<uint64_t>> WriteQueue::collect() {
  std::optional<Error> failure;
  collected_.clear();
  {
    const std::lock_guard lock(mutex_);
    collected_.swap(completed_);
    failure = failure_;
    news_ = false;
  }
  batches_ += collected_.size();
  for (const Completed& each : collected_) {
    log_.publish(each.batch);
    room_owed_ -= each.room;
  }
  // Not left to the next write: on a full disk that waits for the segments that will not come.
  const SegmentPreparer& preparer = log_.preparer();
  if (!failure && preparer.failed()) failure = preparer.failure().to_error();
  if (failure) return Result<uint64_t>(*failure);
  if (collected_.empty()) return std::nullopt;
  return Result<uint64_t>(collected_.back().batch.write_number);
}

uint64_t WriteQueue::waiting_bytes() const {
  const std::lock_guard lock(mutex_);
  return waiting_bytes_;
}

bool WriteQueue::wait() {
  std::unique_lock lock(mutex_);
  sleeping_ = true;
  arrived_.wait(lock, [this] { return closed_ || (!waiting_.empty() && !failure_); });
  sleeping_ = false;
  return !waiting_.empty() && !failure_;
}

void WriteQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  arrived_.notify_all();
}

InlineLogWriter::InlineLogWriter(LogStore& log, LogWriterNotify notify)
    : preparer_(log.preparer()), queue_(log, std::move(notify)) {}

// As the thread that writes: once out of room, not before a segment is ready.
bool InlineLogWriter::run_one() { return !out_of_room() && queue_.write_batch().has_value(); }

bool InlineLogWriter::out_of_room() const {
  return queue_.out_of_room() && preparer_.ready() == 0 && !preparer_.failed();
}

bool InlineLogWriter::prepare_one() {
  return preparer_.has_work() && preparer_.step() == SegmentPreparer::Step::kWorked;
}

}  // namespace holdfast::raft
