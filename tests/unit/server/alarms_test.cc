// The sentences of a slow disk, and of a copy or a snapshot for which there is no room. Those of a
// full one: room_test.cc.
#include "coordinator/server/alarms.h"

#include <gmock/gmock.h>

#include "tests/unit/server/host_fakes.h"

namespace holdfast::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<api::Alarm> alarms(const raft::LogWriteStats& log) {
  std::vector<api::Alarm> out;
  add_slow_disk_alarm(log, NodeId(3), 100, out);
  return out;
}

TEST(SlowDisk, AtTheLimitThereIsNoAlarm) {
  raft::LogWriteStats log;
  log.recent = {50, 5ms, 100ms, 900ms};
  log.under_way = 100ms;
  EXPECT_THAT(alarms(log), IsEmpty());
}

TEST(SlowDisk, TheSlowestHundredthRaisesIt) {
  raft::LogWriteStats log;
  log.recent = {50, 5ms, 101ms, 900ms};
  const auto raised = alarms(log);
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_EQ(raised[0].name, "SLOW_DISK");
  EXPECT_EQ(raised[0].message,
            "the slowest hundredth of the writes of the log of node 3 takes 101 ms (median 5 ms, "
            "longest 900 ms, 50 in the last minute); 100 ms are the limit");
}

TEST(SlowDisk, AWriteThatDoesNotEndRaisesItAtOnce) {
  raft::LogWriteStats log;
  log.under_way = 4s;
  const auto raised = alarms(log);
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_THAT(raised[0].message, HasSubstr("node 3 waits for its disk for 4000 ms"));
}

api::PeerConnection connection(int32_t node, bool connected) {
  api::PeerConnection out;
  out.nodeId = node;
  out.connected = connected;
  return out;
}

TEST(NoLeader, IsAnAlarmAfterAWhileThatSaysWhoIsConnected) {
  const std::vector<NodeId> voters = {NodeId(1), NodeId(2), NodeId(3)};
  std::vector<api::Alarm> out;
  add_no_leader_alarm(NodeId(1), kNoLeaderAlarm - 1ms, voters, {}, out);
  EXPECT_THAT(out, IsEmpty());
  add_no_leader_alarm(NodeId(1), 12s, voters, {connection(2, true), connection(3, false)}, out);
  ASSERT_THAT(out, SizeIs(1));
  EXPECT_EQ(out[0].name, "NO_LEADER");
  EXPECT_EQ(out[0].message,
            "node 1 knows no leader for 12 s; of the other voters it is connected with 2, but not "
            "with 3; without a majority of the voters nothing is written and no lock granted");
  add_no_leader_alarm(NodeId(1), kNoLeaderAlarm, voters, {connection(4, true)}, out);
  EXPECT_THAT(out.back().message,
              HasSubstr("it is connected with none of the other voters, 2, 3;"));
  add_no_leader_alarm(NodeId(1), kNoLeaderAlarm, voters, {connection(2, true), connection(3, true)},
                      out);
  EXPECT_THAT(out.back().message, HasSubstr("it is connected with all other voters, 2, 3;"));
  add_no_leader_alarm(NodeId(1), kNoLeaderAlarm, {NodeId(1)}, {}, out);
  EXPECT_THAT(out.back().message, HasSubstr("it is the only voter;"));
}

TEST(NoLeader, LessThanASecondIsNoTimeToSpeakOf) {
  const std::vector<NodeId> voters = {NodeId(1), NodeId(2)};
  EXPECT_THAT(no_leader_text(NodeId(1), 999ms, voters, {}),
              HasSubstr("node 1 knows no leader; it is"));
  EXPECT_THAT(no_leader_text(NodeId(1), 1s, voters, {}), HasSubstr("no leader for 1 s; it is"));
}

TEST(AddressMismatch, NamesBothAddresses) {
  raft::Member known;
  known.id = NodeId(2);
  known.peer_address = "b.example:7412";
  std::vector<api::Alarm> out;
  add_address_alarm(nullptr, "c.example:7412", out);
  add_address_alarm(&known, "b.example:7412", out);
  EXPECT_THAT(out, IsEmpty());
  add_address_alarm(&known, "c.example:7412", out);
  ASSERT_THAT(out, SizeIs(1));
  EXPECT_EQ(out[0].name, "ADDRESS_MISMATCH");
  EXPECT_EQ(out[0].nodeId, 2);
  EXPECT_THAT(out[0].message, HasSubstr("runs with the peer address c.example:7412"));
  EXPECT_THAT(out[0].message, HasSubstr("--peer_advertise=b.example:7412"));
}

