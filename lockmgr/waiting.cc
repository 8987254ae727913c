// Queues: how an acquire joins them and leaves without a grant.
#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "base/saturate.h"
#include "lockmgr/state.h"

namespace holdfast::lockmgr {
namespace {

Error bad_argument(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }
Error limit_exceeded(std::string message) {
  return {ErrorCode::kLimitExceeded, std::move(message)};
}

std::string kind_name(uint32_t limit) {
  if (limit == 0) return "an exclusive or shared lock";
  return "a semaphore of " + std::to_string(limit);
}

bool names_a_path_twice(std::span<const Claim> claims) {
  std::array<std::string_view, kMaxClaims> paths;
  const auto end = std::transform(claims.begin(), claims.end(), paths.begin(),
                                  [](const Claim& claim) { return claim.path; });
  std::sort(paths.begin(), end);
  return std::adjacent_find(paths.begin(), end) != end;
}

uint32_t limit_of(const Claim& claim) {
  return claim.mode == LockMode::kSemaphore ? claim.limit : 0;
}

}  // namespace

Status LockTable::State::check_claim(const Claim& claim, const Lock* lock,
                                     const Limits& limits) const {
  if (claim.mode == LockMode::kSemaphore && (claim.permits < 1 || claim.permits > claim.limit)) {
    return bad_argument("permits of " + std::string(claim.path) + " must be 1 to its limit " +
                        std::to_string(claim.limit) + ", not " + std::to_string(claim.permits));
  }
  if (lock == nullptr) return ok_status();
  if (!lock->unused() && lock->limit != limit_of(claim)) {
    return bad_argument(lock->path + " is held or queued for as " + kind_name(lock->limit) +
                        ", it cannot be " + kind_name(limit_of(claim)) + " meanwhile");
  }
  if (lock->waiters.size() >= limits.waiters_of_a_lock) {
    return limit_exceeded(lock->path + " has " + std::to_string(lock->waiters.size()) +
                          " waiters, the limit is " + std::to_string(limits.waiters_of_a_lock));
  }
  return ok_status();
}

Status LockTable::State::check_claims(SessionId session_id, std::span<const Claim> claims,
                                      const Limits& limits) const {
  if (claims.empty() || claims.size() > kMaxClaims) {
    return bad_argument("an acquire names 1 to " + std::to_string(kMaxClaims) + " locks, not " +
                        std::to_string(claims.size()));
  }
  if (names_a_path_twice(claims)) return bad_argument("an acquire names each lock once");
  uint64_t made = 0;
  for (const Claim& claim : claims) {
    const Lock* lock = find_lock(claim.path);
    if (Status status = check_claim(claim, lock, limits); !status.ok()) return status;
    made += lock == nullptr ? 1 : 0;
  }
  const Session* session = find_session(session_id);
  const uint64_t places = session == nullptr ? 0 : session->places.size();
  if (places + claims.size() > limits.places_of_a_session) {
    return limit_exceeded("session " + std::to_string(session_id.value) + " has " +
                          std::to_string(places) + " locks and places, with " +
                          std::to_string(claims.size()) + " more it would pass the limit of " +
                          std::to_string(limits.places_of_a_session));
  }
  if (locks.size() + made > limits.locks) {
    return limit_exceeded("there are " + std::to_string(locks.size()) + " locks, the quota is " +
                          std::to_string(limits.locks));
  }
  return ok_status();
}

const Lock* LockTable::State::full_queue(std::span<const Claim> claims, uint32_t max_queue) const {
  if (max_queue == 0) return nullptr;
  for (const Claim& claim : claims) {
    const Lock* lock = find_lock(claim.path);
    if (lock != nullptr && lock->waiters.size() >= max_queue) return lock;
  }
  return nullptr;
}

Status LockTable::acquire(const Acquirer& who, std::span<const Claim> claims,
                          const AcquireOptions& options, const Limits& limits) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  HF_CHECK(s.find_acquire(who.session, who.sequence) == nullptr, "an acquire is applied once");
  if (Status status = s.check_claims(who.session, claims, limits); !status.ok()) return status;
  if (const Lock* full = s.full_queue(claims, options.max_queue)) {
    s.effects.refused.push_back({.session = who.session,
                                 .sequence = who.sequence,
                                 .holder_id = s.revision,
                                 .reason = RefusalReason::kQueueFull,
                                 .position = full->waiters.size() + 1,
                                 .path = full->path});
    return ok_status();
  }
  s.place_claims(who, claims, options, limits);
  return ok_status();
}

