// Changes of the configuration on real cores: raft/core/membership.cc.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;
using Outcome = ChangeOutcome;

Config plain() {
  Config config;
  config.pre_vote = false;
  config.check_quorum = false;
  return config;
}

Member member(uint64_t id) { return CoreCluster::member(NodeId(id)); }

std::string members(CoreCluster& c, int id) { return describe(c.core(id).configuration()); }

/// Voters 1 to n; 1 leads, its no-op is applied everywhere.
CoreCluster led(int n, Config config = plain()) {
  CoreCluster c = CoreCluster::of(n, config);
  c.elect(1);
  c.advance(200ms);
  return c;
}

/// A learner 4 that has everything.
CoreCluster with_learner(Config config = plain()) {
  CoreCluster c = led(3, config);
  c.start(4);
  EXPECT_TRUE(c.change(1, {.learners = {member(4)}}).accepted());
  c.advance(500ms);
  return c;
}

TEST(Membership, AVoterIsAddedThroughAJointConfigurationThatTheLeaderLeaves) {
  CoreCluster c = led(3);
  c.start(4);
  const ChangeResult result = c.change(1, {.voters = {member(4)}});
  ASSERT_TRUE(result.accepted());
  EXPECT_EQ(result.index, LogIndex(2));
  EXPECT_EQ(result.term, Term(1));
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4 outgoing 1,2,3");
  c.settle();
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4");
  c.advance(200ms);
  for (int id : {1, 2, 3, 4}) {
    EXPECT_EQ(members(c, id), "voters 1,2,3,4") << id;
    EXPECT_EQ(c.core(id).commit(), LogIndex(3)) << id;
  }
  EXPECT_EQ(c.core(1).counters().configurations_appended, 2U);
}

TEST(Membership, ADeadNodeIsReplacedInOneStep) {
  CoreCluster c = with_learner();
  c.crash(3);
  ASSERT_TRUE(c.change(1, {.promote = {NodeId(4)}, .remove = {NodeId(3)}}).accepted());
  c.advance(300ms);
  EXPECT_EQ(members(c, 1), "voters 1,2,4");
  c.isolate(2);
  c.propose(1, "with the new voter");
  c.advance(200ms);
  EXPECT_EQ(c.commands(4), std::vector<std::string>{"with the new voter"});
}

TEST(Membership, ALearnerReceivesEverythingAndCountsInNoQuorum) {
  CoreCluster c = with_learner();
  c.isolate(2);
  c.isolate(3);
  c.propose(1, "a");
  c.settle();
  EXPECT_EQ(c.core(4).log().last(), c.core(1).log().last());
  EXPECT_LT(c.core(1).commit(), c.core(1).log().last());
  c.heal();
  c.advance(300ms);
  EXPECT_EQ(c.commands(4), std::vector<std::string>{"a"});
}

TEST(Membership, ALearnerNeitherStandsNorIsAsked) {
  CoreCluster c = with_learner();
  EXPECT_FALSE(c.campaign(4));
  c.crash(1);
  c.campaign(2);
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 4)), 0U);
}

TEST(Membership, ALearnersVoteDoesNotCount) {
  CoreCluster c = with_learner();
  c.crash(1);
  c.campaign(2);
  c.drop([](const Message&) { return true; });
  c.step(2, message(MT::kVoteResponse, 4, 2, c.core(2).term().value));
  EXPECT_EQ(c.core(2).role(), Role::kCandidate);
}

TEST(Membership, AVoterThatBelievesItIsALearnerStillVotes) {
  // etcd raft: a promotion may be committed by others before it reaches who was promoted.
  CoreCluster c = with_learner();
  c.isolate(4);
  ASSERT_TRUE(c.change(1, {.promote = {NodeId(4)}}).accepted());
  c.settle();
  ASSERT_EQ(members(c, 2), "voters 1,2,3,4");
  ASSERT_EQ(members(c, 4), "voters 1,2,3 learners 4");
  c.advance(200ms);
  c.heal();
  c.crash(1);
  c.campaign(2);
  c.settle();
  EXPECT_TRUE(c.core(2).is_leader());
  c.advance(300ms);
  EXPECT_EQ(members(c, 4), "voters 1,2,3,4");
}

TEST(Membership, AConfigurationIsInForceWhenItIsAppended) {
  CoreCluster c = led(3);
  c.change(1, {.voters = {member(4), member(5)}});
  c.deliver(1, 2);
  EXPECT_EQ(c.core(2).commit(), LogIndex(1));
  EXPECT_EQ(members(c, 2), "voters 1,2,3,4,5 outgoing 1,2,3");
}

