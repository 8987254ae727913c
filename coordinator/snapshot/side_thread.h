// Work by a thread of its own while the one that began it goes on with something else. Where no
// further thread may be had the work is not begun: whoever wanted it does it himself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace holdfast::snapshot {

class SideThread {
 public:
  /// Begins. What the work uses must outlive this.
  explicit SideThread(std::function<void()> work);
  /// Waits for the work.
  ~SideThread() { join(); }
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  bool begun() const { return begun_; }
  /// Waits for it, but no longer than this. True at once if it was not begun.
  bool ended_within(std::chrono::milliseconds time);
  /// Waits for it. What it wrote may be read then.
  void join();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false;
  bool ended_ = true;  ///< or was not begun
  std::thread thread_;
};

}  // namespace holdfast::snapshot
