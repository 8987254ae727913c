// commands: one committed entry each, with a session, pipelined. pairs: acquire and release.
#include "bench/load/pipeline.h"

namespace holdfast::bench {
namespace {

using client::Connection;
using client::Reply;

using CommandLoad = Pipeline<client::SetHolderValue>;

/// Each client acquires its own lock and releases it, over and over.
class PairLoad final : public client::ReplySink {
 public:
  struct Client {
    std::shared_ptr<Connection> connection;
    RawSession session;
    api::AcquireRequest acquire;
    api::ReleaseRequest release;
    Instant began{};
    bool holding = false;
  };

  PairLoad(Bench& bench, std::vector<Client> clients)
      : bench_(bench), clients_(std::move(clients)) {}
  void start() {
    for (size_t i = 0; i < clients_.size(); ++i) acquire(i);
  }
  void stop() {
    running_ = false;
    while (in_flight_ > 0) bench_.loop().turn(1s);
  }
  Latencies latencies;

 private:
  void acquire(size_t at) {
    Client& c = clients_[at];
    c.session.next_command();
    c.began = bench_.loop().now();
    ++in_flight_;
    c.connection->send<client::Acquire>(c.session.context, c.acquire, *this, at);
  }
  void release(size_t at) {
    Client& c = clients_[at];
    c.session.next_command();
    ++in_flight_;
    c.connection->send<client::Release>(c.session.context, c.release, *this, at);
  }
  void on_reply(uint64_t at, Connection&, Reply& reply) override {
    Client& c = clients_[at];
    --in_flight_;
    if (c.holding) {
      released(c, reply);
      if (running_) acquire(at);
    } else {
      acquired(c, reply);
      release(at);
    }
  }
  void acquired(Client& c, Reply& reply) {
    api::AcquireResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::Acquire>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("acquire: " + error.message);
    if (result.status != api::AcquireStatus::GRANTED) fail(c.acquire.path + " was not granted");
    c.holding = true;
    c.release.holderId = result.holderId;
    c.session.known.add(c.session.last_sequence);
  }
  void released(Client& c, Reply& reply) {
    api::ReleaseResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::Release>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("release: " + error.message);
    c.holding = false;
    c.session.known.add(c.session.last_sequence);
    latencies.add(bench_.loop().now() - c.began);
  }
  void on_lost(uint64_t, Connection&) override { fail("a connection was lost"); }

  Bench& bench_;
  std::vector<Client> clients_;
  size_t in_flight_ = 0;
  bool running_ = true;
};

}  // namespace

nlohmann::json run_commands(Bench& bench) {
  const Parameters& p = bench.parameters();
  const int lanes_wanted = std::min(p.connections, p.outstanding);
  const auto connections = bench.dial(lanes_wanted);
  auto sessions = bench.open_sessions(connections, lanes_wanted);
  std::vector<CommandLoad::Lane> lanes;
  for (size_t i = 0; i < connections.size(); ++i) {
    const std::string path = "/bench/" + std::to_string(sessions[i].context.sessionId);
    bench.acquire(*connections[i], sessions[i], path);
    CommandLoad::Lane lane{connections[i], sessions[i], {}};
    lane.request.path = path;
    lane.request.holderId = sessions[i].holder_id;
    lane.request.value.assign(static_cast<size_t>(p.value_bytes), 'v');
    lanes.push_back(std::move(lane));
  }
  CommandLoad load(bench, std::move(lanes), p.outstanding);
  return measure(bench, load);
}

nlohmann::json run_pairs(Bench& bench) {
  const Parameters& p = bench.parameters();
  const auto connections = bench.dial(p.connections);
  auto sessions = bench.open_sessions(connections, p.clients);
  std::vector<PairLoad::Client> clients;
  for (size_t i = 0; i < sessions.size(); ++i) {
    PairLoad::Client client{connections[i % connections.size()], sessions[i], {}, {}};
    client.acquire.path = "/bench/" + std::to_string(sessions[i].context.sessionId);
    client.release.path = client.acquire.path;
    clients.push_back(std::move(client));
  }
  PairLoad load(bench, std::move(clients));
  return measure(bench, load);
}

}  // namespace holdfast::bench
