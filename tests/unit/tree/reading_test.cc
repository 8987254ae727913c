// Comparisons, and pages of keys in order.
#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Reading : public KeyTreeTest {
 protected:
  bool number(std::string_view path, CompareTarget target, Relation relation, uint64_t number) {
    return tree().holds({.path = path, .target = target, .relation = relation, .number = number});
  }
  bool compares(std::string_view path, Relation relation, std::string_view value) {
    return tree().holds(
        {.path = path, .target = CompareTarget::kValue, .relation = relation, .value = value});
  }
  void make(std::initializer_list<std::string_view> paths) {
    for (std::string_view path : paths) run(with_parents(put(path, "v")));
  }
  ErrorCode code_of(const ListRequest& request) {
    const Result<KeyPage> page = tree().list(request);
    return page.ok() ? ErrorCode::kOk : page.error().code;
  }
};

TEST_F(Reading, ComparisonsOfNumbers) {
  run(put("/a"));
  run(put("/a"));
  using enum Relation;
  EXPECT_TRUE(number("/a", CompareTarget::kExists, kEqual, 1));
  EXPECT_FALSE(number("/b", CompareTarget::kExists, kEqual, 1));
  EXPECT_TRUE(number("/b", CompareTarget::kExists, kEqual, 0));
  EXPECT_TRUE(number("/a", CompareTarget::kVersion, kEqual, 2));
  EXPECT_FALSE(number("/a", CompareTarget::kVersion, kNotEqual, 2));
  EXPECT_TRUE(number("/a", CompareTarget::kVersion, kNotEqual, 1));
  EXPECT_TRUE(number("/a", CompareTarget::kVersion, kLess, 3));
  EXPECT_FALSE(number("/a", CompareTarget::kVersion, kLess, 2));
  EXPECT_TRUE(number("/a", CompareTarget::kVersion, kGreater, 1));
  EXPECT_FALSE(number("/a", CompareTarget::kVersion, kGreater, 2));
  EXPECT_TRUE(number("/a", CompareTarget::kModifyRevision, kEqual, revision_));
  EXPECT_TRUE(number("/a", CompareTarget::kCreateRevision, kEqual, revision_ - 1));
  for (const CompareTarget target :
       {CompareTarget::kVersion, CompareTarget::kModifyRevision, CompareTarget::kCreateRevision}) {
    EXPECT_TRUE(number("/b", target, kEqual, 0)) << "a missing key has none";
  }
}

TEST_F(Reading, ComparisonsOfValuesAreBytewiseAndNeverHoldForAMissingKey) {
  run(put("/a", "m\xff"));
  EXPECT_TRUE(compares("/a", Relation::kEqual, "m\xff"));
  EXPECT_TRUE(compares("/a", Relation::kNotEqual, "m"));
  EXPECT_TRUE(compares("/a", Relation::kGreater, "mz"));
  EXPECT_TRUE(compares("/a", Relation::kLess, "n"));
  EXPECT_FALSE(compares("/a", Relation::kLess, "m\xff"));
  EXPECT_FALSE(compares("/b", Relation::kEqual, ""));
  EXPECT_FALSE(compares("/b", Relation::kNotEqual, "x"));
}

TEST_F(Reading, AKeyIsFoundByItsWholePathOnly) {
  make({"/a/b", "/ab", "/c"});
  for (std::string_view path : {"/b", "/a/a", "/a/b/b", "/a/", "//a", "/ab/b", "/c/a/b"}) {
    EXPECT_FALSE(exists(path)) << path;
  }
}

TEST_F(Reading, TheOrderIsThatOfSegmentsAKeyBeforeWhatIsBelowIt) {
  make({"/b", "/a-b", "/a", "/a/z", "/a/c/d", "/a!", "/\xc3\xa4", "/a/c-"});
  EXPECT_THAT(below("/"), ElementsAre("/a", "/a/c", "/a/c/d", "/a/c-", "/a/z", "/a!", "/a-b", "/b",
                                      "/\xc3\xa4"));
  EXPECT_THAT(list({.path = "/"}), ElementsAre("/a", "/a!", "/a-b", "/b", "/\xc3\xa4"));
  EXPECT_THAT(list({.path = "/a"}), ElementsAre("/a/c", "/a/c-", "/a/z"));
  EXPECT_THAT(below("/a/z"), IsEmpty());
}

