// How much of the reserve is the snapshot's (PROMISE 12): the log can be cut by it alone, so what
// it may need is held before the disk is full, and follows what is gathered for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "raft/storage/log_format.h"
#include "tests/unit/server/test_cluster.h"
#include "tests/unit/server/test_span_writer.h"

namespace holdfast::server {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

constexpr uint64_t kValue = 10'000;
/// Of the pages that a put.s rows take, without the value.
constexpr uint64_t kRows = 6'000;

constexpr uint64_t kFree = 1 << 30;

/// What is reserved for the rows of one put, so many times.
auto puts(uint64_t times) { return AllOf(Ge(times * kValue), Le(times * (kValue + kRows))); }

/// A server whose snapshot is written when the test says so.
class SnapshotRoomTest : public OneServerTest {
 protected:
  SnapshotRoomTest() {
    server.crash();
    server.disk_room.emplace().free_bytes = kFree;
    server.snapshots.spans = &spans;
    server.start();
    cluster.lead(1);
    client = cluster.client(1, "a");
  }
  /// Goes on with changed options.
  void restart() {
    server.crash();
    spans.under_way = LogIndex();
    server.start();
    cluster.lead(1);
    client = cluster.client(1, "b");
  }
  uint64_t reserved() {
    cluster.advance(Room::kLookEvery);
    return server.snapshot_room.wanted_bytes;
  }
  Call try_to_put(const std::string& path = "/k") {
    api::PutRequest request;
    request.path = path;
    request.value = std::string(kValue, 'v');
    const Call call = server.ask(&Engine::put, client.next(), request);
    cluster.settle();
    return call;
  }
  void put(const std::string& path = "/k") { ASSERT_EQ(try_to_put(path).outcome(), "OK"); }
  void remove(const std::string& path = "/k") {
    api::RemoveRequest request;
    request.path = path;
    const Call call = server.ask(&Engine::remove, client.next(), request);
    cluster.settle();
    ASSERT_EQ(call.outcome(), "OK");
  }
  void set(raft::DiskRoom::State state) {
    server.disk_room->state = state;
    cluster.advance(Room::kLookEvery);
  }
  /// A disk that runs low has what is gathered written.
  void begin_to_write() {
    set(raft::DiskRoom::State::kLow);
    set(raft::DiskRoom::State::kOk);
    ASSERT_TRUE(spans.under_way);
  }
  void finish(uint64_t database_bytes, uint64_t wal_bytes, bool durable = true, bool slack = false,
              bool excess = false) {
    snapshot::WrittenSpan written;
    written.slack = slack;
    written.excess = excess;
    written.durable = durable;
    written.database_bytes = database_bytes;
    written.wal_bytes = wal_bytes;
    written.disk_bytes = database_bytes + wal_bytes;
    spans.finish(written);
    cluster.settle();
  }

