// Copies of a snapshot: made while others write, received piece by piece, put in force.
#include "coordinator/snapshot/copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/entropy.h"
#include "coordinator/snapshot/received_file.h"
#include "coordinator/snapshot/store.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using testing::HasSubstr;

/// Lets the test do something whenever the file at a path is opened.
class HookedFiles final : public raft::FileSystem {
 public:
  HookedFiles(raft::FileSystem& below, std::string path) : below_(below), path_(std::move(path)) {}
  std::function<void(raft::OpenMode)> opened = [](raft::OpenMode) {};

  raft::IoResult<std::unique_ptr<raft::File>> open(const std::string& path,
                                                   raft::OpenMode mode) override {
    if (path == path_) opened(mode);
    return below_.open(path, mode);
  }
  raft::IoStatus create_directory(const std::string& path) override {
    return below_.create_directory(path);
  }
  raft::IoResult<std::vector<std::string>> list(const std::string& path) override {
    return below_.list(path);
  }
  raft::IoResult<bool> exists(const std::string& path) override { return below_.exists(path); }
  raft::IoStatus rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }
  raft::IoStatus unlink(const std::string& path) override { return below_.unlink(path); }
  raft::IoStatus sync_directory(const std::string& path) override {
    return below_.sync_directory(path);
  }
  raft::IoResult<uint64_t> free_bytes(const std::string& path) override {
    return below_.free_bytes(path);
  }
  raft::IoResult<std::unique_ptr<raft::FileLock>> lock(const std::string& path) override {
    return below_.lock(path);
  }

 private:
  raft::FileSystem& below_;
  const std::string path_;
};