TEST(Membership, ATruncatedConfigurationIsUndone) {
  CoreCluster c = led(3);
  c.isolate(1);
  ASSERT_TRUE(c.change(1, {.voters = {member(4)}}).accepted());
  c.elect(2);
  ASSERT_TRUE(c.core(2).is_leader());
  c.heal();
  c.advance(300ms);
  EXPECT_EQ(members(c, 1), "voters 1,2,3");
  EXPECT_EQ(c.core(1).counters().configurations_truncated, 1U);
  EXPECT_EQ(c.core(1).status().configuration_index, LogIndex());
}

TEST(Membership, AnUncommittedConfigurationOutlivesARestartAndCanStillBeUndone) {
  CoreCluster c = led(3);
  c.isolate(1);
  ASSERT_TRUE(c.change(1, {.voters = {member(4)}}).accepted());
  c.settle();
  c.crash(1);
  c.elect(2);
  c.start(1);
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4 outgoing 1,2,3");
  c.heal();
  c.advance(300ms);
  EXPECT_EQ(members(c, 1), "voters 1,2,3");
}

TEST(Membership, OneChangeAtATime) {
  CoreCluster c = led(3);
  for (int id : {4, 5}) c.start(id);
  ASSERT_TRUE(c.change(1, {.voters = {member(4)}}).accepted());
  EXPECT_EQ(c.change(1, {.voters = {member(5)}}).outcome, Outcome::kUnderWay);
  // The joint configuration is committed and left, the new one is not committed yet.
  c.deliver(1, 2);
  c.deliver(2, 1);
  c.deliver(1, 3);
  c.deliver(3, 1);
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4");
  EXPECT_EQ(c.change(1, {.voters = {member(5)}}).outcome, Outcome::kUnderWay);
  c.settle();
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4");
  EXPECT_TRUE(c.change(1, {.voters = {member(5)}}).accepted());
}

TEST(Membership, NoChangeBeforeAnEntryOfTheOwnTermIsCommitted) {
  CoreCluster c = led(3);
  c.campaign(2);
  c.deliver(2, 3);
  c.deliver(3, 2);
  ASSERT_TRUE(c.core(2).is_leader());
  EXPECT_EQ(c.change(2, {.voters = {member(4)}}).outcome, Outcome::kOwnTermPending);
  c.settle();
  EXPECT_TRUE(c.change(2, {.voters = {member(4)}}).accepted());
}

TEST(Membership, OnlyALeaderThatStaysChangesAnything) {
  CoreCluster c = led(3);
  const ChangeResult elsewhere = c.change(2, {.voters = {member(4)}});
  EXPECT_EQ(elsewhere.outcome, Outcome::kNotLeader);
  EXPECT_EQ(elsewhere.leader, NodeId(1));
  c.isolate(2);
  c.transfer(1, 2);
  EXPECT_EQ(c.change(1, {.voters = {member(4)}}).outcome, Outcome::kTransferring);
  EXPECT_EQ(c.core(1).counters().changes_refused, 1U);
}

TEST(Membership, WhatAPlanRefusesNamesTheMember) {
  CoreCluster c = led(3);
  const ChangeResult twice = c.change(1, {.voters = {member(3)}});
  EXPECT_EQ(twice.outcome, Outcome::kDuplicateMember);
  EXPECT_EQ(twice.member, NodeId(3));
  EXPECT_EQ(c.core(1).log().last(), LogIndex(1));
}

TEST(Membership, AChangeThatWouldLoseTheQuorumIsRefusedUnlessForced) {
  CoreCluster c = led(3);
  c.crash(3);
  c.advance(1100ms);
  const ConfigurationChange without_two{.remove = {NodeId(2)}};
  EXPECT_EQ(c.change(1, without_two).outcome, Outcome::kWouldLoseQuorum);
  EXPECT_TRUE(c.change(1, {.remove = {NodeId(3)}}).accepted()) << "the dead one may go";
  CoreCluster d = led(3);
  d.crash(3);
  d.advance(1100ms);
  ConfigurationChange forced = without_two;
  forced.force = true;
  EXPECT_TRUE(d.change(1, forced).accepted());
}

