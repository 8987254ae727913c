// The engine: what a server does with calls, between its ports and the replicated log. It owns the
// node and the state machine, answers calls through a ReplySink whenever their outcome is known,
// and has no thread, socket, file or clock of its own: the server and the simulator drive it alike.
//
//   calls and peers' messages come in at any time; turn_end() closes a batch:
//   renewals first, then commands (propose or forward), then the node, then decisions of the
//   leader.
//
// One thread.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/server/append_gate.h"
#include "coordinator/server/caught_up.h"
#include "coordinator/server/commands.h"
#include "coordinator/server/digest_watch.h"
#include "coordinator/server/engine_stats.h"
#include "coordinator/server/host.h"
#include "coordinator/server/key_waits.h"
#include "coordinator/server/lease_queries.h"
#include "coordinator/server/member_changes.h"
#include "coordinator/server/peer_codec.h"
#include "coordinator/server/polls.h"
#include "coordinator/server/reads.h"
#include "coordinator/server/renewals.h"
#include "coordinator/server/room.h"
#include "coordinator/server/snapshot_fetch.h"
#include "coordinator/server/snapshot_source.h"
#include "coordinator/server/snapshots.h"
#include "coordinator/server/stored_state.h"
#include "coordinator/server/waits.h"
#include "coordinator/server/watch_hub.h"

namespace holdfast::server {

/// The way to the state on disk. Without it there is no snapshot, and the log is never cut.
struct SnapshotPorts {
  snapshot::SpanWriter* spans = nullptr;
  snapshot::Background* background = nullptr;
  raft::FileSystem* files = nullptr;
  const snapshot::SnapshotStore* store = nullptr;
  /// The log need not hold entries to this one any more; answers the first that it keeps.
  std::function<LogIndex(LogIndex)> cut_log;
  /// A line for the operator; any thread.
  std::function<void(const std::string&)> log;
  uint64_t hash_seed = 0;  ///< of a state that is received
};

/// How a server remembers that its state is quarantined.
struct QuarantinePorts {
  /// Why it is, since an earlier life of this server.
  std::optional<std::string> standing;
  /// Remembers why, durably.
  std::function<Status(const std::string&)> keep;
  /// The one line for it.
  std::function<void(const std::string&)> log;
};

/// The engine's ways to the world; all outlive it.
struct EnginePorts {
  Clock& clock;
  Entropy& entropy;
  raft::LogReader& reader;
  raft::LogWriter& writer;
  raft::Transport& transport;
  ReplySink& sink;
  /// One line for every administrative act.
  std::function<void(const std::string&)> audit;
  /// The node must stop; called once.
  std::function<void(const Error&)> fatal;
  /// What the status call shows of the connections to peers; may be empty.
  std::function<std::vector<api::PeerConnection>()> connections;
  /// What an operator should know of them; may be empty.
  std::function<std::vector<api::Alarm>()> alarms;
  /// And of this server's disk; may be empty.
  std::function<api::DiskStatus()> disk;
  SnapshotPorts snapshots;
  MemberPorts members;
  std::string genesis;  ///< entry 1, which a snapshot holds too
  QuarantinePorts quarantine;
  RoomPorts room;
};

/// Length of a session's secret.
inline constexpr size_t kSecretBytes = 16;

class Engine final : public raft::Application, Commands::Owner, Renewals::Owner {
 public:
  /// With the state before the first entry.
  Engine(const EngineOptions& options, raft::InitialState initial, EnginePorts ports);
  /// With `state`, after the entry at initial.applied.
  Engine(const EngineOptions& options, raft::InitialState initial, EnginePorts ports,
         StoredState state);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Refuses a call for what is wrong with it by itself, if anything is; true: it is answered.
  bool refuse(CallId call, const api::RequestContext& context,
              const std::optional<Refusal>& refusal);

