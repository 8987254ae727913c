// handoff: one lock, many waiters. renewals: very many sessions kept alive.
#include "bench/load/load.h"

namespace holdfast::bench {
namespace {

using client::Connection;
using client::Reply;

/// Every client waits for the one lock, releases it as soon as it is granted, and queues again.
/// Measured: from the release being sent to the next holder's grant being received.
class HandoffLoad final : public client::ReplySink {
 public:
  struct Client {
    std::shared_ptr<Connection> connection;
    RawSession session;
    bool holding = false;
  };

  HandoffLoad(Bench& bench, std::vector<Client> clients, const std::string& path)
      : bench_(bench), clients_(std::move(clients)) {
    acquire_.path = path;
    acquire_.waitMs = -1;
    release_.path = path;
  }
  void start() {
    for (size_t i = 0; i < clients_.size(); ++i) acquire(i, true);
  }
  Latencies latencies;

 private:
  /// The same sequence again while it waits: the place is kept.
  void acquire(size_t at, bool anew) {
    Client& c = clients_[at];
    if (anew) c.session.next_command();
    c.connection->send<client::Acquire>(c.session.context, acquire_, *this, at);
  }
  void on_reply(uint64_t at, Connection&, Reply& reply) override {
    if (clients_[at].holding) return released(at, reply);
    Client& c = clients_[at];
    api::AcquireResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::Acquire>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("acquire: " + error.message);
    if (result.status == api::AcquireStatus::WAITING) return acquire(at, false);
    if (result.status != api::AcquireStatus::GRANTED) fail("a waiter was refused");
    const Instant now = bench_.loop().clock().now();
    if (release_sent_ != Instant{}) latencies.add(now - release_sent_);
    c.holding = true;
    c.session.known.add(c.session.last_sequence);
    c.session.next_command();
    release_.holderId = result.holderId;
    release_sent_ = now;
    c.connection->send<client::Release>(c.session.context, release_, *this, at);
  }
  void released(size_t at, Reply& reply) {
    Client& c = clients_[at];
    api::ReleaseResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::Release>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("release: " + error.message);
    c.holding = false;
    c.session.known.add(c.session.last_sequence);
    acquire(at, true);
  }
  void on_lost(uint64_t, Connection&) override {}

  Bench& bench_;
  std::vector<Client> clients_;
  api::AcquireRequest acquire_;
  api::ReleaseRequest release_;
  Instant release_sent_{};
};

/// Renews each session once every `period`, evenly spread.
class RenewalLoad final : public client::ReplySink {
 public:
  RenewalLoad(Bench& bench, const std::vector<std::shared_ptr<Connection>>& connections,
              const std::vector<RawSession>& sessions, Duration period)
      : bench_(bench), connections_(connections), sessions_(sessions), period_(period) {}

  void run(Duration time) {
    const Instant began = bench_.loop().clock().now();
    const size_t before = sent_;
    for (Duration gone{0}; gone < time; gone = bench_.loop().clock().now() - began) {
      const double share = static_cast<double>(gone.count()) / static_cast<double>(period_.count());
      const auto due = before + static_cast<size_t>(share * static_cast<double>(sessions_.size()));
      while (sent_ < due) send();
      bench_.loop().turn(1ms);
    }
  }
  Latencies latencies;
  size_t failed = 0;

 private:
  void send() {
    const size_t at = sent_++ % sessions_.size();
    const auto tag = static_cast<uint64_t>(bench_.loop().now().time_since_epoch().count());
    connections_[at % connections_.size()]->send<client::KeepAlive>(sessions_[at].context, {},
                                                                    *this, tag);
  }
  void on_reply(uint64_t tag, Connection&, Reply& reply) override {
    api::KeepAliveResult result;
    api::HoldfastError error;
    bool refused = false;
    if (!reply.read<client::KeepAlive>(result, error, &refused)) fail("malformed reply");
    if (refused || result.leaseMs <= 0) ++failed;
    latencies.add(bench_.loop().now() - Instant(Duration(static_cast<int64_t>(tag))));
  }
  void on_lost(uint64_t, Connection&) override {}

