#include "coordinator/server/server.h"

#include <glog/logging.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/byte_text.h"
#include "base/net/listener.h"
#include "coordinator/server/alarms.h"
#include "coordinator/server/first_entry.h"
#include "coordinator/server/initial_cluster.h"
#include "coordinator/server/io_port.h"
#include "coordinator/server/process_limits.h"
#include "coordinator/server/rpc_port.h"

namespace holdfast::server {

namespace {

constexpr uint32_t kAdminTag = 0;
constexpr uint32_t kClientTag = 1;  // and what follows, for I/O threads
constexpr Duration kMetricsEvery = 1s;
/// A dead client's sessions end by their leases; its connections only take room.
constexpr Duration kClientDeadAfter = 60s;
constexpr Duration kDrainStep = 10ms;
constexpr Duration kReplayToldEvery = 1s;
/// Leases reckon with shorter ones too, but on a busy machine they are nothing to be warned of.
constexpr Duration kLongGap = 250ms;
/// Of entries that a turn applies: some milliseconds, far less than what counts as a pause.
constexpr size_t kBacklogPartBytes = 256 << 10;

std::string or_else(const std::string& text, const net::Address& listen, uint16_t port) {
  return text.empty() ? net::to_string({listen.host, port}) : text;
}

raft::Config raft_config(const ServerOptions& options) {
  raft::Config config;
  config.id = options.node_id;
  config.heartbeat_interval = from_ms(options.heartbeat_ms);
  config.election_timeout_min = from_ms(options.election_timeout_min_ms);
  config.election_timeout_max = from_ms(options.election_timeout_max_ms);
  config.pre_vote = options.pre_vote;
  config.check_quorum = options.check_quorum;
  config.fast_failover = options.fast_failover;
  config.max_uncommitted_bytes = options.max_uncommitted_bytes;
  config.max_committed_bytes = kBacklogPartBytes;
  return config;
}

/// What all servers must have alike, by name ascending.
std::vector<raft::AgreedFlag> agreed_flags(const ServerOptions& options) {
  return {{"check_quorum", options.check_quorum ? "true" : "false"},
          {"clock_drift_permille", std::to_string(options.clock_drift_permille)},
          {"election_timeout_max_ms", std::to_string(options.election_timeout_max_ms)},
          {"election_timeout_min_ms", std::to_string(options.election_timeout_min_ms)},
          {"fast_failover", options.fast_failover ? "true" : "false"},
          {"heartbeat_ms", std::to_string(options.heartbeat_ms)},
          {"pre_vote", options.pre_vote ? "true" : "false"},
          {"session_ttl_min_ms", std::to_string(options.session_ttl_min_ms)}};
}

}  // namespace

Server::Server(const ServerOptions& options)
    : options_(options),
      loop_(clock_),
      unformed_admin_(*this, UnformedCalls::Asker::kOperator, [this] { return unformed(); }),
      unformed_clients_(*this, UnformedCalls::Asker::kClient, [this] { return unformed(); }),
      wakeup_(loop_, [] {}),  // the end of the turn does the work
      drain_timer_(loop_, [this] { drain_step(); }),
      wait_log_([](const std::string& line) { LOG(INFO) << line; }),
      alarm_log_([](const std::string& line) { LOG(WARNING) << line; }),
      alarm_timer_(loop_, [this] { log_alarms(); }),
      started_unix_ms_(clock_.wall_unix_ms()) {}

Server::~Server() {
  turn_hook_ = {};
  drop_engine();
}

std::optional<Failure> Server::start() {
  signals_ = std::make_unique<net::SignalWatcher>(loop_, std::vector<int>{SIGTERM, SIGINT},
                                                  [this](int signal) { on_signal(signal); });
  if (auto failed = check_can_listen()) return failed;
  if (auto failed = open_storage()) return failed;
  if (auto failed = open_ports(options_.client_listen, options_.admin_listen)) return failed;
  if (auto failed = open_http()) return failed;
  if (auto failed = open_transport()) return failed;
  gap_hook_ = loop_.on_gap([this](Duration gap) { note_gap(gap); });
  turn_hook_ = loop_.on_turn_end(0, [this] { turn_end(); });
  alarm_timer_.arm_every(AlarmLog::kLookEvery);

  const auto genesis = find_genesis(*directory_, !snapshots_->empty(), *log_);
  if (!genesis.ok()) return failure_of(genesis.error());
  if (*genesis) {
    if (auto failed = begin_again(**genesis)) return failed;
  } else if (options_.bootstrap) {
    begin_bootstrap();
  } else if (!options_.join.empty()) {
    begin_join();
  } else {
    LOG(INFO) << "the data directory is empty: " << waits_for_;
  }
  return failure_;
}

// A first start writes who this server is, for good. One that cannot listen may have been given
// wrong flags, the node id among them: it leaves nothing behind that contradicts the right ones.
std::optional<Failure> Server::check_can_listen() {
  if (raft::read_identity(files_, options_.data_dir).ok()) return std::nullopt;
  std::vector<std::unique_ptr<net::Listener>> all;
  for (const net::Address* address : {&options_.client_listen, &options_.admin_listen,
                                      &options_.http_listen, &options_.peer_listen}) {
    auto listener = net::Listener::open(loop_, *address, [](net::Socket, const net::Address&) {});
    if (!listener.ok()) return Failure{ExitCode::kPortTaken, listener.error().message};
    all.push_back(std::move(*listener));
  }
  return std::nullopt;
}

std::optional<Failure> Server::open_ports(const net::Address& client, const net::Address& admin) {
  RpcPortOptions clients;
  clients.tag = kClientTag;
  clients.address = client;
  clients.max_connections = options_.max_client_connections;
  clients.descriptors_kept = net::kDescriptorsKept + kDescriptorsKeptForOperators;
  clients.max_calls_per_connection = options_.max_calls_per_connection;
  clients.frames.max_frame_bytes = options_.max_frame_bytes;
  clients.frames.frame_timeout = from_ms(options_.frame_timeout_ms);
  clients.frames.idle_timeout = from_ms(options_.idle_timeout_ms);
  clients.frames.dead_after = kClientDeadAfter;
  RpcPortOptions admins = clients;
  admins.tag = kAdminTag;
  admins.address = admin;
  admins.descriptors_kept = net::kDescriptorsKept;
  std::optional<Failure> taken;
  auto no_thread = with_threads([&] {
    auto client_port = open_client_port(clients);
    if (client_port.ok()) {
      client_port_ = std::move(*client_port);
    } else {
      taken = Failure{ExitCode::kPortTaken, client_port.error().message};
    }
  });
  if (no_thread) return no_thread;
  if (taken) return taken;
  auto admin_port = RpcPort::open(loop_, admins, admin_methods());
  if (!admin_port.ok()) return Failure{ExitCode::kPortTaken, admin_port.error().message};
  admin_port_ = std::move(*admin_port);
  admin_port_->serve_unformed(unformed_admin_);
  client_port_->serve_unformed(unformed_clients_);
  return std::nullopt;
}

std::optional<Failure> Server::open_http() {
  auto http = net::HttpServer::open(
      loop_, options_.http_listen, [this](const std::string& path) { return this->http(path); },
      net::kDescriptorsKept);
  if (!http.ok()) return Failure{ExitCode::kPortTaken, http.error().message};
  http_ = std::move(*http);
  return std::nullopt;
}

Result<std::unique_ptr<Port>> Server::open_client_port(const RpcPortOptions& options) {
  if (options_.io_threads == 0) {
    auto port = RpcPort::open(loop_, options, client_methods());
    if (!port.ok()) return port.error();
    return std::unique_ptr<Port>(std::move(*port));
  }
  auto port =
      IoPort::open(loop_, options, client_methods(), static_cast<size_t>(options_.io_threads));
  if (!port.ok()) return port.error();
  return std::unique_ptr<Port>(std::move(*port));
}

std::optional<Failure> Server::with_threads(const std::function<void()>& begin) {
  try {
    begin();
    return std::nullopt;
  } catch (const std::system_error& error) {
    return Failure{ExitCode::kBadFlag, no_thread(error)};
  }
}

raft::PeerIdentity Server::identity() const {
  raft::PeerIdentity self;
  self.node = options_.node_id;
  self.store = directory_->store();
  self.peer_address =
      or_else(options_.peer_advertise, options_.peer_listen, options_.peer_listen.port);
  self.client_address =
      or_else(options_.client_advertise, options_.client_listen, client_port_->port());
  self.feature_level = rsm::kFeatureLevel;
  return self;
}

std::optional<Failure> Server::open_transport() {
  raft::TransportOptions options;
  options.listen = options_.peer_listen;
  options.must_agree = agreed_flags(options_);
  options.listed = listed_ids(options_);
  options.bootstraps = options_.bootstrap;
  options.joins = !options_.join.empty();
  options.log = [](const std::string& line) { LOG(WARNING) << line; };
  options.note = [](const std::string& line) { LOG(INFO) << line; };
  auto transport = raft::TcpTransport::open(loop_, entropy_, options, identity(), *this, *this);
  if (!transport.ok()) return Failure{ExitCode::kPortTaken, transport.error().message};
  transport_ = std::move(*transport);
  return std::nullopt;
}

// ------------------------------------------------------------------------------- the first entry

void Server::begin_bootstrap() {
  raft::BootstrapOptions options;
  options.self = transport_->self();
  for (const InitialMember& member : options_.initial_cluster) {
    if (member.id != options_.node_id) options.others.push_back({member.id, member.peer, {}});
  }
  options.log = [this](const std::string& line) {
    wait_log_.waits(loop_.now(), line);
    waits_because(line);
  };
  bootstrapper_ = std::make_unique<raft::Bootstrapper>(
      loop_, entropy_, std::move(options), [this](Result<raft::Genesis> genesis) {
        if (!genesis.ok()) {
          const bool list = genesis.error().code == ErrorCode::kBadArgument;
          return stop_with(
              {list ? ExitCode::kBadFlag : ExitCode::kWrongDirectory, genesis.error().message});
        }
        const std::string bytes = raft::encode_genesis(*genesis);
        const Status written = write_genesis(*log_, bytes);
        if (!written.ok()) return stop_with(failure_of(written.error()));
        if (auto failed = begin_serving(bytes)) stop_with(std::move(*failed));
      });
}

void Server::take_genesis(raft::Genesis genesis, std::string bytes,
                          std::function<void(Status)> done) {
  // Before it is written: a directory belongs to its cluster for good.
  if (const auto why = why_not_taken(genesis)) {
    LOG(WARNING) << *why;
    waits_because(*why);
    return done(Error{ErrorCode::kBadArgument, *why});
  }
  bootstrapper_.reset();  // another server that has --bootstrap too was first
  joiner_.reset();
  std::optional<Failure> failed;
  if (const Status written = write_genesis(*log_, bytes); written.ok()) {
    failed = begin_serving(bytes);
  } else {
    failed = failure_of(written.error());
  }
  // One that serves has told the transport which cluster it is of; one that does not ends.
  done(failed ? Status(Error{ErrorCode::kInternal, failed->message}) : ok_status());
  if (failed) stop_with(std::move(*failed));
}

std::optional<std::string> Server::why_not_taken(const raft::Genesis& genesis) const {
  const std::string begins = "not taken: entry 1 of ";
  if (const auto other = contradiction(options_, genesis, genesis.configuration)) {
    return begins + *other;
  }
  if (!joiner_) return {};
  const auto other = joiner_->contradiction(genesis.cluster);
  if (!other) return {};
  return begins + "cluster " + std::to_string(genesis.cluster.value) + ": " + *other;
}

EngineOptions Server::engine_options(const raft::Configuration& latest) const {
  EngineOptions options;
  options.self = options_.node_id;
  options.cluster = genesis_.cluster;
  options.store = directory_->store();
  options.members = latest.members;
  options.raft = raft_config(options_);
  options.drift_ppm = static_cast<uint32_t>(options_.clock_drift_permille * 1'000);
  options.session_ttl_min_ms = options_.session_ttl_min_ms;
  options.max_pending_commands = options_.max_pending_commands;
  options.max_pending_reads = options_.max_pending_reads;
  options.max_parked_calls = options_.max_parked_calls;
  options.max_watches_per_session = options_.max_watches_per_session;
  options.history_bytes = options_.history_bytes;
  options.history_events = options_.history_events;
  options.snapshot_log_bytes = options_.snapshot_log_bytes;
  options.snapshot_interval = from_ms(options_.snapshot_interval_s * 1'000);
  options.snapshot_send_bytes_s = static_cast<uint64_t>(options_.snapshot_send_mib_s) << 20;
  return options;
}

// ----------------------------------------------------------------------------------- running

std::optional<Failure> Server::run() {
  while (!failure_ && !ends_) {
    if (!std::exchange(load_wanted_, false)) {
      loop_.run();
    } else if (auto failed = load()) {
      stop_with(std::move(*failed));
    }
  }
  return failure_;
}

void Server::turn_end() {
  if (failure_) return;
  if (voter_) {
    if (voter_->turn_end()) loop_.again();
    return arm_wakeup(voter_->next_wakeup());
  }
  if (seeker_) seek_turn();
  if (!engine_) return;
  if (closing_ && client_port_->closing_done()) end();
  const Instant here = loop_.input_left() ? loop_.handled_until() : Instant::max();
  if (engine_->turn_end(std::min(here, client_port_->handled_until()))) loop_.again();
  if (const auto moment = engine_->undecided()) {
    loop_.ask_handled_until(*moment);
    client_port_->ask_handled_until(*moment);
  }
  if (reader_->failure()) stop_with(failure_of(*reader_->failure()));
  if (retired_) return arm_wakeup(engine_->next_wakeup());
  if (auto state = engine_->take_received_state()) return put_in_force(std::move(*state));
  // One that removed itself leads until it has handed over.
  if (!removed_.empty() && engine_->host().soft.role != raft::Role::kLeader) retire();
  log_role();
  log_replay();
  arm_wakeup(engine_->next_wakeup());
}

// What it took to load a state and to begin to serve it is no pause: nothing was promised before.
void Server::note_gap(Duration gap) {
  if (voter_) return voter_->on_pause(gap);
  if (!engine_) return;
  gap = std::min(gap, loop_.now() - serving_since_);
  if (gap <= net::LoopOptions{}.gap_threshold) return;
  const std::string what = "the loop did not turn for " + std::to_string(to_ms(gap)) +
                           " ms: the process was stopped or had no processor, or one turn was long";
  if (gap < kLongGap) {
    LOG(INFO) << what;
  } else {
    LOG(WARNING) << what;
  }
  engine_->on_pause(gap);
}

void Server::arm_wakeup(Instant next) {
  if (next == Instant::max()) return wakeup_.cancel();
  if (!wakeup_.armed() || wakeup_.deadline() != next) wakeup_.arm(next);
}

void Server::log_role() {
  const raft::SoftState& soft = engine_->host().soft;
  if (soft == told_) return;
  told_ = soft;
  LOG(INFO) << "term " << soft.term << ": " << raft::role_name(soft.role) << ", leader is "
            << (soft.leader ? std::to_string(soft.leader.value) : "not known");
}

std::string Server::replay_text() const {
  return "node " + std::to_string(options_.node_id.value) + " replays its log: entry " +
         std::to_string(engine_->host().applied.value) + " of " +
         std::to_string(engine_->replay_through().value);
}

// What is done within a second needs no word, nor does standing still: without a leader nobody
// knows what of the log is committed.
void Server::log_replay() {
  const Instant now = loop_.now();
  const LogIndex applied = engine_->host().applied;
  if (engine_->replays()) {
    if (now < std::max(replay_told_, serving_since_) + kReplayToldEvery) return;
    replay_told_ = now;
    if (applied != std::exchange(replayed_, applied)) LOG(INFO) << replay_text();
  } else if (std::exchange(replayed_, LogIndex()) != LogIndex()) {
    LOG(INFO) << "the log is replayed to entry " << applied;
  }
}

void Server::stop_with(Failure failure) {
  if (failure_) return;
  failure_ = std::move(failure);
  loop_.stop();
}

void Server::end() {
  ends_ = true;
  loop_.stop();
}

void Server::on_signal(int signal) {
  LOG(INFO) << "signal " << signal << ": stopping";
  if (draining_ || retired_ || !engine_) return end();  // a second signal does not wait
  draining_ = true;
  drain_until_ = clock_.now() + from_ms(options_.drain_ms);
  client_port_->stop_accepting();
  engine_->begin_drain();
  drain_timer_.arm_every(kDrainStep);
}

void Server::drain_step() {
  if (!engine_->drained() && clock_.now() < drain_until_) return;
  drain_timer_.cancel();
  if (const uint64_t left = engine_->snapshots().waiting_bytes(); left > 0) {
    LOG(INFO) << "the snapshot has not taken the last " << byte_text(left)
              << " of the log: the next start replays them";
  }
  engine_->finish_drain();
  client_port_->close_all_after_flush();
  closing_ = true;
}

void Server::on_message(raft::Message&& message) {
  if (voter_) return voter_->receive(std::move(message));
  if (engine_) engine_->on_message(std::move(message));
}

void Server::on_app(NodeId from, uint8_t kind, std::string_view payload) {
  if (engine_) return engine_->on_app(from, kind, payload);
  if (seeker_ && kind == static_cast<uint8_t>(PeerKind::kSnapshotPiece)) {
    seeker_->receive(from, payload);
  }
}

// The transport has logged what is worth it, once: a refused peer dials again and again.
void Server::on_peer_event(NodeId peer, raft::PeerEvent event, const std::string& detail) {
  if (event == raft::PeerEvent::kRemoved) told_removed(detail);
  if (voter_) return voter_->on_peer_event(peer, event);
  if (engine_) return engine_->on_peer_event(peer, event);
  waits_because(detail);
}

void Server::complete(CallId call, const ReplyView& reply) { port_of(call).complete(call, reply); }

void Server::fail(CallId call, const api::HoldfastError& error) { port_of(call).fail(call, error); }

uint64_t Server::client_of(CallId call) const { return port_of(call).client_of(call); }

Port& Server::port_of(CallId call) const {
  return call.port == kAdminTag ? *admin_port_ : *client_port_;
}

// ------------------------------------------------------------------------------ for operators

std::vector<api::PeerConnection> Server::connections() const {
  std::vector<api::PeerConnection> out;
  for (const raft::PeerLink& peer : transport_->peers()) {
    api::PeerConnection connection;
    connection.nodeId = static_cast<int32_t>(peer.id.value);
    connection.address = net::to_string(peer.address);
    connection.connected = peer.control_up && peer.bulk_up;
    connection.lastError = peer.last_problem;
    out.push_back(std::move(connection));
  }
  return out;
}

bool Server::unreached() const {
  const Host& host = engine_->host();
  const bool waits = host.leaderless_since && loop_.now() - *host.leaderless_since < kNoLeaderAlarm;
  return !waits && not_found_by_others(options_.node_id, host.soft.leader, transport_->peers());
}

std::vector<api::Alarm> Server::alarms() const {
  std::vector<api::Alarm> out;
  const NodeId self = options_.node_id;
  if (retired_) out.push_back(make_alarm("REMOVED", self, removed_));
  for (const raft::PeerLink& peer : transport_->peers()) {
    add_twice_alarm(peer, out);
    if (peer.refusal.empty()) continue;
    out.push_back(make_alarm("PEER_REFUSED", peer.id,
                             "node " + std::to_string(peer.id.value) + " at " +
                                 net::to_string(peer.address) + " takes no part: " + peer.refusal));
  }
  if (unreached()) {
    add_address_alarm(engine_->host().member(self), transport_->self().peer_address, out);
  }
  add_snapshot_alarms(engine_->snapshots(), snapshots_->path(), self, out);
  add_room_alarms(engine_->room(), self, out);
  add_slow_disk_alarm(writer_->stats(), self, options_.slow_sync_ms, out);
  return out;
}

void Server::log_alarms() {
  if (engine_) alarm_log_.look(loop_.now(), engine_->alarms());
}

void Server::waits_because(const std::string& line) {
  if (!engine_) waits_for_ = line;
}

std::string Server::why_unformed() const {
  if (retired_) return removed_;
  if (seeker_) {
    const std::string progress = seeker_->progress();
    return "node " + std::to_string(options_.node_id.value) +
           " has lost its state and gets it from another server: " +
           (progress.empty() ? "none was found yet that has it" : progress);
  }
  const std::string node = "node " + std::to_string(options_.node_id.value);
  if (voter_) return node + " loads its state, and votes meanwhile: " + waits_for_;
  if (join_check_) {
    return node + " starts, and asks the servers of --join whether they are of its cluster, " +
           std::to_string(genesis_.cluster.value);
  }
  return node + " is not in a cluster yet: " + waits_for_;
}

// One that asks whether it is of its cluster may learn that it is not, and one that was removed has
// none any more: nobody is to wait for these.
Unformed Server::unformed() const {
  return {why_unformed(), retired_ || join_check_ ? ClusterId() : genesis_.cluster};
}

// In the words of the alarm that comes of it after a while.
std::string Server::why_not_ready() const {
  const Host& host = engine_->host();
  const std::string progress = engine_->snapshot_progress();
  if (host.soft.leader && progress.empty() && engine_->replays()) return replay_text();
  const std::string more = progress.empty() ? "" : ": " + progress;
  if (host.soft.leader) return catching_up_text(options_.node_id, host.soft.leader) + more;
  const Duration without = loop_.now() - host.leaderless_since.value_or(loop_.now());
  return no_leader_text(options_.node_id, without, engine_->node().core().configuration().voters,
                        connections()) +
         more;
}

net::HttpResponse Server::readiness() const {
  if (!engine_) return {503, "text/plain; charset=utf-8", why_unformed() + "\n"};
  if (retired_) return {503, "text/plain; charset=utf-8", removed_ + "\n"};
  if (draining_) return {503, "text/plain; charset=utf-8", "stopping\n"};
  if (!engine_->quarantine().empty()) {
    return {503, "text/plain; charset=utf-8", "quarantined: " + engine_->quarantine() + "\n"};
  }
  if (!engine_->ready()) {
    return {503, "text/plain; charset=utf-8", why_not_ready() + "\n"};
  }
  return {200, "text/plain; charset=utf-8", "ready\n"};
}

// Whoever asks more often than once a second is given the same reading.
const std::string& Server::metrics() {
  if (!metrics_.empty() && loop_.now() - metrics_taken_ < kMetricsEvery) return metrics_;
  MetricSources sources{.engine = engine_.get(), .loop = loop_.stats()};
  sources.clients = client_port_->stats();
  sources.client_connections = client_port_->connections();
  sources.admins = admin_port_->stats();
  sources.admin_connections = admin_port_->connections();
  sources.peers = transport_->peers();
  if (writer_ != nullptr) {
    sources.log = writer_->stats();
    sources.log_waiting_bytes = writer_->waiting_bytes();
    const raft::LogSpace space = log_->space();
    sources.log_bytes = space.bytes;
    sources.log_segments_ready = space.segments_ready;
  }
  sources.states_received = states_received_;
  sources.started_unix_ms = started_unix_ms_;
  metrics_ = metrics_text(sources);
  metrics_taken_ = loop_.now();
  return metrics_;
}

net::HttpResponse Server::http(const std::string& path) {
  if (path == "/health") return {200, "text/plain; charset=utf-8", "alive\n"};
  if (path == "/ready") return readiness();
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics()};
  return {404, "text/plain; charset=utf-8", "there are /health, /ready and /metrics\n"};
}

}  // namespace holdfast::server
