#include "coordinator/server/write_pace.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace holdfast::server {
namespace {

/// What is let in at a time at most: no burst follows a pause.
constexpr double kBurstSeconds = 0.02;
constexpr Duration kWakeEvery = 5ms;

}  // namespace

// Where half of what is left before the cap is used up, as much comes as goes; so it settles there,
// and what follows from a rate that was measured badly is only where.
void WritePace::turn(Instant now, double behind, double drained) {
  const double elapsed = std::chrono::duration<double>(now - std::exchange(at_, now)).count();
  const bool before = std::exchange(slowed_, behind >= kSlowedFrom);
  waits_ = false;
  if (!slowed_) return;
  const double left = std::clamp((1 - behind) / (1 - kSlowedFrom), 0.0, 1.0);
  const double taken = drained > 0 ? drained : kUnknownBytes;
  rate_ = std::max(kLeastBytes, 2 * left * taken);
  const double burst = rate_ * kBurstSeconds;
  left_ = before ? std::min(left_ + rate_ * elapsed, burst) : burst;
}

bool WritePace::open() {
  waits_ = slowed_ && left_ <= 0;
  return !waits_;
}

Instant WritePace::next_wakeup() const { return waits_ ? at_ + kWakeEvery : Instant::max(); }

}  // namespace holdfast::server
