// What a core is built from: its settings, what was found on disk, and the port through which it
// reads entries that it no longer keeps in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "raft/core/configuration_log.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Settings of one core. Sizes are bytes of entry payload plus kEntryOverheadBytes an entry.
/// `heartbeat_interval`, the election timeouts, `pre_vote`, `check_quorum` and `fast_failover` must
/// be equal on all nodes (the transport's handshake compares them).
struct Config {
  NodeId id;
  GroupId group = kDefaultGroup;

  Duration heartbeat_interval = 100ms;
  /// An election timeout is drawn anew from [min, max) each time (paper 5.2). Stickiness lasts
  /// `min` after the last word of a leader; a leader without a quorum steps down after `max`.
  Duration election_timeout_min = 500ms;
  Duration election_timeout_max = 1000ms;

  bool pre_vote = true;      ///< dissertation 9.6
  bool check_quorum = true;  ///< dissertation 6.2; also turns on leader stickiness (4.2.3)

  bool fast_failover = true;          ///< act on peer_unreachable() evidence
  Duration fast_rank_stagger = 25ms;  ///< times the rank among the surviving voters
  Duration fast_retry_min = 10ms;     ///< a lost fast round is retried after [min, max)
  Duration fast_retry_max = 40ms;

  uint32_t max_inflight_messages = 64;   ///< appends with entries in flight to one peer
  size_t max_inflight_bytes = 8 << 20;   ///< of their entries
  size_t max_append_bytes = 64 << 10;    ///< an append gathers up to this while one is in flight
  size_t max_catchup_bytes = 128 << 10;  ///< one append to a peer that is further behind
  /// Who lacks more than this, while the others are a quorum without it and clients write, is
  /// brought up at a pace (pace.cc), by appends of `paced_append_bytes`: nobody waits for it, and
  /// whoever does wait for the others would wait for the processors and disks that they may share.
  size_t far_behind_bytes = 1 << 20;
  size_t paced_append_bytes = 32 << 10;
  uint64_t catchup_bytes_per_second = 8 << 20;  ///< by which it comes nearer
  size_t max_uncommitted_bytes = 64 << 20;      ///< cap for proposals that are not exempt
  size_t max_committed_bytes = 1 << 20;         ///< handed out for apply in one Ready
  size_t window_bytes = 16 << 20;               ///< durable entries kept in memory for peers
  size_t max_pending_reads = size_t{1} << 16;   ///< waiting here; more are failed at once

  /// Seeds timeouts and the ids of forwarded reads: drawn anew from the Entropy port for every
  /// incarnation of the process, else an answer to a former incarnation could pass for a new one.
  uint64_t seed = 1;
};

/// What an entry costs besides its payload when sizes are compared with limits.
inline constexpr size_t kEntryOverheadBytes = 32;

/// Ok, or BAD_ARGUMENT naming the first setting that is out of range, its value and the limit.
holdfast::Status validate(const Config& config);

/// From `first` on (until the next run) entries have `term`. A log has few of them: one for each
/// leader that appended, so all terms of a log are kept in memory.
struct TermRun {
  LogIndex first;
  Term term;
  friend bool operator==(const TermRun&, const TermRun&) = default;
};

/// What the storage recovered. Everything in it is durable already.
struct InitialState {
  HardState hard_state;
  /// In force at `applied`: the one that came with the snapshot, else the cluster's first.
  Configuration configuration;
  LogIndex configuration_index;  ///< of its entry; 0 for the cluster's first
  /// Configurations of the log's entries above `configuration_index`, ascending; the latest is in
  /// force. Those above `applied` may yet be truncated.
  std::vector<PlacedConfiguration> changes;
  LogIndex first_index{1};  ///< one above what was compacted, or what a snapshot covers
  LogIndex last_index;      ///< first_index - 1 if the log is empty
  /// Ascending in index and term, covering first_index - 1 (if above 0) to last_index.
  std::vector<TermRun> term_runs;
  /// The state machine's, at least first_index - 1; everything to here is committed.
  LogIndex applied;
};

/// Port to entries that are durable and no longer in the core's memory. In steady state it is not
/// called: only for peers far behind, and to replay the log after a start.
class LogReader {
 public:
  enum class Outcome {
    kOk,           ///< at least one entry was appended to `out`
    kUnavailable,  ///< not now; the core asks again after entries_available() or at the next tick
  };
  virtual ~LogReader() = default;
  /// Appends to `out` entries from `low` on, below `high`, in order and without gaps: at least
  /// one, further ones while their sum stays within `max_bytes`. Called inside take_ready() only.
  /// low >= the log's first index, high - 1 <= what persisted() has confirmed.
  virtual Outcome entries(LogIndex low, LogIndex high, size_t max_bytes,
                          std::vector<Entry>& out) = 0;
};

}  // namespace holdfast::raft
