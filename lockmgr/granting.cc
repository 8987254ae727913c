// Holding: when a waiter may hold a lock, and how tenures begin and end.
#include <algorithm>

#include "base/check.h"
#include "base/saturate.h"
#include "lockmgr/state.h"

namespace holdfast::lockmgr {

bool LockTable::State::fits(const Place* place) const {
  const Lock& lock = *place->lock;
  if (lock.closed_until_ms != 0) return false;
  switch (place->mode) {
    case LockMode::kExclusive:
      return lock.holders.empty();
    case LockMode::kShared:
      return lock.holders.empty() || lock.holders.front().mode == LockMode::kShared;
    case LockMode::kSemaphore:
      return lock.permits_held + place->permits <= lock.limit;
  }
  return false;
}

// PROMISE 3: an acquireAll is granted when it heads all its queues and all its locks are free.
bool LockTable::State::may_grant(const Place* head) const {
  const Place* claim = head;
  do {
    if (&claim->lock->waiters.front() != claim || !fits(claim)) return false;
    claim = claim->next_claim;
  } while (claim != head);
  return true;
}

void LockTable::State::link_holder(Place* place) {
  PlacesOfLock& holders = place->lock->holders;
  auto at = holders.end();
  while (at != holders.begin()) {
    const Place& before = *std::prev(at);
    if (before.token < place->token || before.id < place->id) break;
    --at;
  }
  holders.insert(at, *place);
}

void LockTable::State::hold(Place* place) {
  dequeue(place);
  place->token = revision;
  place->since_unix_ms = unix_ms;
  place->deadline_ms = 0;
  link_holder(place);
  place->lock->permits_held += place->permits;
  ++holder_count;
  ++place->session->held;
  mark_dirty(place);
}

void LockTable::State::grant(Place* head) {
  const Claims claims(head);
  for (Place* claim : claims) {
    hold(claim);
    if (claim != head) touch(claim->lock);
    effects.granted.push_back({.session = claim->session->id,
                               .sequence = claim->sequence,
                               .holder_id = holder_id_of(claim->id),
                               .token = claim->token,
                               .path = claim->lock->path,
                               .index = static_cast<uint32_t>(claim->id % kMaxClaims),
                               .locks = claims.size()});
  }
}

void LockTable::State::grant_heads(Lock* lock) {
  while (!lock->waiters.empty() && may_grant(&lock->waiters.front())) {
    grant(&lock->waiters.front());
  }
}

void LockTable::State::grant_touched() {
  // Granting an acquireAll touches its other locks, which makes the list longer.
  for (size_t i = 0; i < touched.size(); ++i) {
    touched[i]->touched = false;
    grant_heads(touched[i]);
  }
  touched.clear();
}

void LockTable::State::end_tenure(Place* holder, EndReason reason, std::string_view note) {
  Lock* lock = holder->lock;
  // Whoever gives a lock up under notice does so for the operator's reason, however it ends.
  if (note.empty() && holder->revocation != nullptr) note = holder->revocation->note;
  tenures.record({.path = lock->path,
                  .place_id = holder->id,
                  .session = holder->session->id,
                  .sequence = holder->sequence,
                  .session_name = holder->session->name,
                  .owner = holder->owner,
                  .token = holder->token,
                  .since_unix_ms = holder->since_unix_ms,
                  .ended_unix_ms = unix_ms,
                  .end_revision = revision,
                  .reason = reason,
                  .note = note});
  effects.ended.push_back({.session = holder->session->id,
                           .sequence = holder->sequence,
                           .holder_id = holder_id_of(holder->id),
                           .token = holder->token,
                           .path = lock->path,
                           .reason = reason});
  drop_revocation(holder);
  lock->holders.erase(lock->holders.iterator_to(*holder));
  lock->permits_held -= holder->permits;
  --holder_count;
  --holder->session->held;
  touch(lock);
  leave_acquire(holder);
}

ReleaseStatus LockTable::release(std::string_view path, Revision holder_id, SessionId session,
                                 Revision to) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  Place* holder = s.find_holder(path, holder_id, session);
  if (holder == nullptr) return ReleaseStatus::kNotHeld;
  if (to) return s.hand_over(holder, to);
  s.end_tenure(holder, EndReason::kReleased);
  return ReleaseStatus::kReleased;
}