raft::PeerLink link(uint64_t node, bool dialled, bool dials) {
  raft::PeerLink out;
  out.id = NodeId(node);
  out.control_up = dialled;
  out.inbound_up = dials;
  return out;
}

TEST(NotFound, IsWhomNobodyDialsThoughItHasOthersToTalkTo) {
  const NodeId self(1);
  EXPECT_TRUE(not_found_by_others(self, NodeId(), {link(2, true, false), link(3, false, false)}));
  EXPECT_TRUE(not_found_by_others(self, self, {})) << "one that leads itself alone";
}

TEST(NotFound, IsNotWhoIsDialledOrHearsALeader) {
  const NodeId self(1);
  EXPECT_FALSE(not_found_by_others(self, NodeId(), {link(2, true, false), link(3, false, true)}));
  EXPECT_FALSE(not_found_by_others(self, NodeId(2), {link(2, true, false)}));
}

TEST(NotFound, CannotBeSaidWhileTheOthersAreDown) {
  const NodeId self(1);
  EXPECT_FALSE(not_found_by_others(self, NodeId(), {link(2, false, false), link(3, false, false)}));
  EXPECT_FALSE(not_found_by_others(self, NodeId(), {}));
}

TEST(DiskStatus, TheWriteUnderWayCountsAsTheLongest) {
  raft::DiskRoom room;
  room.state = raft::DiskRoom::State::kLow;
  room.path = "/data";
  raft::LogWriteStats log;
  log.recent = {50, 5ms, 7ms, 9ms};
  log.under_way = 4s;
  const api::DiskStatus status = disk_status(room, log);
  EXPECT_EQ(status.state, "low");
  EXPECT_EQ(status.syncP99Us, 7'000);
  EXPECT_EQ(status.syncMaxUs, 4'000'000);
}

constexpr uint64_t kMiB = uint64_t{1} << 20;

/// A disk with 40 MiB free, of which 32 are to stay free.
class RoomAlarmTest : public ::testing::Test {
 protected:
  RoomAlarmTest() {
    fakes.host.emplace(HostFakes::options_of(NodeId(1)), fakes.clock, fakes.entropy,
                       fakes.transport, fakes.sink, fakes.machine);
    disk.path = "/data";
    disk.free_bytes = 40 * kMiB;
    disk.needed_bytes = 32 * kMiB;
    begin_with_snapshot(0);
  }
  /// As if another snapshot had been loaded.
  void begin_with_snapshot(uint64_t bytes) {
    room.reset();
    snapshots.emplace(*fakes.host, nullptr, "", bytes);
    room.emplace(*fakes.host, fakes.codec, *snapshots, ports());
    room->turn();
  }
  RoomPorts ports() {
    return {[this] { return disk; }, [](bool) {}, [](const raft::SnapshotRoom&) {},
            [] { return raft::LogRoom{}; }};
  }
  std::vector<api::Alarm> alarms() {
    std::vector<api::Alarm> out;
    add_room_alarms(*room, NodeId(1), out);
    return out;
  }

  HostFakes fakes;
  std::optional<Snapshots> snapshots;
  raft::DiskRoom disk;
  std::optional<Room> room;
};

TEST_F(RoomAlarmTest, ACopyTakesNothingOfWhatIsToStayFree) {
  EXPECT_EQ(room->no_room_for_copy(8 * kMiB), std::nullopt);
  EXPECT_THAT(alarms(), IsEmpty());
  const auto why = room->no_room_for_copy(8 * kMiB + 1);
  EXPECT_EQ(why,
            "a copy of the state takes 8 MiB, and /data has 40 MiB free, of which 32 MiB are to "
            "stay free");
  const auto raised = alarms();
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_EQ(raised[0].name, "COPY_REFUSED");
  EXPECT_EQ(raised[0].message, why);
}

TEST_F(RoomAlarmTest, WhatTheSnapshotLacksInTheReserveIsToStayFreeToo) {
  disk.log_bytes = kMiB;
  disk.reserve_bytes = kMiB;
  begin_with_snapshot(4 * kMiB);
  EXPECT_EQ(room->no_room_for_copy(4 * kMiB), std::nullopt);
  EXPECT_THAT(room->no_room_for_copy(4 * kMiB + 1).value_or(""), HasSubstr("of which 36 MiB are"));
  disk.reserve_bytes = 4 * kMiB;
  begin_with_snapshot(4 * kMiB);
  EXPECT_EQ(room->no_room_for_copy(8 * kMiB), std::nullopt) << "it is kept for it";
}

TEST_F(RoomAlarmTest, AServerThatLacksRoomForItsSnapshotIsFullAfterAWhile) {
  disk.state = raft::DiskRoom::State::kLow;
  disk.log_bytes = kMiB;
  begin_with_snapshot(20 * kMiB);
  fakes.clock.advance(Room::kOverdrawnLong - 1ms);
  room->turn();
  ASSERT_THAT(alarms(), SizeIs(1));
  EXPECT_EQ(alarms()[0].name, "LOW_SPACE");
  EXPECT_EQ(disk_status(room->disk(), {}).state, "low");
  fakes.clock.advance(1ms);
  const auto raised = alarms();
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_EQ(raised[0].name, "NO_SPACE");
  EXPECT_THAT(raised[0].message,
              HasSubstr("node 1: /data has 40 MiB free, 53 MiB are wanted, and there is no room "
                        "for a snapshot of what was written last, for 1 s"));
  EXPECT_EQ(disk_status(room->disk(), {}).state, "full");
  EXPECT_EQ(disk_status(room->disk(), {}).neededBytes, static_cast<int64_t>(53 * kMiB));
}

// The reserve takes it from what is free as soon as it can.
TEST_F(RoomAlarmTest, WhatTheReserveLacksIsWantedOnce) {
  disk.state = raft::DiskRoom::State::kFull;
  disk.missing = "the reserve";
  disk.short_bytes = 30 * kMiB;
  disk.reserve_short_bytes = 20 * kMiB;
  begin_with_snapshot(20 * kMiB);
  ASSERT_THAT(alarms(), SizeIs(1));
  EXPECT_THAT(alarms()[0].message, HasSubstr("62 MiB are wanted, and there is no room for the re"));
}

// Full is a disk until clearly more is free, and what is free then is not for copies.
TEST_F(RoomAlarmTest, OnAFullDiskThereIsRoomForNone) {
  disk.state = raft::DiskRoom::State::kFull;
  fakes.clock.advance(Room::kLookEvery);
  room->turn();
  EXPECT_NE(room->no_room_for_copy(1), std::nullopt);
}

TEST_F(RoomAlarmTest, TheAlarmGoesAWhileAfterTheLastOne) {
  room->no_room_for_copy(9 * kMiB);
  fakes.clock.advance(20s);
  room->no_room_for_copy(10 * kMiB);
  fakes.clock.advance(Room::kCopyAlarm - 1ms);
  const auto raised = alarms();
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_THAT(raised[0].message, HasSubstr("takes 10 MiB"));
  fakes.clock.advance(1ms);
  EXPECT_THAT(alarms(), IsEmpty());
}

// Else it would say for half a minute that nothing is free, whatever is.
TEST_F(RoomAlarmTest, TheAlarmOfACopyGoesAsSoonAsThereIsRoomForIt) {
  const auto look = [&](uint64_t free_bytes) {
    disk.free_bytes = free_bytes;
    fakes.clock.advance(Room::kLookEvery);
    room->turn();
  };
  look(0);
  room->no_room_for_copy(9 * kMiB);
  ASSERT_THAT(alarms(), SizeIs(1));
  EXPECT_EQ(alarms()[0].name, "COPY_REFUSED");
  look(41 * kMiB - 1);
  EXPECT_THAT(alarms(), SizeIs(1)) << "as much is not free yet beside what is to stay free";
  look(41 * kMiB);
  EXPECT_THAT(alarms(), IsEmpty());
  look(20 * kMiB);
  EXPECT_THAT(alarms(), IsEmpty()) << "nobody has been refused one since";
}

TEST_F(RoomAlarmTest, WhereNobodyLooksAtTheDiskThereIsRoom) {
  Room unwatched(*fakes.host, fakes.codec, *snapshots, {});
  EXPECT_EQ(unwatched.no_room_for_copy(1'000 * kMiB), std::nullopt);
}

TEST(RestoreHoldAlarm, HowLongFromNowIsForTheLeaderToSay) {
  EXPECT_THAT(restore_hold_alarm(59'001, true).message,
              testing::HasSubstr("no lock is granted for another 60 s, so that"));
  EXPECT_THAT(restore_hold_alarm(59'001, false).message,
              testing::HasSubstr("for up to 60 s after the last entry of the log (the leader"));
}

TEST(CatchingUp, AServerIsNotSaidToCatchUpWithItself) {
  EXPECT_EQ(catching_up_text(NodeId(2), NodeId(1)), "node 2 catches up with node 1, which leads");
  EXPECT_EQ(catching_up_text(NodeId(1), NodeId(1)),
            "node 1 leads, and has not applied yet all that earlier leaders may have committed");
}

}  // namespace
}  // namespace holdfast::server
