#include "lockmgr/state.h"

#include <tuple>

#include "base/check.h"
#include "base/hash.h"

namespace holdfast::lockmgr {
namespace {

/// Buffers up to this size stay with a pooled object.
constexpr size_t kKeptCapacity = 256;

void clear_text(std::string& text) {
  if (text.capacity() > kKeptCapacity) {
    std::string().swap(text);
  } else {
    text.clear();
  }
}

std::tuple<int64_t, bool, uint64_t> timer_key(const Timer& timer) {
  const bool of_lock = timer.lock != nullptr;
  return {timer.due_ms, of_lock, of_lock ? timer.lock->id : timer.place->id};
}

}  // namespace

bool TimerOrder::operator()(const Timer& a, const Timer& b) const {
  return timer_key(a) < timer_key(b);
}

void Revocation::clear() {
  place = nullptr;
  notice_id = Revision{};
  announced_ms = notice_ms = 0;
  acknowledged = clock_started = false;
  clear_text(note);
}

void Place::clear() {
  lock = nullptr;
  session = nullptr;
  next_claim = nullptr;
  token = Revision{};
  deadline_ms = 0;
  gone = dirty = false;
  row = PlaceRow::kNone;
  clear_text(owner);
  clear_text(value);
}

void Lock::clear() {
  clear_text(path);
  limit = 0;
  permits_held = 0;
  closed_until_ms = 0;
  arrivals.clear();
  touched = in_entry = dirty = gone = has_row = false;
}

void Session::clear() {
  clear_text(name);
  held = 0;
}

Claims::Claims(const Place* any) {
  // The ring ascends, but for the step from its last claim to its first.
  const Place* last = any;
  while (last->next_claim->id > last->id) last = last->next_claim;
  Place* first = last->next_claim;
  Place* place = first;
  do {
    places_[size_++] = place;
    place = place->next_claim;
  } while (place != first);
}

LockTable::State::State(RowLog& row_log, const Options& options)
    : rows(row_log),
      hash_seed(options.hash_seed),
      tenures(row_log, digest, options.hash_seed, options.tenure_capacity) {}

Lock* LockTable::State::find_lock(std::string_view path) const {
  Lock* const* found = lock_index.find(hash_text(path, hash_seed),
                                       [&](const Lock* lock) { return lock->path == path; });
  return found == nullptr ? nullptr : *found;
}

Session* LockTable::State::find_session(SessionId id) const {
  Session* const* found = session_index.find(hash_pair(id.value, 0, hash_seed),
                                             [&](const Session* s) { return s->id == id; });
  return found == nullptr ? nullptr : *found;
}

Place* LockTable::State::find_acquire(SessionId session, Sequence sequence) const {
  Place* const* found = acquire_index.find(
      hash_pair(session.value, sequence.value, hash_seed),
      [&](const Place* p) { return p->session->id == session && p->sequence == sequence; });
  return found == nullptr ? nullptr : *found;
}

Place* LockTable::State::find_holder_id(Revision holder_id) const {
  Place* const* found =
      holder_index.find(hash_pair(holder_id.value, 0, hash_seed),
                        [&](const Place* p) { return holder_id_of(p->id) == holder_id; });
  return found == nullptr ? nullptr : *found;
}

Place* LockTable::State::find_claim(const Lock* lock, Revision holder_id) const {
  Place* const first = lock == nullptr ? nullptr : find_holder_id(holder_id);
  if (first == nullptr || first->lock == lock) return first;
  for (Place* place = first->next_claim; place != first; place = place->next_claim) {
    if (place->lock == lock) return place;
  }
  return nullptr;
}

Place* LockTable::State::find_holder(std::string_view path, Revision holder_id,
                                     SessionId session) const {
  Place* place = find_claim(find_lock(path), holder_id);
  const bool held = place != nullptr && place->holding() && place->session->id == session;
  return held ? place : nullptr;
}

Lock* LockTable::State::make_lock(std::string_view path, uint64_t id) {
  Lock* lock = lock_pool.take();
  lock->id = id;
  lock->path.assign(path);
  lock->path_hash = hash_text(path, hash_seed);
  lock->timer.lock = lock;
  lock_index.insert(lock->path_hash, lock);
  locks.insert(*lock);
  return lock;
}

void LockTable::State::forget_lock(Lock* lock) {
  lock_index.erase(lock->path_hash, [&](const Lock* other) { return other == lock; });
  locks.erase(locks.iterator_to(*lock));
  lock->gone = true;
  mark_dirty(lock);
  gone_locks.push_back(lock);
}

Session* LockTable::State::make_session(SessionId id, std::string_view name, int64_t ttl_ms) {
  if (Session* known = find_session(id)) return known;
  Session* session = session_pool.take();
  session->id = id;
  session->name.assign(name);
  session->ttl_ms = ttl_ms;
  session_index.insert(hash_pair(id.value, 0, hash_seed), session);
  return session;
}

void LockTable::State::join_acquire(Place* place, Place* previous) {
  place->session->places.push_back(*place);
  if (previous == nullptr) {
    place->next_claim = place;
    index_acquire(nullptr, place);
  } else {
    place->next_claim = previous->next_claim;
    previous->next_claim = place;
  }
}

void LockTable::State::index_acquire(Place* from, Place* to) {
  const Place* key = from != nullptr ? from : to;
  const uint64_t by_request = hash_pair(key->session->id.value, key->sequence.value, hash_seed);
  const uint64_t by_holder = hash_pair(holder_id_of(key->id).value, 0, hash_seed);
  const auto is_from = [&](const Place* place) { return place == from; };
  if (from == nullptr) {
    acquire_index.insert(by_request, to);
    holder_index.insert(by_holder, to);
  } else if (to == nullptr) {
    acquire_index.erase(by_request, is_from);
    holder_index.erase(by_holder, is_from);
  } else if (Place** entry = acquire_index.find(by_request, is_from)) {
    *entry = to;
    *holder_index.find(by_holder, is_from) = to;
  }
}

void LockTable::State::leave_acquire(Place* place) {
  if (place->next_claim == place) {
    index_acquire(place, nullptr);
  } else {
    Place* previous = place;
    while (previous->next_claim != place) previous = previous->next_claim;
    previous->next_claim = place->next_claim;
    index_acquire(place, place->next_claim);
  }
  Session* session = place->session;
  session->places.erase(session->places.iterator_to(*place));
  if (session->places.empty()) {
    session_index.erase(hash_pair(session->id.value, 0, hash_seed),
                        [&](const Session* other) { return other == session; });
    session_pool.give_back(session);
  }
  place->gone = true;
  mark_dirty(place);
  gone_places.push_back(place);
}

void LockTable::State::mark_dirty(Lock* lock) {
  if (lock->dirty) return;
  lock->dirty = true;
  dirty_locks.push_back(lock);
}

void LockTable::State::mark_dirty(Place* place) {
  if (place->dirty) return;
  place->dirty = true;
  dirty_places.push_back(place);
}

void LockTable::State::touch(Lock* lock) {
  if (!lock->touched) {
    lock->touched = true;
    touched.push_back(lock);
  }
  if (!lock->in_entry) {
    lock->in_entry = true;
    entry_locks.push_back(lock);
  }
}

void LockTable::State::set_timer(Timer& timer, int64_t due_ms) {
  stop_timer(timer);
  timer.due_ms = due_ms;
  timers.insert(timer);
}

void LockTable::State::stop_timer(Timer& timer) {
  if (timer.set()) timers.erase(timers.iterator_to(timer));
}

}  // namespace holdfast::lockmgr
