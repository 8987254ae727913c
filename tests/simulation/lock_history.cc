#include "tests/simulation/lock_history.h"

#include <algorithm>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

using lockmgr::LockMode;

std::string num(Revision revision) { return std::to_string(revision.value); }

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

LockHistory::Lock& LockHistory::lock(const std::string& path) {
  touched_.insert(path);
  return locks_[path];
}

void LockHistory::judge(const HolderCommand& c) {
  if (c.done && !c.held)
    throw Broken(Rule::kI13, c.what + " did what only a holder of the lock may");
  if (!c.held && c.nothing_due && c.changed) {
    throw Broken(Rule::kI13, c.what + " does not hold the lock and changed it");
  }
  if (c.held && !c.done && !c.refused && c.nothing_due) {
    throw Broken(Rule::kI13, c.what + " holds the lock and was told that it does not");
  }
}

void LockHistory::begin(Revision revision) {
  revision_ = revision;
  ended_.clear();
  touched_.clear();
}

void LockHistory::session_ended(SessionId session) {
  live_.erase(session);
  ended_.insert(session);
  // Its places leave in this entry; nobody is left to be told of them.
  for (auto& [path, each] : locks_) {
    const auto gone = std::remove_if(each.queue.begin(), each.queue.end(), [&](Revision waiter) {
      return acquires_.at(waiter).session == session;
    });
    if (gone == each.queue.end()) continue;
    each.queue.erase(gone, each.queue.end());
    touched_.insert(path);
  }
}

void LockHistory::queued(const Acquire& acquire) {
  if (!live_.contains(acquire.session)) {
    throw Broken(Rule::kI12, "an acquire of session " + std::to_string(acquire.session.value) +
                                 ", which has ended, was queued at " + num(revision_));
  }
  acquires_[acquire.holder_id] = acquire;
  for (const Claim& claim : acquire.claims) lock(claim.path).queue.push_back(acquire.holder_id);
}

const LockHistory::Claim& LockHistory::claim_of(Revision holder_id, const std::string& path) const {
  const auto acquire = acquires_.find(holder_id);
  if (acquire != acquires_.end()) {
    for (const Claim& claim : acquire->second.claims) {
      if (claim.path == path) return claim;
    }
  }
  throw Broken(Rule::kI11, path + " was granted to " + num(holder_id) + ", which never asked");
}

void LockHistory::granted(Revision holder_id, Revision token, const std::string& path,
                          bool handed_over) {
  const Claim& claim = claim_of(holder_id, path);
  const Acquire& acquire = acquires_.at(holder_id);
  Lock& to = lock(path);
  const std::string what = path + " to holder " + num(holder_id) + " with token " + num(token);
  if (!live_.contains(acquire.session)) {
    throw Broken(Rule::kI12, "granted " + what + ", whose session has ended");
  }
  if (token != revision_) throw Broken(Rule::kI11, "granted " + what + " at " + num(revision_));
  const bool alone = claim.mode == LockMode::kExclusive;
  if (token < to.last_token || (alone && token == to.last_token)) {
    throw Broken(Rule::kI11, "granted " + what + " after token " + num(to.last_token));
  }
  if (!contains(to.queue, holder_id)) {
    throw Broken(Rule::kI14, "granted " + what + ", which does not wait");
  }
  if (!handed_over && to.queue.front() != holder_id) {
    throw Broken(Rule::kI14, "granted " + what + " past waiter " + num(to.queue.front()));
  }
  std::erase(to.queue, holder_id);
  to.last_token = token;
  to.holders.push_back({holder_id, token, acquire.session, claim});
  check_holders(path, to);
}

void LockHistory::check_holders(const std::string& path, const Lock& lock) const {
  uint64_t permits = 0;
  for (const Holder& holder : lock.holders) {
    permits += holder.claim.permits;
    if (holder.claim.mode == LockMode::kExclusive && lock.holders.size() > 1) {
      throw Broken(Rule::kI11,
                   path + " has an exclusive holder beside another at " + num(revision_));
    }
    if (holder.claim.mode == LockMode::kSemaphore && permits > holder.claim.limit) {
      throw Broken(Rule::kI11, path + " has " + std::to_string(permits) + " permits held of " +
                                   std::to_string(holder.claim.limit) + " at " + num(revision_));
    }
  }
}

void LockHistory::wait_ended(Revision holder_id) {
  const auto acquire = acquires_.find(holder_id);
  if (acquire == acquires_.end()) return;
  for (const Claim& claim : acquire->second.claims) {
    std::erase(lock(claim.path).queue, holder_id);
  }
  forget_if_gone(holder_id);
}

void LockHistory::tenure_ended(const std::string& path, Revision holder_id, Revision token) {
  Lock& from = lock(path);
  const auto gone =
      std::find_if(from.holders.begin(), from.holders.end(),
                   [&](const Holder& holder) { return holder.holder_id == holder_id; });
  if (gone == from.holders.end() || gone->token != token) {
    throw Broken(Rule::kI11, "a tenure of " + path + " ended at " + num(revision_) +
                                 " that holder " + num(holder_id) + " did not have");
  }
  from.holders.erase(gone);
  forget_if_gone(holder_id);
}

