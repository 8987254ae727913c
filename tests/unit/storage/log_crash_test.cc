// Crashes at every operation that a workload of the log makes. LogWorkload judges each recovery:
// everything acknowledged is there, nothing is invented, term and vote never go back.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/storage/log_workload.h"

namespace holdfast::raft {
namespace {

constexpr int kBatches = 30;
constexpr uint64_t kWorkloadSeed = 5;

enum class Crash { kPower, kProcess, kProcessThenPower };
constexpr Crash kCrashes[] = {Crash::kPower, Crash::kProcess, Crash::kProcessThenPower};

/// A disk and the client that wrote on it until something struck.
struct Scene {
  std::unique_ptr<FakeFileSystem> disk;
  LogWorkload client;
};

/// Runs the workload from an empty disk; the operation of that number, counted after the log's
/// directory was made, crashes.
Scene run_until(uint64_t operation, int batches = kBatches) {
  Scene scene{fake_disk(operation), LogWorkload(kWorkloadSeed)};
  scene.disk->crash_at(scene.disk->operations() + operation);
  scene.client.run(*scene.disk, batches);
  return scene;
}

Scene copy_of(const Scene& scene, uint64_t seed) { return {scene.disk->clone(seed), scene.client}; }

uint64_t operations_of(int batches) {
  auto disk = fake_disk();
  const uint64_t before = disk->operations();
  LogWorkload client(kWorkloadSeed);
  EXPECT_TRUE(client.run(*disk, batches));
  EXPECT_GT(disk->paths().size(), 3u) << "the workload fills several segments";
  return disk->operations() - before;
}

void strike(Scene& scene, Crash crash) {
  if (crash == Crash::kPower) {
    scene.disk->power_loss();
  } else {
    scene.disk->process_crash();
  }
}

TEST(LogCrash, AtEveryOperationNothingAcknowledgedIsLost) {
  const uint64_t operations = operations_of(kBatches);
  for (uint64_t at = 1; at <= operations; ++at) {
    const Scene crashed = run_until(at);
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

TEST(LogCrash, ASecondCrashAtEveryOperationOfTheRecoveryLosesNothingEither) {
  const uint64_t operations = operations_of(kBatches);
  for (uint64_t at = 1; at <= operations; at += 3) {
    const Scene crashed = run_until(at);
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

TEST(LogCrash, AfterAFailureAtEveryOperationNothingAcknowledgedIsLost) {
  const uint64_t operations = operations_of(kBatches);
  for (const int error : {EIO, ENOSPC}) {
    for (uint64_t at = 1; at <= operations; ++at) {
      SCOPED_TRACE("operation " + std::to_string(at) + " errno " + std::to_string(error));
      Scene scene{fake_disk(at), LogWorkload(kWorkloadSeed)};
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

TEST(LogCrash, AReadErrorDuringRecoveryIsAnErrorAndCutsNothing) {
  Scene scene{fake_disk(), LogWorkload(kWorkloadSeed)};
  ASSERT_TRUE(scene.client.run(*scene.disk, kBatches));
  for (uint64_t at = 1; at <= 12; ++at) {
    Scene other = copy_of(scene, at);
    other.disk->fail_read_at(at, EIO);
    const auto log = open_log(*other.disk);
    if (!log) {
      EXPECT_EQ(log.error().code, ErrorCode::kDiskFailed);
      EXPECT_NE(log.error().message.find("read of /log/"), std::string::npos)
          << log.error().message;
    }
    other.disk->process_crash();
    other.client.check(*other.disk);
  }
}

TEST(LogCrash, ManyLivesOfRandomLengthKeepEveryPromise) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SplitMix random(seed);
    Scene scene{fake_disk(seed), LogWorkload(seed)};
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
