// gets, fill: reads of keys, pipelined, and the making of many.
#include "base/entropy.h"
#include "bench/compare/profiles.h"

namespace holdfast::bench {
namespace {

/// Makes every key once.
class FillLoad final : public Store::Sink {
 public:
  FillLoad(PeerBench& bench, Store& store, size_t lanes)
      : bench_(bench),
        store_(store),
        lanes_(lanes),
        keys_(static_cast<size_t>(bench.parameters().keys)) {
    store_.set_sink(this);
    store_.prepare_values(static_cast<size_t>(bench.parameters().value_bytes));
  }
  void run() {
    constexpr size_t kOutstanding = 256;
    while (next_ < std::min(kOutstanding, keys_)) make_next();
    while (made_ < keys_) bench_.loop().turn(10ms);
  }

 private:
  void make_next() {
    store_.make_key(next_ % lanes_, next_, next_);
    ++next_;
  }
  void on_written(uint64_t) override {
    ++made_;
    if (next_ < keys_) make_next();
  }

  PeerBench& bench_;
  Store& store_;
  const size_t lanes_;
  const size_t keys_;
  size_t next_ = 0;
  size_t made_ = 0;
};

/// Reads another key as soon as one is answered, in no order.
class ReadLoad final : public Store::Sink {
 public:
  ReadLoad(PeerBench& bench, Store& store, size_t lanes, bool linearizable)
      : bench_(bench),
        store_(store),
        lanes_(lanes),
        linearizable_(linearizable),
        sent_(static_cast<size_t>(bench.parameters().outstanding)) {
    store_.set_sink(this);
  }
  void start() {
    for (size_t i = 0; i < sent_.size(); ++i) send(i);
  }
  Latencies latencies;

 private:
  void send(size_t slot) {
    const auto keys = static_cast<uint64_t>(bench_.parameters().keys);
    sent_[slot] = bench_.loop().now();
    store_.read(slot % lanes_, mix_.next() % keys, linearizable_, slot);
  }
  void on_read(uint64_t slot) override {
    latencies.add(bench_.loop().now() - sent_[slot]);
    send(slot);
  }

  PeerBench& bench_;
  Store& store_;
  const size_t lanes_;
  const bool linearizable_;
  std::vector<Instant> sent_;
  SplitMix mix_{7};
};

size_t lanes_of(const Parameters& p) {
  return static_cast<size_t>(std::min(p.connections, p.outstanding));
}

}  // namespace

nlohmann::json run_peer_fill(PeerBench& bench) {
  const size_t lanes = lanes_of(bench.parameters());
  const auto store = bench.open(lanes);
  const Instant began = bench.now();
  FillLoad(bench, *store, lanes).run();
  nlohmann::json result;
  result["seconds"] = std::chrono::duration<double>(bench.now() - began).count();
  store->end_sessions();
  return result;
}

nlohmann::json run_peer_gets(PeerBench& bench) {
  const Parameters& p = bench.parameters();
  const size_t lanes = lanes_of(p);
  const bool linearizable = p.consistency == Parameters::Currency::kLinearizable;
  const auto store = bench.open(lanes, !linearizable);
  FillLoad(bench, *store, lanes).run();
  bench.turn_for(500ms);  // all servers have the keys
  ReadLoad load(bench, *store, lanes, linearizable);
  load.start();
  return bench.measure(load.latencies);
}

}  // namespace holdfast::bench
