#include "raft/storage/segment_preparer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "raft/storage/log_format.h"

namespace holdfast::raft {

SegmentPreparer::SegmentPreparer(FileSystem& files, std::string directory, uint64_t segment_bytes,
                                 size_t ahead, uint64_t next_number,
                                 std::vector<std::string> spares)
    : files_(files),
      directory_(std::move(directory)),
      segment_bytes_(segment_bytes),
      ahead_(ahead),
      number_(next_number),
      spares_(std::move(spares)) {}

// Removing goes first: it may leave a file to recycle, and makes room on a full disk.
SegmentPreparer::Step SegmentPreparer::step() {
  if (failed()) return Step::kFailed;
  if (SegmentRef segment = next_retired()) return remove(std::move(segment));
  const std::lock_guard lock(mutex_);
  return step_locked();
}

SegmentPreparer::Step SegmentPreparer::step_locked() {
  if (failure_) return Step::kFailed;
  if (ready_.size() >= ahead_) return Step::kIdle;
  const IoStatus done = advance();
  out_of_space_ = !done.ok() && done.error().out_of_space() && !naming_;
  pause(out_of_space_);
  if (done) return Step::kWorked;
  if (!out_of_space_) return fail(done.error());
  const IoStatus given_back = give_back();
  return given_back ? Step::kOutOfSpace : fail(given_back.error());
}

SegmentPreparer::Step SegmentPreparer::fail(const IoError& error) {
  failure_ = error;
  failed_.store(true, std::memory_order_release);
  const std::lock_guard lock(signal_mutex_);
  segment_.notify_all();
  return Step::kFailed;
}

// What was begun is finished, though a spare may have come since: nothing is left half done.
IoStatus SegmentPreparer::advance() {
  if (filling_ == nullptr && !spares_.empty()) {
    IoStatus done = publish_name(spares_.back());
    if (done) spares_.pop_back();
    return done;
  }
  return fill();
}

IoStatus SegmentPreparer::fill() {
  if (filling_ == nullptr) {
    if (permit_ && !permit_(segment_bytes_)) {
      return IoError{ENOSPC, "allocate", path_of(segment_file_name(number_)),
                     "what is free is kept for the snapshot"};
    }
    auto file = files_.open(path_of(temporary_file_name(number_)), OpenMode::kCreate);
    if (!file) return file.error();
    filling_ = std::move(*file);
    filled_ = 0;
    return io_ok();
  }
  if (filled_ == segment_bytes_) return publish_name(temporary_file_name(number_));
  const uint64_t part = std::min(kStepBytes, segment_bytes_ - filled_);
  if (auto done = filling_->zero_fill(filled_, part); !done) return done;
  if (auto done = filling_->sync(); !done) return done;
  filled_ += part;
  return io_ok();
}

// The name is durable before the first byte of the log goes into the file.
IoStatus SegmentPreparer::publish_name(const std::string& from) {
  const std::string name = segment_file_name(number_);
  if (auto done = files_.rename(path_of(from), path_of(name)); !done) return done;
  // A sync that failed is not tried again, for want of space neither: what it did nobody knows.
  naming_ = true;
  if (auto done = files_.sync_directory(directory_); !done) return done;
  naming_ = false;
  filling_.reset();
  auto file = files_.open(path_of(name), OpenMode::kModify);
  if (!file) return file.error();
  auto bytes = (*file)->size();
  if (!bytes) return bytes.error();
  ready_.push_back({number_, path_of(name), std::move(*file), *bytes});
  ready_count_ = ready_.size();
  ++number_;
  return io_ok();
}

IoStatus SegmentPreparer::give_back() {
  filling_.reset();
  const std::string temporary = path_of(temporary_file_name(number_));
  auto there = files_.exists(temporary);
  if (!there) return there.error();
  return *there ? files_.unlink(temporary) : io_ok();
}

void SegmentPreparer::retire(std::vector<SegmentRef> segments) {
  const std::lock_guard lock(signal_mutex_);
  std::move(segments.begin(), segments.end(), std::back_inserter(retired_));
  paused_ = false;
  work_.notify_one();
}

SegmentRef SegmentPreparer::next_retired() {
  const std::lock_guard lock(signal_mutex_);
  if (retired_.empty()) return nullptr;
  SegmentRef oldest = std::move(retired_.front());
  retired_.pop_front();
  return oldest;
}

// Oldest first, and each is gone for sure before the next goes: a crash in between leaves a log
// that begins later, never one with a hole. No lock is held, so the sync thread does not wait.
SegmentPreparer::Step SegmentPreparer::remove(SegmentRef segment) {
  const bool recycled = may_recycle(segment);
  const std::string spare = temporary_file_name(segment->number);
  const IoStatus gone =
      recycled ? files_.rename(segment->path, path_of(spare)) : files_.unlink(segment->path);
  if (!gone && gone.error().out_of_space()) {
    const std::lock_guard lock(signal_mutex_);
    retired_.push_front(std::move(segment));
    paused_ = out_of_space_ = true;
    return Step::kOutOfSpace;
  }
  const IoStatus done = gone ? files_.sync_directory(directory_) : gone;
  const std::lock_guard lock(mutex_);
  if (!done) return fail(done.error());
  if (recycled) spares_.push_back(spare);
  out_of_space_ = false;
  pause(false);
  return Step::kWorked;
}

// A file that somebody still reads keeps its bytes until it is closed.
bool SegmentPreparer::may_recycle(const SegmentRef& segment) {
  const std::lock_guard lock(mutex_);
  return segment.use_count() == 1 && segment->bytes >= segment_bytes_ &&
         spares_.size() < kSparesMax;
}

// What was cut off meanwhile may make the room that was missing.
void SegmentPreparer::pause(bool paused) {
  const std::lock_guard lock(signal_mutex_);
  paused_ = paused && retired_.empty();
  if (ready() > 0) segment_.notify_all();
}

IoResult<PreparedSegment> SegmentPreparer::take() {
  const std::lock_guard lock(mutex_);
  while (ready_.empty()) {
    const Step outcome = step_locked();
    if (outcome == Step::kFailed) return *failure_;
    if (outcome == Step::kOutOfSpace) {
      return IoError{
          ENOSPC, "allocate", path_of(segment_file_name(number_)),
          "the log needs its next segment of " + std::to_string(segment_bytes_) + " bytes"};
    }
  }
  PreparedSegment taken = std::move(ready_.front());
  ready_.pop_front();
  ready_count_ = ready_.size();
  retry();
  return taken;
}

void SegmentPreparer::put_back(PreparedSegment segment) {
  const std::lock_guard lock(mutex_);
  HF_CHECK(ready_.empty() || segment.number < ready_.front().number, "put back out of order");
  ready_.push_front(std::move(segment));
  ready_count_ = ready_.size();
  const std::lock_guard signal(signal_mutex_);
  put_back_ = true;
}

void SegmentPreparer::wait_for_segment() {
  std::unique_lock lock(signal_mutex_);
  if (std::exchange(put_back_, false)) {
    segment_.wait_for(lock, kPutBackFor, [this] { return closed_ || failed(); });
  } else {
    segment_.wait(lock, [this] { return closed_ || failed() || ready() > 0; });
  }
}

IoError SegmentPreparer::failure() const {
  const std::lock_guard lock(mutex_);
  HF_CHECK(failure_.has_value(), "failure() of a preparer that has not failed");
  return *failure_;
}

bool SegmentPreparer::wait_for_work() {
  std::unique_lock lock(signal_mutex_);
  work_.wait(lock, [this] { return closed_ || has_work_locked(); });
  return !closed_;
}

bool SegmentPreparer::has_work() const {
  const std::lock_guard lock(signal_mutex_);
  return has_work_locked();
}

bool SegmentPreparer::has_work_locked() const {
  return !failed() && !paused_ && (ready() < ahead_ || !retired_.empty());
}

void SegmentPreparer::retry() {
  const std::lock_guard lock(signal_mutex_);
  paused_ = false;
  work_.notify_one();
}

void SegmentPreparer::set_permit(Permit permit) {
  const std::lock_guard lock(mutex_);
  permit_ = std::move(permit);
}

void SegmentPreparer::reopen() {
  const std::lock_guard lock(signal_mutex_);
  closed_ = false;
}

void SegmentPreparer::close() {
  const std::lock_guard lock(signal_mutex_);
  closed_ = true;
  work_.notify_all();
  segment_.notify_all();
}

}  // namespace holdfast::raft
