// The session table: who is known to the cluster, what it was promised, and what came of its
// commands. Replicated state, pure and deterministic: driven by committed entries only, it reads no
// clock and calls nobody. Leases are not here: see session/lease_keeper.h.
//
// One entry is applied as
//     begin(...)  ->  due(...)  ->  at most one command  ->  finish()
// finish() writes the row of everything that changed, once.
//
// One thread. A session that does not exist where a call needs one is our own bug; errors are for
// the client and name the value and the limit.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/rows.h"
#include "session/result_window.h"

namespace holdfast::session {

/// SHA-256 of the client's secret; the secret itself is never replicated.
using SecretHash = std::array<char, 32>;

/// An operator ends the session, with notice (ARCHITECTURE, revocation and forced expiry). It ends
/// at the earlier of notice_ms after the client's acknowledgement was applied, and one TTL after
/// start_revocation_clocks().
struct Revocation {
  Revision notice_id;  ///< revision of the announcing entry
  int64_t notice_ms = 0;
  std::string reason;             ///< the operator's words
  std::optional<int64_t> due_ms;  ///< cluster time; none until a clock runs
  bool acknowledged = false;      ///< the client has taken note
  bool ttl_running = false;       ///< the TTL's clock was started
};

/// A session. Read-only outside of the table.
struct Session {
  explicit Session(std::pmr::memory_resource* pool) : window(pool) {}

  SessionId id;
  int64_t ttl_ms = 0;
  int64_t opened_unix_ms = 0;  ///< leader's wall clock, for people
  SecretHash secret_hash{};
  std::string name;
  std::string attributes;  ///< one encoded blob, opaque here
  bool late = false;       ///< marked late and not renewed since
  int64_t silent_ms = 0;   ///< late: the silence recorded with the last mark
  std::unique_ptr<Revocation> revocation;
  ResultWindow window;

  Digest row_hash;         ///< of its row in kSessions; zero while it has none
  Digest window_hash;      ///< of its row in kWindows; zero while it has none
  bool row_dirty = false;  ///< not state: rows due to be written by finish()
  bool window_dirty = false;
};

/// What openSession asks. Views need live only during the call; limits were judged by the caller.
struct OpenRequest {
  SecretHash secret_hash{};
  int64_t ttl_ms = 0;
  std::string_view name;
  std::string_view attributes;
};

struct OpenOutcome {
  SessionId id;
  int64_t ttl_ms = 0;  ///< that of the session found, if it was there already
  bool created = false;
};

class SessionTable {
 public:
  /// Row changes go to `rows`, which must outlive the table; its owner reads and clears it.
  explicit SessionTable(RowLog& rows);
  ~SessionTable();
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // ---- one entry ----------------------------------------------------------------------------

  /// Starts an entry: its revision, cluster time (never goes back) and the leader's wall clock.
  void begin(Revision revision, int64_t now_ms, int64_t unix_ms);

  /// Appends the sessions whose revocation is due at the entry's cluster time to `out`, earliest
  /// first, at most `limit`. The caller ends them.
  void due(size_t limit, std::vector<SessionId>& out) const;

  /// Finds the session with this secret hash, or opens one whose id is this entry's revision.
  OpenOutcome open(const OpenRequest& request);

  /// Forgets a session and all it kept; false if there is none. Its locks are the caller's affair.
  bool end(SessionId id);

  /// Records silence, so that a next leader counts on from it. False if there is no such session.
  bool mark_late(SessionId id, int64_t silent_ms);
  /// Takes the mark away. False if there is no such session or it is not late.
  bool renew_late(SessionId id);

  /// Announces the end of a session with this entry's revision as notice id. One already announced
  /// keeps its first notice, whose id is returned.
  Revision announce_revocation(Session& session, int64_t notice_ms, std::string_view reason);
  /// The client has taken note of these notices; unknown ones are ignored.
  void acknowledge_notices(Session& session, std::span<const Revision> notice_ids);
  /// Starts the TTL of every revocation announced at or before `applied`, which is what the leader
  /// had applied when it stamped this entry (see lockmgr::LockTable for why).
  void start_revocation_clocks(Revision applied);

