#include "session/sequence_set.h"

#include <gtest/gtest.h>

#include <set>

#include "base/entropy.h"

namespace holdfast::session {
namespace {

using Added = SequenceSet::Added;

SequenceRange range(uint64_t first, uint64_t last) { return {Sequence(first), Sequence(last)}; }

TEST(SequenceSet, InOrderAcknowledgementsCostOneNumber) {
  SequenceSet set;
  for (uint64_t i = 1; i <= 100'000; ++i) EXPECT_EQ(set.add(range(i, i), 4), Added::kNew);
  EXPECT_EQ(set.floor(), Sequence(100'000));
  EXPECT_TRUE(set.ranges().empty());
}

TEST(SequenceSet, AGapIsARangeUntilItIsFilled) {
  SequenceSet set;
  set.add(range(5, 7), 4);
  EXPECT_EQ(set.floor(), Sequence(0));
  EXPECT_FALSE(set.contains(Sequence(4)));
  EXPECT_TRUE(set.contains(Sequence(5)));
  EXPECT_FALSE(set.contains(Sequence(8)));
  set.add(range(1, 4), 4);
  EXPECT_EQ(set.floor(), Sequence(7));
  EXPECT_TRUE(set.ranges().empty());
}

TEST(SequenceSet, TooManyRangesAreRefusedAndChangeNothing) {
  SequenceSet set;
  set.add(range(10, 10), 2);
  set.add(range(20, 20), 2);
  const SequenceSet before = set;
  EXPECT_EQ(set.add(range(30, 30), 2), Added::kTooMany);
  EXPECT_EQ(set, before);
  EXPECT_EQ(set.add(range(11, 11), 2), Added::kNew);
  EXPECT_EQ(set.add(range(10, 11), 2), Added::kPresent);
}

TEST(SequenceSet, RangesThatOverlapOutOfOrderAreRefusedWhenAssigned) {
  SequenceSet set;
  EXPECT_TRUE(set.assign(Sequence(3), {range(5, 6), range(9, 9)}));
  EXPECT_FALSE(set.assign(Sequence(3), {range(4, 6)}));
  EXPECT_FALSE(set.assign(Sequence(3), {range(9, 9), range(5, 6)}));
  EXPECT_FALSE(set.assign(Sequence(3), {range(6, 5)}));
}

TEST(SequenceSet, AgreesWithAPlainSetOverRandomRanges) {
  SplitMix random(7);
  for (int run = 0; run < 50; ++run) {
    SequenceSet set;
    std::set<uint64_t> model;
    for (int step = 0; step < 60; ++step) {
      const uint64_t first = 1 + random.below(120);
      const uint64_t last = first + random.below(6);
      const size_t before = model.size();
      for (uint64_t s = first; s <= last; ++s) model.insert(s);
      EXPECT_EQ(set.add(range(first, last), 1'000) == Added::kNew, model.size() > before);
    }
    for (uint64_t s = 1; s <= 130; ++s) {
      ASSERT_EQ(set.contains(Sequence(s)), model.contains(s)) << s;
    }
    SequenceSet copy;
    EXPECT_TRUE(copy.assign(set.floor(), set.ranges()));
    EXPECT_EQ(copy, set);
  }
}

}  // namespace
}  // namespace holdfast::session
