// The inside of the lock table: its objects, the containers that link them, and the few moves of
// which every command is made. Objects are pooled and linked intrusively, so a command allocates
// nothing in steady state.
#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/flat_index.h"
#include "base/path_order.h"
#include "base/pool.h"
#include "lockmgr/arrivals.h"
#include "lockmgr/lock_table.h"
#include "lockmgr/rows.h"
#include "lockmgr/tenures.h"

namespace holdfast::lockmgr {

namespace bi = boost::intrusive;

struct Lock;
struct Place;
struct Session;

using ListLink = bi::list_member_hook<>;
using SetLink = bi::set_member_hook<>;

/// Something that becomes due in cluster time: the end of a wait or of a notice (place), or of a
/// lock-delay (lock). Due at the same time, waits and notices come first, in order of arrival.
struct Timer {
  int64_t due_ms = 0;
  Place* place = nullptr;
  Lock* lock = nullptr;
  SetLink link;
  bool set() const { return link.is_linked(); }
};
struct TimerOrder {
  bool operator()(const Timer& a, const Timer& b) const;
};
using Timers = bi::set<Timer, bi::member_hook<Timer, SetLink, &Timer::link>,
                       bi::compare<TimerOrder>, bi::constant_time_size<true>>;

/// A revocation announced against a holder.
struct Revocation {
  Place* place = nullptr;
  Revision notice_id;
  int64_t announced_ms = 0;
  int64_t notice_ms = 0;
  bool acknowledged = false;
  bool clock_started = false;
  std::string note;
  ListLink session_link;
  ListLink clock_link;  ///< among those whose TTL is not counted yet

  void clear();
};

/// Which table holds the place's row.
enum class PlaceRow : uint8_t { kNone, kWaiter, kHolder };

/// One claim of one acquire: first a place in a queue, then a holder.
struct Place {
  uint64_t id = 0;
  Lock* lock = nullptr;
  Session* session = nullptr;
  Sequence sequence;
  Place* next_claim = nullptr;  ///< ring of the claims of this acquire that are still present
  uint64_t ticket = 0;          ///< waiting: lock->arrivals
  Revision token;               ///< holding: not zero
  int64_t deadline_ms = 0;      ///< waiting: 0 = none
  int64_t lock_delay_ms = 0;
  int64_t since_unix_ms = 0;
  uint32_t permits = 0;
  LockMode mode = LockMode::kExclusive;
  bool gone = false;
  bool dirty = false;
  PlaceRow row = PlaceRow::kNone;
  Digest row_hash;
  std::string owner, value;
  Revocation* revocation = nullptr;
  Timer timer;  ///< waiting: the deadline, set on the acquire's first claim; holding: the notice
  ListLink lock_link;     ///< in lock->waiters or lock->holders
  ListLink session_link;  ///< in session->places

  bool holding() const { return token.value != 0; }
  void clear();
};

using PlacesOfLock = bi::list<Place, bi::member_hook<Place, ListLink, &Place::lock_link>>;
using PlacesOfSession = bi::list<Place, bi::member_hook<Place, ListLink, &Place::session_link>>;
using RevocationsOfSession =
    bi::list<Revocation, bi::member_hook<Revocation, ListLink, &Revocation::session_link>>;
using UncountedRevocations =
    bi::list<Revocation, bi::member_hook<Revocation, ListLink, &Revocation::clock_link>>;

struct Lock {
  uint64_t id = 0;
  std::string path;
  uint64_t path_hash = 0;
  uint32_t limit = 0;           ///< semaphore: its permits; 0 = exclusive or shared
  uint64_t permits_held = 0;    ///< semaphore
  int64_t closed_until_ms = 0;  ///< 0 = open. The timer opens it, not a comparison with the time
  PlacesOfLock holders;         ///< ascending by (token, id)
  PlacesOfLock waiters;         ///< ascending by id: the order of arrival
  Arrivals arrivals;            ///< one ticket a waiter
  bool touched = false;         ///< may have a head to grant
  bool in_entry = false;        ///< to be looked at when the entry ends
  bool dirty = false;
  bool gone = false;
  bool has_row = false;
  Digest row_hash;
  Timer timer;
  SetLink path_link;