  /// Exactly-once. Drops results that the client has; waiting acquires within a range stay, and
  /// after kSkipsMax of them the rest is ignored, which bounds the work of an entry.
  void acknowledge(Session& session, std::span<const SequenceRange> ranges,
                   const WindowLimits& limits);
  /// Keeps what an applied command came to.
  void keep(Session& session, Sequence sequence, uint64_t content_hash,
            const CommandResult& result);
  /// Keeps an acquire that waits; resolve() follows in this or a later entry.
  void keep_waiting(Session& session, Sequence sequence, uint64_t content_hash, uint8_t kind);
  /// Keeps what a command that was not seen yet shall be answered, whatever its content: an acquire
  /// that is cancelled before it came.
  void keep_unseen(Session& session, Sequence sequence, const CommandResult& result);
  /// Replaces what is kept for a sequence: a wait that ended, a tenure that ended. False if nothing
  /// is kept for it any more (acknowledged), or the session is gone. The kind stays.
  bool resolve(SessionId id, Sequence sequence, const CommandResult& result);

  /// Writes the entry's row changes.
  void finish();

  // ---- reads ---------------------------------------------------------------------------------

  const Session* find(SessionId id) const;
  Session* find(SessionId id);
  /// Zero if no session has this secret hash.
  SessionId find_by_secret(const SecretHash& hash) const;
  /// Up to `count` sessions with ids above `after`, ascending, appended to `out`.
  void list(SessionId after, size_t count, std::vector<const Session*>& out) const;
  /// When the next tick is due, in cluster time; may be in the past. None if nothing is timed.
  std::optional<int64_t> next_due_ms() const;
  size_t size() const { return sessions_.size(); }
  /// Whether any session is to be ended by its operator: all of those are timed.
  bool any_revocation() const { return !due_.empty() || !unstarted_.empty(); }

  // ---- rows ----------------------------------------------------------------------------------

  /// Sum of the hashes of all present rows of the session tables.
  const Digest& digest() const { return digest_; }
  /// Takes one row of an empty table's future state, in ascending order of table and id. CORRUPT
  /// names what does not fit. finish_load() ends it.
  Status load(RowTable table, uint64_t id, std::string_view row);
  Status finish_load();
  /// The first broken invariant as a sentence, or empty. O(state).
  std::string check_invariants() const;

  /// Waiting acquires that one entry's acknowledgements may step over.
  static constexpr size_t kSkipsMax = 1'024;

 private:
  void mark_dirty(Session& session);
  void mark_row_dirty(Session& session);
  void mark_window_dirty(Session& session);
  void mark_kept_dirty(const Session& session, Sequence sequence, KeptResult& kept);
  void insert(Session& session, Sequence sequence, const KeptResult& kept);
  uint64_t own_row() const { return 2 * revision_.value; }
  void write_rows(Session& session);
  void erase_row(RowTable table, uint64_t id, Digest& hash);
  void replace_hash(Digest& hash, const Digest& fresh);
  void set_due(Session& session, int64_t due_ms);
  void unset_due(const Session& session);
  Status load_session(uint64_t id, std::string_view row);
  Status load_result(uint64_t id, std::string_view row);
  Status load_window(uint64_t id, std::string_view row);
  std::string check_session(const Session& session, Digest& sum) const;

  RowLog& rows_;
  // Declared before the sessions, whose windows allocate from it.
  std::unique_ptr<std::pmr::unsynchronized_pool_resource> pool_;
  std::unordered_map<SessionId, Session> sessions_;  // its order is never observed
  std::set<SessionId> ids_;
  std::map<SecretHash, SessionId> by_secret_;
  std::set<std::pair<int64_t, SessionId>> due_;         // revocations whose clock runs
  std::set<std::pair<Revision, SessionId>> unstarted_;  // announced, TTL's clock not started
  Revision revision_;
  int64_t now_ms_ = 0;
  int64_t unix_ms_ = 0;
  std::vector<SessionId> dirty_;
  std::vector<std::pair<SessionId, Sequence>> dirty_kept_;
  std::vector<ResultWindow::Dropped> dropped_;
  Digest digest_;
};

}  // namespace holdfast::session
