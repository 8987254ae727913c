// Elections: timeouts, votes, pre-vote, stickiness, check-quorum.
#include <gtest/gtest.h>

#include <set>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

Config without(bool pre_vote, bool check_quorum) {
  Config config;
  config.pre_vote = !pre_vote;
  config.check_quorum = !check_quorum;
  return config;
}
const Config kPlain = without(true, true);

TEST(Election, FollowersWaitOutARandomTimeoutBetweenTheLimits) {
  std::set<int64_t> drawn;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    CoreCluster c = CoreCluster::of(3, kPlain, seed);
    const Duration wait = c.core(1).next_wakeup() - c.node(1).clock;
    EXPECT_GE(wait, c.core(1).config().election_timeout_min);
    EXPECT_LT(wait, c.core(1).config().election_timeout_max);
    drawn.insert(to_ms(wait));
    c.tick_alone(1, wait - 1ns);
    EXPECT_EQ(c.core(1).role(), Role::kFollower);
    c.tick_alone(1, 1ns);
    EXPECT_EQ(c.core(1).role(), Role::kCandidate);
  }
  EXPECT_GT(drawn.size(), 30U);
}

TEST(Election, ALeadersHeartbeatsKeepFollowersFromStanding) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(2);
  c.advance(10s);
  EXPECT_EQ(c.leader(), 2);
  EXPECT_EQ(c.core(2).term(), Term(1));
}

TEST(Election, AVoteRequestLeavesOnlyWhenTermVoteAndLogAreDurable) {
  CoreCluster c = CoreCluster::of(3, kPlain);
  c.auto_persist = false;
  c.step(1, append(2, 1, 1, 0, 0, 0, {entry(1, 1)}));
  c.campaign(1);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kVoteRequest)), 0U);
  c.persist(1, 1);  // the entry
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kVoteRequest)), 0U);
  c.persist(1, 1);  // term and vote
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kVoteRequest)), 1U);
}

TEST(Election, ACandidatesOwnVoteCountsOnlyWhenDurable) {
  CoreCluster c = CoreCluster::of(1, kPlain);
  c.auto_persist = false;
  c.campaign(1);
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
  c.persist(1);
  EXPECT_TRUE(c.core(1).is_leader());
}

TEST(Election, ConfirmingAnOlderWriteDoesNotCountTheOwnVote) {
  CoreCluster c = CoreCluster::of(1, kPlain);
  c.auto_persist = false;
  c.campaign(1);
  c.persist(1, 1);
  ASSERT_TRUE(c.core(1).is_leader());  // its first entry is still being written
  c.step_down(1);
  c.campaign(1);
  c.persist(1, 1);
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
  c.persist(1, 1);
  EXPECT_TRUE(c.core(1).is_leader());
}

TEST(Election, AVoteLeavesOnlyWhenDurable) {
  CoreCluster c = CoreCluster::of(3, kPlain);
  c.auto_persist = false;
  c.step(2, vote_request(1, 2, 1, 0, 0));
  EXPECT_EQ(c.core(2).vote(), NodeId(1));
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 1)), 0U);
  c.persist(2);
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 1, MT::kVoteResponse)), 1U);
}

TEST(Election, ARefusalLeavesAtOnce) {
  CoreCluster c = CoreCluster::of(3, kPlain);
  c.step(2, vote_request(1, 2, 1, 0, 0));
  c.auto_persist = false;
  c.step(2, vote_request(3, 2, 1, 0, 0));
  const std::vector<Message> sent = c.take(CoreCluster::link(2, 3));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(sent[0].reject);
}

TEST(Election, PromisesOfAPastTermAreNotKept) {
  CoreCluster c = CoreCluster::of(3, kPlain);
  c.auto_persist = false;
  c.step(2, vote_request(1, 2, 1, 0, 0));
  c.step(2, vote_request(3, 2, 2, 0, 0));
  c.persist(2);
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 1)), 0U);
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 3, MT::kVoteResponse)), 1U);
}

TEST(Election, ALoneVoterElectsItselfWithoutWaiting) {
  CoreCluster c = CoreCluster::of(1);
  c.tick(1);
  EXPECT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
}

TEST(Election, ALoneVoterWithASlowDiskIsElectedOnce) {
  CoreCluster c = CoreCluster::of(1);
  c.auto_persist = false;
  for (int i = 0; i < 20; ++i) c.tick_alone(1, 10ms);
  EXPECT_EQ(c.core(1).term(), Term(1));
  c.persist(1);
  EXPECT_TRUE(c.core(1).is_leader());
}

