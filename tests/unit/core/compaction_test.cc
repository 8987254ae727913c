// Log compaction, and how a peer that needs compacted entries is brought back:
// raft/core/snapshot.cc.
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

/// Three nodes, 1 leads term 1; its no-op and `commands` more entries are applied everywhere.
CoreCluster led(int commands, Config config = plain()) {
  CoreCluster c = CoreCluster::of(3, config);
  c.elect(1);
  for (int i = 1; i <= commands; ++i) c.propose(1, std::to_string(i));
  c.settle();
  c.advance(200ms);
  return c;
}

/// The same; node 3 has seen nothing since the election, and the leader's log begins after what
/// was proposed.
CoreCluster left_behind(int commands, Config config = plain()) {
  CoreCluster c = led(0, config);
  c.isolate(3);
  for (int i = 1; i <= commands; ++i) c.propose(1, std::to_string(i));
  c.settle();
  c.advance(200ms);
  c.shorten(1);
  c.heal();
  return c;
}

const PeerStatus peer(CoreCluster& c, int leader, int id) {
  for (const PeerStatus& p : c.core(leader).status().peers) {
    if (p.id == NodeId(id)) return p;
  }
  return {};
}

size_t in_flight(CoreCluster& c, int from, int to, MT type) {
  return c.in_flight(CoreCluster::link(from, to, type));
}

/// One core that is built from what it would find on disk.
struct Alone {
  explicit Alone(InitialState state, int id = 1) {
    config.id = NodeId(id);
    state.configuration.voters = {NodeId(1), NodeId(2), NodeId(3)};
    disk.available = false;
    core = std::make_unique<Raft>(config, std::move(state), disk, Instant(1s));
  }
  /// Everything that comes out, writes confirmed.
  std::vector<Message> drain() {
    std::vector<Message> all;
    Ready ready;
    while (core->has_ready()) {
      core->take_ready(ready);
      all.insert(all.end(), ready.messages.begin(), ready.messages.end());
      if (ready.write) core->persisted(ready.write.number, Instant(1s));
      if (!ready.committed.empty()) core->applied(ready.committed.back().index);
      EXPECT_EQ(invariants.check(*core).value_or(""), "");
    }
    return all;
  }
  std::vector<Message> step(Message m) {
    core->step(std::move(m), Instant(1s));
    return drain();
  }
  Config config = plain();
  MemoryLog disk;
  std::unique_ptr<Raft> core;
  NodeInvariants invariants;
};

/// A node that was begun from a snapshot at index 99 of term 4 and has nothing else.
InitialState behind_snapshot() {
  InitialState state;
  state.hard_state = {Term(5), NodeId()};
  state.first_index = LogIndex(100);
  state.last_index = LogIndex(99);
  state.term_runs = {{LogIndex(99), Term(4)}};
  state.applied = LogIndex(99);
  return state;
}

TEST(Compaction, ForgetsTheEntriesAndKeepsTheLastTerm) {
  CoreCluster c = led(5);
  c.core(1).compact(LogIndex(4));
  const LogView& log = c.core(1).log();
  EXPECT_EQ(log.first(), LogIndex(5));
  EXPECT_EQ(log.last(), LogIndex(6));
  EXPECT_EQ(log.term(LogIndex(4)), Term(1));
  EXPECT_FALSE(log.window().contains(LogIndex(4)));
  EXPECT_TRUE(log.window().contains(LogIndex(5)));
  EXPECT_EQ(c.core(1).counters().compactions, 1U);
}

TEST(Compaction, OfWhatIsForgottenAlreadyChangesNothing) {
  CoreCluster c = led(5);
  c.core(1).compact(LogIndex(4));
  c.core(1).compact(LogIndex(4));
  c.core(1).compact(LogIndex(1));
  c.core(1).compact(LogIndex());
  EXPECT_EQ(c.core(1).log().first(), LogIndex(5));
  EXPECT_EQ(c.core(1).counters().compactions, 1U);
}

TEST(CompactionDeathTest, OfWhatIsNotAppliedOrNotDurableIsOurBug) {
  CoreCluster c = led(2);
  c.auto_apply = false;
  c.propose(1, "committed, not applied");
  c.settle();
  EXPECT_DEATH(c.core(1).compact(LogIndex(4)), "state machine does not have");
  CoreCluster d = led(2);
  d.auto_persist = false;
  d.propose(1, "applied, not on this disk");
  for (int round = 0; round < 3; ++round) {
    d.deliver(1, 2);
    d.deliver(1, 3);
    for (int id : {2, 3}) d.persist(id);
    d.deliver(2, 1);
    d.deliver(3, 1);
  }
  ASSERT_EQ(d.core(1).applied_index(), LogIndex(4));
  EXPECT_DEATH(d.core(1).compact(LogIndex(4)), "not durable");
}

