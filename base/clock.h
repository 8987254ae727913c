// The clock port: one of the four interfaces (clock, disk, network, entropy) through which the
// project reaches the world. The simulator supplies its own.
#pragma once

#include "base/time.h"

namespace holdfast {

class Clock {
 public:
  virtual ~Clock() = default;
  /// CLOCK_BOOTTIME: monotonic, runs on during suspend. Thread-safe.
  virtual Instant now() = 0;
  /// Wall clock in ms since 1970: shown to people, never compared or used for a decision.
  virtual int64_t wall_unix_ms() = 0;
};

/// The machine's clock.
class SystemClock final : public Clock {
 public:
  Instant now() override;
  int64_t wall_unix_ms() override;
};

}  // namespace holdfast
