// How often something may begin: at once while it is rare, evenly spaced when it is not. What waits
// meanwhile goes along with the next one, so that a cost per beginning is bounded under any load
// and nobody waits for it under a light one.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace holdfast::server {

/// The generic cell rate algorithm (ITU-T I.371): `burst` may begin at once after a quiet time,
/// in the long run they are `spacing` apart.
class Pace {
 public:
  constexpr Pace(Duration spacing, int burst)
      : spacing_(spacing), tolerance_(spacing * (burst - 1)) {}

  /// The earliest instant at which the next one may begin; may be in the past.
  Instant opens_at() const { return theoretical_ - tolerance_; }
  bool open(Instant now) const { return opens_at() <= now; }
  /// One begins now; also if it could not wait until opens_at(). However many could not, who waits
  /// is kept for two spacings at most.
  void begin(Instant now) {
    theoretical_ = std::clamp(theoretical_, now, now + tolerance_ + spacing_) + spacing_;
  }

 private:
  Duration spacing_;
  Duration tolerance_;
  Instant theoretical_;  ///< when the next one begins if all are evenly spaced
};

}  // namespace holdfast::server
