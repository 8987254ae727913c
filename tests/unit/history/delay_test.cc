// Lock-delays and lists of locks in histories.
#include "tests/unit/history/expect.h"
#include "tests/unit/history/story.h"

namespace holdfast::history {
namespace {

const Seen kExpired{5, 1, 5, "", 9, EndReason::kSessionExpired};

/// Session 1 holds with a lock-delay and expires at revision 9, while session 2 waits.
Verdict after_expiry(Said then, Said last = renews(9).at(900, 910).rev(90)) {
  return judge({acquires_delayed(1, 1, 1000).at(0, 10).rev(5).granted(5, 5),
                acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                describes().at(20, 30).rev(9).shows({}, {{6, 2}}, {kExpired}), std::move(then),
                std::move(last)});
}

/// Three quarters of the delay after the last that is known to come before the expiry.
constexpr int64_t kOver = 11 + 750'000'000;

TEST(LockDelay, AClosedLockIsGrantedLater) {
  expect_good(after_expiry(describes().at(40, 50).rev(11).shows({}, {{6, 2}}).closed(),
                           acquires(2, 1).at(60, kOver).rev(14).granted(6, 13)));
  expect_good(after_expiry(describes().at(40, kOver).rev(10).shows({{6, 2, 10}}),
                           renews(9).at(kOver + 1, kOver + 2).rev(90)));
}

TEST(LockDelay, AClosedLockIsNotGrantedWhileMostOfItsDelayIsToCome) {
  const Said later = renews(9).at(kOver + 1, kOver + 2).rev(90);
  expect_broken(after_expiry(describes().at(40, kOver - 1).rev(10).shows({{6, 2, 10}}), later),
                "no order");
  expect_broken(after_expiry(acquires(2, 1).at(60, 70).rev(14).granted(6, 13), later), "no order");
}

TEST(LockDelay, ARevisionThatWasAnsweredBeforeTheDelayIsOverIsTooEarly) {
  const auto story = [](uint64_t token) {
    return after_expiry(renews(9).at(50, kOver - 1).rev(20),
                        acquires(2, 1).at(60, kOver + 9).rev(30).granted(6, token));
  };
  expect_good(story(21));
  expect_broken(story(20), "no order");
}

TEST(LockDelay, ATryAtAClosedLockIsRefusedAndLaterGranted) {
  expect_good(judge({acquires_delayed(1, 1, 1000).at(0, 10).rev(5).granted(5, 5),
                     renews(1).at(11, 12).rev(9).error("SESSION_EXPIRED"),
                     acquires(2, 1, 0).at(20, 30).rev(10).refused(Reason::kBusy),
                     acquires(2, 2, 0).at(40, kOver).rev(12).granted(12, 12)}));
}

TEST(LockDelay, ALockIsNotGrantedInTheEntryThatClosesIt) {
  expect_broken(after_expiry(acquires(2, 1).at(40, 50).rev(11).granted(6, 9)), "no order");
}

TEST(LockDelay, NeitherReleaseNorCloseClosesALock) {
  for (Said end : {releases(1, 2, 5).released(), closes(1)}) {
    const bool closes_session = end.op.call == Call::kCloseSession;
    const EndReason reason = closes_session ? EndReason::kSessionClosed : EndReason::kReleased;
    const auto story = [&](Said read) {
      return judge({acquires_delayed(1, 1, 1000).at(0, 10).rev(5).granted(5, 5),
                    std::move(end).at(20, 30).rev(6), std::move(read),
                    describes().at(60, 70).rev(8).shows({}, {}, {{5, 1, 5, "", 6, reason}})});
    };
    expect_good(story(describes().at(40, 50).rev(7).shows({})));
    expect_broken(story(describes().at(40, 50).rev(7).shows({}).closed()), "shows a lock-delay");
    expect_broken(story(acquires(2, 1, 0).at(40, 50).rev(7).refused(Reason::kBusy)),
                  "it was answered NOT_GRANTED, but is granted");
  }
}

TEST(LockDelay, ALockWithoutOneIsNeverClosed) {
  expect_broken(judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                       acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                       describes().at(20, 30).rev(9).shows({}, {{6, 2}}, {kExpired})}),
                "shows as holders nobody");
}

TEST(LockDelay, AClosedLockIsNotHandedOver) {
  const auto story = [](ReleaseStatus status) {
    Said shared = acquires(1, 1, -1, Mode::kShared);
    shared.op.arguments.lock_delay_ms = 1000;
    return judge({std::move(shared).at(0, 10).rev(5).granted(5, 5),
                  acquires(2, 1, -1, Mode::kShared).at(11, 12).rev(6).granted(6, 6),
                  acquires(3, 1).at(13, 14).rev(7).waiting(7, 1),
                  describes().at(20, 30).rev(9).shows({{6, 2, 6}}, {{7, 3}}, {kExpired}),
                  releases(2, 2, 6, 7).at(40, 50).rev(10).released(status),
                  describes().at(51, 52).rev(10).closed().shows({{6, 2, 6}}, {{7, 3}})});
  };
  expect_good(story(ReleaseStatus::kTargetBlocked));
  EXPECT_FALSE(story(ReleaseStatus::kHandedOver).good());
}

TEST(LockList, ShowsHoldersAndCountsWaiters) {
  const auto story = [](std::vector<Listed> locks) {
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                  acquires(2, 1).at(11, 12).rev(6).waiting(6, 1),
                  lists(std::move(locks)).at(20, 30).rev(6)});
  };
  expect_good(story({{"/a", {{5, 1, 5}}, 1, 1}}));
  expect_broken(story({{"/a", {{5, 1, 5}}, 1, 0}}), "it lists 1 holders and 0 waiters");
  expect_broken(story({{"/a", {{6, 2, 6}}, 1, 1}}), "it shows as holders 6");
  expect_broken(story({}), "it lists 0 holders and 0 waiters");
  expect_broken(story({{"/a", {{5, 1, 5}}, 1, 1}, {"/b", {}, 0, 1}}), "which nobody has asked for");
}

TEST(LockList, APageShowsNothingOfOtherPages) {
  Said page = lists({});
  page.op.arguments.page = "/0";
  page.op.answer.next_page = "/1";
  expect_good(
      judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), std::move(page).at(20, 30).rev(5)}));
}

}  // namespace
}  // namespace holdfast::history