  // Calls of service Holdfast. Arguments need live only during the call.
  void open_session(CallId call, const api::RequestContext& context,
                    const api::OpenSessionRequest& request);
  void poll(CallId call, const api::RequestContext& context, const api::PollRequest& request);
  void keep_alive(CallId call, const api::RequestContext& context,
                  const api::KeepAliveRequest& request);
  void close_session(CallId call, const api::RequestContext& context,
                     const api::CloseSessionRequest& request);
  void acquire(CallId call, const api::RequestContext& context, const api::AcquireRequest& request);
  void cancel_acquire(CallId call, const api::RequestContext& context,
                      const api::CancelAcquireRequest& request);
  void acquire_all(CallId call, const api::RequestContext& context,
                   const api::AcquireAllRequest& request);
  void release(CallId call, const api::RequestContext& context, const api::ReleaseRequest& request);
  void release_all(CallId call, const api::RequestContext& context,
                   const api::ReleaseAllRequest& request);
  void set_holder_value(CallId call, const api::RequestContext& context,
                        const api::SetHolderValueRequest& request);
  void check_token(CallId call, const api::RequestContext& context,
                   const api::CheckTokenRequest& request);
  void describe_lock(CallId call, const api::RequestContext& context,
                     const api::DescribeLockRequest& request);
  void list_locks(CallId call, const api::RequestContext& context,
                  const api::ListLocksRequest& request);
  void revoke_lock(CallId call, const api::RequestContext& context,
                   const api::RevokeLockRequest& request);

  // Calls of service HoldfastKeys.
  void get(CallId call, const api::RequestContext& context, const api::GetRequest& request);
  void get_many(CallId call, const api::RequestContext& context,
                const api::GetManyRequest& request);
  void list_keys(CallId call, const api::RequestContext& context,
                 const api::ListKeysRequest& request);
  void wait_for_change(CallId call, const api::RequestContext& context,
                       const api::WaitForChangeRequest& request);
  void put(CallId call, const api::RequestContext& context, const api::PutRequest& request);
  void create(CallId call, const api::RequestContext& context, const api::CreateRequest& request);
  void remove(CallId call, const api::RequestContext& context, const api::RemoveRequest& request);
  void transact(CallId call, const api::RequestContext& context,
                const api::TransactRequest& request);
  void watch(CallId call, const api::RequestContext& context, const api::WatchRequest& request);
  void unwatch(CallId call, const api::RequestContext& context, const api::UnwatchRequest& request);

  // Calls of service HoldfastAdmin.
  void status(CallId call, const api::RequestContext& context, const api::StatusRequest& request);
  void members(CallId call, const api::RequestContext& context, const api::MembersRequest& request);
  void change_members(CallId call, const api::RequestContext& context,
                      const api::ChangeMembersRequest& request);
  void transfer_leadership(CallId call, const api::RequestContext& context,
                           const api::TransferLeadershipRequest& request);
  void list_sessions(CallId call, const api::RequestContext& context,
                     const api::ListSessionsRequest& request);
  void list_watches(CallId call, const api::RequestContext& context,
                    const api::ListWatchesRequest& request);
  void expire_session(CallId call, const api::RequestContext& context,
                      const api::ExpireSessionRequest& request);
  void settings(CallId call, const api::RequestContext& context,
                const api::SettingsRequest& request);
  void snapshot_piece(CallId call, const api::RequestContext& context,
                      const api::SnapshotPieceRequest& request);
  void rebuild_state(CallId call, const api::RequestContext& context,
                     const api::RebuildStateRequest& request);

  /// The port that took the call has no room for it.
  void refuse_overloaded(CallId call, const std::string& why);
  /// Nobody waits for the answer any more: what parks the call ends with this turn or the next. One
  /// that is not outstanding any more is left alone.
  void abandon(CallId call) { abandoned_.push_back(call); }

  // The peers' side.
  void on_message(raft::Message&& message) { gate_.receive(std::move(message)); }
  void on_app(NodeId from, uint8_t kind, std::string_view payload);
  void on_peer_event(NodeId peer, raft::PeerEvent event);
  /// Others say that this server was removed, which its own log does not have: what it leads was
  /// taken from it while it could not hear it, and without check_quorum it would not notice.
  void stand_aside() { node_.bar(NodeId()); }
  /// This server is no member any more and learned it otherwise than by its log: it answers what is
  /// open and refuses what comes, with `why`.
  void retire(const std::string& why);

