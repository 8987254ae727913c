// Cluster membership changes: chapter 4 of the dissertation, one test per sentence that binds the
// core.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

Config plain() {
  Config config;
  config.pre_vote = false;
  config.check_quorum = false;
  config.fast_failover = false;
  return config;
}

Member member(uint64_t id) { return CoreCluster::member(NodeId(id)); }

std::string members(CoreCluster& c, int id) { return describe(c.core(id).configuration()); }

/// Voters 1 to n; 1 leads and everybody has its first entry.
CoreCluster led(int n, Config config = plain()) {
  CoreCluster c = CoreCluster::of(n, config);
  c.elect(1);
  c.advance(200ms);
  return c;
}

// 4.1: "the new configuration takes effect on each server as soon as it is added to that server's
// log"; 4.3: "a server always uses the latest configuration in its log, regardless of whether the
// entry is committed".
TEST(Chapter4, TheLatestConfigurationOfTheLogIsInForceBeforeItIsCommitted) {
  CoreCluster c = led(3);
  c.change(1, {.voters = {member(4)}});
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4 outgoing 1,2,3");
  c.deliver(1, 2);
  EXPECT_EQ(members(c, 2), "voters 1,2,3,4 outgoing 1,2,3");
  EXPECT_EQ(members(c, 3), "voters 1,2,3");
  EXPECT_EQ(c.core(2).commit(), LogIndex(1));
}

// 4.1: "a server must be prepared to fall back to the previous configuration in its log".
TEST(Chapter4, AServerFallsBackToThePreviousConfiguration) {
  CoreCluster c = led(3);
  c.isolate(1);
  c.change(1, {.remove = {NodeId(3)}});
  c.elect(2);
  c.heal();
  c.advance(300ms);
  EXPECT_EQ(members(c, 1), "voters 1,2,3");
  EXPECT_EQ(c.core(1).log().last_term(), Term(2));
}

// 4.1: "a server accepts AppendEntries requests from a leader that is not part of the server's
// latest configuration".
TEST(Chapter4, EntriesAreTakenFromALeaderThatTheConfigurationDoesNotName) {
  CoreCluster c = led(3);
  c.check_cluster = false;
  c.step(2, append(9, 2, 5, 1, 1, 1, {entry(2, 5)}));
  EXPECT_EQ(c.core(2).leader(), NodeId(9));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(2));
}

// 4.1: "a server also grants its vote to a candidate that is not part of the server's latest
// configuration (if the candidate has a sufficiently up-to-date log and a current term)".
TEST(Chapter4, AVoteIsGivenToACandidateThatTheConfigurationDoesNotName) {
  CoreCluster c = led(3);
  c.step(2, vote_request(9, 2, 5, 1, 1));
  EXPECT_EQ(c.core(2).vote(), NodeId(9));
}

// 4.1, as amended (raft-dev, 2015): "a leader may not append a new configuration entry until it has
// committed an entry from its current term".
TEST(Chapter4, ALeaderChangesNothingBeforeItHasCommittedAnEntryOfItsTerm) {
  CoreCluster c = led(3);
  c.campaign(2);
  c.deliver(2, 3);
  c.deliver(3, 2);
  ASSERT_TRUE(c.core(2).is_leader());
  EXPECT_EQ(c.change(2, {.remove = {NodeId(1)}}).outcome, ChangeOutcome::kOwnTermPending);
}

// 4.1: "a leader must not begin a change while another one is not committed".
TEST(Chapter4, ChangesComeOneAfterTheOther) {
  CoreCluster c = led(3);
  ASSERT_TRUE(c.change(1, {.learners = {member(4)}}).accepted());
  EXPECT_EQ(c.change(1, {.learners = {member(5)}}).outcome, ChangeOutcome::kUnderWay);
  c.settle();
  EXPECT_TRUE(c.change(1, {.learners = {member(5)}}).accepted());
}

