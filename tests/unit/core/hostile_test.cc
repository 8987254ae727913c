// Messages that no correct server sends: dropped and counted, or a violation that stops the node;
// never a crash.
#include <gtest/gtest.h>

#include <limits>

#include "base/entropy.h"
#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;
using Kind = Violation::Kind;

CoreCluster led() {
  CoreCluster c = CoreCluster::of(3);
  c.elect(1);
  c.propose(1, "a");
  c.settle();
  return c;
}

TEST(Hostile, UnknownSendersOtherReceiversAndOtherGroupsAreIgnored) {
  CoreCluster c = led();
  c.step(2, append_ack(9, 2, 50, 1));
  c.step(2, message(MT::kReadIndexRequest, 9, 2, 50));
  EXPECT_EQ(c.core(2).counters().ignored_unknown_sender, 2U);
  c.step(2, heartbeat(3, 1, 50, 1));
  c.step(2, heartbeat(2, 2, 50, 1));
  Message other_group = heartbeat(3, 2, 50, 1);
  other_group.group = GroupId(2);
  c.step(2, other_group);
  EXPECT_EQ(c.core(2).counters().ignored_misaddressed, 3U);
  EXPECT_EQ(c.core(2).term(), Term(1));
}

TEST(Hostile, OffersAndAnswersThatNameNoEntryAreMalformed) {
  CoreCluster c = led();
  c.step(2, message(MT::kSnapshotRequest, 1, 2, 1));
  c.step(2, snapshot_offer(1, 2, 1, 5, 0));
  c.step(2, snapshot_offer(1, 2, 1, 0, 1));
  c.step(2, snapshot_offer(1, 2, 1, 5, 2));
  Message with_entries = snapshot_offer(1, 2, 1, 1, 1);
  with_entries.entries = {entry(2, 1)};
  c.step(2, with_entries);
  EXPECT_EQ(c.core(2).counters().ignored_malformed, 5U);
  c.step(1, message(MT::kSnapshotResponse, 2, 1, 1));
  Message refused = snapshot_answer(2, 1, 1, 1);
  refused.reject = true;
  c.step(1, refused);
  EXPECT_EQ(c.core(1).counters().ignored_malformed, 2U);
  EXPECT_TRUE(c.node(2).offers.empty());
  EXPECT_FALSE(c.core(1).inert());
}

TEST(Hostile, AnAnswerBeyondTheLogIsMalformedAndOneThatNobodyAskedForIsStale) {
  CoreCluster c = led();
  c.step(1, snapshot_answer(2, 1, 1, 3));
  EXPECT_EQ(c.core(1).counters().ignored_malformed, 1U);
  for (int id : {1, 2}) {
    const uint64_t before = c.core(id).counters().ignored_stale;
    c.step(id, snapshot_answer(3 - id, id, 1, 2));
    EXPECT_EQ(c.core(id).counters().ignored_stale, before + 1);
  }
}

TEST(Hostile, AnOfferThatNamesAnotherTermOfACommittedEntryStopsTheNode) {
  CoreCluster c = led();
  ASSERT_EQ(c.core(2).commit(), LogIndex(2));
  c.step(2, snapshot_offer(3, 2, 5, 2, 4));
  ASSERT_TRUE(c.node(2).violation.has_value());
  EXPECT_EQ(c.node(2).violation->kind, Kind::kCommittedConflict);
}

TEST(Hostile, AnAppendThatNamesAnotherTermOfTheLastCompactedEntryStopsTheNode) {
  CoreCluster c = led();
  c.shorten(2);
  ASSERT_EQ(c.core(2).log().first(), LogIndex(3));
  c.step(2, append(3, 2, 5, 1, 1, 0, {entry(2, 5)}));
  ASSERT_TRUE(c.node(2).violation.has_value());
  EXPECT_EQ(c.node(2).violation->kind, Kind::kCommittedConflict);
}

TEST(Hostile, ASecondLeaderOfOneTermStopsTheNode) {
  // camunda #1068, NuRaft #531: two leaders in one term were silently tolerated.
  for (const Message& claim : {append(3, 2, 1, 0, 0, 0), heartbeat(3, 2, 1, 1)}) {
    CoreCluster c = led();
    c.step(2, claim);
    ASSERT_TRUE(c.node(2).violation.has_value());
    EXPECT_EQ(c.node(2).violation->kind, Kind::kTwoLeaders);
    EXPECT_EQ(c.node(2).violation->from, NodeId(3));
  }
}

