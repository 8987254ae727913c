// One kind of call, over several connections, so many in flight at once: the next is sent as soon
// as one is answered.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/load.h"

namespace holdfast::bench {

template <class Call>
class Pipeline : public client::ReplySink {
 public:
  using Request = typename Call::Request;
  using Result = typename Call::Result;
  /// A connection with the request that is sent over it again and again. Without a session its
  /// commands have no sequence.
  struct Lane {
    std::shared_ptr<client::Connection> connection;
    RawSession session;
    Request request;
  };

  Pipeline(Bench& bench, std::vector<Lane> lanes, int outstanding)
      : bench_(bench), lanes_(std::move(lanes)) {
    for (int i = 0; i < outstanding; ++i) {
      slots_.push_back({static_cast<size_t>(i) % lanes_.size()});
    }
  }
  virtual ~Pipeline() = default;
  void start() {
    for (size_t i = 0; i < slots_.size() && running_; ++i) send(i);
  }
  void stop() {
    running_ = false;
    while (in_flight_ > 0) bench_.loop().turn(1s);
  }
  /// Turns until prepare() has ended it and everything is answered.
  void finish() {
    while (in_flight_ > 0) bench_.loop().turn(1s);
  }
  /// One call, and waits for its answer; not while start() drives the lanes.
  void send_one() {
    running_ = false;
    send(0);
    finish();
  }
  Latencies latencies;

 protected:
  /// Makes the lane's request the next one; false: there is none, which ends it.
  virtual bool prepare(Lane&) { return true; }
  virtual void answered(const Lane&, const Result&, Instant /*sent*/) {}
  Bench& bench() { return bench_; }

 private:
  struct Slot {
    size_t lane;
    int64_t sequence = 0;
    Instant sent{};
  };

  void send(size_t tag) {
    Slot& slot = slots_[tag];
    Lane& lane = lanes_[slot.lane];
    if (!prepare(lane)) {
      running_ = false;
      return;
    }
    if (lane.session.context.sessionId != 0) lane.session.next_command();
    slot.sequence = lane.session.last_sequence;
    slot.sent = bench_.loop().now();
    ++in_flight_;
    lane.connection->template send<Call>(lane.session.context, lane.request, *this, tag);
  }
  void on_reply(uint64_t tag, client::Connection&, client::Reply& reply) override {
    Result result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<Call>(result, error, &failed)) fail("malformed reply");
    if (failed) fail(std::string(Call::kName) + ": " + error.message);
    --in_flight_;
    const Slot& slot = slots_[tag];
    Lane& lane = lanes_[slot.lane];
    if (slot.sequence != 0) lane.session.known.add(slot.sequence);
    latencies.add(bench_.loop().now() - slot.sent);
    answered(lane, result, slot.sent);
    if (running_) send(tag);
  }
  void on_lost(uint64_t, client::Connection&) override { fail("a connection was lost"); }

  Bench& bench_;
  std::vector<Lane> lanes_;
  std::vector<Slot> slots_;
  size_t in_flight_ = 0;
  bool running_ = true;
};

/// Warms up, measures, stops.
template <class Load>
nlohmann::json measure(Bench& bench, Load& load) {
  load.start();
  bench.turn_for(seconds_of(bench.parameters().warmup_seconds));
  load.latencies.clear();
  const auto cpu = bench.cpu();
  const Instant began = bench.loop().clock().now();
  bench.turn_for(seconds_of(bench.parameters().seconds));
  const double seconds = std::chrono::duration<double>(bench.loop().clock().now() - began).count();
  nlohmann::json result;
  bench.add_rates(result, load.latencies.count(), seconds, cpu);
  result["latency"] = load.latencies.summary();
  load.stop();
  return result;
}

}  // namespace holdfast::bench