void LockTable::State::place_claims(const Acquirer& who, std::span<const Claim> claims,
                                    const AcquireOptions& options, const Limits& limits) {
  Session* session = make_session(who.session, who.session_name, who.session_ttl_ms);
  const bool timed = options.wait_ms > 0;
  Place* previous = nullptr;
  for (size_t i = 0; i < claims.size(); ++i) {
    const Claim& claim = claims[i];
    Lock* lock = find_lock(claim.path);
    if (lock == nullptr) lock = make_lock(claim.path, make_place_id(revision, locks_made++));
    if (lock->unused()) {
      lock->limit = limit_of(claim);
      mark_dirty(lock);
    }
    close_lock(lock, limits.held_until_ms - now_ms);
    Place* place = place_pool.take();
    place->id = make_place_id(revision, i);
    place->lock = lock;
    place->session = session;
    place->sequence = who.sequence;
    place->deadline_ms = timed ? add_saturating(now_ms, options.wait_ms) : 0;
    place->lock_delay_ms = options.lock_delay_ms;
    place->since_unix_ms = unix_ms;
    place->mode = claim.mode;
    place->permits = claim.mode == LockMode::kSemaphore ? claim.permits : 0;
    place->owner.assign(who.owner);
    place->value.assign(options.value);
    place->timer.place = place;
    join_acquire(place, previous);
    enqueue(place);
    mark_dirty(place);
    if (previous == nullptr && timed) set_timer(place->timer, place->deadline_ms);
    if (previous == nullptr && options.wait_ms == 0) tries.push_back(place);
    previous = place;
  }
}

void LockTable::State::enqueue(Place* place) {
  Lock* lock = place->lock;
  lock->waiters.push_back(*place);
  place->ticket = lock->arrivals.add();
  ++waiter_count;
  touch(lock);
}

void LockTable::State::dequeue(Place* place) {
  Lock* lock = place->lock;
  stop_timer(place->timer);
  lock->waiters.erase(lock->waiters.iterator_to(*place));
  lock->arrivals.remove(place->ticket);
  --waiter_count;
  if (lock->arrivals.sparse()) {
    lock->arrivals.clear();
    for (Place& waiter : lock->waiters) waiter.ticket = lock->arrivals.add();
  }
}

uint64_t LockTable::State::position(const Place* place) const {
  return place->lock->arrivals.before(place->ticket) + 1;
}

uint64_t LockTable::State::position(const Claims& claims) const {
  uint64_t largest = 0;
  for (const Place* claim : claims) largest = std::max(largest, position(claim));
  return largest;
}

size_t LockTable::State::refuse(Place* any, RefusalReason reason) {
  const Claims claims(any);
  const Place* first = claims.first();
  effects.refused.push_back({.session = first->session->id,
                             .sequence = first->sequence,
                             .holder_id = holder_id_of(first->id),
                             .reason = reason,
                             .position = position(claims),
                             .path = first->lock->path});
  for (Place* claim : claims) {
    touch(claim->lock);
    dequeue(claim);
    leave_acquire(claim);
  }
  return claims.size();
}

Result<CancelResult> LockTable::cancel_acquire(std::string_view path, SessionId session,
                                               Sequence acquire_sequence) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  Place* place = s.find_acquire(session, acquire_sequence);
  if (place == nullptr) return CancelResult{};
  const Claims claims(place);
  if (std::none_of(claims.begin(), claims.end(),
                   [&](const Place* claim) { return claim->lock->path == path; })) {
    return bad_argument("acquire " + std::to_string(acquire_sequence.value) +
                        " of this session is not one of " + std::string(path) + " but of " +
                        claims.first()->lock->path);
  }
  const CancelResult result{
      .status = place->holding() ? CancelStatus::kGranted : CancelStatus::kCancelled,
      .holder_id = holder_id_of(place->id),
      .token = place->token};
  if (result.status == CancelStatus::kCancelled) s.refuse(place, RefusalReason::kCancelled);
  return result;
}

}  // namespace holdfast::lockmgr
