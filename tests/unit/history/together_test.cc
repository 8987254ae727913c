// Histories of acquireAll (docs/locks.md): each rule with a history that keeps it and one that
// breaks it.
#include "tests/unit/history/expect.h"
#include "tests/unit/history/story.h"

namespace holdfast::history {
namespace {

/// Of /a and /b.
Said acquires_both(uint64_t session, uint64_t sequence, int64_t wait_ms = -1,
                   Mode mode = Mode::kExclusive) {
  return said(Call::kAcquireAll,
              {.session = session,
               .sequence = sequence,
               .wait_ms = wait_ms,
               .locks = {{.path = "/a", .mode = mode}, {.path = "/b", .mode = mode}}});
}
Said releases_all(uint64_t session, uint64_t sequence, uint64_t holder) {
  return said(Call::kReleaseAll, {.session = session, .sequence = sequence, .holder_id = holder});
}
Said on(const std::string& path, Said said) {
  said.op.arguments.path = path;
  return said;
}
Seen holder(uint64_t id, uint64_t session, uint64_t token) {
  return {.holder_id = id, .session = session, .token = token};
}
Seen waiter(uint64_t id, uint64_t session) { return {.holder_id = id, .session = session}; }

TEST(Together, AllLocksAreHeldFromOneEntryOn) {
  const auto story = [](std::vector<Seen> second, uint64_t at) {
    return judge({acquires_both(1, 1).granted(5, 5).rev(5).at(0, 10),
                  on("/a", describes()).shows({holder(5, 1, 5)}).rev(6).at(11, 20),
                  on("/b", describes()).shows(std::move(second)).rev(at).at(11, 20)});
  };
  expect_good(story({holder(5, 1, 5)}, 6));
  expect_broken(story({}, 6), "it shows as holders nobody");
  expect_broken(story({holder(5, 1, 6)}, 6), "which had token 5 before");
}

TEST(Together, NoneIsHeldBeforeAllAreFree) {
  const auto story = [](uint64_t token) {
    return judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                  acquires_both(2, 1).waiting(6, 1).rev(6).at(11, 20),
                  on("/a", describes()).shows({holder(5, 1, 5)}, {waiter(6, 2)}).rev(7).at(21, 30),
                  releases(1, 2, 5).released().rev(8).at(31, 40),
                  acquires_both(2, 1).granted(6, token).rev(9).at(21, 50)});
  };
  expect_good(story(8));
  expect_broken(story(7), "lock /a: no order");
  // It may have to wait for the other lock still.
  expect_good(story(9));
}

TEST(Together, ALockThatIsFreeIsKeptForWhoWaitsForAll) {
  const auto story = [](Said third) {
    return judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                  acquires_both(2, 1).waiting(6, 1).rev(6).at(11, 20),
                  on("/b", std::move(third)).at(21, 30),
                  on("/b", describes()).shows({}, {waiter(6, 2), waiter(7, 3)}).rev(7).at(31, 40)});
  };
  expect_good(story(acquires(3, 1).waiting(7, 2).rev(7)));
  expect_broken(story(acquires(3, 1).granted(7, 7).rev(7)),
                "it was answered GRANTED, but is waiting");
}

TEST(Together, WhoWaitsBehindItComesAfterIt) {
  const auto story = [](uint64_t token) {
    return judge({acquires_both(1, 1).granted(5, 5).rev(5).at(0, 10),
                  acquires_both(2, 1).waiting(6, 1).rev(6).at(11, 20),
                  on("/b", acquires(3, 1)).waiting(7, 2).rev(7).at(21, 30),
                  releases_all(1, 2, 5).released().rev(8).at(31, 40),
                  acquires_both(2, 1).granted(6, 8).rev(8).at(41, 50),
                  on("/b", describes()).shows({holder(6, 2, 8)}, {waiter(7, 3)}).rev(9).at(45, 50),
                  releases_all(2, 2, 6).released().rev(10).at(51, 60),
                  on("/b", acquires(3, 1)).granted(7, token).rev(11).at(61, 70)});
  };
  expect_good(story(10));
  expect_broken(story(9), "lock /b: no order");
  expect_broken(story(8), "token 8 of /b was given");
}