  bool unused() const { return holders.empty() && waiters.empty(); }
  void clear();
};
struct PathOrder {
  using type = std::string_view;
  std::string_view operator()(const Lock& lock) const { return lock.path; }
};
using LocksByPath = bi::set<Lock, bi::member_hook<Lock, SetLink, &Lock::path_link>,
                            bi::key_of_value<PathOrder>, bi::compare<TreeLess>>;

/// A session as far as locks are concerned: present while it has a lock or a place.
struct Session {
  SessionId id;
  std::string name;
  int64_t ttl_ms = 0;
  PlacesOfSession places;            ///< ascending by id
  uint64_t held = 0;                 ///< of them, those that hold their lock
  RevocationsOfSession revocations;  ///< in order of announcement
  void clear();
};

/// The present claims of one acquire in order of their numbers; a copy, so that they may be
/// unlinked while it is walked.
class Claims {
 public:
  explicit Claims(const Place* any);
  Place* const* begin() const { return places_; }
  Place* const* end() const { return places_ + size_; }
  Place* first() const { return places_[0]; }
  uint32_t size() const { return size_; }

 private:
  Place* places_[kMaxClaims];
  uint32_t size_ = 0;
};

struct LockTable::State {
  State(RowLog& rows, const Options& options);

  // Pools stand first: they are destroyed after the containers that link their objects.
  Pool<Revocation> revocation_pool;
  Pool<Place> place_pool;
  Pool<Session> session_pool;
  Pool<Lock> lock_pool;

  RowLog& rows;
  const uint64_t hash_seed;
  Digest digest;
  TenureRing tenures;
  FlatIndex<Lock*> lock_index;
  FlatIndex<Session*> session_index;
  FlatIndex<Place*> acquire_index;  ///< by (session, sequence): the acquire's lowest present claim
  FlatIndex<Place*> holder_index;   ///< by holder id: the same
  LocksByPath locks;
  Timers timers;
  UncountedRevocations uncounted;  ///< in order of announcement
  uint64_t holder_count = 0;
  uint64_t waiter_count = 0;

  // The entry in progress, or the last one; after loading the largest revision in any row.
  Revision revision;
  int64_t now_ms = 0;
  int64_t unix_ms = 0;
  bool in_entry = false;
  uint64_t locks_made = 0;
  Effects effects;
  std::vector<Lock*> touched;
  std::vector<Lock*> entry_locks;
  std::vector<Lock*> dirty_locks;
  std::vector<Place*> dirty_places;
  std::vector<Place*> tries;
  std::vector<Place*> gone_places;
  std::vector<Place*> ending;     ///< scratch: what a command is about to end
  std::vector<Lock*> gone_locks;  ///< recycled by the next begin(): effects point to their paths

  // What is being loaded.
  std::vector<Lock*> loaded_locks;
  std::vector<Session*> loaded_sessions;
  Place* loaded_place = nullptr;
  RowTable loaded_table{};
  uint64_t loaded_id = 0;

  // Finding (state.cc).
  Lock* find_lock(std::string_view path) const;
  Session* find_session(SessionId id) const;
  Place* find_acquire(SessionId session, Sequence sequence) const;
  Place* find_holder_id(Revision holder_id) const;
  /// The claim on `lock` of the acquire with this holder id, waiting or holding.
  Place* find_claim(const Lock* lock, Revision holder_id) const;
  Place* find_holder(std::string_view path, Revision holder_id, SessionId session) const;

