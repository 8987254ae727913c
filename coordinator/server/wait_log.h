// What a server waits for before it can serve, in its log: when that changes, and from time to time
// while it does not.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "base/clock.h"

namespace holdfast::server {

class WaitLog {
 public:
  static constexpr Duration kAgainAfter = 10s;

  explicit WaitLog(std::function<void(const std::string&)> log) : log_(std::move(log)) {}

  void waits(Instant now, const std::string& line) {
    if (line == said_ && now - said_at_ < kAgainAfter) return;
    said_ = line;
    said_at_ = now;
    log_(line);
  }

 private:
  std::function<void(const std::string&)> log_;
  std::string said_;
  Instant said_at_;
};

}  // namespace holdfast::server
