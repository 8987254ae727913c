// Histories of keys that end by themselves, and of parents: each rule of docs/keys.md, Kinds and
// Writing, with a history that keeps it and one that breaks it.
#include "tests/unit/history/expect.h"
#include "tests/unit/history/key_story.h"

namespace holdfast::history {
namespace {

constexpr int64_t kMs = 1'000'000;

Said creates_with_ttl(uint64_t sequence, const std::string& path) {
  Said create = creates(1, sequence, path);
  create.op.arguments.writes[0].ttl_ms = 1'000;
  return create;
}
Said creates_container(uint64_t sequence, const std::string& path) {
  Said create = creates(1, sequence, path);
  create.op.arguments.writes[0].container = true;
  return create;
}
Said removes_key(uint64_t session, uint64_t sequence, const std::string& path) {
  Said remove = removes(session, sequence);
  remove.op.arguments.writes[0].path = path;
  return remove;
}
Said puts_with_parents(uint64_t sequence, const std::string& path) {
  Said put = puts(1, sequence, "v", 0, path);
  put.op.arguments.writes[0].make_parents = true;
  return put;
}
Said finds_nothing(const std::string& path, uint64_t revision) {
  return shows(gets(path), revision, {});
}

// ---- parents --------------------------------------------------------------------------------

TEST(KeyKinds, AKeyThatWasMadeAlongWithOneBelowItIsWrittenAndReadAsAnyOther) {
  const auto story = [](uint64_t parent_made, uint64_t version) {
    return judge({made(puts_with_parents(1, "/k/a"), 5, 1).at(0, 10),
                  shows(gets(), 6, {key("", 1, parent_made, parent_made)}).at(20, 30),
                  made(puts(1, 2, "w"), 7, version).at(40, 50)});
  };
  expect_good(story(5, 2));
  expect_broken(story(4, 2), "it shows");
  expect_broken(story(5, 1), "other versions");
}

// ---- TTL ------------------------------------------------------------------------------------

TEST(KeyKinds, AKeyWithATtlEndsWhenThatHasPassedAndNotBefore) {
  const auto story = [](int64_t seen_at) {
    return judge({created(creates_with_ttl(1, "/t"), 5, "/t").at(0, 10),
                  finds_nothing("/t", 8).at(seen_at - 10, seen_at)});
  };
  expect_good(story(5'000 * kMs));
  expect_good(story(760 * kMs));
  expect_broken(story(700 * kMs), "it shows no key, but there is 'made'");
}

TEST(KeyKinds, AWriteBeginsTheTtlAnew) {
  const auto story = [](int64_t seen_at) {
    return judge({created(creates_with_ttl(1, "/t"), 5, "/t").at(0, 10),
                  made(puts(1, 2, "v", 1, "/t"), 6, 2).at(600 * kMs, 601 * kMs),
                  finds_nothing("/t", 8).at(seen_at - 10, seen_at)});
  };
  expect_good(story(1'400 * kMs));
  expect_broken(story(1'200 * kMs), "it shows no key, but there is 'v', version 2");
}

TEST(KeyKinds, OnlyAKeyWithATtlEndsByItself) {
  expect_broken(judge({created(creates(1, 1, "/t"), 5, "/t").at(0, 10),
                       finds_nothing("/t", 8).at(5'000 * kMs, 5'001 * kMs)}),
                "it shows no key, but there is 'made'");
}

TEST(KeyKinds, AKeyWithATtlStaysWhileItHasChildren) {
  const auto story = [](Said last) {
    return judge({created(creates_with_ttl(1, "/t"), 5, "/t").at(0, 10),
                  created(creates(1, 2, "/t/x"), 6, "/t/x").at(11, 20), std::move(last),
                  finds_nothing("/t", 9).at(5'000 * kMs, 5'001 * kMs)});
  };
  expect_good(story(removed(removes_key(1, 3, "/t/x"), 7).at(21, 30)));
  expect_broken(story(renews(1).rev(7).at(21, 30)), "it shows no key, but there is 'made'");
}

TEST(KeyKinds, WhatEndedMayBeMadeAgainAndEndAgain) {
  expect_good(judge({created(creates_with_ttl(1, "/t"), 5, "/t").at(0, 10),
                     created(creates_with_ttl(2, "/t"), 7, "/t").at(2'000 * kMs, 2'001 * kMs),
                     removes_key(2, 1, "/t").rev(9).error("NO_KEY").at(4'000 * kMs, 4'001 * kMs)}));
}

TEST(KeyKinds, APutBringsBackAnEndedKeyAsAPersistentOne) {
  expect_broken(judge({created(creates_with_ttl(1, "/t"), 5, "/t").at(0, 10),
                       made(puts(1, 2, "v", 0, "/t"), 7, 1).at(2'000 * kMs, 2'001 * kMs),
                       finds_nothing("/t", 9).at(9'000 * kMs, 9'001 * kMs)}),
                "it shows no key, but there is 'v', version 1");
}

// ---- containers -----------------------------------------------------------------------------

TEST(KeyKinds, AContainerEndsAfterItsLastChildInALaterEntry) {
  const auto story = [](uint64_t seen_at) {
    return judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
                  created(creates(1, 2, "/c/x"), 6, "/c/x").at(11, 20),
                  removed(removes_key(1, 3, "/c/x"), 7).at(21, 30),
                  finds_nothing("/c", seen_at).at(21, 50)});
  };
  expect_good(story(8));
  expect_broken(story(7), "it shows no key, but there is 'made'");
  expect_broken(story(6), "it shows no key, but there is 'made'");
}

TEST(KeyKinds, AContainerThatNeverHadAChildStays) {
  expect_broken(judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
                       finds_nothing("/c", 8).at(11, 20)}),
                "it shows no key, but there is 'made', version 1");
}

TEST(KeyKinds, AContainerWhoseLastChildIsReplacedStays) {
  Said replaces = transacts(1, 3, {},
                            {{.act = KeyAct::kRemove, .path = "/c/x"},
                             {.act = KeyAct::kCreate, .path = "/c/y", .value = "made"}});
  expect_broken(
      judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
             created(creates(1, 2, "/c/x"), 6, "/c/x").at(11, 20),
             wrote(std::move(replaces), 7, {{.removed = 1}, {.path = "/c/y", .version = 1}})
                 .at(21, 30),
             finds_nothing("/c", 9).at(31, 40)}),
      "it shows no key, but there is 'made', version 1");
}

TEST(KeyKinds, AContainerEndsAfterAChildThatEndedByItself) {
  const auto story = [](uint64_t seen_at) {
    return judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
                  created(creates(7, 2, "/c/x", true), 6, "/c/x").at(11, 20),
                  closes(7).rev(8).at(21, 30), finds_nothing("/c", seen_at).at(31, 40)});
  };
  expect_good(story(9));
  expect_broken(judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
                       created(creates(7, 2, "/c/x", true), 6, "/c/x").at(11, 20),
                       renews(7).rev(8).at(21, 30), finds_nothing("/c", 8).at(22, 40),
                       shows(gets("/c/x"), 9, {key("made", 1, 6, 6, "/c/x", 7)}).at(41, 50)}),
                "there is");
}

