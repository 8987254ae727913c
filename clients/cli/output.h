// What is written to readers who may have stopped reading: a full pipe must not keep a command from
// what it has to do.
#pragma once

#include <signal.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// Standard output of a command that signals end. One thread.
class Output {
 public:
  enum class Taken : uint8_t {
    kAll,
    kInterrupted,  ///< a signal came while nothing was taken; it is still to be delivered
    kFailed,       ///< errno says why
  };

  /// Waits for a reader until one of `signals` comes.
  explicit Output(const std::vector<int>& signals);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Lines of up to 4,096 bytes are written whole or not at all.
  Taken write(std::string_view lines);

 private:
  sigset_t signals_;
  int signal_fd_;
};

/// A line on standard error. A reader who takes nothing for a tenth of a second is not told.
void say_on_stderr(const std::string& line);

}  // namespace holdfast::cli
