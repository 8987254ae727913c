// renewals: very many sessions kept alive over few connections, and connections that only wait.
#include "bench/load/load.h"

namespace holdfast::bench {
namespace {

using client::Connection;
using client::Reply;

constexpr Duration kPeriod = 3s;

/// Keeps sessions alive. Session i belongs to connection i % size.
class SessionLoad : public client::ReplySink {
 public:
  SessionLoad(Bench& bench, Connections connections, std::vector<RawSession> sessions)
      : bench_(bench), connections_(std::move(connections)), sessions_(std::move(sessions)) {}
  /// Those that are to begin within `time`, evenly spread over kPeriod, begin.
  void run(Duration time) {
    const Instant began = bench_.loop().clock().now();
    const size_t before = begun_;
    for (Duration gone{0}; gone < time; gone = bench_.loop().clock().now() - began) {
      const double share = static_cast<double>(gone.count()) / static_cast<double>(kPeriod.count());
      const auto due = before + static_cast<size_t>(share * static_cast<double>(sessions_.size()));
      while (begun_ < due) begin(begun_++);
      bench_.loop().turn(1ms);
    }
  }
  /// What is still under way is dropped.
  void close() {
    for (const auto& connection : connections_) {
      connection->detach();
      connection->close();
    }
  }
  size_t answered = 0;
  size_t failed = 0;
  Latencies latencies;

 protected:
  ~SessionLoad() = default;
  virtual void begin(size_t number) = 0;
  void on_lost(uint64_t, Connection&) override {}
  Connection& connection_of(size_t session) { return *connections_[session % connections_.size()]; }
  size_t sessions() const { return sessions_.size(); }
  RawSession& session(size_t at) { return sessions_[at]; }
  Bench& bench() { return bench_; }

 private:
  Bench& bench_;
  Connections connections_;
  std::vector<RawSession> sessions_;
  size_t begun_ = 0;
};

/// Renews each session by keepAlive once every period, whatever the servers do.
class KeepAliveLoad final : public SessionLoad {
 public:
  using SessionLoad::SessionLoad;

 private:
  void begin(size_t number) override {
    const size_t at = number % sessions();
    const auto tag = static_cast<uint64_t>(bench().loop().now().time_since_epoch().count());
    connection_of(at).send<client::KeepAlive>(session(at).context, {}, *this, tag);
  }
  void on_reply(uint64_t tag, Connection&, Reply& reply) override {
    api::KeepAliveResult result;
    api::HoldfastError error;
    bool refused = false;
    if (!reply.read<client::KeepAlive>(result, error, &refused)) fail("malformed reply");
    ++answered;
    if (refused || result.leaseMs <= 0) ++failed;
    latencies.add(bench().loop().now() - Instant(Duration(static_cast<int64_t>(tag))));
  }
};

/// Renews each session as the client library does: by a poll that the server parks, sent again as
/// soon as it is answered. Measured: how much later than asked for the answer comes.
class PollLoad final : public SessionLoad {
 public:
  PollLoad(Bench& bench, Connections connections, std::vector<RawSession> sessions, Duration wait)
      : SessionLoad(bench, std::move(connections), std::move(sessions)), wait_(wait) {
    sent_.resize(this->sessions());
    first_.resize(this->sessions(), true);
  }
  void start_all() {
    for (size_t at = 0; at < sessions(); ++at) poll(at, 0);
  }

 private:
  void begin(size_t number) override {
    if (number < sessions()) poll(number, 0);
  }
  void poll(size_t at, int64_t delivery) {
    api::PollRequest request;
    request.acknowledgedDelivery = delivery;
    request.maxWaitMs = to_ms(wait_);
    sent_[at] = bench().loop().now();
    connection_of(at).send<client::Poll>(session(at).context, request, *this, at);
  }
  void on_reply(uint64_t at, Connection&, Reply& reply) override {
    api::PollResult result;
    api::HoldfastError error;
    bool refused = false;
    if (!reply.read<client::Poll>(result, error, &refused)) fail("malformed reply");
    ++answered;
    if (refused || result.leaseMs <= 0) ++failed;
    // A session's first poll on a server is answered at once.
    if (!first_[at]) latencies.add(bench().loop().now() - sent_[at] - wait_);
    first_[at] = false;
    poll(at, result.delivery);
  }

  const Duration wait_;
  std::vector<Instant> sent_;
  std::vector<bool> first_;  ///< none was answered yet
};

std::unique_ptr<PollLoad> park_polls(Bench& bench, MemoryGrowth& growth, nlohmann::json& memory) {
  const double count = bench.parameters().idle_connections;
  const auto servers = static_cast<double>(bench.parameters().servers.size());
  progress("opening " + std::to_string(bench.parameters().idle_connections) +
           " connections with a session and a parked poll each");
  Connections connections = bench.dial_spread(bench.parameters().idle_connections, true);
  bench.turn_for(1s);
  memory["per_connection"] = growth.per(count);
  auto sessions = bench.open_sessions(connections, static_cast<int>(count));
  memory["per_session_of_a_connection"] = growth.per(count * servers);
  auto load = std::make_unique<PollLoad>(bench, std::move(connections), std::move(sessions), 60s);
  load->start_all();
  bench.turn_for(1s);
  memory["per_parked_poll"] = growth.per(count);
  return load;
}

nlohmann::json counts(const SessionLoad& load) {
  return {{"answered", load.answered}, {"failed", load.failed}};
}

}  // namespace

nlohmann::json run_renewals(Bench& bench) {
  const Parameters& p = bench.parameters();
  nlohmann::json result;
  nlohmann::json memory;
  MemoryGrowth growth(bench);
  std::unique_ptr<PollLoad> parked;
  if (p.idle_connections > 0) parked = park_polls(bench, growth, memory);
  progress("opening " + std::to_string(p.sessions) + " sessions");
  Connections connections = bench.dial_spread(p.connections, p.spread);
  auto sessions = bench.open_sessions(connections, p.sessions);
  const auto servers = static_cast<double>(p.servers.size());
  memory["per_session"] = growth.per(p.sessions * servers);
  progress("renewing them every 3 s");
  std::unique_ptr<KeepAliveLoad> by_keep_alive;
  std::unique_ptr<PollLoad> by_poll;
  if (p.renew_by_poll) {
    by_poll =
        std::make_unique<PollLoad>(bench, std::move(connections), std::move(sessions), kPeriod);
  } else {
    by_keep_alive =
        std::make_unique<KeepAliveLoad>(bench, std::move(connections), std::move(sessions));
  }
  SessionLoad& load = p.renew_by_poll ? static_cast<SessionLoad&>(*by_poll) : *by_keep_alive;
  load.run(kPeriod + 1s);
  load.latencies.clear();
  const size_t answered = load.answered;
  const auto cpu = bench.cpu();
  load.run(seconds_of(p.seconds));
  bench.add_rates(result, load.answered - answered, p.seconds, cpu);
  result["renewals"] = counts(load);
  result["latency"] = load.latencies.summary();
  if (parked) result["parked_polls"] = counts(*parked);
  if (bench.cluster() != nullptr) result["servers_memory_bytes"] = memory;
  load.close();
  if (parked) parked->close();
  return result;
}

}  // namespace holdfast::bench
