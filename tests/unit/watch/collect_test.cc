// Deliveries: order, groups and their parts, budgets, acknowledgement and loss, progress.
#include "tests/unit/watch/watch_fixture.h"

namespace holdfast::watch {
namespace {

using CollectTest = WatchFixture;

TEST_F(CollectTest, GroupsComeInRevisionOrderOverAllWatches) {
  append();
  const Registered a = watch(kAnn, {.path = "/a"});
  const Registered b = watch(kAnn, {.path = "/b"});
  append({changed("/b", "2")});
  append({changed("/a", "3"), changed("/b", "3")});
  append({changed("/a", "4")});
  take(kAnn);
  EXPECT_EQ(lines_,
            Lines({group(b.id, 2, {changed("/b", "2")}), group(a.id, 3, {changed("/a", "3")}),
                   group(b.id, 3, {changed("/b", "3")}), group(a.id, 4, {changed("/a", "4")})}));
}

TEST_F(CollectTest, AllMatchingChangesOfAnEntryAreOneGroup) {
  append();
  const Registered all = watch(kAnn, {.path = "/a", .scope = Scope::kSubtree});
  append({created("/a"), created("/b"), created("/a/c")});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/a"), created("/a/c")})}));
}

TEST_F(CollectTest, ABudgetEndsBetweenGroups) {
  append();
  const Registered all = watch(kAnn, {.path = "/", .scope = Scope::kSubtree});
  for (int i = 0; i < 3; ++i) append({changed("/a"), changed("/b")});
  EXPECT_TRUE(take(kAnn, 5).more);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {changed("/a"), changed("/b")}),
                           group(all.id, 3, {changed("/a"), changed("/b")})}));
  EXPECT_FALSE(take(kAnn, 5).more);
  EXPECT_EQ(lines_, Lines({group(all.id, 4, {changed("/a"), changed("/b")})}));
}

TEST_F(CollectTest, BytesAreABudgetAndTheFirstEntryAlwaysFits) {
  append();
  watch(kAnn, {.path = "/a"});
  for (int i = 0; i < 3; ++i) append({changed("/a", std::string(100, 'v'))});
  EXPECT_EQ(take(kAnn, 10, 250).entries, 2u);
  EXPECT_EQ(take(kAnn, 10, 1).entries, 1u);
}

TEST_F(CollectTest, AGroupLargerThanTheBudgetComesInPartsAndGoesOnExactlyThere) {
  append();
  const Registered all = watch(kAnn, {.path = "/", .scope = Scope::kSubtree});
  append({created("/a"), created("/b"), created("/c"), created("/d"), created("/e")});
  EXPECT_EQ(take(kAnn, 2).progress, Revision(1));
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/a"), created("/b")}, false)}));
  append({changed("/a")});
  take(kAnn, 2);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/c"), created("/d")}, false)}));
  take(kAnn, 2);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/e")}), group(all.id, 3, {changed("/a")})}));
}

TEST_F(CollectTest, AGroupThatFitsIsNotSplitBecauseAnotherCameBefore) {
  append();
  const Registered all = watch(kAnn, {.path = "/", .scope = Scope::kSubtree});
  append({created("/a")});
  append({created("/b"), created("/c"), created("/d")});
  take(kAnn, 3);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/a")})}));
  take(kAnn, 3);
  EXPECT_EQ(lines_, Lines({group(all.id, 3, {created("/b"), created("/c"), created("/d")})}));
}

TEST_F(CollectTest, ALostDeliveryIsToldAgainAndAnAcknowledgedOneIsNot) {
  append();
  watch(kAnn, {.path = "/a"});
  append({changed("/a", "2")});
  collect(kAnn);
  const Lines first = lines_;
  EXPECT_FALSE(watches_.has_news(kAnn));
  watches_.rewind(kAnn);
  EXPECT_TRUE(watches_.has_news(kAnn));
  collect(kAnn);
  EXPECT_EQ(lines_, first);
  collect(kAnn);
  EXPECT_EQ(lines_, first) << "collecting again without an acknowledgement means it was lost";
  EXPECT_TRUE(watches_.acknowledge(kAnn, delivery_));
  EXPECT_FALSE(watches_.acknowledge(kAnn, delivery_)) << "once";
  watches_.rewind(kAnn);
  EXPECT_FALSE(watches_.has_news(kAnn));
  EXPECT_EQ(collect(kAnn).entries, 0u);
}

