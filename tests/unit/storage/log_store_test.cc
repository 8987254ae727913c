#include "raft/storage/log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "raft/storage/log_format.h"
#include "raft/storage/log_writer.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;

constexpr HardState kTermOne{Term(1), NodeId(3)};

TEST(LogStore, BeginsEmptyOnFirstUse) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_TRUE((*log)->recovered().created);
  EXPECT_EQ((*log)->first_index(), LogIndex(1));
  EXPECT_EQ((*log)->last_index(), LogIndex(0));
  EXPECT_EQ((*log)->recovered().hard_state, HardState{});
  EXPECT_FALSE((*log)->recovered().genesis.has_value());
}

TEST(LogStore, GivesBackByteForByteWhatWasAppended) {
  auto disk = fake_disk();
  LogContent model;
  {
    auto log = open_log(*disk);
    const Write write = make_write(1, kTermOne,
                                   {make_entry(1, 1, 40, EntryType::kGenesis), make_entry(1, 2, 0),
                                    make_entry(1, 3, 700), make_entry(1, 4, 7)});
    model.apply(write);
    ASSERT_TRUE(append(**log, {write}).ok());
    EXPECT_EQ(read_all(**log), model.entries) << "readable at once";
  }
  auto log = open_log(*disk);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_FALSE((*log)->recovered().created);
  EXPECT_EQ(content_of(**log), model);
  EXPECT_EQ((*log)->recovered().genesis, model.entries.front());
  EXPECT_EQ((*log)->recovered().torn_tail, "");
}

TEST(LogStore, KeepsEverythingOverManySegmentsAndRestarts) {
  auto disk = fake_disk();
  LogContent model;
  uint64_t number = 0;
  for (uint64_t life = 1; life <= 5; ++life) {
    auto log = open_log(*disk);
    ASSERT_TRUE(log.ok()) << log.error().message;
    ASSERT_EQ(content_of(**log), model) << "life " << life;
    for (uint64_t i = 0; i < 30; ++i) {
      const uint64_t next = model.entries.size() + 1;
      const std::optional<HardState> state =
          i == 0 ? std::optional<HardState>({Term(life), NodeId(1)}) : std::nullopt;
      const Write write = make_write(++number, state, make_entries(life, next, next + 2, 90));
      model.apply(write);
      ASSERT_TRUE(append(**log, {write}).ok());
    }
    EXPECT_EQ(read_all(**log), model.entries);
  }
}

TEST(LogStore, ALaterRecordAtALowerIndexReplacesTheTail) {
  auto disk = fake_disk();
  LogContent model;
  {
    auto log = open_log(*disk);
    for (const Write& write :
         {make_write(1, kTermOne, make_entries(1, 1, 60, 200)),
          make_write(2, HardState{Term(2), NodeId(1)}, make_entries(2, 5, 6)),
          make_write(3, {}, make_entries(2, 7, 8)), make_write(4, {}, make_entries(2, 8, 9, 33))}) {
      model.apply(write);
      ASSERT_TRUE(append(**log, {write}).ok());
    }
    EXPECT_EQ(read_all(**log), model.entries);
    EXPECT_EQ((*log)->term(LogIndex(4)), Term(1));
    EXPECT_EQ((*log)->term(LogIndex(5)), Term(2));
    EXPECT_EQ((*log)->term(LogIndex(10)), std::nullopt);
  }
  auto log = open_log(*disk);
  EXPECT_EQ(content_of(**log), model);
  const std::vector<TermRun> runs = {{LogIndex(1), Term(1)}, {LogIndex(5), Term(2)}};
  EXPECT_EQ((*log)->recovered().term_runs, runs);
}

TEST(LogStore, AStartFindsTheConfigurationsThatTheLogStillHas) {
  auto disk = fake_disk();
  const Entry first = make_entry(1, 2, 30, EntryType::kConfiguration);
  // The log ends before it when it is replaced: nothing stands at its own index any more.
  const Entry replaced = make_entry(1, 5, 30, EntryType::kConfiguration);
  const Entry last = make_entry(2, 4, 30, EntryType::kConfiguration);
  {
    auto log = open_log(*disk);
    const HardState two{Term(2), NodeId(3)};
    ASSERT_TRUE(append(**log, {make_write(1, kTermOne,
                                          {make_entry(1, 1, 40, EntryType::kGenesis), first,
                                           make_entry(1, 3), make_entry(1, 4), replaced})})
                    .ok());
    ASSERT_TRUE(append(**log, {make_write(2, two, {last})}).ok());
  }
  auto log = open_log(*disk);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ((*log)->recovered().configurations, (std::vector<Entry>{first, last}));
}

