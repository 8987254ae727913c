// The walk of a watch that the history has overtaken: its marks, its rule, its end.
#include "tests/unit/watch/client_model.h"
#include "tests/unit/watch/watch_fixture.h"

namespace holdfast::watch {
namespace {

class ResyncTest : public WatchFixture {
 protected:
  /// /a to /e exist, the history has forgotten how, and Ann watches all of it from before that.
  Registered behind(WatchSpec spec = {.path = "/", .scope = Scope::kSubtree}) {
    for (const char* path : {"/a", "/b", "/c", "/d", "/e"}) append({created(path)});
    keep(2);
    spec.since = Revision(1);
    const Registered made = watch(kAnn, spec);
    EXPECT_TRUE(made.resync);
    return made;
  }
};

TEST_F(ResyncTest, ItIsAMarkedSnapshotAndThenEventsFromTheNextRevisionOn) {
  const Registered all = behind();
  const Collected collected = take(kAnn);
  EXPECT_EQ(lines_,
            Lines({begin(all.id, 5), item(all.id, created("/a")), item(all.id, created("/b")),
                   item(all.id, created("/c")), item(all.id, created("/d")),
                   item(all.id, created("/e")), end(all.id, 5)}));
  EXPECT_EQ(collected.progress, Revision(5));
  append({changed("/a")});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {changed("/a")})}));
}

TEST_F(ResyncTest, TheHistoryIsResumedAtItsFloorAndNotOneRevisionBefore) {
  for (int i = 0; i < 5; ++i) append({changed("/a", std::to_string(i))});
  keep(2);
  ASSERT_EQ(watches_.history().floor(), Revision(3));
  EXPECT_FALSE(watch(kAnn, {.path = "/a", .since = Revision(3)}).resync);
  EXPECT_TRUE(watch(kBob, {.path = "/a", .since = Revision(2)}).resync)
      << "the change in 3 is lost";
}

TEST_F(ResyncTest, ChangesBeforeTheWalkerAreToldLaterOnesAreMet) {
  const Registered all = behind();
  take(kAnn, 3);
  EXPECT_EQ(lines_,
            Lines({begin(all.id, 5), item(all.id, created("/a")), item(all.id, created("/b"))}));
  append({changed("/a", "6"), changed("/d", "6")});
  EXPECT_EQ(take(kAnn, 2).progress, Revision(0)) << "nothing is sure before the end";
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {changed("/a", "6")}), item(all.id, created("/c"))}));
  append({removed("/c"), removed("/e"), created("/cc", "7")});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(all.id, 7, {removed("/c")}), item(all.id, created("/cc", "7")),
                           item(all.id, created("/d", "6")), end(all.id, 7)}));
}

TEST_F(ResyncTest, TheWalkShowsTheScopeOnly) {
  const auto walked = [this](WatchSpec spec) {
    keep(100);
    append({created("/a"), created("/a/b"), created("/a/b/c"), created("/ab"), granted("/a/b")});
    keep(1);
    append({changed("/x")});
    spec.since = Revision(world_.last() - 2);
    watch(kAnn, spec);
    take(kAnn);
    std::vector<std::string> paths;
    for (const Line& line : lines_) {
      if (line.kind == Kind::kItem) paths.push_back(line.changes.front().path);
    }
    watches_.remove_owner(kAnn);
    return paths;
  };
  using Paths = std::vector<std::string>;
  append({});
  EXPECT_EQ(walked({.path = "/a", .spaces = 1}), Paths({"/a"}));
  EXPECT_EQ(walked({.path = "/a", .scope = Scope::kChildren, .spaces = 1}), Paths({"/a/b"}));
  EXPECT_EQ(walked({.path = "/a", .scope = Scope::kSubtree, .spaces = 1}),
            Paths({"/a", "/a/b", "/a/b/c"}));
  EXPECT_EQ(walked({.path = "/a", .scope = Scope::kSubtree, .spaces = 2}), Paths({"/a/b"}));
  EXPECT_EQ(walked({.path = "/a", .scope = Scope::kSubtree}),
            Paths({"/a", "/a/b", "/a/b/c", "/a/b"}));
  EXPECT_EQ(walked({.path = "/none"}), Paths());
}

TEST_F(ResyncTest, WhileKeysAreWalkedChangesOfLocksAreStillToCome) {
  append({granted("/l", "1")});
  const Registered all = behind();
  take(kAnn, 2);
  append({granted("/l", "7"), granted("/m", "7")});
  take(kAnn, 5);
  EXPECT_EQ(lines_.back(), item(all.id, {Space::kLocks, EventType::kCreated, "/l", "7"}));
  append({granted("/l", "8")});
  take(kAnn);
  EXPECT_EQ(lines_,
            Lines({group(all.id, 8, {granted("/l", "8")}),
                   item(all.id, {Space::kLocks, EventType::kCreated, "/m", "7"}), end(all.id, 8)}));
}

