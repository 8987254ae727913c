// What nobody was answered in histories of keys, and what only a part of an answer tells.
#include "tests/unit/history/expect.h"
#include "tests/unit/history/key_story.h"

namespace holdfast::history {
namespace {

Said lost(Said said) { return std::move(said).at(0, kNever); }
Said without_session(Said said) {
  said.op.arguments.session = said.op.arguments.sequence = 0;
  return said;
}

TEST(KeyReads, ALocalReadIsNoOlderThanItAskedFor) {
  const auto story = [](uint64_t least) {
    Said read = gets();
    read.op.arguments.local = true;
    read.op.arguments.min_revision = least;
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), made(puts(1, 2, "b"), 6, 2).at(11, 20),
                  shows(std::move(read), 5, {key("a", 1, 5, 5)}).at(30, 40)});
  };
  expect_good(story(5));
  expect_broken(story(6), "asked for one no older than revision 6");
}

TEST(KeyReads, APageLeavesNothingOutThatBelongsToIt) {
  const auto story = [](const std::string& from, const std::string& to) {
    Said page = list_keys("/");
    page.op.arguments.page = from;
    page.op.answer.next_page = to;
    return judge({made(puts(1, 1, "a", 0, "/k"), 5, 1).at(0, 10),
                  made(puts(1, 2, "b", 0, "/k!"), 6, 1).at(11, 20),
                  shows(std::move(page), 6, {}).at(30, 40)});
  };
  expect_broken(story("", "/k"), "it shows no key");
  expect_broken(story("/k", ""), "it shows no key");
  expect_broken(story("/k", "/l"), "it shows no key");
  expect_good(story("/k!", ""));
  expect_good(story("/k!", "/l"));
}

TEST(KeyLost, AReadTellsThatATransactionDidOtherwise) {
  const auto story = [](const std::string& value) {
    return judge(
        {lost(transacts(1, 1, {{.target = Target::kHolds, .path = "/a", .number = 4}},
                        {{.path = "/k", .value = "then"}}, {{.path = "/l", .value = "else"}})),
         made(puts(2, 1, "x", 0, "/l"), 9, 2).at(20, 30),
         shows(gets("/l"), 8, {key(value, 1, 5, 5, "/l")}).at(10, 19)});
  };
  expect_good(story("else"));
  EXPECT_FALSE(story("then").good());
}

TEST(KeyLost, WhatNeedsASessionIsNeverDoneWithoutOne) {
  const auto story = [](Said write) {
    return judge({lost(without_session(std::move(write))),
                  shows(gets(), 8, {key("v", 1, 5, 5)}).at(10, 19)});
  };
  const KeyWrite plain = {.act = KeyAct::kCreate, .path = "/k", .value = "v"};
  KeyWrite ephemeral = plain, guarded = plain;
  ephemeral.ephemeral = true;
  guarded.guard_path = "/a";
  expect_good(story(writes(Call::kCreate, 1, 1, {plain})));
  EXPECT_FALSE(story(writes(Call::kCreate, 1, 1, {ephemeral})).good());
  EXPECT_FALSE(story(writes(Call::kCreate, 1, 1, {guarded})).good());
  EXPECT_FALSE(
      story(transacts(1, 1, {{.target = Target::kHolds, .path = "/a", .number = 4}}, {plain}))
          .good());
}

// Only the last read tells that one of the lost writes made the parent: what came in between went
// well either way.
TEST(KeyLost, WhatMadeAParentIsKnownWhereItWasMade) {
  const auto with_parents = [](uint64_t sequence, const std::string& path) {
    Said put = puts(1, sequence, "v", 0, path);
    put.op.arguments.writes[0].make_parents = true;
    return put;
  };
  const Verdict verdict = judge(
      {lost(with_parents(1, "/k/1")), lost(with_parents(2, "/k/2")), lost(with_parents(3, "/k/3")),
       lost(with_parents(4, "/k/4")), lost(with_parents(5, "/k/5")), lost(with_parents(6, "/k/6")),
       made(with_parents(20, "/k/a"), 18, 1).at(10, 20), made(puts(1, 21, "w"), 19, 2).at(30, 40),
       shows(gets(), 19, {key("w", 2, 9, 19)}).at(50, 60)});
  expect_good(verdict);
  EXPECT_LT(verdict.steps, 50u);
}

