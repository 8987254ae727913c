// Broken histories: each must be refused, with the reason in words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/history/story.h"

namespace holdfast::history {
namespace {

using testing::HasSubstr;

void expect_broken(const Verdict& verdict, const std::string& why) {
  EXPECT_EQ(verdict.kind, Verdict::Kind::kBroken);
  EXPECT_THAT(verdict.explanation, HasSubstr(why));
}

TEST(BrokenHistory, StaleReadByItsRevision) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       describes().at(20, 30).rev(4).shows({})}),
                "read the state of revision 4, although revision 5 had been answered");
}

TEST(BrokenHistory, StaleReadUnderAFreshRevision) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       describes().at(20, 30).rev(6).shows({}), renews(1).at(40, 50).rev(7)}),
                "shows as holders nobody, but the lock is held by acquire by c1");
}

TEST(BrokenHistory, DoubleGrant) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
             acquires(2, 1).at(20, 30).rev(6).granted(6, 6), renews(1).at(40, 50).rev(7)}),
      "it was answered GRANTED, but is waiting");
}

TEST(BrokenHistory, DoubleGrantOfConcurrentTries) {
  expect_broken(
      judge({acquires(1, 1, 0).at(0, 100).rev(6).granted(5, 5),
             acquires(2, 1, 0).at(0, 100).rev(6).granted(6, 6), renews(1).at(110, 120).rev(7)}),
      "it was answered GRANTED, but is not granted");
}

TEST(BrokenHistory, AGrantThatWaitsForTheNextEntry) {
  // Session 1 ended at revision 8, and the cancel was sent after it: session 2 held by then.
  const Seen ended{5, 1, 5, "", 8, EndReason::kSessionExpired};
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       acquires(3, 1).at(13, 14).rev(7).waiting(7, 2), renews(3).at(15, 16).rev(8),
                       cancels(2, 2, 1).at(20, 30).rev(9).refused(Reason::kCancelled),
                       describes().at(31, 40).rev(9).shows({{7, 3, 9}}, {}, {ended})}),
                "it was answered status 3, reason 3; the model answers status 1");
}

TEST(BrokenHistory, AnEntryAfterWhichTheFirstWaiterStillWaits) {
  const Seen ended{5, 1, 5, "", 9, EndReason::kSessionExpired};
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       describes().at(31, 40).rev(9).shows({}, {{6, 2}}, {ended})}),
                "shows as holders nobody, but the lock is held by acquire by c2");
}

TEST(BrokenHistory, SharedBesideExclusive) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1, -1, Mode::kShared).at(20, 30).rev(6).granted(6, 6),
                       renews(1).at(40, 50).rev(7)}),
                "it was answered GRANTED, but is waiting");
}

TEST(BrokenHistory, MorePermitsThanThereAre) {
  expect_broken(judge({takes_permits(1, 1, 2, 3).at(0, 10).rev(5).granted(5, 5),
                       takes_permits(2, 1, 2, 3).at(20, 30).rev(6).granted(6, 6),
                       renews(1).at(40, 50).rev(7)}),
                "it was answered GRANTED, but is waiting");
}

TEST(BrokenHistory, TokenUsedTwice) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       acquires(3, 1).at(13, 14).rev(7).waiting(7, 2),
                       releases(1, 2, 5).at(20, 30).rev(8).released(),
                       releases(2, 2, 6).at(40, 50).rev(9).released(),
                       acquires(2, 1).at(31, 60).rev(9).granted(6, 8),
                       acquires(3, 1).at(61, 70).rev(9).granted(7, 8)}),
                "token 8 of /a was given to");
}

TEST(BrokenHistory, TokenThatGoesBack) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       releases(1, 2, 5).at(20, 30).rev(8).released(),
                       acquires(2, 1).at(40, 50).rev(8).granted(6, 6)}),
                "no order of its operations explains the answers");
}

TEST(BrokenHistory, TokenThatChanges) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       describes().at(20, 30).rev(8).shows({{5, 1, 7}})}),
                "shows token 7 of acquire by c1 (line 1), which had token 5 before");
}

TEST(BrokenHistory, AcknowledgedGrantIsLost) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
             acquires(2, 1, 0).at(20, 30).rev(6).granted(6, 6), renews(1).at(40, 50).rev(6)}),
      "it was answered GRANTED, but is not granted");
}

TEST(BrokenHistory, AcknowledgedWriteIsLostWithItsRevision) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(7).granted(7, 7),
                       acquires(2, 1, 0).at(20, 30).rev(6).granted(6, 6)}),
                "although revision 7 had been answered before it began");
}

TEST(BrokenHistory, AcknowledgedValueIsLost) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), sets(1, 2, 5, "new").at(20, 30).rev(6),
             describes().at(40, 50).rev(7).shows({{5, 1, 5, ""}})}),
      "(value 'new')");
}

TEST(BrokenHistory, ReleaseFreedAnothersLock) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
             releases(2, 1, 5).at(20, 30).rev(6).released(),
             acquires(3, 1, 0).at(40, 50).rev(7).granted(7, 7), renews(1).at(60, 70).rev(7)}),
      "it was answered 1; the model answers 2");
}

TEST(BrokenHistory, LateReleaseFreedTheNextHolder) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       releases(1, 2, 5).at(20, 30).rev(6).released(),
                       acquires(2, 1).at(40, 50).rev(7).granted(7, 7),
                       releases(1, 3, 5).at(60, 70).rev(8).released(ReleaseStatus::kNotHeld),
                       describes().at(80, 90).rev(8).shows({}), renews(2).at(100, 110).rev(8)}),
                "shows as holders nobody");
}