TEST_F(ResyncTest, ASlowWatcherIsResynchronisedWhenItsNextEventIsGone) {
  append();
  const Registered a = watch(kAnn, {.path = "/a"});
  keep(2);
  for (int i = 0; i < 5; ++i) append({changed("/a", std::to_string(i))});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({begin(a.id, 6), item(a.id, created("/a", "4")), end(a.id, 6)}));
}

TEST_F(ResyncTest, WhatWasLostBeforeItBeganDoesNotOvertakeIt) {
  append();
  const Registered a = watch(kAnn, {.path = "/a"});
  keep(2);
  for (int i = 0; i < 5; ++i) append({changed("/a", std::to_string(i))});
  take(kAnn, 1);
  EXPECT_EQ(lines_, Lines({begin(a.id, 6)}));
  take(kAnn, 1);
  EXPECT_EQ(lines_, Lines({item(a.id, created("/a", "4"))}));
  take(kAnn, 1);
  EXPECT_EQ(lines_, Lines({end(a.id, 6)}));
}

TEST_F(ResyncTest, ADeliveryLostInTheMiddleIsWalkedAgainAsTheStateIsThen) {
  const Registered all = behind();
  take(kAnn, 2);
  collect(kAnn, 2);
  EXPECT_EQ(lines_, Lines({item(all.id, created("/b")), item(all.id, created("/c"))}));
  append({removed("/b"), changed("/a", "6")});
  collect(kAnn, 2);
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {changed("/a", "6")}), item(all.id, created("/c"))}));
}

TEST_F(ResyncTest, ALostBeginIsToldAgain) {
  const Registered all = behind();
  collect(kAnn, 1);
  EXPECT_EQ(lines_, Lines({begin(all.id, 5)}));
  append({});
  collect(kAnn, 2);
  EXPECT_EQ(lines_, Lines({begin(all.id, 6), item(all.id, created("/a"))}));
}

TEST_F(ResyncTest, AWalkThatTheHistoryOvertakesBeginsAgain) {
  const Registered all = behind();
  take(kAnn, 3);
  for (int i = 0; i < 3; ++i) append({changed("/a", std::to_string(i))});
  take(kAnn, 2);
  EXPECT_EQ(lines_, Lines({begin(all.id, 8), item(all.id, created("/a", "2"))}));
}

TEST_F(ResyncTest, AnOvertakenWalkLetsTheOthersGoFirst) {
  const Registered all = behind();
  const Registered a = watch(kAnn, {.path = "/a", .since = Revision(1)});
  take(kAnn, 3);
  for (int i = 0; i < 3; ++i) append({changed("/b", std::to_string(i))});
  take(kAnn, 4);
  EXPECT_EQ(lines_,
            Lines({begin(a.id, 8), item(a.id, created("/a")), end(a.id, 8), begin(all.id, 8)}));
}

TEST_F(ResyncTest, OneEntryADeliveryIsEnough) {
  const Registered all = behind();
  Lines told;
  while (take(kAnn, 1).entries > 0) {
    ASSERT_EQ(lines_.size(), 1u);
    told.push_back(lines_.front());
    ASSERT_LT(told.size(), 10u);
  }
  EXPECT_EQ(told, Lines({begin(all.id, 5), item(all.id, created("/a")), item(all.id, created("/b")),
                         item(all.id, created("/c")), item(all.id, created("/d")),
                         item(all.id, created("/e")), end(all.id, 5)}));
}

TEST_F(ResyncTest, AGroupWithinItComesInPartsToo) {
  const Registered all = behind();
  take(kAnn, 4);
  append({changed("/a"), changed("/e"), changed("/b"), changed("/c")});
  take(kAnn, 2);
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {changed("/a"), changed("/b")}, false)}));
  take(kAnn, 2);
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {changed("/c")}), item(all.id, created("/d"))}));
}

TEST_F(ResyncTest, OneWatchOfAnOwnerWalksAtATime) {
  const Registered all = behind();
  const Registered a = watch(kAnn, {.path = "/a", .since = Revision(1)});
  take(kAnn, 4);
  EXPECT_EQ(lines_.size(), 4u);
  take(kAnn);
  EXPECT_EQ(lines_, Lines({item(all.id, created("/d")), item(all.id, created("/e")), end(all.id, 5),
                           begin(a.id, 5), item(a.id, created("/a")), end(a.id, 5)}));
}

