#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Handover = LockTableTest;

TEST_F(Handover, PassesTheOtherWaitersInOneEntry) {
  const Revision holder = ask(1);
  ask(2);
  const Revision chosen = ask(3);
  const Effects& effects = entry([&] {
    EXPECT_EQ(table().release(kPath, holder, SessionId(1), chosen), ReleaseStatus::kHandedOver);
  });
  ASSERT_EQ(effects.granted.size(), 1u);
  EXPECT_EQ(effects.granted[0].session, SessionId(3));
  EXPECT_EQ(effects.granted[0].token, Revision(revision_));
  EXPECT_THAT(holders(), ElementsAre(3));
  EXPECT_THAT(waiters(), ElementsAre(2));
  EXPECT_EQ(table().describe(kPath).tenures[0].reason, EndReason::kHandedOver);
}

TEST_F(Handover, KeepsTheLockWhenItsTargetNoLongerWaits) {
  const Revision holder = ask(1);
  const Revision chosen = ask(2);
  cancel(2, 1);
  ask(3);
  EXPECT_EQ(release(1, holder, kPath, chosen), ReleaseStatus::kTargetGone);
  EXPECT_EQ(release(1, holder, kPath, Revision(7)), ReleaseStatus::kTargetGone);
  EXPECT_EQ(release(1, holder, kPath, holder), ReleaseStatus::kTargetGone) << "itself";
  EXPECT_THAT(holders(), ElementsAre(1));
}

TEST_F(Handover, KeepsTheLockWhenTheTargetWaitsForAnotherLock) {
  const Revision holder = ask(1);
  ask({.session = 2, .claims = {exclusive("/b")}});
  const Revision elsewhere = ask({.session = 3, .claims = {exclusive("/b")}});
  EXPECT_EQ(release(1, holder, kPath, elsewhere), ReleaseStatus::kTargetGone);
  EXPECT_THAT(holders(), ElementsAre(1));
}

TEST_F(Handover, IsNotForThoseWhoDoNotHold) {
  ask(1);
  const Revision second = ask(2);
  const Revision third = ask(3);
  EXPECT_EQ(release(2, second, kPath, third), ReleaseStatus::kNotHeld);
  EXPECT_THAT(holders(), ElementsAre(1));
}

TEST_F(Handover, KeepsASharedLockWhenTheTargetWantsItAlone) {
  const Revision one = ask({.session = 1, .claims = {shared(kPath)}});
  ask({.session = 2, .claims = {shared(kPath)}});
  const Revision alone = ask(3);
  EXPECT_EQ(release(1, one, kPath, alone), ReleaseStatus::kTargetBlocked);
  EXPECT_THAT(holders(), ElementsAre(1, 2));
}

TEST_F(Handover, OfASharedLockMayGoToASharedRequestBehindAnExclusiveOne) {
  const Revision one = ask({.session = 1, .claims = {shared(kPath)}});
  ask({.session = 2, .claims = {shared(kPath)}});
  ask(3);
  const Revision chosen = ask({.session = 4, .claims = {shared(kPath)}});
  EXPECT_EQ(release(1, one, kPath, chosen), ReleaseStatus::kHandedOver);
  EXPECT_THAT(holders(), ElementsAre(2, 4));
  EXPECT_THAT(waiters(), ElementsAre(3));
}

TEST_F(Handover, ToASharedRequestLetsSharedRequestsAtTheHeadInToo) {
  const Revision writer = ask(1);
  ask({.session = 2, .claims = {shared(kPath)}});
  const Revision chosen = ask({.session = 3, .claims = {shared(kPath)}});
  EXPECT_EQ(release(1, writer, kPath, chosen), ReleaseStatus::kHandedOver);
  EXPECT_THAT(holders(), ElementsAre(2, 3));
}

TEST_F(Handover, KeepsPermitsThatWouldNotSuffice) {
  const Revision one = ask({.session = 1, .claims = {permits(kPath, 1, 3)}});
  const Revision two = ask({.session = 2, .claims = {permits(kPath, 2, 3)}});
  const Revision wants_two = ask({.session = 3, .claims = {permits(kPath, 2, 3)}});
  EXPECT_EQ(release(1, one, kPath, wants_two), ReleaseStatus::kTargetBlocked);
  EXPECT_EQ(release(2, two, kPath, wants_two), ReleaseStatus::kHandedOver);
  EXPECT_THAT(holders(), ElementsAre(1, 3));
}

TEST_F(Handover, DoesNotGoToAnAcquireOfSeveralLocks) {
  const Revision holder = ask(1);
  const Revision several = ask({.session = 2, .claims = {exclusive(kPath), exclusive("/b")}});
  EXPECT_EQ(release(1, holder, kPath, several), ReleaseStatus::kTargetBlocked);
  EXPECT_THAT(holders(), ElementsAre(1));
}

TEST_F(Handover, DoesNotPassALockDelay) {
  const Revision one = ask({.session = 1, .claims = {permits(kPath, 1, 2)}});
  ask({.session = 2, .claims = {permits(kPath, 1, 2)}, .lock_delay_ms = 5'000});
  const Revision waiter = ask({.session = 3, .claims = {permits(kPath, 1, 2)}});
  end({2}, EndReason::kSessionExpired);
  EXPECT_EQ(release(1, one, kPath, waiter), ReleaseStatus::kTargetBlocked);
  EXPECT_THAT(holders(), ElementsAre(1));
}

TEST_F(Handover, ANewHolderIsNotUnderTheOldOnesNotice) {
  const Revision holder = ask(1);
  const Revision chosen = ask(2);
  revoke({.path = kPath, .notice_ms = 1'000});
  EXPECT_EQ(release(1, holder, kPath, chosen), ReleaseStatus::kHandedOver);
  EXPECT_FALSE(table().describe(kPath).holders[0].revoking);
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
}

}  // namespace
}  // namespace holdfast::lockmgr
