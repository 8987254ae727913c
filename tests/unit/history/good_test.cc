// Histories that one order explains: the checker must not cry wolf.
#include <gtest/gtest.h>

#include "tests/unit/history/story.h"

namespace holdfast::history {
namespace {

void expect_good(const Verdict& verdict) { EXPECT_TRUE(verdict.good()) << verdict.explanation; }

TEST(GoodHistory, WaiterIsGrantedByTheRelease) {
  expect_good(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                     acquires(2, 1).at(20, 30).rev(6).waiting(6, 1),
                     describes().at(31, 35).rev(6).shows({{5, 1, 5}}, {{6, 2}}),
                     releases(1, 2, 5).at(40, 50).rev(7).released(),
                     acquires(2, 1).at(41, 60).rev(7).granted(6, 7),
                     checks(7).at(61, 70).rev(9).current(true, 7),
                     checks(5).at(61, 70).rev(9).current(false, 7)}));
}

TEST(GoodHistory, ConcurrentCallsMayTakeEffectInEitherOrder) {
  for (const bool free : {true, false}) {
    Said read = describes().at(0, 100).rev(free ? 4 : 5);
    if (!free) read = std::move(read).shows({{5, 1, 5}});
    expect_good(judge({acquires(1, 1).at(10, 20).rev(5).granted(5, 5), read}));
  }
}

TEST(GoodHistory, RetryGetsTheOutcomeOfItsFirstCopy) {
  expect_good(
      judge({acquires(1, 1, 0).at(0, kNever), acquires(1, 1, 0).at(50, 60).rev(9).granted(5, 5),
             releases(1, 2, 5).at(70, kNever), releases(1, 2, 5).at(80, 90).rev(12).released(),
             acquires(2, 1, 0).at(85, 89).rev(11).granted(11, 11),
             acquires(1, 1, 0).at(95, 99).rev(13).not_held(5, EndReason::kReleased)}));
}

TEST(GoodHistory, WhatWasNeverAnsweredMayHaveHappenedOrNot) {
  expect_good(
      judge({acquires(1, 1, 0).at(0, 10).rev(5).granted(5, 5), releases(1, 2, 5).at(20, kNever),
             acquires(2, 1, 0).at(30, 40).rev(8).granted(8, 8)}));
  expect_good(
      judge({acquires(1, 1, 0).at(0, 10).rev(5).granted(5, 5), releases(1, 2, 5).at(20, kNever),
             acquires(2, 1, 0).at(30, 40).rev(8).refused(Reason::kBusy)}));
}

TEST(GoodHistory, AnUnansweredAcquireIsRecognisedInADescription) {
  expect_good(
      judge({acquires(1, 1, 0).at(0, kNever), describes().at(10, 20).rev(6).shows({{5, 1, 5}}),
             acquires(2, 1, 0).at(30, 40).rev(8).refused(Reason::kBusy)}));
}

TEST(GoodHistory, AnUnansweredAcquireIsRecognisedByItsOwner) {
  const auto asks = [](uint64_t sequence, const std::string& owner, int64_t at) {
    Said said = acquires(1, sequence).at(at, kNever);
    said.op.arguments.owner = owner;
    return said;
  };
  // Both at once: the second asked holds, the first waits.
  const auto story = [&](const std::string& holder, const std::string& waiter) {
    return judge({asks(1, "one", 0), asks(2, "two", 1),
                  describes().at(10, 20).rev(6).shows(
                      {{.holder_id = 5, .session = 1, .token = 5, .owner = holder}},
                      {{.holder_id = 6, .session = 1, .owner = waiter}}),
                  cancels(1, 3, 1).at(30, 40).rev(7).refused(Reason::kCancelled)});
  };
  expect_good(story("two", "one"));
  EXPECT_FALSE(story("one", "two").good());
}

TEST(GoodHistory, SessionEndFreesItsLockAndItsPlaces) {
  expect_good(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                     acquires(2, 1).at(20, 30).rev(6).waiting(6, 1),
                     acquires(3, 1).at(31, 35).rev(7).waiting(7, 2),
                     acquires(3, 1).at(40, 90).rev(11).granted(7, 11),
                     renews(1).at(91, 95).rev(12).error("SESSION_EXPIRED"),
                     renews(2).at(91, 95).rev(12).error("SESSION_EXPIRED"),
                     describes().at(100, 110).rev(12).shows(
                         {{7, 3, 11}}, {}, {{5, 1, 5, "", 11, EndReason::kSessionExpired}})}));
}

TEST(GoodHistory, CloseReleasesAtOnce) {
  expect_good(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), closes(1).at(20, 30).rev(6),
                     acquires(2, 1, 0).at(40, 50).rev(7).granted(7, 7),
                     closes(1).at(60, 70).rev(8).error("SESSION_EXPIRED"),
                     describes().at(80, 90).rev(8).shows(
                         {{7, 2, 7}}, {}, {{5, 1, 5, "", 6, EndReason::kSessionClosed}})}));
}

