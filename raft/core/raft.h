// The Raft core: one member of one group. Pure and deterministic: no I/O, clock, thread or global;
// the same inputs give the same outputs. Inputs change the state, take_ready() hands out what
// follows from them (raft/core/ready.h holds the contract). Not thread-safe: one thread at a time.
//
// Implemented in raft.cc (life cycle, dispatch), election.cc, follower.cc, leader.cc,
// membership.cc, snapshot.cc, reads.cc and output.cc. Sources: "the paper" is Ongaro and Ousterhout
// 2014 (extended version), "the dissertation" Ongaro 2014. Figure 2 is the paper's summary of the
// protocol (figure 3.1 of the dissertation), figure 3.2 the dissertation's safety properties
// (figure 3 of the paper).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "base/entropy.h"
#include "base/time.h"
#include "raft/core/change.h"
#include "raft/core/config.h"
#include "raft/core/configuration_log.h"
#include "raft/core/log_view.h"
#include "raft/core/ready.h"
#include "raft/core/roles.h"
#include "raft/core/status.h"
#include "raft/core/types.h"

namespace holdfast::raft {

struct Proposal {
  EntryType type = EntryType::kCommand;
  Blob data;
};

struct ProposeResult {
  enum class Outcome : uint8_t {
    kAccepted,
    kNotLeader,     ///< `leader` is a hint, zero if unknown
    kOverCap,       ///< max_uncommitted_bytes would be exceeded; try again after some commits
    kTransferring,  ///< leadership is being handed to `leader`
    kUnsupported,   ///< only commands can be proposed
  };
  Outcome outcome = Outcome::kNotLeader;
  LogIndex first;  ///< accepted: index of the first proposal, the others follow without a gap
  Term term;       ///< accepted: their term. What commits at `first` in another term is not ours
  NodeId leader;
  bool accepted() const { return outcome == Outcome::kAccepted; }
};

enum class TransferResult : uint8_t {
  kStarted,
  kNotLeader,
  kNotVoter,        ///< the target is no voter other than this node
  kAlreadyRunning,  ///< one is under way; it ends within election_timeout_max
};

/// What the transport learned about a peer's host.
enum class Evidence : uint8_t {
  kDisconnected,    ///< the connection broke: what was in flight may be lost. No word on the host
  kRefused,         ///< it broke and the host refused a reconnect: the process is gone
  kNewIncarnation,  ///< a later incarnation of the process answered
};

class Raft {
 public:
  /// `reader` must outlive the core. Starts as a follower of nobody.
  Raft(const Config& config, InitialState initial, LogReader& reader, Instant now);
  Raft(const Raft&) = delete;
  Raft& operator=(const Raft&) = delete;

  // Inputs. `now` is the driver's clock reading; an instant before an earlier one counts as that.

  /// Does what is due: elections, heartbeats, check-quorum, retries. Call at next_wakeup() or at
  /// any steady pace.
  void tick(Instant now);
  /// One message from a peer, its sender authenticated by the transport. Anything may stand in it.
  void step(Message&& message, Instant now);
  /// Appends all proposals, or none. `exempt` ones pass the cap on uncommitted bytes.
  ProposeResult propose(std::span<const Proposal> proposals, bool exempt, Instant now);
  /// Begins a change of the configuration; at most one is under way. Leaders begin the promotion of
  /// learners with Member::promote themselves. The change is in force when this
  /// returns, and takes two entries if the voters change: the joint configuration, whose index is
  /// returned, and the new one, which this or any later leader appends when that is committed. The
  /// change is done when the configuration is not joint and its index is committed.
  ChangeResult propose_change(const ConfigurationChange& change, Instant now);
  /// Asks for a linearizable read index (dissertation 6.4); `context` comes back in Ready::reads or
  /// Ready::failed_reads, exactly once. The caller chooses it, anew for every retry. Works on the
  /// leader and on followers that know one. On the leader it equally confirms leadership: the
  /// answer means that a quorum still followed this term after the call.
  void read_index(uint64_t context, Instant now);
  /// Hands leadership to a voter (dissertation 3.10). Proposals are refused until it is over.
  TransferResult transfer_leadership(NodeId target, Instant now);
  /// All writes to `write_number` are on disk.
  void persisted(uint64_t write_number, Instant now);
  /// The state machine has applied everything to `index`.
  void applied(LogIndex index);
  /// While held, no committed entry is handed out, as if the state machine were slow (simulation).
  void hold_apply(bool held) { apply_held_ = held; }
  /// Forgets the log to `through`, inclusive: a snapshot on this node's disk covers it. At most
  /// applied_index() and what is durable. Below the log's start it changes nothing. Call it before
  /// the entries are removed: LogReader is not asked for them any more.
  void compact(LogIndex through);
  /// LogReader can answer what it called unavailable.
  void entries_available();
  /// The transport's news about a peer. Refused and new incarnation let followers of that leader
  /// campaign and vote without waiting out the timeout; a lie costs an election, never safety.
  void peer_unreachable(NodeId peer, Evidence evidence, Instant now);
  /// Starts an election now (pre-vote first, if configured). False if not a voter, or leader.
  bool campaign(Instant now);
  /// Drops leadership or candidacy: the node follows nobody until it hears of a leader. A follower
  /// only restarts its election timer. For a driver that found that it was paused.
  void step_down(Instant now);
  /// This node does not stand from now on, neither by itself nor when it is asked to: its state is
  /// not to be believed. It goes on storing, acknowledging and voting. A leader hands over to
  /// `successor`, zero for nobody in particular, takes no more proposals, and is gone after the
  /// longest election timeout in any case. For the life of this core.
  void bar(NodeId successor, Instant now);
  bool barred() const { return barred_; }

