// What must hold between entries, recounted from the objects themselves: TESTING I11, I12 as far as
// the table can see, I14, and that every index, count and timer says the same as the queues.
#include <set>
#include <string>

#include "lockmgr/state.h"

namespace holdfast::lockmgr {
namespace {

std::string of(const Lock& lock, const char* what) { return "lock " + lock.path + ": " + what; }
std::string of(const Place& place, const char* what) {
  return "place " + std::to_string(place.id) + " of " + place.lock->path + ": " + what;
}

bool mode_matches(const Place& place) {
  return (place.mode == LockMode::kSemaphore) == (place.lock->limit > 0) &&
         (place.mode == LockMode::kSemaphore) == (place.permits > 0) &&
         place.permits <= place.lock->limit;
}

}  // namespace

std::string LockTable::State::check_holders(const Lock& lock) const {
  uint64_t permits = 0;
  const Place* before = nullptr;
  for (const Place& holder : lock.holders) {
    permits += holder.permits;
    if (holder.lock != &lock || !holder.holding()) return of(holder, "holds another lock");
    if (!mode_matches(holder)) return of(holder, "its mode does not fit the lock");
    if (holder.token > revision) return of(holder, "its token is from the future");
    if (holder.token < holder_id_of(holder.id))
      return of(holder, "granted before it was asked for");
    if (holder.mode == LockMode::kExclusive && lock.holders.size() > 1) {
      return of(lock, "an exclusive holder is not alone (I11)");
    }
    if (before != nullptr &&
        std::tuple(before->token, before->id) >= std::tuple(holder.token, holder.id)) {
      return of(holder, "holders are out of order");
    }
    before = &holder;
  }
  if (permits != lock.permits_held) return of(lock, "permits held differ from a recount");
  if (lock.limit > 0 && permits > lock.limit) return of(lock, "more permits held than its limit");
  return {};
}

std::string LockTable::State::check_queue(const Lock& lock) const {
  uint64_t expected = 0;
  const Place* before = nullptr;
  for (const Place& waiter : lock.waiters) {
    if (waiter.lock != &lock || waiter.holding()) return of(waiter, "waits for another lock");
    if (!mode_matches(waiter)) return of(waiter, "its mode does not fit the lock");
    if (before != nullptr && before->id >= waiter.id) return of(waiter, "passed another waiter");
    if (position(&waiter) != ++expected) return of(waiter, "its position differs from a recount");
    before = &waiter;
  }
  if (lock.arrivals.size() != lock.waiters.size()) return of(lock, "tickets differ from waiters");
  if (!lock.waiters.empty() && may_grant(&lock.waiters.front())) {
    return of(lock, "its head could be granted (I14)");
  }
  return {};
}

std::string LockTable::State::check_lock(const Lock& lock) const {
  if (lock.unused() && lock.closed_until_ms == 0) return of(lock, "nothing keeps it");
  if (lock.unused() && lock.limit != 0) return of(lock, "a limit without holder or waiter");
  if (find_lock(lock.path) != &lock) return of(lock, "the index does not find it");
  if (lock.gone || lock.dirty || lock.touched || lock.in_entry) return of(lock, "left unsettled");
  const bool closed = lock.closed_until_ms != 0;
  if (closed != lock.timer.set() || (closed && lock.timer.due_ms != lock.closed_until_ms)) {
    return of(lock, "its lock-delay has another timer");
  }
  std::string broken = check_holders(lock);
  if (broken.empty()) broken = check_queue(lock);
  return broken;
}

std::string LockTable::State::check_revocation(const Place& holder) const {
  const Revocation* revocation = holder.revocation;
  if (revocation == nullptr) {
    return holder.timer.set() ? of(holder, "a timer without a revocation") : "";
  }
  if (revocation->place != &holder || !revocation->session_link.is_linked()) {
    return of(holder, "its revocation is another's");
  }
  if (revocation->clock_link.is_linked() == revocation->clock_started) {
    return of(holder, "counted and uncounted at once");
  }
  const bool timed = revocation->clock_started || revocation->acknowledged;
  return timed == holder.timer.set() ? "" : of(holder, "its revocation has no end");
}

std::string LockTable::State::check_acquire(const Place& place) const {
  const Claims claims(&place);
  const Place* first = claims.first();
  if (find_acquire(place.session->id, place.sequence) != first ||
      find_holder_id(holder_id_of(place.id)) != first) {
    return of(place, "the indexes do not find its acquire");
  }
  for (const Place* claim : claims) {
    if (claim->session != place.session || claim->sequence != place.sequence ||
        holder_id_of(claim->id) != holder_id_of(place.id) ||
        claim->deadline_ms != place.deadline_ms) {
      return of(place, "its acquire is mixed with another");
    }
    if (claim->token != place.token) return of(place, "its acquire was granted in part");
  }
  if (place.gone || place.dirty) return of(place, "left unsettled");
  if (place.holding()) return check_revocation(place);
  const bool timed = &place == first && place.deadline_ms != 0;
  if (timed != place.timer.set() || (timed && place.timer.due_ms != place.deadline_ms)) {
    return of(place, "its wait has another timer");
  }
  return {};
}

std::string LockTable::State::check_session(const Session& session) const {
  const std::string name = "session " + std::to_string(session.id.value) + ": ";
  if (find_session(session.id) != &session) return name + "the index does not find it";
  const Place* before = nullptr;
  uint64_t revocations = 0, held = 0;
  for (const Place& place : session.places) {
    if (before != nullptr && before->id >= place.id) return name + "places are out of order";
    revocations += place.revocation != nullptr ? 1 : 0;
    held += place.holding() ? 1 : 0;
    before = &place;
  }
  if (held != session.held) return name + "the locks it holds differ from a recount";
  return revocations == session.revocations.size() ? "" : name + "notices differ from a recount";
}

std::string LockTable::State::check_structure() const {
  uint64_t holders = 0, waiters = 0, timed = 0, places = 0;
  std::set<uint64_t> sessions, acquires;
  for (const Lock& lock : locks) {
    if (std::string broken = check_lock(lock); !broken.empty()) return broken;
    holders += lock.holders.size();
    waiters += lock.waiters.size();
    timed += lock.timer.set() ? 1 : 0;
    for (const PlacesOfLock* list : {&lock.holders, &lock.waiters}) {
      for (const Place& place : *list) {
        if (std::string broken = check_acquire(place); !broken.empty()) return broken;
        acquires.insert(holder_id_of(place.id).value);
        timed += place.timer.set() ? 1 : 0;
        if (!sessions.insert(place.session->id.value).second) continue;
        if (std::string broken = check_session(*place.session); !broken.empty()) return broken;
        places += place.session->places.size();
      }
    }
  }
  if (holders != holder_count || waiters != waiter_count) return "counts differ from a recount";
  if (places != holders + waiters) return "sessions own other places than there are";
  if (timed != timers.size()) return "a timer belongs to nothing";
  if (acquires.size() != acquire_index.size() || acquires.size() != holder_index.size() ||
      sessions.size() != session_index.size() || locks.size() != lock_index.size()) {
    return "an index keeps what is gone";
  }
  return tenures.indexes_hold() ? "" : "the indexes of tenures differ from a recount";
}

std::string LockTable::State::check_digest() const {
  RowLog scratch;
  Digest sum = tenures.recount();
  for (const Lock& lock : locks) {
    scratch.clear();
    sum.add(write(scratch, lock));
    for (const Place& holder : lock.holders) sum.add(write(scratch, holder));
    for (const Place& waiter : lock.waiters) sum.add(write(scratch, waiter));
  }
  return sum == digest ? "" : "the digest differs from a recount";
}

std::string LockTable::check_invariants() const {
  std::string broken = state_->check_structure();
  if (broken.empty()) broken = state_->check_digest();
  return broken;
}

}  // namespace holdfast::lockmgr
