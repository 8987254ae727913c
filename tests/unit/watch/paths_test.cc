#include "coordinator/watch/paths.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/watch/ring.h"

namespace holdfast::watch {
namespace {

TEST(Paths, TheOrderIsThatOfTheTreeDepthFirst) {
  const std::vector<std::string> ordered = {"/",   "/a",    "/a/b", "/a/b/c", "/a/c",
                                            "/a!", "/a!/x", "/a.b", "/b",     "/\xc3\xa9"};
  for (size_t i = 0; i < ordered.size(); ++i) {
    for (size_t j = 0; j < ordered.size(); ++j) {
      EXPECT_EQ(tree_less(ordered[i], ordered[j]), i < j) << ordered[i] << " and " << ordered[j];
    }
  }
}

TEST(Paths, AScopeIsJudgedBySegmentsNotByBytes) {
  EXPECT_TRUE(in_scope("/a", "/a", Scope::kNode));
  EXPECT_FALSE(in_scope("/a/b", "/a", Scope::kNode));
  EXPECT_TRUE(in_scope("/a/b", "/a", Scope::kChildren));
  EXPECT_FALSE(in_scope("/a", "/a", Scope::kChildren));
  EXPECT_FALSE(in_scope("/a/b/c", "/a", Scope::kChildren));
  EXPECT_TRUE(in_scope("/a", "/", Scope::kChildren));
  EXPECT_FALSE(in_scope("/", "/", Scope::kChildren));
  EXPECT_TRUE(in_scope("/a", "/a", Scope::kSubtree));
  EXPECT_TRUE(in_scope("/a/b/c", "/a", Scope::kSubtree));
  EXPECT_FALSE(in_scope("/ab", "/a", Scope::kSubtree));
  EXPECT_TRUE(in_scope("/", "/", Scope::kSubtree));
}

TEST(Paths, ThePrefixesOfAPathAreItselfAndAllAboveIt) {
  const auto prefixes = [](std::string_view path) {
    std::vector<std::string> out;
    for_each_prefix(path, [&](std::string_view prefix) { out.emplace_back(prefix); });
    return out;
  };
  EXPECT_EQ(prefixes("/"), std::vector<std::string>({"/"}));
  EXPECT_EQ(prefixes("/a/bc"), std::vector<std::string>({"/", "/a", "/a/bc"}));
}

TEST(Ring, FindsTheFirstThatIsNotBeforeWhereverItStands) {
  Ring<int> ring;
  for (int i = 0; i < 40; ++i) {
    ring.push_back(i);
    if (i % 3 == 0) ring.pop_front();
    for (int wanted = -1; wanted <= i + 1; ++wanted) {
      const size_t at = ring.partition_point([wanted](int value) { return value < wanted; });
      EXPECT_TRUE(at == 0 || ring[at - 1] < wanted);
      EXPECT_TRUE(at == ring.size() || ring[at] >= wanted);
    }
  }
}

TEST(Ring, GrowsAtBothEnds) {
  Ring<int> ring;
  for (int i = 0; i < 100; ++i) {
    ring.push_back(i);
    ring.push_front(-i);
  }
  ASSERT_EQ(ring.size(), 200u);
  EXPECT_EQ(ring.front(), -99);
  EXPECT_EQ(ring[99], 0);
  EXPECT_EQ(ring.back(), 99);
}

}  // namespace
}  // namespace holdfast::watch
