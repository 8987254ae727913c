// The calls of a simulated run are judged by tests/history: a whole run is sound, and any one
// answer in it that is made another is found.
#include "tests/simulation/recorder.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "tests/simulation/call_judge.h"
#include "tests/simulation/shrink.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/swarm.h"
#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

using Asked = history::Call;
using history::Operation;
using Calls = std::vector<Operation>;

bool puts_keys(const Script& script) {
  return std::ranges::any_of(script.ops, [](const Op& op) { return op.kind == OpKind::kPut; });
}

/// The first seed from 1 on whose plan wants to be judged, and has keys.
Schedule judged_schedule() {
  for (uint64_t seed = 1;; ++seed) {
    Schedule schedule = schedule_of_seed(seed, 20'000, false);
    const bool keys = std::ranges::any_of(schedule.plan.scripts, puts_keys);
    if (schedule.plan.weather.judged != 0 && keys) return schedule;
  }
}

class RecorderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    schedule_ = judged_schedule();
    draws_.emplace(*schedule_.draws_of_seed);
    simulation_ = std::make_unique<Simulation>(schedule_.plan, *draws_, RunOptions{});
    result_ = simulation_->run();
    calls_ = simulation_->calls();
  }
  static void TearDownTestSuite() { simulation_.reset(); }
  static std::string judged(const Calls& calls) {
    return broken_by([&] { judge(calls, simulation_->history()); });
  }
  /// What is found when the first call of which `is_it` holds is changed.
  static std::string found(const std::function<bool(const Operation&)>& is_it,
                           const std::function<void(Operation&)>& change) {
    Calls calls = calls_;
    const auto at = std::find_if(calls.begin(), calls.end(), is_it);
    if (at == calls.end()) return "no such call";
    change(*at);
    return judged(calls);
  }
  static bool granted(const Operation& op) {
    return op.call == Asked::kAcquire && op.answer.status == history::Status::kGranted;
  }
  static bool reads(const Operation& op) {
    return op.call == Asked::kDescribeLock && op.answer.known && !op.answer.holders.empty();
  }

  static inline Schedule schedule_;
  static inline std::optional<Draws> draws_;
  static inline std::unique_ptr<Simulation> simulation_;
  static inline RunResult result_;
  static inline Calls calls_;
};

TEST_F(RecorderTest, ASoundRunIsSound) {
  EXPECT_EQ(result_.what, "");
  EXPECT_EQ(result_.marks.of(Mark::kJudged), 1u);
  EXPECT_EQ(result_.marks.of(Mark::kKeysJudged), 1u);
  EXPECT_GT(calls_.size(), 200u);
  EXPECT_EQ(judged(calls_), "");
}

TEST_F(RecorderTest, AGrantWithAnotherTokenIsFound) {
  EXPECT_EQ(found(granted, [](Operation& op) { op.answer.token = op.answer.holder_id + 1; }),
            "LINEAR");
}

TEST_F(RecorderTest, AGrantThatWasToldAsARefusalIsFound) {
  EXPECT_EQ(found(granted,
                  [](Operation& op) {
                    op.answer = {.known = true,
                                 .status = history::Status::kNotGranted,
                                 .reason = history::Reason::kBusy};
                  }),
            "LINEAR");
}

TEST_F(RecorderTest, AHolderThatIsNotShownIsFound) {
  EXPECT_EQ(found(reads, [](Operation& op) { op.answer.holders.clear(); }), "LINEAR");
}

TEST_F(RecorderTest, AnOldTokenThatIsCalledCurrentIsFound) {
  const auto checked = [](const Operation& op) {
    return op.call == Asked::kCheckToken && op.answer.known && !op.answer.current;
  };
  EXPECT_EQ(found(checked, [](Operation& op) { op.answer.current = true; }), "LINEAR");
}

TEST_F(RecorderTest, AReadFromBeforeAnAnswerThatCameFirstIsFound) {
  const auto linearizable = [](const Operation& op) { return reads(op) && !op.arguments.local; };
  EXPECT_EQ(found(linearizable, [](Operation& op) { op.revision = 2; }), "LINEAR");
}

TEST_F(RecorderTest, ACommandThatWasCalledNotAppliedIsFound) {
  EXPECT_EQ(found(
                [](const Operation& op) {
                  return op.call == Asked::kRelease &&
                         op.answer.release == history::ReleaseStatus::kReleased;
                },
                [](Operation& op) { op.answer = {.known = true, .error = "NO_LEADER"}; }),
            "LINEAR");
}

TEST_F(RecorderTest, AKeyOfAnotherVersionIsFound) {
  const auto shows = [](const Operation& op) {
    return op.call == Asked::kGet && !op.answer.keys.empty();
  };
  EXPECT_EQ(found(shows, [](Operation& op) { ++op.answer.keys.front().version; }), "LINEAR");
}

TEST_F(RecorderTest, AWriteOfAnotherVersionIsFound) {
  const auto wrote = [](const Operation& op) {
    return op.call == Asked::kPut && op.answer.known && op.answer.error.empty();
  };
  EXPECT_EQ(found(wrote, [](Operation& op) { ++op.answer.results.front().version; }), "LINEAR");
}

TEST(Recorder, WritesOfOneKeyHaveValuesOfTheirOwn) {
  const Schedule schedule = judged_schedule();
  Draws draws(*schedule.draws_of_seed);
  Simulation simulation(schedule.plan, draws, {});
  static_cast<void>(simulation.run());
  std::map<std::string, std::pair<uint64_t, uint64_t>> writers;
  uint64_t sent = 0, writes = 0;
  for (const Operation& op : simulation.calls()) {
    ++sent;
    for (const history::KeyWrite& write : op.arguments.writes) {
      if (write.act == history::KeyAct::kRemove) continue;
      const bool numbered = op.arguments.session != 0;
      const std::pair writer(op.arguments.session, numbered ? op.arguments.sequence : sent);
      const auto [at, fresh] = writers.emplace(write.value, writer);
      EXPECT_EQ(at->second, writer) << write.value;
      ++writes;
    }
  }
  EXPECT_GT(writes, 50u);
}

TEST(Recorder, ARunThatIsNotToBeJudgedKeepsNothing) {
  Weather weather;
  Draws draws{uint64_t{1}};
  World world(weather, draws);
  Recorder recorder(world, false);
  EXPECT_EQ(recorder.asked("c", {}, api::PollRequest{}), Recorder::kNone);
  EXPECT_TRUE(recorder.calls().empty());
}

TEST_F(RecorderTest, AHistoryOfNothingBreaksVacuous) { EXPECT_EQ(judged({}), "VACUOUS"); }

}  // namespace
}  // namespace holdfast::sim
