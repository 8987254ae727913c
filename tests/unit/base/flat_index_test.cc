// The index against one that cannot be wrong.
#include "base/flat_index.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "base/entropy.h"

namespace holdfast {
namespace {

/// Few hashes, next to each other and at both ends: long runs that wrap around.
uint64_t hash_of(uint64_t value) { return value % 3 == 0 ? ~uint64_t{0} - value % 5 : value % 7; }

TEST(FlatIndex, HasWhatAnOrdinarySetHas) {
  FlatIndex<uint64_t> index;
  std::unordered_set<uint64_t> model;
  SplitMix random{20261128};
  for (int step = 0; step < 200'000; ++step) {
    const uint64_t value = 1 + random.next() % (step % 2'000 < 1'000 ? 300 : 20);
    const auto is_it = [value](uint64_t other) { return other == value; };
    const uint64_t* const found = index.find(hash_of(value), is_it);
    ASSERT_EQ(found != nullptr, model.contains(value)) << "step " << step;
    if (found == nullptr) {
      index.insert(hash_of(value), value);
      model.insert(value);
    } else {
      ASSERT_EQ(*found, value);
      ASSERT_TRUE(index.erase(hash_of(value), is_it));
      model.erase(value);
    }
    ASSERT_EQ(index.size(), model.size());
  }
}

TEST(FlatIndexDeathTest, WhatMarksAFreeSlotIsNoValue) {
  FlatIndex<uint64_t> index;
  EXPECT_DEATH(index.insert(1, 0), "free slots");
}

}  // namespace
}  // namespace holdfast
