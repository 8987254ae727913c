// 100,000 sessions that renew every 3 s must cost the leader little.
#include <gtest/gtest.h>

#include <vector>

#include "session/lease_keeper.h"
#include "tests/counting/counted_new.h"

namespace holdfast::session {
namespace {

using counting::allocations;

TEST(RenewalCost, RenewalsAllocateNothingInSteadyState) {
  constexpr uint64_t kSessions = 1'000;
  LeaseKeeper keeper;
  std::vector<LeaseSeed> seeds;
  for (uint64_t i = 1; i <= kSessions; ++i) seeds.push_back({SessionId(i), 10'000});
  keeper.lead(Instant(1s), seeds);
  std::vector<RenewalAnswer> answers;
  std::vector<LateMark> marks;
  uint64_t round = 0;
  uint64_t before = 0;
  for (uint64_t turn = 0; turn < 30'000; ++turn) {
    if (turn == 10'000) before = allocations;
    const Instant now = Instant(1s) + turn * 1ms;
    answers.clear();
    // Every session once in a second, two rounds under way at a time.
    keeper.renew(turn, SessionId(1 + turn % kSessions), now, answers);
    keeper.round_started(++round);
    if (round > 2) keeper.round_done(round - 2, answers);
    keeper.due(now, marks);
    ASSERT_TRUE(marks.empty());
    ASSERT_EQ(answers.size(), round > 2 ? 1u : 0u);
  }
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace holdfast::session
