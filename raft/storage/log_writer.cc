#include "raft/storage/log_writer.h"

#include <algorithm>
#include <utility>

namespace holdfast::raft {
namespace {

uint64_t payload_bytes(const Write& write) {
  uint64_t bytes = 0;
  for (const Entry& entry : write.entries) bytes += entry.data.size();
  return bytes;
}

}  // namespace

WriteQueue::WriteQueue(LogStore& log, LogWriterNotify notify)
    : log_(log),
      batch_bytes_max_(std::min(kMaxBatchBytes, log.preparer().segment_bytes() / 2)),
      notify_(std::move(notify)) {}

void WriteQueue::push(Write write) {
  const uint64_t bytes = payload_bytes(write);
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
  batch_.clear();
  finish(std::move(outcome), bytes);
  return bytes;
}

uint64_t WriteQueue::take_batch() {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  if (failure_) return 0;
  while (!waiting_.empty()) {
    const uint64_t more = payload_bytes(waiting_.front());
    if (!batch_.empty() && bytes + more > batch_bytes_max_) break;
    bytes += more;
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
      completed_.push_back(std::move(*outcome));
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
  for (const AppendedBatch& batch : collected_) log_.publish(batch);
  if (failure) return Result<uint64_t>(*failure);
  if (collected_.empty()) return std::nullopt;
  return Result<uint64_t>(collected_.back().write_number);
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

bool InlineLogWriter::prepare_one() { return preparer_.step() == SegmentPreparer::Step::kWorked; }

}  // namespace holdfast::raft
