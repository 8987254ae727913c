// The vocabulary of the lock table: what callers pass in and what they get back. Numbers of enums
// are those of thrift/holdfast.thrift. All std::string_view fields of answers point into the table
// and are valid until its next begin().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace holdfast::lockmgr {

enum class LockMode : uint8_t {
  kExclusive = 1,  ///< one holder
  kShared = 2,     ///< any number of shared holders, no exclusive one
  kSemaphore = 3,  ///< holders whose permits sum up to the lock's limit at most
};

/// Why a tenure ended.
enum class EndReason : uint8_t {
  kReleased = 1,
  kSessionClosed = 2,
  kSessionExpired = 3,
  kRevoked = 4,
  kHandedOver = 5,
  kSessionRevoked = 6,
  kRestored = 7,
};

/// Why a wait ended without a grant.
enum class RefusalReason : uint8_t {
  kBusy = 1,       ///< a try that could not be granted in its own entry
  kTimedOut = 2,   ///< the deadline passed in cluster time
  kCancelled = 3,  ///< cancel_acquire
  kQueueFull = 4,  ///< a queue had max_queue waiters already
  /// The session ended. Nobody is left to be answered; not in the IDL.
  kSessionEnded = 100,
};

/// Who asks. Views need live only during the call.
struct Acquirer {
  SessionId session;
  Sequence sequence;              ///< the acquire's own; identifies the request in its session
  std::string_view session_name;  ///< for people; the same at every acquire of a session
  int64_t session_ttl_ms = 0;     ///< bounds a revocation of what is granted here
  std::string_view owner;  ///< the handle's name, for people. Every acquire is a holder of its
                           ///< own, so two handles of one session exclude each other
};

/// One lock wanted. The path is already known to be well-formed.
struct Claim {
  std::string_view path;
  LockMode mode = LockMode::kExclusive;
  uint32_t permits = 0;  ///< semaphore: 1 to limit; else ignored
  uint32_t limit = 0;    ///< semaphore: at least 1; else ignored
};

/// What holds for all claims of one acquire.
struct AcquireOptions {
  int64_t wait_ms = 0;        ///< 0 tries, above 0 in cluster time, below 0 as long as the session
  std::string_view value;     ///< published with each holder
  int64_t lock_delay_ms = 0;  ///< how long each lock stays closed if the holder's session expires
  uint32_t max_queue = 0;     ///< refuse when a queue has this many waiters; 0 = only the limit
};

/// Replicated settings that are judged here.
struct Limits {
  uint64_t waiters_of_a_lock = 10'000;
  uint64_t places_of_a_session = 10'000;  ///< locks held and places in queues together
  uint64_t locks = UINT64_MAX;            ///< quota: locks in existence
  /// Until then, in cluster time, no lock is granted: each that is asked for is closed as long.
  int64_t held_until_ms = 0;
};

/// What a present acquire stands at.
struct AcquireState {
  bool granted = false;
  Revision holder_id;     ///< revision of the acquire's entry
  Revision token;         ///< granted: revision of the grant; else zero
  uint64_t position = 0;  ///< waiting: 1 + waiters before it; of several locks the largest
  uint32_t locks = 0;     ///< locks it waits for, or still holds
  std::string_view path;  ///< its first (lowest-numbered) lock still held or waited for
};

/// A wait that ended by a grant. An acquireAll yields one for each of its locks, next to each
/// other.
struct Granted {
  SessionId session;
  Sequence sequence;
  Revision holder_id;
  Revision token;
  std::string_view path;
  uint32_t index = 0;  ///< which claim of its acquire, from 0
  uint32_t locks = 1;  ///< claims of the acquire
};

/// A wait that ended without a grant; one for an acquire, whatever the number of its locks.
struct Refused {
  SessionId session;
  Sequence sequence;
  Revision holder_id;
  RefusalReason reason = RefusalReason::kBusy;
  uint64_t position = 0;  ///< where it stood: 1 + waiters before it (largest over its locks)
  std::string_view path;  ///< its first lock
};

