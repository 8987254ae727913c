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

api::PeerConnection peer(int32_t node, bool connected, const std::string& last_error) {
  api::PeerConnection peer;
  peer.nodeId = node;
  peer.address = "h:74" + std::to_string(node) + "2";
  peer.connected = connected;
  peer.lastError = last_error;
  return peer;
}

// What makes `status --check` exit with 1 is said below the table.
TEST(StatusViews, EachServerThatItIsNotConnectedWithIsALine) {
  api::StatusResult status;
  status.connections = {peer(1, true, "reset"), peer(2, false, "Connection refused"),
                        peer(3, false, "")};
  EXPECT_TRUE(is_degraded(status));
  EXPECT_EQ(status_notes("h:7413", status),
            "h:7413: not connected with node 2 at h:7422: Connection refused\n"
            "h:7413: not connected with node 3 at h:7432\n");
}

TEST(StatusViews, WhoIsConnectedWithAllSaysNothing) {
  api::StatusResult status;
  status.connections = {peer(1, true, "reset")};
  EXPECT_FALSE(is_degraded(status));
  EXPECT_EQ(status_notes("h:7413", status), "");
}

TEST(StatusViews, AServerThatWasRemovedHasNoOtherRole) {
  api::StatusResult status;
  status.role = api::RaftRole::PRE_CANDIDATE;
  EXPECT_EQ(status_json("h:7413", status)["role"], "pre-candidate");
  status.nodeId = 4;
  status.alarms = {alarm("REMOVED", "it was removed at entry 7")};
  EXPECT_EQ(status_json("h:7413", status)["role"], "removed");
  Table table = status_table();
  add_status(table, "h:7413", status);
  EXPECT_THAT(table.text(), ::testing::HasSubstr("h:7413  removed  "));
}

TEST(StatusViews, WhoDidNotTakeOverIsNamedInTheWordsOfTheLeaderIfItIsThere) {
  EXPECT_EQ(why_not_taken_over(3, {}), "node 3 did not take over");
  api::StatusResult own, other, leader;
  own.nodeId = 3;
  other.nodeId = 2;
  other.connections = {peer(1, true, ""), peer(3, true, "")};
  leader.nodeId = 1;
  leader.role = api::RaftRole::LEADER;
  leader.connections = {peer(2, true, ""), peer(3, false, "Connection refused")};
  EXPECT_EQ(why_not_taken_over(3, {own, other}),
            "node 3 did not take over, though node 2 is connected with it: ask it for its status");
  const std::string dead =
      "node 3 did not take over: node 1, which leads, is not connected with node 3 at h:7432: "
      "Connection refused";
  EXPECT_EQ(why_not_taken_over(3, {other, leader}), dead);
  EXPECT_EQ(why_not_taken_over(3, {leader, other}), dead);
}

}  // namespace
}  // namespace holdfast::cli
