// A span that finds no room, though few rows are left: they go to a database of their own. And what
// a row takes of one.
#include "coordinator/snapshot/anew.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

constexpr char kDirectory[] = "/snapshot";
/// Rows that lie in the database's leaves: to remove one changes its page.
constexpr Bulk kBulk{.first = 100, .last = 499, .gone = 550, .bytes = 3'500};
/// Too little for the pages that the removal changes, enough for what it leaves.
constexpr uint64_t kRoom = 1'100'000;
/// Too little for a database.
constexpr uint64_t kSlack = 100'000;

class Anew : public testing::Test {
 protected:
  explicit Anew(Bulk bulk = kBulk) : state_(7, bulk) {
    EXPECT_TRUE(files_->create_directory(kDirectory));
    EXPECT_TRUE(files_->sync_directory("/"));
    open(*files_);
    state_.apply(520);
    EXPECT_TRUE(store_->write(state_.take_span()).ok());
    store_.reset();  // and with it the "-wal"
    before_ = state_.machine().digest();
    state_.apply(50);
    span_ = state_.take_span();
    files_->set_capacity(files_->used() + kRoom);
  }
  void open(raft::FakeFileSystem& files) {
    store_.reset();
    vfs_.emplace(files, 1);
    store_ = std::move(*SnapshotStore::open(files, kDirectory, vfs_->name()));
  }
  Digest loaded() {
    rsm::StateMachine machine;
    const auto head =
        store_->load([&](RowTable table, uint64_t id,
                         std::string_view row) { return machine.load(table, id, row); },
                     [](uint64_t) {});
    EXPECT_TRUE(head.ok()) << head.error().message;
    if (!head.ok()) return {};
    EXPECT_TRUE(machine.finish_load().ok());
    EXPECT_EQ(head->digest, machine.digest());
    return machine.digest();
  }

  std::unique_ptr<raft::FakeFileSystem> files_ = std::make_unique<raft::FakeFileSystem>(1);
  std::optional<FileSystemVfs> vfs_;
  std::unique_ptr<SnapshotStore> store_;
  WrittenState state_;
  Digest before_;
  Span span_;
};

TEST_F(Anew, WhatIsLeftOfManyRowsNeedsNoRoomForThem) {
  open(*files_);
  const std::string before = store_->path();
  const uint64_t used = files_->used();
  const auto written = store_->write(span_);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->durable);
  EXPECT_EQ(written->applied, state_.machine().applied());
  EXPECT_NE(store_->path(), before);
  EXPECT_FALSE(*files_->exists(before));
  EXPECT_LT(files_->used() + 1'000'000, used);
  EXPECT_LT(written->database_bytes, 500'000U);
  EXPECT_EQ(loaded(), state_.machine().digest());
  state_.apply(30);
  ASSERT_TRUE(store_->write(state_.take_span()).ok());
  open(*files_);
  EXPECT_EQ(loaded(), state_.machine().digest());
}

TEST_F(Anew, TheOldOrTheNewStateIsThereAfterACrashAtEveryOperation) {
  int crashes = 0;
  int kept = 0;
  for (bool crashed = true; crashed; ++crashes) {
    const auto disk = files_->clone(1);
    disk->set_capacity(disk->used() + kRoom);
    open(*disk);
    disk->crash_at(disk->operations() + static_cast<uint64_t>(crashes));
    [[maybe_unused]] const auto written = store_->write(span_);
    crashed = disk->crashed();
    disk->halt();
    store_.reset();
    crashes % 2 == 0 ? disk->power_loss() : disk->process_crash();
    disk->set_capacity(~uint64_t{0});
    open(*disk);
    const Digest there = loaded();
    kept += there == before_;
    ASSERT_TRUE(there == before_ || there == state_.machine().digest()) << "operation " << crashes;
    ASSERT_LE(disk->paths().size(), 4U) << "a database, what belongs to it, CURRENT";
    disk->halt();
    store_.reset();
  }
  EXPECT_GT(crashes, 20);
  EXPECT_GT(kept, 10);
}

/// Many rows of one span, and the next in which they are gone.
class MuchForAWhile : public Anew {
 protected:
  MuchForAWhile() : Anew({.first = 530, .last = 1'100, .gone = 1'200, .bytes = 3'500}) {
    state_.apply(580);
    span_.rows.append(state_.take_span().rows);
    span_.head = state_.take_span().head;
  }
};

// A span that is committed to the "-wal" can be neither undone nor given back: had the database no
// room for it, nothing that is removed later would give any.
TEST_F(MuchForAWhile, WhatHasRoomInTheWalAloneIsNotCommittedToIt) {
  const auto roomy = files_->clone(1);
  roomy->set_capacity(~uint64_t{0});
  open(*roomy);
  const auto fits = store_->write(span_);
  ASSERT_TRUE(fits.ok());
  open(*files_);
  const uint64_t used = files_->used();
  files_->set_capacity(used + fits->wal_bytes + kSlack);
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto refused = store_->write(span_);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace) << refused.error().message;
    EXPECT_LT(files_->used(), used + kSlack) << "attempt " << attempt;
  }
  state_.apply(60);
  Span later = state_.take_span();
  span_.rows.append(std::move(later.rows));
  later.rows = std::move(span_.rows);
  const auto written = store_->write(later);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->durable);
  EXPECT_EQ(loaded(), state_.machine().digest());
}

