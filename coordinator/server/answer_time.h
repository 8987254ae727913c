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
    const Instant now = host_.clock.now();
    if (turn_ != host_.turn) {
      turn_ = host_.turn;
      until_ = now + kATurn;
    }
    return now < until_;
  }

 private:
  Host& host_;
  uint64_t turn_ = 0;  ///< that `until_` is of
  Instant until_;
};

}  // namespace holdfast::server
