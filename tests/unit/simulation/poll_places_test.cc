// A parked poll that is left alone while what its watches have seen leaves the history breaks I19.
#include "tests/simulation/poll_places.h"

#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

class PollPlacesTest : public testing::Test {
 protected:
  /// A turn `later`, with a history that reaches back to `floor`.
  std::string turn(Duration later, uint64_t floor, uint64_t last, bool renews = false) {
    now_ += later;
    const PollPlaces::Standing standing{now_, Revision(last), Revision(floor), Revision(last),
                                        renews};
    return broken_by([&] { places_.turned(standing, [this](SessionId) { return watching_; }); });
  }
  void arrive(uint32_t call, uint64_t applied) {
    places_.arrived(SessionId(5), call, Revision(applied));
  }
  Weather weather_;
  Draws draws_{uint64_t{1}};
  World world_{weather_, draws_};
  PollPlaces places_{world_};
  Instant now_{};
  bool watching_ = true;
};

TEST_F(PollPlacesTest, AParkedPollOfTheOlderHalfIsToBeAnsweredSoon) {
  arrive(1, 100);
  EXPECT_EQ(turn(1s, 50, 150), "");
  EXPECT_EQ(turn(1s, 51, 151), "");
  EXPECT_EQ(turn(20ms, 60, 160), "");
  EXPECT_EQ(turn(1ms, 60, 160), "I19");
}

TEST_F(PollPlacesTest, WhatAReplyToldIsKnownUntilTheNextOne) {
  arrive(1, 100);
  EXPECT_EQ(turn(1s, 51, 151), "");
  places_.told(1, Revision(151));
  EXPECT_EQ(world_.marks().of(Mark::kToldInTime), 1u);
  // Nobody asks; and then one does for whom nothing is new.
  EXPECT_EQ(turn(1s, 200, 300), "");
  arrive(2, 300);
  EXPECT_EQ(turn(1s, 200, 300), "");
  EXPECT_EQ(turn(1s, 200, 300), "I19");
}

TEST_F(PollPlacesTest, OneThatWaitsForItsRenewalIsNotAnsweredBefore) {
  arrive(1, 100);
  EXPECT_EQ(turn(1s, 200, 300, true), "");
  EXPECT_EQ(turn(1s, 200, 300, true), "");
  EXPECT_EQ(turn(1s, 200, 300), "");
  EXPECT_EQ(turn(1s, 200, 300), "I19");
}

TEST_F(PollPlacesTest, ARefusedPollTellsNothingAndIsNoneAnyMore) {
  arrive(1, 100);
  places_.refused(1);
  EXPECT_EQ(turn(1s, 200, 300), "");
  EXPECT_EQ(turn(1s, 200, 300), "");
  arrive(2, 300);
  places_.refused(1);
  EXPECT_EQ(turn(1s, 200, 300), "");
  EXPECT_EQ(turn(1s, 200, 300), "I19");
}

// One that comes after a newer one is refused, and the newer one goes on.
TEST_F(PollPlacesTest, ALatePollLeavesTheParkedOneWhereItIs) {
  arrive(2, 100);
  arrive(1, 120);
  places_.refused(1);
  EXPECT_EQ(turn(1s, 51, 151), "");
  places_.told(2, Revision(151));
  EXPECT_EQ(world_.marks().of(Mark::kToldInTime), 1u);
  arrive(3, 151);
  EXPECT_EQ(turn(1s, 60, 160), "");
  EXPECT_EQ(turn(1s, 60, 160), "") << "it was told through 151";
  EXPECT_EQ(turn(1s, 200, 300), "");
  EXPECT_EQ(turn(1s, 200, 300), "I19");
}

TEST_F(PollPlacesTest, WhoWatchesNothingHasNoPlaceToLose) {
  watching_ = false;
  arrive(1, 100);
  EXPECT_EQ(turn(1s, 200, 300), "");
  EXPECT_EQ(turn(1s, 200, 300), "");
  watching_ = true;
  EXPECT_EQ(turn(1s, 249, 349), "");
  EXPECT_EQ(turn(1s, 249, 349), "");
}

}  // namespace
}  // namespace holdfast::sim
