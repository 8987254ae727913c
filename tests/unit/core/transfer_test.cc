// Leadership transfer (dissertation 3.10).
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

CoreCluster led() {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  return c;
}

TEST(Transfer, AnUpToDateTargetLeadsAtOnceDespiteStickiness) {
  CoreCluster c = led();
  EXPECT_EQ(c.transfer(1, 3), TransferResult::kStarted);
  c.settle();
  EXPECT_EQ(c.leader(), 3);
  EXPECT_EQ(c.core(3).term(), Term(2));
  EXPECT_EQ(c.core(3).counters().pre_elections, 0U);
}

TEST(Transfer, ATargetBehindIsBroughtUpToDateFirst) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.drop(CoreCluster::link(1, 3));
  c.transfer(1, 3);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 3, MT::kTimeoutNow)), 0U);
  c.advance(200ms);
  EXPECT_EQ(c.leader(), 3);
  EXPECT_EQ(c.commands(3), std::vector<std::string>{"a"});
}

TEST(Transfer, ProposalsAreRefusedMeanwhile) {
  CoreCluster c = led();
  c.isolate(3);
  c.transfer(1, 3);
  const ProposeResult result = c.propose(1, "a");
  EXPECT_EQ(result.outcome, ProposeResult::Outcome::kTransferring);
  EXPECT_EQ(result.leader, NodeId(3));
  EXPECT_TRUE(c.core(1).status().transferring);
}

TEST(Transfer, IsGivenUpAfterAnElectionTimeout) {
  CoreCluster c = led();
  c.isolate(3);
  c.transfer(1, 3);
  c.advance(1100ms);
  EXPECT_TRUE(c.core(1).is_leader());
  EXPECT_TRUE(c.propose(1, "a").accepted());
  EXPECT_EQ(c.core(1).counters().transfers_aborted, 1U);
}

TEST(Transfer, GoesToAnotherVoterOnlyAndOneAtATime) {
  CoreCluster c(Configuration{.voters = {NodeId(1), NodeId(2)}, .learners = {NodeId(3)}});
  for (int id : {1, 2, 3}) c.start(id);
  c.elect(1);
  EXPECT_EQ(c.transfer(1, 1), TransferResult::kNotVoter);
  EXPECT_EQ(c.transfer(1, 3), TransferResult::kNotVoter);
  EXPECT_EQ(c.transfer(1, 9), TransferResult::kNotVoter);
  EXPECT_EQ(c.transfer(2, 1), TransferResult::kNotLeader);
  c.isolate(2);
  EXPECT_EQ(c.transfer(1, 2), TransferResult::kStarted);
  EXPECT_EQ(c.transfer(1, 2), TransferResult::kAlreadyRunning);
}

TEST(Transfer, ReadsOfTheOldLeaderFailOrAreAnsweredButAreNotLost) {
  CoreCluster c = led();
  c.isolate(2);
  c.read(1, 5);
  c.transfer(1, 3);
  c.heal();
  c.settle();
  EXPECT_EQ(c.node(1).reads.size() + c.node(1).failed_reads.size(), 1U);
}

TEST(Transfer, TheOrderToStandCountsFromTheLeaderOnly) {
  CoreCluster c = led();
  c.step(3, message(MT::kTimeoutNow, 2, 3, 1));
  EXPECT_EQ(c.core(3).role(), Role::kFollower);
  EXPECT_EQ(c.core(3).term(), Term(1));
}

}  // namespace
}  // namespace holdfast::raft::testing
