#include "coordinator/snapshot/threaded_span_writer.h"

#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/scheduling.h"

namespace holdfast::snapshot {
namespace {

constexpr std::chrono::seconds kRetryEvery{2};

/// The disk is full, or somebody else holds the database.
bool passes(const Error& error) {
  return error.code == ErrorCode::kNoSpace || error.code == ErrorCode::kOverloaded;
}

}  // namespace

ThreadedSpanWriter::ThreadedSpanWriter(SnapshotStore& store, Notify notify, Pace* pace)
    : store_(store), notify_(std::move(notify)), pace_(pace), thread_([this] { run(); }) {}

ThreadedSpanWriter::~ThreadedSpanWriter() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ThreadedSpanWriter::submit(Span span) {
  {
    const std::lock_guard lock(mutex_);
    HF_CHECK(!waiting_ && !outcome_, "a span is under way");
    waiting_ = std::move(span);
  }
  changed_.notify_one();
}

std::optional<Result<WrittenSpan>> ThreadedSpanWriter::collect() {
  const std::lock_guard lock(mutex_);
  if (outcome_) waiting_.reset();
  return std::exchange(outcome_, std::nullopt);
}

std::optional<Error> ThreadedSpanWriter::obstacle() const {
  const std::lock_guard lock(mutex_);
  return obstacle_;
}

std::optional<Span> ThreadedSpanWriter::recall() {
  const std::lock_guard lock(mutex_);
  if (held_up_ == nullptr) return std::nullopt;
  waiting_.reset();
  changed_.notify_one();
  return std::move(*std::exchange(held_up_, nullptr));
}

void ThreadedSpanWriter::hurry(bool urgent) {
  if (pace_ != nullptr) pace_->hurry(urgent);
}

void ThreadedSpanWriter::look() {
  {
    const std::lock_guard lock(mutex_);
    to_look_ = true;
  }
  changed_.notify_one();
}

bool ThreadedSpanWriter::moved() const {
  const std::lock_guard lock(mutex_);
  return moved_;
}

void ThreadedSpanWriter::look_for_it(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const bool moved = store_.has_moved();
  lock.lock();
  moved_ = moved;
  if (!moved) return;
  lock.unlock();
  notify_();
  lock.lock();
}

void ThreadedSpanWriter::run() {
  name_this_thread("rows");
  schedule_in_background();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closed_ || to_look_ || (waiting_ && !outcome_); });
    if (std::exchange(to_look_, false)) {
      look_for_it(lock);
      continue;
    }
    if (!waiting_ || outcome_) return;
    {
      // Gone before the lock is taken again: a large span takes a while, and the loop waits for it.
      Span span = std::move(*waiting_);
      lock.unlock();
      write_until_done(span);
    }
    lock.lock();
  }
}

void ThreadedSpanWriter::write_until_done(Span& span) {
  for (bool first = true;; first = false) {
    Result<WrittenSpan> written = store_.write(span);
    const bool held_up = !written.ok() && passes(written.error());
    if (held_up && first) span.rows.keep_latest();  // it may be recalled
    std::unique_lock lock(mutex_);
    if (!held_up) {
      obstacle_.reset();
      moved_ = false;
      outcome_ = std::move(written);
      break;
    }
    obstacle_ = written.error();
    held_up_ = &span;
    changed_.wait_for(lock, kRetryEvery, [this] { return closed_ || held_up_ == nullptr; });
    if (std::exchange(held_up_, nullptr) == nullptr) return;
    if (closed_) {
      outcome_ = std::move(written);
      break;
    }
  }
  notify_();
}

}  // namespace holdfast::snapshot