TEST(Compaction, OfTheWholeLogLeavesAWorkingLeader) {
  CoreCluster c = led(3);
  for (int id : {1, 2, 3}) c.shorten(id);
  EXPECT_EQ(c.core(1).log().first(), LogIndex(5));
  EXPECT_EQ(c.core(1).log().last(), LogIndex(4));
  EXPECT_TRUE(c.propose(1, "more").accepted());
  c.settle();
  c.advance(200ms);
  EXPECT_EQ(c.commands(3).back(), "more");
}

TEST(Compaction, APeerWithEntriesInFlightKeepsItsPipeline) {
  CoreCluster c = led(1);
  c.propose(1, "in flight");
  c.deliver(1, 2);
  c.deliver(2, 1);
  c.shorten(1);
  ASSERT_EQ(c.core(1).log().first(), LogIndex(4));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kReplicate);
  EXPECT_EQ(peer(c, 1, 3).match, LogIndex(2));
  EXPECT_EQ(peer(c, 1, 3).inflight, 1U);
  c.settle();
  EXPECT_EQ(peer(c, 1, 3).match, LogIndex(3));
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 0U);
}

TEST(Compaction, APeerThatWasOvertakenIsAskedForTheLastCompactedEntry) {
  CoreCluster c = left_behind(5);
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kProbe);
  EXPECT_EQ(peer(c, 1, 3).next, LogIndex(7));
  c.core(1).tick(c.node(1).clock += 100ms);
  c.pump(1);
  c.deliver(1, 3);
  c.deliver(3, 1);
  const std::vector<Message> probes = c.take(CoreCluster::link(1, 3, MT::kAppendRequest));
  ASSERT_EQ(probes.size(), 1U);
  EXPECT_EQ(probes[0].index, LogIndex(6));
  EXPECT_EQ(probes[0].log_term, Term(1));
}

TEST(Compaction, APeerThatHasTheLastCompactedEntryNeedsNoSnapshot) {
  // The connection breaks: what was in flight may have arrived. The log below is gone meanwhile.
  Config small = plain();
  small.max_append_bytes = 1;
  CoreCluster c = led(1, small);
  for (const char* data : {"a", "b", "c"}) c.propose(1, data);
  c.deliver(1, 2);
  c.deliver(2, 1);
  c.deliver(1, 3);
  c.drop(CoreCluster::link(3, 1));
  c.shorten(1);
  ASSERT_GT(c.core(1).log().first(), peer(c, 1, 3).match.next());
  c.unreachable(1, 3, Evidence::kDisconnected);
  EXPECT_EQ(peer(c, 1, 3).next, c.core(1).log().first());
  c.advance(300ms);
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kReplicate);
  EXPECT_EQ(c.commands(3), c.commands(1));
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 0U);
}

TEST(SnapshotOffer, GoesAtOnceToAPeerThatRefusesTheLastCompactedEntry) {
  CoreCluster c = left_behind(5);
  c.tick_alone(1, 100ms);
  c.deliver(1, 3);
  c.deliver(3, 1);
  c.deliver(1, 3);
  ASSERT_EQ(in_flight(c, 1, 3, MT::kSnapshotRequest), 0U);
  c.deliver(3, 1);
  const std::vector<Message> offers = c.take(CoreCluster::link(1, 3, MT::kSnapshotRequest));
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].index, LogIndex(6));
  EXPECT_EQ(offers[0].log_term, Term(1));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kSnapshot);
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 1U);
}

TEST(SnapshotOffer, IsRepeatedWithEveryHeartbeatAndReachesTheDriverEachTime) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  ASSERT_EQ(peer(c, 1, 3).state, ProgressState::kSnapshot);
  c.node(3).offers.clear();
  c.advance(500ms);
  const SnapshotOffer offer{NodeId(1), LogIndex(6), Term(1)};
  EXPECT_EQ(c.node(3).offers, std::vector<SnapshotOffer>(5, offer));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kSnapshot);
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 1U);
}

TEST(SnapshotOffer, NoEntryGoesToThePeerUntilItHasTheSnapshot) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  c.propose(1, "later");
  EXPECT_EQ(in_flight(c, 1, 3, MT::kAppendRequest), 0U);
  EXPECT_EQ(in_flight(c, 1, 2, MT::kAppendRequest), 1U);
}

