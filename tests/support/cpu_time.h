#pragma once

#include <algorithm>
#include <ctime>
#include <limits>

namespace holdfast {

/// Seconds that this process has computed for so far, to the microsecond. (What getrusage() tells
/// is made of ticks of some milliseconds on many kernels.)
inline double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// The least of `times` costs. A virtual machine counts what its host takes away as if it had been
/// used here: that only ever adds, and seldom to every one of several.
template <typename Cost>
double least_of(int times, Cost&& cost) {
  double least = std::numeric_limits<double>::max();
  for (int i = 0; i < times; ++i) least = std::min(least, cost());
  return least;
}

}  // namespace holdfast