// 4.2.1: "the leader replicates log entries to it, but it is not counted towards majorities for
// voting or commitment purposes".
TEST(Chapter4, ANonVotingServerIsReplicatedToAndNotCounted) {
  CoreCluster c = led(3);
  c.start(4);
  c.change(1, {.learners = {member(4)}});
  c.settle();
  c.isolate(2);
  c.isolate(3);
  c.propose(1, "a");
  c.settle();
  EXPECT_EQ(c.core(4).log().last(), c.core(1).log().last());
  EXPECT_LT(c.core(1).commit(), c.core(1).log().last());
}

// 4.2.1: "if the last round lasts less than an election timeout, then the leader adds the server to
// the cluster [...]. Otherwise, the leader aborts the configuration change with an error."
TEST(Chapter4, AServerWhoseLastRoundTookAnElectionTimeoutIsNotAdded) {
  CoreCluster c = led(3);
  c.start(4);
  c.change(1, {.learners = {member(4)}});
  c.deliver(1, 4);
  c.deliver(4, 1);
  c.pass(600ms);  // so long are the entries under way to node 4
  c.settle();
  EXPECT_EQ(c.change(1, {.promote = {NodeId(4)}}).outcome, ChangeOutcome::kNotCaughtUp);
  c.propose(1, "a round of its own");
  c.settle();
  EXPECT_TRUE(c.change(1, {.promote = {NodeId(4)}}).accepted());
}

// 4.2.2: "a leader that is removed from the configuration steps down once the Cnew entry is
// committed [...]. It replicates log entries but does not count itself in majorities."
TEST(Chapter4, ARemovedLeaderManagesTheChangeWithoutCountingItself) {
  CoreCluster c = led(3);
  c.change(1, {.remove = {NodeId(1)}});
  for (int id : {2, 3}) c.deliver(1, id);
  for (int id : {2, 3}) c.deliver(id, 1);
  ASSERT_EQ(members(c, 1), "voters 2,3");
  c.deliver(1, 2);
  c.deliver(2, 1);
  EXPECT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(c.core(1).commit(), LogIndex(2));
  c.deliver(1, 3);
  c.deliver(3, 1);
  EXPECT_EQ(c.core(1).commit(), LogIndex(3));
  EXPECT_FALSE(c.core(1).is_leader());
}

// 4.2.2: "a server that is not part of its own latest configuration should still start new
// elections, as it might still be needed until the Cnew entry is committed [...]. It does not count
// its own vote in elections unless it is part of its latest configuration."
TEST(Chapter4, WhoAloneHasTheNewConfigurationStandsThoughItIsNotInIt) {
  CoreCluster c = led(1);
  for (int id : {2, 3}) c.start(id);
  c.change(1, {.learners = {member(2), member(3)}});
  c.settle();
  c.propose(1, "a");
  c.settle();
  ASSERT_TRUE(c.change(1, {.promote = {NodeId(2), NodeId(3)}, .remove = {NodeId(1)}}).accepted());
  for (int id : {2, 3}) c.deliver(1, id);
  for (int id : {2, 3}) c.deliver(id, 1);
  c.crash(1);
  c.drop([](const Message&) { return true; });
  c.start(1);
  ASSERT_EQ(members(c, 1), "voters 2,3");
  ASSERT_EQ(members(c, 2), "voters 2,3 outgoing 1");
  c.elect(2);
  EXPECT_FALSE(c.core(2).is_leader()) << "node 1 has the longer log and a vote of the old ones";
  ASSERT_TRUE(c.campaign(1));
  c.deliver(1, 2);
  c.deliver(2, 1);
  EXPECT_EQ(c.core(1).role(), Role::kCandidate) << "its own vote does not count";
  c.settle();
  EXPECT_EQ(c.core(1).counters().elections_won, 1U);
  c.advance(300ms);
  EXPECT_FALSE(c.core(1).is_leader());
  ASSERT_NE(c.leader(), 0);
  EXPECT_EQ(members(c, 2), "voters 2,3");
}