bool LockTable::State::could_take_over(const Place* target, const Place* holder) const {
  const Lock& lock = *target->lock;
  if (target->next_claim != target || lock.closed_until_ms != 0) return false;
  const bool alone = lock.holders.size() == 1;
  switch (target->mode) {
    case LockMode::kExclusive:
      return alone;
    case LockMode::kShared:
      return alone || holder->mode == LockMode::kShared;
    case LockMode::kSemaphore:
      return lock.permits_held - holder->permits + target->permits <= lock.limit;
  }
  return false;
}

// PROMISE 3: only a handover passes waiters, and a lock is kept rather than left to nobody.
ReleaseStatus LockTable::State::hand_over(Place* holder, Revision to) {
  Place* target = find_claim(holder->lock, to);
  if (target == nullptr || target->holding()) return ReleaseStatus::kTargetGone;
  if (!could_take_over(target, holder)) return ReleaseStatus::kTargetBlocked;
  end_tenure(holder, EndReason::kHandedOver);
  grant(target);
  return ReleaseStatus::kHandedOver;
}

size_t LockTable::release_all(Revision holder_id, SessionId session) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  const Place* any = s.find_holder_id(holder_id);
  if (any == nullptr || !any->holding() || any->session->id != session) return 0;
  const Claims claims(any);
  for (Place* claim : claims) s.end_tenure(claim, EndReason::kReleased);
  return claims.size();
}

bool LockTable::set_holder_value(std::string_view path, Revision holder_id, SessionId session,
                                 std::string_view value) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  Place* holder = s.find_holder(path, holder_id, session);
  if (holder == nullptr) return false;
  holder->value.assign(value);
  s.mark_dirty(holder);
  return true;
}

void LockTable::State::close_lock(Lock* lock, int64_t delay_ms) {
  const int64_t until = add_saturating(now_ms, delay_ms);
  if (delay_ms <= 0 || until <= lock->closed_until_ms) return;
  lock->closed_until_ms = until;
  set_timer(lock->timer, until);
  mark_dirty(lock);
}

void LockTable::open_sooner(int64_t before_ms, int64_t then_ms) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  const int64_t until = std::max({then_ms, s.now_ms, int64_t{1}});
  for (Lock& lock : s.locks) {
    if (lock.closed_until_ms != before_ms || until >= before_ms) continue;
    lock.closed_until_ms = until;
    s.set_timer(lock.timer, until);
    s.mark_dirty(&lock);
  }
}

// PROMISE 7: no lock is released, and so none granted, while an ended session has a place anywhere.
void LockTable::end_sessions(std::span<const SessionEnd> ends) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  for (const SessionEnd& end : ends) s.end_waits(end.session);
  for (const SessionEnd& end : ends) s.end_holds(end);
}

void LockTable::State::end_waits(SessionId id) {
  Session* session = find_session(id);
  if (session == nullptr) return;
  ending.clear();
  for (Place& place : session->places) {
    if (!place.holding()) ending.push_back(&place);
  }
  for (Place* place : ending) {
    if (!place->gone) refuse(place, RefusalReason::kSessionEnded);
  }
}

void LockTable::State::end_holds(const SessionEnd& end) {
  Session* session = find_session(end.session);
  if (session == nullptr) return;
  const bool closes = end.reason == EndReason::kSessionExpired ||  //
                      end.reason == EndReason::kSessionRevoked;
  HF_CHECK(closes || end.reason == EndReason::kSessionClosed || end.reason == EndReason::kRestored,
           "a session is closed, expires, is ended by an operator or by a restore");
  ending.clear();
  for (Place& place : session->places) ending.push_back(&place);
  for (Place* place : ending) {
    if (closes) close_lock(place->lock, place->lock_delay_ms);
    end_tenure(place, end.reason, end.note);
  }
}

}  // namespace holdfast::lockmgr
