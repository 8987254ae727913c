// Linearizable reads by ReadIndex (dissertation 6.4).
#include <gtest/gtest.h>

#include <set>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

CoreCluster led(Config config = {}) {
  CoreCluster c = CoreCluster::of(3, config);
  c.elect(1);
  return c;
}

std::vector<uint64_t> contexts(const std::vector<ReadResult>& reads) {
  std::vector<uint64_t> all;
  for (const ReadResult& read : reads) all.push_back(read.context);
  return all;
}

TEST(ReadIndex, IsAnsweredAfterAQuorumAnsweredARoundSentLater) {
  CoreCluster c = led();
  c.read(1, 7);
  EXPECT_TRUE(c.node(1).reads.empty());
  c.deliver(1, 2);
  c.deliver(2, 1);
  EXPECT_EQ(c.node(1).reads, (std::vector<ReadResult>{{7, LogIndex(1)}}));
}

TEST(ReadIndex, AnswersToAnEarlierRoundDoNotCount) {
  CoreCluster c = led();
  c.tick_alone(1, 100ms);
  c.deliver(1, 2);
  c.deliver(1, 3);
  c.read(1, 7);
  c.drop(CoreCluster::link(1, 2));
  c.drop(CoreCluster::link(1, 3));
  c.deliver(2, 1);
  c.deliver(3, 1);
  EXPECT_TRUE(c.node(1).reads.empty());
}

TEST(ReadIndex, OneRoundServesAllThatWaited) {
  CoreCluster c = led();
  Raft& raft = c.core(1);
  for (uint64_t context : {1, 2, 3}) raft.read_index(context, c.node(1).clock);
  c.pump(1);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2)), 1U);
  c.settle();
  EXPECT_EQ(contexts(c.node(1).reads), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(raft.counters().read_rounds, 1U);
}

TEST(ReadIndex, WhatArrivesDuringARoundGoesWithTheNext) {
  CoreCluster c = led();
  c.read(1, 1);
  c.read(1, 2);
  c.read(1, 3);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2)), 1U);
  c.deliver(1, 2);
  c.deliver(2, 1);
  EXPECT_EQ(contexts(c.node(1).reads), (std::vector<uint64_t>{1}));
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2)), 1U);
  c.settle();
  EXPECT_EQ(c.core(1).counters().read_rounds, 2U);
  EXPECT_EQ(c.node(1).reads.size(), 3U);
}

TEST(ReadIndex, ALostRoundIsMadeUpForByTheNextHeartbeat) {
  CoreCluster c = led();
  c.read(1, 1);
  c.take([](const Message&) { return true; });
  c.advance(100ms);
  EXPECT_EQ(contexts(c.node(1).reads), (std::vector<uint64_t>{1}));
}

TEST(ReadIndex, WaitsForAnEntryOfTheLeadersOwnTerm) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.drop(CoreCluster::link(1, 3));
  c.deliver(1, 2);
  c.deliver(2, 1);  // committed, and acknowledged to a client
  c.take([](const Message&) { return true; });
  ASSERT_EQ(c.core(1).commit(), LogIndex(2));
  c.crash(1);
  c.core(3).step_down(c.node(3).clock);
  c.advance(600ms);
  c.campaign(2);
  c.deliver(2, 3);
  c.deliver(3, 2);
  c.deliver(2, 3);
  c.deliver(3, 2);
  ASSERT_TRUE(c.core(2).is_leader());
  c.read(2, 9);
  c.deliver([](const Message& m) { return m.type == MT::kHeartbeatRequest; });
  EXPECT_LT(c.core(2).commit(), LogIndex(2));
  EXPECT_TRUE(c.node(2).reads.empty());
  c.settle();
  ASSERT_EQ(c.node(2).reads.size(), 1U);
  EXPECT_GE(c.node(2).reads[0].index, LogIndex(2));
}

