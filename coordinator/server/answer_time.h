// The time that the answers of one kind may take in a turn. They carry values, which may be a MiB
// each: very many at once would hold up everything else, the heartbeats of a leader among it
// (PROMISES 6 and 13). What is left over waits for the next turn. One thread.
#pragma once

#include "coordinator/server/host.h"

namespace holdfast::server {

class AnswerTime {
 public:
  static constexpr Duration kATurn = 5ms;

  explicit AnswerTime(Host& host) : host_(host) {}

  /// Asked before each answer; the first time in a turn begins it and is always true.
  bool left() {
    if (turn_ != host_.turn) begin();
    return host_.clock.now() < until_;
  }
  /// Begins it anew.
  void begin() {
    turn_ = host_.turn;
    until_ = host_.clock.now() + kATurn;
  }

 private:
  Host& host_;
  uint64_t turn_ = 0;  ///< that `until_` is of
  Instant until_;
};

}  // namespace holdfast::server
