#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using LockWaits = LockTableTest;

TEST_F(LockWaits, ATryIsGrantedOrLeavesNoTrace) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .wait_ms = 0});
  EXPECT_TRUE(granted(1));
  const Digest before = table().digest();
  const Effects& effects =
      entry([&] { put({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 0}).ok(); });
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kBusy);
  EXPECT_EQ(effects.refused[0].holder_id, Revision(revision_));
  EXPECT_EQ(effects.refused[0].position, 1u);
  EXPECT_EQ(effects.refused[0].path, kPath);
  EXPECT_FALSE(find(2));
  EXPECT_EQ(table().digest(), before);
}

TEST_F(LockWaits, ATryNeverPassesAWaiter) {
  ask({.session = 1, .claims = {shared(kPath)}});
  ask(2);
  ask({.session = 3, .claims = {shared(kPath)}, .wait_ms = 0});
  EXPECT_FALSE(find(3)) << "the lock is shared, but an exclusive request waits before it";
}

TEST_F(LockWaits, ATryAfterARevocationInTheSameEntryIsGranted) {
  const Revision id = ask(1);
  revoke({.path = kPath, .notice_ms = 0});
  const std::vector<Revision> notices = {Revision(revision_)};
  entry([&] { table().acknowledge_notices(SessionId(1), notices); });
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 0});
  EXPECT_FALSE(table().holds(kPath, id, SessionId(1)));
  EXPECT_TRUE(granted(2));
}

TEST_F(LockWaits, AWaitEndsAtItsDeadlineInClusterTime) {
  ask(1);
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 500});
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 500);
  const int64_t deadline = now_ms_ + 500;
  tick_at(deadline - 1);
  EXPECT_EQ(position(2), 1u);
  const Effects& effects = tick_at(deadline);
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kTimedOut);
  EXPECT_EQ(effects.refused[0].sequence, Sequence(1));
  EXPECT_FALSE(find(2));
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
}

TEST_F(LockWaits, AGrantEndsTheDeadline) {
  const Revision first = ask(1);
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 500});
  release(1, first);
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
  tick_at(now_ms_ + 10'000);
  EXPECT_TRUE(granted(2));
}

TEST_F(LockWaits, AWaitOfTheLongestPossibleTimeDoesNotWrap) {
  ask(1);
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = INT64_MAX});
  tick_at(now_ms_ + 10'000);
  EXPECT_EQ(position(2), 1u);
}

TEST_F(LockWaits, TheEarliestDeadlineIsTheNextDue) {
  ask(1);
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 900});
  ask({.session = 3, .claims = {exclusive(kPath)}, .wait_ms = 300});
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 300);
  tick_at(now_ms_ + 300);
  EXPECT_THAT(waiters(), ElementsAre(2));
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 600);
}

TEST_F(LockWaits, AnEntryEndsAtMostSoManyWaitsAndTheRestStayDue) {
  ask(1);
  for (uint64_t s = 2; s < 7; ++s) {
    ask({.session = s, .claims = {exclusive(kPath)}, .wait_ms = 100});
  }
  now_ms_ += 100;
  table().begin(Revision(++revision_), now_ms_, unix_ms(now_ms_));
  EXPECT_EQ(table().run_due(3), 3u);
  table().settle();
  rows_.take(log_);
  EXPECT_THAT(waiters(), ElementsAre(5, 6)) << "the earliest go first";
  EXPECT_EQ(table().next_due_ms(), now_ms_);
  tick();
  EXPECT_THAT(waiters(), IsEmpty());
}

TEST_F(LockWaits, ACancelledWaiterLeavesAndTheOthersMoveUp) {
  ask(1);
  ask(2);
  ask(3);
  const CancelResult result = cancel(2, 1);
  EXPECT_EQ(result.status, CancelStatus::kCancelled);
  EXPECT_FALSE(find(2));
  EXPECT_EQ(position(3), 1u);
}

TEST_F(LockWaits, CancellingTheHeadLetsTheNextHoldIfItCan) {
  ask({.session = 1, .claims = {shared(kPath)}});
  ask(2);
  ask({.session = 3, .claims = {shared(kPath)}});
  const Effects& effects =
      entry([&] { EXPECT_TRUE(table().cancel_acquire(kPath, SessionId(2), Sequence(1)).ok()); });
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kCancelled);
  EXPECT_TRUE(granted(3));
}

TEST_F(LockWaits, ACancelThatComesAfterTheGrantLeavesTheLockHeld) {
  const Revision id = ask(1);
  const CancelResult result = cancel(1, 1);
  EXPECT_EQ(result.status, CancelStatus::kGranted);
  EXPECT_EQ(result.holder_id, id);
  EXPECT_EQ(result.token, id);
  EXPECT_THAT(holders(), ElementsAre(1));
}

TEST_F(LockWaits, ACancelOfWhatIsNotThereSaysSo) {
  ask(1);
  EXPECT_EQ(cancel(1, 99).status, CancelStatus::kUnknown);
  EXPECT_EQ(cancel(2, 1).status, CancelStatus::kUnknown);
}

