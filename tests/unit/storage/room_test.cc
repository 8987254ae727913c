// Room for when there is none: the reserve's file, what counts as low and full, and the segments
// that the log has ahead.
#include "raft/storage/room.h"

#include <gmock/gmock.h>

#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;
using State = DiskRoom::State;

constexpr uint64_t kMiB = 1 << 20;
constexpr char kReserve[] = "/log/reserve";

class RoomTest : public ::testing::Test {
 protected:
  void open(size_t segments_ahead = 2) {
    LogOptions options = small_log();
    options.segments_ahead = segments_ahead;
    auto log = LogStore::open(*disk, entropy, options);
    ASSERT_TRUE(log.ok()) << log.error().message;
    keeper.reset();
    store = std::move(*log);
    keeper = std::make_unique<RoomKeeper>(*disk, *store, RoomOptions{kLogDirectory, 2 * kMiB, kMiB},
                                          now);
  }
  void leave_free(uint64_t bytes) { disk->set_capacity(disk->used() + bytes); }
  /// A second passes, and what the preparing thread has to do is done.
  DiskRoom look() {
    now += 1s;
    const Status done = keeper->step(now);
    EXPECT_TRUE(done.ok()) << done.error().message;
    prepare(*store);
    return keeper->room();
  }
  DiskRoom look_often() {
    for (int i = 0; i < 20; ++i) look();
    return look();
  }
  size_t reserve() const { return disk->content(kReserve).size(); }
  /// Until the log needs its next segment.
  Status fill_segment() {
    const uint64_t next = store->last_index().value + 1;
    return append(
        *store,
        {make_write(++write, next == 1 ? std::optional(HardState{Term(1), {}}) : std::nullopt,
                    make_entries(1, next, next + 9, 200))});
  }

  std::unique_ptr<FakeFileSystem> disk = fake_disk();
  SeededEntropy entropy{7};
  std::unique_ptr<LogStore> store;
  std::unique_ptr<RoomKeeper> keeper;
  Instant now{1000s};
  uint64_t write = 0;
};

// Whoever asks for a copy of the state in a server's first milliseconds is not told that there is
// no room, and a server that starts on a full disk does not take writes until it has looked.
TEST_F(RoomTest, WhatIsFreeIsKnownFromTheStart) {
  leave_free(100 * kMiB);
  open();
  EXPECT_EQ(keeper->room().free_bytes, *disk->free_bytes(kLogDirectory));
  EXPECT_GT(keeper->room().free_bytes, 90 * kMiB);
  EXPECT_EQ(keeper->room().needed_bytes, kMiB);
  EXPECT_EQ(keeper->room().state, State::kOk);
  EXPECT_EQ(keeper->room().since, now);
  leave_free(kMiB / 2);
  open();
  EXPECT_TRUE(keeper->room().full());
}

TEST_F(RoomTest, TheReserveIsTakenAndGrowsWithTheSnapshot) {
  open();
  EXPECT_EQ(look().state, State::kOk);
  EXPECT_EQ(reserve(), 2 * kMiB);
  keeper->note_snapshot({3 * kMiB - 5, 0});
  EXPECT_EQ(look().reserve_bytes, 5 * kMiB);
  keeper->note_snapshot({0, 0});
  EXPECT_EQ(look().reserve_bytes, 2 * kMiB);
}

// What a first look gave up would be somebody else's, if the disk is full of others' files.
TEST_F(RoomTest, AStartKeepsTheReserveThatIsHeldForTheSnapshot) {
  open();
  keeper->note_snapshot({3 * kMiB, 0});
  EXPECT_EQ(look().reserve_bytes, 5 * kMiB);
  keeper.reset();
  keeper = std::make_unique<RoomKeeper>(*disk, *store,
                                        RoomOptions{kLogDirectory, 2 * kMiB, kMiB, 3 * kMiB}, now);
  EXPECT_EQ(look().reserve_bytes, 5 * kMiB);
}