TEST(KeyKinds, AChildMayFindItsContainerGone) {
  const auto story = [](Said before) {
    return judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
                  created(creates(1, 2, "/c/x"), 6, "/c/x").at(11, 20), std::move(before),
                  creates(1, 4, "/c/y").rev(9).error("NO_KEY").at(31, 40)});
  };
  expect_good(story(removed(removes_key(1, 3, "/c/x"), 7).at(21, 30)));
  expect_broken(story(renews(1).rev(7).at(21, 30)), "NO_KEY, which nothing explains");
}

TEST(KeyKinds, AChildMayFindItsContainerGoneAfterOneBesideItEndedByItself) {
  const auto story = [](int64_t refused_at) {
    return judge({created(creates_container(1, "/c"), 5, "/c").at(0, 10),
                  created(creates_with_ttl(2, "/c/x"), 6, "/c/x").at(11, 20),
                  creates(1, 3, "/c/y").rev(9).error("NO_KEY").at(refused_at - 10, refused_at)});
  };
  expect_good(story(1'000 * kMs));
  expect_broken(story(500 * kMs), "NO_KEY, which nothing explains");
}

// ---- parents --------------------------------------------------------------------------------

TEST(KeyKinds, ARemoveIsRefusedAsLongAsThereIsAChild) {
  const auto story = [](Said child, uint64_t revision) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), std::move(child),
                  removes(2, 1).rev(revision).error("NOT_EMPTY").at(31, 40)});
  };
  expect_good(story(made(puts(1, 2, "b", 0, "/k/x"), 6, 1).at(11, 20), 8));
  expect_good(story(puts(1, 2, "b", 0, "/k/x").at(11, kNever), 8));
  expect_good(story(creates(1, 2, "/k/n-", false, true).at(11, kNever), 8));
  expect_broken(story(renews(1).rev(6).at(11, 20), 8), "NOT_EMPTY, which nothing explains");
  expect_broken(story(made(puts(1, 2, "b", 0, "/other"), 6, 1).at(11, 20), 8),
                "NOT_EMPTY, which nothing explains");
}

TEST(KeyKinds, AKeyWithAChildIsNotRemovedAlone) {
  expect_broken(judge({made(puts(1, 1, "a"), 5, 1).at(0, 10),
                       made(puts(1, 2, "b", 0, "/k/x"), 6, 1).at(11, 20),
                       removed(removes(2, 1), 7).at(21, 30)}),
                "is refused by what there is");
}

TEST(KeyKinds, AParentThatWasMadeAlongIsAChildToo) {
  const auto story = [](Said last) {
    return judge({made(puts_with_parents(1, "/k/a/b"), 5, 1).at(0, 10),
                  removed(removes_key(1, 2, "/k/a/b"), 6).at(11, 20), std::move(last)});
  };
  expect_good(story(removes(2, 1).rev(7).error("NOT_EMPTY").at(21, 30)));
  expect_broken(story(removed(removes(2, 1), 7).at(21, 30)), "is refused by what there is");
}

TEST(KeyKinds, AKeyIsNotMadeBelowOneThatWasRemoved) {
  expect_broken(judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), removed(removes(1, 2), 6).at(11, 20),
                       made(puts(1, 3, "b", 0, "/k/x"), 7, 1).at(21, 30)}),
                "is refused by what there is");
}

}  // namespace
}  // namespace holdfast::history
