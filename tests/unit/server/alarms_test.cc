// The sentences of a slow disk. Those of a full one: room_test.cc.
#include "coordinator/server/alarms.h"

#include <gmock/gmock.h>

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

}  // namespace
}  // namespace holdfast::server
