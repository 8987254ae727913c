// Work that blocks for the disk, done beside the loop: one piece after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace holdfast::snapshot {

/// Port of the engine. Loop thread.
class Background {
 public:
  virtual ~Background() = default;
  /// Runs `work` elsewhere, after what was given before, and then `done` within a deliver().
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
  /// Calls `done` of what has ended.
  virtual void deliver() = 0;
};

/// One thread of low priority.
class BackgroundThread final : public Background {
 public:
  using Notify = std::function<void()>;
  /// `notify` runs on that thread when deliver() has something: it posts a wake-up to the loop.
  explicit BackgroundThread(Notify notify);
  /// Ends after the piece under way; what waits behind it is dropped, and no `done` is called.
  ~BackgroundThread() override;

  void run(std::function<void()> work, std::function<void()> done) override;
  void deliver() override;

 private:
  struct Piece {
    std::function<void()> work;
    std::function<void()> done;
  };
  void serve();

  const Notify notify_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> waiting_;
  std::deque<Piece> ended_;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace holdfast::snapshot
