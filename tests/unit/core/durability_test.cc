// The output contract: what promises durability leaves after it, and no earlier.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

/// A follower of three whose writes wait for the test.
CoreCluster follower() {
  CoreCluster c = CoreCluster::of(3);
  c.auto_persist = false;
  return c;
}

std::vector<Message> acks(CoreCluster& c) {
  return c.take([](const Message& m) { return m.type == MT::kAppendResponse; });
}

TEST(Durability, AnAcknowledgementLeavesWhenItsEntriesAreOnDisk) {
  CoreCluster c = follower();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  c.step(2, append(1, 2, 1, 1, 1, 0, {entry(2, 1)}));
  EXPECT_TRUE(acks(c).empty());
  c.persist(2, 1);
  const std::vector<Message> first = acks(c);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].index, LogIndex(1));
  c.persist(2, 1);
  const std::vector<Message> second = acks(c);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].index, LogIndex(2));
}

TEST(Durability, AcknowledgementsThatWaitForOneWriteBecomeOne) {
  CoreCluster c = follower();
  Raft& raft = c.core(2);
  const Instant now = c.node(2).clock;
  raft.step(append(1, 2, 1, 0, 0, 0, {entry(1, 1)}), now);
  raft.step(append(1, 2, 1, 1, 1, 0, {entry(2, 1)}), now);
  Ready ready;
  raft.take_ready(ready);
  EXPECT_EQ(ready.write.entries.size(), 2U);
  EXPECT_TRUE(ready.messages.empty());
  raft.persisted(ready.write.number, now);
  raft.take_ready(ready);
  ASSERT_EQ(ready.messages.size(), 1U);
  EXPECT_EQ(ready.messages[0].index, LogIndex(2));
}

TEST(Durability, AnAcknowledgementOfWhatIsDurableDoesNotWaitForLaterWrites) {
  CoreCluster c = follower();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  c.persist(2);
  acks(c);
  c.step(2, append(1, 2, 1, 1, 1, 0, {entry(2, 1)}));
  c.step(2, append(1, 2, 1, 1, 1, 0));  // an empty one, for index 1
  const std::vector<Message> sent = acks(c);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].index, LogIndex(1));
}

TEST(Durability, AnAcknowledgementAlsoWaitsForTheTerm) {
  CoreCluster c = follower();
  c.step(2, append(1, 2, 1, 0, 0, 0));
  EXPECT_TRUE(acks(c).empty());
  c.persist(2);
  EXPECT_EQ(acks(c).size(), 1U);
}

TEST(Durability, RejectionsLeaveAtOnce) {
  CoreCluster c = follower();
  c.step(2, append(1, 2, 1, 5, 1, 0));
  const std::vector<Message> sent = acks(c);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(sent[0].reject);
}

TEST(Durability, AWriteOfReplacedEntriesDoesNotVouchForTheirSuccessors) {
  // ClickHouse #102629: the durable index was not rolled back on truncation; a later ack was early.
  CoreCluster c = follower();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  c.step(2, append(3, 2, 2, 0, 0, 0, {entry(1, 2), entry(2, 2), entry(3, 2)}));
  ASSERT_EQ(c.node(2).writes.size(), 2U);
  c.persist(2, 1);  // indexes 1 to 3 of term 1 are on disk
  EXPECT_TRUE(acks(c).empty());
  EXPECT_EQ(c.core(2).log().durable(), LogIndex(0));
  c.persist(2, 1);
  const std::vector<Message> sent = acks(c);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].to, NodeId(3));
  EXPECT_EQ(sent[0].index, LogIndex(3));
}

TEST(Durability, ALeaderElectedOverAnUndurableTailDoesNotCountIt) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.auto_persist = false;
  c.propose(1, "a");
  c.deliver(1, 2);
  c.persist(2);
  c.deliver(2, 1);
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
}

TEST(Durability, WhatWasNotPersistedIsLostAndNothingWasPromised) {
  CoreCluster c = follower();
  c.step(2, vote_request(1, 2, 1, 0, 0));
  c.crash(2);
  c.start(2);
  EXPECT_EQ(c.core(2).term(), Term(0));
  c.step(2, vote_request(3, 2, 1, 0, 0));
  c.persist(2);
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 3, MT::kVoteResponse)), 1U);
}

