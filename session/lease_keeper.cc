#include "session/lease_keeper.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::session {
LeaseKeeper::LeaseKeeper(const LeaseConfig& config) : config_(config) { buckets_.fill(kNoSlot); }

// ---- leadership -----------------------------------------------------------------------------

void LeaseKeeper::lead(Instant now, std::span<const LeaseSeed> sessions) {
  HF_CHECK(!leading_, "a leadership begins after the former has ended");
  leading_ = true;
  gaps_ = Duration{};
  wheel_tick_ = now.time_since_epoch() / kBucket;
  leases_.reserve(sessions.size());
  for (const LeaseSeed& seed : sessions) {
    // A new leader owes everybody a full TTL, those that were silent before the rest of it.
    std::optional<Duration> silence;
    if (seed.late) silence = from_ms(seed.silent_ms);
    add(seed.session, seed.ttl_ms, now, silence);
  }
}

void LeaseKeeper::step_down(std::vector<RenewalAnswer>& answers) {
  const auto refuse = [&](const std::vector<Waiting>& renewals) {
    for (const Waiting& waiting : renewals) {
      answer(waiting, RenewalAnswer::Outcome::kNotLeader, 0, answers);
    }
  };
  refuse(arrived_);
  for (const Round& round : rounds_) refuse(round.renewals);
  refuse(entry_wanted_);
  for (const Entry& entry : entries_) refuse(entry.renewals);
  refuse(held_);
  HF_CHECK(pending_ == 0, "every renewal is answered");
  const uint64_t next_entry = next_entry_;
  *this = LeaseKeeper(config_);
  next_entry_ = next_entry;
}

// ---- what apply says ------------------------------------------------------------------------

void LeaseKeeper::session_opened(SessionId session, int64_t ttl_ms, Instant now) {
  if (leading_) add(session, ttl_ms, steady(now), std::nullopt);
}

void LeaseKeeper::session_ended(SessionId session, std::vector<RenewalAnswer>& answers) {
  const auto it = by_session_.find(session);
  if (it == by_session_.end()) return;
  Lease& lease = leases_[it->second];
  const bool held = lease.expiring;
  if (lease.scheduled) unschedule(lease);
  lease = Lease{};
  lease.next = std::exchange(free_, it->second);
  by_session_.erase(it);
  if (held) route_held(session, answers);
}

void LeaseKeeper::late_marked(SessionId session) {
  Lease* lease = find(session);
  if (lease == nullptr) return;
  lease->late = true;
  if (lease->marks_in_flight > 0) --lease->marks_in_flight;
}

void LeaseKeeper::late_renewed(SessionId session) {
  if (Lease* lease = find(session)) lease->late = false;
}

// ---- renewals -------------------------------------------------------------------------------

void LeaseKeeper::renew(Ticket ticket, SessionId session, Instant now,
                        std::vector<RenewalAnswer>& answers) {
  ++pending_;
  const Waiting waiting{ticket, session};
  if (!leading_) return answer(waiting, RenewalAnswer::Outcome::kNotLeader, 0, answers);
  Lease* lease = find(session);
  if (lease != nullptr && !lease->expiring) {
    // Silence counts from the arrival of the last renewal, acknowledged or not.
    lease->silent_since = std::max(lease->silent_since, steady(now));
    lease->next_mark = late_after(lease->ttl);
    if (std::exchange(lease->overdue, false)) schedule(*lease);
  }
  route(waiting, false, answers);
}

void LeaseKeeper::route(const Waiting& waiting, bool confirmed,
                        std::vector<RenewalAnswer>& answers) {
  const Lease* lease = find(waiting.session);
  if (lease == nullptr) {
    answer(waiting, RenewalAnswer::Outcome::kEnded, 0, answers);
  } else if (lease->expiring) {
    held_.push_back(waiting);
  } else if (lease->needs_entry()) {
    entry_wanted_.push_back(waiting);
  } else if (confirmed) {
    answer(waiting, RenewalAnswer::Outcome::kRenewed,
           lease_ms(to_ms(lease->ttl), config_.drift_ppm), answers);
  } else {
    arrived_.push_back(waiting);
  }
}

