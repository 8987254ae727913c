// The room keeper in production: the disk is looked at on a thread of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "raft/storage/room.h"

namespace holdfast::raft {

/// Looks ten times a second, and at once when something is lent or wanted back.
class ThreadedRoomKeeper {
 public:
  static constexpr Duration kEvery = 100ms;
  /// Runs on that thread.
  struct Hooks {
    std::function<void()> changed;                   ///< room() says another state
    std::function<void(const std::string&)> failed;  ///< the reserve cannot be used; said once
  };
  /// All outlive it.
  ThreadedRoomKeeper(FileSystem& files, LogStore& log, Clock& clock, RoomOptions options,
                     Hooks hooks);
  ~ThreadedRoomKeeper();

  DiskRoom room() const { return keeper_.room(); }
  void lend(bool lent);
  void note_snapshot(const SnapshotRoom& snapshot) { keeper_.note_snapshot(snapshot); }

 private:
  void run();
  void look();

  Clock& clock_;
  RoomKeeper keeper_;
  const Hooks hooks_;
  bool said_failed_ = false;  ///< the thread's
  std::mutex mutex_;
  std::condition_variable wake_;
  bool hurry_ = false;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace holdfast::raft