// What is replayed from the log waits for the snapshot, too, and nobody knows how much it is yet.
TEST_F(RoomTest, AStartGivesNothingUpBeforeItKnowsWhatTheSnapshotTakes) {
  open();
  keeper->note_snapshot({3 * kMiB, 0});
  look();
  open();
  EXPECT_EQ(look().reserve_bytes, 5 * kMiB);
  keeper->note_snapshot({kMiB, 0});
  EXPECT_EQ(look().reserve_bytes, 3 * kMiB);
}

// Whoever makes as much room as the message says has done enough, and need not try again.
TEST_F(RoomTest, WhatIsWantedIsTheWholeNeed) {
  open();
  leave_free(kMiB);
  DiskRoom full = look();
  ASSERT_EQ(full.missing, "the reserve");
  EXPECT_EQ(full.wanted_bytes(), kMiB + kMiB / 4 + 2 * kMiB);
  EXPECT_EQ(full.reserve_short_bytes, 2 * kMiB);
  leave_free(full.wanted_bytes() - 1);
  EXPECT_TRUE(look_often().full());
  leave_free(full.wanted_bytes());
  EXPECT_FALSE(look_often().full());
  keeper->note_snapshot({2 * kMiB, 0});
  leave_free(0);
  for (int batch = 0; batch < 3; ++batch) {
    ASSERT_TRUE(fill_segment().ok());
    look();
  }
  full = keeper->room();
  ASSERT_EQ(full.missing, "the log's next segments");
  EXPECT_GT(full.short_bytes, 2 * kMiB) << "the reserve has not grown either";
  leave_free(full.wanted_bytes());
  EXPECT_FALSE(look_often().full());
}

TEST_F(RoomTest, TheReserveTakesNothingOfWhatIsToStayFree) {
  open();
  look();
  keeper->note_snapshot({kMiB, 0});
  leave_free(2 * kMiB - 1);
  EXPECT_EQ(look().missing, "the reserve");
  EXPECT_EQ(reserve(), 2 * kMiB);
  EXPECT_EQ(keeper->room().free_bytes, 2 * kMiB - 1);
}

// The log is cut by the snapshot alone: whatever it took of its room it would never give back.
TEST_F(RoomTest, TheLogTakesNoSegmentThatTheSnapshotNeeds) {
  open();
  look();
  keeper->note_snapshot({3 * kMiB, 0});
  const uint64_t enough = store->preparer().segment_bytes() + kMiB + kMiB;
  leave_free(enough - 1);
  ASSERT_TRUE(fill_segment().ok());
  ASSERT_TRUE(fill_segment().ok());
  EXPECT_EQ(look_often().missing, "the log's next segments");
  EXPECT_EQ(store->space().segments_ready, 1U);
  EXPECT_EQ(keeper->room().free_bytes, enough - 1);
  leave_free(enough);
  look_often();
  EXPECT_EQ(store->space().segments_ready, 2U);
}

TEST_F(RoomTest, TheSnapshotHasTheReserveAndWhatIsNobodyElses) {
  open();
  look();
  leave_free(kMiB);
  EXPECT_EQ(look().snapshot_bytes(0), 2 * kMiB);
  leave_free(20 * kMiB);
  const uint64_t log = 2 * store->preparer().segment_bytes();
  EXPECT_EQ(look().snapshot_bytes(0), (2 + 20 - 1) * kMiB - log);
  keeper->note_snapshot({30 * kMiB, 0});
  EXPECT_EQ(look().snapshot_bytes(0), 2 * kMiB) << "the rest is wanted for the reserve";
}

