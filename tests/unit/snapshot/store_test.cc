// The directory of a snapshot: which database is in force, what becomes of the others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "coordinator/snapshot/store.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SnapshotStores : public testing::Test {
 protected:
  std::unique_ptr<SnapshotStore> open() {
    auto store = SnapshotStore::open(files_, directory_.path());
    EXPECT_TRUE(store.ok()) << store.error().message;
    return std::move(*store);
  }
  WrittenSpan write(SnapshotStore& store) {
    const auto written = store.write(state_.take_span());
    EXPECT_TRUE(written.ok()) << written.error().message;
    return *written;
  }
  Result<SnapshotHead> load(SnapshotStore& store) {
    machine_ = std::make_unique<rsm::StateMachine>();
    return store.load([&](RowTable table, uint64_t id,
                          std::string_view row) { return machine_->load(table, id, row); },
                      [](uint64_t) {});
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      const std::string name = entry.path().filename();
      if (!name.ends_with("-wal") && !name.ends_with("-shm")) out.push_back(name);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  void put(const std::string& name, const std::string& text) {
    std::ofstream(directory_.file(name)) << text;
  }

  TemporaryDirectory directory_;
  raft::PosixFileSystem files_;
  WrittenState state_{7};
  std::unique_ptr<rsm::StateMachine> machine_;
};

class ShrinkingStores : public SnapshotStores {
 protected:
  ShrinkingStores() { state_ = std::make_unique<WrittenState>(7, Bulk{100, 199, 350}); }
  /// Goes on by so many entries and writes them.
  WrittenSpan write(SnapshotStore& store, int entries, bool shrink, bool at_leisure = false) {
    state_->apply(entries);
    Span span = state_->take_span();
    span.shrink = shrink;
    span.at_leisure = at_leisure;
    const auto written = store.write(span);
    EXPECT_TRUE(written.ok()) << written.error().message;
    return *written;
  }
  std::unique_ptr<WrittenState> state_;
};

constexpr uint64_t kBulkBytes = 2'000'000;

TEST_F(ShrinkingStores, GiveBackWhatRemovedRowsLeaveWhenTheDiskIsFull) {
  auto store = open();
  const WrittenSpan large = write(*store, 300, true);
  EXPECT_GT(large.database_bytes, kBulkBytes);
  const WrittenSpan kept = write(*store, 100, false);
  EXPECT_GE(kept.database_bytes, large.database_bytes) << "later rows fill it";
  const WrittenSpan small = write(*store, 10, true);
  EXPECT_LT(small.database_bytes, kBulkBytes / 4);
  EXPECT_EQ(small.wal_bytes, 0U);
  EXPECT_TRUE(small.durable);
  EXPECT_EQ(std::filesystem::file_size(store->path()), small.database_bytes);
  write(*store, 100, false);
  EXPECT_EQ((*snapshot::load(store->path()))->digest(), state_->machine().digest());
}

TEST_F(ShrinkingStores, DoNotWriteADatabaseAnewForLittle) {
  auto store = open();
  const WrittenSpan before = write(*store, 300, true);
  const WrittenSpan after = write(*store, 10, true);
  EXPECT_GE(after.database_bytes, before.database_bytes);
  EXPECT_GT(after.wal_bytes, 0U);
}

// A database that somebody reads is written, and shrinks some other time.
TEST_F(ShrinkingStores, WaitForNoReader) {
  auto store = open();
  const WrittenSpan large = write(*store, 300, true);
  write(*store, 100, false);
  auto reader = Database::open(store->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader.ok() && reader->run("BEGIN; SELECT count(*) FROM key_rows").ok());
  const WrittenSpan read = write(*store, 10, true);
  EXPECT_EQ(read.applied, state_->machine().applied());
  EXPECT_TRUE(read.slack);
  ASSERT_TRUE(reader->run("COMMIT").ok());
  const WrittenSpan shrunk = write(*store, 0, true);
  EXPECT_LT(shrunk.database_bytes, large.database_bytes / 4);
  EXPECT_EQ(std::filesystem::file_size(store->path()), shrunk.database_bytes);
  EXPECT_EQ(std::filesystem::file_size(store->path() + "-wal"), 0U);
  EXPECT_FALSE(shrunk.slack);
}