TEST(Membership, WhoWasNeverHeardOfDoesNotCountAsAlive) {
  // A new leader grants everybody an election timeout; for this purpose nobody has it.
  CoreCluster c = led(3);
  c.crash(3);
  c.crash(1);
  c.start(1);
  c.elect(2);
  ASSERT_TRUE(c.core(2).own_term_committed());
  EXPECT_EQ(c.change(2, {.remove = {NodeId(1)}}).outcome, Outcome::kWouldLoseQuorum);
  EXPECT_EQ(c.change(2, {.voters = {member(4), member(5), member(6)}}).outcome,
            Outcome::kWouldLoseQuorum);
}

TEST(Membership, ALearnerThatLagsIsNotPromotedUnlessForced) {
  CoreCluster c = led(3);
  ASSERT_TRUE(c.change(1, {.learners = {member(4)}}).accepted());
  c.advance(200ms);
  const ChangeResult refused = c.change(1, {.promote = {NodeId(4)}});
  EXPECT_EQ(refused.outcome, Outcome::kNotCaughtUp);
  EXPECT_EQ(refused.member, NodeId(4));
  EXPECT_TRUE(c.change(1, {.promote = {NodeId(4)}, .force = true}).accepted());
}

TEST(Membership, ALearnerIsCaughtUpWhenARoundTakesLessThanAnElectionTimeout) {
  CoreCluster c = led(3);
  c.start(4);
  for (int i = 0; i < 20; ++i) c.propose(1, std::to_string(i));
  c.settle();
  c.isolate(4);
  ASSERT_TRUE(c.change(1, {.learners = {member(4)}}).accepted());
  c.advance(2s);
  EXPECT_FALSE(c.core(1).caught_up(NodeId(4)));
  c.heal();
  c.advance(300ms);
  EXPECT_TRUE(c.core(1).caught_up(NodeId(4)));
  EXPECT_TRUE(c.core(1).status().peers.back().caught_up);
  c.isolate(4);
  c.advance(1100ms);
  EXPECT_FALSE(c.core(1).caught_up(NodeId(4))) << "it is not heard of any more";
}

TEST(Membership, ALearnerThatAnswersButStoresNothingIsNotCaughtUp) {
  CoreCluster c = with_learner();
  ASSERT_TRUE(c.core(1).caught_up(NodeId(4)));
  c.propose(1, "a");
  c.drop(CoreCluster::link(1, 4));
  for (int i = 0; i < 8; ++i) {
    c.pass(100ms);
    for (int id : {1, 2, 3, 4}) c.tick(id);
    c.drop(CoreCluster::link(1, 4, MT::kAppendRequest));
    c.deliver([](const Message& m) { return m.type != MT::kAppendRequest; });
    c.drop(CoreCluster::link(1, 4, MT::kAppendRequest));
  }
  EXPECT_FALSE(c.core(1).caught_up(NodeId(4)));
  c.advance(300ms);
  EXPECT_FALSE(c.core(1).caught_up(NodeId(4))) << "that round was a long one";
  c.advance(1s);
  EXPECT_TRUE(c.core(1).caught_up(NodeId(4))) << "it has lacked nothing since";
}

/// A learner 4 that is to be promoted, and is not there yet.
CoreCluster with_joining(Config config = plain()) {
  CoreCluster c = led(3, config);
  Member joins = member(4);
  joins.promote = true;
  EXPECT_TRUE(c.change(1, {.learners = {joins}}).accepted());
  return c;
}

TEST(Membership, ALearnerThatIsToBePromotedIsWhenItIsCaughtUp) {
  CoreCluster c = with_joining();
  c.advance(2s);
  EXPECT_EQ(members(c, 1), "voters 1,2,3 learners 4");
  c.start(4);
  c.advance(500ms);
  for (int id : {1, 2, 3, 4}) EXPECT_EQ(members(c, id), "voters 1,2,3,4") << id;
  EXPECT_FALSE(find_member(c.core(4).configuration(), NodeId(4))->promote);
  EXPECT_EQ(c.core(1).counters().configurations_appended, 3U);
}

TEST(Membership, ALearnerThatGotASnapshotIsPromotedThoughNothingElseHappens) {
  CoreCluster c = with_joining();
  for (int i = 0; i < 5; ++i) c.propose(1, std::to_string(i));
  c.settle();
  c.shorten(1);
  c.start(4);
  c.advance(200ms);
  ASSERT_TRUE(c.install(4, 1));
  c.advance(100ms);
  EXPECT_EQ(members(c, 1), "voters 1,2,3 learners 4") << "nobody knows how fast it is";
  c.advance(2s);
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4");
}

