// Time as Holdfast sees it: instants of the boot-time clock, which runs on during suspend. Nothing
// here can read a clock; instants come from a Clock port (base/clock.h) and are passed in.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast {

using Duration = std::chrono::nanoseconds;

/// Tag of CLOCK_BOOTTIME. Deliberately without now(): pure code is handed its instants.
struct BootClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, duration>;
  static constexpr bool is_steady = true;
};

/// A reading of one machine's boot-time clock. Never compared between machines.
using Instant = BootClock::time_point;

using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;

constexpr int64_t to_ms(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}
/// A hundred years at most: nothing that is added to an instant overflows.
constexpr Duration from_ms(int64_t ms) {
  constexpr int64_t kMost = int64_t{100} * 366 * 86'400'000;
  return std::chrono::milliseconds(std::clamp(ms, -kMost, kMost));
}

}  // namespace holdfast
