// SQLite over the disk port: what tests of crashes and the simulation stand on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>

#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FileSystemVfses : public testing::Test {
 protected:
  SnapshotWriter create(const std::string& path) {
    auto writer = SnapshotWriter::create(files_, path, vfs_.name());
    EXPECT_TRUE(writer.ok()) << writer.error().message;
    return std::move(*writer);
  }
  Database open(const std::string& path) {
    auto database = Database::open(path, Database::Mode::kModify, vfs_.name());
    EXPECT_TRUE(database.ok()) << database.error().message;
    return std::move(*database);
  }

  raft::FakeFileSystem files_{5};
  FileSystemVfs vfs_{files_, 6};
  WrittenState state_{3};
};

TEST_F(FileSystemVfses, PutEveryByteOfADatabaseOnTheDiskPort) {
  {
    SnapshotWriter writer = create("/state.db");
    for (int span = 0; span < 4; ++span) {
      state_.apply(200);
      ASSERT_TRUE(state_.write(writer).ok());
      if (span == 2) {
        ASSERT_TRUE(*writer.checkpoint());
      }
    }
    EXPECT_THAT(files_.paths(), ElementsAre("/state.db", "/state.db-wal"));
    const auto loaded = load("/state.db", vfs_.name());
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ((*loaded)->digest(), state_.machine().digest());
  }
  // The last connection puts the -wal into the database.
  EXPECT_THAT(files_.paths(), ElementsAre("/state.db"));
  const TemporaryDirectory directory;
  std::ofstream(directory.file("state.db")) << files_.content("/state.db");
  const auto loaded = load(directory.file("state.db"));
  ASSERT_TRUE(loaded.ok()) << "SQLite's own VFS: " << loaded.error().message;
  EXPECT_EQ((*loaded)->digest(), state_.machine().digest());
}

TEST_F(FileSystemVfses, KeepReadersAndWritersApart) {
  SnapshotWriter writer = create("/state.db");
  state_.apply(100);
  ASSERT_TRUE(state_.write(writer).ok());
  Database other = open("/state.db");
  ASSERT_TRUE(other.run("BEGIN; SELECT count(*) FROM keys").ok());
  state_.apply(100);
  ASSERT_TRUE(state_.write(writer).ok());
  EXPECT_FALSE(*writer.checkpoint());
  ASSERT_TRUE(other.run("COMMIT; BEGIN IMMEDIATE").ok());
  EXPECT_TRUE(*writer.checkpoint());
  state_.apply(100);
  const Status refused = state_.write(writer);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
}

TEST_F(FileSystemVfses, TellWhatThePortSaid) {
  SnapshotWriter writer = create("/state.db");
  const auto failing = [&](int error) {
    state_.apply(50);
    files_.fail_at(files_.operations() + 1, error);
    const Status written = state_.write(writer);
    EXPECT_FALSE(written.ok());
    return written.ok() ? ErrorCode::kOk : written.error().code;
  };
  EXPECT_EQ(failing(ENOSPC), ErrorCode::kNoSpace);
  EXPECT_EQ(failing(EDQUOT), ErrorCode::kNoSpace);
  EXPECT_EQ(failing(EIO), ErrorCode::kDiskFailed);
}

TEST_F(FileSystemVfses, RefuseAFileThatIsNotThere) {
  const auto missing = Database::open("/missing.db", Database::Mode::kModify, vfs_.name());
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("/missing.db"));
}

/// The trace of a disk under three spans, with a generator of SQLite's that others have used.
uint64_t traced(uint64_t seed) {
  raft::FakeFileSystem files(1);
  FileSystemVfs vfs(files, seed);
  WrittenState state(8);
  auto writer = SnapshotWriter::create(files, "/state.db", vfs.name());
  for (int span = 0; span < 3; ++span) {
    state.apply(150);
    EXPECT_TRUE(state.write(*writer).ok());
    EXPECT_TRUE(*writer->checkpoint());
  }
  return files.trace();
}

TEST(TracesOfSqlite, FollowFromTheSeedWhateverTheProcessDidBefore) {
  const uint64_t first = traced(1);
  EXPECT_NE(traced(2), first) << "the salts of the -wal follow from the seed";
  EXPECT_EQ(traced(1), first);
  // A database as large as the cache, open all the while.
  raft::FakeFileSystem files(1);
  FileSystemVfs vfs(files, 3);
  ASSERT_TRUE(files.open("/other.db", raft::OpenMode::kCreate));
  auto other = Database::open("/other.db", Database::Mode::kModify, vfs.name());
  ASSERT_TRUE(other->run("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(20000000))").ok());
  EXPECT_EQ(traced(1), first);
}

}  // namespace
}  // namespace holdfast::snapshot
