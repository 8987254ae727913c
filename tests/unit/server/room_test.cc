// Full disks (PROMISE 12): what a leader admits, whom it hands over to, and what a full follower
// takes.
#include "coordinator/server/room.h"

#include <gmock/gmock.h>

#include "session/session_table.h"
#include "tests/unit/server/test_cluster.h"
#include "tests/unit/server/test_span_writer.h"

namespace holdfast::server {
namespace {

using ::testing::HasSubstr;
using State = raft::DiskRoom::State;

raft::DiskRoom disk_of(State state) {
  raft::DiskRoom room;
  room.state = state;
  room.path = "/data";
  room.free_bytes = uint64_t{state == State::kOk ? 300U : 3U} << 20;
  room.needed_bytes = uint64_t{32} << 20;
  room.missing = "the reserve";
  return room;
}

// The table, as PROMISE 12 has it.
TEST(Admission, WhatFreesOrKeepsAliveIsAdmittedAndNothingElse) {
  using enum command::CommandKind::type;
  const std::set<command::CommandKind::type> admitted = {
      RELEASE,    RELEASE_ALL, CANCEL_ACQUIRE, CLOSE_SESSION,  EXPIRE_SESSIONS,     MARK_LATE,
      RENEW_LATE, TICK,        REVOKE_LOCK,    REVOKE_SESSION, ACKNOWLEDGE_NOTICES, REMOVE_KEY};
  for (const auto& [number, name] : command::_CommandKind_VALUES_TO_NAMES) {
    const auto kind = static_cast<command::CommandKind::type>(number);
    EXPECT_EQ(frees_or_keeps_alive(kind), admitted.contains(kind)) << name;
  }
}

class RoomTest : public ::testing::Test {
 protected:
  explicit RoomTest(int servers = 3) : size(servers), cluster(servers) {
    for (int id = 1; id <= size; ++id) {
      TestServer& server = cluster.server(id);
      server.crash();
      server.disk_room = disk_of(State::kOk);
      server.start();
    }
    cluster.lead(1);
    client = cluster.client(1, "a");
  }
  void set(int id, State state) {
    cluster.server(id).disk_room = disk_of(state);
    cluster.advance(200ms);
  }
  void set_all(State state) {
    for (int id = 1; id <= size; ++id) cluster.server(id).disk_room = disk_of(state);
    cluster.advance(200ms);
  }
  Call put(int server, const std::string& path = "/k") {
    api::PutRequest request;
    request.path = path;
    request.value = "v";
    const Call call = cluster.server(server).ask(&Engine::put, client.next(), request);
    cluster.settle();
    return call;
  }
  Call remove(int server, const std::string& path = "/k") {
    api::RemoveRequest request;
    request.path = path;
    const Call call = cluster.server(server).ask(&Engine::remove, client.next(), request);
    cluster.settle();
    return call;
  }
  Call transfer(int to) {
    api::TransferLeadershipRequest request;
    request.nodeId = to;
    const Call call =
        cluster.server(1).ask(&Engine::transfer_leadership, api::RequestContext{}, request);
    cluster.settle();
    return call;
  }
  int leader() { return cluster.leader() == nullptr ? 0 : cluster.leader()->number(); }

