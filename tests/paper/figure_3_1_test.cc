// The Raft paper's condensed summary (dissertation figure 3.1, paper figure 2), one test per
// sentence. Each test's comment is the rule in short; its name is what must be seen.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

/// The protocol of the figure alone: extensions off.
Config plain() {
  Config config;
  config.pre_vote = false;
  config.check_quorum = false;
  config.fast_failover = false;
  return config;
}

/// `n` cores, of which a test mostly speaks to one and plays the others.
CoreCluster loose(int n) {
  CoreCluster c = CoreCluster::of(n, plain());
  c.check_cluster = false;
  return c;
}

CoreCluster three() { return loose(3); }

CoreCluster led() {
  CoreCluster c = three();
  c.elect(1);
  return c;
}

Message only(CoreCluster& c, int from, int to) {
  const std::vector<Message> sent = c.take(CoreCluster::link(from, to));
  EXPECT_EQ(sent.size(), 1U);
  return sent.empty() ? Message() : sent[0];
}

PeerStatus peer(CoreCluster& c, int id) {
  return c.core(1).status().peers.at(static_cast<size_t>(id - 2));
}

// State.

// Persistent state on all servers is updated on stable storage before responding to RPCs.
TEST(Figure31State, PersistentStateIsStoredBeforeTheAnswerLeaves) {
  CoreCluster c = three();
  c.auto_persist = false;
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  EXPECT_TRUE(c.network().empty());
  c.persist(2);
  EXPECT_EQ(c.node(2).disk.hard_state.term, Term(1));
  EXPECT_EQ(c.node(2).disk.log.size(), 1U);
  EXPECT_FALSE(only(c, 2, 1).reject);
}

// currentTerm: latest term server has seen, 0 on first boot, increases monotonically.
TEST(Figure31State, CurrentTermStartsAtZeroAndOnlyGrows) {
  CoreCluster c = three();
  EXPECT_EQ(c.core(2).term(), Term(0));
  c.step(2, heartbeat(1, 2, 5, 1));
  EXPECT_EQ(c.core(2).term(), Term(5));
  c.step(2, heartbeat(1, 2, 4, 1));
  EXPECT_EQ(c.core(2).term(), Term(5));
}

// votedFor: candidate that received vote in current term, or null if none.
TEST(Figure31State, VotedForIsForgottenWithItsTerm) {
  CoreCluster c = three();
  c.step(2, vote_request(1, 2, 1, 0, 0));
  EXPECT_EQ(c.core(2).vote(), NodeId(1));
  c.step(2, heartbeat(3, 2, 2, 1));
  EXPECT_EQ(c.core(2).vote(), NodeId());
}

// log[]: each entry has a command and the term when it was received by the leader; first index 1.
TEST(Figure31State, TheFirstIndexIsOneAndEntriesCarryTheLeadersTerm) {
  CoreCluster c = led();
  const ProposeResult first = c.propose(1, "a");
  EXPECT_EQ(c.core(1).log().first(), LogIndex(1));
  EXPECT_EQ(c.core(1).log().window().at(LogIndex(1)).type, EntryType::kNoop);
  EXPECT_EQ(first.first, LogIndex(2));
  EXPECT_EQ(c.core(1).log().window().at(first.first).term, Term(1));
}

// commitIndex and lastApplied: initialised to 0, increase monotonically.
TEST(Figure31State, CommitIndexAndLastAppliedStartAtZeroAndOnlyGrow) {
  CoreCluster c = three();
  EXPECT_EQ(c.core(2).commit(), LogIndex(0));
  EXPECT_EQ(c.core(2).applied_index(), LogIndex(0));
  c.step(2, append(1, 2, 1, 0, 0, 2, {entry(1, 1), entry(2, 1)}));
  EXPECT_EQ(c.core(2).commit(), LogIndex(2));
  c.step(2, append(1, 2, 1, 2, 1, 1));
  EXPECT_EQ(c.core(2).commit(), LogIndex(2));
  EXPECT_EQ(c.core(2).applied_index(), LogIndex(2));
}

