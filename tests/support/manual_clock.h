// A clock that moves only when a test moves it.
#pragma once

#include "base/clock.h"

namespace holdfast {

class ManualClock final : public Clock {
 public:
  Instant now() override { return now_; }
  /// Follows, from some day in 2023 on.
  int64_t wall_unix_ms() override { return 1'700'000'000'000 + to_ms(now_.time_since_epoch()); }
  void advance(Duration by) { now_ += by; }

 private:
  Instant now_{1000s};
};

}  // namespace holdfast