// One reader held the span up, the next came before it was in the database: that reads what stands
// there before the database shrinks.
TEST_F(ShrinkingStores, GiveTheWalBackWhenWhoReadItIsGone) {
  constexpr const char* kRead = "BEGIN; SELECT count(*) FROM key_rows";
  auto store = open();
  write(*store, 300, false);
  auto first = Database::open(store->path(), Database::Mode::kRead);
  ASSERT_TRUE(first.ok() && first->run(kRead).ok());
  ASSERT_FALSE(write(*store, 100, false).durable);
  auto second = Database::open(store->path(), Database::Mode::kRead);
  ASSERT_TRUE(second.ok() && second->run(kRead).ok());
  ASSERT_TRUE(first->run("COMMIT").ok());
  const WrittenSpan read = write(*store, 0, true);
  ASSERT_TRUE(read.durable);
  ASSERT_LT(read.database_bytes, kBulkBytes / 4) << "it has shrunk, in the -wal";
  EXPECT_EQ(read.wal_bytes, 0U) << "it is there to be read, and not to be filled anew";
  EXPECT_TRUE(read.slack);
  ASSERT_TRUE(second->run("COMMIT").ok());
  const WrittenSpan given = write(*store, 0, true);
  EXPECT_FALSE(given.slack);
  EXPECT_EQ(std::filesystem::file_size(store->path()), given.database_bytes);
  EXPECT_EQ(std::filesystem::file_size(store->path() + "-wal"), 0U);
}

// Who reads for long lets the "-wal" grow with every span, and it is no smaller afterwards.
TEST_F(ShrinkingStores, GiveBackAWalThatReadersLetGrow) {
  auto store = open();
  write(*store, 90, false);
  auto reader = Database::open(store->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader.ok() && reader->run("BEGIN; SELECT count(*) FROM key_rows").ok());
  for (int span = 0; span < 10; ++span) write(*store, 100, false);
  ASSERT_TRUE(reader->run("COMMIT").ok());
  const WrittenSpan grown = write(*store, 10, false);
  ASSERT_GT(grown.wal_bytes, 2 * grown.database_bytes);
  EXPECT_TRUE(grown.slack);
  const WrittenSpan given = write(*store, 0, true);
  EXPECT_EQ(given.wal_bytes, 0U);
  EXPECT_TRUE(given.durable);
}

/// A store that holds no more than a little beyond its rows, though the disk is not full.
class RoomyDisks : public ShrinkingStores {
 protected:
  static constexpr uint64_t kAllowed = 500'000;
  RoomyDisks() : store_(open()) { store_->allow_slack(kAllowed); }
  WrittenSpan write(int entries, bool at_leisure = true) {
    return ShrinkingStores::write(*store_, entries, /*shrink=*/false, at_leisure);
  }
  uint64_t disk_bytes() const {
    return std::filesystem::file_size(store_->path()) +
           std::filesystem::file_size(store_->path() + "-wal");
  }
  bool holds_the_state() const {
    return (*snapshot::load(store_->path()))->digest() == state_->machine().digest();
  }
  std::unique_ptr<SnapshotStore> store_;
};

TEST_F(RoomyDisks, GetBackMuchThatRemovedRowsLeave) {
  const WrittenSpan large = write(300);
  EXPECT_FALSE(large.excess) << "the \"-wal\" of many rows is explained by them";
  const std::string before = store_->path();
  const WrittenSpan small = write(100);
  EXPECT_LT(small.disk_bytes, kBulkBytes / 4);
  EXPECT_EQ(small.disk_bytes, disk_bytes());
  EXPECT_LE(small.database_bytes, small.disk_bytes);
  EXPECT_TRUE(small.durable);
  EXPECT_FALSE(small.excess);
  EXPECT_EQ(small.applied, state_->machine().applied());
  EXPECT_THAT(names(), ElementsAre("CURRENT", store_->path().substr(directory_.path().size() + 1)));
  EXPECT_NE(store_->path(), before);
  EXPECT_TRUE(holds_the_state());
  write(100);
  EXPECT_TRUE(holds_the_state());
}

