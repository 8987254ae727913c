// What the log of a simulated cluster says is followed by the search, and believed by nobody.
#include "tests/unit/history/expect.h"
#include "tests/unit/history/key_story.h"

namespace holdfast::history {
namespace {

Said lost(Said said, int64_t sent = 0) { return std::move(said).at(sent, kNever); }

Course::Write at_revision(uint64_t revision) {
  Course::Write write;
  write.revision = revision;
  return write;
}

Verdict judge_along(std::initializer_list<Said> story, Course course) {
  History history;
  for (const Said& said : story) EXPECT_EQ(history.record(said.op), std::nullopt);
  history.follow(std::move(course));
  return check(history);
}

TEST(Course, WhatIsInTheLogWasDoneThereAndWhatIsNotWasNotDone) {
  const auto story = [](Course course) {
    return judge_along({lost(puts(1, 1, "a")), shows(gets(), 4, {}).at(1, 2),
                        shows(gets(), 8, {key("a", 1, 5, 5)}).at(10, 20)},
                       std::move(course));
  };
  expect_good(story({.writes = {{1, at_revision(5)}}}));
  expect_broken(story({.writes = {{1, at_revision(4)}}}), "it shows no key");
  expect_broken(story({.writes = {{1, at_revision(6)}}}), "no such key");
  EXPECT_FALSE(story({}).good());
}

TEST(Course, NothingIsDoneBeforeItWasSent) {
  const auto story = [](uint64_t revision) {
    return judge_along({made(puts(1, 1, "a"), 5, 1).at(0, 10), lost(puts(1, 2, "b"), 20),
                        made(puts(2, 1, "c"), 9, 3).at(30, 40)},
                       {.writes = {{2, at_revision(revision)}}});
  };
  expect_good(story(6));
  expect_broken(story(5), "is in the log at revision 5");
}

TEST(Course, TheModelRefusesWhatIsNotAllowed) {
  const auto story = [](int64_t expected) {
    return judge_along({made(puts(1, 1, "a"), 5, 1).at(0, 10), lost(puts(1, 2, "b", expected)),
                        shows(gets(), 9, {key("b", 2, 5, 7)}).at(30, 40)},
                       {.writes = {{2, at_revision(7)}}});
  };
  expect_good(story(1));
  expect_broken(story(-1), "is refused by what there is");
}

TEST(Course, ASessionEndsWhereTheLogSaysSoAndWritesNothingAfterThat) {
  const auto story = [](uint64_t end, uint64_t lost_write) {
    return judge_along({created(creates(1, 1, "/k", true), 5, "/k").at(0, 10),
                        lost(puts(1, 2, "w", 0, "/k")), shows(gets(), 9, {}).at(30, 40)},
                       {.writes = {{2, at_revision(lost_write)}}, .session_ends = {{1, end}}});
  };
  expect_good(story(8, 7));
  expect_broken(story(7, 8), "had ended");
  expect_broken(story(10, 7), "it shows no key");
}

TEST(Course, AnEndThatSomebodyWasToldOfIsInTheLogByThen) {
  const auto story = [](Course course) {
    return judge_along(
        {created(creates(1, 1, "/k", true), 5, "/k").at(0, 10),
         said(Call::kRenew, {.session = 1}).at(20, 30).rev(8).error("SESSION_EXPIRED"),
         shows(gets(), 9, {}).at(31, 40)},
        std::move(course));
  };
  expect_good(story({.session_ends = {{1, 8}}}));
  expect_broken(story({.session_ends = {{1, 9}}}), "must have ended by now");
  expect_broken(story({}), "must have ended by now");
}

TEST(Course, AKeyEndsByItselfWhereTheLogSaysSoAndNotTooSoon) {
  const auto story = [](int64_t moment) {
    Said create = created(creates(1, 1, "/k"), 5, "/k").at(0, 10);
    create.op.arguments.writes[0].ttl_ms = 1'000;
    return judge_along({std::move(create), shows(gets(), 9, {}).at(2'000'000'000, 2'000'000'001)},
                       {.key_ends = {{"/k", 7, moment}}});
  };
  expect_good(story(750'000'000));
  expect_broken(story(749'999'999), "it ended by itself");
}

TEST(Course, ASequentialKeyThatNobodyWasToldOfHasTheNameThatTheLogGaveIt) {
  const std::string name = "/k/n00000000000000000007";
  const auto story = [&](const std::string& listed) {
    return judge_along(
        {made(puts(1, 1, "a"), 5, 1).at(0, 10), lost(creates(1, 2, "/k/n", false, true)),
         shows(list_keys("/k"), 9, {key("made", 1, 7, 7, listed)}).at(30, 40)},
        {.writes = {{2, {.revision = 7, .created = {name}}}}});
  };
  expect_good(story(name));
  EXPECT_FALSE(story("/k/n00000000000000000008").good());
}

TEST(Course, CallsThatShareEntriesAreAtTheirRevisionsAndNoOther) {
  const auto copy = [] {
    Said put = puts(0, 0, "a");
    return lost(std::move(put));
  };
  const auto story = [&](uint64_t created_at, uint64_t written_at) {
    const Course::Write both = {.shared = {5, 7}};
    return judge_along(
        {copy(), copy(), shows(gets(), 9, {key("a", 2, created_at, written_at)}).at(30, 40)},
        {.writes = {{1, both}, {2, both}}});
  };
  expect_good(story(5, 7));
  EXPECT_FALSE(story(5, 8).good());
  EXPECT_FALSE(story(4, 7).good());
}

// Without the log there would be as many orders as there are subsets.
TEST(Course, ManyLostWritesTakeAStepEach) {
  History history;
  Course course;
  constexpr uint64_t kMany = 400;
  for (uint64_t i = 1; i <= kMany; ++i) {
    ASSERT_EQ(history.record(lost(puts(1, i, "same")).op), std::nullopt);
    course.writes[i] = at_revision(10 + i);
  }
  const SeenKey last = key("same", kMany, 11, 10 + kMany);
  ASSERT_EQ(history.record(shows(gets(), 1'000, {last}).at(30, 40).op), std::nullopt);
  history.follow(std::move(course));
  const Verdict verdict = check(history);
  expect_good(verdict);
  EXPECT_LT(verdict.steps, 2 * kMany);
}

}  // namespace
}  // namespace holdfast::history
