// Servers that log the same do not all write their snapshots at the same time.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/server/spans_by_bytes.h"

namespace holdfast::server {
namespace {

constexpr uint64_t kPeriod = 60'000;
constexpr uint64_t kValue = 1'000;
constexpr uint64_t kServers = 3;

class SnapshotTurnsTest : public testing::Test {
 protected:
  SnapshotTurnsTest() : cluster(kServers, spans_by_bytes(kPeriod)) {
    for (int id = 1; id <= 3; ++id) {
      restart_with(cluster.server(id), spans[static_cast<size_t>(id) - 1]);
    }
    cluster.lead(1);
    client = cluster.client(1, "a", 600'000);
  }
  void put() {
    api::PutRequest request;
    request.path = "/k";
    request.value = std::string(kValue, 'v');
    const Call call = cluster.server(1).ask(&Engine::put, client.next(), request);
    cluster.settle();
    ASSERT_EQ(call.outcome(), "OK");
  }
  /// The servers that have begun since they were asked last, whose disk is done with it.
  std::vector<int> begun() {
    std::vector<int> servers;
    for (size_t i = 0; i < kServers; ++i) {
      if (!spans[i].under_way) continue;
      servers.push_back(static_cast<int>(i) + 1);
      snapshot::WrittenSpan written;
      written.durable = true;
      spans[i].finish(written);
    }
    cluster.settle();
    return servers;
  }

  std::array<SlowSpanWriter, kServers> spans;
  TestCluster cluster;
  Client client;
};

TEST_F(SnapshotTurnsTest, OneServerIsAPartOfAPeriodAheadOfTheNext) {
  std::vector<std::pair<uint64_t, int>> turns;  // after so many bytes, who
  for (uint64_t bytes = 0; bytes < 4 * kPeriod; bytes += kValue) {
    put();
    for (const int server : begun()) turns.emplace_back(bytes, server);
  }
  ASSERT_GE(turns.size(), 3 * kServers);
  for (size_t i = 1; i < turns.size(); ++i) {
    EXPECT_GE(turns[i].first - turns[i - 1].first, kPeriod / kServers * 3 / 4) << i;
    EXPECT_EQ(turns[i].second, turns[i - 1].second % 3 + 1) << i;
  }
}

TEST_F(SnapshotTurnsTest, SoItIsWhereLittleIsWritten) {
  cluster.options.snapshot_interval = 60s;
  for (int id = 1; id <= 3; ++id) {
    cluster.server(id).crash();
    cluster.server(id).start();
  }
  cluster.lead(1);
  std::map<int, int> times;
  for (int second = 0; second < 180; ++second) {
    put();
    cluster.advance(1s);
    const std::vector<int> now = begun();
    EXPECT_LE(now.size(), 1U) << "after " << second << " s";
    for (const int server : now) ++times[server];
  }
  EXPECT_EQ(times.size(), kServers);
  for (const auto& [server, count] : times) EXPECT_GE(count, 2) << server;
}

}  // namespace
}  // namespace holdfast::server