TEST_F(RoomyDisks, GetItLaterWhileTheWritingIsInAHurry) {
  write(300);
  const WrittenSpan hurried = write(100, /*at_leisure=*/false);
  EXPECT_GT(hurried.disk_bytes, kBulkBytes);
  EXPECT_TRUE(hurried.excess) << "a span without rows is worth while";
  const WrittenSpan small = write(0);
  EXPECT_LT(small.disk_bytes, kBulkBytes / 4);
  EXPECT_FALSE(small.excess);
  EXPECT_TRUE(holds_the_state());
}

TEST_F(RoomyDisks, GetNothingBackThatIsLittle) {
  store_->allow_slack(3 * kBulkBytes);
  write(300);
  const std::string before = store_->path();
  const WrittenSpan kept = write(100);
  EXPECT_GT(kept.disk_bytes, kBulkBytes);
  EXPECT_FALSE(kept.excess);
  EXPECT_EQ(store_->path(), before);
}

// What is removed makes room for what comes: to write all rows anew each time would cost more.
TEST_F(RoomyDisks, AreNotWrittenAnewForPutsAndRemovesThatGoOn) {
  store_->allow_slack(0);
  state_ = std::make_unique<WrittenState>(7);
  write(2'000);
  const std::string before = store_->path();
  for (int span = 0; span < 40; ++span) {
    const WrittenSpan written = write(100);
    EXPECT_FALSE(written.excess);
    EXPECT_GT(written.wal_bytes, 0U) << "the next span would have to extend it anew";
  }
  EXPECT_EQ(store_->path(), before);
}

// He goes on reading what stands there, and it goes when he ends.
TEST_F(RoomyDisks, WaitForNoReaderOfWhatIsWrittenAnew) {
  write(300);
  auto reader = Database::open(store_->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader.ok() && reader->run("BEGIN").ok());
  const auto keys = reader->integer("SELECT count(*) FROM key_rows");
  ASSERT_GT(*keys, 100);
  const WrittenSpan held_up = write(100);
  EXPECT_FALSE(held_up.durable) << "he reads what stood there before";
  EXPECT_TRUE(held_up.excess);
  ASSERT_TRUE(reader->run("COMMIT; BEGIN").ok());
  const auto fewer = reader->integer("SELECT count(*) FROM key_rows");
  ASSERT_LT(*fewer, *keys);
  const WrittenSpan small = write(0);
  EXPECT_TRUE(small.durable);
  EXPECT_LT(disk_bytes(), kBulkBytes / 4);
  EXPECT_FALSE(small.excess);
  EXPECT_EQ(*reader->integer("SELECT count(*) FROM key_rows"), *fewer);
  EXPECT_TRUE(holds_the_state());
}

// A "-wal" is no reason to write rows: it is cut off.
TEST_F(RoomyDisks, GetBackAWalThatReadersLetGrow) {
  state_ = std::make_unique<WrittenState>(7, Bulk{10, 90, 100'000, 4'000});
  write(90);
  const std::string before = store_->path();
  auto reader = Database::open(store_->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader.ok() && reader->run("BEGIN; SELECT count(*) FROM key_rows").ok());
  for (int span = 0; span < 30; ++span) write(100);
  const WrittenSpan grown = write(10);
  EXPECT_GT(grown.disk_bytes, 3 * grown.database_bytes);
  EXPECT_TRUE(grown.excess);
  ASSERT_TRUE(reader->run("COMMIT").ok());
  const WrittenSpan given = write(0);
  EXPECT_TRUE(given.durable);
  EXPECT_FALSE(given.excess);
  EXPECT_EQ(given.disk_bytes, given.database_bytes);
  EXPECT_EQ(given.wal_bytes, 0U);
  EXPECT_EQ(store_->path(), before);
}

TEST_F(SnapshotStores, IsEmptyAtFirstAndHoldsWhatWasWrittenAfterwards) {
  {
    auto store = open();
    EXPECT_TRUE(store->empty());
    state_.apply(300);
    const WrittenSpan written = write(*store);
    EXPECT_EQ(written.applied, state_.machine().applied());
    EXPECT_TRUE(written.durable);
    EXPECT_GT(written.rows, 0U);
    EXPECT_GT(written.database_bytes, 4'096U);
    EXPECT_EQ(written.wal_bytes, std::filesystem::file_size(store->path() + "-wal"));
    EXPECT_GT(written.wal_bytes, 4'096U);
    state_.apply(300);
    write(*store);
  }
  auto store = open();
  ASSERT_FALSE(store->empty());
  const auto head = load(*store);
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(head->applied, state_.machine().applied());
  ASSERT_TRUE(machine_->finish_load().ok());
  EXPECT_EQ(machine_->digest(), state_.machine().digest());
  state_.apply(300);
  EXPECT_TRUE(write(*store).durable);
}

// What is written to a file without a name is gone when the process ends.
TEST_F(SnapshotStores, ADatabaseThatSomebodyRemovedIsWrittenAnew) {
  for (const bool replaced : {false, true}) {
    for (const bool companions : {false, true}) {
      auto store = open();
      state_.apply(300);
      write(*store);
      const std::string before = store->path();
      std::filesystem::remove(before);
      if (companions) std::filesystem::remove(before + "-wal");
      if (replaced) put(std::filesystem::path(before).filename(), "somebody's own");
      state_.apply(100);
      const WrittenSpan written = write(*store);
      EXPECT_TRUE(written.anew);
      EXPECT_TRUE(written.durable);
      EXPECT_NE(store->path(), before);
      EXPECT_EQ(std::filesystem::exists(before), replaced) << "it is not this store's";
      state_.apply(100);
      EXPECT_FALSE(write(*store).anew);
      store.reset();
      store = open();
      const auto head = load(*store);
      ASSERT_TRUE(head.ok()) << head.error().message;
      ASSERT_TRUE(machine_->finish_load().ok());
      EXPECT_EQ(machine_->digest(), state_.machine().digest());
    }
  }
}

// A "-wal" without a name is lost by a crash in the middle of a checkpoint, and with it the
// database; of a snapshot that nothing names a start takes the log for damaged.
TEST_F(SnapshotStores, WhatBelongsToItIsWrittenAnewToo) {
  const std::function<void(const std::string&)> harms[] = {
      [](const std::string& path) { std::filesystem::remove(path + "-wal"); },
      [](const std::string& path) {
        std::filesystem::remove(path + "-wal");
        auto reader = Database::open(path, Database::Mode::kRead);
        ASSERT_TRUE(reader.ok() && reader->run("SELECT count(*) FROM snapshot").ok());
        ASSERT_TRUE(std::filesystem::exists(path + "-wal")) << "SQLite has made another one";
      },
      [this](const std::string&) { std::filesystem::remove(directory_.file("CURRENT")); },
      [this](const std::string&) { put("CURRENT", "state-99.db\n"); },
      [this](const std::string&) { std::filesystem::remove_all(directory_.path()); }};
  for (const auto& harm : harms) {
    auto store = open();
    state_.apply(300);
    write(*store);
    EXPECT_FALSE(store->has_moved());
    harm(store->path());
    EXPECT_TRUE(store->has_moved());
    const WrittenSpan written = write(*store);  // nothing has changed
    EXPECT_TRUE(written.anew);
    EXPECT_TRUE(written.durable);
    EXPECT_FALSE(store->has_moved());
    EXPECT_FALSE(write(*store).anew);
    store.reset();
    store = open();
    ASSERT_TRUE(load(*store).ok());
    ASSERT_TRUE(machine_->finish_load().ok());
    EXPECT_EQ(machine_->digest(), state_.machine().digest());
    EXPECT_FALSE(store->has_moved());
  }
}

TEST_F(SnapshotStores, NobodyElseMayReadTheFiles) {
  auto store = open();
  state_.apply(100);
  write(*store);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    struct stat status {};
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0077, 0U) << entry.path();
  }
}

TEST_F(SnapshotStores, WhatSomebodyMadeInItsPlaceIsNotUsed) {
  auto store = open();
  put("state-1.db", "");  // as `sqlite3 state-1.db` does before the first span
  put("state-1.db-wal", "rows of nobody");
  state_.apply(100);
  EXPECT_TRUE(write(*store).durable);
  ASSERT_EQ(store->path(), directory_.file("state-1.db"));
  struct stat status {};
  ASSERT_EQ(stat(store->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0U);
}

TEST_F(SnapshotStores, ADatabaseThatCurrentDoesNotNameIsRemoved) {
  put("state-4.db", "begun when the process ended");
  put("state-4.db-wal", "rows of another time");
  put("notes.txt", "not ours");
  auto store = open();
  EXPECT_TRUE(store->empty());
  ASSERT_TRUE(store->remove_unnamed().ok());
  EXPECT_THAT(names(), ElementsAre("notes.txt"));
  state_.apply(50);
  write(*store);
  EXPECT_THAT(names(), ElementsAre("CURRENT", "notes.txt", "state-5.db"));
  put("state-6.db", "begun to take its place");
  EXPECT_EQ(open()->path(), directory_.file("state-5.db"));
  EXPECT_THAT(names(), ElementsAre("CURRENT", "notes.txt", "state-5.db"));
}

TEST_F(SnapshotStores, ADamagedDatabaseIsKeptAside) {
  {
    auto store = open();
    state_.apply(500);
    write(*store);
  }
  std::fstream file(directory_.file("state-1.db"));
  file.seekp(100);  // the schema's page
  file << std::string(200, '\xAB');
  file.close();
  auto store = open();
  const auto head = load(*store);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(head.error().message, HasSubstr("state-1.db"));
  ASSERT_TRUE(store->set_aside().ok());
  EXPECT_TRUE(store->empty());
  EXPECT_THAT(names(), ElementsAre("state-1.db.damaged"));
  store = open();
  EXPECT_TRUE(store->empty());
  EXPECT_THAT(names(), ElementsAre("state-1.db.damaged"));
}

// By an operator who tidied up before he had the server rebuilt.
TEST_F(SnapshotStores, OfADatabaseThatSomebodyRemovedNothingIsKeptAside) {
  for (const bool current_too : {false, true}) {
    auto store = open();
    state_.apply(100);
    write(*store);
    std::filesystem::remove(store->path());
    if (current_too) std::filesystem::remove(directory_.file("CURRENT"));
    EXPECT_EQ(store->aside_path(), "");
    const Status done = store->set_aside();
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_TRUE(store->empty());
    EXPECT_TRUE(store->anything_set_aside()) << "this is no server's first start";
    EXPECT_THAT(names(), ElementsAre("state-1.db.removed"));
    EXPECT_EQ(std::filesystem::file_size(directory_.file("state-1.db.removed")), 0U);
    store = open();
    EXPECT_TRUE(store->empty());
    EXPECT_TRUE(store->anything_set_aside());
    EXPECT_EQ(store->head_set_aside(), std::nullopt);
    write(*store);
    store = open();
    EXPECT_THAT(names(), ElementsAre("CURRENT", testing::EndsWith(".db"))) << "another is in force";
    store = open();
    EXPECT_FALSE(store->anything_set_aside());
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
  }
}

TEST_F(SnapshotStores, WhatCannotBeKeptAsideIsAnError) {
  auto store = open();
  state_.apply(100);
  write(*store);
  std::filesystem::create_directory(store->aside_path());
  const Status done = store->set_aside();
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message, HasSubstr("state-1.db"));
  EXPECT_FALSE(store->empty());
}

// Every row is whole and the digest right: only SQLite's own check counts the bytes of a page.
TEST_F(SnapshotStores, DamageThatNoRowShowsIsFoundByTheCheckBesideTheLoading) {
  {
    auto store = open();
    state_.apply(500);
    write(*store);
  }
  ASSERT_TRUE(load(*open()).ok());
  constexpr std::streamoff kPageBytes = 4096, kLeaf = 13, kFragmentedAt = 7;
  std::fstream file(directory_.file("state-1.db"));
  file.seekg(-kPageBytes, std::ios::end);
  const std::streamoff page = file.tellg();
  ASSERT_EQ(file.get(), kLeaf);
  const int fragmented = file.seekg(page + kFragmentedAt).get();
  file.seekp(page + kFragmentedAt).put(static_cast<char>(fragmented + 1));
  file.close();
  const auto head = load(*open());
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(head.error().message, HasSubstr("Fragmentation"));
}

TEST_F(SnapshotStores, ADamagedDatabaseWhoseSettingAsideWasInterruptedIsSetAside) {
  put("CURRENT", "state-3.db\n");
  put("state-3.db.damaged", "what it was");
  put("state-3.db-wal", "not moved yet");
  const auto store = open();
  EXPECT_TRUE(store->empty());
  EXPECT_TRUE(store->anything_set_aside()) << "this is no server's first start";
  EXPECT_FALSE(std::filesystem::exists(directory_.file("CURRENT")));
  EXPECT_TRUE(std::filesystem::exists(directory_.file("state-3.db.damaged")));
}

TEST_F(SnapshotStores, CurrentIsJudged) {
  put("CURRENT", "../../etc/passwd\n");
  auto store = SnapshotStore::open(files_, directory_.path());
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().message, HasSubstr("CURRENT: it must name a database as state-N.db"));
  put("CURRENT", "state-9.db\n");
  store = SnapshotStore::open(files_, directory_.path());
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().message, HasSubstr("it names state-9.db, which is not there"));
}