TEST(SnapshotOffer, FollowsTheLogsStart) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  c.propose(1, "later");
  c.settle();
  c.shorten(1);
  c.node(3).offers.clear();
  c.advance(100ms);
  ASSERT_EQ(c.node(3).offers.size(), 1U);
  EXPECT_EQ(c.node(3).offers[0].index, LogIndex(7));
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 1U);
}

TEST(SnapshotOffer, IsAWordOfTheLeader) {
  Alone a(behind_snapshot(), 2);
  a.core->tick(Instant(5s));
  a.drain();
  ASSERT_EQ(a.core->role(), Role::kCandidate);
  a.step(snapshot_offer(1, 2, a.core->term().value, 200, 5));
  EXPECT_EQ(a.core->role(), Role::kFollower);
  EXPECT_EQ(a.core->leader(), NodeId(1));
}

TEST(SnapshotOffer, OfAPastTermIsNotHeard) {
  Alone a(behind_snapshot(), 2);
  const std::vector<Message> said = a.step(snapshot_offer(1, 2, 4, 200, 4));
  EXPECT_TRUE(said.empty());
  EXPECT_EQ(a.core->leader(), NodeId());
  EXPECT_EQ(a.core->counters().snapshot_offers, 0U);
}

TEST(SnapshotOffer, IsAnsweredByWhoHasAsMuch) {
  Alone a(behind_snapshot(), 2);
  const std::vector<Message> said = a.step(snapshot_offer(1, 2, 5, 80, 3));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, MT::kSnapshotResponse);
  EXPECT_EQ(said[0].index, LogIndex(99));
  EXPECT_EQ(a.core->counters().snapshot_offers, 0U);
}

TEST(SnapshotOffer, OfAnEntryThatIsThereCommitsItAndIsAnsweredWhenItIsDurable) {
  Alone a(behind_snapshot(), 2);
  a.step(append(1, 2, 5, 99, 4, 99, {entry(100, 5), entry(101, 5)}));
  EXPECT_EQ(a.core->commit(), LogIndex(99));
  a.core->step(append(1, 2, 5, 101, 5, 99, {entry(102, 5)}), Instant(1s));
  a.core->step(snapshot_offer(1, 2, 5, 102, 5), Instant(1s));
  EXPECT_EQ(a.core->commit(), LogIndex(102));
  Ready ready;
  a.core->take_ready(ready);
  EXPECT_TRUE(ready.messages.empty());
  EXPECT_FALSE(ready.snapshot_offer.has_value());
  a.core->persisted(ready.write.number, Instant(1s));
  a.core->take_ready(ready);
  ASSERT_EQ(ready.messages.size(), 2U);
  EXPECT_EQ(ready.messages[1].type, MT::kSnapshotResponse);
  EXPECT_EQ(ready.messages[1].index, LogIndex(102));
}

TEST(SnapshotOffer, OfAnotherEntryThanTheOneThereIsForTheDriver) {
  Alone a(behind_snapshot(), 2);
  a.step(append(1, 2, 5, 99, 4, 99, {entry(100, 5), entry(101, 5)}));
  a.core->step(snapshot_offer(3, 2, 7, 101, 6), Instant(1s));
  Ready ready;
  a.core->take_ready(ready);
  ASSERT_TRUE(ready.snapshot_offer.has_value());
  EXPECT_EQ(*ready.snapshot_offer, (SnapshotOffer{NodeId(3), LogIndex(101), Term(6)}));
  EXPECT_EQ(a.core->commit(), LogIndex(99));
  a.core->take_ready(ready);
  EXPECT_FALSE(ready.snapshot_offer.has_value()) << "handed out twice";
}

TEST(SnapshotAnswer, BringsThePeerBackToReplication) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  ASSERT_TRUE(c.install(3, 1));
  EXPECT_EQ(c.core(3).log().first(), LogIndex(7));
  EXPECT_EQ(c.core(3).log().last(), LogIndex(6));
  c.advance(200ms);
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kReplicate);
  EXPECT_EQ(peer(c, 1, 3).match, LogIndex(6));
  c.propose(1, "after");
  c.settle();
  c.advance(200ms);
  EXPECT_EQ(c.commands(3), c.commands(1));
  EXPECT_EQ(c.core(1).counters().snapshots_reached, 1U);
}

