// The log cut at its old end: what goes, what stays, and what a start finds afterwards. Crashes in
// the middle of a cut are in log_crash_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "raft/storage/log_format.h"
#include "raft/storage/log_inspect.h"
#include "raft/storage/log_writer.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A log of six segments of ten entries each, three in the last, appended to in one life.
class LogCut : public ::testing::Test {
 protected:
  LogCut() : disk_(fake_disk()) {
    auto log = open_log(*disk_);
    log_ = std::move(*log);
    append(HardState{Term(1), NodeId(3)}, make_entries(1, 1, 10, 200));
    for (uint64_t first = 11; first <= 31; first += 10) {
      append({}, make_entries(1, first, first + 9, 200));
    }
    append(HardState{Term(4), NodeId(2)}, make_entries(4, 41, 50, 200));
    append({}, make_entries(4, 51, 53, 200));
  }

  void append(std::optional<HardState> state, std::vector<Entry> entries) {
    const Write write = make_write(++number_, state, std::move(entries));
    model_.apply(write);
    const Status done = raft::append(*log_, {write});
    ASSERT_TRUE(done.ok()) << done.error().message;
  }
  /// Appends to the end until the log goes on in another segment.
  void append_to_the_next_segment() {
    const size_t before = files().size();
    while (files().size() == before) {
      const uint64_t next = model_.last().index.value + 1;
      append({}, make_entries(model_.last().term.value, next, next, 300));
    }
  }

  LogPoint point(uint64_t index) const { return model_.behind(LogIndex(index)).before; }
  /// A new life, with a snapshot at `index`.
  void restart(uint64_t index, FakeFileSystem& disk) {
    log_.reset();
    auto log = open_log(disk, {point(index)});
    ASSERT_TRUE(log.ok()) << log.error().message;
    log_ = std::move(*log);
  }
  void restart(uint64_t index) { restart(index, *disk_); }

  void expect_content(uint64_t before) {
    const LogContent expected = model_.behind(LogIndex(before));
    EXPECT_EQ(read_all(*log_), expected.entries);
    EXPECT_EQ(log_->first_index(), LogIndex(before + 1));
    EXPECT_EQ(log_->last_index(), model_.last().index);
    const std::optional<Term> none;
    EXPECT_EQ(log_->term(LogIndex(before)), before == 0 ? none : expected.before.term);
    EXPECT_EQ(log_->term(LogIndex(before).prev()), none);
  }

  /// Segments of the log, by the files that are there.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const InspectedSegment& segment : inspect().segments) {
      if (segment.role == "log") names.push_back(segment.file);
    }
    return names;
  }
  LogInspection inspect() const {
    return inspect_log(*disk_, kLogDirectory, kDefaultGroup, kStore, InspectDetail::kSegments);
  }

  std::unique_ptr<FakeFileSystem> disk_;
  std::unique_ptr<LogStore> log_;
  LogContent model_;
  uint64_t number_ = 0;
};

TEST_F(LogCut, MovesByWholeSegmentsAndNeverPastWhatItWasAskedFor) {
  ASSERT_THAT(files(), SizeIs(6));
  for (uint64_t through = 0; through <= 53; ++through) {
    const uint64_t before = through / 10 * 10;
    EXPECT_EQ(log_->cut(LogIndex(through)), LogIndex(before + 1)) << through;
    expect_content(before);
  }
  prepare(*log_);
  EXPECT_THAT(files(), SizeIs(1)) << "the newest segment stays";
}

TEST_F(LogCut, AStartFindsTheLogThatBeginsLater) {
  for (const uint64_t before : {10, 20, 30}) {
    log_->cut(LogIndex(before));
    prepare(*log_);
    disk_->power_loss();
    restart(before);
    expect_content(before);
    EXPECT_EQ(log_->recovered().hard_state, model_.hard_state);
    EXPECT_EQ(log_->recovered().first_index, LogIndex(before + 1));
    EXPECT_FALSE(log_->recovered().genesis.has_value());
    EXPECT_FALSE(log_->recovered().created);
    const std::vector<TermRun>& runs = log_->recovered().term_runs;
    ASSERT_FALSE(runs.empty());
    EXPECT_EQ(runs.front(), (TermRun{LogIndex(before), Term(1)}));
    EXPECT_EQ(runs.back(), (TermRun{LogIndex(41), Term(4)}));
  }
}

TEST_F(LogCut, GenesisIsGivenBackAsLongAsEntryOneIsThere) {
  log_->cut(LogIndex(9));
  restart(30);
  EXPECT_EQ(log_->recovered().genesis, model_.entries.front());
}