// nextIndex[]: initialised to leader last log index + 1; matchIndex[]: to 0. Both after election.
TEST(Figure31State, NextIndexStartsBehindTheLogAndMatchIndexAtZero) {
  CoreCluster c = three();
  c.step(1, append(2, 1, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  c.take([](const Message&) { return true; });
  c.campaign(1);
  c.step(1, message(MT::kVoteResponse, 3, 1, 2));
  ASSERT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(peer(c, 2).next, LogIndex(3));
  EXPECT_EQ(peer(c, 2).match, LogIndex(0));
}

// nextIndex[] and matchIndex[] are reinitialised after each election.
TEST(Figure31State, AnotherElectionStartsProgressAnew) {
  CoreCluster c = led();
  ASSERT_EQ(peer(c, 2).match, LogIndex(1));
  c.campaign(2);
  c.settle();
  c.campaign(1);
  c.deliver(1, 2);
  c.deliver(2, 1);
  ASSERT_TRUE(c.core(1).is_leader());
  EXPECT_EQ(peer(c, 2).match, LogIndex(0));
}

// AppendEntries RPC.

// Invoked by leader to replicate log entries; also used as heartbeat.
TEST(Figure31AppendEntries, TheLeaderReplicatesAndSendsHeartbeats) {
  CoreCluster c = led();
  c.propose(1, "a");
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  c.settle();
  c.tick_alone(1, 100ms);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kHeartbeatRequest)), 1U);
}

// Arguments: term, leaderId, prevLogIndex, prevLogTerm, entries[], leaderCommit.
TEST(Figure31AppendEntries, CarriesItsArguments) {
  CoreCluster c = led();
  c.propose(1, "a");
  const Message m = only(c, 1, 2);
  EXPECT_EQ(m.term, Term(1));
  EXPECT_EQ(m.from, NodeId(1));
  EXPECT_EQ(m.index, LogIndex(1));
  EXPECT_EQ(m.log_term, Term(1));
  ASSERT_EQ(m.entries.size(), 1U);
  EXPECT_EQ(m.entries[0].data.view(), "a");
  EXPECT_EQ(m.commit, LogIndex(1));
}

// leaderId, so that followers can redirect clients.
TEST(Figure31AppendEntries, TellsFollowersTheLeader) {
  CoreCluster c = led();
  EXPECT_EQ(c.core(2).leader(), NodeId(1));
  EXPECT_EQ(c.propose(2, "x").leader, NodeId(1));
}

// Results: term, for the leader to update itself; success.
TEST(Figure31AppendEntries, TheAnswerCarriesTheTermAndSuccess) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 3, 0, 0, 0, {entry(1, 3)}));
  const Message m = only(c, 2, 1);
  EXPECT_EQ(m.term, Term(3));
  EXPECT_FALSE(m.reject);
  EXPECT_EQ(m.index, LogIndex(1));
}

// 1. Reply false if term < currentTerm.
TEST(Figure31AppendEntries, Rule1RefusesAPastTerm) {
  CoreCluster c = three();
  c.step(2, heartbeat(3, 2, 5, 0));
  c.step(2, append(1, 2, 4, 0, 0, 0, {entry(1, 4)}));
  const Message m = only(c, 2, 1);
  EXPECT_TRUE(m.reject);
  EXPECT_EQ(m.term, Term(5));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(0));
  EXPECT_EQ(c.core(2).leader(), NodeId(3));
}

// 2. Reply false if log does not contain an entry at prevLogIndex whose term matches prevLogTerm.
TEST(Figure31AppendEntries, Rule2RefusesWithoutTheEntryBefore) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 1, 1, 0, {entry(2, 1)}));
  EXPECT_TRUE(only(c, 2, 1).reject);
  EXPECT_EQ(c.core(2).log().last(), LogIndex(0));
}

TEST(Figure31AppendEntries, Rule2RefusesAnotherTermBefore) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  c.take([](const Message&) { return true; });
  c.step(2, append(3, 2, 3, 1, 2, 0, {entry(2, 3)}));
  EXPECT_TRUE(only(c, 2, 3).reject);
  EXPECT_EQ(c.core(2).log().last(), LogIndex(1));
}

// 3. If an existing entry conflicts with a new one, delete it and all that follow it.
TEST(Figure31AppendEntries, Rule3DeletesAConflictingEntryAndAllBehindIt) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  c.step(2, append(3, 2, 2, 1, 1, 0, {entry(2, 2)}));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(2));
  EXPECT_EQ(c.core(2).log().last_term(), Term(2));
  EXPECT_EQ(c.node(2).disk.log.size(), 2U);
}

TEST(Figure31AppendEntries, Rule3DeletesNothingThatDoesNotConflict) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(3));
  EXPECT_EQ(c.core(2).counters().truncations, 0U);
}

// 4. Append any new entries not already in the log.
TEST(Figure31AppendEntries, Rule4AppendsOnlyWhatIsNew) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  c.auto_persist = false;
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  ASSERT_EQ(c.node(2).writes.size(), 1U);
  ASSERT_EQ(c.node(2).writes[0].entries.size(), 1U);
  EXPECT_EQ(c.node(2).writes[0].entries[0].index, LogIndex(3));
}

