// restart: how long a server with many keys takes from the start of its process until it is ready,
// and until it has all that the leader has, after each way to end.
#include "bench/load/key_load.h"

namespace holdfast::bench {
namespace {

/// Several times what a million keys take beside programs that want the same cores.
constexpr Duration kGiveUp = 600s;

/// What stands before a restart, and after.
nlohmann::json sizes(const Cluster& cluster, const std::string& server) {
  return {{"resident_mib", static_cast<double>(cluster.resident_bytes(server)) / (1 << 20)},
          {"disk_mib", static_cast<double>(cluster.disk_bytes(server)) / (1 << 20)}};
}

/// `start` starts a server and returns its address.
template <class Start>
nlohmann::json timed_until_ready(Bench& bench, const Start& start) {
  Cluster& cluster = *bench.cluster();
  const Instant began = bench.loop().clock().now();
  const std::string server = start();
  while (!cluster.ready(server)) {
    if (bench.loop().clock().now() - began > kGiveUp)
      fail(server + " is not ready after ten minutes");
    bench.turn_for(5ms);
  }
  const auto since_then = [&] {
    return std::chrono::duration<double>(bench.loop().clock().now() - began).count();
  };
  const double ready = since_then();
  await_revision(bench, server, newest_revision(bench));
  const double in_sync = since_then();
  nlohmann::json result = sizes(cluster, server);
  result["ready_after_s"] = ready;
  result["in_sync_after_s"] = in_sync;
  return result;
}

nlohmann::json start_and_wait(Bench& bench, const std::string& server) {
  return timed_until_ready(bench, [&] {
    bench.cluster()->restart(server);
    return server;
  });
}

/// A snapshot that is under way when the keys are there would be measured with the first restart.
void settle(Bench& bench) {
  constexpr int kQuietLooks = 100;
  for (int quiet = 0; quiet < kQuietLooks; ++quiet) {
    for (const std::string& server : bench.parameters().servers) {
      if (bench.cluster()->works_behind(server)) quiet = 0;
    }
    bench.turn_for(10ms);
  }
}

}  // namespace

nlohmann::json run_restart(Bench& bench) {
  if (bench.cluster() == nullptr) fail("this profile stops servers: it needs --start_cluster");
  Cluster& cluster = *bench.cluster();
  {
    KeyBench keys(bench);
    keys.fill();
  }
  settle(bench);
  const std::string leader = bench.find_leader();
  std::string server;
  for (const std::string& other : bench.parameters().servers) {
    if (other != leader) server = other;
  }
  nlohmann::json result;
  result["before"] = sizes(cluster, server);
  cluster.stop(server);
  result["after_sigterm"] = start_and_wait(bench, server);
  cluster.kill(server);
  result["after_kill"] = start_and_wait(bench, server);
  cluster.kill(server);
  cluster.destroy_snapshot(server);
  result["snapshot_lost"] = start_and_wait(bench, server);
  result["empty_and_new"] = timed_until_ready(bench, [&] {
    std::string another = cluster.start_another(leader);
    while (!cluster.answers(another)) bench.turn_for(1ms);
    cluster.add(another, leader);
    return another;
  });
  return result;
}

}  // namespace holdfast::bench
