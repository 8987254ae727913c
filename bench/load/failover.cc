// failover, freeze: how long acknowledged writes pause when the leader dies or falls silent,
// through the client library that users have.
#include <signal.h>

#include "bench/load/load.h"

namespace holdfast::bench {
namespace {

constexpr int kWriters = 4;

/// Republishes one value over and over; remembers the longest pause between two acknowledgements.
class Writer {
 public:
  Writer(Bench& bench, std::shared_ptr<client::SessionCore> session,
         std::shared_ptr<client::Hold> hold, size_t value_bytes)
      : bench_(bench),
        session_(std::move(session)),
        hold_(std::move(hold)),
        value_(value_bytes, 'v') {}

  void start() {
    for (int i = 0; i < kWriters; ++i) write();
  }
  void stop() { running_ = false; }
  void reset() {
    last_ = bench_.loop().clock().now();
    longest_ = Duration(0);
    acknowledged = 0;
  }
  /// The pause that still runs counts, too.
  Duration longest_gap() const { return std::max(longest_, bench_.loop().clock().now() - last_); }
  size_t acknowledged = 0;
  std::string error;

 private:
  void write() {
    session_->set_value(hold_, value_, [this](const client::Outcome<bool>& outcome) {
      if (!outcome) {
        error = outcome.error().message;
        return;
      }
      const Instant now = bench_.loop().clock().now();
      longest_ = std::max(longest_, now - last_);
      last_ = now;
      ++acknowledged;
      if (running_) write();
    });
  }

  Bench& bench_;
  std::shared_ptr<client::SessionCore> session_;
  std::shared_ptr<client::Hold> hold_;
  std::string value_;
  Instant last_{};
  Duration longest_{0};
  bool running_ = true;
};

struct Held {
  std::shared_ptr<client::SessionCore> session;
  std::shared_ptr<client::Hold> hold;
};

Held hold_a_lock(Bench& bench, client::ClientCore& client) {
  Held held;
  client.open_session({.ttl = 30s, .name = "bench"}, [&](auto outcome) {
    if (!outcome) fail("openSession: " + outcome.error().message);
    held.session = *outcome;
  });
  while (held.session == nullptr) bench.loop().turn(1s);
  const std::string path = "/bench/failover-" + std::to_string(held.session->id());
  held.session->acquire(path, {.wait_ms = 0}, [&](auto outcome) {
    if (!outcome || outcome->hold == nullptr) fail(path + " was not granted");
    held.hold = outcome->hold;
  });
  while (held.hold == nullptr) bench.loop().turn(1s);
  return held;
}

}  // namespace

nlohmann::json run_failover(Bench& bench, bool freeze) {
  if (bench.cluster() == nullptr) fail("this profile kills servers: it needs --start_cluster");
  const std::string leader = bench.find_leader();
  client::ClientOptions options;
  options.servers = bench.parameters().servers;
  auto client = client::ClientCore::create(bench.loop(), bench.entropy(), options);
  if (!client) fail(client.error().message);
  const Held held = hold_a_lock(bench, **client);
  Writer writer(bench, held.session, held.hold,
                static_cast<size_t>(bench.parameters().value_bytes));
  writer.start();
  bench.turn_for(1s);
  writer.reset();
  if (freeze) {
    bench.cluster()->signal(leader, SIGSTOP);
  } else {
    bench.cluster()->kill(leader);
  }
  bench.turn_for(4s);
  nlohmann::json result;
  result["longest_gap_ms"] =
      std::chrono::duration<double, std::milli>(writer.longest_gap()).count();
  result["acknowledged_after"] = writer.acknowledged;
  result["lock_kept"] = held.hold->held(bench.loop().clock().now());
  if (!writer.error.empty()) result["error"] = writer.error;
  writer.stop();
  if (freeze) {
    bench.cluster()->signal(leader, SIGCONT);
  } else {
    bench.cluster()->restart(leader);
  }
  bench.turn_for(2s);
  return result;
}

}  // namespace holdfast::bench