TEST(LogStore, OneAppendIsOneWriteAndOneSync) {
  auto disk = fake_disk();
  auto log = open_log(*disk, 1 << 20);
  const uint64_t before = disk->operations();
  ASSERT_TRUE(append(**log, {make_write(1, kTermOne, make_entries(1, 1, 50)),
                             make_write(2, {}, make_entries(1, 51, 80)),
                             make_write(3, HardState{Term(2), NodeId(2)}, {})})
                  .ok());
  EXPECT_EQ(disk->operations() - before, 2u);
}

TEST(LogStore, AnAppendOfNothingTouchesNoDisk) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  const uint64_t before = disk->operations();
  const std::vector<Write> nothing = {make_write(9, {}, {})};
  const auto batch = (*log)->append(nothing);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->write_number, 9u);
  EXPECT_EQ(disk->operations(), before);
}

TEST(LogStore, APreparedSegmentCostsTheNextAppendNothing) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  while ((*log)->preparer().step() != SegmentPreparer::Step::kIdle) {
  }
  ASSERT_TRUE(append(**log, {make_write(1, kTermOne, make_entries(1, 1, 10, 200))}).ok());
  const uint64_t before = disk->operations();
  ASSERT_TRUE(append(**log, {make_write(2, {}, make_entries(1, 11, 20, 200))}).ok());
  EXPECT_EQ(disk->operations() - before, 2u) << "into the next segment, head and batch together";
  EXPECT_EQ(read_all(**log).size(), 20u);
}

TEST(LogStore, ABatchLargerThanASegmentExtendsItsSegment) {
  auto disk = fake_disk();
  LogContent model;
  {
    auto log = open_log(*disk);
    const Write large = make_write(1, kTermOne, make_entries(1, 1, 3, 100'000));
    const Write small = make_write(2, {}, make_entries(1, 4, 4));
    model.apply(large);
    model.apply(small);
    ASSERT_TRUE(append(**log, {large}).ok());
    ASSERT_TRUE(append(**log, {small}).ok());
    EXPECT_EQ(read_all(**log), model.entries);
  }
  auto log = open_log(*disk);
  EXPECT_EQ(content_of(**log), model);
}

TEST(LogStore, ReadsAtLeastOneEntryAndThenWithinTheBudget) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  ASSERT_TRUE(append(**log, {make_write(1, kTermOne, make_entries(1, 1, 100, 168))}).ok());
  std::vector<Entry> entries;
  ASSERT_TRUE((*log)->read(LogIndex(3), LogIndex(101), 0, entries).ok());
  EXPECT_EQ(entries, make_entries(1, 3, 3, 168));
  entries.clear();
  ASSERT_TRUE((*log)->read(LogIndex(3), LogIndex(101), 10 * 200, entries).ok());
  EXPECT_EQ(entries, make_entries(1, 3, 12, 168)) << "200 bytes an entry, overhead included";
  entries.clear();
  ASSERT_TRUE((*log)->read(LogIndex(98), LogIndex(100), 1 << 20, entries).ok());
  EXPECT_EQ(entries, make_entries(1, 98, 99, 168));
}

TEST(LogStore, ReadsEntriesLargerThanOneReadOfTheFile) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  std::vector<Entry> written = {make_entry(1, 1, 1200000), make_entry(1, 2, 10),
                                make_entry(1, 3, 1100000)};
  ASSERT_TRUE(append(**log, {make_write(1, kTermOne, written)}).ok());
  EXPECT_EQ(read_all(**log), written);
}

TEST(LogStore, ARecordDamagedAfterTheStartIsNotServed) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  ASSERT_TRUE(append(**log, {make_write(1, kTermOne, make_entries(1, 1, 5, 100))}).ok());
  const uint64_t payload = disk->content(segment_path(1)).find("1:3;");
  disk->flip_bit(segment_path(1), payload, 2);
  std::vector<Entry> entries;
  ASSERT_TRUE((*log)->read(LogIndex(1), LogIndex(3), 1 << 20, entries).ok());
  StoredLogReader reader(**log);
  EXPECT_EQ(reader.entries(LogIndex(1), LogIndex(6), 1 << 20, entries),
            LogReader::Outcome::kUnavailable);
  ASSERT_TRUE(reader.failure().has_value());
  EXPECT_EQ(reader.failure()->code, ErrorCode::kCorrupt);
  EXPECT_THAT(reader.failure()->message, HasSubstr(segment_path(1)));
  EXPECT_THAT(reader.failure()->message, HasSubstr("entry 3"));
  EXPECT_THAT(reader.failure()->message,
              HasSubstr("offset " + std::to_string(payload - kRecordHeadBytes)));
}

