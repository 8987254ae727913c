// The driver's contract (raft/core/ready.h): what comes before what, and what ends the node.
#include "tests/unit/node/driver_fixture.h"

namespace holdfast::raft {
namespace {

using testing::append;
using ::testing::ElementsAre;
using testing::entry;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::vote_request;

// ---- order -----------------------------------------------------------------------------------

TEST_F(DriverTest, AFollowersTurnIsRoleThenWriteThenSendsThenApplies) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 3, {entry(2, 5), entry(3, 5)}));
  node->receive(testing::pre_vote_request(3, 1, 6, 9, 5));
  pump();
  expect_order({"soft follower leader 2", "write 1", "send " + name(MessageType::kPreVoteResponse),
                "apply 1", "apply 2", "apply 3"});
}

TEST_F(DriverTest, ALeadersTurnWritesThenSendsWhatItProposed) {
  start();
  lead();
  propose("a");
  pump();
  expect_order({"write", "send " + name(MessageType::kAppendRequest)});
  EXPECT_FALSE(did("apply")) << "nobody has acknowledged it";
}

TEST_F(DriverTest, AReadIsAnsweredAfterTheAppliesOfItsTurn) {
  start();
  lead();
  propose("a");
  pump();
  node->read_index(7);
  pump();
  journal.clear();
  // The acknowledgement that commits the entry and the one that confirms the read come together.
  sync();
  node->receive(testing::append_ack(2, 1, node->core().term().value, 3));
  confirm_round();
  expect_order({"apply 3", "read 7"});
}

TEST_F(DriverTest, LeadershipIsToldBeforeTheEntriesAppliedUnderIt) {
  start(1);
  ASSERT_TRUE(elapse_until([&] { return did("write"); }));
  journal.clear();
  sync();
  sync();
  expect_order({"soft leader leader 1", "apply 1", "apply 2"});
}

TEST_F(DriverTest, ATransportThatTakesNothingChangesNothing) {
  start();
  lead();
  transport_works = false;
  propose("a");
  pump();
  sync();
  acknowledge(node->core().log().last().value);
  EXPECT_EQ(applied.back(), node->core().log().last());
}

// ---- durability ------------------------------------------------------------------------------

TEST_F(DriverTest, AnAcknowledgementLeavesOnlyWhenItsEntriesAreOnDisk) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1, {entry(2, 5)}));
  for (int i = 0; i < 5; ++i) pump();
  EXPECT_FALSE(sent(MessageType::kAppendResponse));
  sync();
  EXPECT_TRUE(sent(MessageType::kAppendResponse));
}

TEST_F(DriverTest, AVoteLeavesOnlyWhenItIsOnDisk) {
  start();
  node->receive(vote_request(2, 1, 5, 9, 4));
  for (int i = 0; i < 5; ++i) pump();
  EXPECT_TRUE(did("write 1"));
  EXPECT_FALSE(sent(MessageType::kVoteResponse));
  sync();
  EXPECT_TRUE(sent(MessageType::kVoteResponse));
}

TEST_F(DriverTest, ACandidacyLeavesOnlyWhenTheVoteForItselfIsOnDisk) {
  start();
  ASSERT_TRUE(elapse_until([&] { return sent(MessageType::kPreVoteRequest); }));
  answer(MessageType::kPreVoteResponse, node->core().term().next());
  ASSERT_EQ(node->core().role(), Role::kCandidate);
  EXPECT_FALSE(sent(MessageType::kVoteRequest));
  sync();
  EXPECT_TRUE(sent(MessageType::kVoteRequest));
}

TEST_F(DriverTest, WritesThatAreConfirmedTogetherReleaseTogether) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1, {entry(2, 5)}));
  pump();
  node->receive(vote_request(3, 1, 6, 9, 5));
  pump();
  node->receive(append(3, 1, 6, 2, 5, 1, {entry(3, 6)}));
  pump();
  ASSERT_GE(writer->disk.waiting().size(), 2u);
  writer->disk.sync(1);
  pump();
  const auto first = node->core().hard_state_durable();
  EXPECT_FALSE(first) << "term 6 waits for a later write";
  sync();
  EXPECT_TRUE(node->core().hard_state_durable());
  EXPECT_TRUE(sent(MessageType::kAppendResponse));
}

