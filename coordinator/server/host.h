// What the parts of the engine share: the ports, where this server stands in the cluster, and how
// an answer is begun. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/entropy.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/server/call.h"
#include "coordinator/server/log_budget.h"
#include "coordinator/server/write_pace.h"
#include "raft/node/node.h"
#include "raft/transport/transport.h"

namespace holdfast::server {

/// Limits and identities that the engine goes by.
struct EngineOptions {
  NodeId self;
  ClusterId cluster;
  StoreId store;
  std::vector<raft::Member> members;  ///< at the start
  raft::Config raft;
  int32_t feature_level = rsm::kFeatureLevel;  ///< highest that this server knows
  uint32_t drift_ppm = 10'000;
  int64_t session_ttl_min_ms = 4'000;
  size_t max_pending_commands = 65'536;
  size_t max_pending_reads = 65'536;
  size_t max_parked_calls = 400'000;
  size_t max_watches_per_session = 10'000;
  uint64_t history_bytes = uint64_t{64} << 20;  ///< of events kept for watches
  uint64_t history_events = 100'000;
  uint64_t snapshot_log_bytes = uint64_t{64} << 20;     ///< applied since the last snapshot
  Duration snapshot_interval = 300s;                    ///< between two, if anything changed
  uint64_t snapshot_send_bytes_s = uint64_t{64} << 20;  ///< to all servers that need one
  /// What the watches may add to a poll's answer (docs: limits).
  size_t watch_reply_bytes = 1 << 20;
  size_t watch_reply_entries = 1'000;
};

/// The messages of servers to each other; numbers are on the wire.
enum class PeerKind : uint8_t {
  kForwardBatch = 1,
  kForwardRefusals = 2,
  kRenewalBatch = 3,
  kRenewalReplies = 4,
  kTransferRequest = 5,
  kTransferRefusal = 6,
  kLeaseQuery = 7,
  kLeaseReply = 8,
  kSnapshotAsk = 9,
  kSnapshotPiece = 10,
  kMemberChange = 11,
  kMemberChangeReply = 12,
  kDigestReport = 13,
  kDigestNews = 14,
  kRoomReport = 17,
};

/// Who waits for the answer to a read_index; stands in the low bits of its context.
enum class ReadPurpose : uint64_t { kReads = 0, kLeases = 1, kCaughtUp = 2 };
inline constexpr uint64_t kReadPurposes = 3;

/// Everything an error says beside its code and message.
struct Refusal {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  bool maybe_applied = false;
  bool retryable = false;
  int64_t retry_after_ms = 0;
};

class Host {
 public:
  Host(const EngineOptions& engine_options, Clock& clock_port, Entropy& entropy_port,
       raft::Transport& transport_port, ReplySink& reply_sink, rsm::StateMachine& state_machine);

  const EngineOptions options;
  Clock& clock;
  Entropy& entropy;
  raft::Transport& transport;
  rsm::StateMachine& machine;
  raft::Node* node = nullptr;

  std::vector<raft::Member> members;        ///< for session replies and leader hints
  raft::SoftState soft;                     ///< role, leader and term, as last told by the core
  std::optional<Instant> leaderless_since;  ///< no leader is known: since then
  LogIndex applied;                         ///< last entry applied here
  Term applied_term;                        ///< and its term
  /// This server leads and has applied the no-op of its own term: it may propose and renew.
  bool serving = false;
  /// What a leader answers to commands that need room, while there is none (room.h).
  std::optional<Refusal> no_space;
  uint64_t stays_free = 0;  ///< of the disk, or there is none (room.h)
  LogBudget budget;         ///< what else goes into the log
  WritePace pace;           ///< and how fast, while this server leads
  size_t parked = 0;        ///< calls held here: polls, waiting acquires, waits for a change
  uint64_t turn = 1;        ///< number of the turn in progress
  bool may_park() const { return parked < options.max_parked_calls; }
  /// Cluster time now, by this leader's stamp: serving only.
  int64_t cluster_now_ms() const;
  /// Leadership begins with the state as applied: stamps go on from its cluster time.
  void begin_leadership(Instant elected_at);

  /// The leader other than this server, or zero.
  NodeId other_leader() const;
  const raft::Member* member(NodeId id) const;
  void fill(api::ResponseHeader& header, int64_t sequence) const;

  /// The state here is not to be believed: from now on no answer and no refusal that comes of it
  /// leaves, but one that sends the caller to another server.
  void quarantine() { quarantined_ = true; }
  bool quarantined() const { return quarantined_; }

  uint64_t client_of(CallId call) const { return sink_.client_of(call); }
  void complete(CallId call, const ReplyView& reply);
  void fail(CallId call, const Refusal& refusal, int64_t sequence);
  /// What a server says of itself and not of the replicated state, in quarantine too.
  void show(CallId call, const ReplyView& reply) { sink_.complete(call, reply); }
  void refuse(CallId call, const Refusal& refusal, int64_t sequence);
  /// A refusal for want of a leader: nothing was sent anywhere.
  static Refusal no_leader(const std::string& what);

  /// There is somebody to ask for a read index. A leader has none before its own first entry.
  bool may_read_index() const {
    return soft.leader && (soft.role != raft::Role::kLeader || serving);
  }
  uint64_t new_read_context(ReadPurpose purpose);
  static ReadPurpose purpose_of(uint64_t context) {
    return static_cast<ReadPurpose>(context % kReadPurposes);
  }

 private:
  ReplySink& sink_;
  bool quarantined_ = false;
  uint64_t next_read_;
  int64_t stamp_base_ms_ = 0;
  Instant stamp_from_;
  api::HoldfastError error_;  // reused
};

}  // namespace holdfast::server
