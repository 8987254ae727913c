#include "tests/model/lock_model.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace holdfast::lockmgr {
namespace {

template <class Keep>
std::vector<ModelClaim> those(const std::vector<ModelClaim>& claims, Keep&& keep) {
  std::vector<ModelClaim> found;
  for (const ModelClaim& claim : claims) {
    if (keep(claim)) found.push_back(claim);
  }
  return found;
}

/// The order in which several tenures end in one entry: when they were due, then as they arrived.
std::vector<ModelClaim> in_order(std::vector<ModelClaim> claims, bool by_due) {
  std::sort(claims.begin(), claims.end(), [by_due](const ModelClaim& a, const ModelClaim& b) {
    const auto due = [by_due](const ModelClaim& c) { return by_due ? c.give_away_ms : 0; };
    return std::tuple(due(a), a.holder_id, a.index) < std::tuple(due(b), b.holder_id, b.index);
  });
  return claims;
}

}  // namespace

void LockModel::begin(uint64_t revision, int64_t now_ms) {
  revision_ = revision;
  now_ms_ = now_ms;
  granted.clear();
  refused.clear();
}

void LockModel::run_due() {
  for (const ModelClaim& claim : std::vector(waiting)) {
    if (claim.index == 0 && claim.deadline_ms != 0 && claim.deadline_ms <= now_ms_) {
      refuse(claim.holder_id, RefusalReason::kTimedOut);
    }
  }
  for (const ModelClaim& claim : in_order(held, true)) {
    if (claim.give_away_ms && *claim.give_away_ms <= now_ms_) end(claim, EndReason::kRevoked);
  }
  std::erase_if(closed_, [&](const auto& lock) { return lock.second <= now_ms_; });
}

bool LockModel::acquire(uint64_t session, uint64_t sequence, int64_t ttl_ms,
                        const std::vector<Claim>& claims, const AcquireOptions& options) {
  std::set<std::string_view> paths;
  for (const Claim& claim : claims) {
    const bool semaphore = claim.mode == LockMode::kSemaphore;
    if (!paths.insert(claim.path).second) return false;
    if (semaphore && (claim.permits == 0 || claim.permits > claim.limit)) return false;
    for (const auto* list : {&held, &waiting}) {
      for (const ModelClaim& other : *list) {
        if (other.path == claim.path && other.limit != (semaphore ? claim.limit : 0)) return false;
      }
    }
  }
  for (const Claim& claim : claims) {
    if (options.max_queue > 0 && waiters(std::string(claim.path)).size() >= options.max_queue) {
      refused.push_back({session, sequence, RefusalReason::kQueueFull});
      return true;
    }
  }
  for (size_t i = 0; i < claims.size(); ++i) {
    const bool semaphore = claims[i].mode == LockMode::kSemaphore;
    waiting.push_back({.holder_id = revision_,
                       .index = i,
                       .session = session,
                       .sequence = sequence,
                       .path = std::string(claims[i].path),
                       .mode = claims[i].mode,
                       .permits = semaphore ? claims[i].permits : 0,
                       .limit = semaphore ? claims[i].limit : 0,
                       .deadline_ms = options.wait_ms > 0 ? now_ms_ + options.wait_ms : 0,
                       .delay_ms = options.lock_delay_ms,
                       .ttl_ms = ttl_ms,
                       .since_ms = now_ms_,
                       .is_try = options.wait_ms == 0,
                       .value = std::string(options.value)});
  }
  return true;
}

CancelStatus LockModel::cancel(uint64_t session, uint64_t sequence) {
  const auto claims = claims_of(session, sequence);
  if (claims.empty()) return CancelStatus::kUnknown;
  if (claims[0].token != 0) return CancelStatus::kGranted;
  refuse(claims[0].holder_id, RefusalReason::kCancelled);
  return CancelStatus::kCancelled;
}

const ModelClaim* LockModel::holder(const std::string& path, uint64_t holder_id,
                                    uint64_t session) const {
  for (const ModelClaim& claim : held) {
    if (claim.path == path && claim.holder_id == holder_id && claim.session == session) {
      return &claim;
    }
  }
  return nullptr;
}