TEST_F(DriverTest, ALoneLeaderCommitsOnlyWhatIsOnItsDisk) {
  start(1);
  ASSERT_TRUE(elapse_until([&] { return did("write"); }));
  sync();
  ASSERT_TRUE(node->core().is_leader());
  sync();
  const size_t before = applied.size();
  ASSERT_TRUE(propose("a").accepted());
  pump();
  EXPECT_EQ(applied.size(), before);
  sync();
  EXPECT_EQ(applied.size(), before + 1);
}

// ---- the end ---------------------------------------------------------------------------------

class StoppedTest : public DriverTest {
 protected:
  /// The node has stopped, has said so once, and whatever happens now leaves no trace.
  void expect_stopped(const std::string& why) {
    EXPECT_TRUE(node->stopped());
    ASSERT_FALSE(journal.empty());
    EXPECT_THAT(journal.back(), HasSubstr("fatal"));
    EXPECT_THAT(journal.back(), HasSubstr(why));
    journal.clear();
    writer->disk.sync();
    node->receive(append(2, 1, 9, 1, 1, 1, {entry(2, 9)}));
    node->on_peer_event(NodeId(2), PeerEvent::kRefused);
    node->on_pause(10s);
    node->read_index(99);
    EXPECT_FALSE(propose("late").accepted());
    EXPECT_EQ(node->transfer_leadership(NodeId(2)), TransferResult::kNotLeader);
    for (int i = 0; i < 300; ++i) {
      clock.advance(10ms);
      EXPECT_FALSE(node->pump());
    }
    EXPECT_THAT(journal, IsEmpty());
  }
};

TEST_F(StoppedTest, AFailedWriteStopsTheNodeBeforeAnythingLeaves) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1, {entry(2, 5)}));
  pump();
  journal.clear();
  writer->disk.fail({ErrorCode::kInternal, "the disk failed at offset 4096"});
  node->receive(testing::heartbeat(2, 1, 5, 3));
  pump();
  EXPECT_EQ(journal.size(), 1u) << ::testing::PrintToString(journal);
  expect_stopped("the disk failed at offset 4096");
}

TEST_F(StoppedTest, AFullDiskIsToldAsItIs) {
  start();
  writer->disk.fail({ErrorCode::kNoSpace, "no room for a segment"});
  pump();
  expect_stopped("NO_SPACE no room for a segment");
}

TEST_F(StoppedTest, AContradictionOfRaftStopsTheNodeWithoutAnotherMessage) {
  start();
  node->receive(append(2, 1, 5, 1, 1, 1));
  pump();
  sync();
  journal.clear();
  node->receive(append(3, 1, 5, 1, 1, 1));
  pump();
  EXPECT_EQ(journal.size(), 1u) << ::testing::PrintToString(journal);
  expect_stopped("INTERNAL");
}

TEST_F(StoppedTest, AnEntryThatCannotBeAppliedEndsTheAppliesThere) {
  start();
  cannot_apply = LogIndex(3);
  node->receive(append(2, 1, 5, 1, 1, 4, {entry(2, 5), entry(3, 5), entry(4, 5)}));
  pump();
  EXPECT_THAT(applied, ElementsAre(LogIndex(1), LogIndex(2)));
  EXPECT_FALSE(did("apply 4"));
  EXPECT_LT(node->core().applied_index(), LogIndex(3)) << "what failed is not acknowledged";
  expect_stopped("UNSUPPORTED too new");
}

TEST_F(StoppedTest, ReadsOfTheTurnInWhichApplyFailedAreNotAnswered) {
  start();
  lead();
  cannot_apply = LogIndex(3);
  propose("a");
  node->read_index(7);
  pump();
  sync();
  journal.clear();
  node->receive(testing::append_ack(2, 1, node->core().term().value, 3));
  confirm_round();
  EXPECT_FALSE(did("read"));
  expect_stopped("too new");
}

}  // namespace
}  // namespace holdfast::raft
