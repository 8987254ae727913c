// The lock table: locks, their holders, their FIFO queues and their past tenures. Replicated state,
// pure and deterministic: driven by committed entries only, it reads no clock and calls nobody.
//
// One entry is applied as
//     begin(revision, ...)  ->  run_due(limit)  ->  at most one command  ->  settle()
// Commands only change who holds and who waits; all grants but that of a handover are made by
// settle(), once per touched lock, so no exclusive lock is granted twice at one revision
// (PROMISES 1, 2; ARCHITECTURE, cluster time). settle() then writes the entry's row changes.
//
// One thread. Errors are for the client and name the value and the limit; a broken call order or an
// unknown session end reason is our own bug and stops the process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/rows.h"
#include "lockmgr/types.h"

namespace holdfast::lockmgr {

/// Most locks that one acquireAll may name.
inline constexpr size_t kMaxClaims = 64;

struct Options {
  /// Seeds the hash indexes, whose order nothing can observe. A server passes a random number, so
  /// that nobody can choose paths or sequences that collide.
  uint64_t hash_seed = 0;
  /// Tenures remembered over all locks, at least 1. A replicated setting: see set_tenure_capacity.
  uint64_t tenure_capacity = 10'000;
};

class LockTable {
 public:
  /// Row changes go to `rows`, which must outlive the table; its owner reads and clears it.
  explicit LockTable(RowLog& rows, const Options& options = {});
  ~LockTable();
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;

  // ---- one entry ----------------------------------------------------------------------------

  /// Starts an entry. Revisions strictly ascend (a token is a revision); `now_ms`, the entry's
  /// cluster time, never goes back. `unix_ms` is the leader's wall clock, stored for people and
  /// never compared. Views handed out before become invalid.
  void begin(Revision revision, int64_t now_ms, int64_t unix_ms);

