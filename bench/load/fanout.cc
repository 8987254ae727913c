// watch: one key is written and very many sessions watch it, or many keys and few sessions each.
#include <unordered_map>

#include "bench/load/pipeline.h"

namespace holdfast::bench {
namespace {

using client::Connection;
using client::Reply;

/// How far each write has come: it is done when the last watcher has it and its own answer, which
/// says which revision it was, is there too.
class Spread {
 public:
  explicit Spread(size_t watchers) : watchers_(watchers) {}
  void written(int64_t revision, Instant sent) {
    One& one = of_[revision];
    one.sent = sent;
    if (one.seen == watchers_) done(revision, one);
  }
  void seen(int64_t revision, Instant now) {
    ++events;
    One& one = of_[revision];
    one.last = now;
    if (++one.seen == watchers_ && one.sent != Instant{}) done(revision, one);
  }
  void clear() {
    events = 0;
    latencies.clear();
  }
  /// Every write was seen by all its watchers.
  bool done() const { return of_.empty(); }
  size_t events = 0;
  Latencies latencies;

 private:
  struct One {
    Instant sent{};
    Instant last{};
    size_t seen = 0;
  };
  void done(int64_t revision, const One& one) {
    latencies.add(one.last - one.sent);
    of_.erase(revision);
  }

  const size_t watchers_;
  std::unordered_map<int64_t, One> of_;
};

/// The paths that are written and watched.
using WatchedPaths = std::vector<std::string>;

/// Writes the keys in turn and says when.
class Writer final : public Pipeline<client::PutKey> {
 public:
  Writer(Bench& bench, std::vector<Lane> lanes, int outstanding, const WatchedPaths& paths,
         Spread& spread)
      : Pipeline(bench, std::move(lanes), outstanding), paths_(paths), spread_(spread) {}

 private:
  bool prepare(Lane& lane) override {
    lane.request.path = paths_[next_++ % paths_.size()];
    return true;
  }
  void answered(const Lane&, const api::PutResult& result, Instant sent) override {
    spread_.written(result.revision, sent);
  }
  const WatchedPaths& paths_;
  size_t next_ = 0;
  Spread& spread_;
};

/// Sessions that each watch one of the keys and poll as the client library does.
class Watchers final : public client::ReplySink {
 public:
  Watchers(Bench& bench, Connections connections, const WatchedPaths& paths, Spread& spread)
      : bench_(bench),
        connections_(std::move(connections)),
        sessions_(bench.open_sessions(connections_, bench.parameters().watchers)),
        paths_(paths),
        spread_(spread) {}
  void start() {
    api::WatchRequest request;
    for (size_t at = 0; at < sessions_.size(); ++at) {
      request.path = paths_[at % paths_.size()];
      connection_of(at).send<client::StartWatch>(sessions_[at].context, request, *this,
                                                 kWatch | at);
    }
    while (standing_ < sessions_.size()) bench_.loop().turn(1s);
    for (size_t at = 0; at < sessions_.size(); ++at) poll(at, 0);
  }
  /// From now on nobody polls again before poll_again(): the generator shares its cores with the
  /// servers, and would otherwise spend the time of one change on the polls for the next.
  void hold_polls() { hold_polls_ = true; }
  void poll_again() {
    for (const Held& held : held_) poll(held.at, held.delivery);
    held_.clear();
  }
  /// What is still under way is dropped.
  void close() {
    for (const auto& connection : connections_) {
      connection->detach();
      connection->close();
    }
  }

 private:
  static constexpr uint64_t kWatch = uint64_t{1} << 32;
  struct Held {
    size_t at;
    int64_t delivery;
  };