TEST(GoodHistory, SharedHoldersComeTogetherAndOneWaitsAlone) {
  expect_good(judge({acquires(1, 1, -1, Mode::kShared).at(0, 10).rev(5).granted(5, 5),
                     acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                     acquires(3, 1, -1, Mode::kShared).at(13, 14).rev(7).waiting(7, 2),
                     acquires(4, 1, -1, Mode::kShared).at(15, 16).rev(8).waiting(8, 3),
                     releases(1, 2, 5).at(20, 30).rev(9).released(),
                     acquires(2, 1).at(31, 32).rev(9).granted(6, 9),
                     releases(2, 2, 6).at(40, 50).rev(10).released(),
                     describes().at(60, 70).rev(10).shows({{7, 3, 10}, {8, 4, 10}})}));
}

TEST(GoodHistory, SemaphoreCountsPermitsAndItsHeadBlocks) {
  expect_good(judge({takes_permits(1, 1, 2, 3).at(0, 10).rev(5).granted(5, 5),
                     takes_permits(2, 1, 2, 3).at(11, 12).rev(6).waiting(6, 1),
                     takes_permits(3, 1, 1, 3).at(13, 14).rev(7).waiting(7, 2),
                     releases(1, 2, 5).at(20, 30).rev(8).released(),
                     describes().at(31, 40).rev(8).shows({{6, 2, 8}, {7, 3, 8}})}));
}

TEST(GoodHistory, TriesTimeoutsAndCancels) {
  expect_good(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                     acquires(2, 1, 0).at(11, 12).rev(6).refused(Reason::kBusy),
                     acquires(2, 2, 100).at(13, 14).rev(7).waiting(7, 1),
                     acquires(2, 2, 100).at(15, 200).rev(9).refused(Reason::kTimedOut),
                     acquires(3, 1).at(210, 220).rev(10).waiting(10, 1),
                     cancels(3, 2, 1).at(230, 240).rev(11).refused(Reason::kCancelled),
                     cancels(3, 3, 9).at(250, 260).rev(12).refused(Reason::kCancelled),
                     acquires(3, 9).at(270, 280).rev(13).refused(Reason::kCancelled),
                     cancels(1, 2, 1).at(290, 300).rev(14).granted(5, 5)}));
}

TEST(GoodHistory, HandoverPassesTheQueue) {
  expect_good(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                     acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                     acquires(3, 1).at(13, 14).rev(7).waiting(7, 2),
                     releases(1, 2, 5, 99).at(15, 16).rev(8).released(ReleaseStatus::kTargetGone),
                     releases(1, 3, 5, 7).at(20, 30).rev(9).released(ReleaseStatus::kHandedOver),
                     describes().at(40, 50).rev(9).shows({{7, 3, 9}}, {{6, 2}})}));
}

TEST(GoodHistory, RevocationByForceAtOnceElseWhenItIsDue) {
  expect_good(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), revokes(0, true).at(20, 30).rev(6),
             acquires(2, 1).at(40, 50).rev(7).granted(7, 7), revokes(7, false).at(60, 70).rev(8),
             describes().at(71, 80).rev(8).shows({{7, 2, 7}}),
             acquires(3, 1, 0).at(90, 95).rev(12).granted(12, 12),
             describes().at(96, 99).rev(12).shows({{12, 3, 12}}, {},
                                                  {{7, 2, 7, "", 11, EndReason::kRevoked}})}));
}

TEST(GoodHistory, HolderValuesCountEachCommandOnce) {
  expect_good(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), sets(1, 2, 5, "1").at(11, 20).rev(6),
             sets(1, 3, 5, "2").at(21, kNever), sets(1, 3, 5, "2").at(30, 40).rev(9),
             describes().at(41, 50).rev(9).shows({{5, 1, 5, "2"}}),
             releases(1, 4, 5).at(51, 60).rev(10).released(),
             sets(1, 5, 5, "3").at(61, 70).rev(11).error("NOT_HELD")}));
}

TEST(GoodHistory, ALocalReadMayLagButNotLie) {
  Arguments local{.path = "/a", .local = true};
  expect_good(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                     releases(1, 2, 5).at(20, 30).rev(6).released(),
                     describes().with(local).at(40, 50).rev(5).shows({{5, 1, 5}})}));
}

TEST(GoodHistory, ARefusalBeforeApplyHasNoEffect) {
  expect_good(judge({acquires(1, 1, 0).at(0, 10).rev(4).error("NO_LEADER"),
                     describes().at(20, 30).rev(4).shows({}),
                     acquires(1, 1, 0).at(40, 50).rev(5).granted(5, 5)}));
}

TEST(GoodHistory, ARetryMayBeAnsweredFromBeforeTheSessionsEnd) {
  // The server that answers the retry has not applied the entry that ended session 2.
  expect_good(judge({opens(1, "x").at(0, 1).rev(1), opens(2, "y").at(2, 3).rev(2),
                     acquires(1, 1).at(10, 20).rev(5).granted(5, 5),
                     acquires(2, 1).at(30, 40).rev(6).waiting(6, 1),
                     renews(2).at(50, 60).rev(8).error("SESSION_EXPIRED"),
                     acquires(2, 1).at(70, 80).rev(7).waiting(6, 1),
                     describes().at(90, 100).rev(9).shows({{5, 1, 5}})}));
}

