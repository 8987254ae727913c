// Damage to a log that was sound: in the middle it is refused with file and offset, at the end it
// is cut, and never is anything served that was not written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "raft/storage/log_format.h"
#include "raft/storage/log_inspect.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;

LogInspection inspect(FakeFileSystem& disk) {
  return inspect_log(disk, kLogDirectory, kDefaultGroup, kStore, InspectDetail::kRecords);
}

/// Two lives, several segments, hard states, a truncation; many batches in the last segment.
class LogDamage : public ::testing::Test {
 protected:
  LogDamage() : disk_(fake_disk()) {
    uint64_t number = 0;
    for (uint64_t life = 1; life <= 2; ++life) {
      auto log = open_log(*disk_);
      for (uint64_t i = 0; i < 9; ++i) {
        const uint64_t next = model_.entries.size() + (i == 4 ? 0 : 1);
        const std::optional<HardState> state =
            i % 4 == 0 ? std::optional<HardState>({Term(10 * life + i), NodeId(2)}) : std::nullopt;
        const uint64_t term = 10 * life + i - i % 4;
        Write write = make_write(++number, state, make_entries(term, next, next + 1, 131 + i));
        EXPECT_TRUE(append(**log, {write}).ok());
        before_last_ = model_;
        model_.apply(write);
      }
    }
    sound_ = inspect(*disk_);
  }

  const InspectedSegment& last_segment() const {
    return *std::find_if(sound_.segments.rbegin(), sound_.segments.rend(),
                         [](const auto& each) { return each.role == "log"; });
  }
  const InspectedBatch& last_batch() const { return last_segment().batches.back(); }

  /// Opens a disk that must be refused for damage at, or shortly before, `offset`.
  void expect_refused(const std::string& path, uint64_t offset) {
    const LogInspection found = inspect(*disk_);
    ASSERT_EQ(found.verdict, LogInspection::Verdict::kDamaged);
    EXPECT_EQ(found.fault->file, path);
    EXPECT_LE(found.fault->offset, offset);
    EXPECT_GT(found.fault->offset + kSectorBytes, offset) << "named too far before";
    const uint64_t before = disk_->operations();
    const auto log = open_log(*disk_);
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(log.error().message, HasSubstr(path));
    EXPECT_THAT(log.error().message, HasSubstr("offset " + std::to_string(found.fault->offset)));
    EXPECT_EQ(disk_->operations(), before) << "a refused log is left as it is";
  }

  std::unique_ptr<FakeFileSystem> disk_;
  LogContent model_;
  LogContent before_last_;
  LogInspection sound_;
};

TEST_F(LogDamage, IsNotSeenInASoundLog) {
  EXPECT_EQ(sound_.verdict, LogInspection::Verdict::kSound) << sound_.message;
  const auto in_log = [](const auto& each) { return each.role == "log"; };
  EXPECT_GE(std::count_if(sound_.segments.begin(), sound_.segments.end(), in_log), 3);
  EXPECT_GE(last_segment().batches.size(), 2u);
}

