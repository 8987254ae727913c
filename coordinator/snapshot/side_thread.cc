#include "coordinator/snapshot/side_thread.h"

#include <system_error>
#include <utility>

namespace holdfast::snapshot {

SideThread::SideThread(std::function<void()> work) {
  ended_ = false;
  try {
    thread_ = std::thread([this, work = std::move(work)] {
      work();
      {
        const std::lock_guard lock(mutex_);
        ended_ = true;
      }
      changed_.notify_one();
    });
    begun_ = true;
  } catch (const std::system_error&) {
    ended_ = true;
  }
}

bool SideThread::ended_within(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return ended_; });
}

void SideThread::join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace holdfast::snapshot
