// Replication: probing, pipelining, caps, batching, conflicts, commit.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

/// 1 leads 2 and 3, everything settled.
CoreCluster led(Config config = {}) {
  CoreCluster c = CoreCluster::of(3, config);
  c.elect(1);
  return c;
}

PeerStatus peer(CoreCluster& c, int id) {
  for (const PeerStatus& p : c.core(1).status().peers) {
    if (p.id == NodeId(static_cast<uint64_t>(id))) return p;
  }
  return {};
}

std::vector<Message> appends_to(CoreCluster& c, int id) {
  return c.take(CoreCluster::link(1, id, MT::kAppendRequest));
}

TEST(Replication, ANewLeaderProbesThenPipelines) {
  CoreCluster c = CoreCluster::of(3);
  c.campaign(1);
  c.deliver(1, 2);
  c.deliver(2, 1);
  c.deliver(1, 2);
  c.deliver(2, 1);
  ASSERT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(peer(c, 2).state, ProgressState::kProbe);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  c.propose(1, "a");  // a probe is one append at a time
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  c.settle();
  EXPECT_EQ(peer(c, 2).state, ProgressState::kReplicate);
  EXPECT_EQ(peer(c, 2).match, LogIndex(2));
  EXPECT_EQ(peer(c, 2).next, LogIndex(3));
}

TEST(Replication, AnAppendLeavesAtOnceWhenNoneIsInFlight) {
  CoreCluster c = led();
  c.propose(1, "a");
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 3, MT::kAppendRequest)), 1U);
}

TEST(Replication, WhileOneIsInFlightProposalsGatherUntilItsAcknowledgement) {
  CoreCluster c = led();
  for (const char* data : {"a", "b", "c"}) c.propose(1, data);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  c.deliver(1, 2);
  c.deliver(2, 1);
  const std::vector<Message> sent = appends_to(c, 2);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].entries.size(), 2U);
}

TEST(Replication, AFullBatchDoesNotWaitForTheAcknowledgement) {
  Config config;
  config.max_append_bytes = 1000;
  CoreCluster c = led(config);
  c.propose(1, "a");
  c.propose(1, std::string(800, 'b'));
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  c.propose(1, std::string(200, 'c'));
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 2U);
}

TEST(Replication, OneReadyCarriesAtMostOneAppendAPeer) {
  Config config;
  config.max_append_bytes = 100;
  config.max_catchup_bytes = 150;
  CoreCluster c = led(config);
  Raft& leader = c.core(1);
  for (int i = 0; i < 5; ++i) {
    const std::vector<Proposal> one = {{EntryType::kCommand, Blob(std::string(100, 'x'))}};
    leader.propose(one, false, c.node(1).clock);
  }
  Ready ready;
  leader.take_ready(ready);
  EXPECT_EQ(ready.messages.size(), 2U);
  EXPECT_EQ(ready.write.entries.size(), 5U);
  EXPECT_TRUE(leader.has_ready());
}

TEST(Replication, APeerFurtherBehindGetsLargerAppends) {
  Config config;
  config.max_append_bytes = 200;
  config.max_catchup_bytes = 1000;
  CoreCluster c = led(config);
  std::vector<Proposal> many(50, {EntryType::kCommand, Blob(std::string(68, 'x'))});
  c.propose_all(1, many);
  const std::vector<Message> sent = appends_to(c, 2);
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].entries.size(), 10U);
}

TEST(Replication, AnEntryLargerThanABatchStillTravels) {
  Config config;
  config.max_append_bytes = 100;
  config.max_catchup_bytes = 100;
  CoreCluster c = led(config);
  c.propose(1, std::string(5000, 'x'));
  c.settle();
  EXPECT_EQ(c.commands(3).size(), 1U);
}