TEST(Hostile, ALeaderThatMeetsARivalOfItsTermStops) {
  for (Message claim : {append(3, 1, 1, 0, 0, 0), heartbeat(3, 1, 1, 1),
                        message(MT::kTimeoutNow, 3, 1, 1), snapshot_offer(3, 1, 1, 1, 1)}) {
    CoreCluster c = led();
    c.step(1, claim);
    ASSERT_TRUE(c.node(1).violation.has_value());
    EXPECT_EQ(c.node(1).violation->kind, Kind::kTwoLeaders);
  }
}

TEST(Hostile, WhoLedTheTermBeforeSteppingDownAcceptsNoOtherLeaderInIt) {
  CoreCluster c = led();
  c.step_down(1);
  c.step(1, heartbeat(3, 1, 1, 1));
  EXPECT_TRUE(c.node(1).violation.has_value());
}

TEST(Hostile, AnotherEntryAtACommittedIndexStopsTheNode) {
  CoreCluster c = led();
  ASSERT_EQ(c.core(2).commit(), LogIndex(2));
  c.step(2, append(3, 2, 5, 1, 1, 0, {entry(2, 5)}));
  ASSERT_TRUE(c.node(2).violation.has_value());
  EXPECT_EQ(c.node(2).violation->kind, Kind::kCommittedConflict);
  EXPECT_EQ(c.node(2).violation->index, LogIndex(2));
}

TEST(Hostile, AnotherTermBeforeACommittedIndexStopsTheNode) {
  CoreCluster c = led();
  c.step(2, append(3, 2, 5, 2, 4, 0));
  ASSERT_TRUE(c.node(2).violation.has_value());
  EXPECT_EQ(c.node(2).violation->kind, Kind::kCommittedConflict);
}

TEST(Hostile, AnAcknowledgedEntryThatIsGoneStopsTheNode) {
  // etcd #20269, #21178: a node back under its old id with an empty disk panicked. A disk that is
  // rolled back below what a peer remembers is named, and refused.
  CoreCluster c = led();
  c.crash(2);
  c.node(2).disk = MemoryLog();
  c.start(2);
  c.advance(200ms);
  ASSERT_TRUE(c.node(2).violation.has_value());
  EXPECT_EQ(c.node(2).violation->kind, Kind::kLostEntries);
  EXPECT_EQ(c.node(2).violation->index, LogIndex(2));
}

// Raft orders logs by their terms first: an old one may be the longer one.
TEST(Hostile, AnOlderEntryInThePlaceOfAnAcknowledgedOneStopsTheNode) {
  Config config;
  config.pre_vote = config.check_quorum = false;
  CoreCluster c = CoreCluster::of(3, config);
  c.elect(1);
  c.isolate(1);
  for (int i = 0; i < 5; ++i) c.propose(1, "never committed");
  c.settle();
  const MemoryLog image = c.node(1).disk;
  c.elect(2);
  c.propose(2, "b");
  c.settle();
  c.heal();
  c.advance(200ms);
  ASSERT_TRUE(c.core(2).is_leader());
  const RaftStatus status = c.core(2).status();
  ASSERT_EQ(status.peers[0].match, c.core(2).log().last());
  ASSERT_LT(c.core(2).log().last(), LogIndex(7));
  c.crash(1);
  c.node(1).disk = image;
  c.start(1);
  c.advance(200ms);
  ASSERT_TRUE(c.node(1).violation.has_value());
  EXPECT_EQ(c.node(1).violation->kind, Kind::kLostEntries);
}

TEST(Hostile, AStoppedCoreDoesNothingMore) {
  CoreCluster c = led();
  c.step(2, heartbeat(3, 2, 1, 1));
  ASSERT_TRUE(c.core(2).inert());
  c.step(2, vote_request(3, 2, 9, 9, 8));
  c.read(2, 1);
  c.tick_alone(2, 10s);
  EXPECT_EQ(c.core(2).term(), Term(1));
  EXPECT_FALSE(c.core(2).has_ready());
  EXPECT_EQ(c.core(2).next_wakeup(), Instant::max());
  EXPECT_EQ(c.propose(2, "x").outcome, ProposeResult::Outcome::kNotLeader);
}