// Nobody looks at the disk before the next span or the next segment is begun.
TEST_F(RoomTest, WhatWasTakenSinceTheLastLookIsNotFree) {
  open();
  keeper->note_snapshot({0, 5 * kMiB});
  leave_free(20 * kMiB);
  look();
  const uint64_t before = look().snapshot_bytes(5 * kMiB);
  EXPECT_EQ(keeper->room().snapshot_bytes(8 * kMiB), before - 3 * kMiB);
  EXPECT_EQ(keeper->room().snapshot_bytes(4 * kMiB), before);
  keeper->note_snapshot({0, 8 * kMiB});
  EXPECT_EQ(keeper->room().snapshot_bytes(8 * kMiB), before - 3 * kMiB) << "not looked at yet";
  EXPECT_EQ(look().snapshot_bytes(8 * kMiB), before);
  ASSERT_TRUE(fill_segment().ok());
  ASSERT_TRUE(fill_segment().ok());
  prepare(*store);
  EXPECT_EQ(keeper->room().snapshot_bytes(8 * kMiB), before - store->preparer().segment_bytes())
      << "the log has begun a segment";
}

// Else the log never gets its next segment: nothing else wakes the thread that prepares it.
TEST_F(RoomTest, ASegmentThatCouldNotBeRemovedForWantOfSpaceIsTriedAgain) {
  open();
  look_often();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(fill_segment().ok());
    prepare(*store);
  }
  ASSERT_TRUE(fill_segment().ok());
  const size_t left = store->space().segments_ready;
  ASSERT_LT(left, 2U);
  store->cut(store->last_index().prev());
  disk->fail_at(disk->operations() + 1, ENOSPC);
  EXPECT_EQ(store->preparer().step(), SegmentPreparer::Step::kOutOfSpace);
  ASSERT_EQ(store->space().segments_ready, left);
  for (int i = 0; i < 20; ++i) {
    now += 1s;
    ASSERT_TRUE(keeper->step(now).ok());
    while (store->preparer().has_work()) store->preparer().step();
  }
  EXPECT_EQ(store->space().segments_ready, 2U);
  EXPECT_EQ(keeper->room().state, State::kOk);
}

TEST_F(RoomTest, LittleIsLowAndLessIsFullAndComingBackTakesMore) {
  open();
  look();
  leave_free(2 * kMiB - 1);
  EXPECT_EQ(look().state, State::kLow);
  leave_free(2 * kMiB);
  EXPECT_EQ(look().state, State::kLow);
  leave_free(2 * kMiB + kMiB / 2);
  EXPECT_EQ(look().state, State::kOk);
  leave_free(kMiB - 1);
  const DiskRoom full = look();
  EXPECT_EQ(full.state, State::kFull);
  EXPECT_EQ(full.since, now);
  leave_free(kMiB);
  EXPECT_EQ(look().state, State::kFull);
  EXPECT_EQ(keeper->room().since, full.since);
  EXPECT_EQ(keeper->room().needed_bytes, kMiB + kMiB / 4);
  leave_free(kMiB + kMiB / 4);
  EXPECT_EQ(look().state, State::kLow);
}

TEST_F(RoomTest, WhenTheDiskIsFullTheSegmentsAheadAreThere) {
  open();
  look();
  ASSERT_EQ(store->space().segments_ready, 2U);
  leave_free(0);
  // The rest of the first segment, and two more.
  for (int batch = 0; batch < 3; ++batch) {
    const Status done = fill_segment();
    ASSERT_TRUE(done.ok()) << done.error().message;
    look();
  }
  const DiskRoom room = keeper->room();
  EXPECT_EQ(room.state, State::kFull);
  EXPECT_EQ(room.missing, "the log's next segments");
  leave_free(8 * kMiB);
  EXPECT_EQ(look_often().state, State::kOk);
  EXPECT_EQ(store->space().segments_ready, 2U);
}

TEST_F(RoomTest, ARestartOnAFullDiskKeepsWhatWasAhead) {
  open();
  look();
  ASSERT_TRUE(fill_segment().ok());
  look();
  leave_free(0);
  keeper.reset();
  store.reset();
  disk->process_crash();
  open();
  prepare(*store);
  EXPECT_GE(store->space().segments_ready, 1U);
  EXPECT_TRUE(fill_segment().ok());
}

