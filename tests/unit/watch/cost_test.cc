// What it costs: allocations of an entry and of a delivery, memory of a watch and of an interest.
#include <iostream>

#include "tests/counting/counted_new.h"
#include "tests/unit/watch/watch_fixture.h"

namespace holdfast::watch {
namespace {

using counting::allocations;
using counting::live_bytes;

/// Reads what it is given, keeps nothing.
class Reader final : public Sink {
 public:
  explicit Reader(History& history) : history_(history) {}
  size_t size_of(const Event& event, bool with_value) override {
    return history_
        .encoded(event, 0, with_value,
                 [](const Event& e, bool, std::string& out) { out.append(e.path()); })
        .size();
  }
  void begin_group(WatchId, Revision) override {}
  void add(const Event&, bool) override { ++events; }
  void end_group(bool) override {}
  void resync_begin(WatchId, Revision) override {}
  void snapshot_item(WatchId, Space, const WalkItem&) override {}
  void resync_end(WatchId, Revision) override {}

  uint64_t events = 0;

 private:
  History& history_;
};

class WatchCosts : public ::testing::Test {
 protected:
  void watch(uint64_t owner, std::string_view path) {
    ASSERT_TRUE(watches_.watch(OwnerId(owner), {.path = path}, 10'000).ok());
  }
  void append(std::string_view path) {
    const NewEvent event{.path = path, .payload = "a value"};
    watches_.append(Revision(++revision_), {&event, 1});
  }
  void collect(OwnerId owner) {
    watches_.collect({owner, ++delivery_}, world_, reader_);
    watches_.acknowledge(owner, delivery_);
  }
  /// Wakes, and lets everybody collect.
  void serve() {
    woken_.clear();
    while (watches_.waking()) watches_.take_woken(1'000, woken_);
    for (const OwnerId owner : woken_) collect(owner);
  }
  /// Allocations of `count` entries at `path` with the history full.
  uint64_t allocations_of(int count, std::string_view path, bool served) {
    uint64_t before = 0;
    for (int i = -200; i < count; ++i) {
      if (i == 0) before = allocations;
      append(path);
      if (served) serve();
    }
    return allocations - before;
  }

  World world_;
  Watches watches_{{.history = {.events = 100}}};
  Reader reader_{watches_.history()};
  std::vector<OwnerId> woken_;
  uint64_t revision_ = 0, delivery_ = 0;
};

TEST_F(WatchCosts, AnEventAllocatesNothingWithOrWithoutWatchers) {
  EXPECT_EQ(allocations_of(100, "/a/b/c", false), 0u) << "its path and payload lie in blocks";
  watch(7, "/other");
  EXPECT_EQ(allocations_of(100, "/a/b/c", false), 0u);
  for (uint64_t owner = 1; owner <= 1'000; ++owner) watch(owner, "/a/b/c");
  EXPECT_EQ(allocations_of(100, "/a/b/c", false), 0u) << "a thousand watchers add none";
}

TEST_F(WatchCosts, ADeliveryInSteadyStateAllocatesTheEncodingOnlyAndOnce) {
  for (uint64_t owner = 1; owner <= 1'000; ++owner) watch(owner, "/a/b/c");
  EXPECT_EQ(allocations_of(50, "/a/b/c", true), 50u) << "the encoding, for all of them";
  EXPECT_EQ(reader_.events, 1'000u * 250u);
  EXPECT_EQ(watches_.check_invariants(), "");
}

TEST_F(WatchCosts, AHundredThousandWatchersOfOneKeyStayUnder200BytesEach) {
  constexpr uint64_t kWatchers = 100'000;
  const int64_t before = live_bytes;
  for (uint64_t owner = 1; owner <= kWatchers; ++owner) watch(owner, "/services/config");
  const double idle = static_cast<double>(live_bytes - before) / kWatchers;
  EXPECT_LT(idle, 200) << "each of its own owner";
  for (int i = 0; i < 100; ++i) append("/services/config");
  const double slow = static_cast<double>(live_bytes - before) / kWatchers;
  EXPECT_LT(slow, 200) << "however slow they are, and before anybody was woken";
  while (watches_.waking()) watches_.take_woken(1'000, woken_);
  const double awake = static_cast<double>(live_bytes - before) / kWatchers;
  EXPECT_LT(awake, 320) << "all woken, and none has collected yet";
  for (const OwnerId owner : woken_) collect(owner);
  append("/services/config");
  serve();
  const double served = static_cast<double>(live_bytes - before) / kWatchers;
  EXPECT_LT(served, 210) << "after all were served";
  std::cout << "bytes a watcher: idle " << idle << ", behind " << slow << ", all awake " << awake
            << ", served " << served << '\n';
}

TEST_F(WatchCosts, AWatchOfADistinctKeyTakesItsInterestToo) {
  constexpr uint64_t kKeys = 10'000;
  const int64_t before = live_bytes;
  for (uint64_t key = 0; key < kKeys; ++key) watch(1, "/keys/number/" + std::to_string(key));
  const double each = static_cast<double>(live_bytes - before) / kKeys;
  EXPECT_LT(each, 500);
  std::cout << "bytes a watch with its own interest: " << each << '\n';
  watches_.remove_owner(OwnerId(1));
  EXPECT_EQ(watches_.interest_count(), 0u);
}

}  // namespace
}  // namespace holdfast::watch
