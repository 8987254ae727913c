// The armed timers of a loop: a binary heap by deadline. Used inside this folder.
#pragma once

#include <vector>

#include "base/net/timer.h"

namespace holdfast::net {

class TimerQueue {
 public:
  bool empty() const { return heap_.empty(); }
  /// Of the earliest; only when not empty.
  Instant next_deadline() const { return heap_.front()->deadline_; }
  void insert(Timer* timer);
  void remove(Timer* timer);
  /// Runs the timers due at `now`; at most as many as are armed, whatever they arm meanwhile.
  void run_due(Instant now);

 private:
  void place(size_t at, Timer* timer);
  void sift_up(size_t at);
  void sift_down(size_t at);
  Timer* pop_due(Instant now);

  std::vector<Timer*> heap_;
};

}  // namespace holdfast::net