TEST_F(SnapshotStores, AReaderHoldsUpDurabilityAndNothingElse) {
  auto store = open();
  state_.apply(100);
  write(*store);
  auto reader = Database::open(store->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader->run("BEGIN; SELECT count(*) FROM keys").ok());
  state_.apply(100);
  EXPECT_FALSE(write(*store).durable);
  ASSERT_TRUE(reader->run("COMMIT").ok());
  state_.apply(100);
  EXPECT_TRUE(write(*store).durable);
}

TEST_F(SnapshotStores, MayLieBehindALinkButBeNone) {
  const std::string link = directory_.file("link");
  std::filesystem::create_directory(directory_.file("real"));
  std::filesystem::create_symlink("real", link);
  auto store = SnapshotStore::open(files_, link);
  state_.apply(50);
  EXPECT_TRUE(write(**store).durable);
  store->reset();
  std::filesystem::rename(directory_.file("real/state-1.db"), directory_.file("elsewhere.db"));
  std::filesystem::create_symlink(directory_.file("elsewhere.db"), link + "/state-1.db");
  store = SnapshotStore::open(files_, link);
  const auto head = load(**store);
  ASSERT_FALSE(head.ok());
  EXPECT_EQ(head.error().code, ErrorCode::kDiskFailed);
  EXPECT_THAT(head.error().message, HasSubstr("link/state-1.db: unable to open"));
}