// 5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry).
TEST(Figure31AppendEntries, Rule5CommitsNoFurtherThanTheLeaderHas) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 1, {entry(1, 1), entry(2, 1)}));
  EXPECT_EQ(c.core(2).commit(), LogIndex(1));
}

TEST(Figure31AppendEntries, Rule5CommitsNoFurtherThanTheLastNewEntry) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  // The leader of term 2 has another entry at index 2; only index 1 is known to be common.
  c.step(2, append(3, 2, 2, 1, 1, 9));
  EXPECT_EQ(c.core(2).commit(), LogIndex(1));
}

// RequestVote RPC.

// Invoked by candidates to gather votes; arguments: term, candidateId, lastLogIndex, lastLogTerm.
TEST(Figure31RequestVote, CarriesItsArguments) {
  CoreCluster c = three();
  c.step(1, append(2, 1, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  c.take([](const Message&) { return true; });
  c.campaign(1);
  const Message m = only(c, 1, 3);
  EXPECT_EQ(m.type, MT::kVoteRequest);
  EXPECT_EQ(m.term, Term(2));
  EXPECT_EQ(m.from, NodeId(1));
  EXPECT_EQ(m.index, LogIndex(2));
  EXPECT_EQ(m.log_term, Term(1));
}

// Results: term, for the candidate to update itself; voteGranted.
TEST(Figure31RequestVote, TheAnswerCarriesTheTermAndTheVote) {
  CoreCluster c = three();
  c.step(2, vote_request(1, 2, 4, 0, 0));
  const Message m = only(c, 2, 1);
  EXPECT_EQ(m.type, MT::kVoteResponse);
  EXPECT_EQ(m.term, Term(4));
  EXPECT_FALSE(m.reject);
}

// 1. Reply false if term < currentTerm.
TEST(Figure31RequestVote, Rule1RefusesAPastTerm) {
  CoreCluster c = three();
  c.step(2, heartbeat(3, 2, 5, 0));
  c.step(2, vote_request(1, 2, 4, 9, 3));
  const Message m = only(c, 2, 1);
  EXPECT_TRUE(m.reject);
  EXPECT_EQ(m.term, Term(5));
  EXPECT_EQ(c.core(2).vote(), NodeId());
}

// 2. If votedFor is null or candidateId, and the candidate's log is at least as up to date: grant.
TEST(Figure31RequestVote, Rule2GrantsOnceATermAndAgainToTheSame) {
  CoreCluster c = three();
  c.step(2, vote_request(1, 2, 1, 0, 0));
  EXPECT_FALSE(only(c, 2, 1).reject);
  c.step(2, vote_request(3, 2, 1, 0, 0));
  EXPECT_TRUE(only(c, 2, 3).reject);
  c.step(2, vote_request(1, 2, 1, 0, 0));
  EXPECT_FALSE(only(c, 2, 1).reject);
}

TEST(Figure31RequestVote, Rule2RefusesALogThatIsLessUpToDate) {
  struct Case {
    uint64_t index;
    uint64_t log_term;
    bool granted;
  };
  // The voter's log ends at index 3 in term 2.
  for (const Case& k : {Case{3, 2, true}, Case{4, 2, true}, Case{1, 3, true}, Case{2, 2, false},
                        Case{9, 1, false}, Case{0, 0, false}}) {
    CoreCluster c = three();
    c.step(2, append(3, 2, 2, 0, 0, 0, {entry(1, 1), entry(2, 2), entry(3, 2)}));
    c.take([](const Message&) { return true; });
    c.step(2, vote_request(1, 2, 5, k.index, k.log_term));
    EXPECT_EQ(!only(c, 2, 1).reject, k.granted) << k.index << "/" << k.log_term;
  }
}

// Rules for all servers.

// If commitIndex > lastApplied: apply log[lastApplied].
TEST(Figure31AllServers, CommittedEntriesAreAppliedInOrder) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 2, {entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 1, "c")}));
  EXPECT_EQ(c.commands(2), (std::vector<std::string>{"a", "b"}));
  c.step(2, append(1, 2, 1, 3, 1, 3));
  EXPECT_EQ(c.commands(2), (std::vector<std::string>{"a", "b", "c"}));
}

