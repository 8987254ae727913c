// Leases: the leader's own memory of who was heard from when. Not replicated, never read at apply
// (ARCHITECTURE, sessions, leases, time; docs/sessions.md states the promises and the bounds).
//
// The keeper decides nothing by itself: instants go in, and what the server must do comes out.
//   a renewal arrives          renew(): moves the silence clock at once
//   a quorum round starts      round_started(): takes along every renewal that arrived before it
//   a quorum answered it       round_done(): the renewals taken along are answered
//   end of a loop turn         due(): late marks to propose, whether a round is wanted
//                              take_renew_entry(), take_expiries(): entries to propose
// Renewals of a session that is marked late, or whose mark is proposed, are answered only by a
// committed renew entry; those of a session whose expiry is proposed are answered by its end.
//
// Pure; one thread. A renewal costs O(1) and allocates nothing in steady state; timers cost each
// session one visit per min(TTL/2, 3 min), however often it renews.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace holdfast::session {

/// The bound on clock rates between any two machines, in parts per million (flag).
inline constexpr uint32_t kDriftPpmDefault = 10'000;

/// How long a client may rely on its locks, counted on its own boot-time clock from when it SENT
/// the renewal. With rates within drift_ppm = 1e6 r, the client's clock measures at least
/// TTL / (1 + r) while the server's counts one TTL; TTL (1 - r) is strictly less than that.
constexpr int64_t lease_ms(int64_t ttl_ms, uint32_t drift_ppm = kDriftPpmDefault) {
  const int64_t million = 1'000'000;
  const int64_t rate = million - static_cast<int64_t>(drift_ppm);
  return ttl_ms / million * rate + ttl_ms % million * rate / million;
}

/// Silence at which a session is first marked late, and by which it is marked again.
constexpr Duration late_after(Duration ttl) {
  const Duration half = ttl / 2;
  return half < Duration(3min) ? half : Duration(3min);
}
constexpr Duration late_again_after(Duration ttl) {
  const Duration eighth = ttl / 8;
  return eighth < Duration(3min) ? eighth : Duration(3min);
}

struct LeaseConfig {
  uint32_t drift_ppm = kDriftPpmDefault;
  Duration gap_allowed = 50ms;        ///< a loop gap above this is added to all deadlines
  size_t entry_sessions_max = 1'000;  ///< sessions in one entry
  size_t expiry_entries_max = 2;      ///< expiry entries proposed and not yet applied
};

/// A session as the new leader finds it in its state after applying its own no-op.
struct LeaseSeed {
  SessionId session;
  int64_t ttl_ms = 0;
  bool late = false;
  int64_t silent_ms = 0;  ///< late: the silence recorded
};

struct LateMark {
  SessionId session;
  int64_t silent_ms = 0;
};

/// The server's own number for a parked renewal; opaque here.
using Ticket = uint64_t;

/// What became of a renewal.
struct RenewalAnswer {
  enum class Outcome : uint8_t {
    kRenewed,    ///< lease_ms counts from when the client sent its request
    kEnded,      ///< the session is not there: see the state machine whether it is ended or not yet
    kNotLeader,  ///< this server stopped leading first: the client asks again
  };
  Ticket ticket = 0;
  SessionId session;
  Outcome outcome = Outcome::kRenewed;
  int64_t lease_ms = 0;
};

class LeaseKeeper {
 public:
  explicit LeaseKeeper(const LeaseConfig& config = {});

  // ---- leadership ---------------------------------------------------------------------------

  /// Leadership begins: call after the own no-op was APPLIED. Everybody gets a full TTL from
  /// now on, sessions marked late TTL - silent_ms. No renewal before this may be answered.
  void lead(Instant now, std::span<const LeaseSeed> sessions);
  /// Leadership ends: forgets all; every pending renewal is answered kNotLeader.
  void step_down(std::vector<RenewalAnswer>& answers);
  bool leading() const { return leading_; }

  // ---- what the leader's own apply says, in log order ------------------------------------------

  void session_opened(SessionId session, int64_t ttl_ms, Instant now);
  /// Answers the session's pending renewals kEnded.
  void session_ended(SessionId session, std::vector<RenewalAnswer>& answers);
  /// A mark of this leadership was applied.
  void late_marked(SessionId session);
  /// A committed renewal was applied to this session, whoever proposed it.
  void late_renewed(SessionId session);

  // ---- renewals -------------------------------------------------------------------------------

  /// A renewal arrived: the silence clock moves now, the answer comes later through `answers` of
  /// another call (here at once if there is no such session). Every ticket is answered once.
  void renew(Ticket ticket, SessionId session, Instant now, std::vector<RenewalAnswer>& answers);
  /// A quorum round (heartbeats to all, batched with ReadIndex) is wanted by renewals or expiries.
  bool wants_round() const { return !arrived_.empty() || !overdue_.empty(); }
  /// A round of this number, ascending, has just been started: what came before it counts.
  void round_started(uint64_t round);
  /// A quorum answered this round, hence all earlier ones too.
  void round_done(uint64_t round, std::vector<RenewalAnswer>& answers);

  /// Renewals wait for a committed renew entry.
  bool wants_renew_entry() const { return !entry_wanted_.empty(); }
  /// Fills `sessions` for one RenewLate command and returns its number, to be passed back; propose
  /// it now.
  uint64_t take_renew_entry(std::vector<SessionId>& sessions);
  /// It was applied (after late_renewed() for its sessions): its renewals are answered.
  void renew_entry_applied(uint64_t entry, std::vector<RenewalAnswer>& answers);
  /// It could not be proposed: its renewals wait for the next one.
  void renew_entry_refused(uint64_t entry);

