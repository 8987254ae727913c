// A snapshot that lies by itself in a file: what is found in it, and what is refused.
#include "coordinator/loading/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "coordinator/snapshot/copy.h"
#include "coordinator/tree/key_tree.h"
#include "lockmgr/lock_table.h"
#include "raft/storage/posix_file_system.h"
#include "raft/transport/genesis.h"
#include "session/session_table.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using loading::examine;
using loading::SnapshotFile;
using testing::ElementsAre;
using testing::HasSubstr;

raft::Genesis genesis_of(ClusterId cluster) {
  raft::Genesis genesis{.cluster = cluster};
  for (const uint64_t id : {1, 3}) {
    genesis.configuration.voters.emplace_back(id);
    genesis.configuration.members.push_back(
        {NodeId(id), StoreId(1'000 + id), "peer:1", "client:1", 1});
  }
  return genesis;
}

class SnapshotFiles : public testing::Test {
 protected:
  SnapshotFiles() { save(genesis_of(ClusterId(77))); }
  /// The database of a store, and a copy of it alone in a directory.
  void save(const raft::Genesis& genesis) {
    if (store_ == nullptr) store_ = std::move(*SnapshotStore::open(files_, there_.path()));
    state_.apply(500);
    Span span = state_.take_span();
    span.head.genesis = raft::encode_genesis(genesis);
    head_ = span.head;
    ASSERT_TRUE(store_->write(span).ok());
    ASSERT_TRUE(make_copy(files_, store_->path(), path_).ok());
  }
  Result<SnapshotFile> look(const std::string& path) { return examine(files_, path, 1); }
  Error refusal(const std::string& path) {
    const auto file = look(path);
    EXPECT_FALSE(file.ok());
    return file.ok() ? Error{ErrorCode::kOk, ""} : file.error();
  }
  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void set_bytes(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  void change(const std::string& sql) const {
    auto database = Database::open(path_, Database::Mode::kModify);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->run("PRAGMA journal_mode = DELETE;" + sql).ok());
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(here_.path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  TemporaryDirectory here_, there_;
  raft::PosixFileSystem files_;
  WrittenState state_{23};
  std::unique_ptr<SnapshotStore> store_;
  const std::string path_ = here_.file("saved.db");
  SnapshotHead head_;
};

TEST_F(SnapshotFiles, SaysWhatIsInIt) {
  const auto file = look(path_);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->head, head_);
  EXPECT_EQ(file->bytes, std::filesystem::file_size(path_));
  EXPECT_EQ(file->members, genesis_of(ClusterId(77)).configuration.members);
  EXPECT_EQ(file->sessions, state_.machine().sessions().size());
  EXPECT_EQ(file->locks, state_.machine().locks().lock_count());
  EXPECT_EQ(file->waiters, state_.machine().locks().waiter_count());
  EXPECT_EQ(file->keys, state_.machine().keys().key_count());
  EXPECT_GT(file->sessions + file->locks + file->keys, 0u);
}

TEST_F(SnapshotFiles, IsNotChangedAndNothingIsMadeBesideIt) {
  const std::string before = bytes();
  ASSERT_TRUE(look(path_).ok());
  EXPECT_EQ(bytes(), before);
  EXPECT_THAT(names(), ElementsAre("saved.db"));
}

TEST_F(SnapshotFiles, ANameWithMarksOfAnAddressIsAName) {
  const std::string odd = here_.file("a%20b?mode=memory#c.db");
  std::filesystem::copy_file(path_, odd);
  EXPECT_TRUE(look(odd).ok());
}

TEST_F(SnapshotFiles, EveryCutIsDamage) {
  const std::string whole = bytes();
  for (const size_t size :
       {size_t{0}, size_t{50}, size_t{100}, size_t{4096}, whole.size() / 2, whole.size() - 1}) {
    set_bytes(whole.substr(0, size));
    const Error error = refusal(path_);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << size << ": " << error.message;
    EXPECT_THAT(error.message, HasSubstr("saved.db"));
  }
}

TEST_F(SnapshotFiles, WhatIsAppendedIsDamage) {
  set_bytes(bytes() + "x");
  EXPECT_THAT(refusal(path_).message, HasSubstr("bytes, but must have"));
  set_bytes(bytes() + std::string(4095, 'x'));
  EXPECT_EQ(refusal(path_).code, ErrorCode::kCorrupt);
}

TEST_F(SnapshotFiles, AnAlteredRowIsNamed) {
  change("UPDATE key_rows SET version = version + 1 WHERE id = (SELECT max(id) FROM key_rows)");
  EXPECT_THAT(refusal(path_).message, HasSubstr("of table key_rows: its check sum"));
}

TEST_F(SnapshotFiles, AMissingRowShowsInTheDigest) {
  change("DELETE FROM window_rows WHERE id = (SELECT max(id) FROM window_rows)");
  EXPECT_EQ(refusal(path_).code, ErrorCode::kCorrupt);
}

TEST_F(SnapshotFiles, AnAlteredHeadIsFound) {
  change("UPDATE snapshot SET applied_index = applied_index + 1");
  EXPECT_THAT(refusal(path_).message, HasSubstr("the head's check sum"));
}

TEST_F(SnapshotFiles, ANewerFormatIsNamedAndIsNoDamage) {
  change("PRAGMA user_version = 9");
  const Error error = refusal(path_);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_THAT(error.message, HasSubstr("its format version is 9, this program knows 1"));
}

TEST_F(SnapshotFiles, ATriggerIsRefused) {
  change("CREATE TRIGGER t AFTER INSERT ON key_rows BEGIN DELETE FROM lock_rows; END");
  EXPECT_THAT(refusal(path_).message, HasSubstr("no snapshot has 't' as it has"));
}

TEST_F(SnapshotFiles, AHeaderThatForbidsWritingIsDamage) {
  std::string altered = bytes();
  altered[18] = 3;
  set_bytes(altered);
  EXPECT_THAT(refusal(path_).message, HasSubstr("its header says that nobody may write it"));
}

TEST_F(SnapshotFiles, AnotherDatabaseIsNoSnapshot) {
  change("PRAGMA application_id = 1");
  EXPECT_THAT(refusal(path_).message, HasSubstr("this is no snapshot of Holdfast"));
  set_bytes(std::string(10'000, 'x'));
  EXPECT_EQ(refusal(path_).code, ErrorCode::kCorrupt);
}

TEST_F(SnapshotFiles, TheClusterOfItsHeadAndOfItsFirstEntryAreOne) {
  save(genesis_of(ClusterId(78)));
  EXPECT_THAT(refusal(path_).message,
              HasSubstr("its head is of cluster 77, entry 1 of the log in it of cluster 78"));
}

TEST_F(SnapshotFiles, TheDatabaseOfAServerIsNotTakenForAWholeFile) {
  auto reader = Database::open(store_->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader.ok() && reader->run("BEGIN; SELECT count(*) FROM snapshot").ok());
  state_.apply(50);
  ASSERT_TRUE(store_->write(state_.take_span()).ok());
  const Error error = refusal(store_->path());
  EXPECT_EQ(error.code, ErrorCode::kBadArgument);
  EXPECT_THAT(error.message, HasSubstr("-wal: this is the database of a server"));
}

TEST_F(SnapshotFiles, AFileThatIsNotThereIsNamed) {
  const Error error = refusal(here_.file("absent.db"));
  EXPECT_EQ(error.code, ErrorCode::kBadArgument);
  EXPECT_THAT(error.message, HasSubstr("absent.db"));
  EXPECT_THAT(names(), ElementsAre("saved.db"));
}

}  // namespace
}  // namespace holdfast::snapshot
