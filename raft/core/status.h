// What a core tells of itself: for operators, metrics and tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "raft/core/ready.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// How the leader sends entries to one peer.
enum class ProgressState : uint8_t {
  kProbe,      ///< where the logs meet is unknown: one append at a time
  kReplicate,  ///< pipelined
  kSnapshot,   ///< needs entries that the log no longer has; gets heartbeats and offers
};
/// "probe", "replicate", "snapshot".
const char* progress_state_name(ProgressState state);

struct PeerStatus {
  NodeId id;
  LogIndex match;
  LogIndex next;
  ProgressState state = ProgressState::kProbe;
  uint32_t inflight = 0;  ///< appends with entries that are not acknowledged
  size_t inflight_bytes = 0;
  bool caught_up = false;  ///< close enough to the log's end to vote, and alive
  friend bool operator==(const PeerStatus&, const PeerStatus&) = default;
};

struct RaftStatus {
  NodeId id;
  Term term;
  NodeId vote;
  Role role = Role::kFollower;
  NodeId leader;
  LogIndex commit;
  LogIndex applied;
  LogIndex first;
  LogIndex last;
  Term last_term;
  LogIndex durable;  ///< last index that is on this node's disk
  Configuration configuration;
  LogIndex configuration_index;   ///< of its entry; committed if not above `commit`
  std::vector<PeerStatus> peers;  ///< leader only; without this node; ascending by id
  size_t pending_reads = 0;       ///< neither answered nor failed
  bool transferring = false;
  size_t uncommitted_bytes = 0;
};

/// Events since the core was built. Monotonic; for metrics and for counting rare states in tests.
struct Counters {
  uint64_t ignored_misaddressed = 0;    ///< other group or receiver, or from ourselves
  uint64_t ignored_unknown_sender = 0;  ///< not in the configuration
  uint64_t ignored_malformed = 0;       ///< fields that contradict each other
  uint64_t ignored_stale = 0;           ///< of a past term or role
  uint64_t ignored_sticky = 0;          ///< vote requests refused because a leader lives
  uint64_t pre_elections = 0;
  uint64_t elections = 0;
  uint64_t elections_won = 0;
  uint64_t fast_campaigns = 0;
  uint64_t check_quorum_step_downs = 0;
  uint64_t truncations = 0;
  uint64_t appends_rejected = 0;  ///< by this node as a follower
  uint64_t probes = 0;            ///< times a peer fell back to probing
  uint64_t inflight_full = 0;     ///< an append waited for room in flight
  uint64_t compactions = 0;
  uint64_t snapshots_needed = 0;   ///< times a peer of this leader came to need compacted entries
  uint64_t snapshot_offers = 0;    ///< handed to the driver
  uint64_t snapshots_reached = 0;  ///< times such a peer could be sent entries again
  uint64_t appends_compacted = 0;  ///< appends whose previous entry was compacted here
  uint64_t read_rounds = 0;
  uint64_t reads_failed = 0;
  uint64_t transfers = 0;
  uint64_t transfers_aborted = 0;
  uint64_t configurations_appended = 0;   ///< by this node as a leader
  uint64_t configurations_truncated = 0;  ///< times the configuration went back to an earlier one
  uint64_t changes_refused = 0;
  uint64_t retirements = 0;  ///< times this leader was no voter of the committed configuration
  uint64_t log_reads = 0;    ///< calls of LogReader
};

}  // namespace holdfast::raft
