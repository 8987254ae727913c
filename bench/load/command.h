// The command `holdfast` that was built beside this program, as a process of its own.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace holdfast::bench {

class Command {
 public:
  /// `words` after its name. What it prints goes to standard error: the figures alone go to output.
  explicit Command(const std::vector<std::string>& words);
  /// Its wait status, once it has ended.
  std::optional<int> ended();
  /// Waits for its end, which must be a success.
  void wait();

 private:
  pid_t pid_;
  std::string text_;
};

}  // namespace holdfast::bench
