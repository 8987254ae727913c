#include "base/recent_durations.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr Instant kStart{1000s};

TEST(RecentDurations, NothingIsNothing) {
  const DurationSummary summary = RecentDurations().summary(kStart);
  EXPECT_EQ(summary.count, 0U);
  EXPECT_EQ(summary.max, Duration(0));
}

TEST(RecentDurations, TheSlowestHundredthIsToldFromTheRest) {
  RecentDurations recent;
  for (int i = 1; i <= 200; ++i) recent.add(kStart, i <= 197 ? Duration(1ms) : Duration(50ms));
  const DurationSummary summary = recent.summary(kStart);
  EXPECT_EQ(summary.count, 200U);
  EXPECT_EQ(summary.median, 1ms);
  EXPECT_EQ(summary.p99, 50ms);
  EXPECT_EQ(summary.max, 50ms);
}

TEST(RecentDurations, OneAloneIsMedianAndMost) {
  RecentDurations recent;
  recent.add(kStart, 3ms);
  const DurationSummary summary = recent.summary(kStart);
  EXPECT_EQ(summary.median, 3ms);
  EXPECT_EQ(summary.p99, 3ms);
}

TEST(RecentDurations, WhatIsLongAgoDoesNotCount) {
  RecentDurations recent;
  recent.add(kStart, 900ms);
  recent.add(kStart + RecentDurations::kWindow, 1ms);
  EXPECT_EQ(recent.summary(kStart + RecentDurations::kWindow).max, 900ms);
  EXPECT_EQ(recent.summary(kStart + RecentDurations::kWindow + 1ms).max, 1ms);
}

TEST(RecentDurations, OfManyTheLastAreKept) {
  RecentDurations recent;
  recent.add(kStart, 1s);
  for (size_t i = 0; i < RecentDurations::kKept; ++i) recent.add(kStart, 1ms);
  EXPECT_EQ(recent.summary(kStart).count, RecentDurations::kKept);
  EXPECT_EQ(recent.summary(kStart).max, 1ms);
}

}  // namespace
}  // namespace holdfast
