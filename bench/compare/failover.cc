// failover: how long acknowledged writes pause when the leader is killed, for a client that loses
// no time: it redials as soon as it notices, and gives a server up that does not answer.
#include <signal.h>

#include "base/net/timer.h"
#include "bench/compare/profiles.h"

namespace holdfast::bench {
namespace {

constexpr size_t kWriters = 4;  ///< as holdfast-bench has
constexpr size_t kLane = 0;
constexpr Duration kRedialPause = 10ms;
/// etcd sends a proposal to a leader that is gone for good and answers after 7 s; a client that
/// cares gives up sooner. Much longer than a write takes.
constexpr Duration kAnswerLimit = 250ms;
/// For a session with a server that is still looking for its leader.
constexpr Duration kSessionLimit = 1s;
/// The pause is over when writes have gone on for this long.
constexpr Duration kSteady = 2s;
constexpr Duration kWatchedMax = 60s;

/// Overwrites one value over and over; remembers the longest pause between two acknowledgements.
class FailoverLoad final : public Store::Sink {
 public:
  FailoverLoad(PeerBench& bench, Store& store) : bench_(bench), store_(store) {
    store_.set_sink(this);
  }
  void start() { on_ready(kLane); }
  void reset() {
    last_ = bench_.now();
    longest_ = Duration(0);
    acknowledged = 0;
  }
  /// The pause that still runs counts, too.
  Duration longest_gap() { return std::max(longest_, bench_.now() - last_); }
  size_t acknowledged = 0;
  size_t dials = 0;

 private:
  void on_ready(size_t) override {
    for (size_t i = 0; i < kWriters; ++i) write();
  }
  void write() {
    limit_.arm_after(kAnswerLimit);
    store_.write(kLane, 0);
  }
  void on_written(uint64_t) override {
    const Instant now = bench_.now();
    longest_ = std::max(longest_, now - last_);
    last_ = now;
    ++acknowledged;
    write();
  }
  void on_failed(size_t, const std::string&) override {
    limit_.cancel();
    redial_.arm_after(kRedialPause);
  }
  /// The servers in turn.
  void redial() {
    const auto& servers = bench_.parameters().servers;
    limit_.arm_after(kSessionLimit);
    store_.dial(kLane, servers[++dials % servers.size()]);
  }

  PeerBench& bench_;
  Store& store_;
  Instant last_{};
  Duration longest_{0};
  net::Timer redial_{bench_.loop(), [this] { redial(); }};
  net::Timer limit_{bench_.loop(), [this] { redial(); }};
};

}  // namespace

nlohmann::json run_peer_failover(PeerBench& bench) {
  const auto store = bench.open(1);
  store->prepare_values(static_cast<size_t>(bench.parameters().value_bytes));
  FailoverLoad load(bench, *store);
  load.start();
  bench.turn_for(from_ms(static_cast<int64_t>(bench.parameters().warmup_seconds * 1000)));
  load.reset();
  const Instant killed = bench.now();
  ::kill(bench.leader_pid(), SIGKILL);
  Instant steady_since = killed;
  size_t seen = 0;
  while (bench.now() - steady_since < kSteady && bench.now() - killed < kWatchedMax) {
    bench.turn_for(kAnswerLimit);
    if (load.acknowledged == seen) steady_since = bench.now();
    seen = load.acknowledged;
  }
  nlohmann::json result;
  result["longest_gap_ms"] = std::chrono::duration<double, std::milli>(load.longest_gap()).count();
  result["acknowledged_after"] = load.acknowledged;
  result["dials"] = load.dials;
  return result;
}

}  // namespace holdfast::bench
