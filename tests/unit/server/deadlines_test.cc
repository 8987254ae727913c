#include "coordinator/server/deadlines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace holdfast::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<uint64_t> due(DeadlineQueue& queue, Instant now) {
  std::vector<uint64_t> keys;
  queue.take_due(now, [&](uint64_t key) { keys.push_back(key); });
  return keys;
}

TEST(DeadlineQueue, FiresWithinABucketAfterTheDeadlineAndNeverBefore) {
  DeadlineQueue queue;
  const Instant deadline(1000s + 7ms);
  queue.add(1, deadline);
  EXPECT_GE(queue.next(), deadline);
  EXPECT_LE(queue.next(), deadline + DeadlineQueue::kBucket);
  EXPECT_THAT(due(queue, deadline - 1ns), IsEmpty());
  EXPECT_THAT(due(queue, deadline + DeadlineQueue::kBucket), ElementsAre(1));
  EXPECT_EQ(queue.next(), Instant::max());
}

TEST(DeadlineQueue, KeepsTheOrderOfTimeWhateverTheOrderOfAdding) {
  DeadlineQueue queue;
  queue.add(3, Instant(3s));
  queue.add(1, Instant(1s));
  queue.add(4, Instant(3s));
  queue.add(2, Instant(2s));
  queue.add(5, Instant(1s));
  EXPECT_THAT(due(queue, Instant(4s)), ElementsAre(1, 5, 2, 3, 4));
}

TEST(DeadlineQueue, WhatIsAddedWhileItFiresIsKept) {
  DeadlineQueue queue;
  queue.add(1, Instant(1s));
  queue.take_due(Instant(1s + 16ms), [&](uint64_t key) { queue.add(key + 1, Instant(2s)); });
  EXPECT_THAT(due(queue, Instant(2s + 16ms)), ElementsAre(2));
}

TEST(DeadlineQueue, WhatIsFarAheadFiresEarlierToBeAddedAgain) {
  DeadlineQueue queue;
  queue.add_in_steps(1, Instant(600s), Instant(1s));
  queue.add_in_steps(2, Instant(3s), Instant(1s));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_THAT(due(queue, Instant(3s + 16ms)), ElementsAre(2));
  EXPECT_THAT(due(queue, Instant(1s) + DeadlineQueue::kAhead + 16ms), ElementsAre(1));
  EXPECT_EQ(queue.size(), 0u);
}

}  // namespace
}  // namespace holdfast::server
