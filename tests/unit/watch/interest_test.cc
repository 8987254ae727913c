// Which watch sees which event; what is shared between watches; registering and its limits.
#include "tests/unit/watch/watch_fixture.h"

namespace holdfast::watch {
namespace {

class InterestTest : public WatchFixture {
 protected:
  /// Paths of the events that a watch of this kind is told of one entry.
  std::vector<std::string> seen(WatchSpec spec, std::vector<Change> changes) {
    append();
    watch(kAnn, spec);
    append(std::move(changes));
    take(kAnn);
    std::vector<std::string> paths;
    for (const Line& line : lines_) {
      for (const Change& change : line.changes) paths.push_back(change.path);
    }
    watches_.remove_owner(kAnn);
    return paths;
  }
};
using Paths = std::vector<std::string>;

TEST_F(InterestTest, ANodeIsThePathItself) {
  EXPECT_EQ(seen({.path = "/a"}, {created("/a"), created("/a/b"), created("/ab"), created("/")}),
            Paths({"/a"}));
}

TEST_F(InterestTest, ChildrenAreTheDirectOnesWithoutThePath) {
  EXPECT_EQ(seen({.path = "/a", .scope = Scope::kChildren},
                 {created("/a"), created("/a/b"), changed("/a/b"), removed("/a/c"),
                  created("/a/b/c"), created("/a!")}),
            Paths({"/a/b", "/a/b", "/a/c"}));
  EXPECT_EQ(seen({.path = "/", .scope = Scope::kChildren}, {created("/a"), created("/a/b")}),
            Paths({"/a"}));
}

TEST_F(InterestTest, ASubtreeIsThePathAndAllBelow) {
  EXPECT_EQ(seen({.path = "/a", .scope = Scope::kSubtree},
                 {created("/a"), created("/a/b/c"), created("/ab"), created("/")}),
            Paths({"/a", "/a/b/c"}));
}

TEST_F(InterestTest, KeysAndLocksAreSeparateUnlessBothAreAskedFor) {
  const std::vector<Change> changes = {created("/a"), granted("/a", "lock")};
  const auto told = [&](uint8_t spaces) {
    seen({.path = "/a", .spaces = spaces}, changes);
    return lines_.front().changes;
  };
  EXPECT_EQ(told(1), std::vector<Change>({changes[0]}));
  EXPECT_EQ(told(2), std::vector<Change>({changes[1]}));
  EXPECT_EQ(told(3), changes);
}

TEST_F(InterestTest, OnlyTheTypesAskedForAreTold) {
  EXPECT_EQ(seen({.path = "/", .scope = Scope::kSubtree, .types = bit(EventType::kRemoved)},
                 {created("/a"), removed("/b"), granted("/c")}),
            Paths({"/b"}));
  EXPECT_TRUE(seen({.path = "/a", .types = bit(EventType::kRemoved)}, {created("/a")}).empty());
}

TEST_F(InterestTest, WatchesOfOneKindShareAnInterestAndOthersDoNot) {
  append();
  watch(kAnn, {.path = "/a"});
  watch(kBob, {.path = "/a"});
  EXPECT_EQ(watches_.interest_count(), 1u);
  watch(kBob, {.path = "/a", .scope = Scope::kSubtree});
  watch(kBob, {.path = "/a", .types = bit(EventType::kRemoved)});
  const Registered locks = watch(kBob, {.path = "/a", .spaces = 2});
  EXPECT_EQ(watches_.interest_count(), 4u);
  EXPECT_EQ(watches_.watch_count(), 5u);
  EXPECT_TRUE(watches_.unwatch(kBob, locks.id));
  EXPECT_FALSE(watches_.unwatch(kBob, locks.id));
  EXPECT_FALSE(watches_.unwatch(kAnn, WatchId(2)));
  EXPECT_EQ(watches_.interest_count(), 3u);
  watches_.remove_owner(kBob);
  EXPECT_EQ(watches_.interest_count(), 1u);
  EXPECT_EQ(watches_.owner_count(), 1u);
}

TEST_F(InterestTest, SinceZeroIsFromNowOnAndSaysWhich) {
  append({created("/a")});
  EXPECT_EQ(watch(kAnn, {.path = "/a"}).since, Revision(1));
  EXPECT_FALSE(watches_.has_news(kAnn));
}

TEST_F(InterestTest, SinceTheLastRevisionSeenGoesOnWithoutAGap) {
  for (int i = 0; i < 4; ++i) append({changed("/a", std::to_string(i))});
  const Registered made = watch(kAnn, {.path = "/a", .since = Revision(2)});
  EXPECT_FALSE(made.resync);
  EXPECT_EQ(woken(), Owners({kAnn}));
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(made.id, 3, {changed("/a", "2")}),
                           group(made.id, 4, {changed("/a", "3")})}));
}

TEST_F(InterestTest, ALaterWatchMayLookFurtherBackThanThoseOfItsKind) {
  for (const Scope scope : {Scope::kNode, Scope::kChildren, Scope::kSubtree}) {
    for (int i = 0; i < 6; ++i) append({changed("/a/b"), changed("/a"), changed("/c")});
    const uint64_t last = world_.last();
    watch(kAnn, {.path = "/a", .scope = scope, .since = Revision(last - 2)});
    watch(kBob, {.path = "/a", .scope = scope, .since = Revision(last - 4)});
    watch(kCid, {.path = "/a", .scope = scope, .since = Revision(last - 3)});
    EXPECT_EQ(watches_.check_invariants(), "");
    const uint64_t each = scope == Scope::kSubtree ? 2 : 1;
    EXPECT_EQ(take(kAnn).entries, 2 * each);
    EXPECT_EQ(take(kBob).entries, 4 * each);
    EXPECT_EQ(take(kCid).entries, 3 * each);
    for (const OwnerId owner : {kAnn, kBob, kCid}) watches_.remove_owner(owner);
  }
}

TEST_F(InterestTest, AFutureRevisionWaits) {
  append();
  const Registered made = watch(kAnn, {.path = "/a", .since = Revision(3)});
  append({changed("/a")});
  append({changed("/a")});
  EXPECT_TRUE(woken().empty());
  EXPECT_EQ(take(kAnn).entries, 0u);
  append({changed("/a")});
  EXPECT_EQ(woken(), Owners({kAnn}));
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(made.id, 4, {changed("/a")})}));
}

TEST_F(InterestTest, MoreWatchesThanTheLimitAreRefusedWithValueAndLimit) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(watches_.watch(kAnn, {.path = "/a"}, 3).ok());
  const auto refused = watches_.watch(kAnn, {.path = "/a"}, 3);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(refused.error().message, "3 watches of one session are present; at most 3");
  EXPECT_TRUE(watches_.watch(kBob, {.path = "/a"}, 3).ok());
  EXPECT_EQ(watches_.watches_of(kAnn), 3u);
}

TEST_F(InterestTest, WhatNoWatchCanMeanIsABadArgument) {
  for (const WatchSpec& spec :
       {WatchSpec{.path = "a"}, WatchSpec{.path = ""}, WatchSpec{.path = "/a", .spaces = 0},
        WatchSpec{.path = "/a", .spaces = 4}, WatchSpec{.path = "/a", .types = 0}}) {
    const auto refused = watches_.watch(kAnn, spec, 10);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kBadArgument);
  }
  EXPECT_EQ(watches_.owner_count(), 0u);
}

}  // namespace
}  // namespace holdfast::watch
