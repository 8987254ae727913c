// A database's file that was grown for a span, and the process that was to commit that span gone:
// it is larger than its header says.
#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

constexpr char kDirectory[] = "/snapshot";
constexpr Bulk kBulk{.first = 530, .last = 579, .gone = 10'000, .bytes = 20'000};

/// A store on a disk, for as long as its process lives.
struct Life {
  explicit Life(raft::FakeFileSystem& files) : disk(files), vfs(files, 1) {
    auto opened = SnapshotStore::open(files, kDirectory, vfs.name());
    if (opened.ok()) store = std::move(*opened);
  }
  ~Life() {
    disk.halt();
    store.reset();
  }
  Result<Digest> load() {
    rsm::StateMachine machine;
    const auto head =
        store->load([&](RowTable table, uint64_t id,
                        std::string_view row) { return machine.load(table, id, row); },
                    [](uint64_t) {});
    if (!head.ok()) return head.error();
    if (Status whole = machine.finish_load(); !whole.ok()) return whole.error();
    return machine.digest();
  }
  uint64_t file_bytes() { return disk.content(store->path()).size(); }

  raft::FakeFileSystem& disk;
  FileSystemVfs vfs;
  std::unique_ptr<SnapshotStore> store;
};

class GrownFile : public testing::Test {
 protected:
  GrownFile() {
    EXPECT_TRUE(files_.create_directory(kDirectory));
    EXPECT_TRUE(files_.sync_directory("/"));
    large_.apply(520);
    small_.apply(520);
    EXPECT_TRUE(Life(files_).store->write(large_.take_span()).ok());
    files_.process_crash();
    [[maybe_unused]] const Span same = small_.take_span();
    before_ = large_.machine().digest();
    large_.apply(60);
    span_ = large_.take_span();
    small_.apply(5);
    first_of_it_ = small_.take_span();
  }
  /// The process ends at that operation of the large span; false if there are not so many.
  bool crash_in_large_span(raft::FakeFileSystem& disk, uint64_t at) {
    bool crashed = false;
    {
      Life life(disk);
      EXPECT_TRUE(life.load().ok());
      disk.crash_at(disk.operations() + at);
      [[maybe_unused]] const auto written = life.store->write(span_);
      crashed = disk.crashed();
    }
    disk.process_crash();
    disk.disarm();
    return crashed;
  }

  raft::FakeFileSystem files_{1};
  WrittenState large_{7, kBulk};
  WrittenState small_{7, kBulk};
  Digest before_;
  Span span_;         ///< of many pages
  Span first_of_it_;  ///< what the next process writes first of the same log
};

// A commit that counts the pages of the file, and not those that its header has, names more of them
// than are anywhere once the power is gone before the file's size is on the disk.
TEST_F(GrownFile, IsNoDamageAfterTheProcessAndThenThePowerHaveGone) {
  bool crashed = true;
  int losses = 0;
  for (uint64_t at = 1; crashed; at += at < 8 ? 1 : 60) {
    const auto disk = files_.clone(1);
    crashed = crash_in_large_span(*disk, at);
    for (uint64_t next = 1; crashed; ++next) {
      SCOPED_TRACE("operations " + std::to_string(at) + ", " + std::to_string(next));
      const auto later = disk->clone(at * 1'000 + next);
      bool again = false;
      {
        Life life(*later);
        const auto there = life.load();
        ASSERT_TRUE(there.ok()) << there.error().message;
        if (*there != before_) break;
        later->crash_at(later->operations() + next);
        [[maybe_unused]] const auto written = life.store->write(first_of_it_);
        again = later->crashed();
      }
      later->power_loss();
      later->disarm();
      Life life(*later);
      const auto there = life.load();
      ASSERT_TRUE(there.ok()) << there.error().message;
      EXPECT_TRUE(*there == before_ || *there == small_.machine().digest());
      ++losses;
      if (!again) break;
    }
  }
  EXPECT_GT(losses, 200);
}

// Nothing else would ever give it back to a full disk: no row has ever been there.
TEST_F(GrownFile, IsCutAtTheNextStart) {
  const uint64_t before = Life(files_).file_bytes();
  files_.process_crash();
  bool crashed = true;
  int grown = 0;
  for (uint64_t at = 1; crashed; at += at < 8 ? 1 : 20) {
    SCOPED_TRACE("operation " + std::to_string(at));
    const auto disk = files_.clone(1);
    crashed = crash_in_large_span(*disk, at);
    Life life(*disk);
    const uint64_t left = life.file_bytes();
    const auto there = life.load();
    ASSERT_TRUE(there.ok()) << there.error().message;
    if (*there != before_) continue;
    EXPECT_EQ(life.file_bytes(), before);
    grown += left > before + 500'000 ? 1 : 0;
    ASSERT_TRUE(life.store->write(first_of_it_).ok());
    EXPECT_LT(life.file_bytes(), before + 500'000);
    EXPECT_EQ(*life.load(), small_.machine().digest());
  }
  EXPECT_GT(grown, 10);
}

}  // namespace
}  // namespace holdfast::snapshot
