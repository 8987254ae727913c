// A histogram of durations in plain numbers, cheap enough for every call and every turn of a loop.
// It belongs to one thread; whoever publishes takes a copy.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/time.h"

namespace holdfast {

class DurationHistogram {
 public:
  /// Upper bounds of the buckets, each inclusive. What is longer counts in one more bucket.
  static constexpr std::array<Duration, 17> kBounds{25us,   50us,  100us, 250us, 500us, 1ms,
                                                    2500us, 5ms,   10ms,  25ms,  50ms,  100ms,
                                                    250ms,  500ms, 1s,    5s,    60s};

  void add(Duration taken) {
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), taken);
    ++counts_[static_cast<size_t>(bound - kBounds.begin())];
    sum_ += taken;
  }
  DurationHistogram& operator+=(const DurationHistogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    sum_ += other.sum_;
    return *this;
  }

  /// Of each bucket alone, not of those below it.
  const std::array<uint64_t, kBounds.size() + 1>& counts() const { return counts_; }
  Duration sum() const { return sum_; }

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  Duration sum_{0};
};

}  // namespace holdfast