TEST(Replication, KeepsTheCapOnMessagesInFlightHoweverLongThePeerIsSilent) {
  Config config;
  config.max_inflight_messages = 3;
  config.max_append_bytes = 64;
  config.max_catchup_bytes = 64;
  config.check_quorum = false;
  CoreCluster c = led(config);
  for (int i = 0; i < 20; ++i) c.propose(1, std::string(64, 'x'));
  EXPECT_EQ(peer(c, 2).inflight, 3U);
  EXPECT_EQ(appends_to(c, 2).size(), 3U);
  for (int i = 0; i < 50; ++i) c.tick_alone(1, 100ms);
  EXPECT_EQ(peer(c, 2).inflight, 3U);
  EXPECT_EQ(appends_to(c, 2).size(), 0U);
  EXPECT_GT(c.core(1).counters().inflight_full, 0U);
}

TEST(Replication, KeepsTheCapOnBytesInFlight) {
  Config config;
  config.max_inflight_bytes = 1000;
  config.max_append_bytes = 300;
  config.max_catchup_bytes = 300;
  CoreCluster c = led(config);
  for (int i = 0; i < 50; ++i) c.propose(1, std::string(68, 'x'));
  EXPECT_LE(peer(c, 2).inflight_bytes, 1000U);
  EXPECT_GE(peer(c, 2).inflight_bytes, 900U);
  c.settle();
  EXPECT_EQ(c.commands(2).size(), 50U);
}

TEST(Replication, ALostAppendIsFoundByTheNextHeartbeat) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.drop(CoreCluster::link(1, 2));
  c.drop(CoreCluster::link(1, 3));
  c.advance(110ms);
  EXPECT_EQ(c.commands(2), std::vector<std::string>{"a"});
}

TEST(Replication, AGapInThePipelineIsFilled) {
  Config config;
  config.max_append_bytes = 64;
  config.max_catchup_bytes = 64;
  CoreCluster c = led(config);
  for (int i = 0; i < 4; ++i) c.propose(1, std::string(64, 'x'));
  c.drop(CoreCluster::link(1, 2), 1);
  c.settle();
  EXPECT_EQ(peer(c, 2).match, LogIndex(5));
  EXPECT_GT(c.core(2).counters().appends_rejected, 0U);
}

TEST(Replication, ABrokenConnectionIsProbedAtOnce) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.drop(CoreCluster::link(1, 2));
  c.unreachable(1, 2, Evidence::kDisconnected);
  EXPECT_EQ(peer(c, 2).state, ProgressState::kProbe);
  c.settle();
  EXPECT_EQ(peer(c, 2).state, ProgressState::kReplicate);
  EXPECT_EQ(peer(c, 2).match, LogIndex(2));
}

TEST(Replication, AnIdleFollowerLearnsTheCommitIndexAtOnce) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.settle();  // no time passes
  EXPECT_EQ(c.core(2).commit(), LogIndex(2));
  EXPECT_EQ(c.core(3).commit(), LogIndex(2));
}

TEST(Replication, ACommitNoticeAsksForNoAnswer) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.deliver(1, 2);
  c.deliver(2, 1);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2)), 1U);
  c.deliver(1, 2);
  EXPECT_EQ(c.core(2).commit(), LogIndex(2));
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 1)), 0U);
}

TEST(Replication, TheLeadersDiskWorksInParallelWithTheFollowers) {
  CoreCluster c = led();
  c.auto_persist = false;
  c.propose(1, "a");
  c.deliver(1, 2);
  c.deliver(1, 3);
  c.persist(2);
  c.persist(3);
  c.settle();
  EXPECT_EQ(c.core(1).commit(), LogIndex(2));  // two followers are a quorum
  EXPECT_EQ(c.core(1).log().durable(), LogIndex(1));
}

TEST(Replication, TheLeaderCountsItselfOnlyWhenDurable) {
  CoreCluster c = led();
  c.auto_persist = false;
  c.isolate(3);
  c.propose(1, "a");
  c.deliver(1, 2);
  c.persist(2);
  c.settle();
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
  c.persist(1);
  EXPECT_EQ(c.core(1).commit(), LogIndex(2));
}

