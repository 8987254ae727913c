// The judges of the key history fire on changes that are broken, and only on those.
#include "tests/simulation/key_history.h"

#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

using tree::EventKind;
using tree::KeyKind;
using tree::RemoveReason;

class KeysTest : public testing::Test {
 protected:
  /// An entry with this operation is applied to the tree, and told as it was unless `lie` is not.
  template <class Lie>
  void entry(const tree::Operation& operation, Lie&& lie) {
    tree_.begin(Revision(++now_), 0, 0);
    std::vector<tree::Outcome> outcomes;
    ASSERT_FALSE(tree_.apply(std::span(&operation, 1), {}, outcomes).has_value());
    std::vector<tree::Event> events = tree_.settle().events;
    lie(events);
    history_.take(static_cast<int64_t>(now_), events, effects_, tree_);
  }
  void entry(const tree::Operation& operation) {
    entry(operation, [](std::vector<tree::Event>&) {});
  }
  /// The same, to be told what rule the lie breaks.
  template <class Lie>
  std::string broken(const tree::Operation& operation, Lie&& lie) {
    return broken_by([&] { entry(operation, lie); });
  }
  static tree::Operation put(std::string_view path) {
    return {.kind = tree::OperationKind::kPut, .path = path, .value = "v"};
  }
  static tree::Operation ephemeral(std::string_view path) {
    return {.kind = tree::OperationKind::kCreate,
            .path = path,
            .key_kind = KeyKind::kEphemeral,
            .session = SessionId(7)};
  }
  static tree::Operation remove(std::string_view path) {
    return {.kind = tree::OperationKind::kRemove, .path = path, .recursive = true};
  }
  std::string recounted(const std::set<int64_t>& live = {}) {
    return broken_by([&] { history_.recount(tree_, live); });
  }

  RowLog rows_;
  tree::KeyTree tree_{rows_};
  rsm::Effects effects_;
  KeyHistory history_;
  uint64_t now_ = 0;
};

TEST_F(KeysTest, WhatTheTreeDidIsSound) {
  entry(put("/a"));
  entry(put("/a"));
  entry(put("/a/b"));
  entry(ephemeral("/a/c"));
  entry(remove("/a"));
  EXPECT_EQ(recounted(), "");
  EXPECT_EQ(history_.below("/", false, 4), (std::vector<std::string>{"/a", "/a/b", "/a/c"}));
  EXPECT_EQ(history_.at("/a", 3).child_count, 1);
  EXPECT_FALSE(history_.at("/a", 5).present);
}

TEST_F(KeysTest, AChangeThatNobodyWasToldOfBreaksI15) {
  entry(put("/a"));
  entry(put("/b"), [](auto& events) { events.clear(); });
  EXPECT_EQ(recounted(), "I15");
}

TEST_F(KeysTest, EventsThatDoNotFitWhatWasThereBreakI15) {
  const auto as = [](EventKind kind) { return [kind](auto& events) { events[0].kind = kind; }; };
  EXPECT_EQ(broken(put("/a"), as(EventKind::kChanged)), "I15");
  entry(put("/b"));
  EXPECT_EQ(broken(put("/b"), as(EventKind::kCreated)), "I15");
  EXPECT_EQ(broken(put("/c"), as(EventKind::kRemoved)), "I15");
}

TEST_F(KeysTest, AVersionThatDoesNotCountWritesBreaksI15) {
  entry(put("/a"));
  EXPECT_EQ(broken(put("/a"), [](auto& events) { events[0].version = 3; }), "I15");
}

TEST_F(KeysTest, AKeyThatIsMadeAnotherBreaksI15) {
  entry(put("/a"));
  EXPECT_EQ(broken(put("/a"), [](auto& events) { events[0].key_kind = KeyKind::kContainer; }),
            "I15");
}

TEST_F(KeysTest, ChildrenThatGoAfterTheirParentBreakI15) {
  entry(put("/a"));
  entry(put("/a/b"));
  EXPECT_EQ(broken(remove("/a"), [](auto& events) { std::swap(events[0], events[1]); }), "I15");
}

TEST_F(KeysTest, AnEndThatItsKindDoesNotKnowBreaksI15) {
  entry(put("/a"));
  EXPECT_EQ(broken(remove("/a"), [](auto& events) { events[0].reason = RemoveReason::kTtl; }),
            "I15");
}

TEST_F(KeysTest, AValueUnlikeTheTreesBreaksI15) {
  EXPECT_EQ(broken(put("/a"), [](auto& events) { events[0].value = "w"; }), "I15");
}

TEST_F(KeysTest, AnOwnerThatIsNotLiveBreaksI15) {
  entry(ephemeral("/a"));
  EXPECT_EQ(recounted({7}), "");
  EXPECT_EQ(recounted({8}), "I15");
}

TEST_F(KeysTest, AnEndedSessionThatStillOwnsKeysBreaksI12) {
  entry(ephemeral("/a"));
  effects_.add(rsm::EffectKind::kSessionEnded, Revision(2)).session = SessionId(7);
  EXPECT_EQ(broken_by([&] { entry(put("/b")); }), "I12");
}

TEST_F(KeysTest, AReadThatShowsAnotherStateBreaksI20) {
  entry(put("/a"));
  api::KeyEntry key;
  key.path = "/a";
  key.value = "v";
  key.stat.kind = api::KeyKind::PERSISTENT;
  key.stat.version = key.stat.createRevision = key.stat.modifyRevision = key.stat.valueBytes = 1;
  const auto read = [&](bool found, int64_t revision) {
    return broken_by([&] { history_.judge_read("client", "/a", found, key, revision); });
  };
  EXPECT_EQ(read(true, 1), "");
  EXPECT_EQ(read(true, 0), "I20");
  EXPECT_EQ(read(false, 1), "I20");
  key.value = "w";
  EXPECT_EQ(read(true, 1), "I20");
}

TEST(KeyOrder, AKeyComesBeforeWhatIsBelowItAndThatBeforeAllElse) {
  const TreeOrder before;
  EXPECT_TRUE(before("/a", "/a/c"));
  EXPECT_TRUE(before("/a/c", "/a!"));
  EXPECT_FALSE(before("/a!", "/a/c"));
  EXPECT_TRUE(is_child("/a", "/") && is_child("/a/b", "/a"));
  EXPECT_FALSE(is_child("/a/b", "/") || is_child("/ab", "/a") || is_below("/ab", "/a"));
}

}  // namespace
}  // namespace holdfast::sim
