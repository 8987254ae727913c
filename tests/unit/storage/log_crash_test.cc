// Crashes at every operation that a workload of the log makes, one that cuts its log too.
// LogWorkload judges each recovery: everything acknowledged is there unless it was cut off, nothing
// is invented, term and vote never go back.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/storage/crash_scene.h"
#include "tests/unit/storage/log_workload.h"

namespace holdfast::raft {
namespace {

constexpr int kBatches = 30;
constexpr uint64_t kWorkloadSeed = 5;

using Kind = LogWorkload::Kind;
using Scene = CrashScene<LogWorkload>;

/// Runs the workload from an empty disk; the operation of that number, counted after the log's
/// directory was made, crashes.
Scene run_until(uint64_t operation, Kind kind) {
  Scene scene{fake_disk(operation), LogWorkload(kWorkloadSeed, kind)};
  scene.disk->crash_at(scene.disk->operations() + operation);
  scene.client.run(*scene.disk, kBatches);
  return scene;
}

uint64_t operations_of(Kind kind) {
  auto disk = fake_disk();
  const uint64_t before = disk->operations();
  LogWorkload client(kWorkloadSeed, kind);
  EXPECT_TRUE(client.run(*disk, kBatches));
  EXPECT_TRUE(*disk->exists(segment_path(4)) || kind != Kind::kWhole)
      << "the workload fills several segments";
  EXPECT_TRUE(!*disk->exists(segment_path(1)) || kind == Kind::kWhole) << "and cuts some off";
  return disk->operations() - before;
}

class LogCrash : public ::testing::TestWithParam<Kind> {};

INSTANTIATE_TEST_SUITE_P(Log, LogCrash, ::testing::Values(Kind::kWhole, Kind::kCut),
                         [](const auto& each) {
                           return each.param == Kind::kWhole ? "Whole" : "Cut";
                         });

TEST_P(LogCrash, AtEveryOperationNothingAcknowledgedIsLost) {
  const uint64_t operations = operations_of(GetParam());
  for (uint64_t at = 1; at <= operations; ++at) {
    const Scene crashed = run_until(at, GetParam());
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      for (const Crash crash : kCrashes) {
        SCOPED_TRACE("operation " + std::to_string(at) + " seed " + std::to_string(seed));
        Scene scene = crashed.copy(seed);
        scene.strike(crash);
        scene.check();
        // What the recovery gave out is durable without any further write.
        if (crash == Crash::kProcessThenPower) scene.disk->power_loss();
        ASSERT_TRUE(scene.client.run(*scene.disk, 3));
        scene.disk->power_loss();
        scene.check();
        ASSERT_FALSE(testing::Test::HasFailure());
      }
    }
  }
}

TEST_P(LogCrash, ASecondCrashAtEveryOperationOfTheRecoveryLosesNothingEither) {
  const uint64_t operations = operations_of(GetParam());
  for (uint64_t at = 1; at <= operations; at += 3) {
    crash_the_next_start(run_until(at, GetParam()), at, 1,
                         [](Scene& scene) { return scene.client.run(*scene.disk, 1); });
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// What a start reuses, another start may have made superfluous by a rename that no power loss has
// met yet.
TEST_P(LogCrash, AKilledStartAndAPowerLossInTheNextLoseNothing) {
  for (int batches = 1; batches <= kBatches; ++batches) {
    Scene whole{fake_disk(1), LogWorkload(kWorkloadSeed, GetParam())};
    ASSERT_TRUE(whole.client.run(*whole.disk, batches));
    for (uint64_t first = 1; first <= 12; ++first) {
      for (uint64_t second = 1; second <= 12; ++second) {
        SCOPED_TRACE("operations " + std::to_string(first) + ", " + std::to_string(second));
        Scene scene = whole.copy(first + batches);
        scene.disk->process_crash();
        scene.disk->crash_at(scene.disk->operations() + first);
        scene.check();
        scene.disk->process_crash();
        scene.disk->crash_at(scene.disk->operations() + second);
        scene.check();
        scene.disk->power_loss();
        scene.check();
        ASSERT_FALSE(testing::Test::HasFailure());
      }
    }
  }
}

TEST_P(LogCrash, AfterAFailureAtEveryOperationNothingAcknowledgedIsLost) {
  const uint64_t operations = operations_of(GetParam());
  for (const int error : {EIO, ENOSPC}) {
    for (uint64_t at = 1; at <= operations; ++at) {
      SCOPED_TRACE("operation " + std::to_string(at) + " errno " + std::to_string(error));
      Scene scene{fake_disk(at), LogWorkload(kWorkloadSeed, GetParam())};
      scene.disk->fail_at(scene.disk->operations() + at, error);
      scene.client.run(*scene.disk, kBatches, true);
      scene.check_after_each(at);
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

TEST_P(LogCrash, AReadErrorDuringRecoveryIsAnErrorAndCutsNothing) {
  Scene scene{fake_disk(), LogWorkload(kWorkloadSeed, GetParam())};
  ASSERT_TRUE(scene.client.run(*scene.disk, kBatches));
  for (uint64_t at = 1; at <= 12; ++at) {
    Scene other = scene.copy(at);
    other.disk->fail_read_at(at, EIO);
    const auto log = other.client.open(*other.disk);
    if (!log) {
      EXPECT_EQ(log.error().code, ErrorCode::kDiskFailed);
      EXPECT_NE(log.error().message.find("read of /log/"), std::string::npos)
          << log.error().message;
    }
    other.disk->process_crash();
    other.check();
  }
}

TEST(LogLives, OfRandomLengthKeepEveryPromise) {
  for (uint64_t seed = 1; seed <= 240; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SplitMix random(seed);
    constexpr Kind kKinds[] = {Kind::kWhole, Kind::kCut, Kind::kReceive};
    Scene scene{fake_disk(seed), LogWorkload(seed, kKinds[seed % std::size(kKinds)])};
    for (int life = 0; life < 12; ++life) {
      scene.disk->crash_at(scene.disk->operations() + 1 + random.below(40));
      scene.client.run(*scene.disk, 20);
      scene.strike(kCrashes[random.below(3)]);
      ASSERT_FALSE(testing::Test::HasFailure());
    }
    scene.check();
  }
}

}  // namespace
}  // namespace holdfast::raft