TEST_F(LogCut, TheLogGoesOnBehindACut) {
  log_->cut(LogIndex(40));
  for (int i = 0; i < 3; ++i) append_to_the_next_segment();
  expect_content(40);
  const uint64_t last = model_.last().index.value;
  EXPECT_GT(log_->cut(LogIndex(last)), LogIndex(53));
  prepare(*log_);
  restart(last);
  append({}, make_entries(4, last + 1, last + 20, 200));
  expect_content(log_->first_index().value - 1);
}

TEST_F(LogCut, FilesGoInTheirOrderAndEachForSureBeforeTheNext) {
  log_->cut(LogIndex(53));
  for (size_t left = 6; left > 1; --left) {
    EXPECT_THAT(files(), SizeIs(left));
    const uint64_t before = disk_->operations();
    ASSERT_EQ(log_->preparer().step(), SegmentPreparer::Step::kWorked);
    EXPECT_EQ(disk_->operations() - before, 2U) << "out of the directory, and the directory synced";
    const auto there = disk_->clone(left);
    there->power_loss();
    EXPECT_FALSE(*there->exists(segment_path(7 - left))) << "for sure";
    EXPECT_TRUE(*there->exists(segment_path(8 - left)));
  }
}

TEST_F(LogCut, TheDiskWorksForACutOnThePreparingThreadOnly) {
  const uint64_t operations = disk_->operations();
  const uint64_t reads = disk_->reads();
  log_->cut(LogIndex(53));
  EXPECT_EQ(disk_->operations(), operations);
  EXPECT_EQ(disk_->reads(), reads);
}

TEST_F(LogCut, RefusesMoreThanTheLogHolds) {
  EXPECT_DEATH(log_->cut(LogIndex(54)), "ahead of the log");
}

TEST_F(LogCut, ReadsBelowTheCutAreACallersMistake) {
  log_->cut(LogIndex(20));
  StoredLogReader reader(*log_);
  std::vector<Entry> out;
  EXPECT_EQ(reader.entries(LogIndex(21), LogIndex(22), 1, out), LogReader::Outcome::kOk);
  EXPECT_DEATH(reader.entries(LogIndex(20), LogIndex(22), 1, out), "read outside the log");
}

TEST_F(LogCut, AReplacementThatStandsFartherOnKeepsWhatItDependsOn) {
  // Entries 45 and on are replaced in a segment whose head names entry 53 as the last before it.
  append_to_the_next_segment();
  const uint64_t old_last = model_.last().index.value;
  append(HardState{Term(6), NodeId(1)}, make_entries(6, 45, 60, 200));
  ASSERT_LT(old_last, 60U);
  append_to_the_next_segment();
  // The segment with 45 to 60 alone does not say which term entry 44 has.
  EXPECT_EQ(log_->cut(LogIndex(44)), LogIndex(41));
  EXPECT_EQ(log_->cut(LogIndex(45)), LogIndex(46)) << "the term of entry 45 stands there";
  prepare(*log_);
  expect_content(45);
  restart(45);
  expect_content(45);
  EXPECT_EQ(log_->recovered().term_runs.front(), (TermRun{LogIndex(45), Term(6)}));
  EXPECT_EQ(inspect().first_index, 46U);
}

TEST_F(LogCut, ASegmentOfHardStatesAloneGoesToo) {
  log_->cut(LogIndex(53));
  prepare(*log_);
  for (uint64_t term = 10; files().size() < 4; ++term) append(HardState{Term(term), NodeId(1)}, {});
  append({}, make_entries(10, 54, 54));
  EXPECT_EQ(log_->cut(LogIndex(54)), LogIndex(54));
  prepare(*log_);
  EXPECT_THAT(files(), SizeIs(1));
  restart(54);
  expect_content(53);
  EXPECT_EQ(log_->recovered().hard_state, model_.hard_state);
}

