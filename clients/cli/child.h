// A command in a process group of its own.
#pragma once

#include <sys/types.h>

#include <map>
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
};

}  // namespace holdfast::cli
