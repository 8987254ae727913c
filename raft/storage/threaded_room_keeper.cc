#include "raft/storage/threaded_room_keeper.h"

#include <utility>

#include "base/scheduling.h"

namespace holdfast::raft {

ThreadedRoomKeeper::ThreadedRoomKeeper(FileSystem& files, LogStore& log, Clock& clock,
                                       RoomOptions options, Hooks hooks)
    : clock_(clock),
      keeper_(files, log, std::move(options), clock.now()),
      hooks_(std::move(hooks)),
      thread_([this] { run(); }) {}

ThreadedRoomKeeper::~ThreadedRoomKeeper() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ThreadedRoomKeeper::lend(bool lent) {
  keeper_.lend(lent);
  {
    const std::lock_guard lock(mutex_);
    hurry_ = true;
  }
  wake_.notify_one();
}

void ThreadedRoomKeeper::run() {
  name_this_thread("room");
  std::unique_lock lock(mutex_);
  while (!closed_) {
    hurry_ = false;
    lock.unlock();
    look();
    lock.lock();
    wake_.wait_for(lock, kEvery, [this] { return closed_ || hurry_; });
  }
}

void ThreadedRoomKeeper::look() {
  const DiskRoom::State before = keeper_.room().state;
  const Status done = keeper_.step(clock_.now());
  if (!done.ok() && !std::exchange(said_failed_, true)) hooks_.failed(done.error().message);
  if (keeper_.room().state != before) hooks_.changed();
}

}  // namespace holdfast::raft