void LeaseKeeper::answer(const Waiting& waiting, RenewalAnswer::Outcome outcome, int64_t lease,
                         std::vector<RenewalAnswer>& answers) {
  --pending_;
  answers.push_back({waiting.ticket, waiting.session, outcome, lease});
}

void LeaseKeeper::route_held(SessionId session, std::vector<RenewalAnswer>& answers) {
  const auto others =
      std::stable_partition(held_.begin(), held_.end(),
                            [&](const Waiting& waiting) { return waiting.session != session; });
  const std::vector<Waiting> freed(others, held_.end());
  held_.erase(others, held_.end());
  for (const Waiting& waiting : freed) route(waiting, false, answers);
}

void LeaseKeeper::round_started(uint64_t round) {
  HF_CHECK(rounds_.empty() || rounds_.back().number < round, "rounds ascend");
  if (!wants_round()) return;
  Round next;
  if (!spare_rounds_.empty()) {
    next = std::move(spare_rounds_.back());
    spare_rounds_.pop_back();
  }
  next.number = round;
  next.renewals.swap(arrived_);
  next.overdue.swap(overdue_);
  rounds_.push_back(std::move(next));
}

void LeaseKeeper::round_done(uint64_t round, std::vector<RenewalAnswer>& answers) {
  while (!rounds_.empty() && rounds_.front().number <= round) {
    Round done = std::move(rounds_.front());
    rounds_.erase(rounds_.begin());
    for (const Waiting& waiting : done.renewals) route(waiting, true, answers);
    for (const Overdue& candidate : done.overdue) {
      if (still_overdue(find(candidate.session), candidate)) confirmed_.push_back(candidate);
    }
    done.renewals.clear();
    done.overdue.clear();
    spare_rounds_.push_back(std::move(done));
  }
}

uint64_t LeaseKeeper::take_renew_entry(std::vector<SessionId>& sessions) {
  const size_t count = std::min(entry_wanted_.size(), config_.entry_sessions_max);
  const auto end = entry_wanted_.begin() + static_cast<ptrdiff_t>(count);
  Entry entry{.number = next_entry_++, .renewals = {entry_wanted_.begin(), end}};
  entry_wanted_.erase(entry_wanted_.begin(), end);
  sessions.clear();
  for (const Waiting& waiting : entry.renewals) sessions.push_back(waiting.session);
  std::ranges::sort(sessions);
  sessions.erase(std::unique(sessions.begin(), sessions.end()), sessions.end());
  entries_.push_back(std::move(entry));
  return entries_.back().number;
}

void LeaseKeeper::renew_entry_applied(uint64_t entry, std::vector<RenewalAnswer>& answers) {
  const auto it = std::ranges::find(entries_, entry, &Entry::number);
  if (it == entries_.end()) return;
  const Entry done = std::move(*it);
  entries_.erase(it);
  for (const Waiting& waiting : done.renewals) {
    const Lease* lease = find(waiting.session);
    if (lease == nullptr || lease->expiring) {
      route(waiting, true, answers);
    } else {
      // A mark proposed after this entry does not matter: it counts silence from this renewal on.
      answer(waiting, RenewalAnswer::Outcome::kRenewed,
             lease_ms(to_ms(lease->ttl), config_.drift_ppm), answers);
    }
  }
}

void LeaseKeeper::renew_entry_refused(uint64_t entry) {
  const auto it = std::ranges::find(entries_, entry, &Entry::number);
  if (it == entries_.end()) return;
  entry_wanted_.insert(entry_wanted_.end(), it->renewals.begin(), it->renewals.end());
  entries_.erase(it);
}

// ---- reads ----------------------------------------------------------------------------------

int64_t LeaseKeeper::lease_left_ms(SessionId session, Instant now) const {
  const Lease* lease = find(session);
  if (lease == nullptr) return -1;
  return std::max<int64_t>(0, to_ms(lease->silent_since + lease->ttl - steady(now)));
}

LeaseKeeper::Lease* LeaseKeeper::find(SessionId session) {
  const auto it = by_session_.find(session);
  return it == by_session_.end() ? nullptr : &leases_[it->second];
}

const LeaseKeeper::Lease* LeaseKeeper::find(SessionId session) const {
  const auto it = by_session_.find(session);
  return it == by_session_.end() ? nullptr : &leases_[it->second];
}

}  // namespace holdfast::session
