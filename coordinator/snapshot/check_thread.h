// SQLite's check of a whole database by a thread and a connection of its own, beside whoever reads
// the rows. Where one more thread or file may not be had there is no check: the caller does it.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include "base/error.h"
#include "coordinator/snapshot/side_thread.h"

namespace holdfast::snapshot {

class CheckThread {
 public:
  /// Begins. `vfs` as in Database::open(); two threads may use it.
  CheckThread(std::string path, std::string vfs);
  CheckThread(const CheckThread&) = delete;
  CheckThread& operator=(const CheckThread&) = delete;

  /// Waits for it, but no longer than this.
  bool ended_within(std::chrono::milliseconds time) { return thread_.ended_within(time); }
  /// It has ended, and not well: outcome() says why.
  bool failed() const { return failed_; }
  /// Waits for it. As quick_check() says; nothing if it was not begun. Once.
  std::optional<Status> outcome();

 private:
  void check(const std::string& path, const std::string& vfs);

  std::optional<Status> outcome_;
  std::atomic<bool> failed_ = false;
  SideThread thread_;  ///< goes first: it writes the others
};

}  // namespace holdfast::snapshot
