// What waits for the snapshots is bounded (ARCHITECTURE, "Durability"): a leader lets in no more
// writes than a quorum of them takes, and slows nothing that frees or keeps alive.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "raft/storage/log_format.h"
#include "tests/unit/server/spans_by_bytes.h"

namespace holdfast::server {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kPeriod = 600'000;
constexpr uint64_t kValue = 50'000;
/// Without a database, what may wait: three spans.
constexpr uint64_t kCap = 3 * kPeriod;
constexpr int kServers = 3;

/// Snapshots are written when the test says so, and not at all else.
class SlowedWritesTest : public testing::Test {
 protected:
  SlowedWritesTest() : cluster(kServers, options_of_test()) {
    for (int id = 1; id <= kServers; ++id) {
      TestServer& server = cluster.server(id);
      server.disk_room.emplace().free_bytes = uint64_t{1} << 40;
      restart_with(server, writer(id));
    }
    cluster.lead(1);
    client = cluster.client(1, "a", 600'000);
  }
  static EngineOptions options_of_test() {
    EngineOptions options = spans_by_bytes(kPeriod);
    options.max_pending_commands = 150;
    return options;
  }
  SlowSpanWriter& writer(int id) { return spans[static_cast<size_t>(id) - 1]; }
  const Snapshots& snapshots(int id) { return cluster.server(id).engine().snapshots(); }
  bool slowed() { return cluster.server(1).engine().host().pace.slowed(); }
  Call put(const std::string& path = "/k") {
    api::PutRequest request;
    request.path = path;
    request.value = std::string(kValue, 'v');
    const Call call = cluster.server(1).ask(&Engine::put, client.next(), request);
    cluster.settle();
    return call;
  }
  Call put_at(int server, Client& by, int64_t deadline_ms, const std::string& path = "/k") {
    api::PutRequest request;
    request.path = path;
    request.value = std::string(kValue, 'v');
    api::RequestContext context = by.id.value == 0 ? api::RequestContext() : by.next();
    context.deadlineMs = deadline_ms;
    return cluster.server(server).ask(&Engine::put, context, request);
  }
  /// What these have been given is on their disks, as often as that is needed.
  void write(const std::vector<int>& servers) {
    for (const int id : servers) {
      while (cluster.server(id).up() && writer(id).under_way) {
        snapshot::WrittenSpan written;
        written.durable = true;
        writer(id).finish(written);
        cluster.settle();
      }
    }
    cluster.advance(1ms);
  }
  /// Much is put, while these servers' disks keep up, and the others' do nothing.
  void put_much(const std::vector<int>& keep_up) {
    for (uint64_t bytes = 0; bytes < kCap && !slowed(); bytes += kValue) {
      ASSERT_EQ(put().outcome(), "OK");
      cluster.advance(10ms);
      write(keep_up);
    }
  }

  std::array<SlowSpanWriter, kServers> spans;
  TestCluster cluster;
  Client client;
};

TEST_F(SlowedWritesTest, ALeaderBehindLetsInNoMoreThanALittle) {
  put_much({2, 3});
  ASSERT_TRUE(slowed());
  EXPECT_LE(snapshots(1).waiting_bytes(), kCap);
  std::vector<Call> calls;
  const uint64_t before = snapshots(1).waiting_bytes();
  for (int i = 0; i < 200; ++i) {
    calls.push_back(put());
    cluster.advance(5ms);
  }
  EXPECT_EQ(calls[10].outcome(), "OK") << "it has waited";
  EXPECT_THAT(calls.back().error().message, HasSubstr("writes are slowed"));
  const auto more = static_cast<double>(snapshots(1).waiting_bytes() - before);
  EXPECT_GT(more, WritePace::kLeastBytes * 0.8) << "the cluster goes on";
  EXPECT_LT(more, kCap / 6 + WritePace::kLeastBytes * 1.2) << "and the cap is gone beyond slowly";
}

TEST_F(SlowedWritesTest, TheyWaitInOrderAndGoOnWhenTheSnapshotIsWritten) {
  put_much({2, 3});
  std::vector<Call> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(put());
  ASSERT_EQ(calls.back().outcome(), "not answered");
  write({1, 2, 3});
  EXPECT_FALSE(slowed());
  int64_t revision = 0;
  for (const Call& call : calls) {
    const auto result = call.result<api::PutResult>();
    EXPECT_GT(result.revision, revision);
    revision = result.revision;
  }
}

TEST_F(SlowedWritesTest, WhatFreesOrKeepsAliveIsNotSlowed) {
  const Call held = cluster.server(1).acquire(client.next(), acquire_of("/lock"));
  cluster.settle();
  const int64_t holder = held.result<api::AcquireResult>().holderId;
  put_much({2, 3});
  std::vector<Call> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(put());
  ASSERT_EQ(calls.back().outcome(), "not answered");
  const Call alive = cluster.server(1).keep_alive(client.context());
  const Call released = cluster.server(1).release(client.next(), "/lock", holder);
  api::RemoveRequest request;
  request.path = "/k";
  const Call removed = cluster.server(1).ask(&Engine::remove, client.next(), request);
  cluster.advance(5ms);
  EXPECT_EQ(alive.outcome(), "OK");
  EXPECT_EQ(released.outcome(), "OK");
  EXPECT_EQ(removed.outcome(), "OK");
  EXPECT_EQ(calls.back().outcome(), "not answered");
}

// snapshots.md: "They wait in order".
TEST_F(SlowedWritesTest, WhatComesThroughAFollowerLeavesRoomForTheLeadersOwn) {
  Client other;  // none: each put stands alone
  put_much({2, 3});
  std::vector<Call> forwarded;
  for (int i = 0; i < 20; ++i) forwarded.push_back(put_at(2, other, 60'000));
  cluster.settle();
  const Call own = put_at(1, other, 15'000);
  const size_t before = forwarded.size();
  for (int i = 0; i < 550; ++i) {  // 2 MB a second, twice what is let in
    if (i % 4 != 3) cluster.advance(20ms);
    forwarded.push_back(put_at(2, other, 60'000));
    cluster.advance(5ms);
  }
  size_t later = 0;
  for (size_t i = before; i < forwarded.size(); ++i)
    later += forwarded[i].outcome() == "OK" ? 1 : 0;
  EXPECT_EQ(own.outcome(), "OK") << later << " that were sent later are done";
}

TEST_F(SlowedWritesTest, WhatTheLeadersOwnPutLeavesRoomForWhatComesThroughAFollower) {
  Client other;
  put_much({2, 3});
  for (int i = 0; i < 20; ++i) put_at(1, other, 60'000);
  cluster.settle();
  const Call forwarded = put_at(2, other, 15'000);
  for (int i = 0; i < 550; ++i) {  // 2 MB a second, twice what is let in
    if (i % 4 != 3) cluster.advance(20ms);
    put_at(1, other, 60'000);
    cluster.advance(5ms);
  }
  EXPECT_EQ(forwarded.outcome(), "OK") << forwarded.error().message;
}

// snapshots.md: "What frees or keeps alive is not slowed".
TEST_F(SlowedWritesTest, AFullQueueOfWhatIsSlowedRefusesNothingThatFrees) {
  const Call held = cluster.server(1).acquire(client.next(), acquire_of("/lock"));
  cluster.settle();
  const int64_t holder = held.result<api::AcquireResult>().holderId;
  put_much({2, 3});
  for (int i = 0; i < 200; ++i) put();
  const Call released = cluster.server(1).release(client.next(), "/lock", holder);
  cluster.advance(5ms);
  EXPECT_EQ(released.outcome(), "OK") << released.error().message;
}

TEST_F(SlowedWritesTest, AFullQueueOfWhatOthersForwardRefusesNothingThatFrees) {
  Client other;
  Client third = cluster.client(3, "c", 600'000);
  std::vector<int64_t> holders;
  for (const char* path : {"/a", "/b", "/c"}) {
    const Call held = cluster.server(3).acquire(third.next(), acquire_of(path));
    cluster.settle();
    holders.push_back(held.result<api::AcquireResult>().holderId);
  }
  put_much({2, 3});
  for (const int server : {2, 3}) {
    for (int i = 0; i < 140; ++i) put_at(server, other, 60'000);
    cluster.settle();
  }
  std::vector<Call> released;
  released.push_back(cluster.server(3).release(third.next(), "/a", holders[0]));
  released.push_back(cluster.server(3).release(third.next(), "/b", holders[1]));
  released.push_back(cluster.server(3).release(third.next(), "/c", holders[2]));
  cluster.advance(5ms);
  for (const Call& call : released) {
    EXPECT_EQ(call.outcome(), "OK") << call.error().message;
  }
}

// snapshots.md: "within their deadlines".
TEST_F(SlowedWritesTest, WhatIsGivenUpIsNotWrittenForNobody) {
  put_much({2, 3});
  Client nobody;
  std::vector<Call> forwarded;
  for (int i = 0; i < 100; ++i) forwarded.push_back(put_at(2, nobody, 500));
  cluster.settle();
  cluster.advance(1s);
  EXPECT_NE(forwarded.back().outcome(), "OUTCOME_UNKNOWN") << "it was not even proposed";
  const Call alive = put_at(2, nobody, 3'000, "/alive");
  cluster.settle();
  for (int i = 0; i < 700; ++i) cluster.advance(5ms);
  EXPECT_EQ(alive.outcome(), "OK") << "what nobody waits for was before it";
}

TEST_F(SlowedWritesTest, OneFollowerThatIsBehindSlowsNobody) {
  put_much({1, 2});
  cluster.advance(2s);
  EXPECT_GT(snapshots(3).behind(), WritePace::kSlowedFrom);
  EXPECT_FALSE(slowed());
}

TEST_F(SlowedWritesTest, TwoFollowersThatAreBehindSlowTheLeader) {
  put_much({1});
  EXPECT_TRUE(slowed());
  EXPECT_LT(snapshots(1).behind(), 0.5);
  write({2});
  cluster.advance(Room::kReportEvery);
  EXPECT_FALSE(slowed()) << "a quorum keeps up";
}

TEST_F(SlowedWritesTest, WhatNoServerCanMeanIsTakenForWhatItCan) {
  PeerCodec codec;
  for (const int32_t behind : {std::numeric_limits<int32_t>::min(), -1}) {
    for (const uint64_t from : {2U, 3U}) {
      peer::RoomReport message;
      message.room = true;
      message.behind = behind;
      cluster.server(1).engine().on_app(NodeId(from), static_cast<uint8_t>(PeerKind::kRoomReport),
                                        codec.encode(message));
    }
    cluster.settle();
    EXPECT_FALSE(slowed());
    EXPECT_EQ(put().outcome(), "OK");
  }
}

TEST_F(SlowedWritesTest, WhoIsDownIsNotReckonedWith) {
  cluster.server(3).crash();
  cluster.advance(2 * Room::kFresh);
  put();
  EXPECT_FALSE(slowed()) << "two keep up";
  put_much({1});
  EXPECT_TRUE(slowed()) << "of those that are left one is behind, and both are needed";
}

// It stores the log, of which no snapshot is written any more.
TEST_F(SlowedWritesTest, NorIsAQuarantinedServerBehindWithWhatItsLogTakes) {
  cluster.server(2).crash();
  cluster.server(2).quarantine = "after entry 7 it had another state";
  cluster.server(2).start();
  cluster.server(3).crash();
  cluster.advance(2 * Room::kFresh);
  cluster.server(2).log_room.batches = kCap / raft::kSectorBytes;
  cluster.advance(2 * Room::kReportEvery);
  EXPECT_EQ(snapshots(2).waiting_bytes(), 0U);
  EXPECT_FALSE(slowed());
  EXPECT_EQ(put().outcome(), "OK");
}

TEST_F(SlowedWritesTest, ALeaderThatNoQuorumTellsAnythingIsNotSlowedForThat) {
  cluster.hold([](const Parcel& parcel) { return parcel.is(PeerKind::kRoomReport); });
  cluster.advance(2 * Room::kFresh);
  ASSERT_TRUE(cluster.server(1).serving());
  EXPECT_FALSE(slowed());
}

TEST_F(SlowedWritesTest, AnAlarmSaysSoForAWhile) {
  const Room& room = cluster.server(1).engine().room();
  EXPECT_FALSE(room.slowed());
  put_much({2, 3});
  ASSERT_TRUE(room.slowed());
  EXPECT_THAT(*room.slowed(), HasSubstr("of the log wait for its own, and 1.7 MiB may"));
  cluster.advance(1s);
  EXPECT_GE(room.stats().slowed, 900ms);
  write({1});
  cluster.advance(1s);
  ASSERT_TRUE(room.slowed());
  EXPECT_THAT(*room.slowed(), HasSubstr("has slowed writes"));
  cluster.advance(Room::kSlowedAlarm);
  EXPECT_FALSE(room.slowed());
}

}  // namespace
}  // namespace holdfast::server