  // Making and unmaking (state.cc).
  Lock* make_lock(std::string_view path, uint64_t id);
  Session* make_session(SessionId id, std::string_view name, int64_t ttl_ms);
  /// Adds a place to its session and its acquire, after the claim `previous` (null: it is the
  /// first).
  void join_acquire(Place* place, Place* previous);
  void index_acquire(Place* from, Place* to);
  /// Takes a place that is in no queue and holds nothing out of its session and acquire.
  void leave_acquire(Place* place);
  void forget_lock(Lock* lock);
  void mark_dirty(Lock* lock);
  void mark_dirty(Place* place);
  void touch(Lock* lock);
  /// Forgets a lock that nothing keeps, at the end of an entry that touched it.
  void leave_entry(Lock* lock);
  /// Does what the timer stands for; returns how many holders, places or closed locks that removed.
  size_t fire(Timer& timer);
  void set_timer(Timer& timer, int64_t due_ms);
  void stop_timer(Timer& timer);

  // Waiting (waiting.cc).
  void enqueue(Place* place);
  void dequeue(Place* place);
  uint64_t position(const Place* place) const;
  /// The largest position over the claims of the acquire.
  uint64_t position(const Claims& claims) const;
  Status check_claim(const Claim& claim, const Lock* lock, const Limits& limits) const;
  Status check_claims(SessionId session, std::span<const Claim> claims, const Limits& limits) const;
  /// The first claimed lock whose queue is full, or null.
  const Lock* full_queue(std::span<const Claim> claims, uint32_t max_queue) const;
  void place_claims(const Acquirer& who, std::span<const Claim> claims,
                    const AcquireOptions& options, const Limits& limits);
  /// Ends the wait of a whole acquire; returns how many places left.
  size_t refuse(Place* any, RefusalReason reason);

  // Holding (granting.cc).
  bool fits(const Place* place) const;
  bool may_grant(const Place* head) const;
  void hold(Place* place);
  void link_holder(Place* place);
  void grant(Place* head);
  void grant_heads(Lock* lock);
  void grant_touched();
  void end_tenure(Place* holder, EndReason reason, std::string_view note = {});
  void close_lock(Lock* lock, int64_t delay_ms);
  void open_lock(Lock* lock);
  void end_waits(SessionId session);
  void end_holds(const SessionEnd& end);
  ReleaseStatus hand_over(Place* holder, Revision to);
  bool could_take_over(const Place* target, const Place* holder) const;

  // Revoking (revocations.cc).
  void announce(Place* holder, int64_t notice_ms, std::string_view reason);
  void give_away_by(Place* holder, int64_t due_ms);
  void drop_revocation(Place* holder);
  Notice notice_of(const Revocation& revocation) const;

  // Rows (persist.cc).
  void flush();
  void flush(Lock* lock);
  void flush(Place* place);
  Digest write(RowLog& log, const Lock& lock) const;
  Digest write(RowLog& log, const Place& place) const;
  PlaceFields fields_of(const Place& place) const;
  Status load_lock(uint64_t id, std::string_view row);
  Status load_waiter(uint64_t id, std::string_view row);
  Status load_holder(uint64_t id, std::string_view row);
  Status load_tenure(uint64_t id, std::string_view row);
  Result<Place*> load_place(RowTable table, uint64_t id, const PlaceFields& fields);

  // Describing (describe.cc).
  HolderInfo info_of_holder(const Place& holder) const;
  WaiterInfo info_of_waiter(const Place& waiter, uint64_t position) const;
  LockInfo summary_of(const Lock& lock, size_t holders) const;

  // Checks (invariants.cc): the first broken one as a sentence, or empty.
  std::string check_lock(const Lock& lock) const;
  std::string check_holders(const Lock& lock) const;
  std::string check_queue(const Lock& lock) const;
  std::string check_acquire(const Place& place) const;
  std::string check_session(const Session& session) const;
  std::string check_revocation(const Place& holder) const;
  std::string check_structure() const;
  std::string check_digest() const;
};

}  // namespace holdfast::lockmgr
