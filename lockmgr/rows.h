// The rows of the lock tables and their encoding: little-endian fixed-width integers, texts with a
// 32-bit length, in the order of the fields here. Part of the snapshot format and of the digest.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "base/rows.h"
#include "lockmgr/types.h"

namespace holdfast::lockmgr {

/// Holders and waiters are numbered alike: revision of the acquire's entry times 64, plus the index
/// of the claim. Ascending numbers are the order of arrival; a grant keeps the number. Locks are
/// numbered likewise by the entry that made them.
inline constexpr unsigned kClaimBits = 6;
inline constexpr uint64_t make_place_id(Revision holder_id, uint64_t claim) {
  return holder_id.value << kClaimBits | claim;
}
inline constexpr Revision holder_id_of(uint64_t place_id) {
  return Revision(place_id >> kClaimBits);
}

/// RowTable::kLocks, id = lock number. No row without holder, waiter or lock-delay.
struct LockRow {
  std::string_view path;
  uint32_t limit = 0;  ///< semaphore: permits of the lock; 0 = exclusive or shared, or empty
  int64_t closed_until_ms = 0;  ///< lock-delay in cluster time; 0 = open
};

/// What holders and waiters have in common.
struct PlaceFields {
  uint64_t lock_id = 0;  ///< the parent row
  SessionId session;
  Sequence sequence;  ///< of the acquire
  std::string_view session_name;
  int64_t session_ttl_ms = 0;
  std::string_view owner;
  std::string_view value;
  LockMode mode = LockMode::kExclusive;
  uint32_t permits = 0;  ///< 0 unless a semaphore
  int64_t lock_delay_ms = 0;
  int64_t since_unix_ms = 0;  ///< waiter: queued; holder: granted
};

/// RowTable::kLockWaiters, id = place number. Waiters of one acquire are granted together.
struct WaiterRow {
  PlaceFields place;
  int64_t deadline_ms = 0;  ///< cluster time; 0 = waits as long as the session lives
};

/// RowTable::kLockHolders, id = place number.
struct HolderRow {
  PlaceFields place;
  Revision token;
  Revision notice_id;        ///< entry that announced the revocation; 0 = none, the rest is empty
  int64_t announced_ms = 0;  ///< its cluster time
  int64_t notice_ms = 0;     ///< time left to the client after it acknowledged
  bool acknowledged = false;
  bool clock_started = false;  ///< the session's TTL is being counted
  int64_t give_away_ms = 0;    ///< cluster time; 0 = neither acknowledged nor counted yet
  std::string_view note;       ///< the operator's words
};

/// RowTable::kLockTenures, id = 1, 2, 3, ... in the order in which tenures ended.
struct TenureRow {
  std::string_view path;
  uint64_t place_id = 0;
  SessionId session;
  Sequence sequence;
  std::string_view session_name;
  std::string_view owner;
  Revision token;
  int64_t since_unix_ms = 0;
  int64_t ended_unix_ms = 0;
  Revision end_revision;
  EndReason reason = EndReason::kReleased;
  std::string_view note;
};

/// Writes one row as an upsert and returns its hash.
Digest write_row(RowLog& log, uint64_t id, const LockRow& row);
Digest write_row(RowLog& log, uint64_t id, const WaiterRow& row);
Digest write_row(RowLog& log, uint64_t id, const HolderRow& row);
Digest write_row(RowLog& log, uint64_t id, const TenureRow& row);

/// Reads an encoding; views point into it. False if it is not exactly one row with values that this
/// table could have written.
bool read_row(std::string_view bytes, LockRow& row);
bool read_row(std::string_view bytes, WaiterRow& row);
bool read_row(std::string_view bytes, HolderRow& row);
bool read_row(std::string_view bytes, TenureRow& row);

}  // namespace holdfast::lockmgr
