// What every profile uses: parameters, measured latencies, raw sessions on raw connections. The
// profiles of throughput drive connections directly, one reused request a lane, so that the
// generator costs little beside the servers it measures.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/cluster.h"
#include "bench/load/measure.h"
#include "clients/cpp/client_core.h"

namespace holdfast::bench {

struct Parameters {
  std::string profile;
  std::vector<std::string> servers;
  int outstanding = 256;
  int connections = 6;
  int clients = 256;
  int waiters = 32;
  int sessions = 100'000;
  int idle_connections = 0;
  bool spread = false;
  bool renew_by_poll = false;
  int value_bytes = 256;
  int keys = 10'000;
  int watchers = 1'000;
  int watched_keys = 1;
  int rest_ms = 0;
  /// gets: how current the answers are.
  enum class Currency { kLinearizable, kLocal, kRevision } consistency = Currency::kLinearizable;
  double seconds = 5;
  double warmup_seconds = 1;
};

/// A session without a keeper: the TTL is longer than a run.
struct RawSession {
  api::RequestContext context;
  int64_t last_sequence = 0;
  int64_t holder_id = 0;
  client::SequenceSet known;

  /// Numbers the next command and tells which results are known.
  void next_command();
};

using Connections = std::vector<std::shared_ptr<client::Connection>>;

/// One bench process: its loop, its connections to the leader, its own cluster if it has one.
class Bench : private client::Connection::Owner {
 public:
  Bench(const Parameters& parameters, Cluster* cluster);
  virtual ~Bench() = default;

  const Parameters& parameters() const { return parameters_; }
  net::Loop& loop() { return loop_; }
  Cluster* cluster() { return cluster_; }
  Entropy& entropy() { return entropy_; }

  /// Waits until the cluster has a leader; its client address.
  std::string find_leader();
  /// `address` empty: the leader.
  Connections dial(int count, const std::string& address = "");
  /// To the leader, or spread over all servers alike.
  Connections dial_spread(int count, bool spread);
  /// Opens sessions, pipelined over the connections. Session i belongs to connection i % size.
  std::vector<RawSession> open_sessions(const Connections& connections, int count);
  /// Acquires `path` at once; ends the bench if it is not granted.
  void acquire(client::Connection& connection, RawSession& session, const std::string& path);
  void turn_for(Duration time);
  /// Until the own cluster's servers have written what the load before gave them to write: they use
  /// next to no CPU, for some seconds. The seconds that it took; ends the bench after some minutes.
  double wait_for_rest();

  /// Of the servers together, as their own cluster's; 0 for others.
  int64_t memory_bytes() const;
  /// CPU seconds of {servers, generator} so far.
  std::pair<double, double> cpu() const;
  /// Adds throughput and CPU shares of a measured span to a result.
  void add_rates(nlohmann::json& result, size_t operations, double seconds,
                 std::pair<double, double> cpu_before) const;

 private:
  void on_connection_closed(client::Connection& connection, const std::string& why) override;

  const Parameters parameters_;
  Cluster* cluster_;
  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
};

/// By how much the servers' memory grew since the last call, divided by a count.
class MemoryGrowth {
 public:
  explicit MemoryGrowth(Bench& bench) : bench_(bench), before_(memory()) {}
  double per(double count) {
    const double before = std::exchange(before_, memory());
    return (before_ - before) / count;
  }

 private:
  double memory() {
    bench_.turn_for(500ms);  // followers apply what the leader has answered
    return static_cast<double>(bench_.memory_bytes());
  }
  Bench& bench_;
  double before_;
};

inline Duration seconds_of(double seconds) { return from_ms(static_cast<int64_t>(seconds * 1000)); }

// One run of a profile each.
nlohmann::json run_commands(Bench& bench);
nlohmann::json run_pairs(Bench& bench);
nlohmann::json run_handoff(Bench& bench);
nlohmann::json run_renewals(Bench& bench);
nlohmann::json run_puts(Bench& bench);
nlohmann::json run_gets(Bench& bench);
nlohmann::json run_keys(Bench& bench);
nlohmann::json run_watch(Bench& bench);
/// A server with many keys is stopped and started again, each way; needs a cluster of its own.
nlohmann::json run_restart(Bench& bench);
/// Writes while snapshots are written, one is saved, and a server fetches one; likewise.
nlohmann::json run_upkeep(Bench& bench);
/// `freeze`: SIGSTOP instead of SIGKILL.
nlohmann::json run_failover(Bench& bench, bool freeze);

}  // namespace holdfast::bench