ReleaseStatus LockModel::release(const std::string& path, uint64_t holder_id, uint64_t session,
                                 uint64_t to) {
  const ModelClaim* found = holder(path, holder_id, session);
  if (found == nullptr) return ReleaseStatus::kNotHeld;
  const ModelClaim giver = *found;
  if (to == 0) {
    end(giver, EndReason::kReleased);
    return ReleaseStatus::kReleased;
  }
  const auto target =
      those(waiting, [&](const ModelClaim& c) { return c.path == path && c.holder_id == to; });
  if (target.empty()) return ReleaseStatus::kTargetGone;
  // Would it fit if the giver were gone? An acquire of several locks never does.
  const auto before = held;
  std::erase_if(held,
                [&](const ModelClaim& c) { return c.path == path && c.holder_id == holder_id; });
  const bool possible =
      fits(target[0]) && claims_of(target[0].session, target[0].sequence).size() == 1;
  held = before;
  if (!possible) return ReleaseStatus::kTargetBlocked;
  end(giver, EndReason::kHandedOver);
  grant(to);
  return ReleaseStatus::kHandedOver;
}

size_t LockModel::release_all(uint64_t holder_id, uint64_t session) {
  const auto claims = those(
      held, [&](const ModelClaim& c) { return c.holder_id == holder_id && c.session == session; });
  for (const ModelClaim& claim : claims) end(claim, EndReason::kReleased);
  return claims.size();
}

bool LockModel::set_value(const std::string& path, uint64_t holder_id, uint64_t session,
                          const std::string& value) {
  const ModelClaim* found = holder(path, holder_id, session);
  if (found != nullptr) const_cast<ModelClaim*>(found)->value = value;
  return found != nullptr;
}

size_t LockModel::revoke(const std::string& path, uint64_t holder_id, int64_t notice_ms,
                         bool force) {
  size_t concerned = 0;
  for (const ModelClaim& claim : std::vector(holders(path))) {
    if (holder_id != 0 && claim.holder_id != holder_id) continue;
    ++concerned;
    if (force) {
      end(claim, EndReason::kRevoked);
      continue;
    }
    auto* mine = const_cast<ModelClaim*>(holder(path, claim.holder_id, claim.session));
    if (mine->notice_id != 0) continue;
    mine->notice_id = revision_;
    mine->announced_ms = now_ms_;
    mine->notice_ms = notice_ms;
  }
  return concerned;
}

size_t LockModel::acknowledge(uint64_t session, uint64_t notice_id) {
  size_t concerned = 0;
  for (ModelClaim& claim : held) {
    if (claim.notice_id == 0 || claim.acknowledged) continue;
    if (claim.session != session || claim.notice_id != notice_id) continue;
    claim.acknowledged = true;
    const int64_t due = now_ms_ + claim.notice_ms;
    claim.give_away_ms = std::min(claim.give_away_ms.value_or(due), due);
    ++concerned;
  }
  return concerned;
}

void LockModel::start_clocks(uint64_t applied) {
  for (ModelClaim& claim : held) {
    if (claim.notice_id == 0 || claim.notice_id > applied || claim.counted) continue;
    claim.counted = true;
    const int64_t due = now_ms_ + claim.ttl_ms;
    claim.give_away_ms = std::min(claim.give_away_ms.value_or(due), due);
  }
}

void LockModel::end_sessions(const std::vector<SessionEnd>& ends) {
  for (const SessionEnd& ending : ends) {
    for (const ModelClaim& claim : std::vector(waiting)) {
      if (claim.session == ending.session.value && claim.index == 0) {
        refuse(claim.holder_id, RefusalReason::kSessionEnded);
      }
    }
  }
  for (const SessionEnd& ending : ends) {
    for (const ModelClaim& claim : in_order(held, false)) {
      if (claim.session != ending.session.value) continue;
      end(claim, ending.reason);
      const bool closes = ending.reason == EndReason::kSessionExpired ||
                          ending.reason == EndReason::kSessionRevoked;
      if (closes && claim.delay_ms > 0) {
        closed_[claim.path] = std::max(closed_[claim.path], now_ms_ + claim.delay_ms);
      }
    }
  }
}

void LockModel::settle() {
  while (grant_one()) {
  }
  for (const ModelClaim& claim : std::vector(waiting)) {
    if (claim.is_try && claim.index == 0) refuse(claim.holder_id, RefusalReason::kBusy);
  }
  while (grant_one()) {
  }
}

bool LockModel::grant_one() {
  for (const ModelClaim& claim : waiting) {
    const auto all = claims_of(claim.session, claim.sequence);
    if (std::all_of(all.begin(), all.end(),
                    [&](const ModelClaim& c) { return heads_its_queue(c) && fits(c); })) {
      grant(claim.holder_id);
      return true;
    }
  }
  return false;
}