TEST(Together, SharedOnesAreGrantedInOneEntryWithTheirFollowers) {
  expect_good(judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                     acquires_both(2, 1, -1, Mode::kShared).waiting(6, 1).rev(6).at(11, 20),
                     acquires(3, 1, -1, Mode::kShared).waiting(7, 2).rev(7).at(21, 30),
                     releases(1, 2, 5).released().rev(8).at(31, 40),
                     acquires_both(2, 1, -1, Mode::kShared).granted(6, 8).rev(8).at(41, 50),
                     acquires(3, 1, -1, Mode::kShared).granted(7, 8).rev(8).at(41, 50)}));
}

Said acquires_both_shared(uint64_t session) { return acquires_both(session, 1, -1, Mode::kShared); }
Said acquires_shared(uint64_t session) { return acquires(session, 1, -1, Mode::kShared); }

TEST(Together, SeveralGetALockThatNoCommandOfTheEntryConcerns) {
  // /a is free all along: the release of /b lets in both acquireAlls, and who waits behind them.
  const auto story = [](uint64_t first, uint64_t second, uint64_t behind) {
    return judge({on("/b", acquires(1, 1)).granted(5, 5).rev(5).at(0, 10),
                  acquires_both_shared(2).waiting(6, 1).rev(6).at(11, 20),
                  acquires_both_shared(3).waiting(7, 2).rev(7).at(21, 30),
                  acquires_shared(4).waiting(8, 3).rev(8).at(31, 40),
                  on("/b", releases(1, 2, 5)).released().rev(9).at(41, 50),
                  acquires_both_shared(2).granted(6, first).rev(12).at(51, 60),
                  acquires_both_shared(3).granted(7, second).rev(12).at(51, 60),
                  acquires_shared(4).granted(8, behind).rev(12).at(51, 60)});
  };
  expect_good(story(9, 9, 9));
  // It may have to wait for the other lock still, but who is behind it waits as long.
  expect_good(story(9, 10, 10));
  expect_broken(story(9, 10, 9), "lock /a: no order");
  expect_broken(story(10, 9, 10), "no order");
  expect_broken(story(9, 9, 8), "lock /a: no order");
}

TEST(Together, SeveralGetALockWhoseHolderEndsInTheEntry) {
  const auto story = [](std::vector<Seen> holders, std::vector<Seen> waiters) {
    const Seen gone = {.holder_id = 5,
                       .session = 1,
                       .token = 5,
                       .end_revision = 9,
                       .end_reason = EndReason::kSessionExpired};
    return judge(
        {acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
         acquires_both_shared(2).waiting(6, 1).rev(6).at(11, 20),
         acquires_both_shared(3).waiting(7, 2).rev(7).at(21, 30),
         acquires_shared(4).waiting(8, 3).rev(8).at(31, 40),
         describes().shows(std::move(holders), std::move(waiters), {gone}).rev(9).at(41, 50)});
  };
  const Seen first = holder(6, 2, 9), second = holder(7, 3, 9), behind = holder(8, 4, 9);
  expect_good(story({first, second, behind}, {}));
  expect_good(story({first}, {waiter(7, 3), waiter(8, 4)}));
  expect_good(story({}, {waiter(6, 2), waiter(7, 3), waiter(8, 4)}));
  expect_broken(story({first, second}, {waiter(8, 4)}), "lock /a: no order");
  expect_broken(story({second, behind}, {waiter(6, 2)}), "lock /a: no order");
}

TEST(Together, ATryThatFindsOneOfThemHeldHasNone) {
  const auto story = [](std::vector<Seen> second) {
    return judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                  acquires_both(2, 1, 0).refused(Reason::kBusy).rev(6).at(11, 20),
                  on("/b", describes()).shows(std::move(second)).rev(7).at(21, 30)});
  };
  expect_good(story({}));
  expect_broken(story({holder(6, 2, 6)}), "must have been granted");
}

