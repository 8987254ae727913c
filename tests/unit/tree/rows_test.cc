// The tree as rows: what is written, and what a load refuses.
#include "coordinator/tree/rows.h"

#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

using ::testing::HasSubstr;

class TreeRows : public KeyTreeTest {
 protected:
  /// What loading the rows comes to.
  std::string refusal() {
    KeyTree copy(log_);
    const Status status = rows_.load_into(copy);
    if (status.ok()) return "";
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    return status.error().message;
  }
  void set(uint64_t id, const KeyRow& row) {
    write_row(log_, id, row);
    rows_.take(log_);
  }
  void set(uint64_t id, const ChildrenRow& row) {
    write_row(log_, id, row);
    rows_.take(log_);
  }
  static constexpr uint64_t kId = make_key_id(Revision(500), 0);
};

TEST_F(TreeRows, EveryKindOfKeyComesBack) {
  run({put("/p", "value"), put("/p", std::string(2'000, 'x')), ephemeral("/p/e", 7),
       timed("/t", 100), container("/c"), put("/c/x"), remove("/c/x"), container("/never")});
  run(sequential(create("/p/s")));
  const Stat before = stat("/p");
  const auto due = tree().next_due_ms();
  reload();
  EXPECT_EQ(stat("/p"), before);
  EXPECT_EQ(value("/p"), std::string(2'000, 'x'));
  EXPECT_EQ(stat("/t").ttl_ms, 100);
  EXPECT_EQ(tree().next_due_ms(), due);
  EXPECT_EQ(tree().ephemerals_of(SessionId(7)), 1u);
  tick_at(now_ms_ + 1'000);
  EXPECT_EQ(events_.size(), 2u);  // the TTL key and the container that had a child
}

TEST_F(TreeRows, AParentHasASmallerNumberThanItsChildren) {
  run(with_parents(put("/a/b/c")));
  run({remove("/a/b/c"), put("/a/b/c")});
  for (const auto& [key, row] : rows_.rows()) {
    KeyRow read;
    if (key.first == RowTable::kKeys) {
      ASSERT_TRUE(read_row(row, read));
      EXPECT_LT(read.parent_id, key.second);
    }
  }
}

TEST_F(TreeRows, AnEmptyTreeHasNoRowsAndOneThatWasEmptiedOnlyTheRoots) {
  EXPECT_EQ(refusal(), "");
  run(with_parents(put("/a/b")));
  run(remove_all("/a"));
  EXPECT_EQ(rows_.rows().size(), 1u);
  EXPECT_EQ(rows_.count(RowTable::kKeyChildren), 1u);
}

TEST_F(TreeRows, RevisionsGoOnBehindTheLoadedOnes) {
  run(put("/a"));
  run(put("/a"));
  KeyTree copy(log_);
  ASSERT_TRUE(rows_.load_into(copy).ok());
  EXPECT_DEATH(copy.begin(Revision(revision_), 0, 0), "revisions ascend");
}

TEST_F(TreeRows, AChildWithoutParentIsRefused) {
  set(kId, KeyRow{.parent_id = 77, .name = "a", .version = 1, .modify_revision = Revision(500)});
  EXPECT_THAT(refusal(), HasSubstr("there is no parent 77"));
}

TEST_F(TreeRows, ANameThatIsNoneOrTakenIsRefused) {
  KeyRow row{.parent_id = kRootId, .version = 1, .modify_revision = Revision(500)};
  for (const char* name : {"", "a/b"}) {
    row.name = name;
    set(kId, row);
    EXPECT_THAT(refusal(), HasSubstr("its name is none, or taken"));
  }
  row.name = "a";
  set(kId, row);
  set(kId + 1, row);
  EXPECT_THAT(refusal(), HasSubstr("its name is none, or taken"));
}

TEST_F(TreeRows, FieldsThatDoNotFitTheKindAreRefused) {
  const KeyRow good{
      .parent_id = kRootId, .name = "a", .version = 1, .modify_revision = Revision(500)};
  for (int i = 0; i < 7; ++i) {
    KeyRow row = good;
    if (i == 0) row.version = 0;
    if (i == 1) row.session = SessionId(7);
    if (i == 2) row.kind = KeyKind::kEphemeral;
    if (i == 3) row.kind = KeyKind::kTtl;
    if (i == 4) row.ttl_ms = 5;
    if (i == 5) row.due_ms = 5;
    if (i == 6) row.kind = static_cast<KeyKind>(9);
    set(kId, row);
    EXPECT_THAT(refusal(), HasSubstr("cannot be read")) << i;
  }
}

TEST_F(TreeRows, RevisionsThatCannotBeAreRefused) {
  set(kId,
      KeyRow{.parent_id = kRootId, .name = "a", .version = 1, .modify_revision = Revision(499)});
  EXPECT_THAT(refusal(), HasSubstr("written before it was created"));
}

TEST_F(TreeRows, AChildOfAnEphemeralKeyIsRefused) {
  run(ephemeral("/e", 7));
  const uint64_t parent = rows_.rows().begin()->first.second;
  set(kId,
      KeyRow{.parent_id = parent, .name = "a", .version = 1, .modify_revision = Revision(500)});
  EXPECT_THAT(refusal(), HasSubstr("its parent is ephemeral"));
}

TEST_F(TreeRows, CountsOfChildrenMustFitTheChildren) {
  run(with_parents(put("/a/b")));
  const RowMirror good = rows_;
  const uint64_t id = rows_.rows().rbegin()->first.second;
  ASSERT_EQ(rows_.rows().erase({RowTable::kKeyChildren, id}), 1u);
  EXPECT_THAT(refusal(), HasSubstr("nothing counts its children"));
  rows_ = good;
  set(id, ChildrenRow{.version = 2, .revision = Revision(101)});
  EXPECT_THAT(refusal(), HasSubstr("came or went uncounted"));
  set(id, ChildrenRow{.version = 1, .revision = Revision(101), .emptied_ms = 9});
  EXPECT_THAT(refusal(), HasSubstr("emptied and not empty"));
  set(id, ChildrenRow{.version = 0});
  EXPECT_THAT(refusal(), HasSubstr("cannot be read"));
  set(id, ChildrenRow{.version = 1, .numbered = 2});
  EXPECT_THAT(refusal(), HasSubstr("cannot be read"));
  rows_ = good;
  set(id + 77, ChildrenRow{.version = 1});
  EXPECT_THAT(refusal(), HasSubstr("there is no such key"));
}

TEST_F(TreeRows, RowsMustAscendAndBeOfKeys) {
  run(put("/a"));
  const auto first = *rows_.rows().begin();
  KeyTree copy(log_);
  ASSERT_TRUE(copy.load(first.first.first, first.first.second, first.second).ok());
  EXPECT_THAT(copy.load(first.first.first, first.first.second, first.second).error().message,
              HasSubstr("rows must ascend"));
  KeyTree other(log_);
  EXPECT_THAT(other.load(RowTable::kLocks, 5, "").error().message,
              HasSubstr("the table is not one of keys"));
}

TEST_F(TreeRows, EveryCutOfARowIsRefused) {
  run(with_parents(put("/a/b", "value")));
  for (const auto& [key, row] : rows_.rows()) {
    for (size_t size = 0; size < row.size(); ++size) {
      KeyRow as_key;
      ChildrenRow as_children;
      const std::string_view cut = std::string_view(row).substr(0, size);
      EXPECT_FALSE(key.first == RowTable::kKeys ? read_row(cut, as_key)
                                                : read_row(cut, as_children));
    }
  }
}

}  // namespace
}  // namespace holdfast::tree