TEST_F(ResyncTest, EventsAndAResyncShareEachDelivery) {
  const Registered all = behind();
  const Registered x = watch(kAnn, {.path = "/x"});
  keep(100);
  for (int i = 0; i < 20; ++i) append({changed("/x")});
  std::map<Kind, int> told;
  for (int i = 0; i < 3; ++i) {
    take(kAnn, 4);
    for (const Line& line : lines_) ++told[line.watch == x.id.value ? Kind::kGroup : Kind::kItem];
  }
  EXPECT_EQ(told[Kind::kGroup], 6);
  EXPECT_EQ(told[Kind::kItem], 6);
  EXPECT_NE(all.id, x.id);
}

TEST_F(ResyncTest, NeitherEventsNorAResyncStarveWhenOneEntryFillsADelivery) {
  behind();
  watch(kAnn, {.path = "/x"});
  keep(100);
  for (int i = 0; i < 20; ++i) append({changed("/x")});
  std::map<Kind, int> told;
  for (int i = 0; i < 6; ++i) {
    take(kAnn, 1);
    ASSERT_EQ(lines_.size(), 1u);
    ++told[lines_.front().kind];
  }
  EXPECT_EQ(told[Kind::kGroup], 3);
  EXPECT_EQ(told[Kind::kBegin] + told[Kind::kItem], 3);
}

TEST_F(ResyncTest, ItEndsUnderLoadWhenTheClientTakesMoreThanComes) {
  for (int i = 0; i < 200; ++i) append({created("/k/" + std::to_string(1'000 + i))});
  keep(4);
  append({});
  const Registered all =
      watch(kAnn, {.path = "/k", .scope = Scope::kSubtree, .since = Revision(1)});
  WatchModel client(world_, {.scope = Scope::kSubtree, .with_values = true}, "/k", 1);
  int deliveries = 0;
  for (; deliveries == 0 || client.resyncing(); ++deliveries) {
    ASSERT_LT(deliveries, 200) << "200 objects, 3 entries a delivery, 2 of them for changes";
    const std::string at = std::to_string(1'000 + deliveries * 37 % 200);
    append({changed("/k/" + at), created("/k/" + at + "/new" + std::to_string(deliveries))});
    take(kAnn, 4);
    for (const Line& line : lines_) client.take(line);
  }
  EXPECT_GT(deliveries, 50);
  EXPECT_EQ(client.last(), world_.last());
  EXPECT_NE(all.id, WatchId(0));
}

// docs/watches.md: the new view is the state at R, whatever types of events the watch asked for.
TEST_F(ResyncTest, AFilterKeepsNoChangeFromTheViewThatIsBuilt) {
  const Registered all =
      behind({.path = "/", .scope = Scope::kSubtree, .types = bit(EventType::kCreated)});
  take(kAnn, 3);
  EXPECT_EQ(lines_,
            Lines({begin(all.id, 5), item(all.id, created("/a")), item(all.id, created("/b"))}));
  append({removed("/a"), changed("/b"), removed("/e")});
  take(kAnn, 1);
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {removed("/a")}, false)}));
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(all.id, 6, {changed("/b")}), item(all.id, created("/c")),
                           item(all.id, created("/d")), end(all.id, 6)}));
  append({removed("/c"), created("/f")});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({group(all.id, 7, {created("/f")})}));
}

TEST_F(ResyncTest, AFilteredWalkThatTheHistoryOvertakesBeginsAgain) {
  const Registered all =
      behind({.path = "/", .scope = Scope::kSubtree, .types = bit(EventType::kCreated)});
  take(kAnn, 2);
  append({removed("/a")});
  append({changed("/b")});
  append({changed("/c")});
  take(kAnn);
  EXPECT_EQ(lines_, Lines({begin(all.id, 8), item(all.id, created("/b", "other")),
                           item(all.id, created("/c", "other")), item(all.id, created("/d")),
                           item(all.id, created("/e")), end(all.id, 8)}));
}

TEST_F(ResyncTest, AWatchThatGoesInTheMiddleOfItsWalkIsGone) {
  const Registered all = behind();
  const Registered a = watch(kAnn, {.path = "/a", .since = Revision(1)});
  take(kAnn, 2);
  collect(kAnn, 1);
  watches_.unwatch(kAnn, all.id);
  take(kAnn);
  EXPECT_EQ(lines_, Lines({begin(a.id, 5), item(a.id, created("/a")), end(a.id, 5)}));
}

}  // namespace
}  // namespace holdfast::watch
