// The last durations of something, for what a person wants to know of the present: a histogram
// since the start says nothing of the last minute.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace holdfast {

struct DurationSummary {
  uint64_t count = 0;
  Duration median{};
  Duration p99{};
  Duration max{};
};

/// Of the last kWindow, and of the last kKept at most. Belongs to one thread, or to a lock.
class RecentDurations {
 public:
  static constexpr Duration kWindow = 60s;
  static constexpr size_t kKept = 1024;

  void add(Instant now, Duration taken) {
    samples_[next_ % kKept] = {now, taken};
    ++next_;
  }

  DurationSummary summary(Instant now) const {
    std::vector<Duration> taken;
    for (size_t i = 0; i < std::min(next_, kKept); ++i) {
      if (now - samples_[i].at <= kWindow) taken.push_back(samples_[i].taken);
    }
    if (taken.empty()) return {};
    std::sort(taken.begin(), taken.end());
    // The smallest that is not below that part of all.
    const auto rank = [&](size_t percent) { return taken[(taken.size() * percent - 1) / 100]; };
    return {taken.size(), rank(50), rank(99), taken.back()};
  }

 private:
  struct Sample {
    Instant at;
    Duration taken{};
  };
  std::array<Sample, kKept> samples_{};
  size_t next_ = 0;
};

}  // namespace holdfast
