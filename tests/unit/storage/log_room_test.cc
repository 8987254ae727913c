// The log and the room that it has in hand: what is counted against it always fits, and a disk
// without room for the next segment delays writes and ends nothing (PROMISE 12).
#include <gmock/gmock.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "base/entropy.h"
#include "raft/storage/batch_encoder.h"
#include "raft/storage/threaded_log_writer.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

constexpr uint64_t kSegment = 4096;

class LogRoomTest : public ::testing::Test {
 protected:
  explicit LogRoomTest(size_t segments_ahead = 2) {
    LogOptions options = small_log(kSegment);
    options.segments_ahead = segments_ahead;
    auto log = LogStore::open(*disk, entropy, options);
    EXPECT_TRUE(log.ok());
    store = std::move(*log);
    prepare(*store);
  }
  void fill_disk() { disk->set_capacity(disk->used()); }
  void empty_disk() {
    disk->set_capacity(~uint64_t{0});
    store->retry_preparation();
  }
  Write next_write(size_t entries, size_t bytes) {
    Write write =
        make_write(++number, std::nullopt, make_entries(1, last + 1, last + entries, bytes));
    if (number == 1) write.hard_state = HardState{Term(1), NodeId(1)};
    last += entries;
    return write;
  }

  std::unique_ptr<FakeFileSystem> disk = fake_disk();
  SeededEntropy entropy{7};
  std::unique_ptr<LogStore> store;
  uint64_t number = 0;
  uint64_t last = 0;
};

TEST_F(LogRoomTest, WhatIsCountedAgainstTheRoomInHandFitsOnAFullDisk) {
  fill_disk();
  InlineLogWriter writer(*store);
  SplitMix random(11);
  const auto fits = [&writer](const Write& write) {
    return BatchSize::of({&write, 1}).room_bytes() <= writer.room().bytes;
  };
  const auto finish = [&writer] {
    while (writer.run_one()) {
    }
    const auto news = writer.collect();
    EXPECT_TRUE(!news || news->ok());
    EXPECT_EQ(writer.waiting_bytes(), 0U) << "all that was admitted is durable";
  };
  while (true) {
    const Write write = next_write(1 + random.below(6), random.below(150));
    if (!fits(write)) finish();
    if (!fits(write)) break;
    writer.submit(write);
    while (random.below(3) == 0 && writer.run_one()) {
    }
    if (random.below(3) == 0) static_cast<void>(writer.collect());
  }
  EXPECT_EQ(store->space().segments_ready, 0U);
  EXPECT_LT(writer.room().bytes, kSegment) << "most of what is in hand is used";
}

TEST_F(LogRoomTest, RoomIsWholeWhenNothingWaitsAndAllIsReady) {
  InlineLogWriter writer(*store);
  const LogRoom before = writer.room();
  EXPECT_TRUE(before.whole);
  EXPECT_EQ(before.segment_bytes, kSegment);
  writer.submit(next_write(1, 100));
  EXPECT_FALSE(writer.room().whole);
  EXPECT_LT(writer.room().bytes, before.bytes);
  ASSERT_TRUE(writer.run_one());
  EXPECT_FALSE(writer.room().whole) << "it is not collected";
  ASSERT_TRUE(writer.collect().has_value());
  EXPECT_TRUE(writer.room().whole);
}

