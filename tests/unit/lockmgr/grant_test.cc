#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using LockGrants = LockTableTest;

TEST_F(LockGrants, AFreeLockIsGrantedInTheEntryThatAsksForIt) {
  const Revision id = ask(1);
  const auto state = find(1);
  ASSERT_TRUE(state);
  EXPECT_TRUE(state->granted);
  EXPECT_EQ(state->holder_id, id);
  EXPECT_EQ(state->token, id) << "the token is the revision of the grant";
  EXPECT_EQ(state->path, kPath);
}

TEST_F(LockGrants, AnExclusiveLockHasOneHolderAndServesItsQueueInOrderOfArrival) {
  const Revision first = ask(1);
  const Revision second = ask(2);
  ask(3);
  EXPECT_THAT(holders(), ElementsAre(1));
  EXPECT_THAT(waiters(), ElementsAre(2, 3));
  EXPECT_EQ(position(2), 1u);
  EXPECT_EQ(position(3), 2u);
  EXPECT_EQ(release(1, first), ReleaseStatus::kReleased);
  EXPECT_THAT(holders(), ElementsAre(2));
  EXPECT_EQ(position(3), 1u);
  EXPECT_EQ(release(2, second), ReleaseStatus::kReleased);
  EXPECT_THAT(holders(), ElementsAre(3));
}

TEST_F(LockGrants, ATokenIsTheGrantsRevisionWhileTheHolderIdStaysTheAcquires) {
  const Revision first = ask(1);
  const Revision second = ask(2);
  release(1, first);
  const auto state = find(2);
  EXPECT_EQ(state->holder_id, second);
  EXPECT_EQ(state->token, Revision(revision_));
  EXPECT_GT(state->token, first);
}

TEST_F(LockGrants, AReleaseTellsOnlyTheNextHolder) {
  const Revision first = ask(1);
  ask(2);
  ask(3);
  const Effects& effects = entry([&] { table().release(kPath, first, SessionId(1)); });
  ASSERT_EQ(effects.granted.size(), 1u);
  EXPECT_EQ(effects.granted[0].session, SessionId(2));
  EXPECT_EQ(effects.granted[0].token, Revision(revision_));
  EXPECT_EQ(effects.granted[0].path, kPath);
  ASSERT_EQ(effects.ended.size(), 1u);
  EXPECT_EQ(effects.ended[0].session, SessionId(1));
  EXPECT_THAT(effects.refused, IsEmpty());
}

TEST_F(LockGrants, TheNextRunOfSharedHoldersIsGrantedTogetherWithEqualTokens) {
  const Revision writer = ask(1);
  ask({.session = 2, .claims = {shared(kPath)}});
  ask({.session = 3, .claims = {shared(kPath)}});
  ask(4);
  ask({.session = 5, .claims = {shared(kPath)}});
  release(1, writer);
  EXPECT_THAT(holders(), ElementsAre(2, 3)) << "the reader behind the writer waits";
  EXPECT_EQ(find(2)->token, find(3)->token);
  EXPECT_THAT(waiters(), ElementsAre(4, 5));
}

TEST_F(LockGrants, ASharedRequestDoesNotOvertakeAWaitingExclusiveOne) {
  ask({.session = 1, .claims = {shared(kPath)}});
  ask(2);
  ask({.session = 3, .claims = {shared(kPath)}});
  EXPECT_THAT(holders(), ElementsAre(1));
  EXPECT_THAT(waiters(), ElementsAre(2, 3));
}

TEST_F(LockGrants, AnExclusiveRequestWaitsForEverySharedHolder) {
  const Revision a = ask({.session = 1, .claims = {shared(kPath)}});
  const Revision b = ask({.session = 2, .claims = {shared(kPath)}});
  ask(3);
  release(1, a);
  EXPECT_FALSE(granted(3));
  release(2, b);
  EXPECT_TRUE(granted(3));
}

TEST_F(LockGrants, ASemaphoreNeverExceedsItsPermits) {
  const Revision two = ask({.session = 1, .claims = {permits(kPath, 2, 3)}});
  ask({.session = 2, .claims = {permits(kPath, 1, 3)}});
  ask({.session = 3, .claims = {permits(kPath, 1, 3)}});
  EXPECT_THAT(holders(), ElementsAre(1, 2));
  EXPECT_EQ(table().describe(kPath).limit, 3u);
  release(1, two);
  EXPECT_THAT(holders(), ElementsAre(2, 3));
}