  const int size;
  TestCluster cluster;
  Client client;
};

/// Server 1 is alone, writes snapshots, and has a disk for its log of this many bytes.
class RenewedReserveTest : public RoomTest {
 protected:
  RenewedReserveTest() : RoomTest(1) {
    cluster.options.snapshot_log_bytes = kSegment;  // as by default
    server.crash();
    server.snapshots.spans = &spans;
    server.snapshots.cut_log = [this](LogIndex through) { return cut_through = through; };
    server.log_room.segment_bytes = kSegment;
    server.start();
    cluster.lead(1);
    client = cluster.client(1, "b");
  }
  static constexpr uint64_t kSegment = 64 << 10;
  TestServer& server = cluster.server(1);
  PromptSpanWriter spans;
  LogIndex cut_through{0};
};

/// Server 1 leads; its disk is called ok, but keeps nothing for the snapshot.
class OverdrawnTest : public RoomTest {
 protected:
  OverdrawnTest() {
    TestServer& server = cluster.server(1);
    server.crash();
    server.snapshots.spans = &spans;
    server.disk_room->log_bytes = 8 * kMiB;
    server.start();
    cluster.lead(1);
    client = cluster.client(1, "b");
    disk().free_bytes = 300 * kMiB;
  }
  raft::DiskRoom& disk() { return *cluster.server(1).disk_room; }
  const Room& room() { return cluster.server(1).engine().room(); }
  void write_database(uint64_t bytes) {
    disk().state = State::kLow;
    cluster.advance(Room::kLookEvery);
    disk().state = State::kOk;
    put(1);
    cluster.advance(Room::kLookEvery);
    snapshot::WrittenSpan written;
    written.durable = true;
    written.database_bytes = bytes;
    spans.finish(written);
    cluster.settle();
  }
  static constexpr uint64_t kMiB = 1 << 20;
  SlowSpanWriter spans;
};

class FiveRoomTest : public RoomTest {
 protected:
  FiveRoomTest() : RoomTest(5) {}
};

TEST_F(RoomTest, WhenAllAreFullWhatNeedsRoomIsRefusedAndNotApplied) {
  ASSERT_EQ(put(1).outcome(), "OK");
  set_all(State::kFull);
  const api::HoldfastError error = put(1).error();
  EXPECT_EQ(error.code, api::ErrorCode::NO_SPACE);
  EXPECT_EQ(error.applied, api::Applied::NO);
  EXPECT_TRUE(error.retryable);
  EXPECT_GT(error.retryAfterMs, 0);
  EXPECT_THAT(error.message, HasSubstr("/data has 3 MiB free, and 32 MiB are wanted"));
  EXPECT_EQ(remove(1).outcome(), "OK");
}

TEST_F(RoomTest, AForwardedCommandIsRefusedAlike) {
  set_all(State::kFull);
  EXPECT_EQ(put(2).error().code, api::ErrorCode::NO_SPACE);
}

TEST_F(RoomTest, ReleasesAndRenewalsGoOnWhileAllAreFull) {
  const Call acquired = cluster.server(1).acquire(client.next(), acquire_of("/job"));
  cluster.settle();
  const auto held = acquired.result<api::AcquireResult>();
  set_all(State::kFull);
  // Beyond its TTL, with renewals alone.
  for (int i = 0; i < 12; ++i) {
    const Call renewed = cluster.server(1).keep_alive(client.context());
    cluster.advance(1s);
    EXPECT_GT(renewed.result<api::KeepAliveResult>().leaseMs, 0);
  }
  EXPECT_EQ(cluster.server(1).engine().machine().sessions().size(), 1U);
  const Call released = cluster.server(1).release(client.next(), "/job", held.holderId);
  cluster.settle();
  EXPECT_EQ(released.outcome(), "OK");
}

TEST_F(RoomTest, WhoIsSilentExpiresWhileAllAreFull) {
  set_all(State::kFull);
  cluster.advance(30s);
  EXPECT_EQ(cluster.server(1).engine().machine().sessions().size(), 0U);
}

TEST_F(RoomTest, ServiceReturnsByItself) {
  set_all(State::kFull);
  EXPECT_EQ(put(1).error().code, api::ErrorCode::NO_SPACE);
  set_all(State::kOk);
  cluster.advance(1s);
  EXPECT_EQ(put(leader()).outcome(), "OK");
}

TEST_F(RoomTest, AFullFollowerStopsNothing) {
  set(2, State::kFull);
  EXPECT_EQ(put(1).outcome(), "OK");
  EXPECT_EQ(leader(), 1);
}

TEST_F(RoomTest, WithoutAQuorumThatHasRoomTheLeaderRefusesThoughItHas) {
  set(2, State::kFull);
  set(3, State::kFull);
  EXPECT_THAT(put(1).error().message, HasSubstr("no quorum of the servers has room"));
  EXPECT_EQ(leader(), 1) << "the others are no better";
  set(3, State::kOk);
  EXPECT_EQ(put(1).outcome(), "OK");
}

TEST_F(RoomTest, AServerThatIsGoneHasNoRoom) {
  set(2, State::kFull);
  cluster.server(3).crash();
  cluster.advance(4s);
  EXPECT_EQ(put(1).error().code, api::ErrorCode::NO_SPACE);
}

TEST_F(RoomTest, AFullLeaderHandsOverAndDoesNotComeBack) {
  set(1, State::kFull);
  ASSERT_TRUE(cluster.until([this] { return leader() > 1; }));
  EXPECT_EQ(put(1).outcome(), "OK");
  cluster.advance(10s);
  EXPECT_NE(leader(), 1);
}

TEST_F(OverdrawnTest, ALeaderThatLacksRoomForItsSnapshotHandsOverAndDoesNotComeBack) {
  write_database(280 * kMiB);
  EXPECT_THAT(put(1).error().message, HasSubstr("/data has 300 MiB free, and 320 MiB are wanted"));
  cluster.advance(Room::kOverdrawnLong - 50ms);
  EXPECT_EQ(leader(), 1);
  EXPECT_EQ(room().stats().hand_overs, 0U);
  EXPECT_FALSE(room().disk().full());
  cluster.advance(200ms);
  EXPECT_GT(leader(), 1);
  EXPECT_TRUE(room().disk().full());
  EXPECT_EQ(put(1).outcome(), "OK");
  cluster.advance(10s);
  EXPECT_NE(leader(), 1);
}

// As when the reserve has to grow first. What is written wants room once and not twice.
TEST_F(OverdrawnTest, WhatLacksRoomForAMomentIsWrittenAndChangesNoLeader) {
  write_database(200 * kMiB);
  ASSERT_EQ(put(1).outcome(), "OK");
  ASSERT_FALSE(spans.under_way);
  disk().free_bytes = 200 * kMiB;
  cluster.advance(Room::kOverdrawnLong / 2);
  EXPECT_TRUE(room().full());
  EXPECT_TRUE(spans.under_way);
  disk().free_bytes = 300 * kMiB;
  cluster.advance(10s);
  EXPECT_EQ(leader(), 1);
  EXPECT_EQ(room().stats().hand_overs, 0U);
}

// What a full disk has lent or given up of the reserve is to be taken again first.
TEST_F(OverdrawnTest, AfterAFullDiskTheReserveHasTimeToGrow) {
  write_database(200 * kMiB);
  for (const int id : {2, 3, 1}) set(id, State::kFull);
  cluster.advance(5s);
  ASSERT_EQ(leader(), 1);
  disk() = disk_of(State::kOk);
  disk().free_bytes = 200 * kMiB;
  cluster.advance(Room::kLookEvery);
  for (const int id : {2, 3}) cluster.server(id).disk_room = disk_of(State::kOk);
  cluster.advance(Room::kOverdrawnLong / 2);
  EXPECT_TRUE(room().full());
  EXPECT_EQ(room().stats().hand_overs, 0U);
  cluster.advance(Room::kOverdrawnLong);
  EXPECT_GT(leader(), 1);
}

TEST_F(RoomTest, WithoutAQuorumThatHasRoomNobodyIsBetterOff) {
  set(2, State::kFull);
  set(1, State::kFull);
  cluster.advance(10s);
  EXPECT_EQ(leader(), 1);
}

TEST_F(FiveRoomTest, AFullServerIsNoSuccessor) {
  set(2, State::kFull);
  set(3, State::kFull);
  // The furthest of all, but for the two that have room.
  set(1, State::kFull);
  cluster.advance(10s);
  EXPECT_EQ(leader(), 1) << "two of five are no quorum";
  set(3, State::kOk);
  ASSERT_TRUE(cluster.until([this] { return leader() > 1; }));
  EXPECT_NE(leader(), 2);
}

TEST_F(RoomTest, LeadershipIsNotGivenToOneThatWouldHandItOnAtOnce) {
  set(2, State::kFull);
  EXPECT_THAT(transfer(2).error().message,
              HasSubstr("node 2 has no room on its disk and would hand leadership on at once"));
  EXPECT_EQ(leader(), 1);
  set_all(State::kFull);
  transfer(2);
  EXPECT_TRUE(cluster.until([this] { return leader() == 2; })) << "none is better off";
}

TEST_F(RoomTest, LeadershipRestsWhenAllAreFull) {
  set_all(State::kFull);
  const Term before = cluster.leader()->engine().host().soft.term;
  cluster.advance(20s);
  EXPECT_EQ(cluster.leader()->engine().host().soft.term, before);
}

TEST_F(RoomTest, AFullFollowerTakesEntriesAsLongAsItsLogHasRoom) {
  set(2, State::kFull);
  ASSERT_EQ(put(1).outcome(), "OK");
  EXPECT_EQ(cluster.server(2).engine().host().applied, cluster.server(1).engine().host().applied);
  cluster.server(2).log_room.bytes = 1'500;
  ASSERT_EQ(put(1).outcome(), "OK");
  cluster.advance(2s);
  EXPECT_LT(cluster.server(2).engine().host().applied, cluster.server(1).engine().host().applied);
  EXPECT_GT(cluster.server(2).engine().gate().lost(), 0U);
  EXPECT_EQ(leader(), 1);
  cluster.server(2).log_room.bytes = 1 << 20;
  set(2, State::kOk);
  cluster.advance(2s);
  EXPECT_EQ(cluster.server(2).engine().host().applied, cluster.server(1).engine().host().applied);
}

// A disk that runs full between two looks: what was admitted is all that fits.
TEST_F(RoomTest, WhatTheLogHasNoRoomForWaitsUntilThereIsSome) {
  ASSERT_EQ(put(1).outcome(), "OK");
  cluster.server(1).log_room.bytes = 4'000;
  const Call waiting = put(1, "/waits");
  const Call forwarded = put(2, "/from-another");
  cluster.advance(300ms);
  EXPECT_FALSE(waiting.answered());
  EXPECT_FALSE(forwarded.answered());
  EXPECT_EQ(remove(1).outcome(), "OK") << "what frees has the reserve";
  cluster.server(1).log_room.bytes = 1 << 20;
  cluster.advance(100ms);
  EXPECT_EQ(waiting.outcome(), "OK");
  EXPECT_EQ(forwarded.outcome(), "OK");
  EXPECT_EQ(leader(), 1);
}

// What came first stays first, though there was room for it and none for the other while leadership
// was being handed over.
TEST_F(RoomTest, WhatAHandOverPutsOffStaysBeforeWhatCameLater) {
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kTimeoutNow); });
  api::TransferLeadershipRequest transfer;
  transfer.nodeId = 2;
  cluster.server(1).ask(&Engine::transfer_leadership, api::RequestContext{}, transfer);
  cluster.settle();
  const Duration lasts = cluster.server(1).engine().node().core().config().election_timeout_max;
  cluster.advance(lasts - 10ms);
  api::PutRequest request;
  request.value = std::string(400, 'v');
  const auto put_large = [&](const std::string& path) {
    request.path = path;
    return cluster.server(1).ask(&Engine::put, client.next(), request);
  };
  const Call first = put_large("/first");
  const Call second = put_large("/second");
  cluster.server(1).log_room.bytes = 6'000;  // of one of them
  cluster.clock.advance(20ms);               // the hand-over comes to nothing in this turn
  cluster.server(1).turn();
  cluster.server(1).log_room.bytes = 1 << 20;
  cluster.drop_held();
  cluster.advance(1s);
  EXPECT_LT(first.result<api::PutResult>().revision, second.result<api::PutResult>().revision);
}