bool LockModel::heads_its_queue(const ModelClaim& claim) const {
  return waiters(claim.path)[0].holder_id == claim.holder_id;
}

bool LockModel::fits(const ModelClaim& claim) const {
  if (closed_until(claim.path) != 0) return false;
  uint64_t permits = 0;
  for (const ModelClaim& other : holders(claim.path)) {
    if (claim.mode == LockMode::kExclusive || other.mode == LockMode::kExclusive) return false;
    permits += other.permits;
  }
  return claim.mode != LockMode::kSemaphore || permits + claim.permits <= claim.limit;
}

void LockModel::grant(uint64_t holder_id) {
  for (ModelClaim claim : std::vector(waiting)) {
    if (claim.holder_id != holder_id) continue;
    claim.token = revision_;
    claim.since_ms = now_ms_;
    claim.deadline_ms = 0;
    held.push_back(claim);
    granted.push_back(claim);
  }
  std::erase_if(waiting, [&](const ModelClaim& c) { return c.holder_id == holder_id; });
}

void LockModel::refuse(uint64_t holder_id, RefusalReason reason) {
  const auto claims = those(waiting, [&](const ModelClaim& c) { return c.holder_id == holder_id; });
  refused.push_back({claims[0].session, claims[0].sequence, reason});
  std::erase_if(waiting, [&](const ModelClaim& c) { return c.holder_id == holder_id; });
}

void LockModel::end(const ModelClaim& ending, EndReason reason) {
  past.push_back({.claim = ending, .end_revision = revision_, .reason = reason});
  const uint64_t holder_id = ending.holder_id, index = ending.index;
  std::erase_if(held,
                [&](const ModelClaim& c) { return c.holder_id == holder_id && c.index == index; });
}

std::vector<ModelClaim> LockModel::holders(const std::string& path) const {
  auto found = those(held, [&](const ModelClaim& c) { return c.path == path; });
  std::sort(found.begin(), found.end(), [](const ModelClaim& a, const ModelClaim& b) {
    return std::pair(a.token, a.holder_id) < std::pair(b.token, b.holder_id);
  });
  return found;
}

std::vector<ModelClaim> LockModel::waiters(const std::string& path) const {
  return those(waiting, [&](const ModelClaim& c) { return c.path == path; });
}

std::vector<ModelTenure> LockModel::tenures(const std::string& path) const {
  std::vector<ModelTenure> found;
  for (auto it = past.rbegin(); it != past.rend(); ++it) {
    if (it->claim.path == path) found.push_back(*it);
  }
  return found;
}

std::vector<ModelClaim> LockModel::claims_of(uint64_t session, uint64_t sequence) const {
  const auto is_it = [&](const ModelClaim& c) {
    return c.session == session && c.sequence == sequence;
  };
  auto found = those(waiting, is_it);
  if (found.empty()) found = those(held, is_it);
  return found;
}

uint64_t LockModel::position(uint64_t session, uint64_t sequence) const {
  uint64_t largest = 0;
  for (const ModelClaim& claim : those(waiting, [&](const ModelClaim& c) {
         return c.session == session && c.sequence == sequence;
       })) {
    const auto queue = waiters(claim.path);
    for (size_t i = 0; i < queue.size(); ++i) {
      if (queue[i].holder_id == claim.holder_id) largest = std::max<uint64_t>(largest, i + 1);
    }
  }
  return largest;
}

int64_t LockModel::closed_until(const std::string& path) const {
  const auto it = closed_.find(path);
  return it == closed_.end() ? 0 : it->second;
}

std::optional<int64_t> LockModel::next_due_ms() const {
  std::set<int64_t> due;
  for (const ModelClaim& claim : waiting) {
    if (claim.deadline_ms != 0) due.insert(claim.deadline_ms);
  }
  for (const ModelClaim& claim : held) {
    if (claim.give_away_ms) due.insert(*claim.give_away_ms);
    if (claim.notice_id != 0 && !claim.counted) due.insert(claim.announced_ms);
  }
  for (const auto& [path, until] : closed_) due.insert(until);
  return due.empty() ? std::nullopt : std::optional(*due.begin());
}

std::vector<std::string> LockModel::paths() const {
  std::set<std::string> names;
  for (const auto* list : {&held, &waiting}) {
    for (const ModelClaim& claim : *list) names.insert(claim.path);
  }
  for (const auto& [path, until] : closed_) names.insert(path);
  return {names.begin(), names.end()};
}

}  // namespace holdfast::lockmgr