TEST_F(RoomTest, WhatIsLentIsFreeAndComesBack) {
  open();
  look();
  leave_free(4 * kMiB);
  keeper->lend(true);
  const DiskRoom lent = look();
  EXPECT_EQ(lent.state, State::kFull);
  EXPECT_EQ(lent.reserve_bytes, 0U);
  EXPECT_EQ(lent.free_bytes, 6 * kMiB);
  keeper->lend(false);
  EXPECT_EQ(look_often().state, State::kOk);
  EXPECT_EQ(reserve(), 2 * kMiB);
}

TEST_F(RoomTest, AReserveThatCannotBeHadIsAFullDisk) {
  open();
  leave_free(kMiB);
  const DiskRoom room = look();
  EXPECT_EQ(room.state, State::kFull);
  EXPECT_EQ(room.missing, "the reserve");
}

TEST_F(RoomTest, AReserveThatDoesNotFitTakesNothingFromTheOthersForAMoment) {
  open();
  leave_free(kMiB + kMiB / 2);
  look();
  const uint64_t before = disk->operations();
  EXPECT_EQ(look().missing, "the reserve");
  EXPECT_EQ(disk->operations(), before);
  leave_free(8 * kMiB);
  EXPECT_EQ(look_often().state, State::kOk);
}

// A server that loads its state takes of the log what comes, and nobody speaks for its snapshot
// yet.
TEST_F(RoomTest, TheLogLeavesWhatTheSnapshotIsLikelyToWantBeforeItHasSpoken) {
  open();
  keeper.reset();
  keeper = std::make_unique<RoomKeeper>(*disk, *store,
                                        RoomOptions{kLogDirectory, 0, kMiB, 3 * kMiB}, now);
  leave_free(4 * kMiB - 1);
  prepare(*store);
  EXPECT_EQ(look().missing, "the log's next segments");
  EXPECT_EQ(store->preparer().ready(), 0u);
  leave_free(5 * kMiB);
  look_often();
  EXPECT_EQ(store->preparer().ready(), store->preparer().ahead());
}

// Each start needs a segment at once, as it takes one of those that were ready.
TEST_F(RoomTest, WhatIsHeldForTheSnapshotIsNotLeftFreeBesideBeforeTheFirstLook) {
  open();
  keeper->note_snapshot({3 * kMiB, 0});
  EXPECT_EQ(look().reserve_bytes, 5 * kMiB);
  leave_free(3 * kMiB);
  keeper.reset();
  keeper = std::make_unique<RoomKeeper>(*disk, *store,
                                        RoomOptions{kLogDirectory, 2 * kMiB, kMiB, 3 * kMiB}, now);
  EXPECT_EQ(keeper->room().reserve_bytes, 5 * kMiB);
  while (store->preparer().ready() == store->preparer().ahead()) {
    ASSERT_TRUE(fill_segment().ok());
  }
  prepare(*store);
  EXPECT_FALSE(store->preparer().out_of_space());
  EXPECT_EQ(look().state, State::kOk);
}

TEST_F(RoomTest, AnErrorOfTheReserveIsToldAndIsNoRoom) {
  open();
  look();
  keeper->note_snapshot({kMiB, 0});
  disk->fail_at(disk->operations() + 1, EIO);
  const Status done = keeper->step(now);
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message, HasSubstr(kReserve));
  EXPECT_EQ(keeper->room().state, State::kFull);
}

TEST_F(RoomTest, AStartOnAFullDiskGivesUpALittleOfTheReserve) {
  open();
  keeper->note_snapshot({6 * kMiB, 0});
  look();
  ASSERT_EQ(reserve(), 8 * kMiB);
  ASSERT_TRUE(RoomKeeper::make_room_to_start(*disk, kLogDirectory).ok());
  EXPECT_EQ(reserve(), 8 * kMiB) << "there is room";
  leave_free(1000);
  ASSERT_TRUE(RoomKeeper::make_room_to_start(*disk, kLogDirectory).ok());
  EXPECT_EQ(reserve(), 4 * kMiB);
}

}  // namespace
}  // namespace holdfast::raft
