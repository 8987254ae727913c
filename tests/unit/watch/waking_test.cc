// Who is woken: once, in portions, in turn, and nobody for nothing.
#include "tests/unit/watch/watch_fixture.h"

#include <algorithm>
#include <set>

namespace holdfast::watch {
namespace {

using WakingTest = WatchFixture;

TEST_F(WakingTest, AnOwnerIsNamedOnceHoweverManyOfItsWatchesFire) {
  append();
  for (const char* path : {"/a", "/b", "/c"}) watch(kAnn, {.path = path});
  watch(kAnn, {.path = "/", .scope = Scope::kSubtree});
  append({created("/a"), created("/b"), created("/c")});
  EXPECT_EQ(woken(), Owners({kAnn}));
  append({changed("/a")});
  EXPECT_TRUE(woken().empty());
  take(kAnn);
  append({changed("/a")});
  EXPECT_EQ(woken(), Owners({kAnn}));
}

TEST_F(WakingTest, NotEvenWhenTheWatchThatFiredFirstIsGone) {
  append();
  const Registered a = watch(kAnn, {.path = "/a"});
  watch(kAnn, {.path = "/b"});
  append({changed("/a"), changed("/b")});
  EXPECT_EQ(woken(1), Owners({kAnn}));
  watches_.unwatch(kAnn, a.id);
  EXPECT_TRUE(woken().empty()) << "it knows, and has not collected";
  EXPECT_EQ(take(kAnn).entries, 1u);
}

TEST_F(WakingTest, NobodyIsWokenForWhatItDoesNotSee) {
  append();
  watch(kAnn, {.path = "/a", .types = bit(EventType::kRemoved)});
  watch(kBob, {.path = "/a", .spaces = 2});
  watch(kCid, {.path = "/b", .scope = Scope::kSubtree});
  append({created("/a"), created("/bb"), granted("/a/b")});
  EXPECT_FALSE(watches_.waking());
  EXPECT_TRUE(woken().empty());
}

TEST_F(WakingTest, NobodyIsWokenForWhatItHasCollectedMeanwhile) {
  append();
  watch(kAnn, {.path = "/a"});
  watch(kBob, {.path = "/a"});
  append({created("/a")});
  EXPECT_EQ(take(kAnn).entries, 1u);
  EXPECT_EQ(woken(), Owners({kBob}));
}

TEST_F(WakingTest, ManyAreWokenInPortions) {
  append();
  for (uint64_t owner = 1; owner <= 5'000; ++owner) watch(OwnerId(owner), {.path = "/a"});
  append({created("/a")});
  std::set<OwnerId> all;
  for (int turn = 0; turn < 5; ++turn) {
    EXPECT_TRUE(watches_.waking());
    const Owners portion = woken(1'000);
    EXPECT_EQ(portion.size(), 1'000u);
    all.insert(portion.begin(), portion.end());
  }
  EXPECT_EQ(all.size(), 5'000u);
  EXPECT_FALSE(watches_.waking());
}

TEST_F(WakingTest, ThoseWhoWaitedLongestComeFirstWhenItFiresAgain) {
  append();
  for (uint64_t owner = 1; owner <= 30; ++owner) watch(OwnerId(owner), {.path = "/a"});
  for (uint64_t round = 0; round < 6; ++round) {
    append({changed("/a")});
    Owners expected;
    for (uint64_t i = 0; i < 10; ++i) expected.emplace_back((round * 10 + i) % 30 + 1);
    EXPECT_EQ(woken(10), expected);
    for (const OwnerId owner : expected) take(owner);
  }
}

TEST_F(WakingTest, ACrowdDoesNotHoldUpOthers) {
  append();
  for (uint64_t owner = 1'000; owner < 11'000; ++owner) watch(OwnerId(owner), {.path = "/crowd"});
  watch(kAnn, {.path = "/a"});
  append({changed("/crowd")});
  append({changed("/a")});
  const Owners first = woken(1'000);
  EXPECT_NE(std::find(first.begin(), first.end(), kAnn), first.end());
}

TEST_F(WakingTest, WhoAsksBeforeItsTurnIsToldEverythingInOrder) {
  append();
  for (uint64_t owner = 1; owner <= 50; ++owner) watch(OwnerId(owner), {.path = "/crowd"});
  const Registered a = watch(kAnn, {.path = "/a"});
  const Registered crowd = watch(kAnn, {.path = "/crowd"});
  append({changed("/crowd")});
  append({changed("/a")});
  woken(1);
  EXPECT_TRUE(watches_.has_news(kAnn));
  EXPECT_EQ(take(kAnn).progress, Revision(3));
  EXPECT_EQ(lines_,
            Lines({group(crowd.id, 2, {changed("/crowd")}), group(a.id, 3, {changed("/a")})}));
}

TEST_F(WakingTest, AWatchThatGoesDoesNotStopTheOthers) {
  append();
  std::vector<Registered> made;
  for (uint64_t owner = 1; owner <= 6; ++owner)
    made.push_back(watch(OwnerId(owner), {.path = "/a"}));
  append({changed("/a")});
  EXPECT_EQ(woken(2), Owners({OwnerId(1), OwnerId(2)}));
  watches_.unwatch(OwnerId(1), made[0].id);
  watches_.remove_owner(OwnerId(3));
  EXPECT_EQ(woken(), Owners({OwnerId(4), OwnerId(5), OwnerId(6)}));
  for (uint64_t owner = 2; owner <= 6; ++owner) watches_.remove_owner(OwnerId(owner));
  EXPECT_FALSE(watches_.waking());
  EXPECT_EQ(watches_.interest_count(), 0u);
}

TEST_F(WakingTest, AResyncWakesItsOwnerToo) {
  keep(1);
  for (int i = 0; i < 3; ++i) append({changed("/b")});
  EXPECT_TRUE(watch(kAnn, {.path = "/a", .since = Revision(1)}).resync);
  EXPECT_TRUE(watches_.waking());
  EXPECT_EQ(woken(), Owners({kAnn}));
}

}  // namespace
}  // namespace holdfast::watch
