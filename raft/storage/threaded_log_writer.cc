#include "raft/storage/threaded_log_writer.h"

#include "base/scheduling.h"

namespace holdfast::raft {

ThreadedLogWriter::ThreadedLogWriter(LogStore& log, Clock& clock, LogWriterNotify notify)
    : clock_(clock), preparer_(log.preparer()), notify_(std::move(notify)), queue_(log, notify_) {
  // An earlier writer of this log closed it when it ended.
  preparer_.reopen();
  write_thread_ = std::thread([this] { run_writer(); });
  try {
    prepare_thread_ = std::thread([this] { run_preparer(); });
  } catch (...) {
    end_threads();
    throw;
  }
}

ThreadedLogWriter::~ThreadedLogWriter() { end_threads(); }

void ThreadedLogWriter::end_threads() {
  queue_.close();
  preparer_.close();
  write_thread_.join();
  if (prepare_thread_.joinable()) prepare_thread_.join();
}

void ThreadedLogWriter::run_writer() {
  name_this_thread("log");
  while (queue_.wait()) {
    write_batch();
    if (queue_.out_of_room()) preparer_.wait_for_segment();
  }
}

void ThreadedLogWriter::write_batch() {
  const Instant begun = clock_.now();
  {
    const std::lock_guard lock(stats_mutex_);
    begun_ = begun;
  }
  const auto bytes = queue_.write_batch();
  const Instant ended = clock_.now();
  const Duration taken = ended - begun;
  const std::lock_guard lock(stats_mutex_);
  begun_.reset();
  if (!bytes) return;
  recent_.add(ended, taken);
  ++stats_.batches;
  stats_.bytes += *bytes;
  stats_.durations.add(taken);
}

LogWriteStats ThreadedLogWriter::stats() const {
  const Instant now = clock_.now();
  const std::lock_guard lock(stats_mutex_);
  LogWriteStats stats = stats_;
  stats.recent = recent_.summary(now);
  if (begun_) stats.under_way = now - *begun_;
  return stats;
}

void ThreadedLogWriter::run_preparer() {
  name_this_thread("next");
  while (preparer_.wait_for_work()) {
    const size_t before = preparer_.ready();
    preparer_.step();
    if (preparer_.ready() > before || preparer_.failed()) notify_();
  }
}

}  // namespace holdfast::raft