TEST(Replication, ASlowDiskDelaysNoHeartbeat) {
  CoreCluster c = led();
  c.auto_persist = false;
  c.propose(1, "a");
  c.take([](const Message&) { return true; });
  c.tick_alone(1, 100ms);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kHeartbeatRequest)), 1U);
  c.deliver(CoreCluster::link(1, 2, MT::kHeartbeatRequest));
  EXPECT_EQ(c.in_flight(CoreCluster::link(2, 1, MT::kHeartbeatResponse)), 1U);
}

TEST(Replication, ConflictsAreSkippedByWholeTerms) {
  // 2 has 300 entries of term 2 that nobody committed; 1 leads term 3 with as many of term 1.
  CoreCluster c = CoreCluster::of(2);
  for (uint64_t i = 1; i <= 300; ++i) {
    c.step(1, append(2, 1, 1, i - 1, i == 1 ? 0 : 1, 0, {entry(i, 1, "mine")}));
  }
  c.step(2, append(1, 2, 2, 0, 0, 0, {entry(1, 1, "mine")}));
  for (uint64_t i = 2; i <= 300; ++i) {
    c.step(2, append(1, 2, 2, i - 1, i == 2 ? 1 : 2, 0, {entry(i, 2, "theirs")}));
  }
  c.take([](const Message&) { return true; });
  c.step(1, vote_request(2, 1, 3, 0, 0));  // 1 is in term 3 now
  c.take([](const Message&) { return true; });
  Message transfer = message(MT::kTimeoutNow, 2, 1, 3);
  c.step(1, heartbeat(2, 1, 3, 1));
  c.step(1, transfer);
  Message grant = message(MT::kVoteResponse, 2, 1, 4);
  c.step(1, grant);
  ASSERT_TRUE(c.core(1).is_leader());
  c.drop(CoreCluster::link(1, 2, MT::kVoteRequest));
  c.settle();
  EXPECT_EQ(c.core(2).log().term_runs(), c.core(1).log().term_runs());
  EXPECT_LE(c.core(2).counters().appends_rejected, 3U);
}

TEST(Replication, AnOldShorterAppendTruncatesNothing) {
  CoreCluster c = CoreCluster::of(3);
  const Message old = append(1, 2, 1, 0, 0, 0, {entry(1, 1)});
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  c.step(2, old);
  EXPECT_EQ(c.core(2).log().last(), LogIndex(3));
}

TEST(Replication, AFollowerFarBehindIsServedThroughTheLogReader) {
  Config config;
  config.window_bytes = 0;
  config.max_append_bytes = 200;
  config.max_catchup_bytes = 400;
  CoreCluster c = led(config);
  c.isolate(3);
  for (int i = 0; i < 100; ++i) {
    c.propose(1, std::to_string(i));
    c.settle();
  }
  c.heal();
  c.node(1).disk.available = false;
  c.advance(200ms);
  EXPECT_LT(c.core(3).log().last(), LogIndex(100));
  c.node(1).disk.available = true;
  c.core(1).entries_available();
  c.pump(1);
  c.settle();
  EXPECT_EQ(c.commands(3), c.commands(1));
}

TEST(Replication, InSteadyStateTheLogReaderIsNotCalled) {
  CoreCluster c = led();
  for (int i = 0; i < 100; ++i) {
    c.propose(1, std::string(1000, 'x'));
    c.settle();
  }
  for (int id : c.ids()) EXPECT_EQ(c.core(id).counters().log_reads, 0U) << id;
}

