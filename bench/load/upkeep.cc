// upkeep: what writes cost while the servers write their snapshots, while one is saved to a file,
// and while a server that lost its own fetches that of another.
#include <future>
#include <semaphore>
#include <thread>
#include <tuple>

#include "bench/load/command.h"
#include "bench/load/key_load.h"

namespace holdfast::bench {
namespace {

struct Span {
  Instant from, to;
};

/// Puts whose latencies are kept with the time at which they were sent.
class TimedPuts final : public PutLoad {
 public:
  using PutLoad::PutLoad;
  /// Of the puts that were under way at any time in one of `spans`, and of all others.
  std::pair<nlohmann::json, nlohmann::json> split_by(const std::vector<Span>& spans) const {
    Latencies within;
    Latencies without;
    for (const Sample& sample : samples_) {
      const bool touched = std::any_of(spans.begin(), spans.end(), [&](const Span& span) {
        return sample.sent <= span.to && sample.sent + sample.latency >= span.from;
      });
      (touched ? within : without).add(sample.latency);
    }
    return {summary(within, spans), without.summary()};
  }
  nlohmann::json within(const Span& span) const { return split_by({span}).first; }
  void forget() { samples_.clear(); }
  /// Since what was before was forgotten.
  size_t answers() const { return samples_.size(); }

 private:
  struct Sample {
    Instant sent;
    Duration latency;
  };
  static nlohmann::json summary(Latencies& latencies, const std::vector<Span>& spans) {
    nlohmann::json result = latencies.summary();
    Duration sum{};
    for (const Span& span : spans) sum += span.to - span.from;
    result["seconds"] = std::chrono::duration<double>(sum).count();
    result["per_second"] = static_cast<double>(latencies.count()) /
                           std::max(1e-9, std::chrono::duration<double>(sum).count());
    return result;
  }
  void answered(const Lane&, const api::PutResult&, Instant sent) override {
    samples_.push_back({sent, bench().loop().now() - sent});
  }
  std::vector<Sample> samples_;
};

/// When any server wrote a snapshot: a thread of its own looks every few milliseconds, as long as
/// this lives.
class SlowWork {
 public:
  SlowWork(const Cluster& cluster, Clock& clock)
      : cluster_(cluster), clock_(clock), thread_([this] { run(); }) {}
  ~SlowWork() { end(); }
  const std::vector<Span>& end() {
    if (thread_.joinable()) {
      ended_.release();
      thread_.join();
    }
    return spans_;
  }

 private:
  static constexpr auto kEvery = std::chrono::milliseconds(5);
  /// Pauses between two looks that found work are part of it.
  static constexpr Duration kJoined = 100ms;

  void run() {
    while (!ended_.try_acquire_for(kEvery)) {
      for (const std::string& server : cluster_.addresses()) {
        if (cluster_.works_behind(server)) note(clock_.now());
      }
    }
  }
  void note(Instant now) {
    if (!spans_.empty() && now - spans_.back().to < kJoined) {
      spans_.back().to = now;
    } else {
      spans_.push_back({now, now});
    }
  }

  const Cluster& cluster_;
  Clock& clock_;
  std::vector<Span> spans_;
  std::binary_semaphore ended_{0};
  std::thread thread_;
};

class UpkeepBench {
 public:
  explicit UpkeepBench(Bench& bench) : bench_(bench), keys_(bench), leader_(bench.find_leader()) {
    keys_.fill();
  }

  nlohmann::json run() {
    begin();
    nlohmann::json result = snapshots();
    result["backup"] = load_->within(timed([this] { save(); }));
    load_->stop();
    const std::string server = lose_a_state();
    begin();
    std::tie(result["two_servers_snapshot"], result["two_servers_quiet"]) = beside_snapshots();
    result["fetch"] = load_->within(timed([&] { fetch(server); }));
    load_->stop();
    return result;
  }

 private:
  /// Puts from now on, once no server has anything to do for those before: until enough is written
  /// again no snapshot is, and that is what the other puts are held against.
  void begin() {
    bench_.wait_for_rest();
    load_ = std::make_unique<TimedPuts>(bench_, keys_.put_lanes(false),
                                        bench_.parameters().outstanding, keys_.paths());
    load_->start();
    bench_.turn_for(seconds_of(bench_.parameters().warmup_seconds));
  }

  template <class Act>
  Span timed(const Act& act) {
    load_->forget();
    const Instant from = bench_.loop().clock().now();
    act();
    return {from, bench_.loop().clock().now()};
  }

  nlohmann::json snapshots() {
    progress("writes beside snapshots");
    const int64_t written = bench_.cluster()->total_written_bytes();
    auto [beside, quiet] = beside_snapshots();
    nlohmann::json result = {{"quiet", quiet}, {"snapshot", beside}};
    result["written_bytes_per_put_and_server"] = written_per_put(written);
    return result;
  }
  /// The puts of some seconds: those beside a snapshot, and the others.
  std::pair<nlohmann::json, nlohmann::json> beside_snapshots() {
    load_->forget();
    SlowWork work(*bench_.cluster(), bench_.loop().clock());
    bench_.turn_for(seconds_of(bench_.parameters().seconds));
    return load_->split_by(work.end());
  }

  /// Log, snapshot and all.
  double written_per_put(int64_t before) const {
    const auto bytes = static_cast<double>(bench_.cluster()->total_written_bytes() - before);
    const auto puts = static_cast<double>(std::max<size_t>(1, load_->answers()));
    return bytes / puts / static_cast<double>(bench_.cluster()->addresses().size());
  }

  void save() {
    progress("writes beside `holdfast snapshot save`");
    Command save({"snapshot", "save", bench_.cluster()->directory() + "/saved.db",
                  "--admin=" + bench_.cluster()->admin(leader_)});
    std::optional<int> status;
    while (!(status = save.ended())) bench_.turn_for(5ms);
    if (*status != 0) fail("holdfast snapshot save: wait status " + std::to_string(*status));
  }

  /// The files are removed by this thread, which sends nothing meanwhile. While one of three
  /// servers is gone no put is answered sooner than by the slower of the others: a fetch is to be
  /// held against that.
  std::string lose_a_state() {
    Cluster& cluster = *bench_.cluster();
    std::string server;
    for (const std::string& other : cluster.addresses()) {
      if (other != leader_) server = other;
    }
    cluster.stop(server);  // with few keys that is when it writes its first snapshot
    cluster.destroy_snapshot(server);
    return server;
  }

  void fetch(const std::string& server) {
    progress("writes beside a server that fetches a state");
    Cluster& cluster = *bench_.cluster();
    cluster.restart(server);
    // A server that loads a state answers late; this thread has puts to send meanwhile.
    const auto ready = std::async(std::launch::async, [&] {
      std::binary_semaphore never{0};
      while (!cluster.ready(server)) never.try_acquire_for(5ms);
    });
    while (ready.wait_for(0s) != std::future_status::ready) bench_.turn_for(5ms);
  }

  Bench& bench_;
  KeyBench keys_;
  const std::string leader_;
  std::unique_ptr<TimedPuts> load_;
};

}  // namespace

nlohmann::json run_upkeep(Bench& bench) {
  if (bench.cluster() == nullptr) fail("this profile stops servers: it needs --start_cluster");
  return UpkeepBench(bench).run();
}

}  // namespace holdfast::bench
