// What waits here costs no more than what waits: neither memory for those who have gone, nor time
// for those who stay.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "coordinator/server/key_waits.h"
#include "coordinator/server/reads.h"
#include "tests/counting/counts.h"
#include "tests/support/cpu_time.h"
#include "tests/unit/server/host_fakes.h"

namespace holdfast::server {
namespace {

class WaitingCallsTest : public ::testing::Test, protected HostFakes {
 protected:
  WaitingCallsTest() {
    host.emplace(options_of(NodeId(1)), clock, entropy, transport, sink, machine);
  }

  CallId next_call() { return {0, ++last_call_, 0}; }

  uint32_t last_call_ = 0;
};

// A server that is cut off from the others may be so for days, and its clients ask again and again.
TEST_F(WaitingCallsTest, ReadsThatEndedWithoutALeaderLeaveNothing) {
  Reads reads(*host);
  const auto round = [&] {
    for (int i = 0; i < 1'000; ++i) {
      reads.linearizable({next_call(), 0, clock.now() + 1ms, LogIndex(), [] {}});
      reads.flush();
    }
    clock.advance(50ms);
    reads.sweep(clock.now());
    ASSERT_EQ(reads.size(), 0u);
    ASSERT_EQ(sink.failed.size(), 1'000u);
    sink.failed.clear();
  };
  for (int i = 0; i < 3; ++i) round();
  const uint64_t before = counting::live_bytes;
  for (int i = 0; i < 200; ++i) round();
  EXPECT_LT(counting::live_bytes, before + 100'000);
}

class ManyWaitsTest : public WaitingCallsTest {
 protected:
  /// What it takes to end so many waits for one key, whose time is up one after the other.
  double cost(int waits) {
    KeyWaits key_waits(*host);
    for (int i = 0; i < waits; ++i) {
      EXPECT_TRUE(key_waits.park(next_call(), 0, "/hot", clock.now() + 1s));
    }
    clock.advance(2s);
    const double before = cpu_seconds();
    key_waits.sweep(clock.now());
    EXPECT_EQ(key_waits.parked(), 0u);
    return cpu_seconds() - before;
  }
};

TEST_F(ManyWaitsTest, AWaitEndsAsFastHoweverManyWaitForTheSameKey) {
  const double few = least_of(3, [this] { return cost(2'500); });
  const double many = least_of(3, [this] { return cost(40'000); });
  EXPECT_LT(many, 60 * few) << few << " s for 2,500, " << many << " s for 40,000";
}

TEST_F(ManyWaitsTest, ThoseWhoseTimeIsUpAreAnsweredAndTheOthersWaitOn) {
  KeyWaits key_waits(*host);
  const CallId first = next_call(), second = next_call(), third = next_call();
  key_waits.park(first, 0, "/hot", clock.now() + 3s);
  key_waits.park(second, 0, "/hot", clock.now() + 1s);
  key_waits.park(third, 0, "/hot", clock.now() + 3s);
  clock.advance(2s);
  key_waits.sweep(clock.now());
  EXPECT_EQ(sink.completed, std::vector{second});
  tree::Event event;
  event.path = "/hot";
  key_waits.on_events({&event, 1});
  key_waits.sweep(clock.now());
  EXPECT_EQ(sink.completed, (std::vector{second, first, third}));
  EXPECT_EQ(host->parked, 0u);
}

TEST_F(ManyWaitsTest, OneThatIsToBeAnsweredAndIsLeftBehindIsNotToldTheValue) {
  KeyWaits key_waits(*host);
  for (int i = 0; i < 20; ++i) key_waits.park(next_call(), 0, "/hot", clock.now() + 1s);
  clock.advance(2s);
  sink.on_complete = [this] { clock.advance(AnswerTime::kATurn / 4); };
  key_waits.sweep(clock.now());
  EXPECT_EQ(sink.completed.size(), 4u);
  EXPECT_TRUE(key_waits.more());
  const CallId gone{0, 7, 0};
  key_waits.abandon(gone);
  EXPECT_EQ(sink.failed.size(), 1u);
  for (int turns = 0; key_waits.more(); ++turns) {
    ASSERT_LT(turns, 4);
    ++host->turn;
    key_waits.sweep(clock.now());
  }
  EXPECT_EQ(sink.completed.size(), 19u);
  EXPECT_EQ(host->parked, 0u);
}

TEST_F(ManyWaitsTest, AServerThatStopsSendsThemToAnother) {
  KeyWaits key_waits(*host);
  for (int i = 0; i < 3; ++i) key_waits.park(next_call(), 0, "/hot", clock.now() + 3s);
  key_waits.shut_down();
  EXPECT_EQ(sink.failed.size(), 3u);
  EXPECT_EQ(host->parked, 0u);
  EXPECT_FALSE(key_waits.more());
}

}  // namespace
}  // namespace holdfast::server
