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

  static Proposal entry() {
    const std::string data(kEntryBytes - kEntryOverheadBytes, 'x');
    return {EntryType::kCommand, Blob(data)};
  }
  /// An entry every 10 ms, which the disks of these servers alone store.
  void write_while_stored_on(const std::vector<int>& servers, Duration time) {
    for (Duration passed{}; passed < time; passed += 10ms) {
      write(1);
      for (const int server : servers) cluster.persist(server);
      cluster.advance(10ms);
      for (const int server : servers) cluster.persist(server);
      cluster.settle();
    }
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

TEST_F(Pace, HoweverMuchIsWrittenAtOnceItComesNearer) {
  come_back();
  const auto lacks = [&] { return cluster.core(1).log().last() - cluster.core(3).log().last(); };
  const uint64_t before = lacks();
  for (int i = 0; i < 20; ++i) {
    cluster.propose_all(1, std::vector<Proposal>(100, entry()));
    cluster.settle();
    cluster.advance(50ms);
  }
  EXPECT_LT(lacks(), before);
}

TEST_F(Pace, WhatIsWrittenInATurnIsSentInATurn) {
  come_back();
  const std::vector<Proposal> written(9, entry());
  constexpr uint64_t kTurns = 20;
  uint64_t sent = 0;
  for (uint64_t turn = 0; turn < 2 * kTurns; ++turn) {
    Ready ready;
    cluster.core(1).propose(written, false, cluster.node(1).clock);
    cluster.core(1).take_ready(ready);
    for (const Message& m : ready.messages) {
      if (m.to == NodeId(3) && turn >= kTurns) sent += m.entries.size();
    }
  }
  EXPECT_GE(sent, kTurns * written.size());
}

TEST_F(Pace, AnEntryOfManySecondsOfThePaceIsPaidForOnce) {
  come_back();
  cluster.propose(1, std::string(5 * config.catchup_bytes_per_second, 'x'));
  for (int i = 0; i < 400; ++i) {
    write(1);  // half the pace
    cluster.advance(50ms);
    ASSERT_GT(cluster.core(1).next_wakeup(), cluster.node(1).clock) << "the loop would spin";
  }
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
}

TEST_F(Pace, AVoterThatAnswersAndStoresNothingIsNoneOfAQuorum) {
  cluster.auto_persist = false;
  cluster.heal();
  write_while_stored_on({1, 3}, config.election_timeout_min + 300ms);
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
  EXPECT_GT(cluster.core(1).commit(), cluster.core(2).log().durable());
}

TEST_F(Pace, ALeaderThatStoresNothingIsNoneOfAQuorum) {
  cluster.auto_persist = false;
  cluster.heal();
  write_while_stored_on({2, 3}, config.election_timeout_min + 300ms);
  EXPECT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
  EXPECT_GT(cluster.core(1).commit(), cluster.core(1).log().durable());
}

// Frozen, or with a disk that hangs: its connection and what is in flight to it stay.
TEST_F(Pace, WhoHungIsNotSentInOneGoWhatWasWrittenMeanwhile) {
  cluster.heal();
  cluster.advance(10s);
  ASSERT_EQ(cluster.core(3).log().last(), cluster.core(1).log().last());
  cluster.auto_persist = false;
  for (int i = 0; i < 100; ++i) {
    write(20);
    for (const int server : {1, 2}) cluster.persist(server);
    cluster.advance(10ms);
  }
  const LogIndex before = cluster.core(3).log().last();
  ASSERT_GT(cluster.core(1).log().last(), before + 4 * config.far_behind_bytes / kEntryBytes)
      << "no more is in flight to it than may be";
  cluster.persist(3);
  write(1);
  const uint64_t at_once = cluster.core(3).log().last() - before;
  EXPECT_GT(at_once, 0U);
  EXPECT_LE(at_once, 16 * config.paced_append_bytes / kEntryBytes);
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
