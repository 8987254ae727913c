// Crashes at every operation that a workload of the log makes, one that cuts its log too.
// LogWorkload judges each recovery: everything acknowledged is there unless it was cut off, nothing
// is invented, term and vote never go back.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/storage/log_workload.h"

namespace holdfast::raft {
namespace {

constexpr int kBatches = 30;
constexpr uint64_t kWorkloadSeed = 5;

enum class Crash { kPower, kProcess, kProcessThenPower };
using Kind = LogWorkload::Kind;
constexpr Crash kCrashes[] = {Crash::kPower, Crash::kProcess, Crash::kProcessThenPower};

/// A disk and the client that wrote on it until something struck.
struct Scene {
  std::unique_ptr<FakeFileSystem> disk;
  LogWorkload client;
};

/// Runs the workload from an empty disk; the operation of that number, counted after the log's
/// directory was made, crashes.
Scene run_until(uint64_t operation, Kind kind) {
  Scene scene{fake_disk(operation), LogWorkload(kWorkloadSeed, kind)};
  scene.disk->crash_at(scene.disk->operations() + operation);
  scene.client.run(*scene.disk, kBatches);
  return scene;
}

Scene copy_of(const Scene& scene, uint64_t seed) { return {scene.disk->clone(seed), scene.client}; }

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

void strike(Scene& scene, Crash crash) {
  if (crash == Crash::kPower) {
    scene.disk->power_loss();
  } else {
    scene.disk->process_crash();
  }
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
        Scene scene = copy_of(crashed, seed);
        strike(scene, crash);
        scene.client.check(*scene.disk);
        // What the recovery gave out is durable without any further write.
        if (crash == Crash::kProcessThenPower) scene.disk->power_loss();
        ASSERT_TRUE(scene.client.run(*scene.disk, 3));
        scene.disk->power_loss();
        scene.client.check(*scene.disk);
        ASSERT_FALSE(testing::Test::HasFailure());
      }
    }
  }
}

TEST_P(LogCrash, ASecondCrashAtEveryOperationOfTheRecoveryLosesNothingEither) {
  const uint64_t operations = operations_of(GetParam());
  for (uint64_t at = 1; at <= operations; at += 3) {
    const Scene crashed = run_until(at, GetParam());
    for (const Crash crash : {Crash::kPower, Crash::kProcess}) {
      for (uint64_t second = 1; second <= 30; ++second) {
        SCOPED_TRACE("operations " + std::to_string(at) + ", " + std::to_string(second));
        Scene scene = copy_of(crashed, second);
        strike(scene, crash);
        scene.disk->crash_at(scene.disk->operations() + second);
        const bool finished = scene.client.run(*scene.disk, 1);
        Scene other = copy_of(scene, at + second);
        scene.disk->power_loss();
        scene.client.check(*scene.disk);
        other.disk->process_crash();
        other.client.check(*other.disk);
        other.disk->power_loss();
        other.client.check(*other.disk);
        ASSERT_FALSE(testing::Test::HasFailure());
        if (finished) break;
      }
    }
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
        Scene scene = copy_of(whole, first + batches);
        scene.disk->process_crash();
        scene.disk->crash_at(scene.disk->operations() + first);
        scene.client.check(*scene.disk);
        scene.disk->process_crash();
        scene.disk->crash_at(scene.disk->operations() + second);
        scene.client.check(*scene.disk);
        scene.disk->power_loss();
        scene.client.check(*scene.disk);
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
      Scene other = copy_of(scene, at);
      scene.disk->power_loss();
      scene.client.check(*scene.disk);
      // The pages of a failed sync are readable, on no disk, and look clean.
      other.disk->process_crash();
      other.client.check(*other.disk);
      other.disk->power_loss();
      other.client.check(*other.disk);
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

TEST_P(LogCrash, AReadErrorDuringRecoveryIsAnErrorAndCutsNothing) {
  Scene scene{fake_disk(), LogWorkload(kWorkloadSeed, GetParam())};
  ASSERT_TRUE(scene.client.run(*scene.disk, kBatches));
  for (uint64_t at = 1; at <= 12; ++at) {
    Scene other = copy_of(scene, at);
    other.disk->fail_read_at(at, EIO);
    const auto log = other.client.open(*other.disk);
    if (!log) {
      EXPECT_EQ(log.error().code, ErrorCode::kDiskFailed);
      EXPECT_NE(log.error().message.find("read of /log/"), std::string::npos)
          << log.error().message;
    }
    other.disk->process_crash();
    other.client.check(*other.disk);
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
      strike(scene, kCrashes[random.below(3)]);
      ASSERT_FALSE(testing::Test::HasFailure());
    }
    scene.client.check(*scene.disk);
  }
}

}  // namespace
}  // namespace holdfast::raft