class Copies : public testing::Test {
 protected:
  std::unique_ptr<SnapshotStore> open(const std::string& directory) {
    auto store = SnapshotStore::open(files_, directory);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return std::move(*store);
  }
  void write(SnapshotStore& store, int entries) {
    state_.apply(entries);
    Span span = state_.take_span();
    span.head = head();
    const auto written = store.write(span);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  /// With an entry 1 so large that a copy has several pieces.
  SnapshotHead head() const {
    SnapshotHead head = state_.head();
    SplitMix random(1);
    for (int i = 0; i < 100'000; ++i) append_le(head.genesis, random.next());
    return head;
  }
  SnapshotCopy copy(const SnapshotStore& store) {
    auto made = make_copy(files_, store.path(), store.copy_path());
    EXPECT_TRUE(made.ok()) << made.error().message;
    return std::move(*made);
  }
  /// Sends the copy's pieces to `path`; `change` may alter one.
  Status send(
      const SnapshotCopy& copy, const std::string& path,
      const std::function<void(std::string&)>& change = [](std::string&) {}) {
    ReceivedFile file(files_, path);
    for (uint64_t at = 0; at < copy.bytes;) {
      auto piece = read_piece(files_, copy, at);
      EXPECT_TRUE(piece.ok()) << piece.error().message;
      at += piece->size();
      change(*piece);
      if (Status done = file.append(*piece); !done.ok()) return done;
    }
    return file.finish(copy.sum);
  }
  Digest digest_at(const std::string& path) {
    auto machine = load(path);
    EXPECT_TRUE(machine.ok()) << machine.error().message;
    return machine.ok() ? (*machine)->digest() : Digest{};
  }

  TemporaryDirectory here_, there_;
  raft::PosixFileSystem files_;
  WrittenState state_{11};
};

TEST_F(Copies, ACopyIsTheStateOfItsHeadWhateverIsWrittenAfterwards) {
  auto store = open(here_.path());
  write(*store, 600);
  const SnapshotHead then = head();
  const SnapshotCopy made = copy(*store);
  write(*store, 600);
  EXPECT_EQ(made.head, then);
  EXPECT_GT(made.bytes, 0u);
  EXPECT_EQ(std::filesystem::file_size(made.path), made.bytes);
  EXPECT_EQ(digest_at(made.path), then.digest);
  EXPECT_EQ(digest_at(store->path()), state_.head().digest);
}

TEST_F(Copies, ACopyHoldsWhatNoCheckpointHasFoldedInYet) {
  auto store = open(here_.path());
  write(*store, 300);
  // A reader holds the checkpoint up: the state of the second span is in the -wal alone.
  auto reader = Database::open(store->path(), Database::Mode::kRead);
  ASSERT_TRUE(reader.ok() && reader->run("BEGIN; SELECT count(*) FROM snapshot").ok());
  write(*store, 300);
  EXPECT_EQ(copy(*store).head, head());
  EXPECT_EQ(digest_at(store->copy_path()), state_.head().digest);
}

TEST_F(Copies, IsForThisUserAlone) {
  auto store = open(here_.path());
  write(*store, 10);
  struct stat status {};
  ASSERT_EQ(::stat(copy(*store).path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(Copies, ComesOverInPiecesAndIsPutInForce) {
  auto store = open(here_.path());
  write(*store, 300);
  const SnapshotCopy made = copy(*store);
  ASSERT_GT(made.bytes, PieceSum::kPieceBytes) << "more than one piece";
  WrittenState own(5);
  {
    auto target = open(there_.path());
    own.apply(50);
    ASSERT_TRUE(target->write(own.take_span()).ok());
    const std::string before = target->path();
    ASSERT_TRUE(send(made, target->incoming_path()).ok());
    EXPECT_EQ(target->head()->digest, own.head().digest) << "not in force yet";
    ASSERT_TRUE(target->adopt_incoming().ok());
    EXPECT_FALSE(std::filesystem::exists(before));
    EXPECT_FALSE(std::filesystem::exists(before + "-wal"));
  }
  auto target = open(there_.path());
  EXPECT_EQ(*target->head(), made.head);
  EXPECT_EQ(digest_at(target->path()), made.head.digest);
  EXPECT_NE(target->incoming_path(), target->path());
}

// Nothing of it is open by which it could be written anew: its rows would go into the other file.
TEST_F(Copies, WhatLiesInThePlaceOfOneThatWasPutInForceIsNotWrittenTo) {
  auto store = open(here_.path());
  write(*store, 300);
  const SnapshotCopy made = copy(*store);
  {
    auto target = open(there_.path());
    ASSERT_TRUE(send(made, target->incoming_path()).ok());
    ASSERT_TRUE(target->adopt_incoming().ok());
  }
  auto target = open(there_.path());
  state_.apply(100);
  const Span span = state_.take_span();
  const auto expect_refused = [&] {
    const auto written = target->write(span);
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code, ErrorCode::kOverloaded) << written.error().message;
    EXPECT_THAT(written.error().message, HasSubstr("somebody has removed or replaced it"));
  };
  const std::string path = target->path();
  std::filesystem::rename(path, path + ".mine");
  expect_refused();
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::copy(made.path, path);
  expect_refused();
  EXPECT_EQ(digest_at(path), made.head.digest);
  std::filesystem::rename(path + ".mine", path);
  const auto written = target->write(span);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->durable);
  EXPECT_EQ(digest_at(path), state_.head().digest);
}

// A reader makes it, while the old database is removed, and takes it with him.
TEST_F(Copies, TheWalOfWhoReadsOneThatIsPutInForceIsNotMissed) {
  auto store = open(here_.path());
  write(*store, 300);
  const SnapshotCopy made = copy(*store);
  std::string path;
  {
    auto target = open(there_.path());
    ASSERT_TRUE(send(made, target->incoming_path()).ok());
    ASSERT_TRUE(target->adopt_incoming().ok());
    path = target->path();
  }
  std::unique_ptr<SnapshotStore> target;
  {
    auto reader = Database::open(path, Database::Mode::kModify);
    ASSERT_TRUE(reader.ok() && reader->integer("SELECT count(*) FROM snapshot").ok());
    ASSERT_TRUE(std::filesystem::exists(path + "-wal"));
    target = open(there_.path());
  }
  ASSERT_FALSE(std::filesystem::exists(path + "-wal"));
  const auto copied = target->copy_in_force();
  EXPECT_TRUE(copied.ok()) << copied.error().message;
  state_.apply(100);
  const auto written = target->write(state_.take_span());
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(digest_at(path), state_.head().digest);
}

TEST_F(Copies, AnAlteredPieceIsFound) {
  auto store = open(here_.path());
  write(*store, 300);
  const SnapshotCopy made = copy(*store);
  int pieces = 0;
  const Status altered = send(made, there_.file("state-9.db"), [&](std::string& piece) {
    if (++pieces == 2) piece[7] ^= 1;
  });
  ASSERT_FALSE(altered.ok());
  EXPECT_EQ(altered.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(altered.error().message, HasSubstr("what was received is not what was sent"));
}

TEST_F(Copies, WhatAProcessLeftOfCopiesGoesWithTheNextStart) {
  {
    auto store = open(here_.path());
    write(*store, 300);
    copy(*store);
    ASSERT_TRUE(send(copy(*store), store->incoming_path()).ok());
    std::ofstream(store->incoming_path() + "-wal") << "left over";
  }
  auto store = open(here_.path());
  int databases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(here_.path())) {
    const std::string name = entry.path().filename();
    EXPECT_FALSE(name.starts_with("copy")) << name;
    databases += name.starts_with("state-") && name.ends_with(".db") ? 1 : 0;
  }
  EXPECT_EQ(databases, 1);
  EXPECT_EQ(digest_at(store->path()), state_.head().digest);
}

TEST_F(Copies, NothingStaysOfACopyThatCouldNotBeMade) {
  const auto made = make_copy(files_, here_.file("absent.db"), here_.file("copy.db"));
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("absent.db"));
  EXPECT_FALSE(std::filesystem::exists(here_.file("copy.db")));
}

TEST_F(Copies, ACopyThatWasCutShortIsNotRead) {
  auto store = open(here_.path());
  write(*store, 300);
  const SnapshotCopy made = copy(*store);
  std::filesystem::resize_file(made.path, made.bytes - 10);
  const uint64_t last = (made.bytes - 1) / PieceSum::kPieceBytes * PieceSum::kPieceBytes;
  const auto piece = read_piece(files_, made, last);
  ASSERT_FALSE(piece.ok());
  EXPECT_EQ(piece.error().code, ErrorCode::kCorrupt);
}

class CopiesInForce : public Copies {
 protected:
  CopiesInForce() {
    auto store = SnapshotStore::open(hooked_, here_.path());
    EXPECT_TRUE(store.ok());
    store_ = std::move(*store);
    write(*store_, 600);
  }
  /// The database of another server, as somebody may put it into this one's place.
  std::string others() {
    WrittenState state(5);
    state.apply(300);
    auto store = open(there_.path());
    EXPECT_TRUE(store->write(state.take_span()).ok());
    return store->path();
  }
  void expect_refused() {
    const auto made = store_->copy_in_force();
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, ErrorCode::kOverloaded);
    EXPECT_THAT(made.error().message, HasSubstr("somebody has removed or replaced it"));
    EXPECT_FALSE(std::filesystem::exists(store_->copy_path()));
  }
  void expect_copied() {
    const auto made = store_->copy_in_force();
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_EQ(made->head, head());
    EXPECT_EQ(digest_at(made->path), head().digest);
  }

  HookedFiles hooked_{files_, here_.file("copy.db")};
  std::unique_ptr<SnapshotStore> store_;
};

TEST_F(CopiesInForce, ThatAreGoneWhenTheyHaveComeReplaceNothing) {
  const Status adopted = store_->adopt_incoming();
  ASSERT_FALSE(adopted.ok());
  EXPECT_THAT(adopted.error().message, HasSubstr("somebody has removed it"));
  store_.reset();
  EXPECT_EQ(digest_at(open(here_.path())->path()), head().digest);
}

TEST_F(CopiesInForce, AreNotMadeOfWhatSomebodyPutInTheirPlace) {
  const std::string before = store_->path();
  std::filesystem::rename(before, before + ".mine");
  expect_refused();
  std::filesystem::copy(others(), before);
  expect_refused();
  std::filesystem::rename(before + ".mine", before);
  expect_copied();
}

// SQLite would take the "-wal" and the memory beside it, which are this server's, for that file's.
TEST_F(CopiesInForce, DoNotEvenOpenWhatSomebodyPutInTheirPlace) {
  std::filesystem::remove(store_->path());
  std::filesystem::copy(others(), store_->path());
  hooked_.opened = [](raft::OpenMode) { ADD_FAILURE() << "a copy was begun"; };
  expect_refused();
}

// Whoever opened the database would make another "-wal", and nobody would miss the one that is
// gone.
TEST_F(CopiesInForce, DoNotHideThatSomebodyRemovedTheWal) {
  const std::string wal = store_->path() + "-wal";
  std::filesystem::remove(wal);
  expect_refused();
  EXPECT_FALSE(std::filesystem::exists(wal));
  EXPECT_TRUE(store_->has_moved());
  write(*store_, 100);
  expect_copied();
}

// As after a received state is put in force: the copy itself makes a "-wal", and leaves it.
TEST_F(CopiesInForce, NeedNoWalOfAStoreThatHasNotWrittenYet) {
  store_.reset();
  store_ = open(here_.path());
  ASSERT_FALSE(std::filesystem::exists(store_->path() + "-wal"));
  expect_copied();
  expect_copied();
}

TEST_F(CopiesInForce, AreNotMadeOfWhatComesThereMeanwhile) {
  const std::string path = store_->path();
  const std::string foreign = others();
  bool first = true;
  hooked_.opened = [&](raft::OpenMode) {
    if (!std::exchange(first, false)) return;
    std::filesystem::rename(path, path + ".mine");
    std::filesystem::copy(foreign, path);
  };
  expect_refused();
  std::filesystem::rename(path + ".mine", path);
  expect_copied();
}

TEST_F(CopiesInForce, AreNotMadeOfWhatSomebodyHasWrittenIntoIt) {
  auto foreign = Database::open(others(), Database::Mode::kRead);
  auto ours = Database::open(store_->path(), Database::Mode::kModify);
  ASSERT_TRUE(foreign.ok() && ours.ok());
  const Status restored = ours->copy_from(*foreign);
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  expect_refused();
}

TEST_F(CopiesInForce, FollowADatabaseThatIsWrittenAnewMeanwhile) {
  const std::string before = store_->path();
  bool first = true;
  hooked_.opened = [&](raft::OpenMode) {
    if (!std::exchange(first, false)) return;
    std::filesystem::remove(before);
    write(*store_, 100);
  };
  expect_copied();
  EXPECT_NE(store_->path(), before);
}

TEST_F(CopiesInForce, MayBeOfASpanThatIsWrittenMeanwhile) {
  bool first = true;
  hooked_.opened = [&](raft::OpenMode) {
    if (std::exchange(first, false)) write(*store_, 100);
  };
  expect_copied();
}

}  // namespace
}  // namespace holdfast::snapshot
