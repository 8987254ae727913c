// What may go into the log (PROMISE 12): the room in hand is counted entry by entry, and what a
// follower has no room for waits, or counts as lost when its disk is full.
#include "coordinator/server/log_budget.h"

#include <gtest/gtest.h>

#include "coordinator/server/append_gate.h"

namespace holdfast::server {
namespace {

using Use = LogBudget::Use;

constexpr uint64_t kSegment = 16 << 10;
/// Of an entry of 100 bytes alone: a batch of one sector, twice, and a head.
constexpr uint64_t kOne = 3 * 512;

class LogBudgetTest : public ::testing::Test {
 protected:
  raft::LogRoom room{kOne, kSegment, false};
  LogBudget budget{{[this] { return room; }, 4'000, 1'000}};
};

TEST_F(LogBudgetTest, WithoutALogThatIsWatchedEverythingFits) {
  LogBudget unlimited;
  EXPECT_TRUE(unlimited.take(uint64_t{1} << 40, Use::kAny));
}

TEST_F(LogBudgetTest, WhatFreesHasTheReserveAndNothingHasWhatIsKept) {
  room.bytes = kOne + 1'000 - 1;
  EXPECT_FALSE(budget.take(100, Use::kFrees));
  budget.handed_over();
  room.bytes = kOne + 1'000;
  EXPECT_FALSE(budget.take(100, Use::kAny));
  EXPECT_TRUE(budget.take(100, Use::kFrees));
  budget.handed_over();
  room.bytes = kOne + 5'000 - 1;
  EXPECT_FALSE(budget.take(100, Use::kAny));
  budget.handed_over();
  room.bytes = kOne + 5'000;
  EXPECT_TRUE(budget.take(100, Use::kAny));
}

TEST_F(LogBudgetTest, WhatIsTakenInATurnIsCountedUntilItIsHandedOver) {
  room.bytes = kOne + 1'000;
  int taken = 0;
  while (taken < 100 && budget.take(100, Use::kFrees)) ++taken;
  EXPECT_GT(taken, 1) << "they share a batch";
  EXPECT_LT(taken, 5) << "of one sector";
  EXPECT_TRUE(budget.waited_for());
  budget.handed_over();
  EXPECT_TRUE(budget.take(100, Use::kFrees));
  budget.looked_at(false);
  EXPECT_FALSE(budget.waited_for());
}

TEST_F(LogBudgetTest, WhoAsksAndFindsNothingLeftWaitsToo) {
  room.bytes = 1 << 20;
  EXPECT_GT(budget.left(Use::kFrees), 0U);
  EXPECT_FALSE(budget.waited_for());
  room.bytes = 1'000;
  budget.handed_over();
  EXPECT_EQ(budget.left(Use::kFrees), 0U);
  EXPECT_TRUE(budget.waited_for()) << "else it would be asked without a pause";
}

TEST_F(LogBudgetTest, ATurnTakesNoMoreThanIsOneBatch) {
  room.bytes = uint64_t{1} << 30;
  uint64_t bytes = 0;
  while (bytes < kSegment && budget.take(1'000, Use::kAny)) bytes += 1'000;
  EXPECT_LE(bytes, kSegment / 2);
  EXPECT_GT(bytes, kSegment / 4);
}

TEST_F(LogBudgetTest, WhatIsLargerThanAllThatCanBeInHandGoesAloneUnlessTheDiskIsFull) {
  room.bytes = 3 * kSegment;
  EXPECT_FALSE(budget.take(2 * kSegment, Use::kAny)) << "something is under way";
  budget.handed_over();
  room.whole = true;
  EXPECT_TRUE(budget.take(2 * kSegment, Use::kAny));
  EXPECT_FALSE(budget.take(1, Use::kAny)) << "not with another";
  budget.handed_over();
  budget.looked_at(true);
  EXPECT_FALSE(budget.take(2 * kSegment, Use::kAny));
}

raft::Message append_of(uint64_t first, size_t count) {
  raft::Message message;
  message.type = raft::MessageType::kAppendRequest;
  message.term = Term(3);
  message.index = LogIndex(first - 1);
  message.log_term = Term(2);
  message.commit = LogIndex(first);
  for (size_t i = 0; i < count; ++i) {
    message.entries.push_back(
        {Term(3), LogIndex(first + i), raft::EntryType::kCommand, Blob(std::string(100, 'x'))});
  }
  return message;
}

class AppendGateTest : public LogBudgetTest {
 protected:
  void turn() {
    budget.handed_over();
    gate.turn();
  }
  std::vector<raft::Message> delivered;
  AppendGate gate{budget, {.bytes = 3'000, .messages = 4}, [this](raft::Message&& message) {
                    delivered.push_back(std::move(message));
                  }};
};

TEST_F(AppendGateTest, WhatIsNoAppendPassesAndWhatFitsToo) {
  raft::Message vote;
  vote.type = raft::MessageType::kVoteRequest;
  gate.receive(std::move(vote));
  room.bytes = 1 << 20;
  gate.receive(append_of(5, 2));
  ASSERT_EQ(delivered.size(), 2U);
  EXPECT_EQ(delivered[1].entries.size(), 2U);
  EXPECT_EQ(gate.waiting(), 0U);
}

TEST_F(AppendGateTest, APartPassesAndTheRestFollowsAsIfTheLeaderHadSentIt) {
  room.bytes = kOne + 1'000;
  gate.receive(append_of(5, 6));
  ASSERT_EQ(delivered.size(), 1U);
  const size_t part = delivered[0].entries.size();
  ASSERT_LT(part, 6U);
  EXPECT_EQ(delivered[0].index, LogIndex(4));
  EXPECT_EQ(delivered[0].log_term, Term(2));
  room.bytes = 1 << 20;
  turn();
  ASSERT_EQ(delivered.size(), 2U);
  EXPECT_EQ(delivered[1].index, LogIndex(4 + part));
  EXPECT_EQ(delivered[1].log_term, Term(3));
  EXPECT_EQ(delivered[1].commit, LogIndex(5));
  ASSERT_EQ(delivered[1].entries.size(), 6 - part);
  EXPECT_EQ(delivered[1].entries.front().index, LogIndex(5 + part));
  EXPECT_EQ(gate.waiting(), 0U);
  EXPECT_EQ(gate.lost(), 0U);
}

TEST_F(AppendGateTest, AppendsKeepTheirOrder) {
  room.bytes = 0;
  gate.receive(append_of(5, 1));
  gate.receive(append_of(6, 0));
  EXPECT_EQ(gate.waiting(), 2U) << "the empty one asks where the log ends: behind the first";
  room.bytes = 1 << 20;
  turn();
  ASSERT_EQ(delivered.size(), 2U);
  EXPECT_EQ(delivered[1].index, LogIndex(5));
}

TEST_F(AppendGateTest, WhatWaitsIsBounded) {
  room.bytes = 0;
  for (int i = 0; i < 10; ++i) gate.receive(append_of(5, 1));
  EXPECT_EQ(gate.waiting(), 4U);
  EXPECT_EQ(gate.lost(), 6U);
  room.bytes = 1 << 20;
  turn();
  room.bytes = 0;
  budget.handed_over();
  gate.receive(append_of(5, 31));
  EXPECT_EQ(gate.waiting(), 0U) << "too many bytes";
}

TEST_F(AppendGateTest, OnAFullDiskWhatDoesNotFitIsLost) {
  room.bytes = 0;
  gate.receive(append_of(5, 1));
  budget.looked_at(true);
  turn();
  EXPECT_EQ(gate.waiting(), 0U);
  room.bytes = kOne + 1'000;
  budget.handed_over();
  gate.receive(append_of(5, 6));
  ASSERT_EQ(delivered.size(), 1U) << "a part fits";
  EXPECT_EQ(gate.waiting(), 0U);
  EXPECT_EQ(gate.lost(), 2U);
}

}  // namespace
}  // namespace holdfast::server