  SlowSpanWriter spans;
  Client client;
};

TEST_F(SnapshotRoomTest, WhatIsGatheredFillsTheWalAndThenTheDatabaseGrows) {
  const uint64_t before = reserved();
  put();
  EXPECT_THAT(reserved() - before, puts(2));
}

TEST_F(SnapshotRoomTest, WhatIsBeingWrittenCountsUntilItIs) {
  put();
  const uint64_t gathered = reserved();
  begin_to_write();
  EXPECT_EQ(reserved(), gathered);
  put();
  EXPECT_THAT(reserved() - gathered, puts(2));
  finish(50'000, 0);
  EXPECT_THAT(reserved() - 50'000, puts(2)) << "all its rows may lie on all its pages";
}

TEST_F(SnapshotRoomTest, TheWalThatIsThereIsFilledFirst) {
  put();
  begin_to_write();
  finish(50'000, 20'000);
  EXPECT_EQ(reserved(), 30'000U);
  put();
  begin_to_write();
  finish(50'000, 80'000);
  EXPECT_EQ(reserved(), 0U);
  put();
  EXPECT_THAT(reserved(), puts(1)) << "the database grows beside it";
}

TEST_F(SnapshotRoomTest, TheWalThatAStartFindsIsFilledFirst) {
  server.crash();
  server.snapshot_bytes = 50'000;
  server.wal_bytes = 20'000;
  server.start();
  cluster.lead(1);
  EXPECT_THAT(reserved(), AllOf(Ge(30'000U), Le(40'000U)));
}

TEST_F(SnapshotRoomTest, AWalThatWaitsToBeDurableIsNotFilledAnew) {
  put();
  begin_to_write();
  finish(50'000, 20'000);
  put();
  begin_to_write();
  finish(50'000, 20'000, /*durable=*/false);
  EXPECT_EQ(reserved(), 50'000U) << "the database has room for what waits in it";
  put();
  begin_to_write();
  finish(50'000, 20'000, /*durable=*/true);
  EXPECT_EQ(reserved(), 30'000U);
}

// Else it would be counted twice: as the database that has grown, and as free for the next span.
TEST_F(SnapshotRoomTest, WhatItsFilesTookSinceTheDiskWasLookedAtIsNotFree) {
  server.disk_room->free_bytes = 200'000;
  server.disk_room->snapshot_taken_bytes = 0;
  put();
  begin_to_write();
  finish(60'000, 0);
  EXPECT_EQ(reserved(), 60'000U);
  EXPECT_EQ(server.snapshot_room.taken_bytes, 60'000U);
  EXPECT_EQ(try_to_put().outcome(), "OK");
  begin_to_write();
  finish(110'000, 0);
  EXPECT_EQ(try_to_put().error().code, api::ErrorCode::NO_SPACE);
  server.disk_room->snapshot_taken_bytes = 110'000;  // the disk was looked at, and others gave room
  cluster.advance(Room::kLookEvery);
  put();
}

// Keys that are removed behind a span that finds no room may be all that is in its way.
TEST_F(SnapshotRoomTest, ASpanThatFindsNoRoomGoesWithTheNextOne) {
  put();
  begin_to_write();
  const LogIndex first = spans.under_way;
  spans.no_room = true;
  set(raft::DiskRoom::State::kFull);
  cluster.advance(2s);
  EXPECT_EQ(spans.under_way, first) << "nothing has changed since";
  remove();
  cluster.advance(2s);
  EXPECT_GT(spans.under_way, first);
  EXPECT_GT(spans.span.rows.growth_bytes(), kValue) << "the rows of both";
}

// A span that found no room could never be written, whatever was removed behind it.
TEST_F(SnapshotRoomTest, NoMoreIsGatheredThanTheSnapshotCanBeSureToWrite) {
  server.disk_room->free_bytes = 0;
  server.disk_room->reserve_bytes = 4 * (kValue + kRows);
  cluster.advance(Room::kLookEvery);
  for (const char* path : {"/a", "/b", "/k"}) put(path);
  const api::HoldfastError error = try_to_put("/d").error();
  EXPECT_EQ(error.code, api::ErrorCode::NO_SPACE);
  EXPECT_THAT(error.message, HasSubstr("no room on its disk for a snapshot of what was written"));
  remove();
  server.disk_room->reserve_bytes *= 2;
  cluster.advance(Room::kLookEvery);
  put();
}

TEST_F(SnapshotRoomTest, WhileTheDiskIsFullWhatIsRemovedIsSoonGivenBackToIt) {
  cluster.options.snapshot_interval = 3'600s;
  put();
  begin_to_write();
  EXPECT_FALSE(spans.span.shrink);
  finish(50'000, 20'000);
  set(raft::DiskRoom::State::kFull);
  remove();
  cluster.advance(1s);
  ASSERT_TRUE(spans.under_way);
  EXPECT_TRUE(spans.span.shrink);
}

// A disk may be called ok for ever on which nothing is reserved for a database that has grown.
TEST_F(SnapshotRoomTest, WhileTheSnapshotLacksRoomForLongWhatIsRemovedIsSoonGivenBackToo) {
  cluster.options.snapshot_interval = 3'600s;
  for (const char* path : {"/a", "/b", "/c"}) put(path);
  begin_to_write();
  finish(2 * kFree, 0);
  ASSERT_EQ(try_to_put().error().code, api::ErrorCode::NO_SPACE);
  cluster.advance(Room::kOverdrawnLong + Room::kLookEvery);
  for (const char* path : {"/a", "/b", "/c"}) {
    ASSERT_FALSE(spans.under_way) << path;
    remove(path);
    cluster.advance(1s);
    ASSERT_TRUE(spans.under_way) << path;
    EXPECT_TRUE(spans.span.shrink);
    finish(2 * kFree, 0);
  }
  server.disk_room->free_bytes *= 4;
  cluster.advance(Room::kLookEvery);
  put();
}

// Nothing that makes rows is admitted, so the database would keep the room for ever.
TEST_F(SnapshotRoomTest, WhileTheDiskIsFullRoomIsGivenBackThoughNoRowChanges) {
  cluster.options.snapshot_interval = 3'600s;
  put();
  begin_to_write();
  finish(50'000, 20'000, /*durable=*/true, /*slack=*/true);
  cluster.advance(20s);
  EXPECT_FALSE(spans.under_way) << "later rows fill it";
  begin_to_write();  // that the client's session has expired: nobody changes a row any more
  finish(50'000, 20'000, /*durable=*/true, /*slack=*/true);
  set(raft::DiskRoom::State::kFull);
  cluster.advance(3s);
  ASSERT_FALSE(spans.under_way) << "a row has changed";
  cluster.advance(3s);
  ASSERT_TRUE(spans.under_way);
  EXPECT_TRUE(spans.span.shrink);
  finish(20'000, 0);
  cluster.advance(20s);
  EXPECT_FALSE(spans.under_way);
}

// Clients that have removed all that they had may never write again.
TEST_F(SnapshotRoomTest, MuchIsGivenBackThoughTheDiskHasRoomAndNoRowChanges) {
  cluster.options.snapshot_interval = 60s;
  server.disk_room->needed_bytes = 7'000'000;
  restart();
  put();
  begin_to_write();
  EXPECT_TRUE(spans.span.at_leisure);
  EXPECT_GE(spans.span.stays_free, 7'000'000U) << "or the disk would be full meanwhile";
  finish(50'000, 20'000);
  cluster.advance(200s);
  ASSERT_TRUE(spans.under_way) << "the client's session has expired: no row changes any more";
  finish(50'000, 20'000, /*durable=*/true, /*slack=*/true, /*excess=*/true);
  ASSERT_TRUE(spans.under_way) << "the span before was begun long ago";
  finish(50'000, 20'000, /*durable=*/true, /*slack=*/true, /*excess=*/true);
  cluster.advance(59s);
  ASSERT_FALSE(spans.under_way) << "what cannot be had is not asked for all the time";
  cluster.advance(2s);
  ASSERT_TRUE(spans.under_way);
  EXPECT_TRUE(spans.span.rows.empty());
  EXPECT_TRUE(spans.span.at_leisure);
  EXPECT_FALSE(spans.span.shrink);
  finish(20'000, 0);
  cluster.advance(200s);
  EXPECT_FALSE(spans.under_way);
}

// The span that a server writes before it stops is waited for.
TEST_F(SnapshotRoomTest, NothingIsGivenBackInAHurry) {
  cluster.options.snapshot_interval = 3'600s;
  put();
  server.engine().begin_drain();
  cluster.settle();
  ASSERT_TRUE(spans.under_way);
  EXPECT_FALSE(spans.span.at_leisure);
}

// A batch is filled up to a sector: what comes alone takes several times its bytes of the log.
TEST_F(SnapshotRoomTest, TheLogsPaddingCountsForASpanToo) {
  cluster.options.snapshot_interval = 3'600s;
  cluster.options.snapshot_log_bytes = 100 * kValue;
  restart();
  put();
  begin_to_write();
  finish(50'000, 20'000);
  put();
  server.log_room.batches = 90 * kValue / raft::kSectorBytes;
  cluster.advance(100ms);
  EXPECT_FALSE(spans.under_way);
  server.log_room.batches = 110 * kValue / raft::kSectorBytes;
  cluster.advance(100ms);
  EXPECT_TRUE(spans.under_way);
}

/// Its log is cut when the snapshot is on the disk.
class CutLogTest : public SnapshotRoomTest {
 protected:
  CutLogTest() {
    cluster.options.snapshot_log_bytes = 20 * kValue;
    server.snapshots.cut_log = [this](LogIndex through) { return cut_through = through; };
    restart();
  }
  /// Writes so much of the log, and then a snapshot of so many bytes.
  void write(uint64_t puts, uint64_t database_bytes) {
    for (uint64_t i = 0; i < puts; ++i) put();
    begin_to_write();
    finish(database_bytes, 0);
  }
  LogIndex cut_through{0};
};

// What is longer than the state is no cheaper to catch up by than a copy of the state.
TEST_F(CutLogTest, OfASmallStateHalfATailStays) {
  write(8, kValue);
  EXPECT_EQ(cut_through, LogIndex(0)) << "it is not half a tail";
  write(6, kValue);
  EXPECT_GT(cut_through, LogIndex(0));
}

TEST_F(CutLogTest, OfALargeStateAWholeTailStays) {
  write(8, 100 * kValue);
  write(6, 100 * kValue);
  EXPECT_EQ(cut_through, LogIndex(0));
  write(9, 100 * kValue);
  EXPECT_GT(cut_through, LogIndex(0));
}

// The last span was taken back to go with more, and no more comes: nobody would return the reserve.
TEST_F(SnapshotRoomTest, OfAQuarantinedServerThatWritesNothingTheReserveIsNotLent) {
  server.crash();
  server.quarantine = "its digest differs";
  spans.no_room = true;
  server.start();
  set(raft::DiskRoom::State::kFull);
  EXPECT_FALSE(server.lent);
}

TEST_F(SnapshotRoomTest, OfAServerWhoseSpanFindsNoRoomTheReserveIsLent) {
  put();
  begin_to_write();
  spans.no_room = true;
  set(raft::DiskRoom::State::kFull);
  EXPECT_TRUE(server.lent);
}

}  // namespace
}  // namespace holdfast::server
