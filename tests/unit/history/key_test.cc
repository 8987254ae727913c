// Histories of keys: each rule with a history that keeps it and one that breaks it.
#include "tests/unit/history/expect.h"
#include "tests/unit/history/key_story.h"

namespace holdfast::history {
namespace {

TEST(KeyHistory, AReadShowsTheStateOfItsRevision) {
  const auto story = [](SeenKey seen, uint64_t at) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), made(puts(1, 2, "b"), 7, 2).at(20, 30),
                  shows(gets(), at, {std::move(seen)}).at(25, 40)});
  };
  expect_good(story(key("a", 1, 5, 5), 6));
  expect_good(story(key("b", 2, 5, 7), 7));
  expect_broken(story(key("a", 1, 5, 5), 7), "but there is 'b', version 2");
  expect_broken(story(key("b", 2, 5, 7), 6), "written at 7 in the state of revision 6");
  expect_broken(story(key("b", 1, 5, 7), 7), "but there is 'b', version 2");
  expect_broken(story(key("b", 2, 7, 7), 7), "created at 5");
  expect_broken(story(key("x", 2, 5, 7), 7), "but there is 'b', version 2");
}

TEST(KeyHistory, ALinearizableReadIsNeverOlderThanWhatWasAnswered) {
  const auto story = [](bool local) {
    Said read = shows(gets(), 5, {key("a", 1, 5, 5)});
    read.op.arguments.local = local;
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), made(puts(1, 2, "b"), 7, 2).at(20, 30),
                  std::move(read).at(40, 50)});
  };
  expect_good(story(true));
  expect_broken(story(false), "read the state of revision 5, although revision 7 had been");
}

TEST(KeyHistory, ALocalReadMayLagButNotLie) {
  Said read = shows(gets(), 5, {key("b", 2, 5, 5)});
  read.op.arguments.local = true;
  expect_broken(judge({made(puts(1, 1, "a"), 5, 1).at(0, 10),
                       made(puts(1, 2, "b"), 7, 2).at(20, 30), std::move(read).at(40, 50)}),
                "but there is 'a', version 1");
}

TEST(KeyHistory, AWriteTakesEffectAfterWhatWasAnsweredBeforeIt) {
  expect_broken(judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), renews(2).at(11, 12).rev(8),
                       made(puts(1, 2, "b"), 7, 2).at(20, 30)}),
                "took effect at revision 7, although revision 8 had been answered");
}

TEST(KeyHistory, VersionsCountEveryWrite) {
  expect_broken(
      judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), made(puts(1, 2, "b"), 7, 3).at(20, 30)}),
      "other versions or names than it makes");
}

TEST(KeyHistory, AnExpectedVersionIsHeldTo) {
  const auto story = [](Said second) {
    return judge({made(puts(1, 1, "a", -1), 5, 1).at(0, 10), std::move(second).at(20, 30)});
  };
  expect_good(story(made(puts(2, 1, "b", 1), 7, 2)));
  expect_good(story(puts(2, 1, "b", 2).rev(7).error("BAD_VERSION")));
  expect_good(story(puts(2, 1, "b", -1).rev(7).error("BAD_VERSION")));
  expect_broken(story(made(puts(2, 1, "b", 2), 7, 2)), "is refused by what there is");
  expect_broken(story(puts(2, 1, "b", 1).rev(7).error("BAD_VERSION")), "which nothing explains");
}

TEST(KeyHistory, ARefusalNeedsAStateThatRefusesWithinItsTime) {
  // Version 1 is overwritten at revision 7; who was refused before that saw another reason.
  const auto story = [](int64_t invoked, int64_t returned, uint64_t revision) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), made(puts(1, 2, "b"), 7, 2).at(50, 60),
                  puts(2, 1, "c", 1).rev(revision).error("BAD_VERSION").at(invoked, returned)});
  };
  expect_good(story(20, 80, 8));
  expect_broken(story(20, 30, 6), "BAD_VERSION, which nothing explains");
}

