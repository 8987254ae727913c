// Reads: everything can be explained (PROMISE 15), and guards and tokens be checked (PROMISE 2).
#include <algorithm>

#include "lockmgr/state.h"

namespace holdfast::lockmgr {

std::optional<AcquireState> LockTable::find(SessionId session, Sequence sequence) const {
  const Place* place = state_->find_acquire(session, sequence);
  if (place == nullptr) return std::nullopt;
  const Claims claims(place);
  return AcquireState{.granted = place->holding(),
                      .holder_id = holder_id_of(place->id),
                      .token = place->token,
                      .position = place->holding() ? 0 : state_->position(claims),
                      .locks = claims.size(),
                      .path = claims.first()->lock->path};
}

std::optional<TenureInfo> LockTable::find_tenure(SessionId session, Sequence sequence) const {
  return state_->tenures.latest_of(session, sequence);
}

bool LockTable::holds(std::string_view path, Revision holder_id, SessionId session) const {
  return state_->find_holder(path, holder_id, session) != nullptr;
}

bool LockTable::check_token(std::string_view path, Revision token) const {
  const Lock* lock = state_->find_lock(path);
  if (lock == nullptr) return false;
  return std::any_of(lock->holders.begin(), lock->holders.end(),
                     [token](const Place& holder) { return holder.token == token; });
}

Revision LockTable::latest_token(std::string_view path) const {
  const Lock* lock = state_->find_lock(path);
  if (lock == nullptr || lock->holders.empty()) return Revision{};
  return lock->holders.back().token;
}

HolderInfo LockTable::State::info_of_holder(const Place& holder) const {
  return {.holder_id = holder_id_of(holder.id),
          .token = holder.token,
          .session = holder.session->id,
          .sequence = holder.sequence,
          .session_name = holder.session->name,
          .owner = holder.owner,
          .mode = holder.mode,
          .permits = holder.permits,
          .value = holder.value,
          .since_unix_ms = holder.since_unix_ms,
          .lock_delay_ms = holder.lock_delay_ms,
          .revoking = holder.revocation != nullptr};
}

WaiterInfo LockTable::State::info_of_waiter(const Place& waiter, uint64_t position) const {
  return {.holder_id = holder_id_of(waiter.id),
          .position = position,
          .session = waiter.session->id,
          .sequence = waiter.sequence,
          .session_name = waiter.session->name,
          .owner = waiter.owner,
          .mode = waiter.mode,
          .permits = waiter.permits,
          .since_unix_ms = waiter.since_unix_ms,
          .deadline_ms = waiter.deadline_ms,
          .locks_wanted = Claims(&waiter).size()};
}

LockInfo LockTable::State::summary_of(const Lock& lock, size_t holders) const {
  LockInfo info{.path = lock.path,
                .limit = lock.unused() ? 0 : lock.limit,
                .holder_count = lock.holders.size(),
                .waiter_count = lock.waiters.size(),
                .closed_until_ms = lock.closed_until_ms};
  for (const Place& holder : lock.holders) {
    if (info.holders.size() >= holders) break;
    info.holders.push_back(info_of_holder(holder));
  }
  return info;
}

LockInfo LockTable::describe(std::string_view path, const DescribeLimits& limits) const {
  const Lock* lock = state_->find_lock(path);
  LockInfo info{.path = path};
  if (lock != nullptr) info = state_->summary_of(*lock, limits.holders);
  if (lock != nullptr) {
    for (const Place& waiter : lock->waiters) {
      if (info.waiters.size() >= limits.waiters) break;
      info.waiters.push_back(state_->info_of_waiter(waiter, info.waiters.size() + 1));
    }
  }
  state_->tenures.of_lock(path, limits.tenures, info.tenures);
  return info;
}

void LockTable::list(std::string_view prefix, std::string_view after, size_t count,
                     size_t holders_each, std::vector<LockInfo>& out) const {
  const LocksByPath& locks = state_->locks;
  auto at = tree_less(after, prefix) ? locks.lower_bound(prefix) : locks.upper_bound(after);
  for (; at != locks.end() && count > 0; ++at, --count) {
    if (!std::string_view{at->path}.starts_with(prefix)) break;
    out.push_back(state_->summary_of(*at, holders_each));
  }
}

uint64_t LockTable::lock_count() const { return state_->locks.size(); }
uint64_t LockTable::holder_count() const { return state_->holder_count; }
uint64_t LockTable::waiter_count() const { return state_->waiter_count; }
uint64_t LockTable::tenure_count() const { return state_->tenures.size(); }

uint64_t LockTable::places_of(SessionId session_id) const {
  const Session* session = state_->find_session(session_id);
  return session == nullptr ? 0 : session->places.size();
}

uint64_t LockTable::held_by(SessionId session_id) const {
  const Session* session = state_->find_session(session_id);
  return session == nullptr ? 0 : session->held;
}

std::vector<SessionId> LockTable::sessions() const {
  std::vector<SessionId> ids;
  for (const Lock& lock : state_->locks) {
    for (const Place& holder : lock.holders) ids.push_back(holder.session->id);
    for (const Place& waiter : lock.waiters) ids.push_back(waiter.session->id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

const Digest& LockTable::digest() const { return state_->digest; }

}  // namespace holdfast::lockmgr
