// Bugs that other systems had in elections, replication and restart, told again: here they do not
// happen. The table in docs/ names each of these tests.
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
  return config;
}

Config check_quorum_only() {
  Config config;
  config.pre_vote = false;
  return config;
}

void drop_everything(CoreCluster& c) {
  c.take([](const Message&) { return true; });
}

TEST(OldBugs, NuRaft185AShorterLogGetsNoVoteInALaterTerm) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.isolate(3);
  c.propose(1, "committed");
  c.settle();
  c.heal();
  c.campaign(3);
  c.settle();
  EXPECT_FALSE(c.core(3).is_leader());
  c.advance(5s);
  for (int id : {1, 2, 3}) EXPECT_EQ(c.commands(id), std::vector<std::string>{"committed"}) << id;
}

TEST(OldBugs, OpenraftAlpha2AHigherTermInARefusalIsNoVote) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.campaign(1);
  Message refusal = message(MT::kVoteResponse, 2, 1, 9);
  refusal.reject = true;
  c.step(1, refusal);
  EXPECT_EQ(c.core(1).role(), Role::kFollower);
  EXPECT_EQ(c.core(1).term(), Term(9));
  EXPECT_EQ(c.core(1).vote(), NodeId());
  c.step(1, message(MT::kVoteResponse, 2, 1, 1));  // the grant of the past term comes late
  EXPECT_FALSE(c.core(1).is_leader());
}

TEST(OldBugs, Nebula3415ACandidateThatRestartsKeepsItsVoteForItself) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.campaign(1);
  c.crash(1);
  c.start(1);
  drop_everything(c);
  EXPECT_EQ(c.core(1).vote(), NodeId(1));
  c.step(1, vote_request(2, 1, 1, 0, 0));
  EXPECT_TRUE(c.take(CoreCluster::link(1, 2)).at(0).reject);
}

TEST(OldBugs, Nebula3415NoVoteIsAskedForBeforeTheOwnIsDurable) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.auto_persist = false;
  c.campaign(1);
  EXPECT_TRUE(c.network().empty());
  c.crash(1);
  c.start(1);
  c.step(1, vote_request(2, 1, 1, 0, 0));
  EXPECT_EQ(c.core(1).vote(), NodeId(2));  // nobody ever heard of the lost candidacy
}

TEST(OldBugs, Braft882AVoteIsJudgedByTheLogAsItIsWhenItIsGiven) {
  CoreCluster c = CoreCluster::of(3, plain());
  const Message request = vote_request(3, 2, 5, 1, 1);
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  drop_everything(c);
  c.step(2, request);
  EXPECT_TRUE(c.take(CoreCluster::link(2, 3)).at(0).reject);
}

TEST(OldBugs, Nebula685ADeposedLeadersEntriesAreNotTaken) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.propose(1, "late");
  const std::vector<Message> late = c.take(CoreCluster::link(1, 3));
  c.isolate(1);
  c.campaign(2);
  c.settle();
  ASSERT_EQ(c.core(3).term(), Term(2));
  for (const Message& m : late) c.step(3, m);
  EXPECT_EQ(c.core(3).log().last_term(), Term(2));
  EXPECT_FALSE(c.core(3).log().matches(LogIndex(2), Term(1)));
}

TEST(OldBugs, Cloudflare2020OneBlindNodeDoesNotTakeWritesDown) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.cut(1, 3);  // 3 sees 2, but not the leader
  for (int i = 0; i < 20; ++i) {
    c.advance(500ms);
    ASSERT_EQ(c.leader(), 1);
    ASSERT_TRUE(c.propose(1, std::to_string(i)).accepted());
    c.settle();
    ASSERT_EQ(c.core(1).commit(), c.core(1).log().last());
  }
  EXPECT_EQ(c.core(1).term(), Term(1));
}

TEST(OldBugs, Cockroach104042ALeaderCutOffOneWayLosesItsLeadership) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.cut_one_way(2, 1);  // its heartbeats arrive, no answer comes back
  c.cut_one_way(3, 1);
  c.advance(4s);
  EXPECT_NE(c.leader(), 1);
  EXPECT_NE(c.leader(), 0);
  EXPECT_TRUE(c.propose(c.leader(), "a").accepted());
}

