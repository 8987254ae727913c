// A world with watches for the tests that tell one rule at a time.
#pragma once

#include <gtest/gtest.h>

#include "tests/unit/watch/world.h"

namespace holdfast::watch {

inline constexpr OwnerId kAnn{101}, kBob{102}, kCid{103};

inline Change created(std::string path, std::string payload = "new") {
  return {Space::kKeys, EventType::kCreated, std::move(path), std::move(payload)};
}
inline Change changed(std::string path, std::string payload = "other") {
  return {Space::kKeys, EventType::kChanged, std::move(path), std::move(payload)};
}
inline Change removed(std::string path) {
  return {Space::kKeys, EventType::kRemoved, std::move(path), ""};
}
inline Change granted(std::string path, std::string payload = "ann") {
  return {Space::kLocks, EventType::kGranted, std::move(path), std::move(payload)};
}

class WatchFixture : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(watches_.check_invariants(), ""); }

  /// One entry; answers its revision.
  uint64_t append(std::vector<Change> changes = {}) {
    world_.append(watches_, std::move(changes));
    return world_.last();
  }
  Registered watch(OwnerId owner, WatchSpec spec) {
    spec.with_values = true;
    return *watches_.watch(owner, spec, 10'000);
  }
  Collected collect(OwnerId owner, size_t entries = 1'000, size_t bytes = 1 << 20) {
    Recorder recorder(watches_.history());
    const Collected collected =
        watches_.collect({owner, ++delivery_, bytes, entries}, world_, recorder);
    lines_ = std::move(recorder.lines);
    return collected;
  }
  /// Collects and acknowledges.
  Collected take(OwnerId owner, size_t entries = 1'000, size_t bytes = 1 << 20) {
    const Collected collected = collect(owner, entries, bytes);
    watches_.acknowledge(owner, delivery_);
    return collected;
  }
  std::vector<OwnerId> woken(size_t max = 1'000) {
    std::vector<OwnerId> owners;
    watches_.take_woken(max, owners);
    return owners;
  }
  Line group(WatchId watch, uint64_t revision, std::vector<Change> changes, bool complete = true) {
    return {Kind::kGroup, watch.value, revision, complete, std::move(changes)};
  }
  Line begin(WatchId watch, uint64_t revision) {
    return {Kind::kBegin, watch.value, revision, true, {}};
  }
  Line end(WatchId watch, uint64_t revision) {
    return {Kind::kEnd, watch.value, revision, true, {}};
  }
  Line item(WatchId watch, Change change) {
    return {Kind::kItem, watch.value, 0, true, {std::move(change)}};
  }
  /// The history keeps this many events from now on.
  void keep(uint64_t events) { watches_.set_bounds({.events = events}); }

  World world_;
  Watches watches_{WatchesOptions{}};
  Lines lines_;  ///< of the last delivery
  uint64_t delivery_ = 0;
};

using Owners = std::vector<OwnerId>;

}  // namespace holdfast::watch