TEST_F(LockGrants, TheHeadOfASemaphoresQueueBlocksSmallerRequests) {
  ask({.session = 1, .claims = {permits(kPath, 2, 3)}});
  ask({.session = 2, .claims = {permits(kPath, 2, 3)}});
  ask({.session = 3, .claims = {permits(kPath, 1, 3)}});
  EXPECT_THAT(holders(), ElementsAre(1)) << "one permit is free, but the head wants two";
  EXPECT_THAT(waiters(), ElementsAre(2, 3));
  cancel(2, 1);
  EXPECT_THAT(holders(), ElementsAre(1, 3));
}

TEST_F(LockGrants, TwoHandlesOfOneSessionExcludeEachOther) {
  const Revision first = ask(1, 1);
  ask(1, 2);
  EXPECT_TRUE(granted(1, 1));
  EXPECT_FALSE(granted(1, 2));
  release(1, first);
  EXPECT_TRUE(granted(1, 2));
}

TEST_F(LockGrants, AHolderPublishesAValueAndReplacesIt) {
  const Revision id = ask({.session = 1, .claims = {exclusive(kPath)}, .value = "host-a:1"});
  EXPECT_EQ(table().describe(kPath).holders[0].value, "host-a:1");
  bool done = false;
  entry([&] { done = table().set_holder_value(kPath, id, SessionId(1), "host-b:2"); });
  EXPECT_TRUE(done);
  EXPECT_EQ(table().describe(kPath).holders[0].value, "host-b:2");
  reload();
  EXPECT_EQ(table().describe(kPath).holders[0].value, "host-b:2");
}

// I13: a wrong holder id, a waiter's id or another session's changes nothing.
TEST_F(LockGrants, NobodyButTheHolderReleasesOrRepublishes) {
  const Revision holder = ask(1);
  const Revision waiter = ask(2);
  const Digest before = table().digest();
  EXPECT_EQ(release(1, Revision(7)), ReleaseStatus::kNotHeld);
  EXPECT_EQ(release(2, holder), ReleaseStatus::kNotHeld);
  EXPECT_EQ(release(2, waiter), ReleaseStatus::kNotHeld);
  EXPECT_EQ(release(1, holder, "/other"), ReleaseStatus::kNotHeld);
  entry([&] {
    EXPECT_FALSE(table().set_holder_value(kPath, waiter, SessionId(2), "x"));
    EXPECT_FALSE(table().set_holder_value(kPath, holder, SessionId(2), "x"));
  });
  EXPECT_EQ(table().digest(), before);
}

TEST_F(LockGrants, AReleaseIsIdempotentAndALateOneFreesNobodyElsesLock) {
  const Revision first = ask(1);
  ask(2);
  EXPECT_EQ(release(1, first), ReleaseStatus::kReleased);
  EXPECT_EQ(release(1, first), ReleaseStatus::kNotHeld);
  EXPECT_THAT(holders(), ElementsAre(2));
}

TEST_F(LockGrants, AGuardHoldsOnlyForThePresentHolderOfThatSession) {
  const Revision first = ask(1);
  const Revision second = ask(2);
  EXPECT_TRUE(table().holds(kPath, first, SessionId(1)));
  EXPECT_FALSE(table().holds(kPath, first, SessionId(2)));
  EXPECT_FALSE(table().holds(kPath, second, SessionId(2))) << "it only waits";
  EXPECT_FALSE(table().holds("/other", first, SessionId(1)));
  release(1, first);
  EXPECT_FALSE(table().holds(kPath, first, SessionId(1)));
  EXPECT_TRUE(table().holds(kPath, second, SessionId(2)));
}

TEST_F(LockGrants, ATokenIsCurrentWhileItsHolderHolds) {
  const Revision first = ask(1);
  ask(2);
  EXPECT_TRUE(table().check_token(kPath, first));
  EXPECT_EQ(table().latest_token(kPath), first);
  release(1, first);
  EXPECT_FALSE(table().check_token(kPath, first));
  EXPECT_TRUE(table().check_token(kPath, Revision(revision_)));
  EXPECT_FALSE(table().check_token("/other", Revision(revision_)));
  EXPECT_EQ(table().latest_token("/other"), Revision{});
}

TEST_F(LockGrants, ALockThatNobodyNeedsIsForgottenButItsTokensStillAscend) {
  const Revision first = ask(1);
  release(1, first);
  EXPECT_EQ(table().lock_count(), 0u);
  EXPECT_EQ(rows_.count(RowTable::kLocks), 0u);
  ask(1, 2);
  EXPECT_GT(find(1, 2)->token, first);
}

}  // namespace
}  // namespace holdfast::lockmgr
