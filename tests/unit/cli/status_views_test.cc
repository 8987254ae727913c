// What `holdfast status` says of one server, besides its row.
#include "clients/cli/status_views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace holdfast::cli {
namespace {

constexpr int64_t kMiB = 1 << 20;

api::StatusResult receiving(int64_t received_bytes, int64_t total_bytes) {
  api::StateTransfer transfer;
  transfer.fromNode = 1;
  transfer.receivedBytes = received_bytes;
  transfer.totalBytes = total_bytes;
  api::StatusResult status;
  status.__set_receiving(transfer);
  return status;
}

api::Alarm alarm(const std::string& name, const std::string& message) {
  api::Alarm alarm;
  alarm.name = name;
  alarm.message = message;
  return alarm;
}

TEST(StatusViews, AServerThatReceivesAStateSaysHowMuchOfItHasCome) {
  const auto status = receiving(34 * kMiB, 117 * kMiB);
  EXPECT_EQ(status_notes("h:7413", status),
            "h:7413: receiving the state of node 1: 34 MiB of 117 MiB\n");
  EXPECT_EQ(status_json("h:7413", status)["receiving"],
            nlohmann::json(
                {{"from_node", 1}, {"received_bytes", 34 * kMiB}, {"total_bytes", 117 * kMiB}}));
}

TEST(StatusViews, AServerThatHasAllOfAStateSaysWhatItDoesWithIt) {
  EXPECT_EQ(status_notes("h:7413", receiving(117 * kMiB, 117 * kMiB)),
            "h:7413: verifying and loading the state of node 1: 117 MiB\n");
}

TEST(StatusViews, HowLargeItIsNobodyKnowsBeforeTheFirstPiece) {
  EXPECT_EQ(status_notes("h:7413", receiving(0, 0)), "h:7413: waiting for the state of node 1\n");
}

// An older server says nothing of it either.
TEST(StatusViews, AServerThatReceivesNothingSaysNothing) {
  EXPECT_EQ(status_notes("h:7413", {}), "");
  const auto json = status_json("h:7413", {});
  ASSERT_TRUE(json.contains("receiving"));
  EXPECT_TRUE(json["receiving"].is_null());
}

TEST(StatusViews, EachAlarmIsALine) {
  auto status = receiving(kMiB, 2 * kMiB);
  status.alarms = {alarm("NO_LEADER", "nobody leads"), alarm("SLOW_DISK", "it takes long")};
  EXPECT_EQ(status_notes("h:7413", status),
            "h:7413: NO_LEADER: nobody leads\n"
            "h:7413: SLOW_DISK: it takes long\n"
            "h:7413: receiving the state of node 1: 1 MiB of 2 MiB\n");
}

TEST(StatusViews, TheSentenceOfAQuarantineHasTheProgressInItAlready) {
  auto status = receiving(kMiB, 2 * kMiB);
  status.alarms = {alarm("QUARANTINED", "it is being rebuilt: receiving the state of node 1")};
  EXPECT_EQ(status_notes("h:7413", status),
            "h:7413: QUARANTINED: it is being rebuilt: receiving the state of node 1\n");
}

}  // namespace
}  // namespace holdfast::cli