  Bench& bench_;
  const std::vector<std::shared_ptr<Connection>>& connections_;
  const std::vector<RawSession>& sessions_;
  const Duration period_;
  size_t sent_ = 0;
};

/// Connections of their own, each with one session's poll parked on it.
class ParkedPolls final : public client::ReplySink {
 public:
  ParkedPolls(Bench& bench, int count) {
    const auto& servers = bench.parameters().servers;
    for (size_t i = 0; i < servers.size(); ++i) {
      const int share = count / static_cast<int>(servers.size());
      for (auto& connection : bench.dial(share, servers[i])) {
        connections_.push_back(std::move(connection));
      }
    }
    sessions_ = bench.open_sessions(connections_, static_cast<int>(connections_.size()));
    for (size_t i = 0; i < connections_.size(); ++i) poll(i, 0);
  }
  size_t failed = 0;
  size_t answered = 0;

 private:
  void poll(size_t at, int64_t delivery) {
    api::PollRequest request;
    request.acknowledgedDelivery = delivery;
    request.maxWaitMs = 60'000;
    connections_[at]->send<client::Poll>(sessions_[at].context, request, *this, at);
  }
  void on_reply(uint64_t at, Connection&, Reply& reply) override {
    api::PollResult result;
    api::HoldfastError error;
    bool refused = false;
    if (!reply.read<client::Poll>(result, error, &refused)) fail("malformed reply");
    ++answered;
    if (refused) ++failed;
    poll(at, result.delivery);
  }
  void on_lost(uint64_t, Connection&) override {}

  std::vector<std::shared_ptr<Connection>> connections_;
  std::vector<RawSession> sessions_;
};

Duration seconds_of(double seconds) { return from_ms(static_cast<int64_t>(seconds * 1000)); }

}  // namespace

nlohmann::json run_handoff(Bench& bench) {
  const Parameters& p = bench.parameters();
  const auto connections = bench.dial(p.connections);
  auto sessions = bench.open_sessions(connections, p.waiters + 1);
  std::vector<HandoffLoad::Client> clients;
  for (size_t i = 0; i < sessions.size(); ++i) {
    clients.push_back({connections[i % connections.size()], sessions[i]});
  }
  const std::string path = "/bench/handoff-" + std::to_string(sessions[0].context.sessionId);
  // Outlives the connections' callbacks: what still waits at the end is dropped with them.
  HandoffLoad load(bench, std::move(clients), path);
  load.start();
  bench.turn_for(seconds_of(p.warmup_seconds));
  load.latencies.clear();
  const auto cpu = bench.cpu();
  bench.turn_for(seconds_of(p.seconds));
  nlohmann::json result;
  bench.add_rates(result, load.latencies.count(), p.seconds, cpu);
  result["latency"] = load.latencies.summary();
  for (const auto& connection : connections) {
    connection->detach();
    connection->close();
  }
  return result;
}

nlohmann::json run_renewals(Bench& bench) {
  const Parameters& p = bench.parameters();
  std::optional<ParkedPolls> parked;
  if (p.idle_connections > 0) {
    progress("opening " + std::to_string(p.idle_connections) + " connections with parked polls");
    parked.emplace(bench, p.idle_connections);
  }
  progress("opening " + std::to_string(p.sessions) + " sessions");
  const auto connections = bench.dial(p.connections);
  const auto sessions = bench.open_sessions(connections, p.sessions);
  progress("renewing them every 3 s");
  RenewalLoad load(bench, connections, sessions, 3s);
  load.run(3s);
  load.latencies.clear();
  const auto cpu = bench.cpu();
  load.run(seconds_of(p.seconds));
  nlohmann::json result;
  bench.add_rates(result, load.latencies.count(), p.seconds, cpu);
  result["latency"] = load.latencies.summary();
  result["failed"] = load.failed;
  if (parked) result["polls"] = {{"answered", parked->answered}, {"failed", parked->failed}};
  bench.turn_for(1s);
  for (const auto& connection : connections) {
    connection->detach();
    connection->close();
  }
  return result;
}

}  // namespace holdfast::bench