TEST(LogStore, AReadThatFailsHalfWayGivesNothing) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(
      append(**log, {make_write(1, HardState{Term(1), NodeId(1)}, make_entries(1, 1, 3, 1'000))})
          .ok());
  ASSERT_TRUE(append(**log, {make_write(2, {}, make_entries(1, 4, 6, 1'000))}).ok());
  StoredLogReader reader(**log);
  std::vector<Entry> out;
  // The entries stand in two segments, hence in two reads.
  disk->fail_read_at(disk->reads() + 2, EIO);
  EXPECT_EQ(reader.entries(LogIndex(1), LogIndex(7), 1 << 20, out),
            LogReader::Outcome::kUnavailable);
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(reader.failure());
}

TEST(LogStore, AfterAFailedSyncNothingIsEverWrittenAgain) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  disk->fail_at(disk->operations() + 2, EIO);
  const Status failed = append(**log, {make_write(1, kTermOne, {make_entry(1, 1)})});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kDiskFailed);
  EXPECT_THAT(failed.error().message, HasSubstr("sync of " + segment_path(1)));
  const uint64_t before = disk->operations();
  const Status again = append(**log, {make_write(2, {}, {make_entry(1, 1)})});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error(), failed.error());
  EXPECT_EQ(disk->operations(), before);
}

TEST(LogStore, AFailedWriteIsReportedAsWhatItIs) {
  for (const auto& [number, code] :
       {std::pair{ENOSPC, ErrorCode::kNoSpace}, {EIO, ErrorCode::kDiskFailed}}) {
    auto disk = fake_disk();
    auto log = open_log(*disk);
    disk->fail_at(disk->operations() + 1, number);
    const Status failed = append(**log, {make_write(1, kTermOne, {make_entry(1, 1)})});
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code, code);
    EXPECT_THAT(failed.error().message, HasSubstr("write of " + segment_path(1)));
  }
}

TEST(LogStore, AFailedPreparationStopsTheLog) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  disk->fail_at(disk->operations() + 3, EIO);
  while ((*log)->preparer().step() == SegmentPreparer::Step::kWorked) {
  }
  const uint64_t before = disk->operations();
  const Status failed = append(**log, {make_write(1, kTermOne, {make_entry(1, 1)})});
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("sync of /log/0000000000000002.new"));
  EXPECT_EQ(disk->operations(), before);
}

TEST(LogStore, AFullDiskIsSeenAheadAndForgottenWhenThereIsRoomAgain) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  disk->set_capacity(5000);
  while ((*log)->preparer().step() == SegmentPreparer::Step::kWorked) {
  }
  EXPECT_TRUE((*log)->space().out_of_space);
  EXPECT_LT((*log)->space().bytes_ahead, 4096u);
  EXPECT_THAT(disk->paths(), ::testing::SizeIs(1)) << "what was begun is given back";
  EXPECT_TRUE(append(**log, {make_write(1, kTermOne, {make_entry(1, 1)})}).ok())
      << "there is room in the current segment";
  disk->set_capacity(1 << 20);
  while ((*log)->preparer().step() == SegmentPreparer::Step::kWorked) {
  }
  EXPECT_FALSE((*log)->space().out_of_space);
  EXPECT_GE((*log)->space().bytes_ahead, 4096u);
}

TEST(LogStore, WithoutRoomForTheNextSegmentTheLogEndsWithNoSpace) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  disk->set_capacity(5000);
  ASSERT_TRUE(append(**log, {make_write(1, kTermOne, make_entries(1, 1, 10, 200))}).ok());
  const Status failed = append(**log, {make_write(2, {}, make_entries(1, 11, 20, 200))});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(failed.error().message, HasSubstr("4096 bytes"));
}

TEST(LogStore, RestartsWithoutProgressDoNotFillTheDisk) {
  auto disk = fake_disk();
  for (int life = 0; life < 10; ++life) {
    auto log = open_log(*disk);
    ASSERT_TRUE(log.ok()) << log.error().message;
    if (life == 0) {
      ASSERT_TRUE(append(**log, {make_write(1, kTermOne, {make_entry(1, 1)})}).ok());
    }
    while ((*log)->preparer().step() == SegmentPreparer::Step::kWorked) {
    }
  }
  EXPECT_LE(disk->paths().size(), 4u);
}

