// Put, create, remove: what they do and what they refuse.
#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Operations = KeyTreeTest;

TEST_F(Operations, APutCreatesAPersistentKeyAndThenReplacesItsValue) {
  run(put("/a", "one"));
  EXPECT_THAT(events_, ElementsAre("created /a v1 = one"));
  EXPECT_TRUE(outcomes_[0].created);
  EXPECT_EQ(outcomes_[0].keys, 1u);
  const Stat created = stat("/a");
  now_ms_ += 5;
  run(put("/a", "three"));
  EXPECT_THAT(events_, ElementsAre("changed /a v2 = three"));
  EXPECT_FALSE(outcomes_[0].created);
  EXPECT_EQ(outcomes_[0].version, 2u);
  EXPECT_EQ(value("/a"), "three");
  const Stat stat = this->stat("/a");
  EXPECT_EQ(stat.version, 2u);
  EXPECT_EQ(stat.create_revision, created.create_revision);
  EXPECT_EQ(created.modify_revision, created.create_revision);
  EXPECT_EQ(stat.modify_revision, Revision(revision_));
  EXPECT_EQ(stat.created_unix_ms, created.created_unix_ms);
  EXPECT_EQ(stat.modified_unix_ms, created.created_unix_ms + 5);
  EXPECT_EQ(stat.value_bytes, 5u);
  EXPECT_EQ(stat.kind, KeyKind::kPersistent);
}

TEST_F(Operations, APutExpectsAVersion) {
  EXPECT_EQ(try_run(put("/a", "", 1)), ErrorCode::kNoKey);
  run(put("/a", "", 0));
  EXPECT_EQ(try_run(put("/a", "", 0)), ErrorCode::kBadVersion);
  EXPECT_EQ(message(), "key /a has version 1, expected 0");
  run(put("/a", "", 1));
  EXPECT_EQ(try_run(put("/a", "", 1)), ErrorCode::kBadVersion);
  EXPECT_EQ(try_run(put("/a", "", 3)), ErrorCode::kBadVersion);
  EXPECT_EQ(try_run(put("/a", "", -2)), ErrorCode::kBadArgument);
  EXPECT_EQ(stat("/a").version, 2u);
}

TEST_F(Operations, ARefusedOperationChangesNothing) {
  run(put("/a", "x"));
  const Digest before = tree().digest();
  EXPECT_EQ(try_run(create("/a", "y")), ErrorCode::kKeyExists);
  EXPECT_EQ(message(), "key /a exists");
  EXPECT_THAT(events_, IsEmpty());
  EXPECT_EQ(row_changes_, 0u);
  EXPECT_THAT(outcomes_, IsEmpty());
  EXPECT_EQ(tree().digest(), before);
}

TEST_F(Operations, AParentMustExistUnlessItIsToBeMade) {
  EXPECT_EQ(try_run(put("/a/b/c", "x")), ErrorCode::kNoKey);
  EXPECT_EQ(message(), "key /a/b does not exist, the parent of /a/b/c");
  EXPECT_EQ(try_run(create("/a/b/c")), ErrorCode::kNoKey);
  run(with_parents(put("/a/b/c", "x")));
  EXPECT_THAT(events_, ElementsAre("created /a v1", "created /a/b v1", "created /a/b/c v1 = x"));
  EXPECT_EQ(outcomes_[0].keys, 3u);
  run(with_parents(ephemeral("/a/d/e", 7)));
  EXPECT_THAT(events_, ElementsAre("created /a/d v1", "created /a/d/e v1 = of a session"));
  EXPECT_EQ(stat("/a/d").kind, KeyKind::kPersistent);
  run(with_parents(put("/a/b/c", "y")));
  EXPECT_THAT(events_, ElementsAre("changed /a/b/c v2 = y"));
}

TEST_F(Operations, AParentCountsItsChildrenAndNotTheirWrites) {
  run(create("/a"));
  EXPECT_EQ(stat("/a").children_version, 0u);
  EXPECT_EQ(stat("/a").children_revision, Revision{});
  run(create("/a/b"));
  run(create("/a/c"));
  const Stat two = stat("/a");
  EXPECT_EQ(two.children_version, 2u);
  EXPECT_EQ(two.child_count, 2u);
  EXPECT_EQ(two.children_revision, Revision(revision_));
  run(put("/a/c", "x"));
  run(create("/a/c/below"));
  EXPECT_EQ(stat("/a"), two);
  run(remove("/a/b"));
  EXPECT_EQ(stat("/a").children_version, 3u);
  EXPECT_EQ(stat("/a").child_count, 1u);
  EXPECT_EQ(stat("/a").version, 1u) << "a parent is not written by what happens to its children";
  EXPECT_EQ(stat("/").child_count, 1u);
}

