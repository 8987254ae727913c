// Databases on a real disk, by way of the VFS with pauses.
#include "coordinator/snapshot/paced_vfs.h"

#include <gtest/gtest.h>

#include <thread>

#include "coordinator/snapshot/sqlite.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class PacedVfsTest : public testing::Test {
 protected:
  std::unique_ptr<SnapshotStore> open(const PacedVfs& vfs) {
    auto store = SnapshotStore::open(files_, directory_.path(), {}, vfs.name());
    EXPECT_TRUE(store.ok());
    return std::move(*store);
  }
  TemporaryDirectory directory_;
  SystemClock clock_;
  raft::PosixFileSystem files_;
  WrittenState state_{5};
};

TEST_F(PacedVfsTest, WhatIsWrittenIsReadByTheDefaultWay) {
  Pace pace(clock_, 1'000 * kMiB);
  const PacedVfs vfs(pace);
  const auto store = open(vfs);
  for (int i = 0; i < 3; ++i) {
    state_.apply(800);
    const auto written = store->write(state_.take_span());
    ASSERT_TRUE(written.ok()) << written.error().message;
    EXPECT_TRUE(written->durable);
    const auto beside = load(store->path());  // while the writer has it open
    ASSERT_TRUE(beside.ok()) << beside.error().message;
    EXPECT_EQ((*beside)->digest(), state_.machine().digest());
  }
}

TEST_F(PacedVfsTest, LocksHoldAgainstTheDefaultWay) {
  Pace pace(clock_, 1'000 * kMiB);
  const PacedVfs vfs(pace);
  const auto store = open(vfs);
  state_.apply(100);
  ASSERT_TRUE(store->write(state_.take_span()).ok());
  auto other = Database::open(store->path(), Database::Mode::kModify);
  ASSERT_TRUE(other->run("BEGIN IMMEDIATE").ok());
  state_.apply(100);
  const Span span = state_.take_span();
  const auto refused = store->write(span);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded) << refused.error().message;
  ASSERT_TRUE(other->run("COMMIT").ok());
  EXPECT_TRUE(store->write(span).ok());
}

TEST_F(PacedVfsTest, TakesTheTimeThatThePaceGives) {
  constexpr uint64_t kRate = 8 * kMiB;
  constexpr uint64_t kWritten = 3 * kMiB;
  Pace pace(clock_, kRate);
  const PacedVfs vfs(pace);
  ASSERT_TRUE(files_.open(directory_.file("some.db"), raft::OpenMode::kCreate));
  auto database = Database::open(directory_.file("some.db"), Database::Mode::kModify, vfs.name());
  ASSERT_TRUE(database.ok());
  ASSERT_TRUE(database->run("PRAGMA journal_mode = WAL; CREATE TABLE piece (bytes)").ok());
  const Instant begin = clock_.now();
  ASSERT_TRUE(
      database->run("INSERT INTO piece VALUES (randomblob(" + std::to_string(kWritten) + "))")
          .ok());
  ASSERT_TRUE(database->run("PRAGMA wal_checkpoint(PASSIVE)").ok());
  const Duration took = clock_.now() - begin;
  // All of it passes the log-ahead file and the database; up to a piece of each is not waited for.
  constexpr auto kPaced = static_cast<double>(2 * (kWritten - kMiB / 4));
  EXPECT_GE(std::chrono::duration<double>(took).count(), kPaced / static_cast<double>(kRate));
}

TEST(Paces, GiveNoPauseWhileHurried) {
  SystemClock clock;
  Pace pace(clock, 1);
  pace.hurry(true);
  pace.wait(clock.now(), kMiB);  // else twelve days
}

TEST(Paces, EndThePauseWhenItBecomesUrgent) {
  SystemClock clock;
  Pace pace(clock, 1);
  std::thread waiting([&] { pace.wait(clock.now(), kMiB); });
  pace.hurry(true);
  waiting.join();
}

TEST_F(PacedVfsTest, RefusesWhatTheDefaultRefuses) {
  Pace pace(clock_, kMiB);
  const PacedVfs vfs(pace);
  EXPECT_FALSE(
      Database::open(directory_.file("none.db"), Database::Mode::kModify, vfs.name()).ok());
  std::filesystem::create_symlink("elsewhere.db", directory_.file("link.db"));
  EXPECT_FALSE(
      Database::open(directory_.file("link.db"), Database::Mode::kModify, vfs.name()).ok());
}

TEST_F(PacedVfsTest, LeadsThroughLinksOnTheWay) {
  Pace pace(clock_, 1'000 * kMiB);
  const PacedVfs vfs(pace);
  std::filesystem::create_directory(directory_.file("real"));
  std::filesystem::create_symlink("real", directory_.file("way"));
  auto store = SnapshotStore::open(files_, directory_.file("way"), {}, vfs.name());
  ASSERT_TRUE(store.ok());
  state_.apply(50);
  const auto written = (*store)->write(state_.take_span());
  EXPECT_TRUE(written.ok()) << written.error().message;
}

TEST_F(PacedVfsTest, HasANameOfItsOwn) {
  Pace pace(clock_, kMiB);
  const PacedVfs one(pace);
  const PacedVfs two(pace);
  EXPECT_NE(one.name(), two.name());
  EXPECT_TRUE(PacedVfs::is(one.name()));
  EXPECT_FALSE(PacedVfs::is("unix"));
}

}  // namespace
}  // namespace holdfast::snapshot
