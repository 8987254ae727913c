#include "raft/storage/threaded_log_writer.h"

namespace holdfast::raft {

ThreadedLogWriter::ThreadedLogWriter(LogStore& log, Clock& clock, LogWriterNotify notify)
    : clock_(clock),
      preparer_(log.preparer()),
      queue_(log, std::move(notify)),
      write_thread_([this] { run_writer(); }),
      prepare_thread_([this] { run_preparer(); }) {}

ThreadedLogWriter::~ThreadedLogWriter() {
  queue_.close();
  write_thread_.join();
  preparer_.close();
  prepare_thread_.join();
}

void ThreadedLogWriter::run_writer() {
  while (queue_.wait()) {
    const Instant begun = clock_.now();
    const auto bytes = queue_.write_batch();
    if (!bytes) continue;
    const Duration taken = clock_.now() - begun;
    const std::lock_guard lock(stats_mutex_);
    ++stats_.batches;
    stats_.bytes += *bytes;
    stats_.durations.add(taken);
  }
}

LogWriteStats ThreadedLogWriter::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

void ThreadedLogWriter::run_preparer() {
  while (preparer_.wait_for_work()) preparer_.step();
}

}  // namespace holdfast::raft
