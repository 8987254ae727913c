// The table as rows: what an entry changed is written once when it is settled, whatever happened to
// it in between; loading builds the same table from the rows alone.
#include <algorithm>
#include <string>

#include "lockmgr/state.h"

namespace holdfast::lockmgr {
namespace {

Error corrupt(RowTable table, uint64_t id, const std::string& what) {
  return {ErrorCode::kCorrupt, "row " + std::to_string(id) + " of table " +
                                   std::to_string(static_cast<int>(table)) + ": " + what};
}

RowTable table_of(PlaceRow row) {
  return row == PlaceRow::kHolder ? RowTable::kLockHolders : RowTable::kLockWaiters;
}

bool in_order_of_arrival(const Place& a, const Place& b) { return a.id < b.id; }

bool in_order_of_grant(const Place& a, const Place& b) {
  return std::tuple(a.token, a.id) < std::tuple(b.token, b.id);
}

bool in_order_of_announcement(const Revocation& a, const Revocation& b) {
  return std::tuple(a.notice_id, a.place->token, a.place->id) <
         std::tuple(b.notice_id, b.place->token, b.place->id);
}

}  // namespace

void LockTable::State::flush() {
  for (Lock* lock : dirty_locks) flush(lock);
  for (Place* place : dirty_places) flush(place);
  dirty_locks.clear();
  dirty_places.clear();
}

void LockTable::State::flush(Lock* lock) {
  lock->dirty = false;
  if (lock->has_row) digest.subtract(lock->row_hash);
  if (!lock->gone) {
    lock->row_hash = write(rows, *lock);
    digest.add(lock->row_hash);
  } else if (lock->has_row) {
    rows.erase(RowTable::kLocks, lock->id);
  }
  lock->has_row = !lock->gone;
}

void LockTable::State::flush(Place* place) {
  place->dirty = false;
  PlaceRow now = place->holding() ? PlaceRow::kHolder : PlaceRow::kWaiter;
  if (place->gone) now = PlaceRow::kNone;
  if (place->row != PlaceRow::kNone) digest.subtract(place->row_hash);
  if (place->row != PlaceRow::kNone && place->row != now) {
    rows.erase(table_of(place->row), place->id);
  }
  if (now != PlaceRow::kNone) {
    place->row_hash = write(rows, *place);
    digest.add(place->row_hash);
  }
  place->row = now;
}

Digest LockTable::State::write(RowLog& log, const Lock& lock) const {
  return write_row(
      log, lock.id,
      LockRow{.path = lock.path, .limit = lock.limit, .closed_until_ms = lock.closed_until_ms});
}

Digest LockTable::State::write(RowLog& log, const Place& place) const {
  if (!place.holding()) {
    return write_row(log, place.id,
                     WaiterRow{.place = fields_of(place), .deadline_ms = place.deadline_ms});
  }
  HolderRow row{.place = fields_of(place), .token = place.token};
  if (const Revocation* revocation = place.revocation) {
    row.notice_id = revocation->notice_id;
    row.announced_ms = revocation->announced_ms;
    row.notice_ms = revocation->notice_ms;
    row.acknowledged = revocation->acknowledged;
    row.clock_started = revocation->clock_started;
    row.give_away_ms = place.timer.set() ? place.timer.due_ms : 0;
    row.note = revocation->note;
  }
  return write_row(log, place.id, row);
}

PlaceFields LockTable::State::fields_of(const Place& place) const {
  return {.lock_id = place.lock->id,
          .session = place.session->id,
          .sequence = place.sequence,
          .session_name = place.session->name,
          .session_ttl_ms = place.session->ttl_ms,
          .owner = place.owner,
          .value = place.value,
          .mode = place.mode,
          .permits = place.permits,
          .lock_delay_ms = place.lock_delay_ms,
          .since_unix_ms = place.since_unix_ms};
}

Status LockTable::load(RowTable table, uint64_t id, std::string_view row) {
  State& s = *state_;
  if (std::tuple(table, id) <= std::tuple(s.loaded_table, s.loaded_id)) {
    return corrupt(table, id,
                   "rows must ascend, it stands behind row " + std::to_string(s.loaded_id) +
                       " of table " + std::to_string(static_cast<int>(s.loaded_table)));
  }
  if (table != s.loaded_table) s.loaded_place = nullptr;
  s.loaded_table = table;
  s.loaded_id = id;
  switch (table) {
    case RowTable::kLocks:
      return s.load_lock(id, row);
    case RowTable::kLockHolders:
      return s.load_holder(id, row);
    case RowTable::kLockWaiters:
      return s.load_waiter(id, row);
    case RowTable::kLockTenures:
      return s.load_tenure(id, row);
    default:
      return corrupt(table, id, "the table is not one of locks");
  }
}

Status LockTable::State::load_lock(uint64_t id, std::string_view bytes) {
  LockRow row;
  if (!read_row(bytes, row)) return corrupt(RowTable::kLocks, id, "cannot be read");
  if (find_lock(row.path) != nullptr) return corrupt(RowTable::kLocks, id, "its path is taken");
  Lock* lock = make_lock(row.path, id);
  lock->limit = row.limit;
  lock->closed_until_ms = row.closed_until_ms;
  if (row.closed_until_ms != 0) set_timer(lock->timer, row.closed_until_ms);
  revision = std::max(revision, holder_id_of(id));
  lock->has_row = true;
  lock->row_hash = row_hash(RowTable::kLocks, id, bytes);
  digest.add(lock->row_hash);
  loaded_locks.push_back(lock);
  return ok_status();
}

Result<Place*> LockTable::State::load_place(RowTable table, uint64_t id,
                                            const PlaceFields& fields) {
  const auto at = std::lower_bound(loaded_locks.begin(), loaded_locks.end(), fields.lock_id,
                                   [](const Lock* lock, uint64_t key) { return lock->id < key; });
  if (at == loaded_locks.end() || (*at)->id != fields.lock_id) {
    return corrupt(table, id, "there is no lock " + std::to_string(fields.lock_id));
  }
  const bool joins = loaded_place != nullptr && holder_id_of(loaded_place->id) == holder_id_of(id);
  const Place* known = find_acquire(fields.session, fields.sequence);
  if ((known == nullptr) == joins || (joins && holder_id_of(known->id) != holder_id_of(id)) ||
      (!joins && find_holder_id(holder_id_of(id)) != nullptr)) {
    return corrupt(table, id, "sequence and holder id are at odds with another row");
  }
  Place* place = place_pool.take();
  place->id = id;
  place->lock = *at;
  place->session = make_session(fields.session, fields.session_name, fields.session_ttl_ms);
  place->sequence = fields.sequence;
  place->lock_delay_ms = fields.lock_delay_ms;
  place->since_unix_ms = fields.since_unix_ms;
  place->mode = fields.mode;
  place->permits = fields.permits;
  place->owner.assign(fields.owner);
  place->value.assign(fields.value);
  place->timer.place = place;
  if (place->session->places.empty()) loaded_sessions.push_back(place->session);
  revision = std::max(revision, holder_id_of(id));
  join_acquire(place, joins ? loaded_place : nullptr);
  loaded_place = place;
  return place;
}

Status LockTable::State::load_holder(uint64_t id, std::string_view bytes) {
  HolderRow row;
  if (!read_row(bytes, row)) return corrupt(RowTable::kLockHolders, id, "cannot be read");
  Result<Place*> place = load_place(RowTable::kLockHolders, id, row.place);
  if (!place.ok()) return place.error();
  Place* holder = *place;
  holder->token = row.token;
  revision = std::max(revision, row.token);
  holder->lock->holders.push_back(*holder);
  holder->lock->permits_held += holder->permits;
  ++holder_count;
  ++holder->session->held;
  if (row.notice_id) {
    Revocation* revocation = revocation_pool.take();
    revocation->place = holder;
    revocation->notice_id = row.notice_id;
    revocation->announced_ms = row.announced_ms;
    revocation->notice_ms = row.notice_ms;
    revocation->acknowledged = row.acknowledged;
    revocation->clock_started = row.clock_started;
    revocation->note.assign(row.note);
    holder->revocation = revocation;
    holder->session->revocations.push_back(*revocation);
    if (!row.clock_started) uncounted.push_back(*revocation);
    if (row.acknowledged || row.clock_started) set_timer(holder->timer, row.give_away_ms);
  }
  holder->row = PlaceRow::kHolder;
  holder->row_hash = row_hash(RowTable::kLockHolders, id, bytes);
  digest.add(holder->row_hash);
  return ok_status();
}

Status LockTable::State::load_waiter(uint64_t id, std::string_view bytes) {
  WaiterRow row;
  if (!read_row(bytes, row)) return corrupt(RowTable::kLockWaiters, id, "cannot be read");
  Result<Place*> place = load_place(RowTable::kLockWaiters, id, row.place);
  if (!place.ok()) return place.error();
  Place* waiter = *place;
  Lock* lock = waiter->lock;
  lock->waiters.push_back(*waiter);
  waiter->ticket = lock->arrivals.add();
  ++waiter_count;
  waiter->deadline_ms = row.deadline_ms;
  const bool first = find_holder_id(holder_id_of(id)) == waiter;
  if (first && row.deadline_ms != 0) set_timer(waiter->timer, row.deadline_ms);
  waiter->row = PlaceRow::kWaiter;
  waiter->row_hash = row_hash(RowTable::kLockWaiters, id, bytes);
  digest.add(waiter->row_hash);
  return ok_status();
}

Status LockTable::State::load_tenure(uint64_t id, std::string_view bytes) {
  TenureRow row;
  if (!read_row(bytes, row)) return corrupt(RowTable::kLockTenures, id, "cannot be read");
  if (!tenures.load(id, row, row_hash(RowTable::kLockTenures, id, bytes))) {
    return corrupt(RowTable::kLockTenures, id, "is not the next tenure");
  }
  revision = std::max(revision, row.end_revision);
  return ok_status();
}

Status LockTable::finish_load() {
  State& s = *state_;
  for (Lock* lock : s.loaded_locks) lock->holders.sort(in_order_of_grant);
  for (Session* session : s.loaded_sessions) {
    session->places.sort(in_order_of_arrival);
    session->revocations.sort(in_order_of_announcement);
  }
  s.uncounted.sort(in_order_of_announcement);
  s.loaded_locks = {};
  s.loaded_sessions = {};
  s.loaded_place = nullptr;
  if (const std::string broken = s.check_structure(); !broken.empty()) {
    return Error{ErrorCode::kCorrupt, "the loaded locks break a rule: " + broken};
  }
  return ok_status();
}

}  // namespace holdfast::lockmgr