TEST_F(LogCut, ACutSegmentIsRecycledAndItsOldBytesNeverVerify) {
  prepare(*log_);
  const std::string old = disk_->content(segment_path(3));
  log_->cut(LogIndex(30));
  prepare(*log_);
  const std::string spare = std::string(kLogDirectory) + "/" + temporary_file_name(3);
  ASSERT_TRUE(*disk_->exists(spare));
  EXPECT_TRUE(disk_->content(spare) == old);
  EXPECT_THAT(disk_->paths(), SizeIs(7)) << "three segments, one ready, three spare";
  append_to_the_next_segment();
  prepare(*log_);
  EXPECT_FALSE(*disk_->exists(spare));
  EXPECT_TRUE(disk_->content(segment_path(8)) == old) << "its bytes were left as they were";
  // Prepared, and then begun, with the remains of a former life in it.
  for (int life = 0; life < 2; ++life) {
    auto disk = disk_->clone(1);
    disk->power_loss();
    auto log = open_log(*disk, {point(30)});
    ASSERT_TRUE(log.ok()) << log.error().message;
    EXPECT_EQ(read_all(**log), model_.behind(LogIndex(30)).entries);
    if (life == 0) append_to_the_next_segment();
  }
}

TEST_F(LogCut, ASegmentThatIsBeingFilledIsFinishedBeforeAnotherIsRecycled) {
  for (int steps = 1; steps <= 2; ++steps) {
    ASSERT_EQ(log_->preparer().step(), SegmentPreparer::Step::kWorked);
  }
  log_->cut(LogIndex(53));
  prepare(*log_);
  EXPECT_THAT(disk_->paths(), SizeIs(5)) << "a segment, one ready, three spare: no more";
  append_to_the_next_segment();
  prepare(*log_);
  EXPECT_THAT(disk_->paths(), SizeIs(5));
}

TEST_F(LogCut, AFileThatIsStillReadKeepsItsBytes) {
  const auto batch = [&] {
    const Write write = make_write(++number_, {}, make_entries(4, 54, 70, 200));
    model_.apply(write);
    const auto done = log_->append(std::span(&write, 1));
    log_->publish(*done);
    return *done;
  }();
  std::string before(4096, '\0');
  ASSERT_TRUE(batch.segment->file->read(0, before.data(), before.size()).ok());
  // All before it go first, and what is kept of them is used: now it is the one to be recycled.
  append_to_the_next_segment();
  log_->cut(LogIndex(53));
  prepare(*log_);
  append_to_the_next_segment();
  prepare(*log_);
  ASSERT_EQ(log_->cut(LogIndex(70)), LogIndex(71));
  prepare(*log_);
  EXPECT_FALSE(*disk_->exists(batch.segment->path));
  for (int i = 0; i < 4; ++i) append_to_the_next_segment();
  std::string after(4096, '\0');
  ASSERT_TRUE(batch.segment->file->read(0, after.data(), after.size()).ok());
  EXPECT_TRUE(after == before);
}

