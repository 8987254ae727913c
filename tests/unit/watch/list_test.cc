// Who watches what, as operators see it: every watch in one page, and whether it was told all.
#include <set>

#include "tests/unit/watch/watch_fixture.h"

namespace holdfast::watch {
namespace {

constexpr size_t kAnyBytes = 1 << 20;

class WatchListTest : public WatchFixture {
 protected:
  WatchView only() {
    const WatchList list = watches_.list(0, 10, kAnyBytes);
    EXPECT_EQ(list.watches.size(), 1u);
    return list.watches.empty() ? WatchView{} : list.watches.front();
  }
  /// All, page by page; in none twice.
  std::set<WatchId> all(size_t max, size_t bytes = kAnyBytes) {
    std::set<WatchId> ids;
    uint64_t place = 0;
    do {
      const WatchList list = watches_.list(place, max, bytes);
      for (const WatchView& watch : list.watches) EXPECT_TRUE(ids.insert(watch.id).second);
      place = list.next;
    } while (place != 0);
    return ids;
  }
};

TEST_F(WatchListTest, SaysWhoseAWatchIsAndWhatItSees) {
  EXPECT_TRUE(watches_.list(0, 10, kAnyBytes).watches.empty());
  const auto spaces = static_cast<uint8_t>(Space::kLocks);
  const Registered made = watch(kAnn, {"/a", Scope::kSubtree, spaces, bit(EventType::kGranted)});
  const WatchView view = only();
  EXPECT_EQ(view.owner, kAnn);
  EXPECT_EQ(view.id, made.id);
  EXPECT_EQ(view.path, "/a");
  EXPECT_EQ(view.scope, Scope::kSubtree);
  EXPECT_EQ(view.spaces, spaces);
  EXPECT_EQ(view.types, bit(EventType::kGranted));
  EXPECT_TRUE(view.with_values);
}

TEST_F(WatchListTest, IsBehindUntilItWasToldWhatItSees) {
  append({created("/a")});
  watch(kAnn, {"/a"});
  EXPECT_FALSE(only().behind);
  append({created("/b")});
  EXPECT_FALSE(only().behind) << "it missed nothing";
  append({changed("/a")});
  EXPECT_TRUE(only().behind);
  EXPECT_FALSE(only().resyncing);
  take(kAnn);
  EXPECT_FALSE(only().behind);
}

TEST_F(WatchListTest, SaysThatAWatchIsResynchronised) {
  append({created("/a")});
  watch(kAnn, {"/a"});
  keep(1);
  append({changed("/a")});
  append({changed("/a")});
  append({changed("/a")});
  collect(kAnn, 1);
  EXPECT_TRUE(only().resyncing);
  while (take(kAnn).more) {
  }
  EXPECT_FALSE(only().resyncing);
}

TEST_F(WatchListTest, HasEveryWatchInOnePageWhateverItsSize) {
  std::set<WatchId> there;
  for (int i = 0; i < 20; ++i) {
    there.insert(watch(i % 2 == 0 ? kAnn : kBob, {"/a" + std::to_string(i)}).id);
  }
  for (const size_t max : {1, 3, 7, 20, 1'000}) EXPECT_EQ(all(max), there);
  EXPECT_EQ(all(1'000, 1), there) << "one is told however long its path";
  watches_.remove_owner(kBob);
  std::erase_if(there, [this](WatchId id) { return !watches_.unwatch(kAnn, id); });
  EXPECT_EQ(all(3), std::set<WatchId>{});
  there = {watch(kCid, {"/c"}).id};
  EXPECT_EQ(all(3), there) << "places that were left are used again";
  EXPECT_TRUE(watches_.list(1'000'000, 10, kAnyBytes).watches.empty());
}

}  // namespace
}  // namespace holdfast::watch
