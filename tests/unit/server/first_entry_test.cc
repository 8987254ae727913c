// A server takes entry 1, and a crash comes at any operation: its next start begins again or goes
// on, and is never taken for one whose log was lost. What was lost is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/server/first_entry.h"
#include "coordinator/snapshot/store.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/support/seeded_entropy.h"

namespace holdfast::server {
namespace {

using testing::HasSubstr;

constexpr char kData[] = "/data";
constexpr ClusterId kCluster{4711};
constexpr char kEntry1[] = "entry 1";

/// One start as a server makes it, until it may serve. True: it found entry 1.
Result<bool> start(raft::FakeFileSystem& disk, uint64_t seed, bool offered) {
  SeededEntropy entropy(seed);
  const snapshot::FileSystemVfs vfs(disk, seed);
  auto opened = raft::DataDirectory::open(disk, entropy, kData, NodeId(1));
  if (!opened.ok()) return opened.error();
  raft::DataDirectory& directory = **opened;
  const auto place = directory.snapshot_directory(kDefaultGroup);
  if (!place.ok()) return place.error();
  const auto snapshots = snapshot::SnapshotStore::open(disk, *place, vfs.name());
  if (!snapshots.ok()) return snapshots.error();
  const auto log_place = directory.log_directory(kDefaultGroup);
  if (!log_place.ok()) return log_place.error();
  raft::LogOptions options;
  options.directory = *log_place;
  options.store = directory.store();
  options.segment_bytes = 64 << 10;
  const auto log = raft::LogStore::open(disk, entropy, options);
  if (!log.ok()) return log.error();
  const auto found = find_genesis(directory, !(*snapshots)->empty(), **log);
  if (!found.ok()) return found.error();
  if (!*found && !offered) return false;
  if (!*found) {
    if (const Status written = write_genesis(**log, kEntry1); !written.ok()) return written.error();
  }
  const Status kept = directory.keep_genesis(kDefaultGroup, kCluster, kEntry1);
  if (!kept.ok()) return kept.error();
  return found->has_value();
}

std::unique_ptr<raft::FakeFileSystem> after(const raft::FakeFileSystem& disk, bool power,
                                            uint64_t seed) {
  auto left = disk.clone(seed);
  power ? left->power_loss() : left->process_crash();
  left->disarm();
  return left;
}

/// The next starts: undisturbed, and with a failure of the machine at each of their operations.
void check_starts(const raft::FakeFileSystem& crashed, bool taken) {
  for (const bool power : {true, false}) {
    const auto left = after(crashed, power, 3);
    const uint64_t before = left->operations();
    for (uint64_t at = before + 1;; ++at) {
      SCOPED_TRACE((power ? "power, " : "process, ") + std::to_string(at - before));
      const auto second = left->clone(at);
      second->crash_at(at);
      const auto started = start(*second, 8, true);
      const auto third = after(*second, true, at);
      const auto again = start(*third, 9, true);
      ASSERT_TRUE(again.ok()) << again.error().message;
      EXPECT_EQ(raft::read_identity(*third, kData)->cluster, kCluster);
      EXPECT_TRUE(*again || !started.ok()) << "it had entry 1, and has lost it";
      if (!started.ok()) continue;
      EXPECT_TRUE(*started || !taken) << "it was taken, and is lost";
      break;
    }
  }
}

TEST(FirstEntry, ACrashAtAnyOperationLeavesAServerThatStarts) {
  bool taken = false;
  for (uint64_t at = 1; !taken; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at));
    raft::FakeFileSystem disk(at);
    disk.crash_at(at);
    taken = start(disk, 7, true).ok();
    check_starts(disk, taken);
    if (HasFailure()) return;
    ASSERT_LT(at, 1000U);
  }
}

TEST(FirstEntry, AFullDiskAtAnyOperationLeavesAServerThatStarts) {
  bool taken = false;
  for (uint64_t at = 1; !taken; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at));
    raft::FakeFileSystem disk(at);
    disk.fail_at(at, ENOSPC);
    taken = start(disk, 7, true).ok() && disk.operations() < at;
    disk.process_crash();
    disk.disarm();
    const auto again = start(disk, 8, true);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(raft::read_identity(disk, kData)->cluster, kCluster);
    ASSERT_LT(at, 1000U);
  }
}

TEST(FirstEntry, ALogThatWasLostWithAllBesideItIsNotBegunAgain) {
  raft::FakeFileSystem disk;
  ASSERT_TRUE(start(disk, 7, true).ok());
  for (const std::string& path : disk.paths()) {
    if (!path.starts_with("/data/group-1/")) continue;
    ASSERT_TRUE(disk.unlink(path).ok());
  }
  // The directories are left, so what refuses is not that there are none; and it refuses again.
  for (const uint64_t seed : {8, 9}) {
    const auto started = start(disk, seed, false);
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(started.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(started.error().message, HasSubstr("belonged to a cluster (4711), but its log is"));
  }
}

TEST(FirstEntry, AServerThatWasGivenNoneWaitsForItAgain) {
  raft::FakeFileSystem disk;
  ASSERT_FALSE(start(disk, 7, false).value());
  EXPECT_FALSE(start(disk, 8, false).value());
}

}  // namespace
}  // namespace holdfast::server