TEST_F(LogDamage, AFlippedBitBeforeTheLastBatchIsRefusedWithFileAndOffset) {
  for (const InspectedSegment& segment : sound_.segments) {
    if (segment.role != "log") continue;
    const std::string path = std::string(kLogDirectory) + "/" + segment.file;
    const bool last = &segment == &last_segment();
    const uint64_t end = last ? last_batch().offset : segment.end;
    for (uint64_t offset = 0; offset < end; ++offset) {
      SCOPED_TRACE(path + " offset " + std::to_string(offset));
      const int bit = static_cast<int>(offset % 8);
      disk_->flip_bit(path, offset, bit);
      expect_refused(path, offset);
      disk_->flip_bit(path, offset, bit);
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST_F(LogDamage, AFlippedBitInTheLastBatchCutsItThere) {
  const std::string path = std::string(kLogDirectory) + "/" + last_segment().file;
  const uint64_t end = last_batch().offset + last_batch().bytes;
  for (uint64_t offset = last_batch().offset; offset < end; ++offset) {
    SCOPED_TRACE("offset " + std::to_string(offset));
    auto disk = disk_->clone(offset);
    disk->flip_bit(path, offset, static_cast<int>(offset % 8));
    auto log = open_log(*disk);
    ASSERT_TRUE(log.ok()) << log.error().message;
    const std::vector<Entry> found = read_all(**log);
    ASSERT_GE(found.size(), before_last_.entries.size());
    ASSERT_LE(found.size(), model_.entries.size());
    ASSERT_TRUE(std::equal(found.begin(), found.end(), model_.entries.begin()));
  }
}

TEST_F(LogDamage, WhatStandsBehindTheEndIsNotJudged) {
  const std::string path = std::string(kLogDirectory) + "/" + last_segment().file;
  const uint64_t size = disk_->content(path).size();
  for (uint64_t offset = last_segment().end; offset < size; offset += 37) {
    auto disk = disk_->clone(offset);
    disk->flip_bit(path, offset, 3);
    auto log = open_log(*disk);
    ASSERT_TRUE(log.ok()) << log.error().message;
    ASSERT_EQ(content_of(**log), model_);
  }
}

TEST_F(LogDamage, TheHeadOfTheSegmentThatAStartHasMadeIsGuardedFromTheFirstMoment) {
  ASSERT_TRUE(open_log(*disk_).ok());
  sound_ = inspect(*disk_);
  ASSERT_EQ(last_segment().batches.size(), 1u);
  const std::string path = std::string(kLogDirectory) + "/" + last_segment().file;
  for (const uint64_t offset : {0, 20, 60, 300, 511}) {
    disk_->flip_bit(path, offset, 0);
    expect_refused(path, offset);
    disk_->flip_bit(path, offset, 0);
  }
}

TEST_F(LogDamage, TheHeadOfAFreshSegmentIsGuardedAfterATornTailToo) {
  disk_->flip_bit(std::string(kLogDirectory) + "/" + last_segment().file,
                  last_batch().records.back().offset, 0);
  ASSERT_TRUE(open_log(*disk_).ok());
  sound_ = inspect(*disk_);
  ASSERT_EQ(last_segment().batches.size(), 1u);
  const std::string path = std::string(kLogDirectory) + "/" + last_segment().file;
  disk_->flip_bit(path, 60, 0);
  expect_refused(path, 60);
}

TEST_F(LogDamage, ALostWriteOfASyncedBatchIsRefused) {
  const InspectedSegment& segment = last_segment();
  const std::string path = std::string(kLogDirectory) + "/" + segment.file;
  const InspectedBatch& lost = segment.batches[segment.batches.size() - 2];
  std::string content = disk_->content(path);
  content.replace(lost.offset, lost.bytes, lost.bytes, '\0');
  disk_->put(path, content);
  expect_refused(path, lost.offset);
}

TEST_F(LogDamage, ABatchWrittenToTheWrongPlaceIsRefused) {
  const InspectedSegment& segment = last_segment();
  const std::string path = std::string(kLogDirectory) + "/" + segment.file;
  const InspectedBatch& from = segment.batches[0];
  const InspectedBatch& over = segment.batches[1];
  std::string content = disk_->content(path);
  content.replace(over.offset, over.bytes, content.substr(from.offset, over.bytes));
  disk_->put(path, content);
  if (&over != &last_batch()) expect_refused(path, over.offset);
}

TEST_F(LogDamage, AMissingSegmentIsRefusedByName) {
  const std::string& missing = sound_.segments.at(1).file;
  ASSERT_TRUE(disk_->unlink(std::string(kLogDirectory) + "/" + missing).ok());
  const auto log = open_log(*disk_);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(log.error().message, HasSubstr("in " + missing + ", which is missing"));
  EXPECT_EQ(inspect(*disk_).verdict, LogInspection::Verdict::kDamaged);
}

TEST_F(LogDamage, WithoutASnapshotAMissingOldestSegmentIsRefused) {
  ASSERT_TRUE(disk_->unlink(std::string(kLogDirectory) + "/" + sound_.segments.front().file).ok());
  const uint64_t before = disk_->operations();
  const auto log = open_log(*disk_);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(log.error().message, HasSubstr("begins in " + sound_.segments.at(1).file));
  EXPECT_THAT(log.error().message, HasSubstr("but there is no snapshot"));
  EXPECT_EQ(disk_->operations(), before) << "a refused log is left as it is";
}

TEST_F(LogDamage, AnOlderSegmentCutShortIsRefused) {
  const InspectedSegment& first = sound_.segments.front();
  const std::string path = std::string(kLogDirectory) + "/" + first.file;
  disk_->put(path, disk_->content(path).substr(0, first.end - kSectorBytes));
  const auto log = open_log(*disk_);
  ASSERT_FALSE(log.ok());
  EXPECT_THAT(log.error().message, HasSubstr(path));
}

TEST_F(LogDamage, ALogWithoutAnyValidHeadIsRefusedAndNotMadeAnew) {
  for (const InspectedSegment& segment : sound_.segments) {
    disk_->flip_bit(std::string(kLogDirectory) + "/" + segment.file, 100, 1);
  }
  const auto log = open_log(*disk_);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
}

TEST_F(LogDamage, ANewerFormatIsRefusedAsUnsupported) {
  SegmentHead head = *last_segment().head;
  head.version = kLogVersion + 1;
  std::string content = disk_->content(std::string(kLogDirectory) + "/" + last_segment().file);
  encode_segment_head(content.data(), head);
  disk_->put(std::string(kLogDirectory) + "/" + last_segment().file, content);
  const auto log = open_log(*disk_);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(log.error().message, HasSubstr("version 2"));
}

TEST_F(LogDamage, AnyBytesAnywhereAreRefusedOrCutAndNeverServed) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SplitMix random(seed);
    auto disk = disk_->clone(seed);
    const std::vector<std::string> paths = disk->paths();
    const std::string& path = paths[random.below(paths.size())];
    std::string content = disk->content(path);
    const uint64_t from = random.below(content.size());
    const uint64_t size = 1 + random.below(std::min<uint64_t>(content.size() - from, 900));
    for (uint64_t i = from; i < from + size; ++i) content[i] = static_cast<char>(random.next());
    disk->put(path, content);
    auto log = open_log(*disk);
    if (!log) continue;
    const std::vector<Entry> found = read_all(**log);
    ASSERT_LE(found.size(), model_.entries.size());
    ASSERT_TRUE(std::equal(found.begin(), found.end(), model_.entries.begin())) << "seed " << seed;
    // Only what takes the last batch and the end of the one before it with it passes for an
    // unfinished write.
    const bool both = from < last_batch().offset && from + size > last_batch().offset;
    ASSERT_TRUE(both || found.size() >= before_last_.entries.size()) << "seed " << seed;
  }
}

TEST_F(LogDamage, InspectionTellsWhatIsThereAndWhereItBreaks) {
  EXPECT_EQ(sound_.tail.last_index.value, model_.entries.size());
  EXPECT_EQ(sound_.tail.hard_state, model_.hard_state);
  const InspectedRecord& record = last_batch().records.back();
  EXPECT_EQ(record.type, "command");
  EXPECT_EQ(record.index, model_.entries.back().index.value);
  EXPECT_EQ(record.payload_bytes, model_.entries.back().data.size());
  EXPECT_THAT(format_inspection(sound_), HasSubstr("sound: every record verifies"));

  const InspectedSegment& first = sound_.segments.front();
  const InspectedBatch& bad = first.batches[2];
  disk_->flip_bit(std::string(kLogDirectory) + "/" + first.file, bad.records[1].offset + 50, 0);
  const LogInspection damaged = inspect(*disk_);
  EXPECT_EQ(damaged.verdict, LogInspection::Verdict::kDamaged);
  EXPECT_EQ(damaged.fault->offset, bad.records[1].offset);
  EXPECT_EQ(damaged.segments.front().batches.size(), 3u) << "shows what comes before the damage";
  EXPECT_THAT(format_inspection(damaged),
              HasSubstr("damaged: " + std::string(kLogDirectory) + "/" + first.file));
}

TEST(LogInspectionText, OneBatchOfOneRecordIsSingular) {
  LogInspection found;
  found.batch_count = found.record_count = 1;
  InspectedSegment& segment = found.segments.emplace_back();
  segment.file_bytes = 1'024;
  segment.end = 1'024;
  segment.batch_count = segment.record_count = 1;
  InspectedBatch& batch = segment.batches.emplace_back();
  batch.bytes = 512;
  batch.record_count = 1;
  batch.records.push_back({.type = "command", .index = 7, .payload_bytes = 1});
  const std::string text = format_inspection(found);
  EXPECT_THAT(text, HasSubstr("  1 batch, 1 record; entries "));
  EXPECT_THAT(text, HasSubstr("1024 bytes, used to 1024, 1 batch, 1 record\n"));
  EXPECT_THAT(text, HasSubstr("512 bytes, 1 record\n"));
  EXPECT_THAT(text, HasSubstr("index 7  1 byte\n"));
}

TEST_F(LogDamage, InspectionTellsATornTailFromASoundEnd) {
  const std::string path = std::string(kLogDirectory) + "/" + last_segment().file;
  disk_->flip_bit(path, last_batch().records.back().offset, 0);
  const LogInspection torn = inspect(*disk_);
  EXPECT_EQ(torn.verdict, LogInspection::Verdict::kTornTail);
  EXPECT_EQ(torn.torn_file, last_segment().file);
  EXPECT_EQ(torn.torn_offset, last_batch().records.back().offset);
  const auto log = open_log(*disk_);
  ASSERT_TRUE(log.ok());
  EXPECT_THAT((*log)->recovered().torn_tail, HasSubstr(last_segment().file));
}

}  // namespace
}  // namespace holdfast::raft
