#include "tests/simulation/ledger.h"

#include <algorithm>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

using lockmgr::LockMode;

// -------------------------------------------------------------------------------------- locks

bool Ledger::excludes(const LockHistory::Claim& a, const LockHistory::Claim& b) {
  return a.mode == LockMode::kExclusive || b.mode == LockMode::kExclusive;
}

void Ledger::believe(const Believer& who, Revision holder_id, Revision token,
                     const std::vector<LockHistory::Claim>& claims) {
  ++grants_;
  // Taken by force before the grant was even heard of: the token alone protects.
  if (taken_by_force_.contains(holder_id)) return;
  for (const LockHistory::Claim& claim : claims) {
    std::vector<Belief>& here = beliefs_[claim.path];
    std::erase_if(here, [&](const Belief& other) {
      return !other.who->sure(other.holder_id) || other.holder_id == holder_id ||
             taken_by_force_.contains(other.holder_id);
    });
    const Belief fresh{&who, holder_id, token, claim};
    check_against(fresh, here);
    here.push_back(fresh);
  }
}

void Ledger::check_against(const Belief& fresh, const std::vector<Belief>& others) const {
  uint64_t permits = fresh.claim.permits;
  for (const Belief& other : others) {
    permits += other.claim.permits;
    if (!excludes(fresh.claim, other.claim)) continue;
    throw Broken(Rule::kI22, "client " + std::to_string(fresh.who->number()) + " was granted " +
                                 fresh.claim.path + " (token " + std::to_string(fresh.token.value) +
                                 ") while client " + std::to_string(other.who->number()) +
                                 " is sure of token " + std::to_string(other.token.value));
  }
  if (fresh.claim.mode == LockMode::kSemaphore && permits > fresh.claim.limit) {
    throw Broken(Rule::kI22, std::to_string(permits) + " permits of " + fresh.claim.path +
                                 " are in use, its limit is " + std::to_string(fresh.claim.limit));
  }
}

void Ledger::tenure_ended(const rsm::Effect& effect, bool forced) {
  // Also if its client does not know yet that it was granted.
  if (forced) taken_by_force_.insert(effect.holder_id);
  const auto here = beliefs_.find(effect.path);
  if (here == beliefs_.end()) return;
  for (const Belief& belief : here->second) {
    if (belief.holder_id != effect.holder_id || !belief.who->sure(belief.holder_id)) continue;
    if (forced) {
      world_.mark(Mark::kForced);
      continue;
    }
    throw Broken(Rule::kI22, effect.path + " was taken at " +
                                 std::to_string(effect.revision.value) + " while client " +
                                 std::to_string(belief.who->number()) + " is sure of its token " +
                                 std::to_string(effect.token.value));
  }
}

// ------------------------------------------------------------------------------------- leases

const Believer* Ledger::owner(SessionId session) const {
  const auto at = owners_.find(session);
  return at == owners_.end() ? nullptr : at->second;
}

void Ledger::promised(SessionId session, Instant until) {
  Instant& known = promises_[session];
  known = std::max(known, until);
}

bool Ledger::is_dead(SessionId session) const {
  const Believer* who = owner(session);
  return who != nullptr && (!who->running() || who->session() != session);
}

bool Ledger::ended_after(SessionId session, Duration moment) const {
  const auto at = ended_.find(session);
  return at != ended_.end() && at->second > moment;
}

void Ledger::session_ended(const rsm::Effect& effect, bool) {
  ended_[effect.session] = world_.now();
  const Believer* who = owner(effect.session);
  if (who != nullptr && who->running()) world_.mark(Mark::kExpiredUnderClient);
  const auto promise = promises_.find(effect.session);
  if (promise == promises_.end()) return;
  const bool expired = effect.end_reason == lockmgr::EndReason::kSessionExpired;
  if (expired && who != nullptr && who->running() && world_.weather().only_full != 0) {
    throw Broken(Rule::kI16, "session " + std::to_string(effect.session.value) +
                                 " expires under a live client, and only disks were full");
  }
  if (expired && who != nullptr && who->local_now() < promise->second) {
    throw Broken(Rule::kI16, "session " + std::to_string(effect.session.value) + " expired at " +
                                 std::to_string(effect.revision.value) + ", " +
                                 std::to_string(to_ms(promise->second - who->local_now())) +
                                 " ms before the end of a lease that was acknowledged to client " +
                                 std::to_string(who->number()));
  }
  promises_.erase(promise);
}

// ---------------------------------------------------------------------------------- revisions

void Ledger::answered(int64_t revision) {
  ++answers_;
  newest_ = std::max(newest_, revision);
}

void Ledger::check_write(int64_t floor, int64_t revision, const std::string& what) const {
  if (revision > floor) return;
  throw Broken(Rule::kI20, what + " has revision " + std::to_string(revision) +
                               ", and began when " + std::to_string(floor) + " had been answered");
}

void Ledger::check_read(int64_t floor, int64_t revision, const std::string& what) const {
  ++reads_;
  if (revision >= floor) return;
  throw Broken(Rule::kI20, what + " shows revision " + std::to_string(revision) +
                               " and must show at least " + std::to_string(floor));
}

}  // namespace holdfast::sim
