// What the driver passes on: reads, pauses, the transport's news, time; and how much one turn does.
#include <algorithm>

#include "tests/unit/node/driver_fixture.h"

namespace holdfast::raft {
namespace {

using testing::append;
using testing::entry;

class TurnTest : public DriverTest {};

// ---- reads -----------------------------------------------------------------------------------

TEST_F(TurnTest, ALeadersReadIsAnsweredOnceAfterAQuorumConfirmedIt) {
  start();
  lead();
  node->read_index(7);
  pump();
  EXPECT_FALSE(did("read"));
  confirm_round();
  confirm_round();
  EXPECT_EQ(std::count(journal.begin(), journal.end(), "read 7 at 2"), 1);
}

TEST_F(TurnTest, AFollowersReadGoesToItsLeaderAndBack) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1));
  pump();
  node->read_index(7);
  pump();
  EXPECT_TRUE(did("send " + name(MessageType::kReadIndexRequest) + " to 2"));
}

TEST_F(TurnTest, AReadWithoutALeaderFailsInTheNextTurn) {
  start();
  node->read_index(7);
  EXPECT_FALSE(did("read failed")) << "never from inside the call";
  pump();
  EXPECT_TRUE(did("read failed 7"));
}

TEST_F(TurnTest, ADeposedLeadersReadsFail) {
  start();
  lead();
  node->read_index(7);
  pump();
  node->receive(append(3, 1, node->core().term().value + 1, 1, 1, 1));
  pump();
  EXPECT_TRUE(did("read failed 7"));
  EXPECT_FALSE(did("read 7"));
}

// ---- pauses ----------------------------------------------------------------------------------

TEST_F(TurnTest, APauseBelowTheElectionTimeoutLeavesTheLeaderLeading) {
  start();
  lead();
  node->on_pause(config.election_timeout_min - 1ns);
  pump();
  EXPECT_TRUE(node->core().is_leader());
}

TEST_F(TurnTest, ALongerPauseDropsLeadershipBeforeAnythingIsAnswered) {
  start();
  lead();
  node->read_index(7);
  pump();
  clock.advance(config.election_timeout_min);
  node->on_pause(config.election_timeout_min);
  EXPECT_FALSE(propose("a").accepted());
  confirm_round();  // it was in a socket all the while
  EXPECT_FALSE(node->core().is_leader());
  EXPECT_FALSE(did("read 7"));
  expect_order({"soft follower leader 0", "read failed 7"});
}

// ---- the transport's news --------------------------------------------------------------------

TEST_F(TurnTest, ARefusingLeaderIsSucceededAtOnce) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1));
  pump();
  sync();
  for (const PeerEvent news : {PeerEvent::kConnected, PeerEvent::kMismatch, PeerEvent::kLost}) {
    node->on_peer_event(NodeId(2), news);
  }
  clock.advance(60ms);
  pump();
  EXPECT_FALSE(sent(MessageType::kPreVoteRequest)) << "none of that says that it is dead";
  node->on_peer_event(NodeId(2), PeerEvent::kRefused);
  clock.advance(60ms);
  pump();
  EXPECT_TRUE(sent(MessageType::kPreVoteRequest));
}

TEST_F(TurnTest, ANewIncarnationOfTheLeaderIsSucceededAtOnce) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1));
  pump();
  sync();
  node->on_peer_event(NodeId(2), PeerEvent::kNewIncarnation);
  clock.advance(60ms);
  pump();
  EXPECT_TRUE(sent(MessageType::kPreVoteRequest));
}

// ---- time ------------------------------------------------------------------------------------

TEST_F(TurnTest, ALeaderWakesForItsHeartbeatsAndAnIdlePumpDoesNothing) {
  start();
  lead();
  const Instant next = node->next_wakeup();
  EXPECT_GT(next, clock.now());
  EXPECT_LE(next, clock.now() + config.heartbeat_interval);
  pump();
  EXPECT_TRUE(journal.empty()) << ::testing::PrintToString(journal);
  clock.advance(next - clock.now());
  pump();
  EXPECT_TRUE(sent(MessageType::kHeartbeatRequest));
  EXPECT_GT(node->next_wakeup(), clock.now());
}

TEST_F(TurnTest, AFollowerWakesForItsElectionWithinTheBounds) {
  start();
  const Instant started = clock.now();
  EXPECT_GE(node->next_wakeup(), started + config.election_timeout_min);
  EXPECT_LE(node->next_wakeup(), started + config.election_timeout_max);
  clock.advance(node->next_wakeup() - started);
  pump();
  EXPECT_TRUE(sent(MessageType::kPreVoteRequest));
}

// ---- proposals -------------------------------------------------------------------------------

TEST_F(TurnTest, AnOfferReachesTheApplicationWheneverItComes) {
  start();
  for (int i = 1; i <= 2; ++i) {
    journal.clear();
    node->receive(testing::snapshot_offer(2, 1, 5, 40, 4));
    pump();
    EXPECT_TRUE(did("snapshot of 40 at node 2"));
    EXPECT_FALSE(sent(MessageType::kSnapshotResponse));
  }
}