TEST(KeyHistory, CreateAndRemoveFindWhatThereIs) {
  expect_good(judge(
      {created(creates(1, 1, "/k"), 5, "/k").at(0, 10),
       creates(2, 1, "/k").rev(6).error("KEY_EXISTS").at(11, 20),
       removed(removes(1, 2, 1), 7).at(21, 30), removes(2, 2).rev(8).error("NO_KEY").at(31, 40),
       shows(gets(), 8, {}).at(41, 50), created(creates(2, 3, "/k"), 9, "/k").at(51, 60)}));
  expect_broken(judge({created(creates(1, 1, "/k"), 5, "/k").at(0, 10),
                       created(creates(2, 1, "/k"), 6, "/k").at(11, 20)}),
                "is refused by what there is");
  expect_broken(judge({created(creates(1, 1, "/k"), 5, "/k").at(0, 10),
                       removes(2, 1).rev(6).error("NO_KEY").at(11, 20)}),
                "NO_KEY, which nothing explains");
  expect_broken(judge({creates(2, 1, "/k").rev(6).error("KEY_EXISTS").at(11, 20)}),
                "KEY_EXISTS, which nothing explains");
}

TEST(KeyHistory, ARetryHasTheOutcomeOfItsFirstCopy) {
  const auto story = [](Said retry) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), std::move(retry).at(20, 30)});
  };
  Said later = made(puts(1, 1, "a"), 5, 1);
  later.op.revision = 9;
  expect_good(story(std::move(later)));
  expect_broken(story(made(puts(1, 1, "a"), 9, 2)),
                "a retry of put by c1 (line 1) and got another");
  expect_broken(story(made(puts(1, 1, "b"), 5, 1)), "but other content");
}

TEST(KeyHistory, OneEntryIsOneCommand) {
  expect_broken(judge({made(puts(1, 1, "a"), 5, 1).at(0, 10),
                       made(puts(2, 1, "b", 0, "/other"), 5, 1).at(0, 10)}),
                "revision 5 was given to put by c2 (line 2) and to put by c1 (line 1)");
}

TEST(KeyHistory, WhatWasNeverAnsweredMayHaveHappenedOrNot) {
  const auto story = [](SeenKey seen, uint64_t at, Said last) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), puts(2, 1, "lost").at(11, kNever),
                  shows(gets(), at, {std::move(seen)}).at(20, 30), std::move(last).at(40, 50)});
  };
  expect_good(story(key("a", 1, 5, 5), 8, made(puts(1, 2, "b"), 9, 2)));
  expect_good(story(key("lost", 2, 5, 7), 8, made(puts(1, 2, "b"), 9, 3)));
  // It may come later still, unseen.
  expect_good(story(key("a", 1, 5, 5), 8, made(puts(1, 2, "b"), 10, 3)));
  // Once only, and not before it was sent.
  expect_broken(story(key("lost", 2, 5, 7), 8, made(puts(1, 2, "b"), 10, 4)), "other versions");
  expect_broken(story(key("lost", 2, 5, 4), 8, renews(1).rev(9)), "shows /k created at revision 5");
}

TEST(KeyHistory, ARefusalBeforeApplyHasNoEffect) {
  const auto story = [](std::vector<SeenKey> seen) {
    return judge({puts(1, 1, "a").rev(4).error("NO_LEADER").at(0, 10),
                  shows(gets(), 6, std::move(seen)).at(20, 30),
                  made(puts(2, 1, "b"), 9, 1).at(40, 50)});
  };
  expect_good(story({}));
  EXPECT_FALSE(story({key("a", 1, 5, 5)}).good());
}

