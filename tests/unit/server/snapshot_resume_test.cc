// A receiver that is killed goes on where it was.
#include <fstream>

#include "tests/unit/server/snapshot_transfer.h"

namespace holdfast::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST_F(SnapshotTransfer, AProcessThatIsStartedAnewGoesOnWithWhatHadCome) {
  die_after(4);
  offer();
  expect_state(run());
  EXPECT_EQ(fetch_->stats().resumed, 1u);
  EXPECT_EQ(give_->stats().copies, 1u);
  EXPECT_LE(give_->stats().pieces, had_come_ + fetch_->stats().pieces + 1) << "one was under way";
  EXPECT_LT(fetch_->stats().pieces * snapshot::PieceSum::kPieceBytes, bytes_sent());
  EXPECT_THAT(said_, Contains(HasSubstr(": 768 KiB of 2.3 MiB had come")));
  EXPECT_THAT(parts(), IsEmpty());
}

TEST_F(SnapshotTransfer, OfAFirstPieceNothingIsKept) {
  die_after(1);
  offer();
  expect_state(run());
  EXPECT_EQ(fetch_->stats().resumed, 0u);
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
}

// A large part takes long to be read.
TEST_F(SnapshotTransfer, WhatHadComeIsReadBeforeAnythingIsAskedFor) {
  die_after(4);
  offer();
  pass(SnapshotFetch::kGiveUp + 1s);
  fetch_->turn_end();
  EXPECT_THAT(target_.transport.sent, IsEmpty());
  target_work_.deliver();
  fetch_->turn_end();
  EXPECT_THAT(target_.transport.sent, SizeIs(1));
  expect_state(run());
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
}

TEST_F(SnapshotTransfer, WhatHadComeAndIsNotWhatWasSentIsFoundAndAskedForAnew) {
  die_after(4);
  std::fstream part(parts().front(), std::ios::in | std::ios::out | std::ios::binary);
  part.seekp(300'000);
  part << "altered" << std::flush;
  offer();
  EXPECT_FALSE(run().has_value());
  EXPECT_THAT(said_, Contains(HasSubstr("what was received is not what was sent")));
  offer();
  expect_state(run());
  EXPECT_EQ(fetch_->stats().resumed, 0u);
}

TEST_F(SnapshotTransfer, OfACopyThatIsGoneNothingIsKept) {
  die_after(4);
  source_.clock.advance(SnapshotSource::kIdle);
  give_->turn_end();
  source_work_.deliver();
  offer();
  exchange();
  exchange();
  EXPECT_THAT(parts(), SizeIs(1));
  expect_state(run());
  EXPECT_EQ(give_->stats().copies, 2u);
  EXPECT_THAT(parts(), IsEmpty());
}

TEST_F(SnapshotTransfer, WhatHadComeOfAStateThatIsTooOldNowIsNotUsed) {
  die_after(4);
  grow(5);
  source_.clock.advance(SnapshotSource::kForget);
  offer();
  expect_state(run());
  EXPECT_EQ(fetch_->stats().resumed, 0u);
  EXPECT_THAT(parts(), IsEmpty());
  EXPECT_THAT(said_, Not(Contains(HasSubstr("going on"))));
}

// Its source may have found out meanwhile that its state is not good: it must still give it.
TEST_F(SnapshotTransfer, AStateThatHadComeWholeIsTakenOnlyFromASourceThatStillGivesIt) {
  offer();
  snapshot::ArrivingCopy copy;
  ASSERT_TRUE(run([&](TestTransport::Sent& m) {
                const peer::SnapshotPiece piece = piece_of(m);
                copy = {.sender = kSource,
                        .id = static_cast<uint64_t>(piece.copy),
                        .bytes = static_cast<uint64_t>(piece.bytes),
                        .sum = static_cast<uint64_t>(piece.sum),
                        .applied = state_.head().applied};
                return false;
              }).has_value());
  std::filesystem::rename(incoming(), here_.file(snapshot::part_name(copy)));
  begin_anew();
  target_.transport.sent.clear();
  offer();
  target_work_.deliver();
  EXPECT_FALSE(fetch_->take().has_value());
  EXPECT_THAT(target_.transport.sent, SizeIs(1));
  expect_state(run());
  EXPECT_EQ(fetch_->stats().pieces, 1u) << "loading had changed nothing of the others";
}

TEST_F(SnapshotTransfer, WhoSentItBeforeIsAskedFirst) {
  die_after(4);
  fetch_->begin_any({NodeId(7), NodeId(8), kSource}, state_.head().applied);
  target_work_.deliver();
  ASSERT_THAT(target_.transport.sent, SizeIs(1));
  EXPECT_EQ(target_.transport.sent.front().to, kSource);
}

// Nothing has come from it in this run.
TEST_F(SnapshotTransfer, OthersAreAskedBesidesOneThatSentSomethingBefore) {
  die_after(4);
  const std::vector<NodeId> both{kSource, NodeId(7)};
  fetch_->begin_any(both, state_.head().applied);
  pass(SnapshotFetch::kAskBesides + 1s);
  fetch_->begin_any(both, state_.head().applied);
  EXPECT_THAT(target_.transport.sent, IsEmpty()) << "what had come is still being read";
  target_work_.deliver();
  ASSERT_THAT(target_.transport.sent, SizeIs(1));
  target_.transport.sent.clear();
  pass(SnapshotFetch::kAskBesides);
  fetch_->begin_any(both, state_.head().applied);
  ASSERT_THAT(target_.transport.sent, SizeIs(1));
  EXPECT_EQ(target_.transport.sent.front().to, NodeId(7));
}

TEST_F(SnapshotTransfer, WhatHadComeFromAnotherIsNotUsed) {
  die_after(4);
  fetch_->begin(NodeId(7), state_.head().applied);
  EXPECT_THAT(target_.transport.sent, SizeIs(1));
  target_work_.deliver();
  EXPECT_THAT(parts(), IsEmpty());
}

// What takes the room is to go.
TEST_F(SnapshotTransfer, WhatHadComeOfAnotherCopyIsNoRoomThatIsLacking) {
  die_after(4);
  source_.clock.advance(SnapshotSource::kIdle);
  give_->turn_end();
  source_work_.deliver();
  room_here_ = 2 << 20;
  offer();
  expect_state(run());
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
}

TEST_F(SnapshotTransfer, WhatHadComeIsRemovedIfNobodyAsksForAState) {
  die_after(2);
  EXPECT_EQ(fetch_->next_wakeup() - target_.clock.now(), SnapshotFetch::kKeepPart);
  pass(SnapshotFetch::kKeepPart - 1ms);
  exchange();
  EXPECT_THAT(parts(), SizeIs(1));
  pass(1ms);
  exchange();
  target_work_.deliver();
  EXPECT_THAT(parts(), IsEmpty());
  offer();
  expect_state(run());
}

TEST_F(SnapshotTransfer, WithoutRoomForTheRestNothingStaysOfWhatHadCome) {
  die_after(2);
  no_room_here_ = "the disk has 5 bytes left";
  offer();
  target_work_.deliver();
  EXPECT_THAT(said_, Contains(HasSubstr("the disk has 5 bytes left")));
  target_work_.deliver();
  EXPECT_THAT(parts(), IsEmpty());
}

}  // namespace
}  // namespace holdfast::server
