#include "coordinator/server/wait_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace holdfast::server {
namespace {

using testing::ElementsAre;

TEST(WaitLog, SaysWhatIsWaitedForOnceAndThenFromTimeToTime) {
  std::vector<std::string> said;
  WaitLog log([&said](const std::string& line) { said.push_back(line); });
  Instant now{};
  for (int second = 0; second < 25; ++second) {
    log.waits(now, "for node 3");
    now += 1s;
  }
  EXPECT_THAT(said, ElementsAre("for node 3", "for node 3", "for node 3"));
}

TEST(WaitLog, SaysAtOnceWhatHasChanged) {
  std::vector<std::string> said;
  WaitLog log([&said](const std::string& line) { said.push_back(line); });
  log.waits(Instant{}, "for nodes 2, 3");
  log.waits(Instant{}, "for node 3");
  log.waits(Instant{}, "for nodes 2, 3");
  EXPECT_THAT(said, ElementsAre("for nodes 2, 3", "for node 3", "for nodes 2, 3"));
}

}  // namespace
}  // namespace holdfast::server