TEST(KeyHistory, ATransactionIsDoneWholeOrNotAtAll) {
  const std::vector<KeyCompare> same = {{.target = Target::kValue, .path = "/k", .value = "10"},
                                        {.target = Target::kVersion, .path = "/l", .number = 1}};
  const std::vector<KeyWrite> move = {{.path = "/k", .value = "9"}, {.path = "/l", .value = "1"}};
  const auto story = [&](std::vector<SeenKey> seen) {
    return judge(
        {made(puts(1, 1, "10"), 5, 1).at(0, 10), made(puts(1, 2, "0", 0, "/l"), 6, 1).at(11, 20),
         wrote(transacts(1, 3, same, move), 7, {{.version = 2}, {.version = 2}}).at(21, 30),
         shows(list_keys("/"), 8, std::move(seen)).at(31, 40)});
  };
  expect_good(story({key("9", 2, 5, 7), key("1", 2, 6, 7, "/l")}));
  expect_broken(story({key("9", 2, 5, 7), key("0", 1, 6, 6, "/l")}), "there is '1', version 2");
  expect_broken(story({key("10", 1, 5, 5), key("1", 2, 6, 7, "/l")}), "there is '9', version 2");
}

TEST(KeyHistory, ConditionsAreJudged) {
  const auto story = [](KeyCompare compare, bool holds) {
    compare.path = "/k";
    Said transaction =
        transacts(1, 2, {compare}, {{.path = "/k", .value = "b"}}, {{.path = "/k", .value = "c"}});
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10),
                  (holds ? wrote(std::move(transaction), 7, {{.version = 2}})
                         : failed(std::move(transaction), 7, {{.version = 2}}))
                      .at(20, 30)});
  };
  const auto expect_only = [&](const KeyCompare& compare, bool holds) {
    expect_good(story(compare, holds));
    expect_broken(story(compare, !holds), "it was answered that its conditions");
  };
  expect_only({.target = Target::kExists, .number = 1}, true);
  expect_only({.target = Target::kExists, .relation = Relation::kNotEqual, .number = 1}, false);
  expect_only({.target = Target::kVersion, .relation = Relation::kLess, .number = 2}, true);
  expect_only({.target = Target::kModifyRevision, .number = 5}, true);
  expect_only({.target = Target::kCreateRevision, .relation = Relation::kGreater, .number = 5},
              false);
  expect_only({.target = Target::kValue, .value = "a"}, true);
  expect_only({.target = Target::kValue, .relation = Relation::kNotEqual, .value = "a"}, false);
}

TEST(KeyHistory, AMissingKeyHasVersionZeroAndNoValue) {
  const auto story = [](KeyCompare compare, bool holds) {
    compare.path = "/k";
    Said transaction = transacts(1, 1, {compare}, {{.path = "/k", .value = "b"}});
    return judge({holds ? made(std::move(transaction), 5, 1).at(0, 10)
                        : failed(std::move(transaction), 5).at(0, 10)});
  };
  expect_good(story({.target = Target::kVersion, .number = 0}, true));
  const KeyCompare other = {
      .target = Target::kValue, .relation = Relation::kNotEqual, .value = "a"};
  expect_good(story(other, false));
  EXPECT_FALSE(story(other, true).good());
}

TEST(KeyHistory, AGuardedWriteNeedsItsLock) {
  const auto story = [](Said write) {
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), std::move(write).at(20, 30),
                  releases(1, 3, 5).at(40, 50).rev(7).released()});
  };
  expect_good(story(made(guarded(1, 2, "x", 5), 6, 1)));
  expect_broken(story(guarded(1, 2, "x", 5).rev(6).error("NOT_HELD")),
                "it was refused, but its holder holds the lock");
  // Holder 5 is session 1's.
  expect_good(story(guarded(2, 2, "x", 5).rev(6).error("NOT_HELD")));
  expect_broken(story(made(guarded(2, 2, "x", 5), 6, 1)), "its holder does not hold the lock");
}

TEST(KeyHistory, AGuardedWriteAfterTheReleaseIsRefused) {
  const auto story = [](Said write) {
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                  releases(1, 2, 5).at(20, 30).rev(6).released(), std::move(write).at(40, 50)});
  };
  expect_good(story(guarded(1, 3, "x", 5).rev(7).error("NOT_HELD")));
  expect_broken(story(made(guarded(1, 3, "x", 5), 7, 1)), "its holder does not hold the lock");
}

