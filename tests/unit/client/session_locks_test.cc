// Locks of a session against scripted servers: never relied on for too long, never held unseen.
#include <atomic>
#include <thread>

#include "tests/unit/client/session_fixture.h"

namespace holdfast::client {
namespace {

using SessionLocksTest = SessionTest;

TEST_F(SessionLocksTest, AQueuedAcquireIsSettledByRepeatingItAfterTheHint) {
  open();
  acquire();
  EXPECT_TRUE(commands_[0].second.request<api::AcquireRequest>().enqueue);
  answer_acquire(0, api::AcquireStatus::WAITING);
  EXPECT_FALSE(acquired_);
  api::PollResult poll;
  poll.grants.emplace_back().acquireSequence = ticket_;
  answer_poll(1, poll);
  EXPECT_FALSE(acquired_) << "the hint was taken for the truth";
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.context.sequence, ticket_);
  answer_acquire(1, api::AcquireStatus::GRANTED);
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(hold()->token, 601);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionLocksTest, AHintThatOvertakesTheWaitingAnswerIsNotLost) {
  open();
  acquire();
  api::PollResult poll;
  poll.grants.emplace_back().acquireSequence = ticket_;
  answer_poll(1, poll);
  answer_acquire(0, api::AcquireStatus::WAITING);
  ASSERT_EQ(commands_.size(), 2u);
  answer_acquire(1, api::AcquireStatus::GRANTED);
  EXPECT_NE(hold(), nullptr);
}

TEST_F(SessionLocksTest, PlacesAreAskedForAgainWhenAnotherServerAnswersThePolls) {
  ASSERT_NO_FATAL_FAILURE(wait_at_another_server());
  EXPECT_EQ(commands_[1].first, &b_);
  EXPECT_EQ(commands_[1].second.context.sequence, ticket_);
}

TEST_F(SessionLocksTest, ATimedWaitIsAskedAboutWhenItShouldBeOver) {
  open();
  acquire(1'500);
  answer_acquire(0, api::AcquireStatus::WAITING);
  pass(1500ms);
  EXPECT_EQ(commands_.size(), 1u);
  pass(100ms);
  ASSERT_EQ(commands_.size(), 2u);
  answer_acquire(1, api::AcquireStatus::NOT_GRANTED);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
  EXPECT_EQ((*acquired_)->result.reason, api::RefusalReason::TIMED_OUT);
}

TEST_F(SessionLocksTest, ACancelThatComesTooLateYieldsTheLock) {
  open();
  acquire();
  answer_acquire(0, api::AcquireStatus::WAITING);
  session_->cancel(ticket_);
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.request<api::CancelAcquireRequest>().acquireSequence, ticket_);
  api::CancelAcquireResult result;
  result.status = api::AcquireStatus::GRANTED;
  result.holderId = 600;
  result.token = 601;
  a_.reply(commands_[1].second, result);
  settle();
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(hold()->holder_id, 600);
}

TEST_F(SessionLocksTest, EveryPacketLostTheLockEndsAtItsDeadlineAndTheSessionGoesOn) {
  hold_lock();
  const Instant deadline = hold()->deadline();
  a_.down();
  b_.down();
  while (clock_.now() + 10ms < deadline) pass(10ms);
  EXPECT_TRUE(hold()->held(clock_.now()));
  EXPECT_FALSE(lost_);
  pass(10ms);
  EXPECT_EQ(lost_, LostReason::kLeaseRanOut);
  EXPECT_FALSE(hold()->held(clock_.now()));
  EXPECT_TRUE(session_->open());
}

TEST_F(SessionLocksTest, ALockWhoseDeadlinePassedIsReleasedWhenAServerCanBeTold) {
  hold_lock();
  a_.down();
  b_.down();
  pass(8s, 50ms);
  ASSERT_EQ(lost_, LostReason::kLeaseRanOut);
  b_.up();
  pass(2s, 50ms);
  ASSERT_GE(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.name, "release");
  EXPECT_EQ(commands_[1].second.request<api::ReleaseRequest>().holderId, 600);
}

TEST_F(SessionLocksTest, ARenewalThatComesAfterTheDeadlineDoesNotReviveTheLock) {
  hold_lock();
  const auto held = hold();
  mute_polls_ = true;
  // The process is stopped past its deadline; the reply to the parked poll has arrived meanwhile.
  api::PollResult late;
  late.leaseMs = kLeaseMs * 10;
  late.delivery = 99;
  polls_[1].first->reply(polls_[1].second, late);
  loop_.turn(Duration(0));
  clock_.advance(from_ms(kLeaseMs) + 1ms);
  EXPECT_FALSE(held->held(clock_.now())) << "check() reads the clock itself";
  settle();
  EXPECT_EQ(lost_, LostReason::kLeaseRanOut);
  EXPECT_FALSE(held->held(clock_.now()));
  EXPECT_GT(session_->lease().deadline(), clock_.now()) << "the session itself was renewed";
}

TEST_F(SessionLocksTest, ARevokedLockIsNotExtendedAndTheNoticeIsAcknowledged) {
  hold_lock();
  pass(1s, 100ms);
  api::PollResult poll;
  poll.revocations.push_back(notice("/a", 1'000));
  answer_poll(1, poll);
  const auto next = polls_.back().second.request<api::PollRequest>();
  EXPECT_EQ(next.acknowledgedNotices, std::vector<int64_t>{900});
  EXPECT_TRUE(hold()->held(clock_.now()));
  pass(980ms);
  EXPECT_TRUE(hold()->held(clock_.now()));
  pass(20ms);
  EXPECT_EQ(lost_, LostReason::kRevoked);
  EXPECT_TRUE(session_->open());
}

// A server may drop an acknowledgement: overloaded, or because leadership changed.
TEST_F(SessionLocksTest, ANoticeIsAcknowledgedAsLongAsItIsInForce) {
  hold_lock();
  api::PollResult poll;
  poll.revocations.push_back(notice("/a", 60'000));
  answer_poll(1, poll);
  answer_poll(polls_.size() - 1, poll);
  pass(100ms);
  ASSERT_EQ(polls_.size(), 4u);
  const auto again = polls_.back().second.request<api::PollRequest>();
  EXPECT_EQ(again.acknowledgedNotices, std::vector<int64_t>{900});
  answer_poll(polls_.size() - 1);
  const auto after = polls_.back().second.request<api::PollRequest>();
  EXPECT_TRUE(after.acknowledgedNotices.empty());
}

TEST_F(SessionLocksTest, ALossToldByTheServerEndsTheLockAtOnce) {
  hold_lock();
  api::PollResult poll;
  auto& loss = poll.losses.emplace_back();
  loss.path = "/a";
  loss.holderId = 600;
  loss.reason = api::EndReason::REVOKED;
  answer_poll(1, poll);
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

api::PollResult loss_of(int64_t holder_id) {
  api::PollResult poll;
  auto& loss = poll.losses.emplace_back();
  loss.path = "/a";
  loss.holderId = holder_id;
  loss.reason = api::EndReason::REVOKED;
  return poll;
}

TEST_F(SessionLocksTest, ALossOfAnEarlierTenureLeavesTheLockThatIsHeld) {
  hold_lock();
  answer_poll(1, loss_of(500));
  EXPECT_FALSE(lost_);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionLocksTest, ALossThatOvertakesTheGrantIsNotForgotten) {
  open();
  acquire();
  answer_poll(1, loss_of(600));
  answer_acquire(0, api::AcquireStatus::GRANTED);  // by a server that lags, over its connection
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
  EXPECT_EQ((*acquired_)->result.status, api::AcquireStatus::NOT_HELD);
}

// What the new server applied before it first heard of the session it does not tell.
TEST_F(SessionLocksTest, EveryLockIsAskedForWhenAnotherServerAnswersThePolls) {
  hold_lock();
  a_.down();
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].first, &b_);
  ASSERT_EQ(commands_[1].second.name, "checkToken");
  const auto request = commands_[1].second.request<api::CheckTokenRequest>();
  EXPECT_EQ(request.path, "/a");
  EXPECT_EQ(request.token, 601);
  EXPECT_TRUE(hold()->held(clock_.now()));
  api::CheckTokenResult result;
  b_.reply(commands_[1].second, result);
  settle();
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

TEST_F(SessionLocksTest, ALockThatIsThereYetWhenAnotherServerIsAskedStays) {
  hold_lock();
  a_.down();
  settle();
  ASSERT_EQ(commands_.back().second.name, "checkToken");
  api::CheckTokenResult result;
  result.current = true;
  b_.reply(commands_.back().second, result);
  settle();
  EXPECT_FALSE(lost_);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionLocksTest, AGrantThatWasAskedForBeforeThePollsMovedIsAskedForAfterIt) {
  open();
  acquire();
  pass(from_ms(kTtlMs / 4 + kTtlMs / 16) + 20ms);  // the parked poll is overdue: b is asked
  ASSERT_EQ(polls_.back().first, &b_);
  ASSERT_EQ(commands_.back().second.name, "acquire");
  answer_acquire(commands_.size() - 1, api::AcquireStatus::GRANTED);
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(commands_.back().second.name, "checkToken");
}

// The first copy may have been taken by the server that died with its answer.
TEST_F(SessionLocksTest, ARefusalOfALaterCopyLeavesNoPlaceAndNoGrantOfAnEarlierOne) {
  open();
  acquire();
  a_.down();
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  b_.refuse(commands_[1].second, api::ErrorCode::UNSUPPORTED, false);
  settle();
  ASSERT_TRUE(acquired_ && !acquired_->ok());
  EXPECT_TRUE(acquired_->error().maybe_applied);
  ASSERT_EQ(commands_.size(), 3u);
  ASSERT_EQ(commands_[2].second.name, "cancelAcquire");
  EXPECT_EQ(commands_[2].second.request<api::CancelAcquireRequest>().acquireSequence, ticket_);
  EXPECT_TRUE(commands_[2].second.context.acknowledged.empty()) << "its result is needed yet";
  api::CancelAcquireResult result;
  result.status = api::AcquireStatus::GRANTED;
  result.holderId = 600;
  b_.reply(commands_[2].second, result);
  settle();
  ASSERT_EQ(commands_.size(), 4u);
  EXPECT_EQ(commands_[3].second.request<api::ReleaseRequest>().holderId, 600);
}

TEST_F(SessionLocksTest, AnotherClusterEndsTheLocksAtOnce) {
  hold_lock();
  a_.cluster_id = 78;
  answer_poll(1);
  EXPECT_EQ(lost_, LostReason::kOtherCluster);
}

TEST_F(SessionLocksTest, AReleasedLockIsNotReliedOnFromTheSendingOn) {
  hold_lock();
  session_->release(hold(), [](const auto&) {});
  EXPECT_FALSE(hold()->held(clock_.now()));
  settle();
  EXPECT_FALSE(lost_) << "on_lost is for what we did not do ourselves";
}

TEST_F(SessionLocksTest, ARefusedHandoverKeepsTheLock) {
  hold_lock();
  std::optional<api::ReleaseStatus::type> status;
  session_->hand_over(hold(), 700, [&](const auto& outcome) { status = *outcome; });
  EXPECT_FALSE(hold()->held(clock_.now()));
  settle();
  EXPECT_EQ(commands_[1].second.request<api::ReleaseRequest>().to, 700);
  api::ReleaseResult result;
  result.status = api::ReleaseStatus::TARGET_GONE;
  a_.reply(commands_[1].second, result);
  settle();
  EXPECT_EQ(status, api::ReleaseStatus::TARGET_GONE);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionLocksTest, AHandoverToOneWhoCouldNotHoldItKeepsTheLock) {
  hold_lock();
  session_->hand_over(hold(), 700, [](const auto&) {});
  settle();
  api::ReleaseResult result;
  result.status = api::ReleaseStatus::TARGET_BLOCKED;
  a_.reply(commands_[1].second, result);
  settle();
  EXPECT_FALSE(lost_);
  EXPECT_TRUE(hold()->held(clock_.now()));
  EXPECT_EQ(commands_.size(), 2u) << "a lock that was kept is released";
}

TEST_F(SessionLocksTest, AHandoverThatAServerDoesNotUnderstandKeepsTheLock) {
  hold_lock();
  std::optional<ErrorCode> code;
  const auto done = [&](const auto& outcome) { code = outcome.error().code; };
  session_->hand_over(hold(), -1, done);
  settle();
  a_.refuse(commands_[1].second, api::ErrorCode::BAD_ARGUMENT, false);
  settle();
  EXPECT_EQ(code, ErrorCode::kBadArgument);
  EXPECT_FALSE(lost_);
  EXPECT_TRUE(hold()->held(clock_.now()));
  for (size_t i = 2; i < commands_.size(); ++i) {
    EXPECT_EQ(commands_[i].second.name, "checkToken") << "a lock that was kept is released";
  }
}

// It is not asked for while its handover is under way, and a refusal does not look at it.
TEST_F(SessionLocksTest, ALockThatARefusedHandoverKeptIsAskedForAsTheServerMayHaveChanged) {
  hold_lock();
  session_->hand_over(hold(), -1, [](const auto&) {});
  settle();
  a_.down();
  settle();
  ASSERT_EQ(commands_.size(), 3u);
  ASSERT_EQ(commands_[2].first, &b_);
  ASSERT_EQ(commands_[2].second.name, "release");
  b_.refuse(commands_[2].second, api::ErrorCode::BAD_ARGUMENT, false);
  settle();
  ASSERT_EQ(commands_.size(), 4u) << "taken for held, though it may have been revoked meanwhile";
  ASSERT_EQ(commands_[3].second.name, "checkToken");
  b_.reply(commands_[3].second, api::CheckTokenResult());
  settle();
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

TEST_F(SessionLocksTest, AHandoverToNobodyIsNotTakenForARelease) {
  hold_lock();
  std::optional<ErrorCode> code;
  session_->hand_over(hold(), 0, [&](const auto& outcome) { code = outcome.error().code; });
  settle();
  EXPECT_EQ(code, ErrorCode::kBadArgument);
  EXPECT_EQ(commands_.size(), 1u) << "something was sent";
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionLocksTest, LocksThatWereTakenTogetherAreNotHandedOver) {
  open();
  std::shared_ptr<Hold> both;
  session_->acquire_all({}, {}, [&](const auto& outcome) { both = outcome->hold; });
  settle();
  answer_acquire(0, api::AcquireStatus::GRANTED);
  ASSERT_NE(both, nullptr);
  std::optional<ErrorCode> code;
  session_->hand_over(both, 700, [&](const auto& outcome) { code = outcome.error().code; });
  settle();
  EXPECT_EQ(code, ErrorCode::kBadArgument);
  EXPECT_EQ(commands_.size(), 1u) << "something was sent";
  EXPECT_TRUE(both->held(clock_.now()));
}

TEST_F(SessionLocksTest, AHandoverUnderWayPastTheDeadlineLetsTheLoopSleep) {
  hold_lock();
  session_->hand_over(hold(), 700, [](const auto&) {});
  api::PollResult poll;
  poll.revocations.push_back(notice("/a", 500));
  answer_poll(1, poll);
  pass(600ms);
  ASSERT_GT(clock_.now(), hold()->deadline());
  // Nothing is due: the loop sleeps until it is woken.
  std::atomic<bool> woken = false;
  std::thread other([&] {
    SystemClock real;
    const Instant begin = real.now();
    while (real.now() < begin + 50ms) std::this_thread::yield();
    woken = true;
    loop_.post([] {});
  });
  loop_.turn(10s);
  EXPECT_TRUE(woken) << "the loop spins";
  other.join();
  api::ReleaseResult result;
  result.status = api::ReleaseStatus::TARGET_GONE;
  commands_.back().first->reply(commands_.back().second, result);
  settle();
  EXPECT_EQ(lost_, LostReason::kRevoked) << "it ended while it was offered";
}

TEST_F(SessionLocksTest, WhatIsLeftOfAnAcquireAllThatEndedUnseenIsReleased) {
  open();
  std::vector<api::LockWanted> wanted(2);
  wanted[0].path = "/x";
  wanted[1].path = "/y";
  session_->acquire_all(wanted, {}, [this](auto outcome) { acquired_ = std::move(outcome); });
  settle();
  answer_acquire(0, api::AcquireStatus::NOT_HELD);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.name, "releaseAll");
  EXPECT_EQ(commands_[1].second.request<api::ReleaseAllRequest>().holderId, 600);
}

TEST_F(SessionLocksTest, AllLocksOfAnAcquireAllAreOneHold) {
  open();
  std::vector<api::LockWanted> wanted(2);
  wanted[0].path = "/x";
  wanted[1].path = "/y";
  session_->acquire_all(wanted, {}, [this](auto outcome) { acquired_ = std::move(outcome); });
  settle();
  ASSERT_EQ(commands_[0].second.name, "acquireAll");
  answer_acquire(0, api::AcquireStatus::GRANTED);
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(hold()->paths, (std::vector<std::string>{"/x", "/y"}));
  session_->release(hold(), [](const auto&) {});
  settle();
  EXPECT_EQ(commands_[1].second.name, "releaseAll");
}

TEST_F(SessionLocksTest, ClosingEndsItsLocksAndAnswersWhatWaits) {
  hold_lock();
  const auto held = hold();
  acquired_.reset();
  acquire();
  std::optional<bool> closed;
  session_->close([&](const auto& outcome) { closed = outcome.ok(); });
  EXPECT_FALSE(held->held(clock_.now()));
  ASSERT_TRUE(acquired_);
  EXPECT_EQ(acquired_->error().code, ErrorCode::kSessionExpired);
  settle();
  ASSERT_EQ(commands_.back().second.name, "closeSession");
  a_.reply(commands_.back().second, api::CloseSessionResult());
  settle();
  EXPECT_EQ(closed, true);
}

TEST_F(SessionLocksTest, AHoldersValueIsPublishedUnderItsHolderId) {
  hold_lock();
  std::optional<ErrorCode> failed;
  session_->set_value(hold(), "10.0.0.1:80", [&](const auto& outcome) {
    if (!outcome) failed = outcome.error().code;
  });
  settle();
  const auto request = commands_[1].second.request<api::SetHolderValueRequest>();
  EXPECT_EQ(request.holderId, 600);
  EXPECT_EQ(request.value, "10.0.0.1:80");
  a_.refuse(commands_[1].second, api::ErrorCode::NOT_HELD, false);
  settle();
  EXPECT_EQ(failed, ErrorCode::kNotHeld);
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

}  // namespace
}  // namespace holdfast::client
