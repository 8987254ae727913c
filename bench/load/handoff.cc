// handoff: one lock, many waiters.
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

}  // namespace holdfast::bench
