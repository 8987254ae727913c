#include "bench/compare/profiles.h"

namespace holdfast::bench {
namespace {

/// Counts the lanes that are ready.
class Opening final : public Store::Sink {
 public:
  size_t ready = 0;

 private:
  void on_ready(size_t) override { ++ready; }
};

/// Sends a lane's next write as soon as one is answered.
class WriteLoad final : public Store::Sink {
 public:
  WriteLoad(PeerBench& bench, Store& store, size_t lanes, size_t outstanding)
      : bench_(bench), store_(store), lanes_(lanes), sent_(outstanding) {
    store_.set_sink(this);
  }
  void start() {
    for (size_t i = 0; i < sent_.size(); ++i) send(i);
  }
  Latencies latencies;

 private:
  void send(size_t slot) {
    sent_[slot] = bench_.loop().now();
    store_.write(slot % lanes_, slot);
  }
  void on_written(uint64_t slot) override {
    latencies.add(bench_.loop().now() - sent_[slot]);
    send(slot);
  }

  PeerBench& bench_;
  Store& store_;
  const size_t lanes_;
  std::vector<Instant> sent_;
};

/// Each client acquires its own lock and releases it, over and over.
class LockLoad final : public Store::Sink {
 public:
  LockLoad(PeerBench& bench, Store& store, size_t clients)
      : bench_(bench), store_(store), began_(clients) {
    store_.set_sink(this);
    store_.prepare_locks(clients, false);
  }
  void start() {
    for (size_t i = 0; i < began_.size(); ++i) acquire(i);
  }
  Latencies latencies;

 private:
  void acquire(size_t client) {
    began_[client] = bench_.loop().now();
    store_.acquire(client);
  }
  void on_acquired(size_t client) override { store_.release(client); }
  void on_released(size_t client) override {
    latencies.add(bench_.loop().now() - began_[client]);
    acquire(client);
  }

  PeerBench& bench_;
  Store& store_;
  std::vector<Instant> began_;
};

/// Every client waits for the one lock, releases it as soon as it is granted, and queues again.
/// Measured: from the release being sent to the next holder knowing that it holds.
class QueueLoad final : public Store::Sink {
 public:
  QueueLoad(PeerBench& bench, Store& store, size_t clients)
      : bench_(bench), store_(store), clients_(clients) {
    store_.set_sink(this);
    store_.prepare_locks(clients, true);
  }
  void start() {
    for (size_t i = 0; i < clients_; ++i) store_.acquire(i);
  }
  Latencies latencies;

 private:
  void on_acquired(size_t client) override {
    const Instant now = bench_.now();
    if (release_sent_ != Instant{}) latencies.add(now - release_sent_);
    release_sent_ = now;
    store_.release(client);
  }
  void on_released(size_t client) override { store_.acquire(client); }

  PeerBench& bench_;
  Store& store_;
  const size_t clients_;
  Instant release_sent_{};
};

size_t lanes_of(const Parameters& p, int users) {
  return static_cast<size_t>(std::min(p.connections, users));
}

}  // namespace

void Store::Sink::on_failed(size_t, const std::string& why) { fail("a request failed: " + why); }

std::unique_ptr<Store> PeerBench::open(size_t lanes, bool spread) {
  constexpr size_t kDialsAtOnce = 32;  // the JVM's listeners have a backlog of 50
  auto store = make_(loop_, lanes);
  Opening opening;
  store->set_sink(&opening);
  const auto& servers = parameters_.servers;
  for (size_t i = 0; i < lanes; ++i) {
    while (i - opening.ready >= kDialsAtOnce) loop_.turn(1s);
    store->dial(i, servers[spread ? i % servers.size() : 0]);
  }
  while (opening.ready < lanes) loop_.turn(1s);
  return store;
}

void PeerBench::turn_for(Duration time) {
  const Instant end = clock_.now() + time;
  while (clock_.now() < end) loop_.turn(std::min<Duration>(end - clock_.now(), 10ms));
}

std::pair<double, double> PeerBench::cpu() const {
  double servers = 0;
  for (const pid_t pid : pids_) servers += cpu_seconds(pid);
  return {servers, cpu_seconds(0)};
}

void PeerBench::add_rates(nlohmann::json& result, size_t operations, double seconds,
                          std::pair<double, double> before) const {
  const auto [servers, generator] = cpu();
  bench::add_rates(result, operations, seconds, {servers - before.first, generator - before.second},
                   true);
}

nlohmann::json PeerBench::measure(Latencies& latencies) {
  turn_for(seconds_of(parameters_.warmup_seconds));
  latencies.clear();
  const auto before = cpu();
  const Instant began = now();
  turn_for(seconds_of(parameters_.seconds));
  const double seconds = std::chrono::duration<double>(now() - began).count();
  nlohmann::json result;
  add_rates(result, latencies.count(), seconds, before);
  result["latency"] = latencies.summary();
  return result;
}

nlohmann::json run_peer_commands(PeerBench& bench) {
  const Parameters& p = bench.parameters();
  const size_t lanes = lanes_of(p, p.outstanding);
  const auto store = bench.open(lanes);
  store->prepare_values(static_cast<size_t>(p.value_bytes));
  WriteLoad load(bench, *store, lanes, static_cast<size_t>(p.outstanding));
  load.start();
  return bench.measure(load.latencies);
}

nlohmann::json run_peer_pairs(PeerBench& bench) {
  const Parameters& p = bench.parameters();
  const auto store = bench.open(lanes_of(p, p.clients));
  LockLoad load(bench, *store, static_cast<size_t>(p.clients));
  load.start();
  return bench.measure(load.latencies);
}

nlohmann::json run_peer_handoff(PeerBench& bench) {
  const Parameters& p = bench.parameters();
  const auto store = bench.open(lanes_of(p, p.waiters + 1));
  QueueLoad load(bench, *store, static_cast<size_t>(p.waiters) + 1);
  load.start();
  return bench.measure(load.latencies);
}

}  // namespace holdfast::bench
