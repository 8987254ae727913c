// Timers of a loop, on the boot-time clock: one that ran out while the machine was suspended fires
// when it resumes.
#pragma once

#include <functional>

#include "base/net/loop.h"

namespace holdfast::net {

/// Owned by whoever waits; destroying it cancels. Loop thread only. Fires after the sockets of its
/// turn were read, so input that arrived before the deadline is seen first (unless input_left()).
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires once at `deadline` (at once, i.e. this or the next turn, if that has passed). Replaces
  /// an earlier arming.
  void arm(Instant deadline);
  void arm_after(Duration delay);
  /// Fires every `period`, first after one period. Periods missed during a pause are skipped, not
  /// made up for.
  void arm_every(Duration period);
  void cancel();
  bool armed() const { return position_ != kNotArmed; }
  Instant deadline() const { return deadline_; }

 private:
  friend class TimerQueue;
  static constexpr size_t kNotArmed = static_cast<size_t>(-1);

  Loop& loop_;
  std::function<void()> callback_;
  Instant deadline_;
  Duration period_{0};
  size_t position_ = kNotArmed;  ///< in the queue's heap
};

}  // namespace holdfast::net
