#include "coordinator/server/pace.h"

#include <gtest/gtest.h>

namespace holdfast::server {
namespace {

constexpr Instant kStart(1000s);

/// Begins as often as the pace allows, looked at every `step`, and counts.
int begun_within(Pace& pace, Instant from, Duration time, Duration step) {
  int begun = 0;
  for (Instant now = from; now < from + time; now += step) {
    if (!pace.open(now)) continue;
    pace.begin(now);
    ++begun;
  }
  return begun;
}

TEST(Pace, ABurstMayBeginAtOnceAfterAQuietTime) {
  Pace pace(5ms, 4);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pace.open(kStart)) << i;
    pace.begin(kStart);
  }
  EXPECT_FALSE(pace.open(kStart));
  EXPECT_EQ(pace.opens_at(), kStart + 5ms);
}

TEST(Pace, InTheLongRunOneSpacingLiesBetweenTwo) {
  Pace pace(5ms, 4);
  EXPECT_EQ(begun_within(pace, kStart, 1s, 100us), 200 + 3);
  EXPECT_EQ(begun_within(pace, kStart + 1s, 1s, 100us), 200);
}

TEST(Pace, WhatStaysBelowItIsNeverHeldBack) {
  Pace pace(5ms, 4);
  EXPECT_EQ(begun_within(pace, kStart, 1s, 5ms), 200);
  EXPECT_EQ(begun_within(pace, kStart + 1s, 1s, 6ms), 167);
}

TEST(Pace, QuietTimeGivesTheBurstBackAndNoMore) {
  Pace pace(5ms, 4);
  EXPECT_EQ(begun_within(pace, kStart, 1ms, 100us), 4);
  EXPECT_EQ(begun_within(pace, kStart + 10ms, 1ms, 100us), 2);
  EXPECT_EQ(begun_within(pace, kStart + 10s, 1ms, 100us), 4);
}

TEST(Pace, OneThatCouldNotWaitCounts) {
  Pace pace(5ms, 1);
  pace.begin(kStart);
  pace.begin(kStart + 1ms);
  EXPECT_EQ(pace.opens_at(), kStart + 10ms);
}

// Renewals waited for half a minute after a minute in which many polls had moved.
TEST(Pace, HoweverManyCouldNotWaitTheNextIsNotKeptLong) {
  Pace pace(5ms, 4);
  Instant now = kStart;
  for (int i = 0; i < 10'000; ++i, now += 1ms) pace.begin(now);
  EXPECT_LE(pace.opens_at(), now + 10ms);
}

}  // namespace
}  // namespace holdfast::server