  // ---- time -----------------------------------------------------------------------------------

  /// The loop could not handle input for `gap` (a late timer, a long turn): deadlines move by it
  /// if it is above gap_allowed.
  void note_gap(Duration gap);

  /// Everything that arrived has been handled and it is `now`: fills `marks` (at most
  /// entry_sessions_max) for one MarkLate command, to be proposed now. Call until it fills none.
  void due(Instant now, std::vector<LateMark>& marks);
  /// That command could not be proposed: its marks are due again.
  void marks_refused(std::span<const LateMark> marks, Instant now);

  /// Fills `sessions` for one ExpireSessions command, to be proposed now, with sessions whose
  /// deadline passed before a round that a quorum has answered, and that are still silent. Empty
  /// while expiry_entries_max are under way. `work(session)` says what a session owns; the entry
  /// takes at most `work_max` of it together, but at least one session.
  using Work = std::function<uint64_t(SessionId)>;
  void take_expiries(Instant now, const Work& work, uint64_t work_max,
                     std::vector<SessionId>& sessions);
  /// That command was applied (after session_ended() for its sessions).
  void expiries_applied();
  /// It could not be proposed: its sessions are due again, with a new round.
  void expiries_refused(std::span<const SessionId> sessions, std::vector<RenewalAnswer>& answers);

  /// When due() may have something to do; the loop's timer. Instant::max() if nothing is kept.
  Instant next_due(Instant now) const;

  // ---- reads ----------------------------------------------------------------------------------

  /// How long the servers will keep the session without a further renewal, at least 0; -1 if it is
  /// not known or this server does not lead.
  int64_t lease_left_ms(SessionId session, Instant now) const;
  size_t size() const { return by_session_.size(); }
  size_t pending_renewals() const { return pending_; }

 private:
  using Slot = uint32_t;
  static constexpr Slot kNoSlot = UINT32_MAX;
  static constexpr int64_t kBuckets = 4'096;
  static constexpr Duration kBucket = 16ms;

  struct Lease {
    SessionId session;
    Duration ttl{};
    Instant silent_since;          ///< on the clock without gaps, recorded silence subtracted
    Duration next_mark{};          ///< silence at which the next late mark is due
    uint32_t marks_in_flight = 0;  ///< proposed, not yet applied
    bool late = false;             ///< marked, as applied here
    bool overdue = false;          ///< past its deadline: in overdue_, a round or confirmed_
    bool expiring = false;         ///< its expiry is proposed: no renewal is acknowledged
    bool scheduled = false;
    Slot next = kNoSlot;  ///< in its bucket, or in the free list
    Slot previous = kNoSlot;
    int64_t bucket = 0;
    bool needs_entry() const { return late || marks_in_flight > 0; }
  };
  struct Waiting {
    Ticket ticket;
    SessionId session;
  };
  /// Counts only while the session's silence is still the one it was found with.
  struct Overdue {
    SessionId session;
    Instant silent_since;
  };
  struct Round {
    uint64_t number = 0;
    std::vector<Waiting> renewals;
    std::vector<Overdue> overdue;
  };
  struct Entry {
    uint64_t number = 0;
    std::vector<Waiting> renewals;
  };

  Instant steady(Instant now) const { return now - gaps_; }
  Lease* find(SessionId session);
  const Lease* find(SessionId session) const;
  void add(SessionId session, int64_t ttl_ms, Instant heard_at, std::optional<Duration> silence);
  void answer(const Waiting& waiting, RenewalAnswer::Outcome outcome, int64_t lease,
              std::vector<RenewalAnswer>& answers);
  /// Where a renewal goes next; `confirmed` if a quorum answered a round started after it arrived.
  void route(const Waiting& waiting, bool confirmed, std::vector<RenewalAnswer>& answers);
  void route_held(SessionId session, std::vector<RenewalAnswer>& answers);
  static bool still_overdue(const Lease* lease, const Overdue& candidate);
  void schedule(Lease& lease);
  void unschedule(Lease& lease);
  void reschedule(Lease& lease);
  void visit(Lease& lease, Instant steady_now, std::vector<LateMark>& marks);
  Slot first_of(int64_t tick) const { return buckets_[static_cast<size_t>(tick % kBuckets)]; }
  void set_first(int64_t bucket, Slot slot);

  LeaseConfig config_;
  bool leading_ = false;
  Duration gaps_{};  ///< sum of the loop gaps: the keeper's clock leaves them out
  std::vector<Lease> leases_;
  Slot free_ = kNoSlot;
  std::unordered_map<SessionId, Slot> by_session_;  // its order is never observed
  // Timer wheel: a lease stands in the bucket of its next event, or in the last one of the horizon;
  // renewals leave it where it is, and the visit finds that its time has moved.
  std::array<Slot, kBuckets> buckets_;
  std::array<uint64_t, kBuckets / 64> occupied_{};
  int64_t wheel_tick_ = 0;  ///< next bucket to visit
  std::vector<Waiting> arrived_;
  std::vector<Overdue> overdue_;
  std::vector<Round> rounds_;  ///< few
  std::vector<Round> spare_rounds_;
  std::deque<Overdue> confirmed_;
  std::vector<Waiting> entry_wanted_;
  std::vector<Entry> entries_;
  uint64_t next_entry_ = 1;
  std::vector<Waiting> held_;  ///< renewals of expiring sessions
  size_t expiry_entries_ = 0;
  size_t pending_ = 0;
};

}  // namespace holdfast::session