TEST(Membership, ALearnerThatIsNotMarkedStaysOne) {
  CoreCluster c = with_learner();
  c.advance(5s);
  EXPECT_EQ(members(c, 1), "voters 1,2,3 learners 4");
}

TEST(Membership, ALaterLeaderPromotesToo) {
  CoreCluster c = with_joining();
  c.settle();
  c.crash(1);
  c.elect(2);
  ASSERT_TRUE(c.core(2).is_leader());
  c.start(1);
  c.start(4);
  c.advance(500ms);
  EXPECT_EQ(members(c, 2), "voters 1,2,3,4");
}

TEST(Membership, NobodyIsPromotedWhileThatWouldLoseTheQuorum) {
  CoreCluster c = with_joining();
  c.settle();
  for (int id : {2, 3}) c.crash(id);
  c.advance(1100ms);
  c.start(4);
  c.advance(1s);
  ASSERT_TRUE(c.core(1).caught_up(NodeId(4)));
  EXPECT_EQ(members(c, 1), "voters 1,2,3 learners 4");
  EXPECT_FALSE(c.core(1).has_ready());
  c.start(3);
  c.advance(300ms);
  EXPECT_EQ(members(c, 1), "voters 1,2,3,4") << "three of four answer";
}

TEST(Membership, APromotionWaitsForTheEndOfATransfer) {
  CoreCluster c = with_joining();
  c.settle();
  c.isolate(2);
  ASSERT_EQ(c.transfer(1, 2), TransferResult::kStarted);
  c.start(4);
  for (int i = 0; i < 30; ++i) c.settle();
  EXPECT_TRUE(c.core(1).status().transferring);
  EXPECT_EQ(members(c, 1), "voters 1,2,3 learners 4");
  c.heal();
  c.advance(3s);
  EXPECT_EQ(members(c, c.leader()), "voters 1,2,3,4");
}

TEST(Membership, NobodyIsCaughtUpForAFollower) {
  CoreCluster c = with_learner();
  EXPECT_FALSE(c.core(2).caught_up(NodeId(4)));
  EXPECT_FALSE(c.core(1).caught_up(NodeId(9)));
}

TEST(Membership, ALeaderThatRemovesItselfHandsOverWhenThatIsCommitted) {
  CoreCluster c = led(3);
  ASSERT_TRUE(c.change(1, {.remove = {NodeId(1)}}).accepted());
  c.settle();
  EXPECT_FALSE(c.core(1).is_leader());
  EXPECT_EQ(c.core(1).counters().retirements, 1U);
  const int leader = c.leader();
  ASSERT_NE(leader, 0) << "handed over without waiting for a timeout";
  c.propose(leader, "on without it");
  c.advance(200ms);
  EXPECT_EQ(members(c, leader), "voters 2,3");
  for (int id : {2, 3}) EXPECT_EQ(c.commands(id).back(), "on without it");
}

TEST(Membership, ALeaderThatRemovedItselfIsNotCounted) {
  CoreCluster c = led(3);
  ASSERT_TRUE(c.change(1, {.remove = {NodeId(1)}}).accepted());
  c.deliver(1, 2);
  c.deliver(2, 1);  // the joint configuration is committed by 1 and 2: not by 2 and 3
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
  c.deliver(1, 3);
  c.deliver(3, 1);
  EXPECT_EQ(c.core(1).commit(), LogIndex(2));
  ASSERT_EQ(members(c, 1), "voters 2,3");
  c.deliver(1, 2);
  c.deliver(2, 1);  // 1 and 2 have the new configuration: that is one voter of two
  EXPECT_EQ(c.core(1).commit(), LogIndex(2));
  EXPECT_TRUE(c.core(1).is_leader());
}

TEST(Membership, ALeaderWithoutAVoteIsGoneAfterAnElectionTimeout) {
  // etcd raft, confchange_v1_remove_leader: a removed leader went on for ever.
  CoreCluster c = led(3);
  ASSERT_TRUE(c.change(1, {.demote = {NodeId(1)}}).accepted());
  for (int round = 0; round < 2; ++round) {
    for (int id : {2, 3}) c.deliver(1, id);
    if (round == 1) c.propose(1, "on its way when the change is committed");
    for (int id : {2, 3}) c.deliver(id, 1);
  }
  ASSERT_EQ(c.core(1).commit(), LogIndex(3));
  ASSERT_TRUE(c.core(1).is_leader());
  c.isolate(1);
  c.drop([](const Message&) { return true; });
  EXPECT_EQ(c.propose(1, "late").outcome, ProposeResult::Outcome::kTransferring);
  c.tick_alone(1, 1s);
  EXPECT_FALSE(c.core(1).is_leader());
  EXPECT_FALSE(c.campaign(1)) << "a learner now";
}

