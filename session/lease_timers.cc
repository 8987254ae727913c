// The part of the lease keeper that watches time: the wheel, late marks, expiries.
#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "session/lease_keeper.h"

namespace holdfast::session {
namespace {

/// The first silence above `silence` at which a mark is due.
Duration next_mark_after(Duration ttl, Duration silence) {
  const Duration first = late_after(ttl);
  if (silence < first) return first;
  const Duration step = std::max(late_again_after(ttl), Duration(1));
  return first + ((silence - first) / step + 1) * step;
}

}  // namespace

void LeaseKeeper::add(SessionId session, int64_t ttl_ms, Instant heard_at,
                      std::optional<Duration> silence) {
  Slot slot = free_;
  if (slot == kNoSlot) {
    slot = static_cast<Slot>(leases_.size());
    leases_.emplace_back();
  } else {
    free_ = leases_[slot].next;
    leases_[slot].next = kNoSlot;
  }
  HF_CHECK(by_session_.emplace(session, slot).second, "a session has one lease");
  Lease& lease = leases_[slot];
  lease.session = session;
  lease.ttl = from_ms(ttl_ms);
  lease.silent_since = heard_at - silence.value_or(Duration{});
  lease.late = silence.has_value();
  // Silence that an earlier leader recorded is not marked again.
  lease.next_mark = next_mark_after(lease.ttl, silence.value_or(Duration{}));
  schedule(lease);
}

// ---- the wheel ------------------------------------------------------------------------------

void LeaseKeeper::set_first(int64_t bucket, Slot slot) {
  buckets_[static_cast<size_t>(bucket)] = slot;
  const uint64_t bit = uint64_t{1} << (bucket % 64);
  uint64_t& word = occupied_[static_cast<size_t>(bucket / 64)];
  word = slot == kNoSlot ? word & ~bit : word | bit;
}

void LeaseKeeper::schedule(Lease& lease) {
  const Instant event = lease.silent_since + std::min(lease.next_mark, lease.ttl);
  const int64_t tick = (event.time_since_epoch() + kBucket - Duration(1)) / kBucket;
  lease.bucket = std::clamp(tick, wheel_tick_, wheel_tick_ + kBuckets - 1) % kBuckets;
  lease.previous = kNoSlot;
  lease.next = first_of(lease.bucket);
  const auto slot = static_cast<Slot>(&lease - leases_.data());
  if (lease.next != kNoSlot) leases_[lease.next].previous = slot;
  set_first(lease.bucket, slot);
  lease.scheduled = true;
}

void LeaseKeeper::unschedule(Lease& lease) {
  if (lease.next != kNoSlot) leases_[lease.next].previous = lease.previous;
  if (lease.previous != kNoSlot) {
    leases_[lease.previous].next = lease.next;
  } else {
    set_first(lease.bucket, lease.next);
  }
  lease.scheduled = false;
}

void LeaseKeeper::reschedule(Lease& lease) {
  if (lease.scheduled) unschedule(lease);
  schedule(lease);
}

Instant LeaseKeeper::next_due(Instant now) const {
  const int64_t start = wheel_tick_ % kBuckets;
  const auto words = static_cast<int64_t>(occupied_.size());
  // The first word is looked at twice: above the start first, below it last.
  for (int64_t i = 0; i <= words; ++i) {
    const int64_t word = (start / 64 + i) % words;
    uint64_t bits = occupied_[static_cast<size_t>(word)];
    if (i == 0) bits &= ~uint64_t{0} << (start % 64);
    if (bits == 0) continue;
    const int64_t bucket = word * 64 + std::countr_zero(bits);
    const int64_t tick = wheel_tick_ + (bucket - start + kBuckets) % kBuckets;
    return std::max(now, Instant(tick * kBucket) + gaps_);
  }
  return Instant::max();
}

void LeaseKeeper::note_gap(Duration gap) {
  if (gap > config_.gap_allowed) gaps_ += gap;
}

void LeaseKeeper::due(Instant now, std::vector<LateMark>& marks) {
  marks.clear();
  const Instant steady_now = steady(now);
  const int64_t target = steady_now.time_since_epoch() / kBucket;
  // After a long silence of the loop each bucket is visited once, not once per turn of the wheel.
  wheel_tick_ = std::max(wheel_tick_, target - kBuckets + 1);
  for (; wheel_tick_ <= target; ++wheel_tick_) {
    const int64_t bucket = wheel_tick_ % kBuckets;
    while (first_of(bucket) != kNoSlot) {
      if (marks.size() >= config_.entry_sessions_max) return;
      Lease& lease = leases_[first_of(bucket)];
      unschedule(lease);
      visit(lease, steady_now, marks);
    }
  }
}

void LeaseKeeper::visit(Lease& lease, Instant steady_now, std::vector<LateMark>& marks) {
  const Duration silence = steady_now - lease.silent_since;
  if (silence >= lease.ttl) {
    lease.overdue = true;
    overdue_.push_back({lease.session, lease.silent_since});
    return;
  }
  if (silence >= lease.next_mark) {
    ++lease.marks_in_flight;
    lease.next_mark = next_mark_after(lease.ttl, silence);
    marks.push_back({lease.session, to_ms(silence)});
  }
  schedule(lease);
}

void LeaseKeeper::marks_refused(std::span<const LateMark> marks, Instant now) {
  for (const LateMark& mark : marks) {
    Lease* lease = find(mark.session);
    if (lease == nullptr) continue;
    if (lease->marks_in_flight > 0) --lease->marks_in_flight;
    const Duration marked = from_ms(mark.silent_ms);
    if (!lease->scheduled || steady(now) - lease->silent_since < marked) continue;
    lease->next_mark = marked;
    reschedule(*lease);
  }
}

// ---- expiries -------------------------------------------------------------------------------

bool LeaseKeeper::still_overdue(const Lease* lease, const Overdue& candidate) {
  return lease != nullptr && lease->overdue && lease->silent_since == candidate.silent_since;
}

void LeaseKeeper::take_expiries(Instant now, const Work& work, uint64_t work_max,
                                std::vector<SessionId>& sessions) {
  sessions.clear();
  if (expiry_entries_ >= config_.expiry_entries_max) return;
  uint64_t sum = 0;
  while (!confirmed_.empty() && sessions.size() < config_.entry_sessions_max) {
    Lease* lease = find(confirmed_.front().session);
    if (!still_overdue(lease, confirmed_.front())) {
      confirmed_.pop_front();
      continue;
    }
    if (steady(now) - lease->silent_since < lease->ttl) {
      // A loop gap moved the deadline meanwhile.
      lease->overdue = false;
      schedule(*lease);
      confirmed_.pop_front();
      continue;
    }
    sum += work(lease->session);
    if (!sessions.empty() && sum > work_max) break;
    lease->expiring = true;
    sessions.push_back(lease->session);
    confirmed_.pop_front();
  }
  if (!sessions.empty()) ++expiry_entries_;
}

void LeaseKeeper::expiries_applied() {
  HF_CHECK(expiry_entries_ > 0, "an applied expiry was taken before");
  --expiry_entries_;
}

void LeaseKeeper::expiries_refused(std::span<const SessionId> sessions,
                                   std::vector<RenewalAnswer>& answers) {
  expiries_applied();
  for (const SessionId session : sessions) {
    Lease* lease = find(session);
    if (lease == nullptr) continue;
    lease->overdue = lease->expiring = false;
    schedule(*lease);
    route_held(session, answers);
  }
}

}  // namespace holdfast::session
