// Times that stop at the end of their range instead of wrapping into the past.
#pragma once

#include <cstdint>
#include <limits>

namespace holdfast {

/// `time_ms` plus a span that is not negative.
inline int64_t add_saturating(int64_t time_ms, int64_t span_ms) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return span_ms > kMost - time_ms ? kMost : time_ms + span_ms;
}

}  // namespace holdfast