TEST_F(Reading, APageBeginsBehindAPathThatNeedNotExist) {
  make({"/a/b/c", "/a/b/e", "/a/d", "/f"});
  const auto after = [&](std::string_view path, std::string_view last) {
    return list({.path = path, .scope = ListScope::kSubtree, .after = last});
  };
  EXPECT_THAT(after("/", "/a/b"), ElementsAre("/a/b/c", "/a/b/e", "/a/d", "/f"));
  EXPECT_THAT(after("/", "/a/b/d/x"), ElementsAre("/a/b/e", "/a/d", "/f"));
  EXPECT_THAT(after("/", "/a/b/e/below"), ElementsAre("/a/d", "/f"));
  EXPECT_THAT(after("/", "/a/b/z"), ElementsAre("/a/d", "/f"));
  EXPECT_THAT(after("/a", "/a/z"), IsEmpty()) << "/f is not below /a";
  EXPECT_THAT(after("/", "/f"), IsEmpty());
  EXPECT_THAT(list({.path = "/a", .after = "/a/b"}), ElementsAre("/a/d"));
  EXPECT_THAT(list({.path = "/a", .after = "/a/b/c"}), ElementsAre("/a/d"));
  EXPECT_THAT(list({.path = "/a", .after = "/a/c"}), ElementsAre("/a/d"));
  EXPECT_THAT(list({.path = "/a", .after = "/a/e"}), IsEmpty());
  EXPECT_THAT(list({.path = "/f", .after = "/f/e"}), IsEmpty());
}

TEST_F(Reading, AListNeedsAKeyAndAPlaceBelowIt) {
  make({"/a/b"});
  EXPECT_EQ(code_of({.path = "/none"}), ErrorCode::kNoKey);
  EXPECT_EQ(code_of({.path = "/a", .after = "/ab"}), ErrorCode::kBadArgument);
  EXPECT_EQ(code_of({.path = "/a", .after = "/a"}), ErrorCode::kBadArgument);
  EXPECT_EQ(code_of({.path = "/a", .after = "/b/c"}), ErrorCode::kBadArgument);
  EXPECT_EQ(code_of({.path = "/", .after = "/"}), ErrorCode::kBadArgument);
  EXPECT_EQ(code_of({.path = "/", .after = "/x"}), ErrorCode::kOk);
}

TEST_F(Reading, APageIsBoundedByCountAndBytesAndHasAtLeastOneKey) {
  run({put("/a", std::string(1'000, 'x')), put("/b", "small"), put("/c")});
  Result<KeyPage> page = tree().list({.path = "/", .with_values = true, .count = 2});
  EXPECT_EQ(page->keys.size(), 2u);
  EXPECT_TRUE(page->more);
  EXPECT_EQ(page->keys[1].value, "small");
  EXPECT_EQ(page->keys[1].stat, stat("/b"));
  page = tree().list({.path = "/", .with_values = true, .bytes = 500});
  EXPECT_EQ(page->keys.size(), 1u);
  EXPECT_TRUE(page->more);
  page = tree().list({.path = "/", .bytes = 3 * (kStatBytes + 2)});
  EXPECT_EQ(page->keys.size(), 3u);
  EXPECT_EQ(page->keys[0].value, "");
  EXPECT_FALSE(page->more);
  page = tree().list({.path = "/", .bytes = 3 * (kStatBytes + 2) - 1});
  EXPECT_EQ(page->keys.size(), 2u);
  page = tree().list({.path = "/", .count = 0});
  EXPECT_EQ(page->keys.size(), 1u);
}

TEST_F(Reading, PagesMeetEachKeyThatStaysExactlyOnceWhateverChangesBetweenThem) {
  make({"/a/1", "/a/3", "/a/5", "/b", "/c/1", "/d"});
  const ListRequest first{.path = "/", .scope = ListScope::kSubtree, .count = 3};
  EXPECT_THAT(list(first), ElementsAre("/a", "/a/1", "/a/3"));
  run({remove("/a/3"), remove("/a/1"), put("/a/2"), put("/a/4"), remove("/b"), put("/c/0")});
  ListRequest second = first;
  second.after = "/a/3";
  EXPECT_THAT(list(second), ElementsAre("/a/4", "/a/5", "/c"));
  run(remove_all("/c"));
  second.after = "/c";
  EXPECT_THAT(list(second), ElementsAre("/d"));
}

}  // namespace
}  // namespace holdfast::tree