  /// Closes a turn. Whatever had arrived by `handled_until` has been handled; later input may be
  /// unread, so nothing is decided that depends on its not having come. True: there is more to do
  /// at once.
  bool turn_end(Instant handled_until);
  /// For one thread that reads all its input itself: did it?
  bool turn_end(bool all_input_handled) {
    return turn_end(all_input_handled ? Instant::max() : Instant::min());
  }
  /// A decision is due that waits for input to be handled up to this moment.
  std::optional<Instant> undecided() const {
    return host_.serving ? renewals_.undecided() : std::nullopt;
  }
  /// Another server has sent its state, because the others' logs no longer have what this one
  /// lacks. It is verified and durable, but not in force: whoever owns this engine puts it in force
  /// and goes on with a new engine. Once.
  std::optional<StoredState> take_received_state();
  /// When turn_end() is next needed though nothing arrives.
  Instant next_wakeup() const;
  /// The process did not run for this long: what was promised meanwhile is looked at again before
  /// anything is answered.
  void on_pause(Duration gap);
  /// Only input was not handled for this long: deadlines move, leadership stays.
  void on_input_gap(Duration gap) { renewals_.note_gap(gap); }

  /// While held, what commits is not applied here: for the simulator.
  void hold_apply(bool held) { node_.hold_apply(held); }

  /// Begins to stop: leadership is handed over, new calls are refused.
  void begin_drain();
  /// Nothing is left that would be worth waiting for.
  bool drained() const;
  /// Answers whatever is left.
  void finish_drain();

  /// This server knows a leader and has caught up with what it had committed.
  bool ready() const;
  /// Not all that its log held at the start is applied yet. An end of it that was never committed
  /// may be gone since.
  bool replays() const { return host_.applied < replay_through(); }
  /// The last entry of that.
  LogIndex replay_through() const;
  /// Why this server's state is quarantined; empty: it is not (engine_quarantine.cc).
  const std::string& quarantine() const { return quarantine_; }
  const DigestWatch& digests() const { return digests_; }
  const Host& host() const { return host_; }
  const raft::Node& node() const { return node_; }
  const rsm::StateMachine& machine() const { return machine_; }
  const EngineStats& stats() const { return stats_; }
  const CommandStats& command_stats() const { return commands_.stats(); }
  const RenewalStats& renewal_stats() const { return renewals_.stats(); }
  const StateStats& state_stats() const { return state_stats_; }
  const SnapshotStats& snapshot_stats() const { return snapshots_.stats(); }
  const Snapshots& snapshots() const { return snapshots_; }
  const SnapshotSourceStats& snapshot_source_stats() const { return source_.stats(); }
  SnapshotFetchStats snapshot_fetch_stats() const {
    return fetch_ ? fetch_->stats() : SnapshotFetchStats{};
  }
  /// What comes of another server's state, as a sentence; empty if nothing does.
  bool waits_for_state() const { return fetch_ && fetch_->under_way(); }
  std::string snapshot_progress() const { return fetch_ ? fetch_->progress() : std::string(); }
  const Room& room() const { return room_; }
  /// All that an operator must act on, as the status shows it.
  std::vector<api::Alarm> alarms() const;
  const AppendGate& gate() const { return gate_; }
  size_t parked_calls() const { return host_.parked; }
  size_t parked_polls() const { return host_.parked - waits_.parked() - key_waits_.parked(); }
  size_t parked_acquires() const { return waits_.parked(); }
  size_t parked_key_waits() const { return key_waits_.parked(); }
  const watch::Watches& watches() const { return hub_.watches(); }
  size_t pending_commands() const { return commands_.size(); }
  size_t pending_renewals() const { return renewals_.pending(); }
  size_t queued_renewals() const { return renewals_.queued(); }
  size_t queued_deadlines() const {
    return commands_.deadlines() + reads_.deadlines() + polls_.deadlines();
  }
  size_t pending_reads() const { return reads_.size(); }

