// What becomes of an acquire when servers cannot take its commands, or its grant comes at a bad
// time: no place and no lock is left that nobody knows of, none is delivered that is gone.
#include <limits>

#include "tests/unit/client/session_fixture.h"

namespace holdfast::client {
namespace {

class SessionAcquireTest : public SessionTest {
 protected:
  const Received& last() const { return commands_.back().second; }
  int64_t last_sequence() const { return last().context.sequence; }
  template <class Result>
  void answer(const Result& result) {
    commands_.back().first->reply(last(), result);
    settle();
  }
  void refuse_for_want_of_room(size_t command) {
    commands_[command].first->refuse(commands_[command].second, api::ErrorCode::LIMIT_EXCEEDED,
                                     true, api::Applied::NO, 20);
    settle();
  }
  void answer_cancel(api::AcquireStatus::type status) {
    api::CancelAcquireResult result;
    result.status = status;
    result.holderId = 600;
    result.token = 601;
    answer(result);
  }
  bool acknowledges(int64_t sequence) const {
    return std::ranges::any_of(last().context.acknowledged, [&](const auto& range) {
      return range.first <= sequence && sequence <= range.last;
    });
  }
  void acquire_both(api::LockMode::type second = api::LockMode::EXCLUSIVE) {
    std::vector<api::LockWanted> wanted(2);
    wanted[0].path = "/x";
    wanted[1].path = "/y";
    wanted[1].mode = second;
    ticket_ = session_->acquire_all(wanted, {}, [this](auto outcome) {
      acquired_ = std::move(outcome);
      if (!acquired_->ok() || (*acquired_)->hold == nullptr) return;
      (*acquired_)->hold->on_lost = [this](LostReason reason) { lost_ = reason; };
    });
    settle();
  }
  /// The first copy reaches a server that dies, the second is refused by one that did not look.
  void refuse_the_second_copy() {
    a_.down();
    settle();
    b_.refuse(last(), api::ErrorCode::UNSUPPORTED, false);
    settle();
  }
  /// Granted when the lease has run out; polls are not answered.
  void be_granted_without_a_lease() {
    open();
    acquire();
    mute_polls_ = true;
    clock_.advance(from_ms(kLeaseMs) + 1ms);
    settle();
    answer_acquire(commands_.size() - 1, api::AcquireStatus::GRANTED);
  }
  void hold_shared() {
    open();
    session_->acquire("/a", {.mode = api::LockMode::SHARED}, [this](Outcome<Acquired> outcome) {
      acquired_ = std::move(outcome);
      (*acquired_)->hold->on_lost = [this](LostReason reason) { lost_ = reason; };
    });
    settle();
    answer_acquire(0, api::AcquireStatus::GRANTED);
  }
};

// ------------------------------------------------------------- no room for another result

TEST_F(SessionAcquireTest, WhatThereIsNoRoomForIsSentAgainWithWhatWasAcknowledgedMeanwhile) {
  hold_lock();
  std::optional<api::ReleaseStatus::type> released;
  session_->release(hold(), [&](const auto& outcome) { released = *outcome; });
  session_->acquire("/other", {.wait_ms = 0}, [](const auto&) {});
  settle();
  ASSERT_EQ(commands_.size(), 3u);
  const int64_t sequence = commands_[1].second.context.sequence;
  const int64_t other = commands_[2].second.context.sequence;
  refuse_for_want_of_room(1);
  answer_acquire(2, api::AcquireStatus::NOT_GRANTED);
  EXPECT_FALSE(released);
  pass(20ms);
  ASSERT_EQ(commands_.size(), 4u);
  EXPECT_EQ(last().name, "release");
  EXPECT_EQ(last_sequence(), sequence);
  EXPECT_TRUE(acknowledges(other)) << "it is refused for ever";
  for (int i = 0; i < 50; ++i) {
    refuse_for_want_of_room(commands_.size() - 1);
    pass(200ms, 20ms);
  }
  EXPECT_EQ(last_sequence(), sequence);
  api::ReleaseResult result;
  result.status = api::ReleaseStatus::RELEASED;
  answer(result);
  EXPECT_EQ(released, api::ReleaseStatus::RELEASED);
}

TEST_F(SessionAcquireTest, AWithdrawalThatThereIsNoRoomForIsNotTheAcquiresOutcome) {
  open();
  acquire();
  answer_acquire(0, api::AcquireStatus::WAITING);
  session_->cancel(ticket_);
  settle();
  ASSERT_EQ(last().name, "cancelAcquire");
  const int64_t sequence = last_sequence();
  refuse_for_want_of_room(1);
  pass(20ms);
  EXPECT_FALSE(acquired_);
  ASSERT_EQ(last().name, "cancelAcquire");
  EXPECT_EQ(last_sequence(), sequence);
  answer_cancel(api::AcquireStatus::NOT_GRANTED);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
}

// -------------------------------------------------------------------------- taking it back

TEST_F(SessionAcquireTest, WhatAWithdrawnAcquireAllStillHoldsIsReleased) {
  open();
  acquire_both();
  refuse_the_second_copy();
  ASSERT_EQ(last().name, "cancelAcquire");
  answer_cancel(api::AcquireStatus::NOT_HELD);
  ASSERT_EQ(last().name, "releaseAll") << "one lock was lost, and the other is held for ever";
  EXPECT_EQ(last().request<api::ReleaseAllRequest>().holderId, 600);
}

TEST_F(SessionAcquireTest, OfAWithdrawnAcquireThatWasLostNothingIsLeftToRelease) {
  open();
  acquire();
  refuse_the_second_copy();
  ASSERT_EQ(last().name, "cancelAcquire");
  answer_cancel(api::AcquireStatus::NOT_HELD);
  EXPECT_EQ(last().name, "cancelAcquire");
}

// It was asked for again, for a hint or after some time, of a server that did not look at its
// number.
TEST_F(SessionAcquireTest, APlaceThatAServerRefusesWhenItIsAskedForAgainIsTakenBack) {
  ASSERT_NO_FATAL_FAILURE(wait_at_another_server());
  b_.refuse(last(), api::ErrorCode::PERMISSION_DENIED, false);
  settle();
  ASSERT_TRUE(acquired_ && !acquired_->ok());
  EXPECT_TRUE(acquired_->error().maybe_applied);
  ASSERT_EQ(last().name, "cancelAcquire");
  EXPECT_EQ(last().request<api::CancelAcquireRequest>().acquireSequence, ticket_);
  EXPECT_FALSE(acknowledges(ticket_)) << "its result is needed yet";
  answer_cancel(api::AcquireStatus::GRANTED);
  ASSERT_EQ(last().name, "release") << "it is held, and nobody knows of it";
}

// The answer that grants it finds nobody any more.
TEST_F(SessionAcquireTest, AnAcquireWhoseCancelIsRefusedIsTakenBackToo) {
  open();
  acquire();
  session_->cancel(ticket_);
  settle();
  ASSERT_EQ(last().name, "cancelAcquire");
  a_.refuse(last(), api::ErrorCode::PERMISSION_DENIED, false);
  settle();
  ASSERT_TRUE(acquired_ && !acquired_->ok());
  EXPECT_TRUE(acquired_->error().maybe_applied);
  answer_acquire(0, api::AcquireStatus::GRANTED);
  ASSERT_EQ(commands_.size(), 3u);
  ASSERT_EQ(last().name, "cancelAcquire");
  EXPECT_FALSE(acknowledges(ticket_)) << "its result is needed yet";
  answer_cancel(api::AcquireStatus::GRANTED);
  EXPECT_EQ(last().name, "release") << "it is held, and nobody knows of it";
}

// ------------------------------------------------------------------ granted without a lease

TEST_F(SessionAcquireTest, AGrantWithoutALeaseWaitsForARenewalAndIsAskedForUnderIt) {
  be_granted_without_a_lease();
  EXPECT_FALSE(acquired_) << "granted, but not to be relied on";
  ASSERT_TRUE(polls_.back().second.request<api::PollRequest>().renewNow);
  const size_t asked = commands_.size();
  answer_poll(polls_.size() - 1);
  EXPECT_FALSE(acquired_) << "it may have been taken away meanwhile";
  ASSERT_EQ(commands_.size(), asked + 1);
  EXPECT_EQ(last().name, "acquire");
  EXPECT_EQ(last_sequence(), ticket_);
  EXPECT_FALSE(acknowledges(ticket_)) << "its result is needed yet";
  answer_acquire(asked, api::AcquireStatus::GRANTED);
  ASSERT_NE(hold(), nullptr);
  EXPECT_TRUE(hold()->held(clock_.now()));
  session_->release(hold(), [](const auto&) {});
  settle();
  EXPECT_TRUE(acknowledges(ticket_));
}

TEST_F(SessionAcquireTest, AGrantThatWasTakenAwayBeforeTheLeaseIsNone) {
  be_granted_without_a_lease();
  answer_poll(polls_.size() - 1);
  answer_acquire(commands_.size() - 1, api::AcquireStatus::NOT_HELD);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
}

TEST_F(SessionAcquireTest, SoIsOneThatACancelCameTooLateFor) {
  open();
  acquire();
  answer_acquire(0, api::AcquireStatus::WAITING);
  mute_polls_ = true;
  clock_.advance(from_ms(kLeaseMs) + 1ms);
  settle();
  session_->cancel(ticket_);
  settle();
  while (last().name != "cancelAcquire") pass(10ms);
  answer_cancel(api::AcquireStatus::GRANTED);
  EXPECT_FALSE(acquired_);
  answer_poll(polls_.size() - 1);
  ASSERT_EQ(last().name, "acquire");
  EXPECT_FALSE(acknowledges(ticket_));
  answer_acquire(commands_.size() - 1, api::AcquireStatus::NOT_HELD);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
}

TEST_F(SessionAcquireTest, ALossOfAGrantThatWaitsForALeaseIsNotForgotten) {
  be_granted_without_a_lease();
  api::PollResult no_lease;
  auto& loss = no_lease.losses.emplace_back();
  loss.path = "/a";
  loss.holderId = 600;
  loss.reason = api::EndReason::REVOKED;
  no_lease.leaseMs = -1;
  answer_poll(polls_.size() - 1, no_lease);
  EXPECT_FALSE(acquired_);
  answer_poll(polls_.size() - 1);
  answer_acquire(commands_.size() - 1, api::AcquireStatus::GRANTED);  // by a server that lags
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr) << "lost, and handed on as if it were held";
}

TEST_F(SessionAcquireTest, AGrantOfAnotherClusterThatWaitsForALeaseIsNone) {
  be_granted_without_a_lease();
  a_.cluster_id = 78;
  b_.cluster_id = 78;
  answer_poll(polls_.size() - 1);
  EXPECT_FALSE(acquired_);
  answer_acquire(commands_.size() - 1, api::AcquireStatus::NOT_HELD);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
}

// ------------------------------------------------------------------------------ other waits

TEST_F(SessionAcquireTest, TheLongestWaitIsAskedAboutAsSeldomAsOneWithoutAnEnd) {
  open();
  acquire(std::numeric_limits<int64_t>::max());
  answer_acquire(0, api::AcquireStatus::WAITING);
  pass(1s);
  EXPECT_EQ(commands_.size(), 1u);
}

// ------------------------------------------------------------------------- holders by name

TEST_F(SessionAcquireTest, ASharedLockIsAskedForByItsHolderBecauseItsTokenIsOthersToo) {
  hold_shared();
  a_.down();
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  ASSERT_EQ(last().name, "transact");
  const auto request = last().request<api::TransactRequest>();
  EXPECT_TRUE(request.thenOperations.empty());
  ASSERT_EQ(request.compares.size(), 1u);
  EXPECT_EQ(request.compares[0].target, api::CompareTarget::HOLDS);
  EXPECT_EQ(request.compares[0].relation, api::CompareRelation::EQUAL);
  EXPECT_EQ(request.compares[0].path, "/a");
  EXPECT_EQ(request.compares[0].number, 600);
  EXPECT_TRUE(hold()->held(clock_.now()));
  answer(api::TransactResult());
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

TEST_F(SessionAcquireTest, ASharedLockWhoseHolderIsThereYetStays) {
  hold_shared();
  a_.down();
  settle();
  ASSERT_EQ(last().name, "transact");
  api::TransactResult held;
  held.succeeded = true;
  answer(held);
  EXPECT_FALSE(lost_);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionAcquireTest, LocksOfWhichOneIsSharedAreAskedForTogether) {
  open();
  acquire_both(api::LockMode::SHARED);
  answer_acquire(0, api::AcquireStatus::GRANTED);
  a_.down();
  settle();
  ASSERT_EQ(last().name, "transact");
  EXPECT_EQ(last().request<api::TransactRequest>().compares.size(), 2u);
  answer(api::TransactResult());
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

}  // namespace
}  // namespace holdfast::client