TEST(Hostile, EveryViolationNamesWhoWhenAndWhere) {
  const Violation two{Kind::kTwoLeaders, NodeId(3), Term(7), LogIndex()};
  EXPECT_EQ(two.text(), "node 3 claims to lead in term 7, which another node leads");
  const Violation conflict{Kind::kCommittedConflict, NodeId(3), Term(7), LogIndex(12)};
  EXPECT_EQ(conflict.text(), "node 3 sent in term 7 another entry for committed index 12");
  const Violation lost{Kind::kLostEntries, NodeId(3), Term(7), LogIndex(12)};
  EXPECT_NE(lost.text().find("index 12"), std::string::npos);
}

TEST(Hostile, AnAcknowledgementOfWhatTheLeaderDoesNotHaveIsIgnored) {
  CoreCluster c = led();
  c.step(1, append_ack(2, 1, 1, 1000));
  EXPECT_EQ(c.core(1).counters().ignored_malformed, 1U);
  EXPECT_EQ(c.core(1).status().peers[0].match, LogIndex(2));
}

TEST(Hostile, AnAnswerToARoundThatWasNeverSentIsIgnored) {
  CoreCluster c = led();
  c.isolate(1);
  c.read(1, 1);
  Message m = message(MT::kHeartbeatResponse, 2, 1, 1);
  m.round = 1'000'000;
  c.step(1, m);
  EXPECT_TRUE(c.node(1).reads.empty());
}

TEST(Hostile, ARejectionBelowWhatIsKnownToMatchIsStale) {
  CoreCluster c = led();
  Message m = message(MT::kAppendResponse, 2, 1, 1);
  m.reject = true;
  m.index = LogIndex(1);
  c.step(1, m);
  EXPECT_EQ(c.core(1).status().peers[0].state, ProgressState::kReplicate);
}

TEST(Hostile, VotesOfNonVotersDoNotElect) {
  CoreCluster c(Configuration{.voters = {NodeId(1), NodeId(2)}, .learners = {NodeId(3)}});
  c.start(1);
  c.campaign(1);
  c.step(1, message(MT::kPreVoteResponse, 2, 1, 1));
  c.step(1, message(MT::kVoteResponse, 3, 1, 1));
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
}

/// A message with any numbers at all in it.
Message noise(SplitMix& random, int to) {
  const auto number = [&random]() -> uint64_t {
    switch (random.below(6)) {
      case 0:
        return std::numeric_limits<uint64_t>::max() - random.below(3);
      case 1:
        return uint64_t{1} << random.below(64);
      default:
        return random.below(6);
    }
  };
  Message m;
  m.type = static_cast<MT>(random.below(15));
  m.from = NodeId(random.below(5));
  m.to = NodeId(static_cast<uint64_t>(to));
  m.term = Term(number());
  m.index = LogIndex(number());
  m.log_term = Term(number());
  m.commit = LogIndex(number());
  m.hint = LogIndex(number());
  m.round = number();
  m.context = number();
  m.reject = random.below(2) == 0;
  m.transfer = random.below(2) == 0;
  for (uint64_t i = random.below(4); i > 0; --i) {
    m.entries.push_back(entry(m.index.value + i, number()));
  }
  return m;
}

TEST(Hostile, NoMessageCrashesACoreOrBreaksItsOwnState) {
  SplitMix random(42);
  for (int round = 0; round < 300; ++round) {
    CoreCluster c = led();
    const int victim = 1 + static_cast<int>(random.below(3));
    NodeInvariants invariants;
    Raft& raft = c.core(victim);
    Ready ready;
    for (int i = 0; i < 100; ++i) {
      raft.step(noise(random, victim), c.node(victim).clock += 1ms);
      while (raft.has_ready()) {
        raft.take_ready(ready);
        if (ready.write) raft.persisted(ready.write.number, c.node(victim).clock);
        if (!ready.committed.empty()) raft.applied(ready.committed.back().index);
      }
      ASSERT_EQ(invariants.check(raft), std::nullopt) << "round " << round << " message " << i;
    }
  }
}

}  // namespace
}  // namespace holdfast::raft::testing
