// A crash at every operation of a founding. What is left is one of three: no directory with
// anything of a group in it, as if nothing had been begun; one from which no server starts, which
// says why; or the whole new server. And the old one is what it was.
#include <map>

#include "session/session_table.h"
#include "tests/unit/founding/old_cluster.h"

namespace holdfast::founding {
namespace {

using testing::HasSubstr;

enum class Left { kNothing, kRefused, kWhole };

/// A disk with the server of an old cluster on it.
std::unique_ptr<raft::FakeFileSystem> old_disk(uint64_t seed) {
  auto disk = std::make_unique<raft::FakeFileSystem>(seed);
  OldServer server(*disk, 21);
  server.run(60);
  server.snapshot();
  server.run(30);
  return disk;
}

/// The process that recovers, until something strikes.
bool recover(raft::FakeFileSystem& disk) {
  Process process(disk, 22);
  auto survivor = open_survivor(process.ports(), kOld, kOldNode);
  if (!survivor.ok()) return false;
  const auto founded = found_cluster(process.ports(), std::move(survivor->state), founder(), kNew);
  if (!founded.ok()) disk.halt();
  return founded.ok();
}

/// What a start makes of the new directory.
Left look(raft::FakeFileSystem& disk) {
  Process process(disk, 23);
  auto server = open_survivor(process.ports(), kNew, founder().node);
  if (server.ok()) {
    EXPECT_EQ(server->last, server->snapshot.next()) << "the first entry is there";
    EXPECT_EQ(server->last, LogIndex(91 + kIndexRaise + 1));
    EXPECT_EQ(server->state.machine->sessions().size(), 0U);
    return Left::kWhole;
  }
  auto made = raft::DataDirectory::open(disk, process.ports().entropy, kNew, founder().node);
  if (!made.ok()) {
    EXPECT_EQ(made.error().code, ErrorCode::kCorrupt) << made.error().message;
    EXPECT_THAT(made.error().message, HasSubstr("that was cut short"));
    return Left::kRefused;
  }
  for (const std::string& path : disk.paths()) {
    EXPECT_FALSE(path.starts_with(std::string(kNew) + "/group")) << path;
  }
  return Left::kNothing;
}

void check_old(raft::FakeFileSystem& disk) {
  Process process(disk, 24);
  auto survivor = open_survivor(process.ports(), kOld, kOldNode);
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_EQ(survivor->cluster, kOldCluster);
  EXPECT_EQ(survivor->last, LogIndex(91));
}

TEST(FoundingCrash, AtEveryOperationThereIsNothingOrNoServerStartsOrTheWholeServerDoes) {
  const auto origin = old_disk(1);
  const auto complete = origin->clone(1);
  ASSERT_TRUE(recover(*complete));
  const uint64_t operations = complete->operations();
  std::map<Left, int> seen;
  for (uint64_t at = 1; at <= operations; ++at) {
    const auto crashed = origin->clone(at);
    crashed->crash_at(at);
    recover(*crashed);
    for (const bool power : {true, false}) {
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        SCOPED_TRACE("operation " + std::to_string(at) + (power ? ", power, " : ", process, ") +
                     std::to_string(seed));
        const auto disk = crashed->clone(seed);
        power ? disk->power_loss() : disk->process_crash();
        disk->disarm();
        ++seen[look(*disk)];
        check_old(*disk);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  for (const Left left : {Left::kNothing, Left::kRefused, Left::kWhole}) {
    EXPECT_GT(seen[left], 0) << static_cast<int>(left);
  }
}

TEST(FoundingCrash, WhatWasCalledDoneIsThereAfterAPowerLoss) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto disk = old_disk(seed);
    ASSERT_TRUE(recover(*disk));
    disk->halt();
    disk->power_loss();
    EXPECT_EQ(look(*disk), Left::kWhole) << "seed " << seed;
  }
}

TEST(FoundingCrash, AFailureAtAnyOperationIsToldAndNoServerStarts) {
  const auto origin = old_disk(1);
  const auto complete = origin->clone(1);
  ASSERT_TRUE(recover(*complete));
  for (uint64_t at = 1; at <= complete->operations(); ++at) {
    const auto disk = origin->clone(at);
    disk->fail_at(at, EIO);
    const bool done = recover(*disk);
    disk->process_crash();
    disk->disarm();
    const Left left = look(*disk);
    // After a failed sync of the directory, last of all, the identity may be there.
    EXPECT_TRUE(!done || left == Left::kWhole) << "operation " << at;
    check_old(*disk);
  }
}

}  // namespace
}  // namespace holdfast::founding
