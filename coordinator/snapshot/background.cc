#include "coordinator/snapshot/background.h"

#include <utility>

#include "base/scheduling.h"

namespace holdfast::snapshot {

BackgroundThread::BackgroundThread(Notify notify)
    : notify_(std::move(notify)), thread_([this] { serve(); }) {}

BackgroundThread::~BackgroundThread() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void BackgroundThread::run(std::function<void()> work, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), std::move(done)});
  }
  changed_.notify_one();
}

void BackgroundThread::deliver() {
  std::deque<Piece> ended;
  {
    const std::lock_guard lock(mutex_);
    ended.swap(ended_);
  }
  for (const Piece& piece : ended) piece.done();
}

void BackgroundThread::serve() {
  name_this_thread("copies");
  schedule_in_background();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
    if (closed_) return;
    Piece piece = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    piece.work();
    lock.lock();
    ended_.push_back(std::move(piece));
    lock.unlock();
    notify_();
    lock.lock();
  }
}

}  // namespace holdfast::snapshot