TEST(SnapshotAnswer, CountsForCommitAndForATransfer) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  c.install(3, 1);
  c.isolate(2);
  c.propose(1, "with node 3 alone");
  c.advance(200ms);
  EXPECT_EQ(c.core(1).commit(), LogIndex(7));
  EXPECT_EQ(c.transfer(1, 3), TransferResult::kStarted);
  c.settle();
  EXPECT_TRUE(c.core(3).is_leader());
}

TEST(SnapshotAnswer, BelowTheLogsStartLeavesThePeerWaiting) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  c.step(1, snapshot_answer(3, 1, 1, 3));
  EXPECT_EQ(peer(c, 1, 3).match, LogIndex(3));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kSnapshot);
  c.step(1, snapshot_answer(3, 1, 1, 6));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kReplicate);
}

TEST(SnapshotAnswer, IsNotNeededIfALateAcknowledgementShowsThatThePeerHasEverything) {
  CoreCluster c = left_behind(5);
  c.advance(200ms);
  ASSERT_EQ(peer(c, 1, 3).state, ProgressState::kSnapshot);
  c.step(1, append_ack(3, 1, 1, 6));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kReplicate);
  EXPECT_EQ(peer(c, 1, 3).next, LogIndex(7));
}

TEST(Compaction, AnAcknowledgementFromBelowTheLogsStartDoesNotMeetIt) {
  CoreCluster c = left_behind(5);
  ASSERT_EQ(peer(c, 1, 3).state, ProgressState::kProbe);
  c.step(1, append_ack(3, 1, 1, 4));
  EXPECT_EQ(peer(c, 1, 3).match, LogIndex(4));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kProbe);
  EXPECT_EQ(peer(c, 1, 3).next, LogIndex(7));
}

TEST(Compaction, ARefusalFromBeforeItSaysThatASnapshotIsNeeded) {
  CoreCluster c = left_behind(5);
  c.step(1, append_refusal(3, 1, 1, 3, 1, 1));
  EXPECT_EQ(peer(c, 1, 3).state, ProgressState::kSnapshot);
  EXPECT_EQ(in_flight(c, 1, 3, MT::kSnapshotRequest), 1U);
}

TEST(Compaction, AHintBelowTheLogsStartLeadsToItsStart) {
  Alone a([] {
    InitialState state;
    state.hard_state = {Term(3), NodeId()};
    state.first_index = LogIndex(100);
    state.last_index = LogIndex(110);
    state.term_runs = {{LogIndex(90), Term(2)}, {LogIndex(105), Term(3)}};
    state.applied = LogIndex(104);
    return state;
  }());
  a.core->campaign(Instant(1s));
  a.drain();
  a.step(message(MT::kVoteResponse, 2, 1, 4));
  ASSERT_TRUE(a.core->is_leader());
  std::vector<Message> said = a.step(append_refusal(2, 1, 4, 110, 5, 1));
  ASSERT_EQ(said.size(), 0U) << "its own disk is not read yet";
  EXPECT_EQ(a.core->status().peers[0].next, LogIndex(100));
  EXPECT_EQ(a.core->status().peers[0].state, ProgressState::kProbe);
  said = a.step(append_refusal(2, 1, 4, 99, 5, 1));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, MT::kSnapshotRequest);
  EXPECT_EQ(said[0].index, LogIndex(99));
  EXPECT_EQ(said[0].log_term, Term(2));
}

TEST(Compaction, AFollowerAgreesToAppendsFromBeforeItsLog) {
  CoreCluster c = led(5);
  c.shorten(2);
  ASSERT_EQ(c.core(2).log().first(), LogIndex(7));
  c.step(2, append(1, 2, 1, 2, 1, 6, {entry(3, 1, "2"), entry(4, 1, "3")}));
  const std::vector<Message> said = c.take(CoreCluster::link(2, 1));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_FALSE(said[0].reject);
  EXPECT_EQ(said[0].index, LogIndex(6));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(6));
  EXPECT_EQ(c.core(2).counters().appends_compacted, 1U);
}

TEST(Compaction, AFollowerTakesWhatIsNewOfAnAppendFromBeforeItsLog) {
  CoreCluster c = led(3);
  c.shorten(2);
  c.step(2, append(1, 2, 1, 2, 1, 4,
                   {entry(3, 1, "2"), entry(4, 1, "3"), entry(5, 1, "4"), entry(6, 1, "5")}));
  const std::vector<Message> said = c.take(CoreCluster::link(2, 1));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].index, LogIndex(6));
  EXPECT_EQ(c.core(2).log().first(), LogIndex(5));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(6));
}