// If an RPC request or response contains term T > currentTerm: set currentTerm = T, follow.
TEST(Figure31AllServers, AHigherTermInAnyMessageMakesAFollower) {
  for (MT type : {MT::kVoteRequest, MT::kVoteResponse, MT::kAppendRequest, MT::kAppendResponse,
                  MT::kHeartbeatRequest, MT::kHeartbeatResponse, MT::kReadIndexRequest,
                  MT::kReadIndexResponse}) {
    for (bool leader : {true, false}) {
      CoreCluster c = three();
      leader ? c.elect(1) : static_cast<void>(c.campaign(1));
      Message m = message(type, 2, 1, 7);
      m.reject = true;
      c.step(1, m);
      EXPECT_EQ(c.core(1).role(), Role::kFollower) << static_cast<int>(type);
      EXPECT_EQ(c.core(1).term(), Term(7)) << static_cast<int>(type);
    }
  }
}

// Followers.

// Respond to RPCs from candidates and leaders.
TEST(Figure31Followers, AnswerCandidatesAndLeaders) {
  CoreCluster c = three();
  c.step(2, vote_request(1, 2, 1, 0, 0));
  EXPECT_EQ(only(c, 2, 1).type, MT::kVoteResponse);
  c.step(2, append(1, 2, 1, 0, 0, 0));
  EXPECT_EQ(only(c, 2, 1).type, MT::kAppendResponse);
  c.step(2, heartbeat(1, 2, 1, 3));
  EXPECT_EQ(only(c, 2, 1).type, MT::kHeartbeatResponse);
}

// If the timeout elapses without AppendEntries from the leader or granting a vote: candidate.
TEST(Figure31Followers, StandWhenTheTimeoutElapses) {
  CoreCluster c = three();
  c.tick_alone(2, 999ms);
  EXPECT_EQ(c.core(2).role(), Role::kCandidate);
}

TEST(Figure31Followers, AWordOfTheLeaderRestartsTheTimeout) {
  CoreCluster c = three();
  for (int i = 0; i < 20; ++i) {
    c.tick_alone(2, 490ms);
    c.step(2, i % 2 == 0 ? append(1, 2, 1, 0, 0, 0) : heartbeat(1, 2, 1, 1));
  }
  EXPECT_EQ(c.core(2).role(), Role::kFollower);
}

TEST(Figure31Followers, GrantingAVoteRestartsTheTimeoutRefusingDoesNot) {
  CoreCluster c = three();
  c.step(2, append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  const Instant due = c.core(2).next_wakeup();
  c.pass(400ms);
  c.step(2, vote_request(3, 2, 2, 0, 0));
  EXPECT_EQ(c.core(2).next_wakeup(), due);
  c.step(2, vote_request(3, 2, 3, 1, 1));
  EXPECT_GE(c.core(2).next_wakeup(), c.node(2).clock + 500ms);
}

// Candidates.

// On conversion: increment currentTerm, vote for self, reset election timer, send RequestVote.
TEST(Figure31Candidates, StartAnElection) {
  CoreCluster c = three();
  c.pass(2s);
  c.tick(1);
  EXPECT_EQ(c.core(1).term(), Term(1));
  EXPECT_EQ(c.core(1).vote(), NodeId(1));
  EXPECT_GE(c.core(1).next_wakeup(), c.node(1).clock + 500ms);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kVoteRequest)), 1U);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 3, MT::kVoteRequest)), 1U);
}

// If votes received from a majority of servers: become leader.
TEST(Figure31Candidates, AMajorityElects) {
  CoreCluster c = loose(5);
  c.campaign(1);
  c.step(1, message(MT::kVoteResponse, 2, 1, 1));
  c.step(1, message(MT::kVoteResponse, 2, 1, 1));  // twice the same is one
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
  c.step(1, message(MT::kVoteResponse, 3, 1, 1));
  EXPECT_TRUE(c.core(1).is_leader());
}

// If AppendEntries received from a new leader: convert to follower.
TEST(Figure31Candidates, ANewLeaderOfTheTermEndsACandidacy) {
  for (const Message& m : {append(2, 1, 1, 0, 0, 0), heartbeat(2, 1, 1, 1)}) {
    CoreCluster c = three();
    c.campaign(1);
    c.step(1, m);
    EXPECT_EQ(c.core(1).role(), Role::kFollower);
    EXPECT_EQ(c.core(1).leader(), NodeId(2));
    EXPECT_EQ(c.core(1).vote(), NodeId(1));
  }
}

// If the election timeout elapses: start a new election.
TEST(Figure31Candidates, AnElectionWithoutAResultIsRepeated) {
  CoreCluster c = three();
  c.campaign(1);
  c.tick_alone(1, 999ms);
  EXPECT_EQ(c.core(1).role(), Role::kCandidate);
  EXPECT_EQ(c.core(1).term(), Term(2));
}

