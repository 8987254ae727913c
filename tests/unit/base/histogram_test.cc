#include "base/histogram.h"

#include <gtest/gtest.h>

#include <numeric>

namespace holdfast {
namespace {

uint64_t total(const DurationHistogram& histogram) {
  return std::accumulate(histogram.counts().begin(), histogram.counts().end(), uint64_t{0});
}

TEST(DurationHistogram, CountsADurationInTheBucketWhoseBoundItDoesNotPass) {
  DurationHistogram histogram;
  for (size_t i = 0; i < DurationHistogram::kBounds.size(); ++i) {
    histogram.add(DurationHistogram::kBounds[i]);
    EXPECT_EQ(histogram.counts()[i], 1u) << i;
    histogram.add(DurationHistogram::kBounds[i] + 1ns);
    EXPECT_EQ(histogram.counts()[i + 1], 1u) << i;
    histogram = {};
  }
}

TEST(DurationHistogram, KeepsWhatIsBelowItsFirstBoundAndBeyondItsLast) {
  DurationHistogram histogram;
  histogram.add(0ns);
  histogram.add(24 * 60min);
  EXPECT_EQ(histogram.counts().front(), 1u);
  EXPECT_EQ(histogram.counts().back(), 1u);
  EXPECT_EQ(histogram.sum(), Duration(24 * 60min));
}

TEST(DurationHistogram, AddsUpWithAnother) {
  DurationHistogram one, two;
  one.add(30us);
  two.add(30us);
  two.add(2s);
  one += two;
  EXPECT_EQ(total(one), 3u);
  EXPECT_EQ(one.counts()[1], 2u);
  EXPECT_EQ(one.sum(), Duration(60us + 2s));
}

}  // namespace
}  // namespace holdfast