TEST(KeyHistory, ARetryOfAGuardedWriteIsAnsweredFromAnyServer) {
  // Its first copy was applied at revision 6; the server that answers the retry has come to 7.
  const auto story = [](int64_t first_sent) {
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                  guarded(2, 2, "x", 5).at(first_sent, kNever), renews(1).at(30, 40).rev(9),
                  guarded(2, 2, "x", 5).rev(7).error("NOT_HELD").at(50, 60)});
  };
  expect_good(story(20));
  expect_broken(story(45), "although revision 9 had been answered");
}

TEST(KeyHistory, ATransactionMayAskWhetherALockIsHeld) {
  const std::vector<KeyCompare> holds = {{.target = Target::kHolds, .path = "/a", .number = 5}};
  const auto story = [&](bool done, bool held) {
    Said transaction = transacts(1, 3, holds, {{.path = "/k", .value = "x"}});
    Said second = held ? checks(5).rev(6).current(true, 5) : releases(1, 2, 5).rev(6).released();
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5), std::move(second).at(20, 30),
                  (done ? made(std::move(transaction), 7, 1) : failed(std::move(transaction), 7))
                      .at(40, 50)});
  };
  expect_good(story(true, true));
  expect_good(story(false, false));
  expect_broken(story(true, false), "its holder does not hold the lock");
  EXPECT_FALSE(story(false, true).good());
}

TEST(KeyHistory, EphemeralKeysGoWithTheirSession) {
  const auto story = [](std::vector<SeenKey> seen) {
    return judge({created(creates(1, 1, "/p/1", true), 5, "/p/1").at(0, 10),
                  created(creates(2, 1, "/p/2", true), 6, "/p/2").at(11, 20),
                  closes(1).at(21, 30).rev(8),
                  shows(list_keys("/p"), 9, std::move(seen)).at(31, 40)});
  };
  expect_good(story({key("made", 1, 6, 6, "/p/2", 2)}));
  expect_broken(story({key("made", 1, 5, 5, "/p/1", 1), key("made", 1, 6, 6, "/p/2", 2)}),
                "session 1 had ended by revision 8");
  expect_broken(story({key("made", 1, 6, 6, "/p/2", 3)}), "but there is 'made'");
}

TEST(KeyHistory, AnEphemeralKeyOfALivingSessionStays) {
  const auto story = [](Said last) {
    return judge({created(creates(1, 1, "/p/1", true), 5, "/p/1").at(0, 10),
                  shows(gets("/p/1"), 9, {}).at(31, 40), std::move(last).at(50, 60)});
  };
  expect_good(story(renews(1).rev(12).error("SESSION_EXPIRED")));
  expect_broken(story(renews(1).rev(12)), "it shows no key, but there is 'made'");
}

TEST(KeyHistory, KeysAndLocksOfASessionGoInOneEntry) {
  // The lock's last tenure says at which.
  const auto story = [](uint64_t at, std::vector<SeenKey> seen) {
    return judge({acquires(1, 1).at(0, 10).rev(5).granted(5, 5),
                  created(creates(1, 2, "/p/1", true), 6, "/p/1").at(11, 20),
                  shows(gets("/p/1"), at, std::move(seen)).at(21, 90),
                  describes().at(91, 99).rev(12).shows(
                      {}, {}, {{5, 1, 5, "", 9, EndReason::kSessionExpired}})});
  };
  expect_good(story(8, {key("made", 1, 6, 6, "/p/1", 1)}));
  expect_good(story(9, {}));
  expect_broken(story(8, {}), "it shows no key, but there is 'made'");
  expect_broken(story(9, {key("made", 1, 6, 6, "/p/1", 1)}), "session 1 had ended by revision 9");
}

