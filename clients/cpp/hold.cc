#include "clients/cpp/hold.h"

#include <algorithm>

namespace holdfast::client {
namespace {

int64_t ns(Instant at) { return at.time_since_epoch().count(); }

bool names(const Notice& notice, const Hold& hold) {
  if (notice.path.empty()) return true;
  if (notice.holder_id != 0 && notice.holder_id != hold.holder_id) return false;
  return std::find(hold.paths.begin(), hold.paths.end(), notice.path) != hold.paths.end();
}

}  // namespace

const char* lost_reason_name(LostReason reason) {
  switch (reason) {
    case LostReason::kNone:
      return "held";
    case LostReason::kReleased:
      return "released";
    case LostReason::kLeaseRanOut:
      return "lease ran out";
    case LostReason::kRevoked:
      return "revoked";
    case LostReason::kSessionEnded:
      return "session ended";
    case LostReason::kHandedOver:
      return "handed over";
    case LostReason::kOtherCluster:
      return "cluster was restored";
  }
  return "unknown";
}

// The lease is read before the cap, and the session applies caps before it extends the lease: no
// reader sees a lease extended by a reply without the cap that came with it.
Instant Hold::deadline() const {
  const Instant lease = lease_->deadline();
  return std::min(lease, Instant(Duration(cap_ns_.load(std::memory_order_acquire))));
}

LostReason Hold::lost(Instant now) const {
  const State state = this->state();
  if (state == State::kEnded) return reason_.load(std::memory_order_acquire);
  if (state == State::kGivingUp) return LostReason::kReleased;
  if (now < deadline()) return LostReason::kNone;
  return capped() ? LostReason::kRevoked : LostReason::kLeaseRanOut;
}

void Hold::cap(Instant at) {
  cap_ns_.store(std::min(ns(at), cap_ns_.load(std::memory_order_relaxed)),
                std::memory_order_release);
}

void Hold::end(LostReason reason) {
  reason_.store(reason, std::memory_order_release);
  state_.store(State::kEnded, std::memory_order_release);
}

// ARCHITECTURE, Sessions: a reply with a notice renews the session but not the handles it names.
// They end at the earlier of their last deadline from a reply without the notice, and noticeMs
// (which comes shortened by the drift bound, as leaseMs does) after the notice arrived.
std::vector<int64_t> Lease::note(const std::vector<Notice>& notices, Instant now) {
  std::vector<int64_t> fresh;
  for (const Notice& notice : notices) {
    // One revocation of a lock names each of its holders under the same id.
    const bool known = std::any_of(in_force_.begin(), in_force_.end(), [&](const InForce& f) {
      return f.notice.id == notice.id && f.notice.holder_id == notice.holder_id &&
             f.notice.path == notice.path;
    });
    if (known) continue;
    in_force_.push_back({notice, std::min(deadline(), now + from_ms(notice.notice_ms))});
    fresh.push_back(notice.id);
  }
  return fresh;
}

void Lease::extend(Instant sent, int64_t lease_ms) {
  if (lease_ms <= 0) return;
  const int64_t until = ns(sent + from_ms(lease_ms));
  if (until <= clock_->deadline_ns.load(std::memory_order_relaxed)) return;
  clock_->deadline_ns.store(until, std::memory_order_release);
}

Instant Lease::cap_for(const Hold& hold) const {
  Instant cap = Instant::max();
  for (const InForce& f : in_force_) {
    if (names(f.notice, hold)) cap = std::min(cap, f.ends);
  }
  return cap;
}

Instant Lease::ended_by_notice() const {
  Instant end = Instant::max();
  for (const InForce& f : in_force_) {
    if (f.notice.path.empty()) end = std::min(end, f.ends);
  }
  return end;
}

}  // namespace holdfast::client
