// The Raft paper's properties (dissertation figure 3.2, paper figure 3) and the rules of its
// sections 5.2 to 5.5 that make them hold, one test per sentence.
#include <gtest/gtest.h>

#include <set>

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

void drop_everything(CoreCluster& c) {
  c.take([](const Message&) { return true; });
}

// Election safety: at most one leader can be elected in a given term.
TEST(Figure32ElectionSafety, TwoCandidatesOfOneTermCannotBothWin) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SplitMix random(seed);
    CoreCluster c = CoreCluster::of(5, plain(), seed);
    c.campaign(1);
    c.campaign(2);
    while (!c.network().empty()) {  // the harness checks the property at every step
      const size_t at = random.below(c.network().size());
      const Message m = c.network()[at];
      c.network().erase(c.network().begin() + static_cast<ptrdiff_t>(at));
      c.step(static_cast<int>(m.to.value), m);
    }
    EXPECT_FALSE(c.core(1).is_leader() && c.core(2).is_leader());
  }
}

// 5.2: each server votes for at most one candidate in a given term, first come, first served.
TEST(Figure32ElectionSafety, AVoteGoesToTheFirstWhoAsks) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.step(3, vote_request(2, 3, 1, 0, 0));
  c.step(3, vote_request(1, 3, 1, 0, 0));
  EXPECT_EQ(c.core(3).vote(), NodeId(2));
}

// 5.2: a split vote ends, because timeouts are drawn at random.
TEST(Figure32ElectionSafety, SplitVotesAreResolvedByRandomTimeouts) {
  CoreCluster c = CoreCluster::of(4, plain());
  for (int id : {1, 2}) c.campaign(id);
  c.deliver(1, 3);
  c.deliver(2, 4);
  c.settle();
  ASSERT_EQ(c.leader(), 0);
  c.advance(10s);
  EXPECT_NE(c.leader(), 0);
}

// Leader append-only: a leader never overwrites or deletes entries in its log.
TEST(Figure32LeaderAppendOnly, AnswersOfFollowersNeverShortenTheLeadersLog) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.propose(1, "a");
  Message refusal = message(MT::kAppendResponse, 2, 1, 1);
  refusal.reject = true;
  refusal.index = LogIndex(2);
  refusal.hint = LogIndex(0);
  c.step(1, refusal);
  EXPECT_EQ(c.core(1).log().last(), LogIndex(2));
  EXPECT_EQ(c.core(1).log().window().at(LogIndex(2)).data.view(), "a");
}

// Log matching: same index and term means the same entry and the same log before it.
TEST(Figure32LogMatching, LogsOfFigure7BecomeTheLeaders) {
  // Paper, figure 7: the leader of term 8, and followers (a) to (f) behind, ahead and astray.
  const std::vector<std::vector<uint64_t>> logs = {{1, 1, 1, 4, 4, 5, 5, 6, 6, 6},
                                                   {1, 1, 1, 4, 4, 5, 5, 6, 6},
                                                   {1, 1, 1, 4},
                                                   {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
                                                   {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
                                                   {1, 1, 1, 4, 4, 4, 4},
                                                   {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}};
  Configuration configuration;
  for (uint64_t id = 1; id <= 7; ++id) configuration.voters.push_back(NodeId(id));
  CoreCluster c(configuration, plain());
  for (int id = 1; id <= 7; ++id) {
    c.start(id);
    c.crash(id);
    uint64_t index = 0;
    for (uint64_t term : logs[static_cast<size_t>(id - 1)]) {
      ++index;
      c.node(id).disk.log.push_back(entry(index, term, std::to_string(index * 100 + term)));
    }
    c.node(id).disk.hard_state = {Term(7), NodeId()};
    c.start(id);
  }
  c.campaign(1);
  c.settle();
  ASSERT_TRUE(c.core(1).is_leader());
  for (int id = 2; id <= 7; ++id) EXPECT_EQ(c.node(id).disk.log, c.node(1).disk.log) << id;
  EXPECT_EQ(c.core(7).commit(), LogIndex(11));
}

// 5.3: a leader creates at most one entry with a given index in a given term.
TEST(Figure32LogMatching, ALeaderUsesAnIndexOnceATerm) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  std::set<LogIndex> used;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(used.insert(c.propose(1, std::to_string(i)).first).second);
    if (i % 3 == 0) c.settle();
  }
}

// Leader completeness: a committed entry is present in the logs of all later leaders.
TEST(Figure32LeaderCompleteness, OnlyAHolderOfAllCommittedEntriesIsElected) {
  CoreCluster c = CoreCluster::of(5, plain());
  c.elect(1);
  c.isolate(4);
  c.isolate(5);
  c.propose(1, "committed");
  c.settle();
  ASSERT_EQ(c.commands(1).size(), 1U);
  c.heal();
  c.crash(1);
  for (int id : {4, 5}) {
    c.campaign(id);
    c.settle();
    EXPECT_FALSE(c.core(id).is_leader());
  }
  c.campaign(3);
  c.settle();
  ASSERT_TRUE(c.core(3).is_leader());
  for (int id : {2, 3, 4, 5})
    EXPECT_EQ(c.commands(id), std::vector<std::string>{"committed"}) << id;
}

// 5.4.1: up to date is first the later last term, then the longer log.
TEST(Figure32LeaderCompleteness, ALaterLastTermBeatsALongerLog) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  drop_everything(c);
  c.step(2, vote_request(3, 2, 4, 1, 2));
  EXPECT_EQ(c.core(2).vote(), NodeId(3));
}