TEST(BrokenHistory, RetryAppliedTwice) {
  expect_broken(
      judge({acquires(1, 1, 0).at(0, kNever), acquires(1, 1, 0).at(10, 20).rev(6).granted(6, 6),
             acquires(1, 1, 0).at(30, 40).rev(9).granted(9, 9)}),
      "one command was applied twice");
}

TEST(BrokenHistory, RetriedSetAppliedTwice) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), sets(1, 2, 5, "1").at(11, kNever),
             sets(1, 2, 5, "1").at(20, 30).rev(6), sets(1, 3, 5, "2").at(40, 50).rev(7),
             describes().at(60, 70).rev(8).shows({{5, 1, 5, "1"}})}),
      "(value '2')");
}

TEST(BrokenHistory, RetryGetsAnotherOutcome) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       releases(1, 2, 5).at(20, 30).rev(6).released(),
                       releases(1, 2, 5).at(40, 50).rev(7).released(ReleaseStatus::kNotHeld)}),
                "is a retry of release by c1 (line 2) and got another outcome");
}

TEST(BrokenHistory, OneSecretOpenedTwoSessions) {
  expect_broken(
      judge({opens(3, "x").at(0, kNever), opens(3, "x").at(20, 30).rev(3),
             opens(7, "x").at(40, 50).rev(7), acquires(3, 1).at(60, 70).rev(8).granted(8, 8)}),
      "one command was applied twice");
}

TEST(BrokenHistory, WaiterIsPassedOver) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
             acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
             acquires(3, 1).at(13, 14).rev(7).waiting(7, 2),
             releases(1, 2, 5).at(20, 30).rev(8).released(),
             acquires(3, 1).at(31, 40).rev(8).granted(7, 8), renews(2).at(50, 60).rev(9)}),
      "it was answered GRANTED, but is waiting");
}

TEST(BrokenHistory, TryPassesAWaiter) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
             acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
             releases(1, 2, 5).at(20, 40).rev(8).released(),
             acquires(3, 1, 0).at(20, 40).rev(8).granted(7, 7), renews(2).at(50, 60).rev(9)}),
      "no order of its operations explains the answers");
}

TEST(BrokenHistory, FreeLockWithAWaiter) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       releases(1, 2, 5).at(20, 30).rev(7).released(),
                       describes().at(40, 50).rev(8).shows({}, {{6, 2}})}),
                "shows as holders nobody");
}

TEST(BrokenHistory, GrantToAnExpiredSession) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       renews(2).at(20, 30).rev(8).error("SESSION_EXPIRED"),
                       releases(1, 2, 5).at(40, 50).rev(9).released(),
                       describes().at(60, 70).rev(9).shows({{6, 2, 9}})}),
                "session 2 had ended by revision 8");
}

TEST(BrokenHistory, SessionLivesOnAfterItsEnd) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), closes(1).at(20, 30).rev(6),
                       renews(1).at(40, 50).rev(6)}),
                "session 1 had ended by revision 6");
}

TEST(BrokenHistory, LockOfAnEndedSessionIsStillHeld) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), closes(1).at(20, 30).rev(6),
                       acquires(2, 1, 0).at(40, 50).rev(7).refused(Reason::kBusy)}),
                "it was answered NOT_GRANTED, but is granted");
}

TEST(BrokenHistory, LiveHolderLosesItsLock) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       checks(5).at(20, 30).rev(6).current(false, 0),
                       releases(1, 2, 5).at(40, 50).rev(7).released()}),
                "token 5 is not current");
}

TEST(BrokenHistory, CancelledPlaceIsGranted) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       cancels(2, 2, 1).at(13, 14).rev(7).refused(Reason::kCancelled),
                       releases(1, 2, 5).at(20, 30).rev(8).released(),
                       describes().at(40, 50).rev(8).shows({{6, 2, 8}})}),
                "shows as holders 6");
}

TEST(BrokenHistory, WaitWithoutEndTimesOut) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       acquires(2, 1).at(20, 30).rev(9).refused(Reason::kTimedOut),
                       renews(1).at(40, 50).rev(9), renews(2).at(40, 50).rev(9)}),
                "it was answered NOT_GRANTED, but is waiting");
}

TEST(BrokenHistory, PlaceInTheQueueMoves) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       acquires(3, 1).at(13, 14).rev(7).waiting(7, 1), renews(2).at(20, 30).rev(8),
                       describes().at(40, 50).rev(8).shows({{5, 1, 5}}, {{6, 2}, {7, 3}})}),
                "it was answered position 1, but has position 2");
}

TEST(BrokenHistory, DefinitelyRefusedCommandTookEffect) {
  expect_broken(judge({acquires(1, 1, 0).at(0, 10).rev(4).error("NO_LEADER"),
                       describes().at(20, 30).rev(5).shows({{5, 1, 5}})}),
                "which no acquire of this history can have");
}

TEST(BrokenHistory, TwoAcquiresHaveOneHolderId) {
  expect_broken(judge({acquires(1, 1).at(0, 100).rev(6).granted(5, 5),
                       acquires(2, 1).at(0, 100).rev(6).waiting(5, 1)}),
                "holder id 5 was answered to");
}

TEST(BrokenHistory, TenureEndsForAnotherReason) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
             releases(1, 2, 5).at(20, 30).rev(6).released(),
             describes().at(40, 50).rev(7).shows({}, {}, {{5, 1, 5, "", 6, EndReason::kRevoked}})}),
      "its tenure shows reason 4");
}

TEST(BrokenHistory, ValueOfAnotherHolder) {
  expect_broken(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), sets(2, 1, 5, "mine").at(20, 30).rev(6),
             describes().at(40, 50).rev(7).shows({{5, 1, 5}})}),
      "its holder does not hold the lock");
}

}  // namespace
}  // namespace holdfast::history
