// Who comes next, and how much time each client gets.
#include "coordinator/server/fair_queue.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/counting/counts.h"
#include "tests/support/cpu_time.h"

namespace holdfast::server {
namespace {

constexpr uint64_t kAnn = 1, kBen = 2, kCid = 3;

class FairQueueTest : public testing::Test {
 protected:
  void add(uint64_t client, int works) {
    for (int i = 0; i < works; ++i) queue_.add(client, ++number_);
  }
  /// Does the next work, which takes what its client's works take.
  uint64_t step() {
    const FairQueue::Taken taken = queue_.take();
    EXPECT_GT(taken.number, last_[taken.client]) << "a client's own are done in order";
    last_[taken.client] = taken.number;
    queue_.charge(taken, cost_[taken.client]);
    return taken.client;
  }
  std::map<uint64_t, int> steps(int count) {
    std::map<uint64_t, int> done;
    for (int i = 0; i < count; ++i) ++done[step()];
    return done;
  }

  FairQueue queue_;
  std::map<uint64_t, Duration> cost_{{kAnn, 10ms}, {kBen, 10ms}, {kCid, 1ms}};
  std::map<uint64_t, uint64_t> last_;
  uint64_t number_ = 0;
};

TEST_F(FairQueueTest, OneWhoComesLaterIsNextAndThenTheyTakeTurns) {
  add(kAnn, 100);
  EXPECT_EQ(steps(10)[kAnn], 10);
  add(kBen, 100);
  EXPECT_EQ(step(), kBen);
  const auto done = steps(20);
  EXPECT_EQ(done.at(kAnn), 10);
  EXPECT_EQ(done.at(kBen), 10);
}

TEST_F(FairQueueTest, EachGetsAsMuchTimeHoweverLongItsWorksTake) {
  add(kAnn, 100);
  add(kCid, 1'000);
  const auto done = steps(550);
  EXPECT_NEAR(done.at(kAnn), 50, 1);
  EXPECT_NEAR(done.at(kCid), 500, 10);
}

TEST_F(FairQueueTest, WhoHadNoWorkForAWhileHasSavedUpNothing) {
  add(kAnn, 200);
  add(kBen, 1);
  EXPECT_EQ(steps(100)[kBen], 1);
  add(kBen, 100);
  EXPECT_EQ(steps(20).at(kAnn), 10);
}

TEST_F(FairQueueTest, WhoComesBackIsRememberedForWhatItHasHad) {
  add(kAnn, 3);
  cost_[kBen] = 25ms;
  add(kBen, 1);
  EXPECT_EQ(step(), kAnn);
  EXPECT_EQ(step(), kBen);
  add(kBen, 1);
  EXPECT_EQ(step(), kAnn) << "it has had 10 ms, the other 25";
  EXPECT_EQ(step(), kAnn);
  EXPECT_EQ(step(), kBen);
}

TEST_F(FairQueueTest, WorkMayBeAddedWhileSomeIsInProgress) {
  add(kAnn, 1);
  const FairQueue::Taken taken = queue_.take();
  EXPECT_TRUE(queue_.empty());
  add(kAnn, 1);
  add(kCid, 1);
  queue_.charge(taken, 10ms);
  EXPECT_EQ(step(), kCid);
  EXPECT_EQ(step(), kAnn);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(FairQueueTest, AWorkCostsNoMoreHoweverManyClientsWait) {
  const auto cost = [this](uint64_t clients) {
    for (uint64_t i = 0; i < clients; ++i) queue_.add(i, i);
    const double before = cpu_seconds();
    while (!queue_.empty()) queue_.charge(queue_.take(), 1us);
    return cpu_seconds() - before;
  };
  const double few = least_of(3, [&] { return cost(2'500); });
  const double many = least_of(3, [&] { return cost(40'000); });
  EXPECT_LT(many, 100 * few) << few << " s for 2,500, " << many << " s for 40,000";
}

TEST_F(FairQueueTest, WhatIsDoneLeavesNoMemoryThoughSomeIsAlwaysThere) {
  add(kAnn, 10);
  const auto next = [this] { queue_.charge(queue_.take(), 1us); };
  const auto come_and_go = [&](uint64_t from, uint64_t clients) {
    for (uint64_t i = 0; i < clients; ++i) {
      add(kAnn, 1);
      add(from + i, 1);
      next();
      next();
    }
  };
  come_and_go(100, 5'000);
  const uint64_t before = counting::live_bytes;
  come_and_go(100'000, 50'000);
  EXPECT_LT(counting::live_bytes, before + 100'000);
}

}  // namespace
}  // namespace holdfast::server