// 5.4.2, figure 8: an entry of an earlier term on a majority may still be overwritten; only an
// entry of the leader's own term commits it.
TEST(Figure32LeaderCompleteness, Figure8AnOlderEntryOnAMajorityIsNotCommitted) {
  CoreCluster c = CoreCluster::of(5, plain());
  // (a) 1 leads term 2 and has replicated index 1 to 2 only.
  c.step(1, append(2, 1, 1, 0, 0, 0));
  drop_everything(c);
  c.campaign(1);
  for (int id : {2, 3, 4, 5}) c.deliver(1, id);
  for (int id : {2, 3, 4, 5}) c.deliver(id, 1);
  ASSERT_TRUE(c.core(1).is_leader());
  c.deliver(1, 2);
  drop_everything(c);
  // (b) 1 crashes; 5 is elected in term 3 by 3 and 4, and appends another entry at index 1.
  c.crash(1);
  c.campaign(5);
  for (int id : {3, 4}) c.deliver(5, id);
  for (int id : {3, 4}) c.deliver(id, 5);
  ASSERT_TRUE(c.core(5).is_leader());
  c.crash(5);
  drop_everything(c);
  // (c) 1 is elected again in term 4 and replicates its entry of term 2 to 3: a majority has it.
  c.start(1);
  for (int attempt = 0; attempt < 2; ++attempt) {  // term 3 is taken; the next is 4
    c.campaign(1);
    for (int id : {2, 3, 4}) c.deliver(1, id);
    for (int id : {2, 3, 4}) c.deliver(id, 1);
    if (c.core(1).is_leader()) break;
  }
  ASSERT_TRUE(c.core(1).is_leader());
  c.drop([](const Message& m) { return m.to == NodeId(2) || m.to == NodeId(4); });
  Message whole = append(1, 3, c.core(1).term().value, 0, 0, 0);
  whole.entries = {c.core(1).log().window().contains(LogIndex(1))
                       ? c.core(1).log().window().at(LogIndex(1))
                       : c.node(1).disk.log.at(0)};
  drop_everything(c);
  c.step(3, whole);
  c.step(1, append_ack(2, 1, c.core(1).term().value, 1));
  c.deliver(3, 1);
  EXPECT_EQ(c.core(1).commit(), LogIndex(0));
  // (d) 1 crashes, 5 is elected and overwrites it everywhere: allowed, nothing was committed.
  drop_everything(c);
  c.crash(1);
  c.start(5);
  while (!c.core(5).is_leader()) c.elect(5);
  c.settle();
  EXPECT_EQ(c.core(2).log().term(LogIndex(1)), Term(3));
}

TEST(Figure32LeaderCompleteness, Figure8AnEntryOfTheOwnTermCommitsAllBefore) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.isolate(1);
  c.propose(1, "old");
  c.heal();
  c.drop([](const Message&) { return true; });
  c.crash(1);
  c.start(1);
  c.elect(1);
  ASSERT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(c.commands(3), std::vector<std::string>{"old"});
}

// State machine safety: no server applies a different entry for an index that another applied.
TEST(Figure32StateMachineSafety, AllServersApplyTheSameSequenceOverChangesOfLeader) {
  CoreCluster c = CoreCluster::of(5, plain());
  int number = 0;
  for (int leader : {1, 2, 3, 4, 5, 1, 3}) {
    while (!c.core(leader).is_leader()) c.elect(leader);
    c.propose(leader, std::to_string(++number));
    c.isolate(leader);
    c.propose(leader, "never");  // reaches nobody
    c.settle();
    c.heal();
    drop_everything(c);
  }
  while (!c.core(2).is_leader()) c.elect(2);
  c.advance(1s);
  for (int id : {1, 3, 4, 5}) EXPECT_EQ(c.node(id).applied, c.node(2).applied) << id;
  EXPECT_GT(c.commands(2).size(), 0U);
}

// 5.5: crashed servers are retried, and RPCs are idempotent.
TEST(Figure32StateMachineSafety, MessagesMayArriveTwice) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  for (int i = 0; i < 5; ++i) {
    c.propose(1, std::to_string(i));
    const std::vector<Message> copies = c.network();
    c.settle();
    for (const Message& m : copies) c.step(static_cast<int>(m.to.value), m);
    c.settle();
  }
  for (int id : {1, 2, 3}) EXPECT_EQ(c.commands(id).size(), 5U) << id;
}

TEST(Figure32StateMachineSafety, ACrashedFollowerCatchesUpWhenItIsBack) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  c.crash(3);
  for (int i = 0; i < 10; ++i) {
    c.propose(1, std::to_string(i));
    c.settle();
  }
  c.start(3);
  c.advance(300ms);
  EXPECT_EQ(c.commands(3), c.commands(1));
}

// 5.6: safety does not depend on timing.
TEST(Figure32StateMachineSafety, ClocksThatRunAtAnyRateBreakNothing) {
  CoreCluster c = CoreCluster::of(3, plain());
  for (int i = 0; i < 300; ++i) {
    c.tick_alone(1, 3ms);
    c.tick_alone(2, 100ms);
    c.tick_alone(3, 700ms);
    if (c.leader() != 0) c.propose(c.leader(), std::to_string(i));
    c.settle();
  }
  c.advance(5s);
  for (int id : {1, 2}) EXPECT_EQ(c.node(id).applied, c.node(3).applied) << id;
}

}  // namespace
}  // namespace holdfast::raft::testing