 private:
  struct Transfer {
    CallId call;
    Instant deadline;
    NodeId from;         ///< who led when it was asked
    int64_t number = 0;  ///< of its request to the leader
    /// This leader wants to lead no more so that it can be rebuilt: called when another leads.
    std::function<void()> then = {};
  };

  // raft::Application
  Status apply(const raft::Entry& entry) override;
  void on_soft_state(const raft::SoftState& state) override;
  void on_configuration(const raft::Configuration& configuration) override;
  void on_read(uint64_t context, LogIndex index) override;
  void on_read_failed(uint64_t context) override;
  void on_snapshot_offer(const raft::SnapshotOffer& offer) override;
  void on_fatal(const Error& error) override;

  // Commands::Owner and Renewals::Owner
  void on_outcome(const PendingCommand& command, const rsm::CommandResult& result) override;
  void on_own_applied(uint64_t request) override;
  void on_own_refused(uint64_t request) override;
  void on_renewed(const RenewalTarget& target, const Renewed& outcome) override;

  /// Refuses a new call while this server stops; true: it is answered.
  bool refuse_stopping(CallId call, const api::RequestContext& context);
  /// One line for an administrative act, with the caller's own words for it.
  void audit(const api::RequestContext& context, const std::string& act) const {
    audit_traced(context.trace, act);
  }
  void audit_traced(const std::string& trace, std::string act) const;
  /// Calls that need a live session: checks it and its secret. If the session is not known here yet
  /// the call waits and `Member` is called again. True: go on.
  template <auto Member, class Request>
  bool admit_session(CallId call, const api::RequestContext& context, const Request& request);
  /// The same for calls that also wait for the revision that their context asks for.
  template <auto Member, class Request>
  bool admit_at_revision(CallId call, const api::RequestContext& context, const Request& request);
  template <auto Member, class Request>
  void wait_for(LogIndex revision, CallId call, const api::RequestContext& context,
                const Request& request);
  bool secret_matches(SessionId session, const std::string& secret);
  void renew_unseen(const api::RequestContext& context);
  /// What is wrong with a request by itself, if anything is.
  using Fault = std::optional<Refusal>;
  /// Takes a command of a session, unless its outcome is known here already. One with a `fault` is
  /// refused, unless an earlier copy of it was applied somewhere.
  template <auto Member, class Request, class Body>
  void submit(CallId call, const api::RequestContext& context, const Request& request,
              command::CommandKind::type kind, const Body& body, Fault fault = {},
              PendingCommand pending = {});
  /// True: answered with what an earlier copy of it came to, as the state here knows.
  bool answer_known(const PendingCommand& pending, uint64_t content);
  void refuse_if_new(PendingCommand pending, uint64_t content, const Refusal& refusal);
  void refuse_new(const PendingCommand& pending, uint64_t content, const Refusal& refusal);
  /// Takes a command that needs no session.
  template <class Body>
  void submit_sessionless(CallId call, const api::RequestContext& context,
                          command::CommandKind::type kind, const Body& body, std::string path = {});
  /// `bytes`: what `run` keeps beside a few numbers.
  void read(CallId call, const api::RequestContext& context, api::Consistency::type consistency,
            size_t bytes, std::function<void()> run);
  /// A read that shows leases: `sessions` names theirs, `answer` is given what is known. A LOCAL
  /// one does not ask the leader.
  void read_leases(CallId call, const api::RequestContext& context,
                   api::Consistency::type consistency, size_t bytes,
                   std::function<std::vector<SessionId>()> sessions, LeaseQueries::Answer answer);
  void bad_argument(CallId call, const api::RequestContext& context, const std::string& message);
  void acknowledge_notices(SessionId session, std::vector<int64_t> named);
  Instant deadline_of(const api::RequestContext& context) const;