TEST_F(LogCut, SaysHowManyBytesTheLogHas) {
  EXPECT_EQ(log_->space().bytes, 6 * 4096U);
  log_->cut(LogIndex(20));
  EXPECT_EQ(log_->space().bytes, 4 * 4096U);
  append({}, {make_entry(4, 54, 10'000)});
  EXPECT_GT(log_->space().bytes, 4 * 4096U + 10'000);
  prepare(*log_);
  restart(20);
  uint64_t bytes = 0;
  for (const std::string& file : files()) {
    bytes += disk_->content(std::string(kLogDirectory) + "/" + file).size();
  }
  EXPECT_EQ(log_->space().bytes, bytes);
}

TEST_F(LogCut, GivesRoomBackOnAFullDisk) {
  prepare(*log_);
  disk_->set_capacity(7 * 4096);
  append_to_the_next_segment();
  prepare(*log_);
  ASSERT_TRUE(log_->space().out_of_space);
  log_->cut(LogIndex(10));
  prepare(*log_);
  EXPECT_FALSE(log_->space().out_of_space);
  EXPECT_GE(log_->space().bytes_ahead, 4096U);
}

TEST_F(LogCut, ARemovalThatFindsNoRoomIsTriedAgain) {
  log_->cut(LogIndex(20));
  disk_->fail_at(disk_->operations() + 1, ENOSPC);
  EXPECT_EQ(log_->preparer().step(), SegmentPreparer::Step::kOutOfSpace);
  EXPECT_THAT(files(), SizeIs(6));
  EXPECT_TRUE(log_->space().out_of_space) << "else nobody has it tried again";
  EXPECT_EQ(log_->preparer().step(), SegmentPreparer::Step::kWorked);
  EXPECT_FALSE(log_->space().out_of_space);
  prepare(*log_);
  EXPECT_THAT(files(), SizeIs(4));
  append({}, make_entries(4, 54, 54));
  restart(20);
  expect_content(20);
}

TEST_F(LogCut, ARemovalThatFailsStopsTheLog) {
  for (const uint64_t operation : {1, 2}) {
    auto disk = disk_->clone(operation);
    restart(53, *disk);
    log_->cut(LogIndex(53));
    disk->fail_at(disk->operations() + operation, EIO);
    EXPECT_EQ(log_->preparer().step(), SegmentPreparer::Step::kFailed);
    const Status failed = raft::append(*log_, {make_write(++number_, {}, {make_entry(4, 54)})});
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code, ErrorCode::kDiskFailed);
    log_.reset();
  }
}

TEST_F(LogCut, ASupersededSegmentIsNoHole) {
  // Starts without progress leave segments that hold nothing; a cut behind them is still no damage.
  for (int life = 0; life < 3; ++life) restart(53);
  append({}, make_entries(4, 54, 54));
  restart(53);
  log_->cut(LogIndex(53));
  prepare(*log_);
  disk_->power_loss();
  restart(53);
  EXPECT_EQ(read_all(*log_), model_.behind(log_->first_index().prev()).entries);
}

TEST_F(LogCut, AHoleIsStillDamage) {
  log_->cut(LogIndex(10));
  prepare(*log_);
  ASSERT_TRUE(disk_->unlink(segment_path(3)).ok());
  const auto log = open_log(*disk_, {point(53)});
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(log.error().message, HasSubstr(segment_file_name(3) + ", which is missing"));
}

TEST_F(LogCut, ALogThatBeginsBehindTheSnapshotIsRefusedNamingBoth) {
  log_->cut(LogIndex(30));
  prepare(*log_);
  const uint64_t before = disk_->operations();
  for (const bool received : {false, true}) {
    const auto log = open_log(*disk_, {point(29), received});
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(log.error().message,
                HasSubstr("begins in " + segment_file_name(4) + " with entry 31"));
    EXPECT_THAT(log.error().message, HasSubstr("the state after entry 29 of term 1"));
  }
  EXPECT_FALSE(open_log(*disk_).ok()) << "and without any snapshot";
  EXPECT_EQ(disk_->operations(), before) << "a refused log is left as it is";
  restart(30);
}

TEST_F(LogCut, InspectionShowsALogThatBeginsLater) {
  log_->cut(LogIndex(30));
  prepare(*log_);
  const LogInspection found = inspect();
  EXPECT_EQ(found.verdict, LogInspection::Verdict::kSound) << found.message;
  EXPECT_EQ(found.first_index, 31U);
  const std::string text = format_inspection(found);
  EXPECT_THAT(text, HasSubstr("entries 31 to 53"));
  EXPECT_THAT(text, HasSubstr("what came before entry 31 was cut off"));
}

TEST_F(LogCut, ABitFlippedAnywhereInACutLogIsFoundOrHarmless) {
  log_->cut(LogIndex(20));
  prepare(*log_);
  const LogInspection sound = inspect();
  for (const InspectedSegment& segment : sound.segments) {
    const std::string path = std::string(kLogDirectory) + "/" + segment.file;
    const uint64_t size = disk_->content(path).size();
    for (uint64_t offset = 0; offset < size; ++offset) {
      SCOPED_TRACE(path + " offset " + std::to_string(offset));
      auto disk = disk_->clone(offset);
      disk->flip_bit(path, offset, static_cast<int>(offset % 8));
      auto log = open_log(*disk, {point(40)});
      if (!log.ok()) {
        ASSERT_EQ(log.error().code, ErrorCode::kCorrupt);
        ASSERT_THAT(log.error().message, HasSubstr(path));
        continue;
      }
      // Only the last batch can pass for an unfinished write.
      ASSERT_GE((*log)->last_index(), LogIndex(50));
      ASSERT_EQ((*log)->first_index(), LogIndex(21));
      const std::vector<Entry> found = read_all(**log);
      ASSERT_TRUE(std::equal(found.begin(), found.end(), model_.entries.begin() + 20));
      const bool whole = found.size() == 33;
      const bool in_last = segment.file == files().back();
      ASSERT_TRUE(whole || in_last);
    }
  }
}

TEST(InlineLogWriter, RemovesWhatWasCutOff) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  InlineLogWriter writer(**log);
  for (uint64_t i = 1; i <= 60; ++i) {
    writer.submit(make_write(i, {}, {make_entry(1, i, 300)}));
    writer.run_one();
    writer.collect();
  }
  const size_t before = disk->paths().size();
  EXPECT_GT((*log)->cut(LogIndex(50)), LogIndex(20));
  while (writer.prepare_one()) {
  }
  EXPECT_LT(disk->paths().size(), before);
}

}  // namespace
}  // namespace holdfast::raft
