#include "coordinator/server/alarm_log.h"

#include <gmock/gmock.h>

#include "coordinator/server/alarms.h"

namespace holdfast::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct AlarmLogTest : testing::Test {
  std::vector<std::string> look(std::vector<api::Alarm> alarms) {
    lines.clear();
    log.look(now, alarms);
    now += AlarmLog::kLookEvery;
    return lines;
  }
  std::vector<std::string> lines;
  AlarmLog log{[this](const std::string& line) { lines.push_back(line); }};
  Instant now{100s};
};

TEST_F(AlarmLogTest, IsSaidOnceWhateverItsSentenceCounts) {
  EXPECT_THAT(look({make_alarm("NO_SPACE", NodeId(2), "for 0 s")}),
              ElementsAre("alarm NO_SPACE: for 0 s"));
  EXPECT_THAT(look({make_alarm("NO_SPACE", NodeId(2), "for 1 s")}), IsEmpty());
}

TEST_F(AlarmLogTest, ItsEndIsSaidOnce) {
  look({make_alarm("NO_SPACE", NodeId(2), "full")});
  look({make_alarm("NO_SPACE", NodeId(2), "full")});
  for (int i = 0; i < 4; ++i) EXPECT_THAT(look({}), IsEmpty());
  EXPECT_THAT(look({}), ElementsAre("alarm NO_SPACE of node 2 has ended, after 1 s"));
  EXPECT_THAT(look({}), IsEmpty());
  EXPECT_THAT(look({make_alarm("NO_SPACE", NodeId(2), "again")}),
              ElementsAre("alarm NO_SPACE: again"));
}

TEST_F(AlarmLogTest, OneThatWasAwayForAMomentIsTheSame) {
  look({make_alarm("SLOW_DISK", NodeId(2), "slow")});
  look({});
  EXPECT_THAT(look({make_alarm("SLOW_DISK", NodeId(2), "slow")}), IsEmpty());
  for (int i = 0; i < 4; ++i) EXPECT_THAT(look({}), IsEmpty());
}

TEST_F(AlarmLogTest, ThoseOfTwoServersAreTwo) {
  look({make_alarm("PEER_REFUSED", NodeId(2), "node 2")});
  EXPECT_THAT(look({make_alarm("PEER_REFUSED", NodeId(3), "node 3")}),
              ElementsAre("alarm PEER_REFUSED: node 3"));
}

TEST_F(AlarmLogTest, OneAboutTheClusterNamesNoServer) {
  look({make_alarm("RESTORE_HOLD", NodeId(), "held")});
  now += AlarmLog::kQuiet;
  EXPECT_THAT(look({}), ElementsAre("alarm RESTORE_HOLD has ended"));
}

}  // namespace
}  // namespace holdfast::server
