#include "base/clock.h"

#include <time.h>

namespace holdfast {

namespace {

Duration read(clockid_t id) {
  timespec t;
  clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

}  // namespace

Instant SystemClock::now() { return Instant(read(CLOCK_BOOTTIME)); }

int64_t SystemClock::wall_unix_ms() { return to_ms(read(CLOCK_REALTIME)); }

}  // namespace holdfast