TEST(Membership, ALeaderThatIsDemotedBringsItsSuccessorUpToDateFirst) {
  CoreCluster c = led(3);
  ASSERT_TRUE(c.change(1, {.demote = {NodeId(1)}}).accepted());
  c.propose(1, "behind the change");
  c.settle();
  c.advance(200ms);
  ASSERT_NE(c.leader(), 0);
  EXPECT_NE(c.leader(), 1);
  for (int id : {1, 2, 3}) EXPECT_EQ(c.commands(id), std::vector<std::string>{"behind the change"});
}

TEST(Membership, ARemovedServerDisturbsNobody) {
  Config careful;
  CoreCluster c = led(3, careful);
  c.isolate(3);
  ASSERT_TRUE(c.change(1, {.remove = {NodeId(3)}}).accepted());
  c.settle();
  ASSERT_EQ(members(c, 1), "voters 1,2");
  c.heal();
  const Term term = c.core(1).term();
  c.advance(10s);
  EXPECT_EQ(c.leader(), 1);
  EXPECT_EQ(c.core(1).term(), term);
  EXPECT_EQ(c.core(2).term(), term);
}

TEST(Membership, ARemovedServerWithAHigherTermIsNotHeard) {
  Config careful;
  CoreCluster c = led(3, careful);
  ASSERT_TRUE(c.change(1, {.remove = {NodeId(3)}}).accepted());
  c.settle();
  Message refusal = append_ack(3, 1, 99, 1);
  refusal.reject = true;
  c.step(1, refusal);
  c.step(1, vote_request(3, 1, 99, 9, 98));
  c.step(2, vote_request(3, 2, 99, 9, 98));
  EXPECT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(c.core(2).term(), Term(1));
}

TEST(Membership, ANewServerFollowsALeaderThatItsConfigurationDoesNotName) {
  CoreCluster c = with_learner();
  ASSERT_TRUE(c.change(1, {.promote = {NodeId(4)}}).accepted());
  c.settle();
  c.advance(200ms);
  c.transfer(1, 4);
  c.settle();
  ASSERT_TRUE(c.core(4).is_leader());
  c.start(5);
  ASSERT_TRUE(c.change(4, {.voters = {member(5)}}).accepted());
  c.settle();
  c.advance(300ms);
  EXPECT_EQ(c.core(5).leader(), NodeId(4));
  EXPECT_EQ(members(c, 5), "voters 1,2,3,4,5");
}

TEST(Membership, ANewLeaderLeavesTheJointConfigurationOfItsPredecessor) {
  CoreCluster c = led(3);
  c.start(4);
  ASSERT_TRUE(c.change(1, {.voters = {member(4)}}).accepted());
  for (int id : {2, 3, 4}) c.deliver(1, id);
  c.crash(1);
  c.drop([](const Message&) { return true; });
  ASSERT_EQ(members(c, 2), "voters 1,2,3,4 outgoing 1,2,3");
  c.campaign(2);
  c.settle();
  c.advance(300ms);
  ASSERT_TRUE(c.core(2).is_leader());
  EXPECT_EQ(members(c, 2), "voters 1,2,3,4");
  EXPECT_EQ(c.core(2).counters().configurations_appended, 1U);
}

TEST(Membership, ANewLeaderWithoutTheChangeUndoesIt) {
  CoreCluster c = led(3);
  c.start(4);
  ASSERT_TRUE(c.change(1, {.voters = {member(4)}}).accepted());
  c.deliver(1, 2);
  c.crash(1);
  c.drop([](const Message&) { return true; });
  c.campaign(3);
  c.deliver(3, 2);
  EXPECT_TRUE(c.take(CoreCluster::link(2, 3))[0].reject) << "its log is the shorter one";
  c.campaign(2);
  c.settle();
  c.advance(300ms);
  EXPECT_EQ(members(c, 3), "voters 1,2,3,4") << "who has it carries it on";
}