TEST(Election, ALearnerNeverCampaigns) {
  Configuration configuration{.voters = {NodeId(1)}, .learners = {NodeId(2)}};
  CoreCluster c(configuration);
  c.start(2);
  EXPECT_FALSE(c.campaign(2));
  for (int i = 0; i < 100; ++i) c.tick_alone(2, 100ms);
  EXPECT_EQ(c.core(2).role(), Role::kFollower);
  EXPECT_EQ(c.core(2).term(), Term(0));
}

TEST(Election, ANodeThatIsNoMemberNeverCampaigns) {
  Configuration configuration{.voters = {NodeId(1), NodeId(2)}};
  CoreCluster c(configuration);
  c.start(3);
  EXPECT_FALSE(c.campaign(3));
  for (int i = 0; i < 100; ++i) c.tick_alone(3, 100ms);
  EXPECT_EQ(c.core(3).role(), Role::kFollower);
}

TEST(Election, ALearnerReplicatesButDoesNotCount) {
  Configuration configuration{.voters = {NodeId(1), NodeId(2)}, .learners = {NodeId(3)}};
  CoreCluster c(configuration);
  for (int id : {1, 2, 3}) c.start(id);
  c.elect(1);
  c.isolate(2);
  c.propose(1, "a");
  c.settle();
  EXPECT_EQ(c.core(3).log().last(), LogIndex(2));
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
  c.heal();
  c.advance(300ms);
  EXPECT_EQ(c.commands(3), std::vector<std::string>{"a"});
}

/// Node 1 leads voters 1, 2, 3 and outgoing 1, 4, 5; of those it has lost 4 and 5.
CoreCluster joint_and_cut_off(Config config) {
  Configuration configuration{.voters = {NodeId(1), NodeId(2), NodeId(3)},
                              .outgoing = {NodeId(1), NodeId(4), NodeId(5)}};
  CoreCluster c(configuration, config);
  for (int id : {1, 2, 3, 4, 5}) c.start(id);
  c.isolate(4);
  c.campaign(1);
  for (int id : {2, 3}) c.deliver(1, id);
  for (int id : {2, 3}) c.deliver(id, 1);
  EXPECT_EQ(c.core(1).role(), Role::kCandidate) << "one majority is not enough";
  c.deliver(1, 5);
  c.deliver(5, 1);
  EXPECT_TRUE(c.core(1).is_leader());
  c.isolate(5);
  c.drop(CoreCluster::link(1, 5));
  return c;
}

TEST(Election, AJointConfigurationNeedsBothMajorities) {
  CoreCluster c = joint_and_cut_off(kPlain);
  c.propose(1, "a");
  c.read(1, 7);
  c.settle();
  EXPECT_EQ(c.core(1).commit(), LogIndex());
  EXPECT_TRUE(c.node(1).reads.empty());
  c.heal();
  c.isolate(2);
  c.advance(300ms);
  EXPECT_EQ(c.commands(1), std::vector<std::string>{"a"});
  EXPECT_EQ(c.node(1).reads.size(), 1U);
}

TEST(Election, AJointLeaderThatLosesOneMajorityStepsDown) {
  Config config;
  config.pre_vote = false;
  CoreCluster c = joint_and_cut_off(config);
  c.advance(1200ms);
  EXPECT_EQ(c.leader(), 0);
}

TEST(PreVote, DisturbsNobodyWhileALeaderLives) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.isolate(3);
  c.advance(10s);
  EXPECT_EQ(c.core(3).term(), Term(1));
  EXPECT_GT(c.core(3).counters().pre_elections, 5U);
  c.heal();
  c.advance(2s);
  EXPECT_EQ(c.leader(), 1);
  EXPECT_EQ(c.core(1).term(), Term(1));
}

TEST(PreVote, ChangesNeitherTermNorVoteOfWhoGrants) {
  CoreCluster c = CoreCluster::of(3);
  c.step(2, pre_vote_request(1, 2, 5, 0, 0));
  EXPECT_EQ(c.core(2).term(), Term(0));
  EXPECT_EQ(c.core(2).vote(), NodeId());
  const std::vector<Message> sent = c.take(CoreCluster::link(2, 1, MT::kPreVoteResponse));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_FALSE(sent[0].reject);
  EXPECT_EQ(sent[0].term, Term(5));
}

TEST(PreVote, IsRefusedToAShorterLogAndForATermThatHasCome) {
  CoreCluster c = CoreCluster::of(3);
  c.step(2, append(1, 2, 4, 0, 0, 0, {entry(1, 4)}));
  c.pass(2s);
  c.take([](const Message&) { return true; });
  c.step(2, pre_vote_request(3, 2, 5, 0, 0));
  c.step(2, pre_vote_request(3, 2, 4, 1, 3));
  for (const Message& m : c.take(CoreCluster::link(2, 3, MT::kPreVoteResponse))) {
    EXPECT_TRUE(m.reject);
    EXPECT_EQ(m.term, Term(4));
  }
}

