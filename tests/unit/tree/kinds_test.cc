// What ends a key by itself, and the numbers of sequential ones.
#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Kinds = KeyTreeTest;

// ---- ephemeral ------------------------------------------------------------------------------

TEST_F(Kinds, EphemeralKeysGoInTheEntryThatEndsTheirSession) {
  run(put("/m"));
  run(ephemeral("/m/z", 7));
  run(ephemeral("/m/a", 7));
  run(ephemeral("/m/b", 8));
  run(ephemeral("/m/c", 9));
  run(put("/m/p"));
  EXPECT_EQ(stat("/m/z").ephemeral_owner, SessionId(7));
  EXPECT_EQ(tree().ephemerals_of(SessionId(7)), 2u);
  EXPECT_EQ(tree().ephemeral_count(), 4u);
  EXPECT_THAT(tree().sessions(), ElementsAre(SessionId(7), SessionId(8), SessionId(9)));
  end({8, 7, 5});
  EXPECT_THAT(events_,
              ElementsAre("removed /m/b v1: session ended", "removed /m/z v1: session ended",
                          "removed /m/a v1: session ended"));
  EXPECT_THAT(below("/m"), ElementsAre("/m/c", "/m/p"));
  EXPECT_EQ(tree().ephemerals_of(SessionId(7)), 0u);
}

TEST_F(Kinds, AnEphemeralKeyHasNoChildrenAndNeedsASession) {
  run(ephemeral("/e", 7));
  EXPECT_EQ(try_run(put("/e/child")), ErrorCode::kBadArgument);
  EXPECT_EQ(message(), "key /e is ephemeral: it has no children");
  EXPECT_EQ(try_run(with_parents(put("/e/way/down"))), ErrorCode::kBadArgument);
  EXPECT_EQ(try_run(ephemeral("/f", 0)), ErrorCode::kBadArgument);
}

TEST_F(Kinds, AnEphemeralKeyKeepsItsOwnerWhoeverWritesIt) {
  run(ephemeral("/e", 7));
  run(put("/e", "by another"));
  EXPECT_EQ(stat("/e").ephemeral_owner, SessionId(7));
  EXPECT_EQ(stat("/e").kind, KeyKind::kEphemeral);
}

TEST_F(Kinds, EphemeralKeysOfASessionAreLimited) {
  limits_.ephemerals_of_a_session = 2;
  run({ephemeral("/a", 7), ephemeral("/b", 7)});
  EXPECT_EQ(try_run(ephemeral("/c", 7)), ErrorCode::kLimitExceeded);
  EXPECT_EQ(message(), "ephemeral keys of session 7: 3, the limit is 2");
  run(ephemeral("/c", 8));
  run(remove("/a"));
  run(ephemeral("/d", 7));
}

// ---- sequential -----------------------------------------------------------------------------

TEST_F(Kinds, SequentialNamesAscendByOneWithinTheirParent) {
  run(put("/q"));
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 3; ++i) {
    run(sequential(i == 1 ? ephemeral("/q/job-", 7) : create("/q/job-")));
    ASSERT_EQ(path_.size(), std::string("/q/job-").size() + 20);
    numbers.push_back(std::stoull(path_.substr(7)));
    EXPECT_TRUE(exists(path_));
  }
  run(sequential(create("/q/other-")));  // the counter is the parent's, not the name's
  numbers.push_back(std::stoull(path_.substr(9)));
  EXPECT_THAT(numbers, ElementsAre(numbers[0], numbers[0] + 1, numbers[0] + 2, numbers[0] + 3));
  EXPECT_EQ(below("/q").size(), 4u);
}

TEST_F(Kinds, ANumberIsNeverUsedAgainWhileTheParentExists) {
  run(put("/q"));
  run(sequential(create("/q/j")));
  const std::string first = path_;
  run(remove(first));
  reload();
  run(sequential(create("/q/j")));
  EXPECT_GT(path_, first);
}

TEST_F(Kinds, ANumberIsNotUsedAgainByAParentOfTheSamePathEither) {
  run(put("/q"));
  std::string last;
  for (int i = 0; i < 50; ++i) {
    run(sequential(create("/q/j")));
    EXPECT_GT(path_, last);
    last = path_;
  }
  run(remove_all("/q"));
  reload();
  run(with_parents(sequential(create("/q/j"))));
  EXPECT_GT(path_, last);
  last = path_;
  // All in one entry: the number of the second parent is above all that the first one gave out.
  run({remove_all("/q"), put("/q"), sequential(create("/q/j")), sequential(create("/q/j")),
       remove_all("/q"), put("/q"), sequential(create("/q/j"))});
  EXPECT_GT(outcomes_[2].path, last);
  EXPECT_GT(outcomes_[3].path, outcomes_[2].path);
  EXPECT_GT(outcomes_[6].path, outcomes_[3].path);
}

