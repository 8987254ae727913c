// How fast a leader lets writes in while the snapshots do not keep up with the log.
#include "coordinator/server/write_pace.h"

#include <gtest/gtest.h>

#include <chrono>

namespace holdfast::server {
namespace {

constexpr double kDrained = 20e6;
constexpr uint64_t kEntry = 500;

class WritePaceTest : public testing::Test {
 protected:
  /// Bytes a second that are let in of a load that never ends, turns of 1 ms.
  double let_in(double behind, double drained = kDrained) {
    constexpr int kTurns = 2'000;
    uint64_t bytes = 0;
    for (int i = 0; i < kTurns; ++i) {
      now += 1ms;
      pace.turn(now, behind, drained);
      for (int n = 0; n < 1'000 && take(kEntry); ++n) bytes += kEntry;
    }
    return static_cast<double>(bytes) * 1'000 / kTurns;
  }
  bool take(uint64_t bytes) {
    const bool open = pace.open();
    if (open) pace.charge(bytes);
    return open;
  }
  WritePace pace;
  Instant now = Instant(3'600s);
};

TEST_F(WritePaceTest, LetsAllInUntilMostOfWhatMayWaitDoes) {
  EXPECT_EQ(let_in(0), 1'000.0 * kEntry * 1'000);
  EXPECT_EQ(let_in(WritePace::kSlowedFrom - 0.001), 1'000.0 * kEntry * 1'000);
  EXPECT_FALSE(pace.slowed());
  EXPECT_EQ(pace.next_wakeup(), Instant::max());
}

TEST_F(WritePaceTest, HalfwayToTheCapAsMuchComesAsGoes) {
  const double halfway = (1 + WritePace::kSlowedFrom) / 2;
  EXPECT_NEAR(let_in(halfway), kDrained, kDrained / 20);
  EXPECT_TRUE(pace.slowed());
  EXPECT_GT(let_in(halfway - 0.02), kDrained * 1.1);
  EXPECT_LT(let_in(halfway + 0.02), kDrained * 0.9);
}

TEST_F(WritePaceTest, BeyondTheCapALittleGoesOn) {
  EXPECT_NEAR(let_in(1), WritePace::kLeastBytes, WritePace::kLeastBytes / 20);
  EXPECT_NEAR(let_in(40), WritePace::kLeastBytes, WritePace::kLeastBytes / 20);
}

TEST_F(WritePaceTest, BeforeAnySpanTellsHowManyGoThroughSomeDo) {
  const double halfway = (1 + WritePace::kSlowedFrom) / 2;
  EXPECT_NEAR(let_in(halfway, 0), WritePace::kUnknownBytes, WritePace::kUnknownBytes / 20);
}

TEST_F(WritePaceTest, WhatWaitsIsWokenSoonAndALargeEntryIsPaidForAfterwards) {
  pace.turn(now, 1, 0);
  EXPECT_TRUE(take(10 << 20)) << "else it never could";
  EXPECT_EQ(pace.next_wakeup(), Instant::max()) << "nothing waits";
  EXPECT_FALSE(take(1));
  EXPECT_GT(pace.next_wakeup(), now);
  EXPECT_LE(pace.next_wakeup(), now + 10ms);
  pace.turn(now += 9s, 1, 0);
  EXPECT_FALSE(take(1));
  pace.turn(now += 2s, 1, 0);
  EXPECT_TRUE(take(1));
}

TEST_F(WritePaceTest, APauseIsNoReasonForABurst) {
  let_in(1);
  pace.turn(now += 60s, 1, 0);
  uint64_t bytes = 0;
  while (take(kEntry)) bytes += kEntry;
  EXPECT_LT(static_cast<double>(bytes), WritePace::kLeastBytes / 20);
}

}  // namespace
}  // namespace holdfast::server
