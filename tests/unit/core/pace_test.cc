// Catching up at a pace: who is held to it, how much it may be sent, and that it arrives.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"

namespace holdfast::raft::testing {
namespace {

constexpr uint64_t kEntryBytes = 100;
constexpr uint64_t kBacklog = 300;  ///< entries

class Pace : public ::testing::Test {
 protected:
  static Config paced() {
    Config config;
    config.max_append_bytes = 200;
    config.max_catchup_bytes = 1000;
    config.far_behind_bytes = 1000;
    config.paced_append_bytes = 200;
    config.catchup_bytes_per_second = 4000;
    return config;
  }

  Pace() {
    cluster.elect(1);
    cluster.isolate(3);
    write(kBacklog);
    cluster.advance(1s);  // a full allowance
  }

  void write(uint64_t entries) {
    for (uint64_t i = 0; i < entries; ++i) {
      cluster.propose(1, std::string(kEntryBytes - kEntryOverheadBytes, 'x'));
      cluster.settle();
    }
  }
  /// The entries that the peer that was away has got so far.
  uint64_t arrived() { return cluster.core(3).log().last() - before_; }
  /// It is heard of again, and what it may be sent at once has been sent.
  void come_back() {
    before_ = cluster.core(3).log().last();
    cluster.heal();
    write_for(config.heartbeat_interval);
  }
  /// An entry every 10 ms. How many there were.
  uint64_t write_for(Duration time) {
    const auto entries = static_cast<uint64_t>(time / 10ms);
    for (uint64_t i = 0; i < entries; ++i) {
      write(1);
      cluster.advance(10ms);
    }
    return entries;
  }

  Config config = paced();
  CoreCluster cluster = CoreCluster::of(3, config);

 private:
  LogIndex before_;
};

TEST_F(Pace, WhoIsFarBehindIsSentSoMuchInASecond) {
  come_back();
  const uint64_t at_once = arrived();
  EXPECT_GT(at_once, 0U);
  EXPECT_LE(at_once, 16 * config.paced_append_bytes / kEntryBytes) << "a rest saves no more";
  const uint64_t written = write_for(1s);
  const uint64_t second = arrived() - at_once;
  const uint64_t pace = config.catchup_bytes_per_second / kEntryBytes + written;
  EXPECT_GE(second, pace - config.paced_append_bytes / kEntryBytes);
  EXPECT_LE(second, pace + config.max_append_bytes * 10 / kEntryBytes) << "a heartbeat may ask";
  write_for(8s);
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
}

TEST_F(Pace, WhereNothingIsWrittenItIsSentAll) {
  come_back();
  ASSERT_LT(cluster.core(3).log().last(), cluster.core(1).log().last());
  cluster.advance(config.heartbeat_interval + 20ms);
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
}

TEST_F(Pace, TheLeaderWakesWhenMoreMayBeSent) {
  come_back();
  const Duration append = 1s * config.paced_append_bytes / config.catchup_bytes_per_second;
  ASSERT_LT(append, config.heartbeat_interval);
  EXPECT_LE(cluster.core(1).next_wakeup() - cluster.node(1).clock, append + 1ms);
}

TEST_F(Pace, WhoIsFarBehindComesNearerHoweverMuchIsWritten) {
  come_back();
  const auto lacks = [&] { return cluster.core(1).log().last() - cluster.core(3).log().last(); };
  const uint64_t before = lacks();
  for (int i = 0; i < 20; ++i) {
    write(20);  // five times the pace
    cluster.advance(100ms);
  }
  EXPECT_LT(lacks(), before - config.catchup_bytes_per_second / kEntryBytes);
}

TEST_F(Pace, WithoutAQuorumOfOthersItIsWaitedForAndSentAll) {
  cluster.isolate(2);
  cluster.advance(config.election_timeout_min - 50ms);
  cluster.heal();
  cluster.isolate(2);
  write_for(2 * config.heartbeat_interval);
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
  EXPECT_EQ(cluster.core(1).commit(), cluster.core(1).log().last());
}

TEST_F(Pace, WhoIsToLeadNextIsSentAll) {
  come_back();
  ASSERT_LT(cluster.core(3).log().last(), cluster.core(1).log().last());
  cluster.transfer(1, 3);
  cluster.settle();
  EXPECT_TRUE(cluster.core(3).is_leader());
}

TEST_F(Pace, WhoLacksALittleIsSentAll) {
  cluster.heal();
  cluster.advance(10s);
  cluster.isolate(3);
  write(config.far_behind_bytes / kEntryBytes - 1);
  cluster.heal();
  cluster.advance(config.heartbeat_interval, config.heartbeat_interval);
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
}

}  // namespace
}  // namespace holdfast::raft::testing
