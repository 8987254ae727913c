// Fast failover: what the transport learned of a dead leader replaces the timeout, and a lie costs
// an election at most.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

/// Five nodes led by 3, which has just died.
CoreCluster orphaned(Config config = {}) {
  CoreCluster c = CoreCluster::of(5, config);
  c.elect(3);
  c.advance(50ms);
  c.crash(3);
  return c;
}

TEST(FastFailover, TheFirstSurvivorStandsAtOnceAndWins) {
  CoreCluster c = orphaned();
  for (int id : {1, 2, 4, 5}) c.unreachable(id, 3, Evidence::kRefused);
  c.settle();
  EXPECT_EQ(c.leader(), 1);
  EXPECT_EQ(c.core(1).term(), Term(2));
}

TEST(FastFailover, SurvivorsStandByRankAmongTheSurvivingVoters) {
  CoreCluster c = orphaned();
  const std::vector<std::pair<int, Duration>> expected = {{2, 25ms}, {4, 50ms}, {5, 75ms}};
  for (const auto& [id, wait] : expected) {
    c.unreachable(id, 3, Evidence::kRefused);
    EXPECT_EQ(c.core(id).next_wakeup() - c.node(id).clock, wait) << id;
  }
}

TEST(FastFailover, ANewIncarnationIsEvidenceABrokenConnectionIsNot) {
  CoreCluster c = orphaned();
  c.unreachable(1, 3, Evidence::kDisconnected);
  EXPECT_EQ(c.core(1).leader(), NodeId(3));
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
  c.unreachable(1, 3, Evidence::kNewIncarnation);
  EXPECT_EQ(c.core(1).leader(), NodeId());
  EXPECT_EQ(c.core(1).role(), Role::kPreCandidate);
}

TEST(FastFailover, EvidenceAboutSomebodyElseChangesNothing) {
  CoreCluster c = orphaned();
  c.unreachable(1, 4, Evidence::kRefused);
  EXPECT_EQ(c.core(1).leader(), NodeId(3));
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
}

TEST(FastFailover, WhoHasNoEvidenceRefusesAndTheRoundIsRetriedSoon) {
  CoreCluster c = orphaned();
  c.unreachable(1, 3, Evidence::kRefused);
  c.settle();
  EXPECT_EQ(c.core(1).role(), Role::kFollower);  // three refusals: lost
  const Duration retry = c.core(1).next_wakeup() - c.node(1).clock;
  EXPECT_GE(retry, 10ms);
  EXPECT_LT(retry, 40ms);
  for (int id : {2, 4, 5}) c.unreachable(id, 3, Evidence::kRefused);
  c.advance(40ms);
  EXPECT_NE(c.leader(), 0);
}

TEST(FastFailover, WhoSawTheLeaderDieGrantsWithoutWaiting) {
  CoreCluster c = orphaned();
  c.unreachable(5, 3, Evidence::kRefused);
  c.step(5, pre_vote_request(4, 5, 2, 1, 1));
  EXPECT_FALSE(c.take(CoreCluster::link(5, 4, MT::kPreVoteResponse)).at(0).reject);
}

TEST(FastFailover, ALostRealRoundIsRetriedSoonToo) {
  CoreCluster c = orphaned();
  for (int id : {1, 2, 4, 5}) c.unreachable(id, 3, Evidence::kRefused);
  // 1 and 2 both won their pre-vote; 2 and 4 vote for 2, so 1 is refused.
  c.deliver(1, 4);
  c.deliver(1, 5);
  c.deliver(4, 1);
  c.deliver(5, 1);
  ASSERT_EQ(c.core(1).role(), Role::kCandidate);
  Message refusal = message(MT::kVoteResponse, 2, 1, 2);
  refusal.reject = true;
  c.step(1, refusal);
  EXPECT_LT(c.core(1).next_wakeup() - c.node(1).clock, 40ms);
}

TEST(FastFailover, ALieCostsAtMostAnElection) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(3);
  c.propose(3, "a");
  c.settle();
  for (int id : {1, 2}) c.unreachable(id, 3, Evidence::kRefused);
  c.advance(500ms);
  ASSERT_NE(c.leader(), 0);
  EXPECT_TRUE(c.propose(c.leader(), "b").accepted());
  c.advance(200ms);
  for (int id : {1, 2, 3}) EXPECT_EQ(c.commands(id), (std::vector<std::string>{"a", "b"})) << id;
}

TEST(FastFailover, OneDeceivedNodeDoesNotDeposeALivingLeader) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(3);
  c.unreachable(1, 3, Evidence::kRefused);
  c.advance(3s);
  EXPECT_EQ(c.leader(), 3);
  EXPECT_EQ(c.core(3).term(), Term(1));
  EXPECT_EQ(c.core(1).leader(), NodeId(3));
}

TEST(FastFailover, AWordOfTheLeaderEndsIt) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(3);
  c.unreachable(2, 3, Evidence::kRefused);
  c.step(2, heartbeat(3, 2, 1, 1));
  EXPECT_EQ(c.core(2).leader(), NodeId(3));
  EXPECT_GE(c.core(2).next_wakeup() - c.node(2).clock, 500ms);
}

TEST(FastFailover, WorksWithOneDeadOfThree) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.crash(1);
  c.unreachable(2, 1, Evidence::kRefused);  // 3 has not noticed yet, and refuses
  c.settle();
  c.pass(1ms);
  c.unreachable(3, 1, Evidence::kRefused);
  c.advance(45ms, 1ms);
  EXPECT_NE(c.leader(), 0);
}

TEST(FastFailover, WhenOffTheTimeoutIsWaitedOut) {
  Config config;
  config.fast_failover = false;
  CoreCluster c = orphaned(config);
  for (int id : {1, 2, 4, 5}) c.unreachable(id, 3, Evidence::kRefused);
  c.advance(400ms);
  EXPECT_EQ(c.leader(), 0);
  c.advance(2s);
  EXPECT_NE(c.leader(), 0);
}

TEST(FastFailover, ALearnerOnlyStopsBelievingInTheLeader) {
  Configuration configuration{.voters = {NodeId(2), NodeId(3)}, .learners = {NodeId(1)}};
  CoreCluster c(configuration);
  for (int id : {1, 2, 3}) c.start(id);
  c.elect(2);
  c.unreachable(1, 2, Evidence::kRefused);
  EXPECT_EQ(c.core(1).leader(), NodeId());
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
}

}  // namespace
}  // namespace holdfast::raft::testing
