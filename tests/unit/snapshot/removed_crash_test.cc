// Crashes while a database that somebody has removed gives way to another server's state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

constexpr char kDirectory[] = "/snapshot";

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

}  // namespace
}  // namespace holdfast::snapshot
