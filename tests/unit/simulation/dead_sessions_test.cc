// A session that outlives its client beyond the bound of docs/sessions.md breaks I16.
#include "tests/simulation/dead_sessions.h"

#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

class DeadSessionsTest : public testing::Test {
 protected:
  static Weather weather() {
    Weather w;
    w.election_max_ms = 100;  // the slack
    w.drift_ppm = 0;
    return w;
  }
  /// `served`: a leader served at all of these moments.
  std::string pass(Duration time, bool served) {
    dead_.observe(served);
    world_.after(time, [] {});
    world_.step(world_.now() + time);
    return broken_by([&] { dead_.observe(served); });
  }
  const Weather weather_ = weather();
  Draws draws_{uint64_t{1}};
  World world_{weather_, draws_};
  std::optional<DeadSessions::Presence> presence_ = DeadSessions::Presence{8'000, false};
  DeadSessions dead_{world_, [this](SessionId) { return presence_; }};
};

TEST_F(DeadSessionsTest, ItHasToEndWithinItsTtl) {
  dead_.observe(true);
  dead_.died(SessionId(5));
  EXPECT_EQ(pass(8'000ms, true), "");
  EXPECT_EQ(pass(400ms, true), "I16");
  presence_.reset();
  EXPECT_EQ(pass(100'000ms, true), "");
}

TEST_F(DeadSessionsTest, TimeWithoutALeaderIsNotHeldAgainstAnybody) {
  dead_.died(SessionId(5));
  EXPECT_EQ(pass(50'000ms, false), "");
  EXPECT_EQ(pass(8'000ms, true), "");
  EXPECT_EQ(pass(400ms, true), "I16");
}

TEST_F(DeadSessionsTest, ALeadershipBeforeTheMarkCostsHalfATtlAndOneAfterItAnEighth) {
  dead_.observe(true);
  dead_.died(SessionId(5));
  dead_.leadership_ended();
  EXPECT_EQ(pass(12'000ms, true), "");
  presence_->late = true;
  dead_.leadership_ended();
  EXPECT_EQ(pass(1'000ms, true), "");
  EXPECT_EQ(pass(600ms, true), "I16");
}

TEST_F(DeadSessionsTest, OverEndlessElectionsASessionThatIsNeverForgottenIsFound) {
  presence_->late = true;
  dead_.observe(true);
  dead_.died(SessionId(5));
  std::string found;
  for (int reign = 0; reign < 20 && found.empty(); ++reign) {
    found = pass(6'000ms, true);
    dead_.leadership_ended();
  }
  EXPECT_EQ(found, "I16");
}

}  // namespace
}  // namespace holdfast::sim