TEST_F(SnapshotStores, AreFilesWhateverTheirNames) {
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(directory_.path());
  std::filesystem::create_directory("file:data?mode=memory");
  auto store = SnapshotStore::open(files_, "file:data?mode=memory");
  state_.apply(50);
  write(**store);
  EXPECT_TRUE(load(**store).ok());
  EXPECT_GT(std::filesystem::file_size((*store)->path()), 4'096U);
  std::filesystem::current_path(before);
}

TEST_F(SnapshotStores, LeaveAloneWhatOnlyLooksLikeADatabase) {
  const std::vector<std::string> kOthers = {"state-01.db", "state-18446744073709551615.db",
                                            "state-2.db.bak", "state-x.db", "states.txt"};
  for (const std::string& name : kOthers) put(name, "somebody's");
  auto store = open();
  EXPECT_EQ(names(), kOthers);
  state_.apply(50);
  write(*store);
  EXPECT_EQ(open()->path(), directory_.file("state-3.db"));
}

// The log behind it may have been cut: that is not known before the log has been opened.
TEST_F(SnapshotStores, OfALostCurrentTheDatabaseStays) {
  write(*open());
  std::filesystem::remove(directory_.file("CURRENT"));
  const auto store = open();
  EXPECT_TRUE(store->empty());
  EXPECT_THAT(names(), ElementsAre("state-1.db"));
}

}  // namespace
}  // namespace holdfast::snapshot