TEST(Membership, ASnapshotTellsTheConfiguration) {
  CoreCluster c = with_learner();
  ASSERT_TRUE(c.change(1, {.promote = {NodeId(4)}, .remove = {NodeId(3)}}).accepted());
  c.settle();
  c.advance(200ms);
  c.shorten(1);
  EXPECT_EQ(c.core(1).configurations().all().size(), 1U);
  c.crash(1);
  c.start(1);
  EXPECT_EQ(members(c, 1), "voters 1,2,4");
  c.start(5);
  const int leader = [&] {
    c.advance(3s);
    return c.leader();
  }();
  ASSERT_NE(leader, 0);
  if (leader != 1) c.shorten(leader);
  ASSERT_TRUE(c.change(leader, {.learners = {member(5)}}).accepted());
  c.advance(300ms);
  ASSERT_FALSE(c.node(5).offers.empty());
  c.install(5, leader);
  c.advance(300ms);
  EXPECT_EQ(members(c, 5), "voters 1,2,4 learners 5");
}

TEST(Membership, TheDriverIsToldWhoCountsAndWhenThatGoesBack) {
  CoreCluster c = led(3);
  c.isolate(1);
  Ready ready;
  Raft& core = c.core(1);
  ASSERT_TRUE(core.propose_change({.voters = {member(4)}}, c.node(1).clock).accepted());
  core.take_ready(ready);
  ASSERT_TRUE(ready.configuration.has_value());
  EXPECT_EQ(describe(*ready.configuration), "voters 1,2,3,4 outgoing 1,2,3");
  EXPECT_EQ(find_member(*ready.configuration, NodeId(4))->peer_address, "node4:1");
  ASSERT_TRUE(ready.write);
  EXPECT_EQ(ready.write.entries.back().type, EntryType::kConfiguration);
  core.persisted(ready.write.number, c.node(1).clock);
  core.step(append(2, 1, 9, 1, 1, 1, {entry(2, 9)}), c.node(1).clock);
  core.take_ready(ready);
  ASSERT_TRUE(ready.configuration.has_value());
  EXPECT_EQ(describe(*ready.configuration), "voters 1,2,3");
  core.take_ready(ready);
  EXPECT_FALSE(ready.configuration.has_value());
}

TEST(Membership, ALoneVoterGrowsOnlyWithVotersThatAnswer) {
  CoreCluster c = led(1);
  EXPECT_EQ(c.change(1, {.voters = {member(2)}}).outcome, Outcome::kWouldLoseQuorum);
  c.start(2);
  ASSERT_TRUE(c.change(1, {.learners = {member(2)}}).accepted());
  c.advance(300ms);
  ASSERT_TRUE(c.change(1, {.promote = {NodeId(2)}}).accepted());
  c.advance(300ms);
  EXPECT_EQ(members(c, 2), "voters 1,2");
}

TEST(Membership, ReadsAndCheckQuorumGoByTheNewVoters) {
  CoreCluster c = led(3, Config{});
  ASSERT_TRUE(c.change(1, {.remove = {NodeId(3)}}).accepted());
  c.settle();
  c.advance(100ms);
  c.isolate(2);
  c.read(1, 7);
  c.advance(300ms);
  EXPECT_TRUE(c.node(1).reads.empty()) << "node 3 is no voter any more";
  c.advance(1500ms);
  EXPECT_FALSE(c.core(1).is_leader());
}

TEST(Membership, ATransferToAMemberThatIsRemovedIsGivenUp) {
  CoreCluster c = with_learner();
  ASSERT_TRUE(c.change(1, {.remove = {NodeId(3)}}).accepted());
  c.isolate(3);
  ASSERT_EQ(c.transfer(1, 3), TransferResult::kStarted);
  c.settle();
  EXPECT_EQ(members(c, 1), "voters 1,2 learners 4");
  EXPECT_FALSE(c.core(1).status().transferring);
  EXPECT_TRUE(c.propose(1, "goes on").accepted());
}

TEST(Membership, AConfigurationThatCannotBeReadIsMalformed) {
  CoreCluster c = led(3);
  Entry odd = entry(2, 1, "no configuration");
  odd.type = EntryType::kConfiguration;
  const uint64_t before = c.core(2).counters().ignored_malformed;
  c.step(2, append(1, 2, 1, 1, 1, 1, {odd}));
  EXPECT_EQ(c.core(2).counters().ignored_malformed, before + 1);
  EXPECT_EQ(c.core(2).log().last(), LogIndex(1));
}

}  // namespace
}  // namespace holdfast::raft::testing