TEST_F(Operations, ANewChildDoesNotWriteItsParentsValueAgain) {
  run(put("/a", std::string(10'000, 'v')));
  run(create("/a/b"));
  EXPECT_EQ(row_changes_, 2u);
  EXPECT_EQ(rows_.count(RowTable::kKeys), 2u);
  EXPECT_EQ(rows_.count(RowTable::kKeyChildren), 2u);  // the root's and that of /a
}

TEST_F(Operations, ARemoveExpectsAVersion) {
  run({put("/a"), put("/a")});
  EXPECT_EQ(try_run(remove("/a", 1)), ErrorCode::kBadVersion);
  EXPECT_EQ(try_run(remove("/a", 0)), ErrorCode::kBadArgument);
  EXPECT_EQ(try_run(remove("/a", -7)), ErrorCode::kBadArgument);
  run(remove("/a", 2));
  EXPECT_THAT(events_, ElementsAre("removed /a v2: removed"));
  EXPECT_EQ(outcomes_[0].keys, 1u);
  EXPECT_EQ(try_run(remove("/a")), ErrorCode::kNoKey);
  EXPECT_EQ(rows_.count(RowTable::kKeys), 0u);
}

TEST_F(Operations, AKeyWithChildrenIsRemovedOnlyWithThemChildrenFirst) {
  run(with_parents(put("/a/b/c")));
  run(put("/a/b-c"));
  run(put("/a/b/d"));
  EXPECT_EQ(try_run(remove("/a")), ErrorCode::kNotEmpty);
  EXPECT_EQ(message(), "key /a has 2 children");
  run(remove_all("/a"));
  EXPECT_THAT(events_, ElementsAre("removed /a/b/c v1: removed", "removed /a/b/d v1: removed",
                                   "removed /a/b v1: removed", "removed /a/b-c v1: removed",
                                   "removed /a v1: removed"));
  EXPECT_EQ(outcomes_[0].keys, 5u);
  EXPECT_EQ(tree().key_count(), 0u);
  EXPECT_EQ(tree().bytes(), 0u);
}

TEST_F(Operations, AKeyMadeAgainBeginsAtVersionOneWithANewRevision) {
  run(put("/a"));
  run(put("/a"));
  const Revision first = stat("/a").create_revision;
  run({remove("/a"), put("/a")});
  EXPECT_EQ(stat("/a").version, 1u);
  EXPECT_GT(stat("/a").create_revision, first);
  EXPECT_THAT(events_, ElementsAre("removed /a v2: removed", "created /a v1"));
}

TEST_F(Operations, TheRootIsAlwaysThereAndNeverChanged) {
  EXPECT_EQ(stat("/").version, 1u);
  EXPECT_EQ(stat("/").create_revision, Revision{});
  for (const Operation& operation : {put("/"), create("/"), remove("/"), remove_all("/")}) {
    EXPECT_EQ(try_run(operation), ErrorCode::kBadArgument);
  }
}

TEST_F(Operations, LimitsNameTheNumberAndTheLimit) {
  limits_ = {.path_bytes = 30, .value_bytes = 4, .keys = 2, .bytes = 12};
  EXPECT_EQ(try_run(put("/a", "12345")), ErrorCode::kTooLarge);
  EXPECT_EQ(message(), "the value of key /a has 5 bytes, the limit is 4");
  EXPECT_EQ(try_run(create("/a", "12345")), ErrorCode::kTooLarge);
  EXPECT_EQ(try_run(with_parents(put("/a/b/c"))), ErrorCode::kLimitExceeded);
  EXPECT_EQ(message(), "keys in existence: 3, the limit is 2");
  run(put("/a", "1234"));
  EXPECT_EQ(tree().bytes(), 5u);
  EXPECT_EQ(try_run(put("/bcdefgh", "1")), ErrorCode::kLimitExceeded);
  EXPECT_EQ(message(), "bytes of all names and values: 13, the limit is 12");
  run(put("/bcde", "123"));
  EXPECT_EQ(try_run(put("/bcde", "1234")), ErrorCode::kLimitExceeded);
  EXPECT_EQ(try_run(put("/c")), ErrorCode::kLimitExceeded);
  limits_.bytes = limits_.keys = 1;  // lowered: what is there stays, and may shrink or be replaced
  run(put("/bcde", "321"));
  limits_.value_bytes = 1;
  run(put("/bcde", "abc"));
  EXPECT_EQ(try_run(put("/bcde", "abcd")), ErrorCode::kTooLarge);
  run(put("/bcde", ""));
  EXPECT_EQ(try_run(put("/bcde", "ab")), ErrorCode::kTooLarge);
  run(remove("/bcde"));
}

TEST_F(Operations, ALimitOfPathsIsForKeysThatAreCreated) {
  run(with_parents(put("/abc/def")));
  limits_ = {.path_bytes = 5};
  run(put("/abc/def", "1"));
  EXPECT_EQ(try_run(put("/abc/d2")), ErrorCode::kTooLarge);
  EXPECT_EQ(message(), "path /abc/d2 has 7 bytes, the limit is 5");
  limits_ = {.path_depth = 1};
  run(put("/abc/def", "2"));
  EXPECT_EQ(try_run(put("/abc/d2")), ErrorCode::kTooLarge);
  EXPECT_EQ(message(), "path /abc/d2 has 2 segments, the limit is 1");
  run(put("/d"));
}

TEST_F(Operations, AnEntryCreatesAndRemovesABoundedNumberOfKeys) {
  std::vector<std::string> paths;
  for (uint64_t i = 0; i <= kRemovedPerEntryMax; ++i) paths.push_back("/a/" + std::to_string(i));
  run(put("/a"));
  std::vector<Operation> operations;
  for (uint64_t i = 0; i <= kMadePerEntryMax; ++i) operations.push_back(put(paths[i]));
  EXPECT_EQ(try_run(operations), ErrorCode::kLimitExceeded);
  EXPECT_EQ(message(), "keys created by one entry: 4097, the limit is 4096");
  EXPECT_EQ(failure_->index, kMadePerEntryMax);
  operations.pop_back();
  run(operations);
  operations.clear();
  for (uint64_t i = kMadePerEntryMax; i < 2 * kMadePerEntryMax; ++i) {
    operations.push_back(put(paths[i]));
  }
  run(operations);
  operations.clear();
  for (uint64_t i = 2 * kMadePerEntryMax; i <= kRemovedPerEntryMax; ++i) {
    operations.push_back(put(paths[i]));
  }
  run(operations);
  EXPECT_EQ(try_run(remove_all("/a")), ErrorCode::kLimitExceeded);
  EXPECT_EQ(message(),
            "keys removed by one entry, with those below /a at least: 10001, the limit is 10000");
  run(remove(paths[0]));
  EXPECT_EQ(try_run({remove(paths[1]), remove_all("/a")}), ErrorCode::kLimitExceeded);
  EXPECT_EQ(failure_->index, 1u) << "the bound is that of the entry";
  run(remove(paths[1]));
  entry([&] {
    EXPECT_TRUE(tree().apply(std::vector{remove_all("/a"), remove("/none")}, limits_, outcomes_));
    const std::vector<Operation> all = {remove(paths[2]), remove(paths[3]), remove_all("/a")};
    EXPECT_FALSE(tree().apply(all, limits_, outcomes_)) << "what was undone does not count";
  });
  EXPECT_EQ(tree().key_count(), 0u);
}

TEST_F(Operations, ALongPathIsShownByItsEnd) {
  const std::string path = "/" + std::string(300, 'x') + "/tail";
  EXPECT_EQ(try_run(remove(path)), ErrorCode::kNoKey);
  EXPECT_THAT(message(), HasSubstr("xx/tail does not exist"));
  EXPECT_LT(message().size(), 160u);
}

TEST_F(Operations, AnEventTellsWhatAWatcherNeeds) {
  ++revision_;
  tree().begin(Revision(revision_), now_ms_, 0);
  const std::vector<Operation> operations = {ephemeral("/e", 7), put("/e", "second"), remove("/e")};
  ASSERT_FALSE(tree().apply(operations, limits_, outcomes_));
  const std::vector<Event> events = tree().settle().events;
  ASSERT_EQ(events.size(), 3u);
  for (const Event& event : events) {
    EXPECT_EQ(event.path, "/e");
    EXPECT_EQ(event.revision, Revision(revision_));
    EXPECT_EQ(event.create_revision, Revision(revision_));
    EXPECT_EQ(event.ephemeral_owner, SessionId(7));
    EXPECT_EQ(event.key_kind, KeyKind::kEphemeral);
  }
  EXPECT_EQ(events[0].value, "of a session") << "as it was then, though it was written again";
  EXPECT_EQ(events[1].value, "second");
  EXPECT_EQ(events[2].value, "");
  EXPECT_EQ(events[1].reason, RemoveReason::kNone);
  EXPECT_EQ(events[2].version, 2u);
  tree().begin(Revision(++revision_), now_ms_, 0);
  ASSERT_FALSE(tree().apply(std::vector{put("/e", "")}, limits_, outcomes_));
  EXPECT_EQ(tree().settle().events.at(0).ephemeral_owner, SessionId{});
}

TEST_F(Operations, AnEntryMayRunSeveralTransactions) {
  entry([&] {
    EXPECT_FALSE(tree().apply(std::vector{put("/a"), put("/b")}, limits_, outcomes_));
    EXPECT_TRUE(tree().apply(std::vector{remove("/a"), put("/no/way")}, limits_, outcomes_));
    EXPECT_FALSE(tree().apply(std::vector{put("/a", "x")}, limits_, outcomes_));
  });
  EXPECT_THAT(events_, ElementsAre("created /a v1", "created /b v1", "changed /a v2 = x"));
}

}  // namespace
}  // namespace holdfast::tree