TEST(OldBugs, EtcdFreeStuckCandidateIsFreedByTheLeadersStepDown) {
  CoreCluster c = CoreCluster::of(3, check_quorum_only());
  c.elect(1);
  c.isolate(3);
  c.advance(5s);  // without pre-vote 3 runs ahead in term
  ASSERT_GT(c.core(3).term(), c.core(1).term());
  c.heal();
  c.advance(5s);
  const int leader = c.leader();
  ASSERT_NE(leader, 0);
  for (int id : {1, 2, 3}) {
    EXPECT_EQ(c.core(id).leader(), NodeId(static_cast<uint64_t>(leader))) << id;
  }
}

TEST(OldBugs, EtcdFreeStuckPreCandidateOfAHigherTerm) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.step(3, vote_request(2, 3, 9, 0, 0));  // sticky: not taken
  ASSERT_EQ(c.core(3).term(), Term(1));
  c.crash(3);
  c.node(3).disk.hard_state = {Term(9), NodeId(3)};  // it campaigned before pre-vote was turned on
  c.start(3);
  c.advance(5s);
  const int leader = c.leader();
  ASSERT_NE(leader, 0);
  EXPECT_EQ(c.core(3).leader(), NodeId(static_cast<uint64_t>(leader)));
  EXPECT_GE(c.core(leader).term(), Term(9));
}

TEST(OldBugs, Etcd14633ASlowFollowerDoesNotFillTheLeadersMemory) {
  Config config;
  config.max_inflight_messages = 4;
  config.max_inflight_bytes = 4000;
  config.max_append_bytes = 500;
  config.max_catchup_bytes = 500;
  config.window_bytes = 2000;
  CoreCluster c = CoreCluster::of(3, config);
  c.elect(1);
  for (int i = 0; i < 300; ++i) {  // 3 hears, but its answers are slow
    c.propose(1, std::string(100, 'x'));
    c.deliver(1, 2);
    c.deliver(2, 1);
    if (i % 50 == 0) c.advance(0ms);
  }
  const PeerStatus slow = c.core(1).status().peers[1];
  EXPECT_LE(slow.inflight, 4U);
  EXPECT_LE(slow.inflight_bytes, 4000U + 132U);
  const EntryWindow& window = c.core(1).log().window();
  EXPECT_LE(window.bytes(window.begin(), window.end()), 2000U + 132U);
  c.settle();
  EXPECT_EQ(c.commands(3).size(), 300U);
}

TEST(OldBugs, Redisraft14WhatIsCommittedIsAppliedOnEveryNode) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  for (const char* data : {"a", "b"}) c.propose(1, data);
  c.settle();
  c.crash(1);
  c.advance(3s);
  ASSERT_NE(c.leader(), 0);
  EXPECT_EQ(c.commands(c.leader()), (std::vector<std::string>{"a", "b"}));
}

TEST(OldBugs, ZooKeeper4646NothingIsAcknowledgedBeforeItIsOnDisk) {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.auto_persist = false;
  c.propose(1, "a");
  c.persist(1);
  c.settle();
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
  c.crash(2);
  c.crash(3);
  c.start(2);
  c.start(3);
  c.auto_persist = true;
  c.crash(1);
  c.campaign(2);
  c.settle();
  ASSERT_TRUE(c.core(2).is_leader());  // allowed: "a" was never acknowledged
  EXPECT_TRUE(c.commands(2).empty());
}

TEST(OldBugs, Etcd11456AnEntryIsNoLongerOursWhenAnotherTermCommitsAtItsIndex) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.isolate(1);
  const ProposeResult lost = c.propose(1, "lost");
  c.campaign(2);
  c.settle();
  c.propose(2, "kept");
  c.settle();
  c.heal();
  c.advance(500ms);
  EXPECT_EQ(c.commands(1), std::vector<std::string>{"kept"});
  EXPECT_NE(c.node(1).applied.at(lost.first.value - 1).term, lost.term);
}

TEST(OldBugs, Ongaro2015NoChangeBeforeAnEntryOfTheOwnTerm) {
  // Scenario conf_single_server_bug tells the whole story.
  CoreCluster c = CoreCluster::of(4, plain());
  c.elect(1);
  c.campaign(2);
  for (int id : {3, 4}) c.deliver(2, id);
  for (int id : {3, 4}) c.deliver(id, 2);
  ASSERT_TRUE(c.core(2).is_leader());
  EXPECT_EQ(c.change(2, {.remove = {NodeId(1)}}).outcome, ChangeOutcome::kOwnTermPending);
}

