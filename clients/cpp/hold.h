// What a client knows of its own locks: how long it may still rely on them (PROMISES 5). Pure
// arithmetic over instants that are handed in; the readable part may be read from any thread.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"

namespace holdfast::client {

/// Why a lock is no longer ours.
enum class LostReason : int {
  kNone = 0,      ///< still held
  kReleased,      ///< given back by ourselves
  kLeaseRanOut,   ///< our own deadline passed: no renewal was acknowledged in time
  kRevoked,       ///< an operator took it; its notice ran out, or was waived
  kSessionEnded,  ///< the session expired or was closed
  kHandedOver,    ///< given by ourselves to a chosen waiter
  kOtherCluster,  ///< the cluster was restored from a backup
};
const char* lost_reason_name(LostReason reason);

/// The deadline that all locks of one session share, in ns of the boot-time clock.
struct LeaseClock {
  std::atomic<int64_t> deadline_ns{0};
  Instant deadline() const {
    return Instant(Duration(deadline_ns.load(std::memory_order_acquire)));
  }
};

/// One granted acquire (or acquireAll). Shared by the session, which ends it, and by whoever uses
/// the lock. Reading is thread-safe; the members marked "session" belong to the loop's thread.
class Hold {
 public:
  Hold(std::shared_ptr<const LeaseClock> lease, std::vector<std::string> lock_paths, int64_t id,
       int64_t fencing_token, bool all_or_none, bool with_others = false)
      : paths(std::move(lock_paths)),
        holder_id(id),
        token(fencing_token),
        of_acquire_all(all_or_none),
        shared(with_others),
        lease_(std::move(lease)) {}

  const std::vector<std::string> paths;  ///< one, or those of an acquireAll
  const int64_t holder_id;               ///< names this holder in release and guards
  const int64_t token;                   ///< the fencing token
  const bool of_acquire_all;
  const bool shared;  ///< others may hold one of the locks too, and with the same token

  /// Until when the lock may be relied on, if nothing more is heard from the servers.
  Instant deadline() const;
  /// May the lock be relied on at `now`? `now` must be a fresh reading of the boot-time clock.
  bool held(Instant now) const { return state() == State::kHeld && now < deadline(); }
  /// kNone while it has not ended; after the deadline, kLeaseRanOut or kRevoked even before the
  /// session's thread has noticed.
  LostReason lost(Instant now) const;

  enum class State : int { kHeld, kGivingUp, kEnded };
  State state() const { return state_.load(std::memory_order_acquire); }

  // Session.
  /// Ends before the session's lease does: a revocation's notice.
  void cap(Instant at);
  bool capped() const { return cap_ns_.load(std::memory_order_acquire) != kNoCap; }
  /// A release or handover is on its way: not to be relied on meanwhile.
  void begin_giving_up() { state_.store(State::kGivingUp, std::memory_order_release); }
  /// The handover was refused.
  void keep() { state_.store(State::kHeld, std::memory_order_release); }
  void end(LostReason reason);
  /// Called once on the loop's thread when the lock is lost other than by our own release.
  std::function<void(LostReason)> on_lost;

 private:
  static constexpr int64_t kNoCap = INT64_MAX;

  std::shared_ptr<const LeaseClock> lease_;
  std::atomic<int64_t> cap_ns_{kNoCap};
  std::atomic<State> state_{State::kHeld};
  std::atomic<LostReason> reason_{LostReason::kNone};
};

/// A revocation announced against locks of this session; against all of them if `path` is empty.
struct Notice {
  int64_t id = 0;
  std::string path;
  int64_t holder_id = 0;  ///< 0 = every holder
  int64_t notice_ms = 0;
  std::string reason;
};

/// The lease of one session as its client counts it.
class Lease {
 public:
  /// The first half of taking a renewal: the notices in force in the reply, which arrived at `now`.
  /// Returns the ids of those not seen before; cap_for() must then be applied to every hold before
  /// extend() is called.
  std::vector<int64_t> note(const std::vector<Notice>& notices, Instant now);
  /// The second half: `lease_ms` counts from when the renewal was `sent`; 0 = it did not renew.
  /// A deadline never moves back.
  void extend(Instant sent, int64_t lease_ms);

  /// A notice that replies tell of no more is over, its lock given away. So many of them are kept:
  /// the answer that grants such a lock may still be on its way. And more than a session can have
  /// in force, so that none of those goes because a late reply to an earlier renewal came last.
  static constexpr size_t kOverKept = 16'384;
  /// Notices kept.
  size_t notices() const { return in_force_.size(); }

  /// When a hold must end for a notice; Instant::max() if none names it.
  Instant cap_for(const Hold& hold) const;
  /// When the session itself must be taken for ended by a notice; Instant::max() without one.
  Instant ended_by_notice() const;
  Instant deadline() const { return clock_->deadline(); }
  std::shared_ptr<const LeaseClock> clock() const { return clock_; }

 private:
  /// Whom a notice names, and by which id.
  struct Named {
    int64_t holder_id = 0;  ///< 0 = every holder of the path; without one, of the session
    int64_t notice_id = 0;
    std::string path;
    friend auto operator<=>(const Named&, const Named&) = default;
  };
  struct InForce {
    Instant ends;
    uint64_t told = 0;  ///< by the last reply with this number
  };

  template <class Visit>
  void visit(int64_t holder_id, Visit&& visit) const;
  void forget_oldest();

  std::shared_ptr<LeaseClock> clock_ = std::make_shared<LeaseClock>();
  std::map<Named, InForce> in_force_;
  uint64_t replies_ = 0;
};

}  // namespace holdfast::client