constexpr char kFirst[] = "/q/n-00000000000000000001", kSecond[] = "/q/m-00000000000000000002";

TEST(KeyHistory, SequentialNamesGrow) {
  const auto story = [](const std::string& first, const std::string& second) {
    return judge({created(creates(1, 1, "/q/n-", false, true), 5, first).at(0, 10),
                  created(creates(2, 1, "/q/m-", false, true), 6, second).at(20, 30)});
  };
  expect_good(story(kFirst, kSecond));
  expect_broken(story("/q/n-00000000000000000002", kSecond), "has a number that is not greater");
  expect_broken(story("/q/n-00000000000000000003", kSecond), "has a number that is not greater");
}

TEST(KeyHistory, AnUnansweredSequentialKeyIsRecognisedInAList) {
  const auto story = [](std::vector<SeenKey> seen) {
    return judge({creates(1, 1, "/q/n-", false, true).at(0, kNever),
                  created(creates(2, 1, "/q/m-", false, true), 6, kSecond).at(20, 30),
                  shows(list_keys("/q"), 8, std::move(seen)).at(40, 50)});
  };
  expect_good(story({key("made", 1, 6, 6, kSecond)}));
  expect_good(story({key("made", 1, 6, 6, kSecond), key("made", 1, 5, 5, kFirst)}));
  expect_broken(story({key("made", 1, 6, 6, kSecond), key("made", 1, 7, 7, kFirst)}),
                "has a number that is not greater");
  expect_broken(story({key("made", 1, 6, 6, kSecond), key("made", 1, 5, 5, "/q/x")}),
                "which nobody has written");
}

TEST(KeyHistory, ARemovedSubtreeIsGoneWhole) {
  const auto story = [](std::vector<SeenKey> seen) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10),
                  made(puts(1, 2, "b", 0, "/k/below"), 6, 1).at(11, 20),
                  removed(removes(1, 3, 0, true), 7, 2).at(21, 30),
                  shows(gets("/k/below"), 8, std::move(seen)).at(31, 40)});
  };
  expect_good(story({}));
  expect_broken(story({key("b", 1, 6, 6, "/k/below")}), "but there is no such key");
}

TEST(KeyHistory, AListLeavesNothingOut) {
  const auto story = [](Said list, std::vector<SeenKey> seen) {
    return judge({made(puts(1, 1, "a", 0, "/d/1"), 5, 1).at(0, 10),
                  made(puts(1, 2, "b", 0, "/d/2"), 6, 1).at(11, 20),
                  shows(std::move(list), 6, std::move(seen)).at(31, 40)});
  };
  const SeenKey one = key("a", 1, 5, 5, "/d/1"), two = key("b", 1, 6, 6, "/d/2");
  expect_good(story(list_keys("/d"), {one, two}));
  expect_broken(story(list_keys("/d"), {one}), "it shows no key, but there is 'b'");
  Said page = list_keys("/d");
  page.op.answer.next_page = "/d/1";
  expect_good(story(std::move(page), {one}));
  expect_good(story(list_keys("/"), {}));
  Said subtree = list_keys("/");
  subtree.op.arguments.subtree = true;
  expect_broken(story(std::move(subtree), {one}), "it shows no key, but there is 'b'");
}

TEST(KeyHistory, ACommandOfAnEndedSessionIsNotApplied) {
  expect_broken(judge({created(creates(1, 1, "/k", true), 5, "/k").at(0, 10),
                       closes(1).at(11, 40).rev(8), made(puts(1, 2, "b"), 9, 2).at(12, 40)}),
                "session 1 had ended by revision 8");
}

TEST(KeyHistory, AnExhaustedBudgetIsUndecidedAndNoSuccess) {
  const Verdict verdict =
      judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), puts(2, 1, "x").at(0, kNever),
             puts(3, 1, "y").at(0, kNever), made(puts(1, 2, "b"), 7, 9).at(20, 30)},
            1);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kUndecided);
}

}  // namespace
}  // namespace holdfast::history