TEST_F(LogRoomTest, WithoutRoomWhatWasSubmittedWaitsAndIsDurableWhenThereIsSome) {
  fill_disk();
  InlineLogWriter writer(*store);
  for (int i = 0; i < 20; ++i) writer.submit(next_write(1, 1'500));
  while (writer.run_one()) {
  }
  const auto some = writer.collect();
  ASSERT_TRUE(some.has_value() && some->ok());
  EXPECT_LT(**some, 20U);
  EXPECT_GT(writer.waiting_bytes(), 0U);
  const uint64_t before = disk->operations();
  EXPECT_FALSE(writer.run_one());
  EXPECT_EQ(disk->operations(), before) << "nothing is tried again without a reason";
  empty_disk();
  while (writer.prepare_one() || writer.run_one()) {
  }
  const auto all = writer.collect();
  ASSERT_TRUE(all.has_value() && all->ok());
  EXPECT_EQ(**all, 20U);
  EXPECT_EQ(store->last_index(), LogIndex(20));
}

TEST_F(LogRoomTest, AnEntryLargerThanASegmentWaitsForRoomBeforeAnythingOfItIsWritten) {
  fill_disk();
  InlineLogWriter writer(*store);
  writer.submit(next_write(1, 3 * kSegment));
  EXPECT_FALSE(writer.run_one());
  EXPECT_FALSE(writer.collect().has_value());
  EXPECT_EQ(store->space().segments_ready, 2U) << "the segment is put back";
  EXPECT_EQ(disk->content(segment_path(2)).size(), kSegment);
  empty_disk();
  ASSERT_TRUE(writer.run_one());
  EXPECT_EQ(**writer.collect(), 1U);
  EXPECT_EQ(read_all(*store).size(), 1U);
}

TEST_F(LogRoomTest, WritesAreMergedByTheirSizeOnDisk) {
  fill_disk();
  InlineLogWriter writer(*store);
  // Elections, one after the other, of which none has a payload.
  for (uint64_t term = 1; term <= 150; ++term) {
    writer.submit(make_write(term, HardState{Term(term), NodeId(1)}, {}));
  }
  while (writer.run_one()) {
  }
  const auto news = writer.collect();
  ASSERT_TRUE(news.has_value() && news->ok());
  EXPECT_EQ(**news, 150U) << "no batch is larger than a segment";
}

TEST_F(LogRoomTest, AWriteThatFailsForWantOfSpaceIsStillTheEnd) {
  InlineLogWriter writer(*store);
  writer.submit(next_write(1, 100));
  disk->fail_at(disk->operations() + 1, ENOSPC);
  static_cast<void>(writer.run_one());
  const auto news = writer.collect();
  ASSERT_TRUE(news.has_value());
  ASSERT_FALSE(news->ok()) << "what of it is on the disk nobody knows";
  EXPECT_EQ(news->error().code, ErrorCode::kNoSpace);
}

TEST_F(LogRoomTest, AFailedPreparationIsFoundOutThoughThereIsNoRoom) {
  InlineLogWriter writer(*store);
  for (int i = 0; i < 4; ++i) writer.submit(next_write(1, 1'500));
  while (writer.run_one()) {
  }
  static_cast<void>(writer.collect());
  disk->fail_at(disk->operations() + 2, EIO);
  prepare(*store);
  const auto news = writer.collect();
  ASSERT_TRUE(news.has_value()) << "nobody may write, who would find out?";
  ASSERT_FALSE(news->ok());
  EXPECT_EQ(news->error().code, ErrorCode::kDiskFailed);
}

/// A log that was cut, so that the preparer has a file to use again.
class SpareTest : public LogRoomTest {
 protected:
  SpareTest() : LogRoomTest(1) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(append(*store, {next_write(1, 3'000)}).ok());
      prepare(*store);
    }
    store->cut(LogIndex(2));
    while (store->space().segments_ready == 0 || store->preparer().has_work()) {
      store->preparer().step();
    }
  }
};

TEST_F(SpareTest, AFileToUseAgainIsNotLostWhenItsNewNameFindsNoRoom) {
  fill_disk();
  ASSERT_TRUE(append(*store, {next_write(1, 3'000)}).ok());
  // The next operation is the rename of the spare.
  disk->fail_at(disk->operations() + 1, ENOSPC);
  EXPECT_EQ(store->preparer().step(), SegmentPreparer::Step::kOutOfSpace);
  ASSERT_EQ(store->space().segments_ready, 0U);
  store->retry_preparation();
  prepare(*store);
  EXPECT_EQ(store->space().segments_ready, 1U);
}

TEST_F(SpareTest, ASyncOfTheDirectoryThatFailsIsNotRepeated) {
  ASSERT_TRUE(append(*store, {next_write(1, 3'000)}).ok());
  disk->fail_at(disk->operations() + 2, ENOSPC);
  EXPECT_EQ(store->preparer().step(), SegmentPreparer::Step::kFailed);
}

/// With the threads of production.
class ThreadedRoomTest : public LogRoomTest {
 protected:
  /// Until the writer has told of something, or of nothing within a while.
  bool wait_news(Duration at_most) {
    std::unique_lock lock(mutex);
    const bool came = told.wait_for(lock, at_most, [this] { return news; });
    news = false;
    return came;
  }
  uint64_t collect_all(ThreadedLogWriter& writer, uint64_t wanted) {
    uint64_t durable = 0;
    while (durable < wanted && wait_news(10s)) {
      const auto got = writer.collect();
      if (!got) continue;
      EXPECT_TRUE(got->ok()) << got->error().message;
      if (!got->ok()) return durable;
      durable = **got;
    }
    return durable;
  }

  SystemClock clock;
  std::mutex mutex;
  std::condition_variable told;
  bool news = false;
  LogWriterNotify notify = [this] {
    const std::lock_guard lock(mutex);
    news = true;
    told.notify_one();
  };
};

TEST_F(ThreadedRoomTest, TheWriterWaitsForASegmentAndGoesOn) {
  fill_disk();
  ThreadedLogWriter writer(*store, clock, notify);
  for (int i = 0; i < 20; ++i) writer.submit(next_write(1, 1'500));
  ASSERT_LT(collect_all(writer, 3), 20U);
  while (store->space().segments_ready > 0) static_cast<void>(wait_news(10ms));
  empty_disk();
  EXPECT_EQ(collect_all(writer, 20), 20U);
}

TEST_F(ThreadedRoomTest, TheLoopHearsOfASegmentThatHasBecomeReady) {
  fill_disk();
  ThreadedLogWriter writer(*store, clock, notify);
  writer.submit(next_write(1, 3'000));
  writer.submit(next_write(1, 3'000));
  ASSERT_EQ(collect_all(writer, 2), 2U);
  ASSERT_FALSE(writer.room().whole);
  static_cast<void>(wait_news(0s));
  empty_disk();
  while (!writer.room().whole) ASSERT_TRUE(wait_news(10s));
}

TEST_F(ThreadedRoomTest, AWriterThatWaitsForRoomCanBeEnded) {
  fill_disk();
  auto writer = std::make_unique<ThreadedLogWriter>(*store, clock, notify);
  for (int i = 0; i < 20; ++i) writer->submit(next_write(1, 1'500));
  while (store->space().segments_ready > 0) static_cast<void>(wait_news(10ms));
  writer.reset();
  EXPECT_LT(store->last_index(), LogIndex(20)) << "and nothing was made up";
}

}  // namespace
}  // namespace holdfast::raft