TEST(Chapter4, WhoKnowsThatItIsRemovedDoesNotStand) {
  CoreCluster c = led(3);
  c.change(1, {.remove = {NodeId(1)}});
  c.settle();
  EXPECT_FALSE(c.campaign(1));
  c.tick_alone(1, 10s);
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
}

// 4.2.3: "if a server receives a RequestVote request within the minimum election timeout of hearing
// from a current leader, it does not update its term or grant its vote".
TEST(Chapter4, ARemovedServerDoesNotDisturbTheCluster) {
  Config config = plain();
  config.check_quorum = true;
  CoreCluster c = led(3, config);
  c.isolate(3);
  c.change(1, {.remove = {NodeId(3)}});
  c.settle();
  c.heal();
  c.advance(100ms);
  c.campaign(3);
  c.settle();
  EXPECT_EQ(c.core(1).term(), Term(1));
  EXPECT_EQ(c.core(2).term(), Term(1));
  EXPECT_TRUE(c.core(1).is_leader());
}

// 4.3: "log entries are replicated to all servers in both configurations".
TEST(Chapter4, AJointConfigurationReplicatesToBoth) {
  CoreCluster c = led(3);
  c.change(1, {.voters = {member(4)}, .remove = {NodeId(3)}});
  EXPECT_EQ(c.core(1).peers()->size(), 3U);
  c.propose(1, "a");
  c.deliver(1, 2);
  c.deliver(1, 3);
  for (int id : {2, 3}) EXPECT_GE(c.core(id).log().last(), LogIndex(2)) << id;
  EXPECT_GT(c.in_flight(CoreCluster::link(1, 4)), 0U);
}

// 4.3: "any server from either configuration may serve as leader".
TEST(Chapter4, AServerThatIsOnItsWayOutMayLead) {
  CoreCluster c = led(3);
  c.change(1, {.remove = {NodeId(3)}});
  for (int id : {2, 3}) c.deliver(1, id);
  c.crash(1);
  c.drop([](const Message&) { return true; });
  ASSERT_EQ(members(c, 3), "voters 1,2 outgoing 1,2,3");
  c.start(1);
  c.campaign(3);
  c.settle();
  EXPECT_EQ(c.core(3).counters().elections_won, 1U);
  c.advance(2s);
  EXPECT_EQ(members(c, 1), "voters 1,2");
  EXPECT_NE(c.leader(), 3) << "it made the change and went";
  EXPECT_NE(c.leader(), 0);
}

// 4.3: "agreement (for elections and entry commitment) requires majorities from both the old and
// new configurations".
TEST(Chapter4, AgreementNeedsBothMajorities) {
  CoreCluster c = led(3);
  for (int id : {4, 5, 6}) c.start(id);
  c.change(1, {.voters = {member(4), member(5), member(6)}, .remove = {NodeId(2)}, .force = true});
  for (int id : {2, 3}) c.deliver(1, id);
  for (int id : {2, 3}) c.deliver(id, 1);
  EXPECT_EQ(c.core(1).commit(), LogIndex(1)) << "all of the old, two of the five new voters";
  c.settle();
  EXPECT_EQ(members(c, 1), "voters 1,3,4,5,6");
}

// 4.3: "once Cold,new has been committed, neither Cold nor Cnew can make decisions without approval
// of the other [...]. It is now safe for the leader to create a log entry describing Cnew".
TEST(Chapter4, TheNewConfigurationFollowsTheCommittedJointOne) {
  CoreCluster c = led(3);
  c.start(4);
  c.change(1, {.voters = {member(4)}});
  EXPECT_EQ(c.core(1).log().last(), LogIndex(2));
  c.settle();
  EXPECT_EQ(c.core(1).log().last(), LogIndex(3));
  EXPECT_EQ(c.core(1).commit(), LogIndex(3));
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4");
}

}  // namespace
}  // namespace holdfast::raft::testing