// Leaders.

// Upon election send initial empty AppendEntries to each server; repeat during idle periods.
TEST(Figure31Leaders, AnnounceThemselvesAtOnceAndWhileIdle) {
  CoreCluster c = three();
  c.campaign(1);
  c.step(1, message(MT::kVoteResponse, 2, 1, 1));
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 2, MT::kAppendRequest)), 1U);
  EXPECT_EQ(c.in_flight(CoreCluster::link(1, 3, MT::kAppendRequest)), 1U);
  c.settle();
  for (int i = 0; i < 30; ++i) {
    c.tick_alone(1, 100ms);
    EXPECT_EQ(c.take(CoreCluster::link(1, 2)).size(), 1U);
  }
}

// If a command is received: append it to the local log, respond after it is applied.
TEST(Figure31Leaders, ACommandIsAppendedAndAppliedWhenCommitted) {
  CoreCluster c = led();
  const ProposeResult result = c.propose(1, "a");
  EXPECT_EQ(c.core(1).log().last(), result.first);
  EXPECT_TRUE(c.commands(1).empty());
  c.settle();
  EXPECT_EQ(c.commands(1), std::vector<std::string>{"a"});
}

// If last log index >= nextIndex for a follower: send entries starting at nextIndex.
TEST(Figure31Leaders, SendFromNextIndexOn) {
  CoreCluster c = led();
  ASSERT_EQ(peer(c, 2).next, LogIndex(2));
  c.propose(1, "a");
  EXPECT_EQ(only(c, 1, 2).entries.front().index, LogIndex(2));
}

// If successful: update nextIndex and matchIndex for the follower.
TEST(Figure31Leaders, AnAcknowledgementMovesNextAndMatch) {
  CoreCluster c = led();
  c.propose(1, "a");
  c.step(1, append_ack(2, 1, 1, 2));
  EXPECT_EQ(peer(c, 2).match, LogIndex(2));
  EXPECT_EQ(peer(c, 2).next, LogIndex(3));
}

// If AppendEntries fails because of log inconsistency: decrement nextIndex and retry.
TEST(Figure31Leaders, ARejectionMovesNextBackAndIsRetried) {
  CoreCluster c = three();
  c.step(1, append(3, 1, 1, 0, 0, 0, {entry(1, 1), entry(2, 1), entry(3, 1)}));
  c.take([](const Message&) { return true; });
  c.campaign(1);
  c.deliver(1, 2);
  c.deliver(2, 1);
  ASSERT_TRUE(c.core(1).is_leader());
  ASSERT_EQ(peer(c, 2).next, LogIndex(4));
  c.deliver(1, 2);
  c.deliver(2, 1);
  EXPECT_EQ(peer(c, 2).next, LogIndex(1));
  c.settle();
  EXPECT_EQ(peer(c, 2).match, LogIndex(4));
}

// If there exists N > commitIndex with a majority of matchIndex >= N and log[N].term ==
// currentTerm: set commitIndex = N.
TEST(Figure31Leaders, AMajorityCommitsAnEntryOfTheOwnTerm) {
  CoreCluster c = loose(5);
  c.elect(1);
  c.propose(1, "a");
  c.step(1, append_ack(2, 1, 1, 2));
  EXPECT_EQ(c.core(1).commit(), LogIndex(1));
  c.step(1, append_ack(3, 1, 1, 2));
  EXPECT_EQ(c.core(1).commit(), LogIndex(2));
}

TEST(Figure31Leaders, AMajorityDoesNotCommitAnEntryOfAnEarlierTerm) {
  CoreCluster c = loose(5);
  c.step(1, append(2, 1, 1, 0, 0, 0, {entry(1, 1), entry(2, 1)}));
  c.take([](const Message&) { return true; });
  c.campaign(1);
  c.step(1, message(MT::kVoteResponse, 2, 1, 2));
  c.step(1, message(MT::kVoteResponse, 3, 1, 2));
  ASSERT_TRUE(c.core(1).is_leader());
  for (int id : {2, 3, 4, 5}) c.step(1, append_ack(id, 1, 2, 2));
  EXPECT_EQ(c.core(1).commit(), LogIndex(0));
  for (int id : {2, 3}) c.step(1, append_ack(id, 1, 2, 3));
  EXPECT_EQ(c.core(1).commit(), LogIndex(3));
}

}  // namespace
}  // namespace holdfast::raft::testing