TEST_F(TurnTest, AnOfferOfWhatIsThereIsAnsweredAndNotPassedOn) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 2, {entry(2, 5)}));
  pump();
  sync();
  node->receive(testing::snapshot_offer(2, 1, 5, 2, 5));
  pump();
  EXPECT_FALSE(did("snapshot of"));
  EXPECT_TRUE(sent(MessageType::kSnapshotResponse));
}

TEST_F(TurnTest, CompactionShortensTheLogUntilTheNodeHasStopped) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 3, {entry(2, 5), entry(3, 5)}));
  pump();
  sync();
  node->compact(LogIndex(2));
  EXPECT_EQ(node->core().log().first(), LogIndex(3));
  node->receive(append(3, 1, 5, 3, 5, 3));
  pump();
  ASSERT_TRUE(node->stopped());
  node->compact(LogIndex(3));
  EXPECT_EQ(node->core().log().first(), LogIndex(3));
}

TEST_F(TurnTest, AFollowerNamesItsLeaderInsteadOfTakingAProposal) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1));
  pump();
  const ProposeResult result = propose("a");
  EXPECT_EQ(result.outcome, ProposeResult::Outcome::kNotLeader);
  EXPECT_EQ(result.leader, NodeId(2));
  EXPECT_EQ(node->transfer_leadership(NodeId(3)), TransferResult::kNotLeader);
}

TEST_F(TurnTest, WhileLeadershipIsHandedOverProposalsAreRefused) {
  start();
  lead();
  EXPECT_EQ(node->transfer_leadership(NodeId(9)), TransferResult::kNotVoter);
  EXPECT_EQ(node->transfer_leadership(NodeId(2)), TransferResult::kStarted);
  EXPECT_EQ(node->transfer_leadership(NodeId(3)), TransferResult::kAlreadyRunning);
  EXPECT_EQ(propose("a").outcome, ProposeResult::Outcome::kTransferring);
  pump();
  EXPECT_TRUE(did("send " + name(MessageType::kTimeoutNow) + " to 2"));
}

// ---- backlogs --------------------------------------------------------------------------------

class BacklogTest : public DriverTest {
 protected:
  static constexpr uint64_t kEntries = 1'000;
  BacklogTest() {
    for (uint64_t i = 2; i <= kEntries; ++i) disk.log.push_back(entry(i, 1, std::string(100, 'x')));
    config.max_committed_bytes = 1'000;  // seven entries
    start();
    node->receive(append(2, 1, 5, kEntries, 1, kEntries));
  }
};

TEST_F(BacklogTest, OnePumpAppliesABoundedPartOfABacklogAndAsksToBeCalledAgain) {
  EXPECT_TRUE(node->pump());
  const size_t part = applied.size();
  EXPECT_GT(part, 1u);
  EXPECT_LE(part, 10u) << "the sockets wait for more than max_committed_bytes";
  EXPECT_TRUE(node->pump());
  EXPECT_GT(applied.size(), part);
  EXPECT_LE(applied.size(), 2 * 10u);
}

TEST_F(BacklogTest, EachEntryIsAppliedOnceInOrderAndAcknowledgedAsItGoes) {
  while (node->pump()) {
    ASSERT_EQ(node->core().applied_index(), applied.back());
  }
  ASSERT_EQ(applied.size(), kEntries);
  for (uint64_t i = 0; i < kEntries; ++i) ASSERT_EQ(applied[i], LogIndex(i + 1));
  EXPECT_EQ(node->core().applied_index(), LogIndex(kEntries));
}

TEST_F(TurnTest, APeerThatIsBehindIsSentOneAppendOfItsBacklogInATurn) {
  config.max_append_bytes = 200;
  config.max_catchup_bytes = 400;
  start();
  lead();
  for (int i = 0; i < 100; ++i) propose(std::string(100, 'x'));
  const std::string append = "send " + name(MessageType::kAppendRequest) + " to 2";
  for (int turn = 1; turn <= 3; ++turn) {
    EXPECT_TRUE(node->pump()) << "there is more to send";
    EXPECT_EQ(std::count(journal.begin(), journal.end(), append), turn);
  }
  pump();
  EXPECT_GT(std::count(journal.begin(), journal.end(), append), 20);
}

TEST_F(BacklogTest, HeartbeatsAreAnsweredWhileABacklogIsWorkedOff) {
  EXPECT_TRUE(node->pump());
  writer->disk.sync();
  node->receive(testing::heartbeat(2, 1, 5, 3, kEntries, kEntries));
  node->pump();
  EXPECT_TRUE(sent(MessageType::kHeartbeatResponse));
  EXPECT_LT(applied.size(), kEntries);
}

TEST_F(BacklogTest, ALogThatCannotBeReadNowIsAskedAgainAtTheNextTick) {
  disk.available = false;
  EXPECT_FALSE(node->pump());
  EXPECT_TRUE(applied.empty());
  disk.available = true;
  clock.advance(10ms);
  pump();
  EXPECT_EQ(applied.size(), kEntries);
}

}  // namespace
}  // namespace holdfast::raft
