#include "bench/load/load.h"

#include <algorithm>

namespace holdfast::bench {
namespace {

/// Longer than it takes a slow machine to load a million keys and to go through a profile.
constexpr int64_t kTtlMs = 900'000;

/// Opens many sessions, some hundred in flight.
class Opener final : public client::ReplySink {
 public:
  Opener(Entropy& entropy, std::vector<RawSession>& sessions)
      : entropy_(entropy), sessions_(sessions) {}

  void open(client::Connection& connection) {
    api::OpenSessionRequest request;
    request.ttlMs = kTtlMs;
    request.name = "bench";
    request.secret.resize(16);
    entropy_.fill(request.secret.data(), request.secret.size());
    RawSession& session = sessions_[started_];
    session.context.sessionSecret = request.secret;
    connection.send<client::OpenSession>({}, request, *this, started_++);
  }
  size_t started() const { return started_; }
  size_t opened() const { return opened_; }

 private:
  void on_reply(uint64_t tag, client::Connection&, client::Reply& reply) override {
    api::OpenSessionResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::OpenSession>(result, error, &failed)) fail("malformed reply");
    if (failed) fail("openSession: " + error.message);
    sessions_[tag].context.sessionId = result.sessionId;
    ++opened_;
  }
  void on_lost(uint64_t, client::Connection&) override { fail("a connection was lost"); }

  Entropy& entropy_;
  std::vector<RawSession>& sessions_;
  size_t started_ = 0;
  size_t opened_ = 0;
};

/// Waits for one acquire.
class OneAcquire final : public client::ReplySink {
 public:
  std::optional<api::AcquireResult> result;

 private:
  void on_reply(uint64_t, client::Connection&, client::Reply& reply) override {
    api::AcquireResult got;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<client::Acquire>(got, error, &failed)) fail("malformed reply");
    if (failed) fail("acquire: " + error.message);
    result = got;
  }
  void on_lost(uint64_t, client::Connection&) override { fail("a connection was lost"); }
};

}  // namespace

void RawSession::next_command() {
  // Beyond these, ranges are told by later commands.
  constexpr size_t kRangesMax = 16;
  context.sequence = ++last_sequence;
  const auto& ranges = known.ranges();
  context.acknowledged.resize(std::min(ranges.size(), kRangesMax));
  for (size_t i = 0; i < context.acknowledged.size(); ++i) {
    context.acknowledged[i].first = ranges[i].first;
    context.acknowledged[i].last = ranges[i].last;
  }
}

Bench::Bench(const Parameters& parameters, Cluster* cluster)
    : parameters_(parameters), cluster_(cluster) {}

void Bench::on_connection_closed(client::Connection&, const std::string& why) {
  fail("connection lost: " + why);
}

std::string Bench::find_leader() {
  client::ClientOptions options;
  options.servers = parameters_.servers;
  options.call_timeout = 30s;
  auto core = client::ClientCore::create(loop_, entropy_, options);
  if (!core) fail(core.error().message);
  bool answered = false;
  (*core)->read<client::ListLocks>({}, [&](const auto& outcome, const auto&) {
    if (!outcome) fail("no leader: " + outcome.error().message);
    answered = true;
  });
  while (!answered) loop_.turn(1s);
  const client::Server* leader = (*core)->pool().leader();
  if (leader == nullptr) fail("the servers name no leader");
  return leader->name;
}

Connections Bench::dial(int count, const std::string& address) {
  const auto to = net::parse_address(address.empty() ? find_leader() : address);
  if (!to) fail(to.error().message);
  Connections connections;
  for (int i = 0; i < count; ++i) {
    client::ConnectionOptions options;
    options.frames.connect_timeout = 10s;
    options.frames.dead_after = 60s;  // all of them are on one machine here
    connections.push_back(client::Connection::dial(loop_, *to, options, this));
    // Not more in one turn than a listener's backlog takes.
    if (i % 256 == 255) {
      while (!connections.back()->opened()) loop_.turn(10ms);
    }
  }
  return connections;
}

Connections Bench::dial_spread(int count, bool spread) {
  if (!spread) return dial(count);
  Connections all;
  const auto& servers = parameters_.servers;
  const auto parts = static_cast<int>(servers.size());
  for (int i = 0; i < parts; ++i) {
    const int share = count / parts + (i < count % parts ? 1 : 0);
    for (auto& connection : dial(share, servers[static_cast<size_t>(i)])) {
      all.push_back(std::move(connection));
    }
  }
  return all;
}

std::vector<RawSession> Bench::open_sessions(const Connections& connections, int count) {
  constexpr size_t kInFlight = 512;
  std::vector<RawSession> sessions(static_cast<size_t>(count));
  Opener opener(entropy_, sessions);
  while (opener.opened() < sessions.size()) {
    while (opener.started() < sessions.size() && opener.started() - opener.opened() < kInFlight) {
      opener.open(*connections[opener.started() % connections.size()]);
    }
    loop_.turn(1s);
  }
  return sessions;
}

void Bench::acquire(client::Connection& connection, RawSession& session, const std::string& path) {
  OneAcquire sink;
  api::AcquireRequest request;
  request.path = path;
  request.waitMs = 0;
  session.next_command();
  connection.send<client::Acquire>(session.context, request, sink, 0);
  while (!sink.result) loop_.turn(1s);
  if (sink.result->status != api::AcquireStatus::GRANTED) fail(path + " is held by others");
  session.holder_id = sink.result->holderId;
  session.known.add(session.last_sequence);
}

void Bench::turn_for(Duration time) {
  const Instant end = clock_.now() + time;
  while (clock_.now() < end) loop_.turn(std::min<Duration>(end - clock_.now(), 10ms));
}

double Bench::wait_for_rest() {
  if (cluster_ == nullptr) return 0;
  constexpr double kIdleCores = 0.05;  // heartbeats, ticks and timers of all servers together
  constexpr int kSecondsInARow = 3;
  constexpr auto kPatience = 300s;
  const Instant began = clock_.now();
  for (int quiet = 0; quiet < kSecondsInARow;) {
    if (clock_.now() - began > kPatience) fail("the servers are still busy after 300 s");
    const Instant from = clock_.now();
    const double before = cpu().first;
    turn_for(1s);
    const double cores =
        (cpu().first - before) / std::chrono::duration<double>(clock_.now() - from).count();
    quiet = cores < kIdleCores ? quiet + 1 : 0;
  }
  return std::chrono::duration<double>(clock_.now() - began).count();
}

int64_t Bench::memory_bytes() const {
  return cluster_ != nullptr ? cluster_->total_memory_bytes() : 0;
}

std::pair<double, double> Bench::cpu() const {
  return {cluster_ != nullptr ? cluster_->total_cpu_seconds() : 0, cpu_seconds(0)};
}

void Bench::add_rates(nlohmann::json& result, size_t operations, double seconds,
                      std::pair<double, double> before) const {
  const auto [servers, generator] = cpu();
  const std::pair<double, double> spent{servers - before.first, generator - before.second};
  bench::add_rates(result, operations, seconds, spent, cluster_ != nullptr);
}

}  // namespace holdfast::bench