  // Outputs.

  bool has_ready() const;
  /// Replaces the contents of `out`, reusing its capacity.
  void take_ready(Ready& out);
  /// When tick() next has something to do; Instant::max() if never.
  Instant next_wakeup() const;

  // Inspection.

  RaftStatus status() const;
  /// This leader hands over, and proposes nothing.
  bool transferring() const { return is<LeaderRole>() && as<LeaderRole>().transfer.has_value(); }
  const Counters& counters() const { return counters_; }
  const Config& config() const { return config_; }
  /// The latest of the log, committed or not.
  const Configuration& configuration() const { return configurations_.latest(); }
  const ConfigurationLog& configurations() const { return configurations_; }
  /// The one that a snapshot at `index` has to hold; log().first() - 1 <= index <= log().last().
  const Configuration& configuration_at(LogIndex index) const { return configurations_.at(index); }
  /// Whether a peer of this leader follows closely enough to vote (dissertation 4.2.1): it answers,
  /// and needs less than election_timeout_min for a round of what the log held at its start.
  bool caught_up(NodeId peer) const;
  const LogView& log() const { return log_; }
  NodeId id() const { return config_.id; }
  Role role() const { return static_cast<Role>(role_.index()); }
  bool is_leader() const { return role() == Role::kLeader; }
  Term term() const { return hard_state_.term; }
  NodeId vote() const { return hard_state_.vote; }
  /// Who leads the current term as far as this node knows; zero if unknown.
  NodeId leader() const;
  LogIndex commit() const { return commit_; }
  LogIndex applied_index() const { return applied_; }
  /// Everything to here was handed out in Ready::committed.
  LogIndex handed_out() const { return handed_out_; }
  /// Whether an entry of the current term is committed (paper 5.4.2, dissertation 6.4).
  bool own_term_committed() const { return log_.term(commit_) == term(); }
  /// The leader's view of its peers, ascending by id; null on others.
  const std::vector<Peer>* peers() const {
    return is<LeaderRole>() ? &as<LeaderRole>().peers : nullptr;
  }
  /// Whether the current term and vote are on disk.
  bool hard_state_durable() const { return hard_state_write() <= persisted_write_; }
  bool inert() const { return violation_.has_value(); }

 private:
  using Handler = void (Raft::*)(Message&);
  static const Handler kHandlers[kRoles][kMessageTypes];

  /// A message that promises what write `write` makes durable.
  struct HeldMessage {
    uint64_t write;
    Message message;
  };
  /// The leader `dead` is believed gone until then; elections follow the fast rules.
  struct FastFailover {
    NodeId dead;
    Instant until;
  };

  template <class R>
  R& as() {
    return std::get<R>(role_);
  }
  template <class R>
  const R& as() const {
    return std::get<R>(role_);
  }
  template <class R>
  bool is() const {
    return std::holds_alternative<R>(role_);
  }

  // raft.cc: life cycle and dispatch.
  void advance_clock(Instant now);
  bool admissible(const Message& m);
  bool settle_term(Message& m);
  bool settle_higher_term(const Message& m);
  void answer_stale(const Message& m);
  void drop_stale(Message& m);
  void rival_claim(Message& m);
  void set_hard_state(Term term, NodeId vote);
  void leave_role();
  void become_follower(Term term, NodeId leader);
  void raise(Violation::Kind kind, const Message& m, LogIndex index);
  bool promotable() const;

  // election.cc
  void tick_election();
  Instant election_due() const;
  void start_campaign();
  void become_pre_candidate();
  void become_candidate(bool transfer);
  void become_leader();
  void ask_for_votes(MessageType type, Term term, bool transfer);
  bool refuses_elections() const;
  bool fast_failover_active() const { return fast_.has_value() && now_ < fast_->until; }
  void reset_election_timer();
  Duration random_between(Duration low, Duration high);
  void count_own_vote();
  void settle_election();
  void election_lost();
  void lose_leader(NodeId dead);
  void on_pre_vote_request(Message& m);
  void on_pre_vote_response(Message& m);
  void on_vote_request(Message& m);
  void on_vote_response(Message& m);
  void on_timeout_now(Message& m);

