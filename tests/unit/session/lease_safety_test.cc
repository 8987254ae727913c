// The two promises that pull against each other, over random elections, silences and clock rates:
// a client's own deadline ends before the servers expire it (PROMISE 5), and a dead session is gone
// within the bound that docs/sessions.md states, elections in a row included.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/entropy.h"
#include "session/lease_keeper.h"

namespace holdfast::session {
namespace {

constexpr SessionId kSession{11};
constexpr int64_t kTtlMs = 8'000;
constexpr Duration kStep = 10ms;
/// What a leader needs to notice a deadline: a wheel bucket, a step of this test, a round, an
/// entry.
constexpr Duration kSlack = 100ms;

/// One session, its client, and leaders that come and go. True time is the client's; each leader
/// counts on a clock of its own, up to 0.5 % fast or slow, so any two differ by 1 % at most.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) { elect(); }

  /// Lets `duration` pass; the client renews every `renew_every`, unless it is dead.
  void run(Duration duration, std::optional<Duration> renew_every) {
    const Duration end = now_ + duration;
    Duration next_renewal = now_;
    while (now_ < end && !expired_at_) {
      if (renew_every && now_ >= next_renewal) {
        renew();
        next_renewal = now_ + *renew_every;
      }
      turn();
      now_ += kStep;
    }
  }

  void elect() {
    keeper_ = LeaseKeeper();
    rate_ppm_ = static_cast<int64_t>(random_.below(10'001)) - 5'000;
    offset_ = std::chrono::seconds(1 + random_.below(100'000));
    elected_at_ = now_;
    const LeaseSeed seed{kSession, kTtlMs, late_, silent_ms_};
    keeper_.lead(reading(), {&seed, 1});
    sent_.clear();
  }
  /// No leader for a while.
  void leaderless(Duration duration) { now_ += duration; }

  Duration now() const { return now_; }
  Duration lease_end() const { return lease_end_; }
  std::optional<Duration> expired_at() const { return expired_at_; }
  uint64_t below(uint64_t bound) { return random_.below(bound); }

 private:
  Instant reading() const {
    const Duration since = now_ - elected_at_;
    return Instant(offset_ + since + since * rate_ppm_ / 1'000'000);
  }

  void renew() {
    // The request was sent before it arrives.
    sent_[++ticket_] = now_ - Duration(random_.below(20'000'000));
    keeper_.renew(ticket_, kSession, reading(), answers_);
  }

  /// A loop turn: rounds and entries complete at once.
  void turn() {
    std::vector<LateMark> marks;
    keeper_.due(reading(), marks);
    for (const LateMark& mark : marks) {
      late_ = true;
      silent_ms_ = mark.silent_ms;
      keeper_.late_marked(mark.session);
    }
    if (keeper_.wants_round()) {
      keeper_.round_started(++round_);
      keeper_.round_done(round_, answers_);
    }
    if (keeper_.wants_renew_entry()) {
      std::vector<SessionId> sessions;
      const uint64_t entry = keeper_.take_renew_entry(sessions);
      late_ = false;
      keeper_.late_renewed(kSession);
      keeper_.renew_entry_applied(entry, answers_);
    }
    std::vector<SessionId> expired;
    keeper_.take_expiries(
        reading(), [](SessionId) { return uint64_t{1}; }, 100, expired);
    if (!expired.empty()) expired_at_ = now_;
    for (const RenewalAnswer& answer : answers_) {
      if (answer.outcome != RenewalAnswer::Outcome::kRenewed) continue;
      lease_end_ = std::max(lease_end_, sent_.at(answer.ticket) + from_ms(answer.lease_ms));
    }
    answers_.clear();
  }

  SplitMix random_;
  LeaseKeeper keeper_;
  Duration now_{};
  Duration elected_at_{};
  Duration offset_{};
  int64_t rate_ppm_ = 0;
  bool late_ = false;  // replicated
  int64_t silent_ms_ = 0;
  uint64_t round_ = 0;
  Ticket ticket_ = 0;
  std::map<Ticket, Duration> sent_;
  std::vector<RenewalAnswer> answers_;
  Duration lease_end_{};
  std::optional<Duration> expired_at_;
};

TEST(LeaseSafety, NoSessionExpiresBeforeItsClientsOwnDeadline) {
  int expired = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    World world(seed);
    for (int episode = 0; episode < 6 && !world.expired_at(); ++episode) {
      world.run(from_ms(static_cast<int64_t>(world.below(6'000))), from_ms(2'500));
      world.run(from_ms(static_cast<int64_t>(world.below(9'000))), std::nullopt);
      if (world.below(2) == 0) {
        world.leaderless(from_ms(static_cast<int64_t>(world.below(1'500))));
        world.elect();
      }
    }
    if (!world.expired_at()) continue;
    ++expired;
    ASSERT_GT(*world.expired_at(), world.lease_end()) << "seed " << seed;
  }
  EXPECT_GT(expired, 50);
}

TEST(LeaseSafety, ALiveClientOutlastsAnyNumberOfElections) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed);
    for (int election = 0; election < 20; ++election) {
      world.run(from_ms(static_cast<int64_t>(3'000 + world.below(4'000))), from_ms(2'500));
      ASSERT_FALSE(world.expired_at()) << "seed " << seed;
      world.leaderless(from_ms(1'200));
      world.elect();
    }
  }
}

/// docs/sessions.md: TTL + S for each leadership that ends before the first mark + D for each one
/// after it + the time without a leader, S = min(TTL/2, 3 min), D = min(TTL/8, 3 min).
TEST(LeaseSafety, ADeadSessionIsGoneWithinTheBoundOverElectionsInARow) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    World world(seed);
    world.run(2s, from_ms(500));
    const Duration died = world.now();
    Duration bound = from_ms(kTtlMs);
    bool marked = false;
    for (int reigns = 0; !world.expired_at(); ++reigns) {
      ASSERT_LT(reigns, 1'000) << "it never ends; seed " << seed;
      const auto reign = from_ms(static_cast<int64_t>(500 + world.below(6'000)));
      world.run(reign, std::nullopt);
      if (world.expired_at()) break;
      bound += marked ? from_ms(kTtlMs / 8) : from_ms(kTtlMs / 2);
      marked = marked || reign > from_ms(kTtlMs / 2 + 200);
      const auto gap = from_ms(static_cast<int64_t>(world.below(1'000)));
      world.leaderless(gap);
      bound += gap;
      world.elect();
    }
    const Duration drift = bound / 100;
    // The clock that each reign starts anew adds its slack; a reign lasts half a second at least.
    const Duration slack = kSlack * (1 + (world.now() - died) / 500ms);
    ASSERT_LE(*world.expired_at() - died, bound + drift + slack) << "seed " << seed;
  }
}

}  // namespace
}  // namespace holdfast::session