  void handle(const rsm::Effect& effect);
  void begin_serving();
  void apply_ttl_flag();
  void finish_acquire(const PendingCommand& command, const rsm::CommandResult& result);
  void finish_write(const PendingCommand& command, const rsm::CommandResult& result);
  /// A write of a key: of the context's session, or of nobody's.
  template <auto Member, class Request, class Body>
  void submit_write(CallId call, const api::RequestContext& context, const Request& request,
                    command::CommandKind::type kind, const Body& body, std::string path);
  /// Reads judge a path as commands do: a wrong one is not merely one where nothing is.
  bool good_path(CallId call, const api::RequestContext& context, const std::string& path);
  void finish_open(const PendingCommand& command, const rsm::CommandResult& result);
  void answer_open(CallId call, SessionId session, int64_t lease_ms);
  void run_tick();
  Instant next_decision() const;
  bool pump();
  /// Sends on its way what gathered in this turn.
  void flush();
  void sweep();
  Status snapshot_turn();
  void cut_log();
  void check_transfers(Instant now);
  void end_transfer(const Transfer& transfer, bool done);
  /// Of the voters beside this one the furthest that may lead; one that has room if any does.
  /// To the node that was asked for, 0: to the best one. What to answer if it does not begin.
  std::optional<peer::TransferRefusal> begin_transfer(int32_t asked);
  NodeId best_successor() const { return best_of(node_.core().configuration().voters); }
  NodeId best_of(const std::vector<NodeId>& voters) const;
  NodeId furthest_of(const std::vector<NodeId>& voters,
                     const std::function<bool(NodeId)>& fits) const;
  void hand_over_if_full();
  void judge_digests();
  api::Alarm quarantine_alarm() const;
  void enter_quarantine(const std::string& why, NodeId successor);
  void begin_quarantine(const std::string& why, NodeId successor);
  void keep_quarantine();
  void answer_all();
  void rebuild_turn();
  void hand_over_to_rebuild(CallId call, const api::RequestContext& context,
                            const api::RebuildStateRequest& request);
  void begin_rebuild(CallId call, const api::RequestContext& context,
                     const api::RebuildStateRequest& request);
  std::optional<Refusal> only_state(NodeId from) const;
  NodeId successor_with_state() const;
  std::string no_state_of(NodeId node) const;
  std::vector<NodeId> rebuild_sources();
  /// Cluster time until which a restore holds all locks back; may have passed.
  int64_t held_until_ms() const;
  std::optional<api::Alarm> restore_hold() const;
  void receive_transfer_request(NodeId from, std::string_view bytes);
  void receive_transfer_refusal(std::string_view bytes);
  void answer_settings(CallId call, int64_t sequence);

  EnginePorts ports_;
  const std::unique_ptr<rsm::StateMachine> owned_machine_;
  rsm::StateMachine& machine_;
  Host host_;
  PeerCodec codec_;
  Commands commands_;
  Renewals renewals_;
  Reads reads_;
  CaughtUp caught_up_;
  WatchHub hub_;
  Polls polls_;
  Waits waits_;
  KeyWaits key_waits_;
  std::vector<CallId> abandoned_;
  LeaseQueries lease_queries_;
  MemberChanges member_changes_;
  Snapshots snapshots_;
  Room room_;
  AppendGate gate_;
  SnapshotSource source_;
  std::optional<SnapshotFetch> fetch_;
  DigestWatch digests_;
  raft::Node node_;
  EngineStats stats_;
  StateStats state_stats_;

  rsm::Effects effects_;
  Instant elected_at_;
  Instant started_at_;
  LogIndex logged_at_start_;
  uint64_t tick_in_flight_ = 0;
  LogIndex cut_asked_;  ///< the log was asked to let go what is at or below
  bool draining_ = false;
  std::string stopping_ = "this server is stopping";  ///< said to whoever calls then
  std::string quarantine_;
  /// When it is tried again to remember it, because the disk is full.
  Instant keep_again_ = Instant::max();
  /// Another server's state is wanted in place of this one: of that node, or zero for any.
  std::optional<NodeId> rebuild_;
  std::vector<Transfer> transfers_;
  int64_t transfer_number_ = 0;
  /// Secrets that were found right, so that SHA-256 is computed once a session.
  std::unordered_map<SessionId, std::array<char, kSecretBytes>> verified_secrets_;
};

}  // namespace holdfast::server