  Connection& connection_of(size_t at) { return *connections_[at % connections_.size()]; }
  void poll(size_t at, int64_t delivery) {
    poll_.acknowledgedDelivery = delivery;
    poll_.maxWaitMs = 60'000;
    connection_of(at).send<client::Poll>(sessions_[at].context, poll_, *this, at);
  }
  void on_reply(uint64_t tag, Connection&, Reply& reply) override {
    if ((tag & kWatch) != 0) return stands(reply);
    api::PollResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::Poll>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("poll: " + error.message);
    const Instant now = bench_.loop().now();
    for (const api::WatchDelivery& delivery : result.watches) {
      if (delivery.kind != api::DeliveryKind::EVENTS) fail("a watcher was resynchronised");
      spread_.seen(delivery.revision, now);
    }
    if (hold_polls_ && !result.watches.empty()) {
      held_.push_back({tag, result.delivery});
    } else {
      poll(tag, result.delivery);
    }
  }
  void stands(Reply& reply) {
    api::WatchResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::StartWatch>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("watch: " + error.message);
    ++standing_;
  }
  void on_lost(uint64_t, Connection&) override {}

  Bench& bench_;
  Connections connections_;
  std::vector<RawSession> sessions_;
  const WatchedPaths& paths_;
  Spread& spread_;
  api::PollRequest poll_;
  size_t standing_ = 0;
  bool hold_polls_ = false;
  std::vector<Held> held_;
};

/// Puts back to back for the time of a run.
void write_on(Bench& bench, Writer& writer, Spread& spread, nlohmann::json& result) {
  const Parameters& p = bench.parameters();
  writer.start();
  bench.turn_for(seconds_of(p.warmup_seconds));
  spread.clear();
  writer.latencies.clear();
  const auto cpu = bench.cpu();
  bench.turn_for(seconds_of(p.seconds));
  bench.add_rates(result, spread.events, p.seconds, cpu);
  result["puts"] = {{"per_second", static_cast<double>(writer.latencies.count()) / p.seconds},
                    {"latency", writer.latencies.summary()}};
  writer.stop();
}

/// A put at a time: when all have seen it they poll again, everything rests, and the next follows.
void write_with_rests(Bench& bench, Writer& writer, Watchers& watchers, Spread& spread,
                      nlohmann::json& result) {
  const Parameters& p = bench.parameters();
  watchers.hold_polls();
  const auto write_for = [&](double seconds) {
    const Instant until = bench.loop().clock().now() + seconds_of(seconds);
    while (bench.loop().clock().now() < until) {
      writer.send_one();
      while (!spread.done()) bench.loop().turn(1s);
      watchers.poll_again();
      bench.turn_for(from_ms(p.rest_ms));
    }
  };
  write_for(p.warmup_seconds);
  spread.clear();
  const auto cpu = bench.cpu();
  const Instant began = bench.loop().clock().now();
  write_for(p.seconds);
  const Duration took = bench.loop().clock().now() - began;
  bench.add_rates(result, spread.latencies.count(), std::chrono::duration<double>(took).count(),
                  cpu);
}

}  // namespace

nlohmann::json run_watch(Bench& bench) {
  const Parameters& p = bench.parameters();
  const Connections writers = bench.dial(1);
  Writer::Lane lane{writers[0], bench.open_sessions(writers, 1)[0], {}};
  lane.request.value.assign(static_cast<size_t>(p.value_bytes), 'v');
  WatchedPaths paths;
  const std::string top = "/bench-" + std::to_string(lane.session.context.sessionId) + "-";
  for (int i = 0; i < p.watched_keys; ++i) paths.push_back(top + std::to_string(i));
  Spread spread(static_cast<size_t>(p.watchers / p.watched_keys));
  Watchers watchers(bench, bench.dial_spread(p.connections, p.spread), paths, spread);
  MemoryGrowth growth(bench);
  watchers.start();
  nlohmann::json result;
  const double per_watcher = growth.per(p.watchers);
  if (bench.cluster() != nullptr) result["servers_memory_bytes_per_watcher"] = per_watcher;
  Writer writer(bench, {lane}, p.outstanding, paths, spread);
  if (p.rest_ms > 0) {
    write_with_rests(bench, writer, watchers, spread, result);
  } else {
    write_on(bench, writer, spread, result);
  }
  result["until_the_last_watcher"] = spread.latencies.summary();
  watchers.close();
  return result;
}

}  // namespace holdfast::bench
