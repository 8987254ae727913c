#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using SessionEnds = LockTableTest;

TEST_F(SessionEnds, ASessionsLocksAndPlacesLeaveInOneEntry) {
  ask({.session = 1, .sequence = 1, .claims = {exclusive("/a")}});
  ask({.session = 2, .sequence = 1, .claims = {exclusive("/b")}});
  ask({.session = 1, .sequence = 2, .claims = {exclusive("/b")}});
  ask({.session = 1, .sequence = 3, .claims = {exclusive("/c"), exclusive("/d")}});
  const Effects& effects = end({1}, EndReason::kSessionClosed);
  EXPECT_EQ(effects.ended.size(), 3u);
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kSessionEnded);
  EXPECT_EQ(table().places_of(SessionId(1)), 0u);
  EXPECT_THAT(table().sessions(), ElementsAre(SessionId(2)));
  EXPECT_THAT(waiters("/b"), IsEmpty());
}

// PROMISE 7: were the first session's lock released before the second's place is removed, the
// second, which ends in the same entry, would be granted it for a moment.
TEST_F(SessionEnds, NoEndingSessionIsGrantedWhatAnotherEndingOneReleases) {
  ask(1);
  ask(2);
  ask(3);
  const Effects& effects = end({1, 2}, EndReason::kSessionExpired);
  ASSERT_EQ(effects.granted.size(), 1u);
  EXPECT_EQ(effects.granted[0].session, SessionId(3));
  EXPECT_EQ(effects.ended.size(), 1u) << "session 2 never held it";
}

TEST_F(SessionEnds, ASessionDoesNotInheritFromItself) {
  ask(1, 1);
  ask(1, 2);
  ask(2);
  const Effects& effects = end({1}, EndReason::kSessionClosed);
  ASSERT_EQ(effects.granted.size(), 1u);
  EXPECT_EQ(effects.granted[0].session, SessionId(2));
}

TEST_F(SessionEnds, AnUnknownSessionIsIgnored) {
  ask(1);
  const Digest before = table().digest();
  const Effects& effects = end({7, 8}, EndReason::kSessionExpired);
  EXPECT_THAT(effects.ended, IsEmpty());
  EXPECT_EQ(table().digest(), before);
}

TEST_F(SessionEnds, AnExpiryClosesTheLockForItsHoldersDelay) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .lock_delay_ms = 2'000});
  ask(2);
  end({1}, EndReason::kSessionExpired);
  const int64_t opens = now_ms_ + 2'000;
  EXPECT_THAT(holders(), IsEmpty());
  EXPECT_EQ(table().describe(kPath).closed_until_ms, opens);
  EXPECT_EQ(table().next_due_ms(), opens);
  tick_at(opens - 1);
  EXPECT_THAT(holders(), IsEmpty());
  tick_at(opens);
  EXPECT_THAT(holders(), ElementsAre(2));
  EXPECT_EQ(table().describe(kPath).closed_until_ms, 0);
}

TEST_F(SessionEnds, AClosedLockRefusesTriesToo) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .lock_delay_ms = 2'000});
  end({1}, EndReason::kSessionExpired);
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 0});
  EXPECT_FALSE(find(2));
}

TEST_F(SessionEnds, AClosedLockIsRememberedWithoutHolderOrWaiterUntilItOpens) {
  ask({.session = 1, .claims = {permits(kPath, 1, 3)}, .lock_delay_ms = 2'000});
  end({1}, EndReason::kSessionExpired);
  EXPECT_EQ(table().lock_count(), 1u);
  EXPECT_EQ(table().describe(kPath).limit, 0u);
  reload();
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 2'000);
  ask(2);
  EXPECT_EQ(position(2), 1u) << "and may be asked for in another mode meanwhile";
  tick_at(now_ms_ + 2'000);
  EXPECT_TRUE(granted(2));
}

TEST_F(SessionEnds, ALockThatNobodyWantsAfterItsDelayIsForgotten) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .lock_delay_ms = 2'000});
  end({1}, EndReason::kSessionExpired);
  tick_at(now_ms_ + 2'000);
  EXPECT_EQ(table().lock_count(), 0u);
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
}

TEST_F(SessionEnds, AReleaseOrACloseDoesNotCloseTheLock) {
  const Revision id = ask({.session = 1, .claims = {exclusive(kPath)}, .lock_delay_ms = 2'000});
  release(1, id);
  ask({.session = 2, .claims = {exclusive(kPath)}, .lock_delay_ms = 2'000});
  end({2}, EndReason::kSessionClosed);
  ask(3);
  EXPECT_TRUE(granted(3));
}

TEST_F(SessionEnds, AnOperatorsEndOfASessionClosesItLikeAnExpiry) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .lock_delay_ms = 2'000});
  end({1}, EndReason::kSessionRevoked);
  EXPECT_EQ(table().describe(kPath).closed_until_ms, now_ms_ + 2'000);
}

TEST_F(SessionEnds, TheLongestDelayOfSeveralExpiredHoldersCounts) {
  ask({.session = 1, .claims = {shared(kPath)}, .lock_delay_ms = 3'000});
  ask({.session = 2, .claims = {shared(kPath)}, .lock_delay_ms = 1'000});
  end({1}, EndReason::kSessionExpired);
  end({2}, EndReason::kSessionExpired);
  EXPECT_EQ(table().describe(kPath).closed_until_ms, now_ms_ + 3'000);
}

TEST_F(SessionEnds, ASharedLockStaysWithTheOtherHoldersWhileItIsClosed) {
  ask({.session = 1, .claims = {shared(kPath)}, .lock_delay_ms = 3'000});
  ask({.session = 2, .claims = {shared(kPath)}});
  end({1}, EndReason::kSessionExpired);
  ask({.session = 3, .claims = {shared(kPath)}});
  EXPECT_THAT(holders(), ElementsAre(2));
  EXPECT_THAT(waiters(), ElementsAre(3));
  tick_at(now_ms_ + 3'000);
  EXPECT_THAT(holders(), ElementsAre(2, 3));
}

TEST_F(SessionEnds, AnAcquireOfSeveralLocksWaitsForAClosedOne) {
  ask({.session = 1, .claims = {exclusive("/a")}, .lock_delay_ms = 1'000});
  ask({.session = 2, .claims = {exclusive("/a"), exclusive("/b")}});
  end({1}, EndReason::kSessionExpired);
  EXPECT_FALSE(granted(2));
  tick_at(now_ms_ + 1'000);
  EXPECT_TRUE(granted(2));
}

TEST_F(SessionEnds, TenThousandLocksOfOneSessionEndInOneEntry) {
  std::vector<std::string> paths;
  for (int i = 0; i < 10'000; ++i) paths.push_back("/lock/" + std::to_string(i));
  for (uint64_t i = 0; i < paths.size(); ++i) {
    table().begin(Revision(++revision_), now_ms_, unix_ms(now_ms_));
    ASSERT_TRUE(put({.session = 1, .sequence = i + 1, .claims = {exclusive(paths[i])}}).ok());
    table().settle();
  }
  const Effects& effects = end({1}, EndReason::kSessionExpired);
  EXPECT_EQ(effects.ended.size(), 10'000u);
  EXPECT_EQ(table().lock_count(), 0u);
}

}  // namespace
}  // namespace holdfast::lockmgr