TEST(LogStore, RestartsWithLittleProgressGiveBackWhatSegmentsDoNotUse) {
  auto disk = fake_disk();
  constexpr uint64_t kSegment = 1 << 20;
  for (uint64_t life = 1; life <= 10; ++life) {
    auto log = open_log(*disk, kSegment);
    ASSERT_TRUE(log.ok()) << log.error().message;
    ASSERT_TRUE(append(**log, {make_write(1, {}, {make_entry(1, 2 * life - 1)})}).ok());
    ASSERT_TRUE(append(**log, {make_write(2, {}, {make_entry(1, 2 * life)})}).ok());
    while ((*log)->preparer().step() == SegmentPreparer::Step::kWorked) {
    }
  }
  uint64_t bytes = 0;
  for (const std::string& path : disk->paths()) bytes += disk->content(path).size();
  EXPECT_LT(bytes, 3 * kSegment);
}

TEST(LogStore, RefusesTheSegmentsOfAnotherStore) {
  auto disk = fake_disk();
  ASSERT_TRUE(open_log(*disk).ok());
  LogOptions options = small_log();
  options.store = StoreId(78);
  SeededEntropy entropy(1);
  const auto log = LogStore::open(*disk, entropy, options);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(log.error().message, HasSubstr("store 77"));
  EXPECT_THAT(log.error().message, HasSubstr("store 78"));
}

TEST(LogStore, RefusesSegmentSizesOutOfRange) {
  auto disk = fake_disk();
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{4095}, uint64_t{4097}, uint64_t{2} << 30}) {
    const auto log = open_log(*disk, bytes);
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kBadArgument);
    EXPECT_THAT(log.error().message, HasSubstr(std::to_string(bytes)));
  }
}

TEST(LogStore, FollowsAChangedSegmentSize) {
  auto disk = fake_disk();
  LogContent model;
  for (const uint64_t bytes : {8192, 4096, 16384}) {
    auto log = open_log(*disk, bytes);
    ASSERT_TRUE(log.ok()) << log.error().message;
    EXPECT_EQ(content_of(**log), model);
    const uint64_t next = model.entries.size() + 1;
    const Write write = make_write(1, {}, make_entries(1, next, next + 20, 300));
    for (const Entry& entry : write.entries) {
      model.apply(entry);
      ASSERT_TRUE(append(**log, {make_write(1, {}, {entry})}).ok());
    }
  }
}

TEST(InlineLogWriter, MergesWhatWaitsIntoOneBatch) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  int notified = 0;
  InlineLogWriter writer(**log, [&notified] { ++notified; });
  writer.submit(make_write(1, kTermOne, {make_entry(1, 1)}));
  writer.submit(make_write(2, {}, {make_entry(1, 2)}));
  writer.submit(make_write(5, {}, {make_entry(1, 3)}));
  EXPECT_FALSE(writer.collect().has_value());
  EXPECT_EQ(writer.waiting_bytes(), 60u);
  EXPECT_EQ((*log)->last_index(), LogIndex(0)) << "nothing is readable before it is durable";
  const uint64_t before = disk->operations();
  EXPECT_TRUE(writer.run_one());
  EXPECT_EQ(disk->operations() - before, 2u);
  EXPECT_FALSE(writer.run_one());
  EXPECT_EQ(notified, 1);
  const auto done = writer.collect();
  ASSERT_TRUE(done.has_value() && done->ok());
  EXPECT_EQ(**done, 5u);
  EXPECT_EQ(writer.waiting_bytes(), 0u);
  EXPECT_EQ((*log)->last_index(), LogIndex(3));
  EXPECT_FALSE(writer.collect().has_value()) << "said once";
}

TEST(InlineLogWriter, ReportsAFailureForEver) {
  auto disk = fake_disk();
  auto log = open_log(*disk);
  InlineLogWriter writer(**log);
  writer.submit(make_write(1, kTermOne, {make_entry(1, 1)}));
  EXPECT_TRUE(writer.run_one());
  disk->fail_at(disk->operations() + 1, EIO);
  writer.submit(make_write(2, {}, {make_entry(1, 2)}));
  EXPECT_TRUE(writer.run_one());
  for (int i = 0; i < 2; ++i) {
    const auto done = writer.collect();
    ASSERT_TRUE(done.has_value());
    ASSERT_FALSE(done->ok());
    EXPECT_EQ(done->error().code, ErrorCode::kDiskFailed);
  }
  writer.submit(make_write(3, {}, {make_entry(1, 2)}));
  EXPECT_FALSE(writer.run_one());
}

}  // namespace
}  // namespace holdfast::raft