void LockHistory::forget_if_gone(Revision holder_id) {
  const auto acquire = acquires_.find(holder_id);
  if (acquire == acquires_.end()) return;
  for (const Claim& claim : acquire->second.claims) {
    if (holder(claim.path, holder_id) != nullptr || waits(claim.path, holder_id)) return;
  }
  acquires_.erase(acquire);
}

bool LockHistory::fits(const Lock& lock, const Claim& claim) {
  uint64_t permits = claim.permits;
  for (const Holder& holder : lock.holders) {
    permits += holder.claim.permits;
    if (claim.mode == LockMode::kExclusive) return false;
    if (holder.claim.mode == LockMode::kExclusive) return false;
  }
  return claim.mode != LockMode::kSemaphore || permits <= claim.limit;
}

bool LockHistory::could_have(const Acquire& acquire, const Closed& closed) const {
  return std::all_of(acquire.claims.begin(), acquire.claims.end(), [&](const Claim& claim) {
    const Lock& wanted = locks_.at(claim.path);
    return wanted.queue.front() == acquire.holder_id && fits(wanted, claim) && !closed(claim.path);
  });
}

void LockHistory::finish(const Closed& closed) {
  for (auto& [path, each] : locks_) {
    for (const Holder& holder : each.holders) {
      if (!ended_.contains(holder.session)) continue;
      throw Broken(Rule::kI12, path + " is still held by session " +
                                   std::to_string(holder.session.value) + ", which ended at " +
                                   num(revision_));
    }
    if (!each.queue.empty() && could_have(acquires_.at(each.queue.front()), closed)) {
      throw Broken(Rule::kI14, path + " is free at " + num(revision_) + " and its first waiter " +
                                   num(each.queue.front()) + " does not get it");
    }
  }
  for (const std::string& path : touched_) {
    Lock& each = locks_[path];
    Version version{revision_, {}, each.queue};
    for (const Holder& holder : each.holders) {
      version.holders.emplace_back(holder.token, holder.holder_id);
    }
    std::sort(version.holders.begin(), version.holders.end());
    each.versions.push_back(std::move(version));
  }
}

// ------------------------------------------------------------------------------------ queries

const LockHistory::Holder* LockHistory::holder(const std::string& path, Revision holder_id) const {
  const auto at = locks_.find(path);
  if (at == locks_.end()) return nullptr;
  for (const Holder& holder : at->second.holders) {
    if (holder.holder_id == holder_id) return &holder;
  }
  return nullptr;
}

bool LockHistory::holds_any(Revision holder_id, SessionId session) const {
  const auto acquire = acquires_.find(holder_id);
  if (acquire == acquires_.end() || acquire->second.session != session) return false;
  return std::any_of(acquire->second.claims.begin(), acquire->second.claims.end(),
                     [&](const Claim& claim) { return holder(claim.path, holder_id) != nullptr; });
}

bool LockHistory::waits(const std::string& path, Revision holder_id) const {
  const auto at = locks_.find(path);
  return at != locks_.end() && contains(at->second.queue, holder_id);
}

size_t LockHistory::waiters(const std::string& path) const {
  const auto at = locks_.find(path);
  return at == locks_.end() ? 0 : at->second.queue.size();
}

std::vector<SessionId> LockHistory::queue_of(const std::string& path) const {
  std::vector<SessionId> sessions;
  const auto at = locks_.find(path);
  if (at == locks_.end()) return sessions;
  for (const Revision waiter : at->second.queue) sessions.push_back(acquires_.at(waiter).session);
  return sessions;
}

std::vector<std::string> LockHistory::held_by(SessionId session) const {
  std::vector<std::string> paths;
  for (const auto& [path, each] : locks_) {
    const bool holds = std::any_of(each.holders.begin(), each.holders.end(),
                                   [&](const Holder& holder) { return holder.session == session; });
    if (holds) paths.push_back(path);
  }
  return paths;
}

bool LockHistory::head_blocks_smaller() const {
  return std::any_of(locks_.begin(), locks_.end(), [this](const auto& named) {
    const auto& [path, each] = named;
    if (each.queue.size() < 2) return false;
    const Claim& second = claim_of(each.queue[1], path);
    return second.mode == LockMode::kSemaphore && fits(each, second) &&
           !fits(each, claim_of(each.queue[0], path));
  });
}

const LockHistory::Version& LockHistory::at(const std::string& path, Revision revision) const {
  static const Version kNone{};
  const auto found = locks_.find(path);
  if (found == locks_.end()) return kNone;
  const std::vector<Version>& versions = found->second.versions;
  const auto later = std::upper_bound(
      versions.begin(), versions.end(), revision,
      [](Revision wanted, const Version& version) { return wanted < version.from; });
  return later == versions.begin() ? kNone : *(later - 1);
}

std::vector<std::string> LockHistory::present(Revision revision) const {
  std::vector<std::string> paths;
  for (const auto& [path, each] : locks_) {
    const Version& version = at(path, revision);
    if (!version.holders.empty() || !version.waiters.empty()) paths.push_back(path);
  }
  return paths;
}

}  // namespace holdfast::sim