TEST(KeyLost, KeysWithoutOwnerStayWhenAWriteWithoutSessionWasLost) {
  expect_broken(
      judge({lost(without_session(creates(1, 1, "/e", true))),
             made(puts(1, 2, "a", 0, "/e"), 5, 1).at(0, 10), shows(gets("/e"), 8, {}).at(20, 30)}),
      "it shows no key");
}

// What nobody was told of its session is told by another key: the end came before that, and what
// was lost before the end.
TEST(KeyLost, AWriteMayHaveBeenDoneBeforeAnEndThatAnotherKeyTellsOf) {
  const KeyWrite plain = {.act = KeyAct::kCreate, .path = "/k", .value = "v"};
  const KeyWrite owned = {.act = KeyAct::kCreate, .path = "/e", .value = "v", .ephemeral = true};
  const auto story = [&](int64_t sent) {
    Said both = transacts(1, 1, {}, {plain, owned});
    Said gone = removes(2, 1);
    gone.op.arguments.writes[0].path = "/e";
    return judge(
        {wrote(std::move(both), 5, {{.path = "/k", .version = 1}, {.path = "/e", .version = 1}})
             .at(0, 10),
         removes(1, 2).at(sent, kNever), std::move(gone).at(20, 30).rev(8).error("NO_KEY"),
         shows(gets(), 9, {}).at(40, 50)});
  };
  expect_good(story(15));
  EXPECT_FALSE(story(35).good());
}

TEST(KeyLost, AMissingParentExplainsARefusedSequentialKey) {
  const KeyCompare always = {.target = Target::kModifyRevision,
                             .relation = Relation::kNotEqual,
                             .path = "/k",
                             .number = 77};
  const KeyWrite below = {.act = KeyAct::kCreate, .path = "/k/s", .value = "v", .sequential = true};
  const auto story = [&](bool parent) {
    return judge({made(puts(1, 1, "a"), 5, 1).at(0, 10),
                  parent ? shows(gets(), 6, {key("a", 1, 5, 5)}).at(11, 12)
                         : removed(removes(1, 2), 6).at(11, 12),
                  removes(3, 1, 7).at(11, 20).rev(6).error(parent ? "BAD_VERSION" : "NO_KEY"),
                  transacts(2, 1, {always}, {below}).at(30, 40).rev(9).error("NO_KEY")});
  };
  expect_good(story(false));
  EXPECT_FALSE(story(true).good());
}

TEST(KeyLost, WhetherItsLockWasHeldARefusedTransactionDoesNotSay) {
  expect_good(judge({made(puts(1, 1, "a"), 5, 1).at(0, 10), removed(removes(1, 2), 6).at(11, 20),
                     transacts(2, 1, {{.target = Target::kHolds, .path = "/a", .number = 4}},
                               {{.path = "/l", .value = "v"}}, {{.path = "/k/below", .value = "v"}})
                         .at(30, 40)
                         .rev(9)
                         .error("NO_KEY")}));
}

TEST(KeyLost, AnEphemeralKeyHasNoChildren) {
  expect_broken(judge({created(creates(1, 1, "/k", true), 5, "/k").at(0, 10),
                       lost(puts(2, 1, "v", 0, "/k/x")),
                       shows(gets("/k/x"), 9, {key("v", 1, 7, 7, "/k/x")}).at(20, 30),
                       shows(gets(), 9, {key("made", 1, 5, 5, "/k", 1)}).at(20, 30),
                       removed(removes(3, 1), 12).at(40, 50)}),
                "no order");
}

}  // namespace
}  // namespace holdfast::history