TEST_F(Kinds, ANumberOfAFailedTransactionIsGivenOutLater) {
  run(put("/q"));
  run(sequential(create("/q/j")));
  const uint64_t number = std::stoull(path_.substr(4));
  EXPECT_EQ(try_run({sequential(create("/q/j")), remove("/none")}), ErrorCode::kNoKey);
  run(sequential(create("/q/j")));
  EXPECT_EQ(std::stoull(path_.substr(4)), number + 1);
}

TEST_F(Kinds, ASequentialNameThatIsTakenIsRefused) {
  run(sequential(create("/j")));
  const std::string number = std::to_string(std::stoull(path_.substr(2)) + 1);
  const std::string taken = "/j" + std::string(20 - number.size(), '0') + number;
  run(put(taken));
  EXPECT_EQ(try_run(sequential(create("/j"))), ErrorCode::kKeyExists);
  EXPECT_EQ(message(), "key " + taken + " exists");
}

TEST_F(Kinds, ANumberCountsForTheLengthOfThePath) {
  limits_.path_bytes = 24;
  run(sequential(create("/abc")));
  EXPECT_EQ(try_run(sequential(create("/abcd"))), ErrorCode::kTooLarge);
  EXPECT_THAT(message(), ::testing::HasSubstr("has 25 bytes with its number, the limit is 24"));
}

// ---- container ------------------------------------------------------------------------------

TEST_F(Kinds, AContainerGoesAfterItsLastChildButNotInTheSameEntry) {
  run(container("/c"));
  EXPECT_EQ(tree().next_due_ms(), std::nullopt) << "it never had a child";
  tick_at(now_ms_ + 1'000'000);
  EXPECT_TRUE(exists("/c"));
  run({put("/c/a"), put("/c/b")});
  run(remove("/c/a"));
  EXPECT_EQ(tree().next_due_ms(), std::nullopt);
  run(remove("/c/b"));
  EXPECT_EQ(tree().next_due_ms(), now_ms_ + 1);
  reload();
  EXPECT_EQ(tree().next_due_ms(), now_ms_ + 1);
  tick_at(now_ms_);
  EXPECT_TRUE(exists("/c"));
  tick_at(now_ms_ + 1);
  EXPECT_THAT(events_, ElementsAre("removed /c v1: container"));
}

TEST_F(Kinds, AContainerThatIsFilledAgainStays) {
  run({container("/c"), put("/c/a")});
  run({remove("/c/a"), put("/c/b")});
  run(remove("/c/b"));
  run(put("/c/d"));
  EXPECT_EQ(tree().next_due_ms(), std::nullopt);
  tick_at(now_ms_ + 10);
  EXPECT_TRUE(exists("/c/d"));
}

TEST_F(Kinds, ContainersWithinContainersGoOneEntryAfterTheOther) {
  run({container("/c"), container("/c/d"), ephemeral("/c/d/e", 7)});
  end({7});
  tick_at(now_ms_ + 1);
  EXPECT_THAT(events_, ElementsAre("removed /c/d v1: container"));
  tick_at(now_ms_ + 1);
  EXPECT_THAT(events_, ElementsAre("removed /c v1: container"));
}

// ---- TTL ------------------------------------------------------------------------------------