TEST_F(LockWaits, ACancelThatNamesAnotherPathIsRefused) {
  ask(1);
  ask(2);
  entry([&] {
    const auto result = table().cancel_acquire("/other", SessionId(2), Sequence(1));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kBadArgument);
    EXPECT_THAT(result.error().message, HasSubstr("/other"));
  });
  EXPECT_EQ(position(2), 1u);
}

TEST_F(LockWaits, AQueueWithMaxQueueWaitersTakesNoMoreFromThatAcquire) {
  ask(1);
  ask({.session = 2, .claims = {exclusive(kPath)}, .max_queue = 1});
  EXPECT_EQ(position(2), 1u);
  const Effects& effects =
      entry([&] { put({.session = 3, .claims = {exclusive(kPath)}, .max_queue = 1}).ok(); });
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kQueueFull);
  EXPECT_EQ(effects.refused[0].position, 2u);
  EXPECT_FALSE(find(3));
  ask({.session = 4, .claims = {exclusive(kPath)}, .max_queue = 2});
  EXPECT_EQ(position(4), 2u);
}

TEST_F(LockWaits, TheLimitOfWaitersIsAnErrorThatNamesIt) {
  limits_.waiters_of_a_lock = 2;
  ask(1);
  ask(2);
  ask(3);
  const Status status = try_ask({.session = 4, .claims = {exclusive(kPath)}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kLimitExceeded);
  EXPECT_THAT(status.error().message, HasSubstr("limit is 2"));
  EXPECT_FALSE(find(4));
}

TEST_F(LockWaits, TheLimitOfASessionsPlacesCountsLocksAndPlaces) {
  limits_.places_of_a_session = 2;
  ask({.session = 1, .sequence = 1, .claims = {exclusive("/a")}});
  ask({.session = 2, .claims = {exclusive("/b")}});
  ask({.session = 1, .sequence = 2, .claims = {exclusive("/b")}});
  EXPECT_EQ(table().places_of(SessionId(1)), 2u);
  const Status status = try_ask({.session = 1, .sequence = 3, .claims = {exclusive("/c")}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(table().places_of(SessionId(1)), 2u);
}

TEST_F(LockWaits, TheQuotaOfLocksStopsNewLocksOnly) {
  limits_.locks = 1;
  ask(1);
  EXPECT_EQ(try_ask({.session = 2, .claims = {exclusive("/b")}}).error().code,
            ErrorCode::kLimitExceeded);
  EXPECT_TRUE(try_ask({.session = 2, .claims = {exclusive(kPath)}}).ok());
}

TEST_F(LockWaits, PermitsOutsideTheLimitAreRefused) {
  for (const auto& [wanted, limit] : {std::pair(0u, 3u), std::pair(4u, 3u), std::pair(1u, 0u)}) {
    const Status status = try_ask({.session = 1, .claims = {permits(kPath, wanted, limit)}});
    ASSERT_FALSE(status.ok()) << wanted << " of " << limit;
    EXPECT_EQ(status.error().code, ErrorCode::kBadArgument);
  }
  EXPECT_EQ(table().lock_count(), 0u);
}

TEST_F(LockWaits, ASemaphoresLimitIsFixedWhileItIsHeldOrQueuedFor) {
  const Revision id = ask({.session = 1, .claims = {permits(kPath, 1, 3)}});
  const Status status = try_ask({.session = 2, .claims = {permits(kPath, 1, 4)}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(status.error().message, HasSubstr("semaphore of 3"));
  EXPECT_THAT(status.error().message, HasSubstr("semaphore of 4"));
  release(1, id);
  ask({.session = 2, .claims = {permits(kPath, 1, 4)}});
  EXPECT_TRUE(granted(2));
}

TEST_F(LockWaits, ALockIsNotASemaphoreAndAnExclusiveLockAtOnce) {
  ask({.session = 1, .claims = {permits(kPath, 1, 3)}});
  EXPECT_EQ(try_ask({.session = 2, .claims = {exclusive(kPath)}}).error().code,
            ErrorCode::kBadArgument);
  ask({.session = 1, .sequence = 2, .claims = {shared("/b")}});
  EXPECT_EQ(try_ask({.session = 2, .claims = {permits("/b", 1, 3)}}).error().code,
            ErrorCode::kBadArgument);
}

TEST_F(LockWaits, PositionsStayRightWhenManyLeaveFromTheMiddle) {
  ask(1);
  ask(2);
  for (uint64_t round = 0; round < 20; ++round) {
    for (uint64_t i = 0; i < 50; ++i) ask(1000 + i);
    EXPECT_EQ(position(1049), 51u);
    for (uint64_t i = 0; i < 50; ++i) cancel(1000 + i, 1);
  }
  ask(3);
  EXPECT_EQ(position(2), 1u);
  EXPECT_EQ(position(3), 2u);
}

TEST_F(LockWaits, APlaceSurvivesAReloadWithItsPositionAndDeadline) {
  ask(1);
  ask(2);
  ask({.session = 3, .claims = {exclusive(kPath)}, .wait_ms = 400});
  reload();
  EXPECT_EQ(position(3), 2u);
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 400);
  tick_at(now_ms_ + 400);
  EXPECT_FALSE(find(3));
  EXPECT_EQ(position(2), 1u);
}

}  // namespace
}  // namespace holdfast::lockmgr