TEST(ReadIndex, ADeposedLeaderFailsWhatWaited) {
  CoreCluster c = led();
  c.isolate(1);
  c.read(1, 1);
  c.read(1, 2);
  c.advance(2s);
  EXPECT_FALSE(c.core(1).is_leader());
  EXPECT_EQ(c.node(1).failed_reads, (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(c.node(1).reads.empty());
}

TEST(ReadIndex, AnOldLeaderInAMinorityNeverAnswers) {
  // etcd 0.4.1, redisraft #19, dqlite #258: the leader answered locally, without a quorum.
  CoreCluster c = led();
  c.isolate(1);
  c.advance(800ms);
  const int other = c.leader();
  ASSERT_NE(other, 1);
  ASSERT_TRUE(c.core(1).is_leader());
  c.propose(other, "new");
  c.settle();
  c.read(1, 5);
  c.advance(2s);
  EXPECT_TRUE(c.node(1).reads.empty());
  EXPECT_EQ(c.node(1).failed_reads.size(), 1U);
}

TEST(ReadIndex, AFollowerAsksTheLeader) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.drop(CoreCluster::link(1, 3));
  c.deliver(1, 2);
  c.deliver(2, 1);
  c.take([](const Message&) { return true; });
  ASSERT_EQ(c.core(3).log().last(), LogIndex(1));  // 3 is behind
  c.read(3, 4);
  c.settle();
  EXPECT_EQ(c.node(3).reads, (std::vector<ReadResult>{{4, LogIndex(2)}}));
}

TEST(ReadIndex, OneRequestCarriesAllThatWaitOnAFollower) {
  CoreCluster c = led();
  for (uint64_t context = 1; context <= 5; ++context) c.read(3, context);
  EXPECT_EQ(c.in_flight(CoreCluster::link(3, 1, MT::kReadIndexRequest)), 1U);
  c.settle();
  EXPECT_EQ(c.node(3).reads.size(), 5U);
  EXPECT_EQ(c.core(3).status().pending_reads, 0U);
}

TEST(ReadIndex, ALostRequestIsRetriedUnderANewId) {
  CoreCluster c = led();
  c.read(3, 4);
  const std::vector<Message> first = c.take(CoreCluster::link(3, 1));
  ASSERT_EQ(first.size(), 1U);
  std::vector<Message> second;
  for (int i = 0; i < 7 && second.empty(); ++i) {
    c.tick_alone(3, 100ms);
    c.step(3, heartbeat(1, 3, 1, 0));
    second = c.take(CoreCluster::link(3, 1, MT::kReadIndexRequest));
  }
  ASSERT_EQ(second.size(), 1U);
  EXPECT_NE(second[0].context, first[0].context);
  Message stale = message(MT::kReadIndexResponse, 1, 3, 1);
  stale.context = first[0].context;
  c.step(3, stale);
  EXPECT_TRUE(c.node(3).reads.empty());
  c.step(1, second[0]);
  c.settle();
  EXPECT_EQ(c.node(3).reads.size(), 1U);
}

TEST(ReadIndex, AnAnswerToAFormerIncarnationIsNotTaken) {
  CoreCluster c = led();
  std::set<uint64_t> ids;
  for (int i = 0; i < 5; ++i) {
    c.read(3, 4);
    for (const Message& m : c.take(CoreCluster::link(3, 1))) ids.insert(m.context);
    c.crash(3);
    c.start(3);
    c.step(3, heartbeat(1, 3, 1, 0));
  }
  EXPECT_EQ(ids.size(), 5U);
}

TEST(ReadIndex, WithoutALeaderItFailsAtOnce) {
  CoreCluster c = CoreCluster::of(3);
  c.read(2, 4);
  EXPECT_EQ(c.node(2).failed_reads, (std::vector<uint64_t>{4}));
}

TEST(ReadIndex, AFollowerThatLosesItsLeaderFailsWhatWaited) {
  CoreCluster c = led();
  c.read(2, 4);
  c.unreachable(2, 1, Evidence::kRefused);
  EXPECT_EQ(c.node(2).failed_reads, (std::vector<uint64_t>{4}));
}

TEST(ReadIndex, WhoDoesNotLeadRefusesARequest) {
  CoreCluster c = led();
  Message request = message(MT::kReadIndexRequest, 3, 2, 1);
  request.context = 11;
  c.step(2, request);
  const std::vector<Message> sent = c.take(CoreCluster::link(2, 3));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(sent[0].reject);
  EXPECT_EQ(sent[0].context, 11U);
}

TEST(ReadIndex, ARefusalFailsTheReadsOfThatRequestOnly) {
  CoreCluster c = led();
  c.read(3, 1);
  const std::vector<Message> asked = c.take(CoreCluster::link(3, 1));
  c.read(3, 2);
  Message refusal = message(MT::kReadIndexResponse, 1, 3, 1);
  refusal.context = asked.at(0).context;
  refusal.reject = true;
  c.step(3, refusal);
  EXPECT_EQ(c.node(3).failed_reads, (std::vector<uint64_t>{1}));
  c.settle();
  EXPECT_EQ(contexts(c.node(3).reads), (std::vector<uint64_t>{2}));
}

TEST(ReadIndex, ALearnerMayAskToo) {
  CoreCluster c(Configuration{.voters = {NodeId(1)}, .learners = {NodeId(2)}});
  c.start(1);
  c.start(2);
  c.advance(200ms);
  c.read(2, 3);
  c.settle();
  EXPECT_EQ(c.node(2).reads.size(), 1U);
}

TEST(ReadIndex, ALoneVoterAnswersAtOnce) {
  CoreCluster c = CoreCluster::of(1);
  c.tick(1);
  c.read(1, 3);
  EXPECT_EQ(c.node(1).reads.size(), 1U);
}

TEST(ReadIndex, ALoneVoterAnswersWhatAHeartbeatTookAlong) {
  CoreCluster c = CoreCluster::of(1);
  c.tick(1);
  Raft& raft = c.core(1);
  raft.read_index(3, c.node(1).clock);
  raft.tick(c.node(1).clock + raft.config().heartbeat_interval);
  c.pump(1);
  EXPECT_EQ(contexts(c.node(1).reads), (std::vector<uint64_t>{3}));
  c.read(1, 4);
  EXPECT_EQ(c.node(1).reads.size(), 2U);
}

TEST(ReadIndex, BeyondTheLimitReadsFailAtOnce) {
  Config config;
  config.max_pending_reads = 2;
  CoreCluster c = led(config);
  c.isolate(1);
  for (uint64_t context : {1, 2, 3}) c.read(1, context);
  EXPECT_EQ(c.node(1).failed_reads, (std::vector<uint64_t>{3}));
  EXPECT_EQ(c.core(1).status().pending_reads, 2U);
}

}  // namespace
}  // namespace holdfast::raft::testing
