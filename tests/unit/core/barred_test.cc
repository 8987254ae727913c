// A node that never stands: its state is not to be believed, its log, word and vote are.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

CoreCluster led_by_one() {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.advance(50ms);
  return c;
}

TEST(Barred, AFollowerNeverStandsHoweverLongNobodyLeads) {
  CoreCluster c = led_by_one();
  c.bar(2);
  c.isolate(2);
  c.advance(10s);
  EXPECT_EQ(c.core(2).role(), Role::kFollower);
  EXPECT_EQ(c.core(2).leader(), NodeId());
  EXPECT_EQ(c.core(2).counters().pre_elections + c.core(2).counters().elections, 0U);
  EXPECT_FALSE(c.campaign(2));
}

TEST(Barred, EvidenceOfADeadLeaderDoesNotMakeItStand) {
  CoreCluster c = led_by_one();
  c.bar(2);
  c.crash(1);
  c.unreachable(2, 1, Evidence::kRefused);
  EXPECT_EQ(c.core(2).role(), Role::kFollower);
  EXPECT_GT(c.core(2).next_wakeup(), c.node(2).clock);
}

TEST(Barred, ItStoresAcknowledgesAndVotes) {
  CoreCluster c = led_by_one();
  c.bar(2);
  c.isolate(3);
  EXPECT_TRUE(c.propose(1, "a").accepted());
  c.advance(200ms);
  EXPECT_EQ(c.commands(1), std::vector<std::string>{"a"});  // by nobody else's word
  EXPECT_EQ(c.commands(2), std::vector<std::string>{"a"});
  c.heal();
  c.advance(200ms);
  c.crash(1);
  c.advance(3s);
  EXPECT_EQ(c.leader(), 3);  // by nobody else's vote
}

TEST(Barred, TheOrderToStandIsIgnored) {
  CoreCluster c = led_by_one();
  c.bar(2);
  EXPECT_EQ(c.transfer(1, 2), TransferResult::kStarted);
  c.advance(1100ms);
  EXPECT_EQ(c.leader(), 1);
  EXPECT_EQ(c.core(2).counters().elections, 0U);
  EXPECT_TRUE(c.propose(1, "a").accepted());
}

TEST(Barred, ALeaderHandsOverAtOnce) {
  CoreCluster c = led_by_one();
  c.propose(1, "a");
  c.bar(1, 3);
  EXPECT_FALSE(c.propose(1, "b").accepted());
  c.settle();
  EXPECT_EQ(c.leader(), 3);
  EXPECT_EQ(c.core(3).term(), Term(2));
  EXPECT_EQ(c.commands(3), std::vector<std::string>{"a"});
}

TEST(Barred, ALeaderGoesAlsoWhenItsSuccessorDoesNotComeUpToIt) {
  CoreCluster c = led_by_one();
  c.cut(1, 3);
  c.propose(1, "a");
  c.bar(1, 3);
  EXPECT_TRUE(c.core(1).is_leader());
  c.advance(1100ms);
  EXPECT_FALSE(c.core(1).is_leader());
  c.advance(3s);
  EXPECT_EQ(c.leader(), 2);
}

TEST(Barred, ALeaderThatIsHandingOverElsewhereChangesItsMind) {
  CoreCluster c = led_by_one();
  c.isolate(2);
  c.propose(1, "a");
  c.transfer(1, 2);
  c.bar(1, 3);
  c.settle();
  EXPECT_EQ(c.leader(), 3);
}

TEST(Barred, ALeaderWithoutASuccessorJustGoes) {
  CoreCluster c = led_by_one();
  c.bar(1);
  EXPECT_FALSE(c.core(1).is_leader());
  c.advance(3s);
  EXPECT_NE(c.leader(), 1);
}

TEST(Barred, ACandidateStopsStanding) {
  CoreCluster c = led_by_one();
  c.isolate(2);
  c.advance(1100ms);
  EXPECT_EQ(c.core(2).role(), Role::kPreCandidate);
  c.bar(2);
  EXPECT_EQ(c.core(2).role(), Role::kFollower);
}

TEST(Barred, ALoneVoterDoesNotAskForATurnAgainAndAgain) {
  CoreCluster c = CoreCluster::of(1);
  c.bar(1);
  c.tick(1);
  EXPECT_GT(c.core(1).next_wakeup(), c.node(1).clock);
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
}

}  // namespace
}  // namespace holdfast::raft::testing