  /// Does what is due at the entry's cluster time, earliest first: ends waits, opens closed locks,
  /// gives revoked locks away. At most `limit` holders, places and closed locks are removed (an
  /// acquireAll that times out leaves whole). Returns how many were; what is left is seen by
  /// next_due_ms().
  size_t run_due(size_t limit = 1'000);

  /// Puts an acquire into the queue of each claimed lock; settle() decides. The outcome is then in
  /// Effects (`granted` or `refused`), or else find() says WAITING with the position. All claims
  /// are granted in one entry or none (PROMISE 3). The holder id is this entry's revision. The
  /// caller has made sure that find(session, sequence) knows nothing (exactly once).
  ///   BAD_ARGUMENT   no or more than kMaxClaims claims, a path twice, permits outside 1..limit,
  ///                  another limit or another kind (semaphore or not) than the lock has while it
  ///                  is held or queued for
  ///   LIMIT_EXCEEDED a limit of `limits`
  /// A full max_queue is no error but a refusal (kQueueFull). After an error nothing has changed.
  Status acquire(const Acquirer& who, std::span<const Claim> claims, const AcquireOptions& options,
                 const Limits& limits);

  /// Takes an acquire of `session` back. Any path of an acquireAll cancels it whole; a path that is
  /// not of that acquire is BAD_ARGUMENT. The cancelled acquire is in Effects::refused.
  Result<CancelResult> cancel_acquire(std::string_view path, SessionId session,
                                      Sequence acquire_sequence);

  /// Idempotent; frees nothing that this holder of this session does not hold (I13). With a `to`,
  /// the lock goes to that waiter past all others, in this entry, or is kept.
  ReleaseStatus release(std::string_view path, Revision holder_id, SessionId session,
                        Revision to = Revision{});

  /// Releases whatever the acquire named by `holder_id` still holds; says how many locks that was.
  size_t release_all(Revision holder_id, SessionId session);

  /// False, and nothing changes, if this holder of this session does not hold the lock.
  bool set_holder_value(std::string_view path, Revision holder_id, SessionId session,
                        std::string_view value);

  /// Announces a revocation, or with `force` ends the tenures now (reason REVOKED). A holder
  /// already under notice keeps its first notice. Returns how many present holders are concerned.
  /// The notice id is this entry's revision. The lock is given away at the earlier of
  ///   - notice_ms after the acknowledgement was applied (acknowledge_notices), and
  ///   - the holder's session TTL after start_revocation_clocks(), in cluster time.
  size_t revoke(const RevokeRequest& request);

  /// The client of `session` has taken note of the notices announced at these revisions.
  /// Idempotent; unknown ones are ignored. Returns how many holders it newly concerned.
  size_t acknowledge_notices(SessionId session, std::span<const Revision> notice_ids);

  /// Starts the TTL of every revocation announced at or before `applied`, where `applied` is what
  /// the leader that proposed this entry had APPLIED when it stamped it (a tick carries it). An
  /// entry's own stamp is too early: between proposal and apply of the announcement the leader
  /// still acknowledges renewals without the notice, and these must have run out too (PROMISE 5).
  /// Until it is called next_due_ms() answers the announcement's own stamp, so the leader ticks at
  /// once. Cluster time stands still while there is no leader, so a later leader need not count
  /// anew.
  void start_revocation_clocks(Revision applied);

  /// Ends sessions: first all places of all of them leave their queues, then their locks are
  /// released (PROMISE 7). An expiry or an operator's end (kSessionExpired, kSessionRevoked) closes
  /// a lock for its holder's lock_delay_ms. Unknown sessions are ignored.
  void end_sessions(std::span<const SessionEnd> ends);

  /// Locks that were closed until `before_ms`, in cluster time, open at `then_ms` already, or with
  /// the next run_due() if that has passed. O(locks).
  void open_sooner(int64_t before_ms, int64_t then_ms);

  /// Grants what can be granted, refuses tries that were not, forgets locks without holder, waiter
  /// or delay, writes the row changes. Nothing but reads may follow until the next begin().
  const Effects& settle();

  /// Changes how many tenures are kept; the oldest go first. Between begin() and settle().
  void set_tenure_capacity(uint64_t capacity);

  // ---- reads ---------------------------------------------------------------------------------

  /// When the next tick is due, in cluster time; may be in the past. None if nothing is timed.
  std::optional<int64_t> next_due_ms() const;

  /// The present acquire (waiting or with at least one lock still held) of this session and
  /// sequence.
  std::optional<AcquireState> find(SessionId session, Sequence sequence) const;

  /// The latest ended tenure of that acquire, if it is still remembered: for a retried acquire,
  /// which then answers NOT_HELD with its token and reason.
  std::optional<TenureInfo> find_tenure(SessionId session, Sequence sequence) const;

  /// Does this holder of this session hold the lock? For guards.
  bool holds(std::string_view path, Revision holder_id, SessionId session) const;

  /// Has a present holder of the lock this token?
  bool check_token(std::string_view path, Revision token) const;

  /// The largest token of the present holders; zero if there are none.
  Revision latest_token(std::string_view path) const;

  /// Notices in force against holders of this session, oldest first, appended to `out`. O(their
  /// number), so that every renewal may ask.
  void notices_of(SessionId session, std::vector<Notice>& out) const;

  /// Everything about a lock. One that nobody holds, waits for or keeps closed has only tenures.
  LockInfo describe(std::string_view path, const DescribeLimits& limits = {}) const;

  /// At most `count` locks whose path begins with `prefix` and comes after `after` in tree order
  /// (base/path_order.h), appended to `out` without their tenures and waiters.
  void list(std::string_view prefix, std::string_view after, size_t count, size_t holders_each,
            std::vector<LockInfo>& out) const;

  uint64_t lock_count() const;
  uint64_t holder_count() const;
  uint64_t waiter_count() const;
  uint64_t tenure_count() const;
  /// Locks held and places in queues of one session.
  uint64_t places_of(SessionId session) const;
  /// Locks held by one session.
  uint64_t held_by(SessionId session) const;
  /// Sessions with a lock or a place, ascending. For checks and lists; O(n log n).
  std::vector<SessionId> sessions() const;

  // ---- rows ----------------------------------------------------------------------------------

  /// Sum of the hashes (row_hash) of all present rows of the lock tables.
  const Digest& digest() const;

  /// Takes one row of an empty table's future state; rows come in ascending order of table and id.
  /// CORRUPT names what does not fit. finish_load() ends it; nothing else may be called between.
  Status load(RowTable table, uint64_t id, std::string_view row);
  Status finish_load();

  /// The first broken invariant as a sentence, or empty: one exclusive holder, never exclusive with
  /// shared, permits within the limit (I11); queues in order and no head that could be granted
  /// (I14); acquireAll whole; timers, counts, indexes and the digest equal to a recount. O(state).
  std::string check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::lockmgr
