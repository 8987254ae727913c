// How far something long has come, on standard error: a bar on a terminal, a line a second
// elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace holdfast::cli {

class Progress {
 public:
  explicit Progress(Clock& clock);
  /// So many bytes of all are there. The rate is that of what came since the first that was there
  /// after the last wait().
  void show(uint64_t done, uint64_t all);
  /// Nothing comes yet, and why.
  void wait(const std::string& why);
  /// What is printed next begins a line.
  void end();

 private:
  bool due();
  void print(const std::string& text);

  /// Since when bytes come, and how many there were then.
  struct Beginning {
    Instant at;
    uint64_t done = 0;
  };

  Clock& clock_;
  const bool terminal_;
  std::optional<Beginning> began_;  ///< none: nothing comes yet
  Instant shown_at_;
  bool open_line_ = false;
};

}  // namespace holdfast::cli