TEST(Compaction, AnAppendFromBeforeTheLogTruncatesNothing) {
  CoreCluster c = led(3);
  c.isolate(1);
  c.shorten(2);
  c.propose(1, "tail");
  c.step(2, append(1, 2, 1, 4, 1, 4, {entry(5, 1, "tail")}));
  c.step(2, append(1, 2, 1, 1, 1, 4, {entry(2, 1, "1")}));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(5));
  EXPECT_EQ(c.core(2).counters().truncations, 0U);
}

TEST(Compaction, ALeaderFindsAFollowerThatHasCompactedFurther) {
  // Node 2 has forgotten more than the leader remembers of it; the new leader starts to probe.
  CoreCluster c = led(5);
  c.shorten(2);
  c.shorten(3);
  c.step_down(1);
  c.elect(1);
  c.propose(1, "on");
  c.settle();
  for (int id : {2, 3}) EXPECT_EQ(peer(c, 1, id).match, LogIndex(8)) << id;
}

TEST(AfterASnapshot, ACoreWithoutAnEntryElectsAndLeads) {
  Alone a(behind_snapshot());
  ASSERT_EQ(a.core->commit(), LogIndex(99));
  ASSERT_TRUE(a.core->campaign(Instant(1s)));
  const std::vector<Message> asked = a.drain();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].index, LogIndex(99));
  EXPECT_EQ(asked[0].log_term, Term(4));
  const std::vector<Message> sent = a.step(message(MT::kVoteResponse, 2, 1, 6));
  ASSERT_TRUE(a.core->is_leader());
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].index, LogIndex(99));
  EXPECT_EQ(sent[0].log_term, Term(4));
  a.step(append_ack(2, 1, 6, 100));
  EXPECT_EQ(a.core->applied_index(), LogIndex(100));
}

TEST(AfterASnapshot, ACoreWithoutAnEntryVotesByTheSnapshotsTerm) {
  Alone a(behind_snapshot());
  EXPECT_TRUE(a.step(vote_request(2, 1, 6, 98, 4))[0].reject);
  EXPECT_TRUE(a.step(vote_request(2, 1, 7, 200, 3))[0].reject);
  EXPECT_FALSE(a.step(vote_request(2, 1, 8, 99, 4))[0].reject);
}

TEST(AfterASnapshot, ACoreWithoutAnEntryFollows) {
  Alone a(behind_snapshot());
  EXPECT_TRUE(a.step(append(2, 1, 5, 100, 4, 99))[0].reject);
  const std::vector<Message> said = a.step(append(2, 1, 5, 99, 4, 100, {entry(100, 5)}));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].index, LogIndex(100));
  EXPECT_EQ(a.core->applied_index(), LogIndex(100));
}

TEST(AfterASnapshot, ARefusalNeverPointsBeforeTheLog) {
  Alone a(behind_snapshot());
  const std::vector<Message> said = a.step(append(2, 1, 5, 150, 5, 99));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_TRUE(said[0].reject);
  EXPECT_EQ(said[0].hint, LogIndex(99));
  EXPECT_EQ(said[0].log_term, Term(4));
}

TEST(AfterASnapshot, TheWholeClusterRestartsFromItsSnapshots) {
  CoreCluster c = led(6);
  for (int id : {1, 2, 3}) c.shorten(id);
  for (int id : {1, 2, 3}) c.crash(id);
  for (int id : {1, 2, 3}) c.start(id);
  c.elect(2);
  ASSERT_TRUE(c.core(2).is_leader());
  c.propose(2, "goes on");
  c.settle();
  c.advance(200ms);
  for (int id : {1, 2, 3}) EXPECT_EQ(c.commands(id).size(), 7U) << id;
}

TEST(Install, KeepsALogThatGoesOnBehindTheSnapshot) {
  CoreCluster c = led(5);
  c.shorten(1);
  c.crash(3);
  c.start(3);  // it has all entries and knows no commit index
  ASSERT_TRUE(c.install(3, 1));
  EXPECT_EQ(c.core(3).log().first(), LogIndex(1));
  EXPECT_EQ(c.core(3).log().last(), LogIndex(6));
  EXPECT_EQ(c.core(3).commit(), LogIndex(6));
}

TEST(Install, OfNoMoreThanWhatIsCommittedIsNotDone) {
  CoreCluster c = led(5);
  c.shorten(1);
  EXPECT_FALSE(c.install(3, 1));
}

}  // namespace
}  // namespace holdfast::raft::testing