// The next leader has room: what cannot be proposed meanwhile is for that one to do.
TEST_F(RoomTest, WhatComesWhileAFullLeaderHandsOverIsNotRefused) {
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kTimeoutNow); });
  set(1, State::kFull);
  ASSERT_TRUE(cluster.server(1).engine().node().core().transferring());
  const Call waiting = put(1);
  EXPECT_FALSE(waiting.answered());
  cluster.release();
  ASSERT_TRUE(cluster.until([&] { return waiting.answered(); }));
  EXPECT_EQ(waiting.outcome(), "OK");
  EXPECT_GT(leader(), 1);
}

TEST_F(RoomTest, WhatWaitsIsRefusedOnceTheDiskIsFull) {
  cluster.server(1).log_room.bytes = 4'000;
  const Call waiting = put(1);
  cluster.advance(50ms);
  ASSERT_FALSE(waiting.answered());
  set_all(State::kFull);
  EXPECT_EQ(waiting.error().code, api::ErrorCode::NO_SPACE);
  EXPECT_EQ(waiting.error().applied, api::Applied::NO);
}

// Entries that come one by one take a sector each, which is more than their bytes.
TEST_F(RenewedReserveTest, WhatFreesGetsBackTheSegmentsThatASnapshotCovers) {
  set_all(State::kFull);
  const LogIndex before = server.engine().host().applied;
  for (uint64_t used = 0; used < kSegment; used += 512) {
    server.log_room.bytes = (1 << 20) - used;
    ASSERT_EQ(remove(1).error().code, api::ErrorCode::NO_KEY);
    cluster.advance(20ms);
  }
  EXPECT_GT(cut_through, before) << "else the segments in hand are all that there ever are";
}

TEST_F(RoomTest, WhenTheReserveIsUsedUpNothingIsAdmittedAndNobodyLosesHisSession) {
  ASSERT_EQ(put(1).outcome(), "OK");
  set_all(State::kFull);
  for (int id = 1; id <= size; ++id) cluster.server(id).log_room.bytes = 1'100;
  const api::HoldfastError error = remove(1).error();
  EXPECT_EQ(error.code, api::ErrorCode::NO_SPACE);
  EXPECT_EQ(error.applied, api::Applied::NO);
  EXPECT_THAT(error.message, HasSubstr("the log's reserve is used up"));
  const uint64_t proposed = cluster.server(1).engine().command_stats().proposed;
  // Long after the client's session is late and overdue.
  cluster.advance(30s);
  EXPECT_EQ(cluster.server(1).engine().command_stats().proposed, proposed);
  EXPECT_EQ(cluster.server(1).engine().machine().sessions().size(), 1U);
  for (int id = 1; id <= size; ++id) cluster.server(id).log_room.bytes = 1 << 20;
  cluster.advance(10s);
  EXPECT_EQ(cluster.server(leader()).engine().machine().sessions().size(), 0U)
      << "who was silent for so long expires after all";
}

}  // namespace
}  // namespace holdfast::server