TEST(GoodHistory, AnAcquireWhoseCancelCameFirstNeedsNoEntryOfItsOwn) {
  const auto story = [](Reason reason) {
    return judge({acquires(1, 1).at(10, 20).rev(5).granted(5, 5), acquires(2, 1).at(30, kNever),
                  cancels(2, 2, 1).at(31, 40).rev(6).refused(Reason::kCancelled),
                  releases(1, 2, 5).at(41, 50).rev(7).released(),
                  acquires(2, 1).at(51, 60).rev(7).refused(reason)});
  };
  expect_good(story(Reason::kCancelled));
  EXPECT_FALSE(story(Reason::kTimedOut).good());
}

TEST(GoodHistory, ACancelAnswersForAnAcquireThatIsSentAfterIt) {
  // The first copy never takes effect; the next is answered from what the cancel left.
  const auto story = [](Reason reason) {
    return judge({opens(2, "x").at(0, 1).rev(2),
                  acquires(2, 1).at(20, 30).rev(5).error("NO_LEADER"),
                  cancels(2, 2, 1).at(25, 40).rev(6).refused(Reason::kCancelled),
                  acquires(2, 1).at(51, 60).rev(6).refused(reason),
                  renews(2).at(61, 70).rev(7).error("SESSION_EXPIRED")});
  };
  expect_good(story(Reason::kCancelled));
  EXPECT_FALSE(story(Reason::kQueueFull).good());
}

TEST(GoodHistory, AnAcquireMayBeKnownFromItsCancelAlone) {
  const auto story = [](uint64_t released) {
    return judge({acquires(1, 1).at(0, kNever), cancels(1, 2, 1).at(10, 20).rev(6).granted(5, 5),
                  releases(1, 3, released).at(30, 40).rev(7).released()});
  };
  expect_good(story(5));
  EXPECT_FALSE(story(4).good());
}

TEST(GoodHistory, HoldersOfOneEntryAreEquallyOld) {
  const auto story = [](std::vector<Seen> holders) {
    return judge({acquires(1, 1).at(10, 20).rev(5).granted(5, 5),
                  acquires(2, 1, -1, Mode::kShared).at(30, 40).rev(6).waiting(6, 1),
                  acquires(3, 1, -1, Mode::kShared).at(50, 60).rev(7).waiting(7, 2),
                  releases(1, 2, 5).at(70, 80).rev(8).released(),
                  describes().at(90, 100).rev(8).shows(std::move(holders))});
  };
  expect_good(story({{6, 2, 8}, {7, 3, 8}}));
  expect_good(story({{7, 3, 8}, {6, 2, 8}}));
  EXPECT_FALSE(story({{7, 3, 8}, {7, 3, 8}}).good());
}

TEST(GoodHistory, GrantsOfAnEntryComeAfterItsCommand) {
  // Session 1 ends at revision 9, in the entry of the command: both come before any grant.
  const auto story = [](Said command, std::vector<Seen> holders, std::vector<Seen> waiters) {
    const Seen ended{5, 1, 5, "", 9, EndReason::kSessionExpired};
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                  acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                  acquires(3, 1).at(13, 14).rev(7).waiting(7, 2), renews(3).at(15, 16).rev(8),
                  std::move(command).at(20, 30).rev(9),
                  describes().at(31, 40).rev(9).shows(holders, waiters, {ended})});
  };
  expect_good(story(cancels(2, 2, 1).refused(Reason::kCancelled), {{7, 3, 9}}, {}));
  expect_good(story(releases(2, 2, 6).released(ReleaseStatus::kNotHeld), {{6, 2, 9}}, {{7, 3}}));
  expect_good(story(cancels(2, 2, 9).refused(Reason::kCancelled), {{6, 2, 9}}, {{7, 3}}));
  Said third = acquires(4, 1);
  third.op.arguments.max_queue = 2;
  expect_good(story(std::move(third).refused(Reason::kQueueFull), {{6, 2, 9}}, {{7, 3}}));
}

TEST(GoodHistory, ATokenMayBeKnownFromACheckAlone) {
  const auto story = [](Said second, uint64_t latest) {
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), std::move(second),
                  checks(5).at(40, 50).rev(12).current(false, latest)});
  };
  // Session 1 ends and the second, who never hears of it, gets the lock.
  expect_good(story(acquires(2, 1).at(20, kNever), 9));
  expect_good(story(acquires(2, 1).at(20, 30).rev(6).waiting(6, 1), 9));
  EXPECT_FALSE(story(renews(2).at(20, 30).rev(6), 9).good());
  EXPECT_FALSE(story(acquires(2, 1).at(20, 30).rev(6).waiting(6, 1), 5).good());
}

TEST(GoodHistory, SessionsOpenOncePerSecret) {
  expect_good(judge({opens(3, "x").at(0, 10).rev(3), opens(3, "x").at(20, 30).rev(4),
                     opens(5, "y").at(20, 30).rev(5), renews(3).at(40, 50).rev(5),
                     acquires(3, 1, 0).at(60, 70).rev(6).granted(6, 6)}));
}

}  // namespace
}  // namespace holdfast::history
