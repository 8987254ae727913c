// The profiles of holdfast-bench that can be asked of another system, in the same shape: the same
// connections to the leader, the same number outstanding, the same spans measured.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench/compare/store.h"
#include "bench/load/load.h"

namespace holdfast::bench {

/// One run against one system whose servers somebody else started.
class PeerBench {
 public:
  using MakeStore = std::function<std::unique_ptr<Store>(net::Loop&, size_t lanes)>;

  /// `parameters.servers`: the leader first. `pids`: of the servers, in the same order.
  PeerBench(const Parameters& parameters, std::vector<pid_t> pids, MakeStore make)
      : parameters_(parameters), pids_(std::move(pids)), make_(std::move(make)) {}

  const Parameters& parameters() const { return parameters_; }
  net::Loop& loop() { return loop_; }
  Instant now() { return clock_.now(); }
  pid_t leader_pid() const { return pids_.front(); }

  /// A store with `lanes` connections, all of them ready: to the leader, or the first to it and the
  /// others `spread` over all servers alike.
  std::unique_ptr<Store> open(size_t lanes, bool spread = false);
  void turn_for(Duration time);
  /// Warms up, then measures: `latencies` gets an entry an operation while the loop turns.
  nlohmann::json measure(Latencies& latencies);

  /// CPU seconds of {servers, generator} so far.
  std::pair<double, double> cpu() const;
  /// Adds throughput and CPU shares of a measured span to a result.
  void add_rates(nlohmann::json& result, size_t operations, double seconds,
                 std::pair<double, double> cpu_before) const;

 private:
  const Parameters parameters_;
  const std::vector<pid_t> pids_;
  const MakeStore make_;
  SystemClock clock_;
  net::Loop loop_{clock_};
};

nlohmann::json run_peer_commands(PeerBench& bench);
nlohmann::json run_peer_pairs(PeerBench& bench);
nlohmann::json run_peer_handoff(PeerBench& bench);
nlohmann::json run_peer_gets(PeerBench& bench);
/// Makes the keys, no more: who started the servers restarts them.
nlohmann::json run_peer_fill(PeerBench& bench);
nlohmann::json run_peer_watch(PeerBench& bench);
/// Kills the leader, which is the first server.
nlohmann::json run_peer_failover(PeerBench& bench);

}  // namespace holdfast::bench
