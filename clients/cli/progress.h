// How far something long has come, on standard error: a bar on a terminal, a line a second
// elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace holdfast::cli {

class Progress {
 public:
  explicit Progress(Clock& clock);
  /// So many bytes of all are there.
  void show(uint64_t done, uint64_t all);
  /// Nothing comes yet, and why.
  void wait(const std::string& why);
  /// What is printed next begins a line.
  void end();

 private:
  bool due();
  void print(const std::string& text);

  Clock& clock_;
  const bool terminal_;
  const Instant began_;
  Instant shown_at_;
  bool open_line_ = false;
};

}  // namespace holdfast::cli