TEST(OldBugs, Openraft1808ASnapshotReplacesAnUncommittedConfiguration) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.isolate(1);
  c.change(1, {.voters = {CoreCluster::member(NodeId(4))}});
  c.elect(2);
  for (const char* data : {"a", "b", "c"}) c.propose(2, data);
  c.settle();
  c.shorten(2);
  c.heal();
  c.advance(300ms);
  ASSERT_TRUE(c.install(1, 2));
  EXPECT_EQ(describe(c.core(1).configuration()), "voters 1,2,3");
}

TEST(OldBugs, Etcd12359ANewConfigurationIsInForceThoughNobodyLearntThatItIsCommitted) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.change(1, {.remove = {NodeId(3)}});
  for (int round = 0; round < 2; ++round) {
    c.deliver(1, 2);
    c.deliver(2, 1);
  }
  ASSERT_EQ(c.core(1).commit(), LogIndex(3));
  ASSERT_LT(c.core(2).commit(), LogIndex(3));
  c.crash(1);
  c.start(1);
  c.elect(2);
  ASSERT_TRUE(c.core(2).is_leader());
  EXPECT_EQ(describe(c.core(2).configuration()), "voters 1,2");
}

TEST(OldBugs, Etcd12582AJointConfigurationIsLeftOnce) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.change(1, {.remove = {NodeId(3)}});
  c.settle();
  c.step_down(1);
  c.elect(1);
  c.advance(1s);
  EXPECT_EQ(c.core(1).counters().configurations_appended, 2U);
  EXPECT_EQ(describe(c.core(1).configuration()), "voters 1,2");
}

TEST(OldBugs, Dragonboat94ALearnerIsALearnerAfterASnapshot) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.change(1, {.learners = {CoreCluster::member(NodeId(4))}});
  c.settle();
  c.shorten(1);
  c.start(4);
  c.advance(300ms);
  ASSERT_TRUE(c.install(4, 1));
  EXPECT_EQ(describe(c.core(4).configuration()), "voters 1,2,3 learners 4");
  EXPECT_FALSE(c.campaign(4));
  c.tick_alone(4, 10s);
  EXPECT_EQ(c.core(4).role(), Role::kFollower);
}

/// Node 3 has missed all but the first entry, and node 1 has compacted what it missed.
CoreCluster overtaken() {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.isolate(3);
  for (const char* data : {"a", "b", "c"}) c.propose(1, data);
  c.settle();
  c.shorten(1);
  c.heal();
  return c;
}

TEST(OldBugs, HashicorpRaft212ACompactedIndexIsNeverAskedOfTheLog) {
  CoreCluster c = overtaken();
  const uint64_t reads = c.core(1).counters().log_reads;
  c.advance(5s);
  EXPECT_EQ(c.core(1).counters().log_reads, reads);
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 1U);
  EXPECT_EQ(c.core(1).status().peers[1].state, ProgressState::kSnapshot);
  c.install(3, 1);
  c.advance(200ms);
  EXPECT_EQ(c.core(1).status().peers[1].state, ProgressState::kReplicate);
}

TEST(OldBugs, Etcd10308AFollowerThatASnapshotBroughtUpToDateIsReplicatedTo) {
  CoreCluster c = overtaken();
  c.advance(200ms);
  c.install(3, 1);
  c.advance(200ms);
  const PeerStatus peer = c.core(1).status().peers[1];
  EXPECT_EQ(peer.match, c.core(1).log().last());
  EXPECT_EQ(peer.state, ProgressState::kReplicate);
}

TEST(OldBugs, Nebula1769ANodeThatWaitsForASnapshotDoesNotRefuseItAsACandidate) {
  CoreCluster c = overtaken();
  c.advance(200ms);
  c.campaign(3);
  ASSERT_EQ(c.core(3).role(), Role::kCandidate);
  // Another leader is elected in the very term in which it stands.
  c.step(3, snapshot_offer(2, 3, c.core(3).term().value, 4, 1));
  EXPECT_EQ(c.core(3).role(), Role::kFollower);
  EXPECT_EQ(c.core(3).leader(), NodeId(2));
  EXPECT_EQ(c.node(3).offers.back().from, NodeId(2));
}

TEST(OldBugs, Nebula1769ANodeThatWaitsForASnapshotEndsUpWithIt) {
  CoreCluster c = overtaken();
  for (int round = 0; round < 20; ++round) {
    c.campaign(3);
    c.advance(1s);
    if (c.node(3).offers.empty()) continue;
    c.install(3, static_cast<int>(c.node(3).offers.back().from.value));
  }
  c.advance(2s);
  EXPECT_EQ(c.commands(3), (std::vector<std::string>{"a", "b", "c"}));
}

}  // namespace
}  // namespace holdfast::raft::testing