  // follower.cc
  bool hear_leader(const Message& m);
  void on_append_request(Message& m);
  void on_heartbeat_request(Message& m);
  void concede_append(Message& m);
  void concede_heartbeat(Message& m);
  void reject_append(const Message& m);
  bool store_entries(Message& m);
  void truncate_from(LogIndex index);
  void follow_commit(LogIndex index);

  // leader.cc
  void tick_leader();
  bool lost_quorum() const;
  void append_own(EntryType type, Blob data);
  void maybe_commit();
  void broadcast_heartbeat();
  void send_heartbeat(Peer& peer, uint64_t round);
  bool may_append(const Peer& peer) const;
  bool has_room(const Peer& peer) const;
  bool owes_commit(const Peer& peer) const;
  void replicate_to(Peer& peer);
  void send_append(Peer& peer);
  bool load_entries(Peer& peer, size_t max_bytes, std::vector<Entry>& out);
  void on_append_response(Message& m);
  void on_append_rejected(Peer& peer, const Message& m);
  void on_heartbeat_response(Message& m);
  void probe(Peer& peer, LogIndex next);
  void continue_transfer();
  void abort_transfer();
  void hand_over_and_go(NodeId successor);

  // pace.cc
  bool lacks_more_than(const Peer& peer, size_t bytes) const;
  bool is_behind(const Peer& peer) const;
  bool is_quorum_without(const Peer& peer) const;
  bool is_paced(const Peer& peer) const;
  Allowance::Pace pace() const;
  bool has_allowance(const Peer& peer) const;
  void spend_allowance(Peer& peer, size_t bytes);
  Instant next_paced_append() const;
  size_t paced_limit(const Peer& peer) const;
  size_t append_limit(const Peer& peer) const;

  // snapshot.cc
  void need_snapshot(Peer& peer);
  void offer_snapshot(const Peer& peer);
  void resume(Peer& peer);
  void on_snapshot_offer(Message& m);
  void concede_snapshot_offer(Message& m);
  void on_snapshot_response(Message& m);

  // membership.cc
  ChangeOutcome may_change() const;
  void judge_voters(const ConfigurationChange& change, ChangePlan& plan) const;
  bool lives(NodeId voter) const;
  void append_configuration(Configuration configuration);
  void on_configuration_changed();
  void match_peers();
  Peer new_peer(NodeId member) const;
  ChangePlan due_promotion() const;
  bool owes_membership() const;
  void settle_membership();
  void retire();

  // reads.cc
  bool may_start_read_round() const;
  void start_read_round();
  void adopt_waiting_reads();
  void confirm_reads();
  void answer_read(const WaitingRead& read, LogIndex index);
  void fail_read(const WaitingRead& read);
  void fail_leader_reads();
  void fail_follower_reads();
  void forward_reads();
  void retry_forwarded_reads();
  size_t pending_reads() const;
  void on_read_request(Message& m);
  void refuse_read_request(Message& m);
  void on_read_response(Message& m);

  // output.cc
  Message make(MessageType type, NodeId to) const;
  void send(Message&& m) { messages_.push_back(std::move(m)); }
  void send_when_durable(Message&& m, LogIndex log_through);
  uint64_t hard_state_write() const { return hard_state_dirty_ ? next_write_ : hard_state_write_; }
  bool coalesce_held(uint64_t write, const Message& m);
  void release_held();
  SoftState soft_state() const { return {role(), leader(), term()}; }
  bool leader_has_output() const;
  bool may_hand_out() const {
    return handed_out_ < commit_ && !apply_held_ && !apply_reader_unavailable_;
  }
  void take_write(Write& out);
  void hand_out(std::vector<Entry>& out);

  const Config config_;
  LogReader& reader_;
  ConfigurationLog configurations_;
  SplitMix random_;
  Instant now_;

  HardState hard_state_;
  bool hard_state_dirty_ = false;  ///< changed since the last write was taken
  uint64_t hard_state_write_ = 0;  ///< the write that carries it, if not dirty
  LogView log_;
  LogIndex commit_;
  LogIndex handed_out_;
  LogIndex applied_;
  bool apply_held_ = false;
  bool apply_reader_unavailable_ = false;

  RoleData role_;
  NodeId term_leader_;  ///< who was seen to lead the current term; outlives the role
  Instant election_deadline_;
  std::optional<FastFailover> fast_;
  bool barred_ = false;  ///< never stands

  uint64_t next_write_ = 1;
  uint64_t persisted_write_ = 0;
  std::vector<HeldMessage> held_;

  // What the next Ready hands out.
  std::vector<Message> messages_;
  bool sent_backlog_ = false;  ///< since the last Ready: see Ready::backlog
  std::vector<ReadResult> reads_;
  std::vector<uint64_t> failed_reads_;
  std::optional<SnapshotOffer> snapshot_offer_;
  SoftState reported_;
  bool configuration_news_ = false;  ///< the latest differs from what was handed out last
  std::optional<Violation> violation_;
  bool violation_reported_ = false;
  Counters counters_;
};

}  // namespace holdfast::raft