TEST(Durability, AVoteSurvivesARestart) {
  CoreCluster c = CoreCluster::of(3);
  c.step(2, vote_request(1, 2, 1, 0, 0));
  c.crash(2);
  c.start(2);
  c.take([](const Message&) { return true; });
  c.step(2, vote_request(3, 2, 1, 0, 0));
  EXPECT_TRUE(c.take(CoreCluster::link(2, 3)).at(0).reject);
}

TEST(Durability, WritesReplaceTheLogFromTheirFirstIndexOn) {
  CoreCluster c = follower();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  c.step(2, append(3, 2, 2, 1, 1, 0, {entry(2, 2)}));
  const Write& second = c.node(2).writes.back();
  ASSERT_EQ(second.entries.size(), 1U);
  EXPECT_EQ(second.entries[0].index, LogIndex(2));
  EXPECT_EQ(second.hard_state->term, Term(2));
  c.persist(2);
  EXPECT_EQ(c.node(2).disk.log.size(), 2U);
}

TEST(Durability, OneConfirmationMayCoverManyWrites) {
  CoreCluster c = follower();
  Raft& raft = c.core(2);
  const Instant now = c.node(2).clock;
  Ready ready;
  for (uint64_t i = 1; i <= 3; ++i) {
    raft.step(append(1, 2, 1, i - 1, i > 1 ? 1 : 0, 0, {entry(i, 1)}), now);
    raft.take_ready(ready);
    EXPECT_EQ(ready.write.number, i);
  }
  raft.persisted(3, now);
  EXPECT_EQ(raft.log().durable(), LogIndex(3));
}

TEST(Durability, CommittedEntriesAreHandedOutOnceInOrderAndInBoundedPieces) {
  Config config;
  config.max_committed_bytes = 100;
  CoreCluster c = CoreCluster::of(1, config);
  c.tick(1);
  Raft& raft = c.core(1);
  const Instant now = c.node(1).clock;
  std::vector<Proposal> batch(5, {EntryType::kCommand, Blob(std::string(40, 'x'))});
  raft.propose(batch, false, now);
  Ready ready;
  raft.take_ready(ready);
  raft.persisted(ready.write.number, now);
  uint64_t next = 2;
  while (raft.has_ready()) {
    raft.take_ready(ready);
    EXPECT_EQ(ready.committed.size(), 1U);
    for (const Entry& e : ready.committed) EXPECT_EQ(e.index, LogIndex(next++));
  }
  EXPECT_EQ(next, 7U);
}

TEST(Durability, WhileApplyIsHeldCommitsGoOnAndNothingIsHandedOut) {
  CoreCluster c = CoreCluster::of(1);
  c.tick(1);
  Raft& raft = c.core(1);
  const Instant now = c.node(1).clock;
  raft.hold_apply(true);
  raft.propose(std::vector<Proposal>(2, {EntryType::kCommand, Blob("x")}), false, now);
  Ready ready;
  raft.take_ready(ready);
  raft.persisted(ready.write.number, now);
  EXPECT_EQ(raft.commit(), LogIndex(3));
  EXPECT_FALSE(raft.has_ready());
  raft.hold_apply(false);
  ASSERT_TRUE(raft.has_ready());
  raft.take_ready(ready);
  EXPECT_EQ(ready.committed.size(), 2U);
}

using DurabilityDeathTest = ::testing::Test;

TEST(DurabilityDeathTest, ConfirmingAWriteThatWasNeverHandedOutIsOurBug) {
  EXPECT_DEATH(
      {
        CoreCluster c = CoreCluster::of(3);
        c.core(1).persisted(99, Instant());
      },
      "never handed out");
}

TEST(DurabilityDeathTest, ApplyingWhatWasNeverHandedOutIsOurBug) {
  EXPECT_DEATH(
      {
        CoreCluster c = CoreCluster::of(3);
        c.core(1).applied(LogIndex(1));
      },
      "never handed out");
}

}  // namespace
}  // namespace holdfast::raft::testing
