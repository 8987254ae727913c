// Databases that somebody has removed from a simulated disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

constexpr char kDirectory[] = "/snapshot";

/// Gives way to another server's state.
class Replacement {
 public:
  explicit Replacement(uint64_t seed) : disk_(seed) {
    EXPECT_TRUE(disk_.create_directory(kDirectory) && disk_.sync_directory("/"));
    store_ = std::move(*SnapshotStore::open(disk_, kDirectory, vfs_.name()));
    WrittenState state(4);
    state.apply(100);
    EXPECT_TRUE(store_->write(state.take_span()).ok());
    auto file = disk_.open(store_->incoming_path(), raft::OpenMode::kCreate);
    EXPECT_TRUE(file && (*file)->write(0, "another server's state") && (*file)->sync());
    disk_.remove(store_->path());
  }
  /// True: done. The operation of that number crashes.
  bool replace_until(uint64_t operation) {
    disk_.crash_at(disk_.operations() + operation);
    set_aside_ = store_->set_aside().ok();
    return set_aside_ && store_->adopt_incoming().ok();
  }
  void lose_power() {
    disk_.halt();
    store_.reset();
    disk_.power_loss();
  }
  /// A start knows that the server had a snapshot: as long as nothing is set aside by that CURRENT
  /// names one that is not there, which is for a person to judge.
  void expect_known() {
    const auto store = SnapshotStore::open(disk_, kDirectory, vfs_.name());
    if (store.ok()) {
      EXPECT_TRUE(!(*store)->empty() || (*store)->anything_set_aside());
      return;
    }
    EXPECT_FALSE(set_aside_) << store.error().message;
    EXPECT_THAT(store.error().message, testing::HasSubstr("which is not there"));
  }

 private:
  raft::FakeFileSystem disk_;
  const FileSystemVfs vfs_{disk_, 1};
  std::unique_ptr<SnapshotStore> store_;
  bool set_aside_ = false;
};

// Without that the log, which was cut, would be taken for damaged, and the start refused.
TEST(RemovedSnapshots, AreRememberedUntilAnotherIsInForceWhateverCrashesMeanwhile) {
  bool done = false;
  for (uint64_t at = 1; !done; ++at) {
    for (uint64_t seed = 1; seed <= 16; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(at) + " seed " + std::to_string(seed));
      Replacement replacement(seed);
      done = replacement.replace_until(at);
      replacement.lose_power();
      replacement.expect_known();
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

// As on a real disk: it is no failure of the disk, for which a server stops.
TEST(RemovedSnapshots, AreNeitherCopiedNorWrittenToByWhoHasOpenedNone) {
  raft::FakeFileSystem disk(1);
  const FileSystemVfs vfs(disk, 1);
  WrittenState state(4);
  const auto open = [&] { return std::move(*SnapshotStore::open(disk, kDirectory, vfs.name())); };
  ASSERT_TRUE(disk.create_directory(kDirectory));
  state.apply(100);
  ASSERT_TRUE(open()->write(state.take_span()).ok());
  const auto store = open();
  const std::string content = disk.content(store->path());
  disk.remove(store->path());
  state.apply(100);
  const Span span = state.take_span();
  const auto copied = store->copy_in_force();
  const auto refused = store->write(span);
  ASSERT_FALSE(copied.ok() || refused.ok());
  for (const Error& error : {copied.error(), refused.error()}) {
    EXPECT_EQ(error.code, ErrorCode::kOverloaded) << error.message;
    EXPECT_THAT(error.message, testing::HasSubstr("somebody has removed or replaced it"));
  }
  disk.put(store->path(), content);
  EXPECT_TRUE(store->copy_in_force().ok());
  EXPECT_TRUE(store->write(span).ok());
  EXPECT_EQ((*load(store->path(), vfs.name()))->digest(), state.machine().digest());
}

/// A store that holds a state, and what an operator makes of its files while it is closed.
class RemovedByRenaming : public testing::Test {
 protected:
  RemovedByRenaming() {
    EXPECT_TRUE(disk_.create_directory(kDirectory));
    WrittenState state(4);
    state.apply(100);
    auto store = open();
    EXPECT_TRUE((*store)->write(state.take_span()).ok());
    path_ = (*store)->path();
    content_ = disk_.content(path_);
  }
  Result<std::unique_ptr<SnapshotStore>> open() {
    return SnapshotStore::open(disk_, kDirectory, vfs_.name());
  }
  static std::string file(const std::string& name) { return std::string(kDirectory) + "/" + name; }

  raft::FakeFileSystem disk_{1};
  const FileSystemVfs vfs_{disk_, 1};
  std::string path_;
  std::string content_;
};

// He may rename it back.
TEST_F(RemovedByRenaming, ADatabaseIsStillMissed) {
  ASSERT_TRUE(disk_.rename(path_, path_ + ".removed"));
  const auto store = open();
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().message, testing::HasSubstr("which is not there"));
  EXPECT_EQ(disk_.content(path_ + ".removed"), content_);
  ASSERT_TRUE(disk_.rename(path_ + ".removed", path_));
  EXPECT_FALSE((*open())->empty());
}

TEST_F(RemovedByRenaming, WithoutCurrentAllStays) {
  for (const std::string end : {".removed", ".damaged"}) {
    ASSERT_TRUE(disk_.rename(file("CURRENT"), file("CURRENT" + end)));
    const auto store = open();
    EXPECT_TRUE((*store)->empty());
    EXPECT_FALSE((*store)->anything_set_aside()) << "the log is to be whole then";
    EXPECT_EQ(disk_.content(path_), content_);
    ASSERT_TRUE(disk_.rename(file("CURRENT" + end), file("CURRENT")));
  }
}

TEST_F(RemovedByRenaming, AnotherDatabaseIsKept) {
  disk_.put(file("state-9.db.removed"), "kept by an operator");
  disk_.put(file("state-7.db.removed"), "");
  EXPECT_FALSE((*open())->empty());
  EXPECT_EQ(disk_.content(file("state-9.db.removed")), "kept by an operator");
  EXPECT_FALSE(*disk_.exists(file("state-7.db.removed")));
}

TEST_F(RemovedByRenaming, ItIsNotWrittenOver) {
  const auto store = open();
  ASSERT_TRUE(disk_.rename(path_, path_ + ".removed"));
  const Status done = (*store)->set_aside();
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message, testing::HasSubstr("move it away"));
  EXPECT_EQ(disk_.content(path_ + ".removed"), content_);
}

}  // namespace
}  // namespace holdfast::snapshot
