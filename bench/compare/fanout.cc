// watch: one value is overwritten and very many watch it, on few connections or on one each.
#include "bench/compare/profiles.h"

namespace holdfast::bench {
namespace {

/// A write at a time, as holdfast-bench does with --rest_ms: when all have been told they watch
/// again, everything rests, and the next follows. Measured: from the write being sent until the
/// last watcher has been told.
class WatchLoad final : public Store::Sink {
 public:
  WatchLoad(PeerBench& bench, Store& store, size_t watchers)
      : bench_(bench), store_(store), watchers_(watchers) {
    store_.set_sink(this);
  }
  void watch_all() {
    standing_ = 0;
    for (size_t i = 0; i < watchers_; ++i) store_.watch(i);
    turn_until([this] { return standing_ == watchers_; });
  }
  void write_for(Duration time) {
    const Instant until = bench_.now() + time;
    while (bench_.now() < until) {
      write_once();
      watch_all();
      bench_.turn_for(from_ms(bench_.parameters().rest_ms));
    }
  }
  Latencies latencies;

 private:
  template <class Condition>
  void turn_until(const Condition& condition) {
    bench_.loop().again();  // what was called between two turns leaves at the end of the next
    while (!condition()) bench_.loop().turn(1s);
  }
  void write_once() {
    told_ = 0;
    written_ = false;
    const Instant sent = bench_.now();
    store_.write(0, 0);
    turn_until([this] { return told_ == watchers_ && written_; });
    latencies.add(last_told_ - sent);
  }
  void on_watching(size_t) override { ++standing_; }
  void on_written(uint64_t) override { written_ = true; }
  void on_changed(size_t) override {
    if (++told_ > watchers_) fail("a watcher was told twice of one write");
    last_told_ = bench_.loop().now();
  }

  PeerBench& bench_;
  Store& store_;
  const size_t watchers_;
  size_t standing_ = 0;
  size_t told_ = 0;
  bool written_ = false;
  Instant last_told_{};
};

}  // namespace

nlohmann::json run_peer_watch(PeerBench& bench) {
  const Parameters& p = bench.parameters();
  const auto store = bench.open(static_cast<size_t>(p.connections) + 1, p.spread);
  store->prepare_values(static_cast<size_t>(p.value_bytes));
  bench.turn_for(500ms);  // all servers have the values
  WatchLoad load(bench, *store, static_cast<size_t>(p.watchers));
  load.watch_all();
  load.write_for(seconds_of(p.warmup_seconds));
  load.latencies.clear();
  const auto cpu = bench.cpu();
  const Instant began = bench.now();
  load.write_for(seconds_of(p.seconds));
  nlohmann::json result;
  bench.add_rates(result, load.latencies.count(),
                  std::chrono::duration<double>(bench.now() - began).count(), cpu);
  result["until_the_last_watcher"] = load.latencies.summary();
  store->end_sessions();
  return result;
}

}  // namespace holdfast::bench