TEST(PreVote, ARefusalTellsOfALaterTerm) {
  // 1 is ahead in term with a shorter log, 2 behind in term with a longer one: they still elect.
  CoreCluster c = CoreCluster::of(2);
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  c.step(1, vote_request(2, 1, 9, 2, 1));
  c.take([](const Message&) { return true; });
  c.advance(10s);
  EXPECT_EQ(c.leader(), 2);
}

TEST(PreVote, LateGrantsOfAnEarlierRoundDoNotElect) {
  CoreCluster c = CoreCluster::of(3);
  c.campaign(1);
  Message grant = message(MT::kPreVoteResponse, 2, 1, 7);
  c.step(1, grant);
  EXPECT_EQ(c.core(1).role(), Role::kPreCandidate);
  grant.term = Term(1);
  c.step(1, grant);
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
  c.step(1, grant);  // a pre-vote is no vote
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
}

TEST(Stickiness, VotersRefuseWhileTheyHeardALeaderWithinTheMinimumTimeout) {
  CoreCluster c = CoreCluster::of(3, without(true, false));
  c.elect(1);
  c.step(2, heartbeat(1, 2, 1, 1));
  c.node(2).clock += 499ms;
  c.step(2, vote_request(3, 2, 9, 5, 5));
  EXPECT_EQ(c.core(2).term(), Term(1));
  c.node(2).clock += 1ms;
  c.step(2, vote_request(3, 2, 9, 5, 5));
  EXPECT_EQ(c.core(2).vote(), NodeId(3));
}

TEST(Stickiness, HoldsForPreVotesToo) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.step(2, pre_vote_request(3, 2, 2, 5, 1));
  EXPECT_TRUE(c.take(CoreCluster::link(2, 3, MT::kPreVoteResponse)).at(0).reject);
  EXPECT_GT(c.core(2).counters().ignored_sticky, 0U);
}

TEST(Stickiness, IsPartOfCheckQuorumAndOffWithoutIt) {
  CoreCluster c = CoreCluster::of(3, kPlain);
  c.elect(1);
  c.step(2, vote_request(3, 2, 2, 1, 1));
  EXPECT_EQ(c.core(2).vote(), NodeId(3));
}

TEST(Stickiness, ALeaderIgnoresElectionsToo) {
  CoreCluster c = CoreCluster::of(3, without(true, false));
  c.elect(1);
  c.step(1, vote_request(3, 1, 9, 1, 1));
  EXPECT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(c.core(1).term(), Term(1));
}

TEST(CheckQuorum, ALeaderWithoutAQuorumStepsDownAfterTheMaximumTimeout) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.isolate(1);
  c.advance(900ms);
  EXPECT_TRUE(c.core(1).is_leader());
  c.advance(200ms);
  EXPECT_FALSE(c.core(1).is_leader());
  EXPECT_EQ(c.core(1).counters().check_quorum_step_downs, 1U);
}

TEST(CheckQuorum, WhenOffAnIsolatedLeaderStays) {
  CoreCluster c = CoreCluster::of(3, without(false, true));
  c.elect(1);
  c.isolate(1);
  c.advance(3s);
  EXPECT_TRUE(c.core(1).is_leader());
}

TEST(StepDown, ALeaderFollowsNobodyUntilItHearsOfOne) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.step_down(1);
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
  EXPECT_EQ(c.core(1).leader(), NodeId());
  EXPECT_EQ(c.core(1).term(), Term(1));
  c.advance(3s);
  EXPECT_NE(c.leader(), 0);
}

TEST(StepDown, AFollowerOnlyRestartsItsTimer) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.pass(5s);
  c.step_down(2);
  c.tick(2);
  EXPECT_EQ(c.core(2).role(), Role::kFollower);
  EXPECT_EQ(c.core(2).leader(), NodeId(1));
}

TEST(SoftState, IsReportedOnceForEveryChange) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  const std::vector<SoftState> of_leader = {{Role::kPreCandidate, NodeId(), Term(0)},
                                            {Role::kCandidate, NodeId(), Term(1)},
                                            {Role::kLeader, NodeId(1), Term(1)}};
  EXPECT_EQ(c.node(1).soft_states, of_leader);
  const std::vector<SoftState> of_follower = {{Role::kFollower, NodeId(), Term(1)},
                                              {Role::kFollower, NodeId(1), Term(1)}};
  EXPECT_EQ(c.node(2).soft_states, of_follower);
}

}  // namespace
}  // namespace holdfast::raft::testing