TEST(Together, ReleaseAllGivesEachOfThemBack) {
  const auto story = [](std::vector<Seen> second) {
    return judge({acquires_both(1, 1).granted(5, 5).rev(5).at(0, 10),
                  releases_all(1, 2, 5).released().rev(7).at(11, 20),
                  on("/a", describes()).shows({}).rev(8).at(21, 30),
                  on("/b", describes()).shows(std::move(second)).rev(8).at(21, 30)});
  };
  expect_good(story({}));
  expect_broken(story({holder(5, 1, 5)}), "it shows as holders 5");
}

TEST(Together, OneOfThemCanBeGivenBackAlone) {
  expect_good(judge({acquires_both(1, 1).granted(5, 5).rev(5).at(0, 10),
                     releases(1, 2, 5).released().rev(7).at(11, 20),
                     on("/b", describes()).shows({holder(5, 1, 5)}).rev(8).at(21, 30),
                     acquires_both(1, 1).not_held(5, EndReason::kReleased).rev(9).at(31, 40)}));
}

TEST(Together, ACancelOfAnyOfThemTakesEveryPlaceBack) {
  const auto story = [](std::vector<Seen> waiters) {
    return judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                  acquires_both(2, 1).waiting(6, 1).rev(6).at(11, 20),
                  cancels(2, 2, 1).refused(Reason::kCancelled).rev(8).at(21, 30),
                  on("/b", describes()).shows({}, std::move(waiters)).rev(9).at(31, 40)});
  };
  expect_good(story({}));
  expect_broken(story({waiter(6, 2)}), "it shows as waiters 6");
}

TEST(Together, WhatItsCancelFoundGrantedIsGivenBack) {
  const auto story = [](std::vector<Seen> holders) {
    return judge({acquires_both(1, 1).at(0, kNever),
                  cancels(1, 2, 1).granted(5, 5).rev(6).at(11, 20),
                  releases_all(1, 3, 5).released().rev(7).at(21, 30),
                  on("/b", describes()).shows(std::move(holders)).rev(8).at(31, 40)});
  };
  expect_good(story({}));
  expect_broken(story({holder(5, 1, 5)}), "lock /b: no order");
}

TEST(Together, ItCannotBeHandedALock) {
  const auto story = [](ReleaseStatus status) {
    return judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                  acquires_both(2, 1).waiting(6, 1).rev(6).at(11, 20),
                  releases(1, 2, 5, 6).released(status).rev(8).at(21, 30)});
  };
  expect_good(story(ReleaseStatus::kTargetBlocked));
  expect_broken(story(ReleaseStatus::kHandedOver), "lock /a: no order");
}

TEST(Together, OneThatNamesASingleLockIsAnAcquire) {
  Said single = acquires_both(2, 1);
  single.op.arguments.locks.pop_back();
  expect_good(judge({acquires(1, 1).granted(5, 5).rev(5).at(0, 10),
                     std::move(single).waiting(6, 1).rev(6).at(11, 20),
                     releases(1, 2, 5, 6).released(ReleaseStatus::kHandedOver).rev(8).at(21, 30)}));
}

TEST(Together, OneCommandHasOneHolderId) {
  expect_broken(judge({acquires_both(1, 1).granted(5, 5).rev(5).at(0, 10),
                       acquires_both(1, 1).granted(7, 7).rev(7).at(11, 20)}),
                "one command was applied twice");
}

TEST(Together, WhatWasNeverAnsweredMayHoldThem) {
  expect_good(judge({acquires_both(1, 1).at(0, kNever),
                     on("/b", describes()).shows({holder(6, 1, 6)}).rev(8).at(21, 30),
                     acquires(2, 1, 0).refused(Reason::kBusy).rev(9).at(31, 40)}));
}

TEST(Together, AnAcquireAllNamesLocks) {
  History history;
  Said none = acquires_both(1, 1);
  none.op.arguments.locks.clear();
  EXPECT_EQ(history.record(none.op), "acquireAll names no locks");
  EXPECT_EQ(history.record(releases_all(1, 1, 0).op), "releaseAll has no holderId");
}

}  // namespace
}  // namespace holdfast::history
