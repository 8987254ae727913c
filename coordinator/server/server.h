// A server process, wired together: data directory, log, ports, transport, engine, on one loop
// thread beside the log's own and those of --io_threads. Everything that decides anything is
// elsewhere.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/net/http_server.h"
#include "base/net/loop.h"
#include "base/net/signal_watcher.h"
#include "base/net/timer.h"
#include "coordinator/loading/quarantine_file.h"
#include "coordinator/server/alarm_log.h"
#include "coordinator/server/engine.h"
#include "coordinator/server/join_check.h"
#include "coordinator/server/joiner.h"
#include "coordinator/server/metrics.h"
#include "coordinator/server/options.h"
#include "coordinator/server/port.h"
#include "coordinator/server/rpc_port.h"
#include "coordinator/server/snapshot_fetch.h"
#include "coordinator/server/stored_state.h"
#include "coordinator/server/unformed_calls.h"
#include "coordinator/server/voter.h"
#include "coordinator/server/wait_log.h"
#include "coordinator/snapshot/background.h"
#include "coordinator/snapshot/paced_vfs.h"
#include "coordinator/snapshot/threaded_span_writer.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_store.h"
#include "raft/storage/posix_file_system.h"
#include "raft/storage/threaded_log_writer.h"
#include "raft/storage/threaded_room_keeper.h"
#include "raft/transport/bootstrap.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::server {

/// Why the process ends, when it is not by its own wish.
struct Failure {
  ExitCode code = ExitCode::kInternal;
  std::string message;
};
Failure failure_of(const Error& error);

