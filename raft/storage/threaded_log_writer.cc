#include "raft/storage/threaded_log_writer.h"

namespace holdfast::raft {

ThreadedLogWriter::ThreadedLogWriter(LogStore& log, LogWriterNotify notify)
    : preparer_(log.preparer()),
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
  while (queue_.wait()) queue_.write_batch();
}

void ThreadedLogWriter::run_preparer() {
  while (preparer_.wait_for_work()) preparer_.step();
}

}  // namespace holdfast::raft
