// The replicated state machine: composes sessions, locks, keys and settings, and turns one
// committed entry into one ordered list of effects. Pure and deterministic: same entries, same
// state, same effects, on every node; nothing is read but what was committed (ARCHITECTURE, state
// machine).
//
// An entry is applied in this order: decode and check the level; cluster time moves; what is due is
// done; the command; grants, once per touched lock; row changes.
//
// One thread. Bad bytes and bad values become error replies, the same everywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/rows.h"
#include "coordinator/rsm/effects.h"
#include "coordinator/rsm/feature_level.h"
#include "coordinator/rsm/settings.h"

namespace holdfast::lockmgr {
class LockTable;
struct Notice;
}  // namespace holdfast::lockmgr
namespace holdfast::session {
class SessionTable;
}  // namespace holdfast::session
namespace holdfast::tree {
class KeyTree;
struct Event;
}  // namespace holdfast::tree

namespace holdfast::rsm {

enum class ApplyStatus : uint8_t {
  kApplied,
  /// The entry is of a higher feature level than this program's: nothing was changed, not even the
  /// applied index; the node must stop and be upgraded.
  kNeedsUpgrade,
};

/// Where a session stands, as this copy of the state sees it.
enum class SessionPresence : uint8_t {
  kLive,
  kEnded,   ///< at or below the applied index and absent: SESSION_EXPIRED
  kNotYet,  ///< above the applied index: wait until that is applied
};

/// A removal bound of one entry: holders, places, sessions that time takes away.
inline constexpr size_t kDueMax = 1'000;
/// What the sessions of one expiry entry should own at most (owned_by), together: the leader
/// passes it to LeaseKeeper::take_expiries with StateMachine::owned_by.
inline constexpr size_t kExpiryWorkMax = 10'000;

class StateMachine {
 public:
  struct Options {
    uint64_t hash_seed = 0;                 ///< random per process; nothing can observe it
    int32_t feature_level = kFeatureLevel;  ///< highest that this machine knows
  };
  StateMachine();
  explicit StateMachine(const Options& options);
  ~StateMachine();
  StateMachine(const StateMachine&) = delete;
  StateMachine& operator=(const StateMachine&) = delete;

  // ---- apply ----------------------------------------------------------------------------------

  /// Applies the command at `index`, an entry of term `entry_term`. Indexes strictly ascend.
  /// Effects are appended to `effects`, which the caller clears.
  ApplyStatus apply(LogIndex index, Term entry_term, std::string_view payload, Effects& effects);
  /// An entry of Raft's own (no-op, configuration): only the applied index moves, and `level` comes
  /// in force, if the entry records one.
  ApplyStatus skip(LogIndex index, uint32_t level = 0);

  /// What the last apply() or skip() did to keys, in order; valid until the next.
  std::span<const tree::Event> key_events() const;

  // ---- reads: views are valid until the next apply() -------------------------------------------

  LogIndex applied() const;
  int64_t cluster_time_ms() const;
  /// The feature level in force: the highest that was recorded, or that a command had.
  int32_t level() const;
  const session::SessionTable& sessions() const;
  const lockmgr::LockTable& locks() const;
  const tree::KeyTree& keys() const;
  const Settings& settings() const;

  SessionPresence presence(SessionId session) const;
  /// Locks held, places in queues and ephemeral keys of a session: what its end has to take away.
  uint64_t owned_by(SessionId session) const;
  /// What (session, sequence) has come to, for an edge that meets a retry, or whose parked call is
  /// woken: a kept result; or WAITING with holder id and position. None if it is not known here:
  /// never applied, or acknowledged, or the session is gone.
  std::optional<CommandResult> lookup(SessionId session, Sequence sequence) const;
  /// Notices in force against the session, oldest first, appended: of the whole session (empty
  /// path, no holder) and of its locks. Every renewal reply carries them.
  void notices_of(SessionId session, std::vector<lockmgr::Notice>& out) const;
  /// When the leader must propose a tick, in cluster time; may be in the past: at once. None if
  /// nothing is timed. A tick's appliedRevision is what the leader had applied when stamping it.
  std::optional<int64_t> next_due_ms() const;

  // ---- rows and digest ------------------------------------------------------------------------

  /// Row changes of the last apply() or skip(); valid until the next.
  const RowLog& row_changes() const;
  /// Sum of the hashes of all rows: equal on all nodes at the same applied index.
  Digest digest() const;

  /// Takes one row of an empty machine's future state, in ascending order of table and id. CORRUPT
  /// names what does not fit. finish_load() ends it; nothing else may be called between.
  Status load(RowTable table, uint64_t id, std::string_view row);
  Status finish_load();

  /// The first broken invariant as a sentence, or empty (I11 to I15). O(state).
  std::string check_invariants() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace holdfast::rsm