class Server final : raft::TransportHandler, raft::GenesisTaker, ReplySink {
 public:
  explicit Server(const ServerOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Opens the directory and the ports, and forms or joins the cluster as far as that needs nobody.
  std::optional<Failure> start();
  /// Serves until SIGTERM, SIGINT or a failure.
  std::optional<Failure> run();
  /// Where clients are served, with the port the kernel chose; after start().
  uint16_t client_port() const { return client_port_->port(); }

 private:
  // raft::TransportHandler
  void on_message(raft::Message&& message) override;
  void on_app(NodeId from, uint8_t kind, std::string_view payload) override;
  void on_peer_event(NodeId peer, raft::PeerEvent event, const std::string& detail) override;
  // raft::GenesisTaker
  void take_genesis(raft::Genesis genesis, std::string bytes,
                    std::function<void(Status)> done) override;
  // ReplySink: to the port that the call came in by.
  void complete(CallId call, const ReplyView& reply) override;
  void fail(CallId call, const api::HoldfastError& error) override;
  uint64_t client_of(CallId call) const override;
  Port& port_of(CallId call) const;

  std::optional<Failure> check_can_listen();
  std::optional<Failure> open_storage();
  std::optional<Failure> open_ports(const net::Address& client, const net::Address& admin);
  std::optional<Failure> open_http();
  Result<std::unique_ptr<Port>> open_client_port(const RpcPortOptions& options);
  std::optional<Failure> open_transport();
  /// Calls what begins threads. That the system gives none is no bug of this program.
  static std::optional<Failure> with_threads(const std::function<void()>& begin);
  raft::PeerIdentity identity() const;
  void begin_bootstrap();
  void begin_join();
  /// Of a server that belongs to the cluster of this entry 1 already.
  std::optional<Failure> begin_again(const std::string& genesis);
  void check_join();
  std::optional<std::string> why_not_taken(const raft::Genesis& genesis) const;
  /// Why this server must not serve as a member of this cluster, whose configuration is `latest` as
  /// far as its log goes.
  std::optional<Failure> check_belonging(const raft::Configuration& latest) const;
  EngineOptions engine_options(const raft::Configuration& latest) const;

  // The members, as they change (server_members.cc).
  MemberPorts member_ports();
  void identify(const std::string& address, MemberPorts::Identified done);
  void reach(const Reach& reach);
  void note_removed(const std::string& how);
  void told_removed(const std::string& how);
  void retire();

  // The state on disk and the engine above it (server_storage.cc).
  Result<ClusterId> known_cluster() const;
  std::optional<Failure> open_log();
  std::optional<Failure> open_snapshots();
  std::optional<Failure> know_genesis(const std::string& bytes);
  std::optional<Failure> begin_serving(const std::string& genesis);
  std::optional<Failure> load_and_serve();
  std::optional<Failure> vote_meanwhile(const StatePlace& place);
  std::optional<Failure> load();
  std::optional<Failure> begin_with(Result<StoredState> state);
  bool turn_while_loading();
  std::optional<Failure> go_on_from(StoredState state, const StatePlace& place);
  std::optional<Failure> reopen_log();
  /// Peers are dialled, and may ask.
  void join();
  std::optional<Failure> serve(StoredState state, Result<raft::InitialState> initial);
  std::optional<Failure> begin_log_threads(uint64_t snapshot_bytes);
  std::optional<Failure> begin_threads(uint64_t snapshot_bytes);
  LogBudget::Limits log_room() const;
  RoomPorts room_ports();
  StoredStateQuestion question();
  SnapshotPorts snapshot_ports();
  void drop_engine();
  void put_in_force(StoredState state);
  std::optional<Failure> replace_state(StoredState state);
  // Its quarantine (server_quarantine.cc).
  loading::QuarantineFile quarantine_file();
  QuarantinePorts quarantine_ports();
  /// Another state takes the place of the quarantined one, which is set aside.
  Status end_quarantine();
  std::optional<Failure> seek_state();
  void seek_turn();

  void turn_end();
  void note_gap(Duration gap);
  void arm_wakeup(Instant next);
  void on_signal(int signal);
  void drain_step();
  void stop_with(Failure failure);
  void end();
  net::HttpResponse http(const std::string& path);
  net::HttpResponse readiness() const;
  const std::string& metrics();
  std::vector<api::PeerConnection> connections() const;
  /// No other server has found this one for a while.
  bool unreached() const;
  std::vector<api::Alarm> alarms() const;
  void log_alarms();
  /// What keeps this server from being part of a cluster, as long as it is not.
  void waits_because(const std::string& line);
  std::string why_unformed() const;
  Unformed unformed() const;
  std::string why_not_ready() const;
  void log_role();
  /// How far the log is applied, once a second as long as a start replays it.
  void log_replay();
  std::string replay_text() const;

  const ServerOptions options_;
  SystemClock clock_;
  SystemEntropy entropy_;
  raft::PosixFileSystem files_;
  net::Loop loop_;
  std::optional<Failure> failure_;
  bool ends_ = false;  ///< by its own wish

  std::unique_ptr<raft::DataDirectory> directory_;
  std::unique_ptr<raft::LogStore> log_;
  std::unique_ptr<raft::StoredLogReader> reader_;
  std::unique_ptr<raft::TcpTransport> transport_;
  UnformedCalls unformed_admin_;  ///< until there is an engine
  UnformedCalls unformed_clients_;
  std::string waits_for_ =
      "waiting for the server with --bootstrap (a cluster that is formed is joined by --join)";
  std::unique_ptr<Port> client_port_;
  std::unique_ptr<RpcPort> admin_port_;
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<raft::Bootstrapper> bootstrapper_;
  std::unique_ptr<Joiner> joiner_;
  std::unique_ptr<JoinCheck> join_check_;  ///< until it is over, nothing is served
  std::unique_ptr<raft::ThreadedLogWriter> writer_;
  snapshot::Pace pace_{clock_, static_cast<uint64_t>(options_.snapshot_write_mib_s) << 20};
  const snapshot::PacedVfs paced_vfs_{pace_};
  std::unique_ptr<raft::ThreadedRoomKeeper> room_keeper_;
  std::unique_ptr<snapshot::SnapshotStore> snapshots_;
  std::unique_ptr<snapshot::ThreadedSpanWriter> span_writer_;
  std::unique_ptr<snapshot::BackgroundThread> background_;
  raft::Genesis genesis_;  ///< once formed; and as it stands in entry 1
  std::string genesis_bytes_;
  bool joined_ = false;
  /// The state on disk is to be loaded, by run(): the loop turns meanwhile.
  bool load_wanted_ = false;
  Instant load_turned_at_;
  std::unique_ptr<Voter> voter_;
  /// While nothing is left of the state here.
  std::unique_ptr<SnapshotFetch> seeker_;
  uint64_t states_received_ = 0;            ///< and put in force
  std::optional<std::string> quarantined_;  ///< why, if the state here is
  std::unique_ptr<Engine> engine_;
  Instant serving_since_;                                                   ///< that engine
  std::map<uint64_t, std::unique_ptr<raft::IdentityCall>> identity_calls_;  ///< for the engine
  uint64_t last_identity_call_ = 0;
  std::string removed_;   ///< how this server is no member any more; empty: it may be one
  bool retired_ = false;  ///< and it has stopped to serve

  net::Timer wakeup_;
  net::Timer drain_timer_;
  WaitLog wait_log_;
  AlarmLog alarm_log_;
  net::Timer alarm_timer_;
  const int64_t started_unix_ms_;
  std::string metrics_;  ///< the last reading
  Instant metrics_taken_;
  Instant drain_until_;
  bool draining_ = false;
  bool closing_ = false;  ///< drained: the clients' connections are being closed
  raft::SoftState told_;  ///< last role that was logged
  LogIndex replayed_;     ///< and how much of the log was
  Instant replay_told_;   ///< last time
  std::unique_ptr<net::SignalWatcher> signals_;
  net::Loop::Hook turn_hook_;
  net::Loop::Hook gap_hook_;
};

}  // namespace holdfast::server
