<<<<<<< HEAD
// A command in a process group of its own.
=======
// The program that `holdfast lock` runs while it holds the lock: a process group of its own, which
// never outlives the lock (PROMISES 5).
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
#pragma once

#include <sys/types.h>

#include <map>
<<<<<<< HEAD
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace holdfast::cli {

/// Started by start(); the group is signalled as a whole. If holdfast itself is killed, so is the
/// command (not what the command started). On a terminal the command is the foreground job.
class Child {
 public:
  ~Child();
  /// 0, or the errno of exec or fork.
  int start(const std::vector<std::string>& command,
            const std::map<std::string, std::string>& environment);
  bool running() const { return pid_ > 0; }
  void signal(int number) const;
  /// After SIGCHLD: the exit code (128 + n when signal n ended it), once it has ended.
  std::optional<int> reap();

 private:
  [[noreturn]] void become(const std::vector<std::string>& command, int error_fd) const;
  void take_terminal(pid_t group) const;

  pid_t pid_ = 0;
  bool on_terminal_ = false;
=======
#include <string>
#include <vector>

namespace holdfast::cli {

class Child {
 public:
  /// Starts `command` with these variables added to its environment. 0 or the errno of the attempt.
  /// The kernel kills it if this process dies first.
  int start(const std::vector<std::string>& command,
            const std::map<std::string, std::string>& environment);
  /// To the whole process group.
  void signal(int number) const;
  /// True once it has ended; never blocks.
  bool ended();
  /// Its exit code, or 128 + the signal that ended it.
  int exit_code() const { return exit_code_; }

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int exit_code_ = 0;
>>>>>>> 6cf7560 (Add the holdfast command: lock, elect, locks, sessions, status, log and what operators need)
};

}  // namespace holdfast::cli
