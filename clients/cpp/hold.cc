#include "clients/cpp/hold.h"

#include <algorithm>
#include <limits>

namespace holdfast::client {
namespace {

int64_t ns(Instant at) { return at.time_since_epoch().count(); }

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
  ++replies_;
  for (const Notice& notice : notices) {
    // One revocation of a lock names each of its holders under the same id.
    const auto [at, added] =
        in_force_.try_emplace({notice.path.empty() ? 0 : notice.holder_id, notice.id, notice.path});
    at->second.told = replies_;
    if (!added) continue;
    at->second.ends = std::min(deadline(), now + from_ms(notice.notice_ms));
    fresh.push_back(notice.id);
  }
  forget_oldest();
  return fresh;
}

void Lease::forget_oldest() {
  if (in_force_.size() <= 2 * kOverKept) return;
  std::vector<std::map<Named, InForce>::iterator> over;
  for (auto at = in_force_.begin(); at != in_force_.end(); ++at) {
    if (at->second.told != replies_) over.push_back(at);
  }
  if (over.size() <= 2 * kOverKept) return;
  const auto kept = over.end() - static_cast<ptrdiff_t>(kOverKept);
  std::nth_element(over.begin(), kept, over.end(),
                   [](const auto& a, const auto& b) { return a->second.told < b->second.told; });
  for (auto at = over.begin(); at != kept; ++at) in_force_.erase(*at);
}

template <class Visit>
void Lease::visit(int64_t holder_id, Visit&& visit) const {
  auto at = in_force_.lower_bound({holder_id, std::numeric_limits<int64_t>::min(), ""});
  for (; at != in_force_.end() && at->first.holder_id == holder_id; ++at) {
    visit(at->first.path, at->second.ends);
  }
}

void Lease::extend(Instant sent, int64_t lease_ms) {
  if (lease_ms <= 0) return;
  const int64_t until = ns(sent + from_ms(lease_ms));
  if (until <= clock_->deadline_ns.load(std::memory_order_relaxed)) return;
  clock_->deadline_ns.store(until, std::memory_order_release);
}

Instant Lease::cap_for(const Hold& hold) const {
  Instant cap = Instant::max();
  const auto see = [&](const std::string& path, Instant ends) {
    const bool named = path.empty() || std::ranges::find(hold.paths, path) != hold.paths.end();
    if (named) cap = std::min(cap, ends);
  };
  visit(hold.holder_id, see);
  visit(0, see);
  return cap;
}

Instant Lease::ended_by_notice() const {
  Instant end = Instant::max();
  visit(0, [&](const std::string& path, Instant ends) {
    if (path.empty()) end = std::min(end, ends);
  });
  return end;
}

}  // namespace holdfast::client
