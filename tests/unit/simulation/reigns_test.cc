// A leader that counts as silence what it could not answer breaks I16.
#include "tests/simulation/reigns.h"

#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

class ReignsTest : public testing::Test {
 protected:
  void pass(Duration time) {
    world_.after(time, [] {});
    world_.step(world_.now() + time);
  }
  void serve(const session::LeaseSeed& seed) {
    reigns_.begins_to_serve(Term(3), clock_, std::span(&seed, 1));
  }
  std::string expiry(Term term = Term(3)) {
    return broken_by([&] { reigns_.expired(term, SessionId(5)); });
  }
  Weather weather_;
  Draws draws_{uint64_t{1}};
  World world_{weather_, draws_};
  SimClock clock_{world_, 0, 3'600s};
  Reigns reigns_{world_};
};

TEST_F(ReignsTest, SilenceCountsFromWhenTheLeaderServesAndNotFromItsElection) {
  reigns_.leads(Term(3));
  EXPECT_FALSE(reigns_.serves(Term(3)));
  pass(20s);
  serve({SessionId(5), 8'000, false, 0});
  EXPECT_TRUE(reigns_.serves(Term(3)));
  EXPECT_EQ(expiry(), "I16");
  pass(7'900ms);
  EXPECT_EQ(expiry(), "I16");
  pass(100ms);
  EXPECT_EQ(expiry(), "");
  EXPECT_EQ(world_.marks().of(Mark::kExpiredAfterReplay), 1u);
}

TEST_F(ReignsTest, WhatSilenceTheStateHasIsCountedToo) {
  serve({SessionId(5), 8'000, true, 5'000});
  pass(2'900ms);
  EXPECT_EQ(expiry(), "I16");
  pass(100ms);
  EXPECT_EQ(expiry(), "");
  EXPECT_EQ(world_.marks().of(Mark::kExpiredAfterReplay), 0u);
}

TEST_F(ReignsTest, TimeIsTheLeadersOwn) {
  SimClock slow(world_, -100'000, 0s);
  const session::LeaseSeed seed{SessionId(5), 9'000, false, 0};
  reigns_.begins_to_serve(Term(4), slow, std::span(&seed, 1));
  pass(9'500ms);
  EXPECT_EQ(expiry(Term(4)), "I16");
  pass(500ms);
  EXPECT_EQ(expiry(Term(4)), "");
}

TEST_F(ReignsTest, WhomTheLeaderDidNotFindItOwesNothing) {
  serve({SessionId(6), 8'000, false, 0});
  EXPECT_EQ(expiry(), "");
}

}  // namespace
}  // namespace holdfast::sim