class AnewInVain : public Anew {
 protected:
  AnewInVain() : Anew({.first = 100, .last = 499, .gone = 10'000, .bytes = 3'500}) {}
};

TEST_F(AnewInVain, NothingIsTriedThatDoesNotFit) {
  open(*files_);
  files_->set_capacity(files_->used() + 20'000);
  const std::string before = store_->path();
  const auto refused = store_->write(span_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  const uint64_t operations = files_->operations();
  ASSERT_FALSE(store_->write(span_).ok());
  EXPECT_LT(files_->operations() - operations, 40U) << "no database is begun";
  EXPECT_EQ(store_->path(), before);
  files_->set_capacity(~uint64_t{0});
  ASSERT_TRUE(store_->write(span_).ok());
  EXPECT_EQ(store_->path(), before) << "the span itself fits again";
  EXPECT_EQ(loaded(), state_.machine().digest());
}

/// How much a database grows for keys with values of so many bytes, and how much was reckoned.
class Growth : public testing::TestWithParam<size_t> {};

TEST_P(Growth, IsNoMoreThanWasReckoned) {
  raft::FakeFileSystem files{1};
  ASSERT_TRUE(files.create_directory(kDirectory));
  const FileSystemVfs vfs(files, 1);
  auto store = std::move(*SnapshotStore::open(files, kDirectory, vfs.name()));
  WrittenState state(3, {.first = 20, .last = 400, .gone = 10'000, .bytes = GetParam()});
  state.apply(19);
  const auto before = store->write(state.take_span());
  state.apply(380);
  const Span span = state.take_span();
  const auto after = store->write(span);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_LE(after->database_bytes - before->database_bytes, span.rows.growth_bytes());
  EXPECT_EQ(after->disk_bytes,
            files.content(store->path()).size() + files.content(store->path() + "-wal").size());
}

INSTANTIATE_TEST_SUITE_P(OfValues, Growth,
                         testing::Values(0, 100, 900, 1'300, 1'950, 2'100, 3'900, 4'000, 4'090,
                                         8'100, 20'000));

// What is begun in vain costs the disk much, again and again.
TEST(AnewOfALargeRow, TakesNoMoreRoomThanWasReckoned) {
  raft::FakeFileSystem files{1};
  ASSERT_TRUE(files.create_directory(kDirectory));
  const FileSystemVfs vfs(files, 1);
  auto store = std::move(*SnapshotStore::open(files, kDirectory, vfs.name()));
  WrittenState state(3, {.first = 398, .last = 399, .gone = 10'000, .bytes = 1'000'000});
  state.apply(400);
  const Span span = state.take_span();
  ASSERT_TRUE(store->write(span).ok());
  auto from = Database::open(store->path(), Database::Mode::kRead, vfs.name());
  ASSERT_TRUE(from.ok());
  const auto bytes = bytes_anew(*from, {});
  ASSERT_TRUE(bytes.ok());
  files.set_capacity(files.used() + *bytes);
  auto to = SnapshotWriter::create(files, std::string(kDirectory) + "/anew", vfs.name());
  ASSERT_TRUE(to.ok()) << to.error().message;
  const Status written = write_anew(*from, {}, span.head, *to);
  EXPECT_TRUE(written.ok()) << written.error().message;
}

}  // namespace
}  // namespace holdfast::snapshot