TEST(Replication, ARestartedNodeReplaysItsLogInBoundedSteps) {
  Config config;
  config.max_committed_bytes = 300;
  CoreCluster c = led(config);
  for (int i = 0; i < 50; ++i) c.propose(1, std::to_string(i));
  c.settle();
  c.crash(2);
  c.node(2).disk.available = false;
  c.start(2);
  c.advance(200ms);
  EXPECT_TRUE(c.commands(2).empty());
  EXPECT_FALSE(c.core(2).has_ready());
  c.node(2).disk.available = true;
  c.advance(200ms);
  EXPECT_EQ(c.commands(2), c.commands(1));
  EXPECT_GT(c.core(2).counters().log_reads, 5U);
}

TEST(Propose, IsRefusedBeyondTheCapAndExemptOnesPass) {
  Config config;
  config.max_uncommitted_bytes = 1000;
  CoreCluster c = led(config);
  c.isolate(1);
  EXPECT_TRUE(c.propose(1, std::string(900, 'x')).accepted());
  EXPECT_EQ(c.propose(1, std::string(900, 'x')).outcome, ProposeResult::Outcome::kOverCap);
  EXPECT_TRUE(c.propose(1, std::string(900, 'x'), true).accepted());
  EXPECT_EQ(c.propose(1, "y").outcome, ProposeResult::Outcome::kOverCap);
  c.heal();
  c.advance(300ms);
  EXPECT_TRUE(c.propose(1, "y").accepted());
}

TEST(Propose, ABatchLargerThanTheCapPassesWhenNothingElseWaits) {
  Config config;
  config.max_uncommitted_bytes = 1000;
  CoreCluster c = led(config);
  EXPECT_TRUE(c.propose(1, std::string(5000, 'x')).accepted());
}

TEST(Propose, AcceptsAllOrNoneAndNamesIndexAndTerm) {
  Config config;
  config.max_uncommitted_bytes = 300;
  CoreCluster c = led(config);
  const Proposal p{EntryType::kCommand, Blob(std::string_view("x"))};
  const ProposeResult first = c.propose_all(1, {p, p, p});
  EXPECT_EQ(first.first, LogIndex(2));
  EXPECT_EQ(first.term, Term(1));
  EXPECT_EQ(c.propose_all(1, std::vector<Proposal>(20, p)).outcome,
            ProposeResult::Outcome::kOverCap);
  EXPECT_EQ(c.core(1).log().last(), LogIndex(4));
}

TEST(Propose, OnAFollowerNamesTheLeader) {
  CoreCluster c = led();
  const ProposeResult result = c.propose(2, "a");
  EXPECT_EQ(result.outcome, ProposeResult::Outcome::kNotLeader);
  EXPECT_EQ(result.leader, NodeId(1));
}

TEST(Propose, TakesCommandsOnly) {
  CoreCluster c = led();
  for (EntryType type : {EntryType::kNoop, EntryType::kConfiguration, EntryType::kGenesis}) {
    EXPECT_EQ(c.propose_all(1, {{type, Blob()}}).outcome, ProposeResult::Outcome::kUnsupported);
  }
}

TEST(Status, TellsPositionsRolesAndProgress) {
  CoreCluster c = led();
  c.propose(1, "abc");
  const RaftStatus s = c.core(1).status();
  EXPECT_EQ(s.id, NodeId(1));
  EXPECT_EQ(s.role, Role::kLeader);
  EXPECT_EQ(s.leader, NodeId(1));
  EXPECT_EQ(s.vote, NodeId(1));
  EXPECT_EQ(s.first, LogIndex(1));
  EXPECT_EQ(s.last, LogIndex(2));
  EXPECT_EQ(s.commit, LogIndex(1));
  EXPECT_EQ(s.applied, LogIndex(1));
  EXPECT_EQ(s.uncommitted_bytes, 3 + kEntryOverheadBytes);
  const PeerStatus expected{
      NodeId(2), LogIndex(1), LogIndex(3), ProgressState::kReplicate, 1, 3 + kEntryOverheadBytes,
      true};
  ASSERT_EQ(s.peers.size(), 2U);
  EXPECT_EQ(s.peers[0], expected);
}

}  // namespace
}  // namespace holdfast::raft::testing