TEST_F(CollectTest, OnlyTheDeliveryUnderWayCanBeAcknowledged) {
  append();
  watch(kAnn, {.path = "/a"});
  append({changed("/a")});
  EXPECT_FALSE(watches_.acknowledge(kAnn, 1));
  collect(kAnn);
  EXPECT_FALSE(watches_.acknowledge(kAnn, delivery_ - 1));
  EXPECT_FALSE(watches_.acknowledge(kAnn, delivery_ + 1));
  EXPECT_FALSE(watches_.acknowledge(kAnn, 0));
  EXPECT_FALSE(watches_.acknowledge(kBob, delivery_));
  EXPECT_TRUE(watches_.acknowledge(kAnn, delivery_));
}

TEST_F(CollectTest, AnAcknowledgedPartIsNotToldAgainWhenTheNextIsLost) {
  append();
  const Registered all = watch(kAnn, {.path = "/", .scope = Scope::kSubtree});
  append({created("/a"), created("/b"), created("/c")});
  take(kAnn, 1);
  collect(kAnn, 1);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/b")}, false)}));
  collect(kAnn, 10);
  EXPECT_EQ(lines_, Lines({group(all.id, 2, {created("/b"), created("/c")})}));
}

TEST_F(CollectTest, ProgressIsTheLastRevisionOnceAllIsTold) {
  append();
  watch(kAnn, {.path = "/a"});
  append({changed("/a")});
  append({changed("/b")});
  EXPECT_EQ(take(kAnn).progress, Revision(3));
  append();
  EXPECT_EQ(take(kAnn).progress, Revision(4));
  EXPECT_EQ(collect(kBob).progress, Revision(0)) << "nobody's";
}

TEST_F(CollectTest, ProgressStopsBeforeTheFirstGroupThatIsLeft) {
  append();
  watch(kAnn, {.path = "/a"});
  append({changed("/a")});
  append();
  append({changed("/a")});
  EXPECT_EQ(take(kAnn, 1).progress, Revision(3));
}

// A reply may be read after the answer to a registration that came later.
TEST_F(CollectTest, ProgressNamesTheWatchesThatItSpeaksOf) {
  append({changed("/b")});
  const Registered a = watch(kAnn, {.path = "/a"});
  append({changed("/a")});
  EXPECT_EQ(take(kAnn).newest_watch, a.id);
  const Registered b = watch(kAnn, {.path = "/b", .since = Revision(1)});
  EXPECT_GT(b.id, a.id);
  EXPECT_EQ(take(kAnn).newest_watch, b.id);
}

TEST_F(CollectTest, AWatchThatGoesLeavesTheRestOfTheDeliveryAsItIs) {
  append();
  const Registered a = watch(kAnn, {.path = "/a"});
  const Registered b = watch(kAnn, {.path = "/b"});
  append({changed("/a"), changed("/b")});
  collect(kAnn);
  watches_.unwatch(kAnn, a.id);
  watches_.rewind(kAnn);
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(b.id, 2, {changed("/b")})}));
  watches_.unwatch(kAnn, b.id);
  EXPECT_EQ(watches_.owner_count(), 0u);
  EXPECT_EQ(collect(kAnn).entries, 0u);
}

TEST_F(CollectTest, AQuietWatchStaysInStepHoweverFarTheHistoryMoves) {
  append();
  const Registered quiet = watch(kAnn, {.path = "/quiet"});
  keep(2);
  for (int i = 0; i < 100; ++i) append({changed("/a")});
  EXPECT_FALSE(watches_.has_news(kAnn)) << "it missed nothing, so nothing is resynchronised";
  append({changed("/quiet")});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(quiet.id, 102, {changed("/quiet")})}));
}

}  // namespace
}  // namespace holdfast::watch
