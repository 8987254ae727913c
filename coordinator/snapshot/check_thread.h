// SQLite's check of a whole database by a thread and a connection of its own, beside whoever reads
// the rows.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "base/error.h"

namespace holdfast::snapshot {

class CheckThread {
 public:
  /// Begins. `vfs` as in Database::open(); two threads may use it.
  CheckThread(std::string path, std::string vfs);
  /// Waits for the check.
  ~CheckThread();
  CheckThread(const CheckThread&) = delete;
  CheckThread& operator=(const CheckThread&) = delete;

  /// It has ended, and not well: outcome() says why.
  bool failed() const { return failed_; }
  /// Waits for it. As quick_check() says, or why the database could not be opened. Once.
  Status outcome();

 private:
  void run(const std::string& path, const std::string& vfs);

  Status outcome_ = ok_status();
  std::atomic<bool> failed_ = false;
  std::thread thread_;
};

}  // namespace holdfast::snapshot
