// What arrives of a copy, and is found again by another process.
#include "coordinator/snapshot/received_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "coordinator/snapshot/store.h"
#include "raft/storage/posix_file_system.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kPiece = PieceSum::kPieceBytes;

class ReceivedFileTest : public ::testing::Test {
 protected:
  ReceivedFileTest() {
    PieceSum sum;
    for (const std::string& piece : pieces_) sum.add(piece);
    copy_.sum = sum.value();
  }
  ReceivedFile file() { return {files_, here_.file(part_name(copy_))}; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(here_.path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  void append_the_rest(ReceivedFile& file) {
    while (file.bytes() < copy_.bytes) {
      ASSERT_TRUE(file.append(pieces_[file.bytes() / kPiece]).ok());
    }
  }
  /// What a process does that is started on this disk.
  Status receive(raft::FakeFileSystem& disk) {
    auto found = find_part(disk, "/data");
    if (!found.ok()) return found.error();
    ReceivedFile file(disk, "/data/" + part_name(copy_));
    if (*found) {
      if (Status there = file.reopen(); !there.ok()) return there;
    }
    while (file.bytes() < copy_.bytes) {
      if (Status kept = file.append(pieces_[file.bytes() / kPiece]); !kept.ok()) return kept;
    }
    return file.finish(copy_.sum);
  }
  void leave(const std::string& name) { std::ofstream(here_.file(name)) << "something"; }

  TemporaryDirectory here_;
  raft::PosixFileSystem files_;
  const std::vector<std::string> pieces_{std::string(kPiece, 'a'), std::string(kPiece, 'b'), "end"};
  ArrivingCopy copy_{
      .sender = NodeId(9), .id = 7, .bytes = 2 * kPiece + 3, .sum = 0, .applied = LogIndex(99)};
};

TEST_F(ReceivedFileTest, ItsNameSaysWhichCopyItIs) {
  const ArrivingCopy copy{
      .sender = NodeId(3), .id = ~uint64_t{0}, .bytes = 1, .sum = 0, .applied = LogIndex(5)};
  EXPECT_EQ(part_name(copy), "received-3-18446744073709551615-1-0-5.part");
  EXPECT_EQ(copy_in(part_name(copy)), copy);
  for (const char* name :
       {"", "received-", ".part", "received-.part", "received-1-2-3-4.part", "received-1-2-3-4-5",
        "received-1-2-3-4-5-6.part", "received-1-2-3-4-5.part-wal", "received-1-02-3-4-5.part",
        "received-1-0-3-4-5.part", "received-1-2+3-4-5.part", "received-1--2-3-4-5.part",
        "received-1-18446744073709551616-3-4-5.part", "state-1.db"}) {
    EXPECT_EQ(copy_in(name), std::nullopt) << name;
  }
}

TEST_F(ReceivedFileTest, AnotherProcessGoesOnBehindAllPiecesButTheLast) {
  for (const uint64_t cut :
       {uint64_t{0}, uint64_t{1}, kPiece, kPiece + 1, 2 * kPiece, copy_.bytes}) {
    ReceivedFile first = file();
    for (const std::string& piece : pieces_) ASSERT_TRUE(first.append(piece).ok());
    std::filesystem::resize_file(first.path(), cut);
    ReceivedFile second = file();
    ASSERT_TRUE(second.reopen().ok());
    EXPECT_EQ(second.bytes(), cut > 2 * kPiece ? 2 * kPiece : cut > kPiece ? kPiece : 0) << cut;
    EXPECT_EQ(std::filesystem::file_size(second.path()), second.bytes()) << "a third comes";
    append_the_rest(second);
    EXPECT_TRUE(second.finish(copy_.sum).ok());
    EXPECT_EQ(std::filesystem::file_size(second.path()), copy_.bytes);
  }
}

TEST_F(ReceivedFileTest, WhatWasAlteredMeanwhileIsFound) {
  ReceivedFile first = file();
  for (const std::string& piece : pieces_) ASSERT_TRUE(first.append(piece).ok());
  std::fstream(first.path(), std::ios::in | std::ios::out) << "altered";
  ReceivedFile second = file();
  ASSERT_TRUE(second.reopen().ok());
  append_the_rest(second);
  EXPECT_THAT(second.finish(copy_.sum).error().message, HasSubstr("is not what was sent"));
}

// The page cache shows it, and no later sync brings it to the disk.
TEST_F(ReceivedFileTest, WhatASyncThatFailedLeftIsNotBuiltUpon) {
  raft::FakeFileSystem disk;
  ASSERT_TRUE(disk.create_directory("/data") && disk.sync_directory("/"));
  {
    ReceivedFile first(disk, "/data/part");
    ASSERT_TRUE(first.append(pieces_[0]).ok());
    disk.fail_at(disk.operations() + 8, EIO);
    ASSERT_FALSE(first.append(pieces_[1]).ok()) << "its last sync";
    ASSERT_TRUE(disk.sync_directory("/data"));
  }
  disk.process_crash();
  ReceivedFile second(disk, "/data/part");
  ASSERT_TRUE(second.reopen().ok());
  append_the_rest(second);
  ASSERT_TRUE(second.finish(copy_.sum).ok());
  disk.power_loss();
  EXPECT_EQ(disk.content("/data/part"), pieces_[0] + pieces_[1] + pieces_[2]);
}

// Each write, sync and cut is a moment at which the process is killed or the power goes, twice.
TEST_F(ReceivedFileTest, AfterACrashAtAnyMomentTheRestIsAllThatIsMissing) {
  for (const bool power : {false, true}) {
    for (uint64_t first = 1, crashes = 2; crashes > 0; ++first) {
      for (uint64_t second = 1; second < 12; ++second) {
        raft::FakeFileSystem disk(first * 100 + second);
        ASSERT_TRUE(disk.create_directory("/data") && disk.sync_directory("/"));
        crashes = 0;
        for (const uint64_t moment : {first, second}) {
          disk.crash_at(disk.operations() + moment);
          crashes += receive(disk).ok() ? 0 : 1;
          power ? disk.power_loss() : disk.process_crash();
        }
        disk.disarm();
        const Status whole = receive(disk);
        ASSERT_TRUE(whole.ok()) << whole.error().message << " at " << first << ", " << second;
        ASSERT_TRUE(disk.sync_directory("/data"));
        disk.power_loss();
        ASSERT_EQ(disk.content("/data/" + part_name(copy_)), pieces_[0] + pieces_[1] + pieces_[2]);
      }
    }
  }
}

// One that was removed may be there again after a power loss.
TEST_F(ReceivedFileTest, TheLatestIsFound) {
  leave("received-9-1-2-3-4.part");
  leave("received-8-2-2-3-6.part");
  leave("received-7-3-2-3-5.part");
  EXPECT_EQ((*find_part(files_, here_.path()))->applied, LogIndex(6));
}

TEST_F(ReceivedFileTest, WhatHasComeIsRemovedAndNothingElse) {
  leave("received-9-1-2-3-4.part");
  leave("received-9-1-2-3-4.part-wal");
  leave("received-by-a-person.part");
  leave("received-9-1-2-3-4.part.kept");
  leave("state-1.db");
  ASSERT_TRUE(remove_parts(files_, here_.path()).ok());
  EXPECT_THAT(names(), UnorderedElementsAre("received-by-a-person.part",
                                            "received-9-1-2-3-4.part.kept", "state-1.db"));
}

// It was being loaded when the process was killed.
TEST_F(ReceivedFileTest, WhatSQLiteLeftBesideAPartIsNoPartOfIt) {
  ReceivedFile first = file();
  for (const std::string& piece : pieces_) ASSERT_TRUE(first.append(piece).ok());
  leave(part_name(copy_) + "-wal");
  ReceivedFile second = file();
  ASSERT_TRUE(second.reopen().ok());
  EXPECT_THAT(names(), UnorderedElementsAre(part_name(copy_)));
}

TEST_F(ReceivedFileTest, WhatIsGoodBecomesADatabase) {
  leave("state-2.db");
  leave("state-2.db-wal");
  ReceivedFile received = file();
  for (const std::string& piece : pieces_) ASSERT_TRUE(received.append(piece).ok());
  ASSERT_TRUE(received.become(here_.file("state-2.db")).ok());
  EXPECT_THAT(names(), UnorderedElementsAre("state-2.db"));
  EXPECT_EQ(std::filesystem::file_size(here_.file("state-2.db")), copy_.bytes);
}

// Which needs a segment of the log, on a disk that a state may have filled.
TEST_F(ReceivedFileTest, WithLittleRoomItGoesBeforeAStart) {
  raft::FakeFileSystem disk;
  ASSERT_TRUE(disk.create_directory("/snapshot"));
  const std::string path = "/snapshot/" + part_name(copy_);
  disk.put(path, "some of it");
  disk.set_capacity(disk.used() + SnapshotStore::kRoomBesideParts);
  ASSERT_TRUE(SnapshotStore::open(disk, "/snapshot").ok());
  EXPECT_TRUE(*disk.exists(path));
  disk.set_capacity(disk.used() + SnapshotStore::kRoomBesideParts - 1);
  ASSERT_TRUE(SnapshotStore::open(disk, "/snapshot").ok());
  EXPECT_FALSE(*disk.exists(path));
}

TEST_F(ReceivedFileTest, WhereNothingHasComeNothingIsFound) {
  EXPECT_EQ(*find_part(files_, here_.path()), std::nullopt);
  EXPECT_FALSE(find_part(files_, here_.file("absent")).ok());
  EXPECT_FALSE(file().reopen().ok());
}

}  // namespace
}  // namespace holdfast::snapshot