TEST_F(Kinds, ATtlKeyGoesWhenItWasNotWrittenForItsTime) {
  run(timed("/t", 100));
  EXPECT_EQ(stat("/t").ttl_ms, 100);
  EXPECT_EQ(tree().next_due_ms(), 1'100);
  now_ms_ = 1'099;
  run(put("/t", "again"));
  EXPECT_EQ(tree().next_due_ms(), 1'199);
  reload();
  EXPECT_EQ(tree().next_due_ms(), 1'199);
  tick_at(1'198);
  EXPECT_TRUE(exists("/t"));
  tick_at(1'199);
  EXPECT_THAT(events_, ElementsAre("removed /t v2: TTL"));
  EXPECT_EQ(tree().next_due_ms(), std::nullopt);
}

TEST_F(Kinds, ATtlKeyStaysAsLongAsItHasChildren) {
  run({timed("/t", 100), put("/t/a")});
  EXPECT_EQ(tree().next_due_ms(), std::nullopt);
  tick_at(5'000);
  EXPECT_TRUE(exists("/t"));
  run(remove("/t/a"));
  EXPECT_EQ(tree().next_due_ms(), 5'001) << "not in the entry that emptied it";
  tick_at(5'001);
  EXPECT_THAT(events_, ElementsAre("removed /t v1: TTL"));
  run({timed("/t", 100), put("/t/a"), remove("/t/a")});
  EXPECT_EQ(tree().next_due_ms(), 5'101) << "its time is not over because a child went";
}

TEST_F(Kinds, ATtlStandsOnlyWhereItBelongs) {
  EXPECT_EQ(try_run(timed("/t", 0)), ErrorCode::kBadArgument);
  EXPECT_EQ(try_run(timed("/t", -1)), ErrorCode::kBadArgument);
  Operation operation = create("/t");
  operation.ttl_ms = 5;
  EXPECT_EQ(try_run(operation), ErrorCode::kBadArgument);
  operation.ttl_ms = -5;
  EXPECT_EQ(try_run(operation), ErrorCode::kBadArgument);
  run(timed("/t", INT64_MAX));
  EXPECT_EQ(tree().next_due_ms(), INT64_MAX);
}

TEST_F(Kinds, WhatIsDueIsRemovedEarliestFirstAndBounded) {
  run({timed("/late", 20), timed("/b", 10), timed("/a", 10)});
  due_limit_ = 2;
  tick_at(now_ms_ + 50);
  EXPECT_EQ(due_removed_, 2u);
  EXPECT_THAT(events_, ElementsAre("removed /b v1: TTL", "removed /a v1: TTL"));
  EXPECT_EQ(tree().next_due_ms(), 1'020) << "in the past: the leader ticks again at once";
  tick_at(now_ms_);
  EXPECT_EQ(due_removed_, 1u);
}

// ---- transactions ---------------------------------------------------------------------------

TEST_F(Kinds, AFailedTransactionLeavesNothingBehind) {
  run({put("/p", "value"), put("/p/x"), put("/p/y"), ephemeral("/p/e1", 7), ephemeral("/p/e2", 7),
       container("/c"), put("/c/only"), timed("/t", 100)});
  const Digest before = tree().digest();
  const std::vector<std::string> keys = below("/");
  const Stat stat_before = stat("/p");
  const uint64_t bytes = tree().bytes();
  now_ms_ += 10;
  const std::string large(5'000, 'v');
  const std::vector<Operation> operations = {
      put("/p", large),
      put("/p", "short"),
      remove("/c/only"),
      put("/t", "restarts it"),
      remove_all("/p"),
      with_parents(put("/p/x/y/z", "made again")),
      with_parents(sequential(ephemeral("/new/parent/s", 9))),
      remove("/t"),
      put("/p", "", 99),
  };
  EXPECT_EQ(try_run(operations), ErrorCode::kBadVersion);
  EXPECT_EQ(failure_->index, 8u);
  EXPECT_THAT(outcomes_, IsEmpty());
  EXPECT_THAT(events_, IsEmpty());
  EXPECT_EQ(row_changes_, 0u);
  EXPECT_EQ(tree().digest(), before);
  EXPECT_EQ(below("/"), keys);
  EXPECT_EQ(stat("/p"), stat_before);
  EXPECT_EQ(value("/p"), "value");
  EXPECT_EQ(tree().bytes(), bytes);
  EXPECT_EQ(tree().next_due_ms(), 1'100);
  EXPECT_EQ(tree().ephemerals_of(SessionId(9)), 0u);
  end({7});
  EXPECT_THAT(events_,
              ElementsAre("removed /p/e1 v1: session ended", "removed /p/e2 v1: session ended"));
}

TEST_F(Kinds, ATransactionSeesItsOwnChangesAndWritesEachRowOnce) {
  run({put("/a", "1"), put("/a", "2", 1), put("/a/b"), remove("/a/b"), put("/a", "33", 2)});
  EXPECT_THAT(events_, ElementsAre("created /a v1 = 1", "changed /a v2 = 2", "created /a/b v1",
                                   "removed /a/b v1: removed", "changed /a v3 = 33"));
  EXPECT_EQ(row_changes_, 3u);  // /a, and what /a and the root know of their children
  EXPECT_EQ(stat("/a").modify_revision, stat("/a").create_revision);
}

}  // namespace
}  // namespace holdfast::tree