/// A tenure that ended.
struct Ended {
  SessionId session;
  Sequence sequence;
  Revision holder_id;
  Revision token;
  std::string_view path;
  EndReason reason = EndReason::kReleased;
};

/// A revocation announced against a present holder.
struct Notice {
  SessionId session;
  Revision notice_id;  ///< revision of the announcing entry
  Revision holder_id;
  Revision token;
  std::string_view path;
  int64_t notice_ms = 0;
  std::string_view reason;
  bool acknowledged = false;
};

/// What one entry did to locks, for replies, polls and events. Deterministic order.
struct Effects {
  std::vector<Granted> granted;
  std::vector<Refused> refused;
  std::vector<Ended> ended;
  std::vector<Notice> notices;  ///< announced in this entry
};

enum class CancelStatus : uint8_t {
  kCancelled,  ///< the place, or all places of the acquireAll, are gone
  kGranted,    ///< the grant came first and is left held: see holder_id and token
  kUnknown,    ///< no such acquire is present: never seen, refused, or its tenure ended
};
struct CancelResult {
  CancelStatus status = CancelStatus::kUnknown;
  Revision holder_id;
  Revision token;
};

enum class ReleaseStatus : uint8_t {
  kReleased = 1,
  kNotHeld = 2,        ///< this holder does not hold the lock; nothing changed
  kHandedOver = 3,     ///< `to` holds the lock now, with this revision as its token
  kTargetGone = 4,     ///< `to` does not wait for this lock; it is kept
  kTargetBlocked = 5,  ///< `to` waits, but could not hold it even so (other shared holders, too few
                       ///< permits, a lock-delay, or an acquireAll); it is kept
};

/// Whom to revoke, and how gently.
struct RevokeRequest {
  std::string_view path;
  Revision holder_id;  ///< zero: every present holder
  int64_t notice_ms = 0;
  std::string_view reason;
  bool force = false;  ///< at once; the old holder may still believe it holds
};

/// A session that ends in this entry.
struct SessionEnd {
  SessionId session;
  EndReason reason = EndReason::kSessionClosed;
  std::string_view note;  ///< for its tenures: an operator's words. Empty: none
};

struct HolderInfo {
  Revision holder_id;
  Revision token;
  SessionId session;
  Sequence sequence;
  std::string_view session_name;
  std::string_view owner;
  LockMode mode = LockMode::kExclusive;
  uint32_t permits = 0;
  std::string_view value;
  int64_t since_unix_ms = 0;
  int64_t lock_delay_ms = 0;
  bool revoking = false;
};

struct WaiterInfo {
  Revision holder_id;  ///< the one it will have; names it in release(to)
  uint64_t position = 0;
  SessionId session;
  Sequence sequence;
  std::string_view session_name;
  std::string_view owner;
  LockMode mode = LockMode::kExclusive;
  uint32_t permits = 0;
  int64_t since_unix_ms = 0;
  int64_t deadline_ms = 0;    ///< cluster time; 0 = none
  uint32_t locks_wanted = 1;  ///< more than 1 for an acquireAll
};

struct TenureInfo {
  Revision holder_id;
  Revision token;
  SessionId session;
  Sequence sequence;
  std::string_view session_name;
  std::string_view owner;
  std::string_view path;
  int64_t since_unix_ms = 0;
  int64_t ended_unix_ms = 0;
  Revision end_revision;
  EndReason reason = EndReason::kReleased;
  std::string_view note;  ///< the operator's words, if it was revoked or ended under notice
};

struct LockInfo {
  std::string_view path;
  uint32_t limit = 0;  ///< semaphore: the limit in force, else 0
  uint64_t holder_count = 0;
  uint64_t waiter_count = 0;
  int64_t closed_until_ms = 0;      ///< lock-delay, in cluster time; 0 = open
  std::vector<HolderInfo> holders;  ///< oldest grant first
  std::vector<WaiterInfo> waiters;  ///< in order of the queue
  std::vector<TenureInfo> tenures;  ///< latest end first
};

/// How much of a lock is described.
struct DescribeLimits {
  size_t holders = 1'000;
  size_t waiters = 1'000;
  size_t tenures = 16;
};

}  // namespace holdfast::lockmgr
