// The leader's memory of leases (ARCHITECTURE, sessions, leases, time; PROMISES 5 and 6).
#include "session/lease_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::session {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Outcome = RenewalAnswer::Outcome;

constexpr SessionId kA{11};
constexpr SessionId kB{12};

class LeaseKeeperTest : public testing::Test {
 protected:
  static Instant at(Duration since_start) { return Instant(1000s) + since_start; }

  void lead(const std::vector<LeaseSeed>& seeds) { keeper_.lead(at(0s), seeds); }

  std::vector<RenewalAnswer> renew(Ticket ticket, SessionId session, Duration when) {
    answers_.clear();
    keeper_.renew(ticket, session, at(when), answers_);
    return answers_;
  }
  std::vector<RenewalAnswer> round() {
    keeper_.round_started(++round_);
    return round_done(round_);
  }
  std::vector<RenewalAnswer> round_done(uint64_t number) {
    answers_.clear();
    keeper_.round_done(number, answers_);
    return answers_;
  }
  std::vector<RenewalAnswer> ended(SessionId session) {
    answers_.clear();
    keeper_.session_ended(session, answers_);
    return answers_;
  }
  std::vector<LateMark> due(Duration when) {
    std::vector<LateMark> marks;
    keeper_.due(at(when), marks);
    return marks;
  }
  std::vector<SessionId> expiries(Duration when, uint64_t work_max = 10'000) {
    std::vector<SessionId> sessions;
    keeper_.take_expiries(
        at(when), [](SessionId) { return uint64_t{100}; }, work_max, sessions);
    return sessions;
  }
  /// Marks as the log applies them.
  void apply(const std::vector<LateMark>& marks) {
    for (const LateMark& mark : marks) keeper_.late_marked(mark.session);
  }

  LeaseKeeper keeper_;
  uint64_t round_ = 0;
  std::vector<RenewalAnswer> answers_;
};

MATCHER_P2(Answers, ticket, outcome, "") { return arg.ticket == ticket && arg.outcome == outcome; }
MATCHER_P2(Marks, session, silent_ms, "") {
  *result_listener << arg.session << " silent for " << arg.silent_ms;
  return arg.session == session && arg.silent_ms == silent_ms;
}

TEST(LeaseMs, EndsBeforeTheServersDeadlineUnderDriftBothWays) {
  for (const int64_t ttl : {100, 4'000, 4'001, 9'999, 86'400'000}) {
    const int64_t lease = lease_ms(ttl);
    // A client's clock that runs 1 % slow counts `lease` while the server's counts 1.01 of it.
    EXPECT_LT(static_cast<double>(lease) * 1.01, static_cast<double>(ttl)) << ttl;
    EXPECT_GT(lease, ttl * 98 / 100) << ttl;
  }
  EXPECT_EQ(lease_ms(10'000), 9'900);
  EXPECT_EQ(lease_ms(10'000, 0), 10'000);
}

TEST_F(LeaseKeeperTest, ARenewalIsAnsweredOnlyByARoundThatStartedAfterItArrived) {
  lead({{kA, 10'000}});
  EXPECT_FALSE(keeper_.wants_round());
  EXPECT_THAT(renew(1, kA, 1s), IsEmpty());
  EXPECT_TRUE(keeper_.wants_round());
  keeper_.round_started(5);
  EXPECT_THAT(renew(2, kA, 1s), IsEmpty());
  EXPECT_THAT(round_done(5), ElementsAre(Answers(1u, Outcome::kRenewed)));
  EXPECT_EQ(answers_[0].lease_ms, 9'900);
  EXPECT_TRUE(keeper_.wants_round());
  keeper_.round_started(6);
  EXPECT_THAT(round_done(6), ElementsAre(Answers(2u, Outcome::kRenewed)));
}

TEST_F(LeaseKeeperTest, ALaterRoundConfirmsTheEarlierOnes) {
  lead({{kA, 10'000}});
  renew(1, kA, 1s);
  keeper_.round_started(1);
  renew(2, kA, 1s);
  keeper_.round_started(2);
  EXPECT_THAT(round_done(2),
              ElementsAre(Answers(1u, Outcome::kRenewed), Answers(2u, Outcome::kRenewed)));
  EXPECT_EQ(keeper_.pending_renewals(), 0u);
}

TEST_F(LeaseKeeperTest, ANewLeaderGivesAFullTtlAndLateSessionsTheRest) {
  lead({{kA, 10'000}, {kB, 10'000, true, 6'000}});
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(0s)), 10'000);
  EXPECT_EQ(keeper_.lease_left_ms(kB, at(0s)), 4'000);
  EXPECT_EQ(keeper_.lease_left_ms(SessionId(99), at(0s)), -1);
}

TEST_F(LeaseKeeperTest, TheArrivalMovesTheSilenceClockThoughItIsNeverAcknowledged) {
  lead({{kA, 10'000}});
  renew(1, kA, 4s);
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(4s)), 10'000);
  EXPECT_THAT(due(8900ms), IsEmpty());
  EXPECT_THAT(due(9100ms), ElementsAre(Marks(kA, 5'100)));
}

TEST_F(LeaseKeeperTest, SilenceIsMarkedAtHalfTheTtlAndEachEighthAfter) {
  lead({{kA, 8'000}});
  EXPECT_THAT(due(3'990ms), IsEmpty());
  EXPECT_THAT(due(4'016ms), ElementsAre(Marks(kA, 4'016)));
  EXPECT_THAT(due(4'980ms), IsEmpty());
  EXPECT_THAT(due(5'016ms), ElementsAre(Marks(kA, 5'016)));
  EXPECT_THAT(due(6'016ms), ElementsAre(Marks(kA, 6'016)));
}

TEST_F(LeaseKeeperTest, LongTtlsAreMarkedAfterThreeMinutes) {
  lead({{kA, 86'400'000}});
  std::vector<Duration> marked;
  for (Duration when = 0s; when < 10min; when += 10ms) {
    if (!due(when).empty()) marked.push_back(when);
  }
  ASSERT_EQ(marked.size(), 3u);
  EXPECT_NEAR(to_ms(marked[0]), 180'000, 20);
  EXPECT_NEAR(to_ms(marked[1]), 360'000, 20);
  EXPECT_NEAR(to_ms(marked[2]), 540'000, 20);
}

TEST_F(LeaseKeeperTest, ASessionAlreadyLateIsMarkedAgainAtTheNextStep) {
  lead({{kA, 8'000, true, 4'500}});
  EXPECT_THAT(due(480ms), IsEmpty());
  EXPECT_THAT(due(512ms), ElementsAre(Marks(kA, 5'012)));
}

TEST_F(LeaseKeeperTest, FromTheProposalOfAMarkARenewalNeedsACommittedEntry) {
  lead({{kA, 8'000}});
  EXPECT_THAT(due(4'100ms), ElementsAre(Marks(kA, 4'100)));
  renew(1, kA, 4'200ms);
  EXPECT_FALSE(keeper_.wants_round());
  EXPECT_TRUE(keeper_.wants_renew_entry());
  std::vector<SessionId> sessions;
  const uint64_t entry = keeper_.take_renew_entry(sessions);
  EXPECT_THAT(sessions, ElementsAre(kA));
  EXPECT_FALSE(keeper_.wants_renew_entry());
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(4'200ms)), 8'000);
  answers_.clear();
  keeper_.late_marked(kA);
  keeper_.late_renewed(kA);
  keeper_.renew_entry_applied(entry, answers_);
  EXPECT_THAT(answers_, ElementsAre(Answers(1u, Outcome::kRenewed)));
}

TEST_F(LeaseKeeperTest, ARenewalThatAlreadyWaitedWhenTheMarkWasProposedNeedsAnEntryToo) {
  lead({{kA, 8'000}});
  renew(1, kA, 10ms);
  keeper_.round_started(1);
  EXPECT_THAT(due(4'100ms), ElementsAre(Marks(kA, 4'090)));
  EXPECT_THAT(round_done(1), IsEmpty());
  EXPECT_TRUE(keeper_.wants_renew_entry());
}

TEST_F(LeaseKeeperTest, ARenewalDuringARenewEntryIsNotAnsweredByIt) {
  lead({{kA, 8'000}});
  apply(due(4'100ms));
  renew(1, kA, 4'200ms);
  std::vector<SessionId> sessions;
  const uint64_t entry = keeper_.take_renew_entry(sessions);
  renew(2, kA, 4'300ms);
  answers_.clear();
  keeper_.late_renewed(kA);
  keeper_.renew_entry_applied(entry, answers_);
  EXPECT_THAT(answers_, ElementsAre(Answers(1u, Outcome::kRenewed)));
  EXPECT_TRUE(keeper_.wants_renew_entry());
}

TEST_F(LeaseKeeperTest, AfterTheCommittedRenewalTheNextOneNeedsOnlyARound) {
  lead({{kA, 8'000, true, 5'000}});
  renew(1, kA, 100ms);
  std::vector<SessionId> sessions;
  const uint64_t entry = keeper_.take_renew_entry(sessions);
  keeper_.late_renewed(kA);
  answers_.clear();
  keeper_.renew_entry_applied(entry, answers_);
  renew(2, kA, 200ms);
  EXPECT_FALSE(keeper_.wants_renew_entry());
  EXPECT_THAT(round(), ElementsAre(Answers(2u, Outcome::kRenewed)));
}

TEST_F(LeaseKeeperTest, OneRenewEntryNamesASessionOnceAndIsBounded) {
  std::vector<LeaseSeed> seeds;
  for (uint64_t i = 1; i <= 1'500; ++i) seeds.push_back({SessionId(i), 8'000, true, 5'000});
  lead(seeds);
  for (uint64_t i = 1; i <= 1'500; ++i) {
    renew(2 * i, SessionId(i), 10ms);
    renew(2 * i + 1, SessionId(i), 10ms);
  }
  std::vector<SessionId> sessions;
  keeper_.take_renew_entry(sessions);
  EXPECT_EQ(sessions.size(), 500u);
  EXPECT_TRUE(keeper_.wants_renew_entry());
}

TEST_F(LeaseKeeperTest, ARefusedRenewEntryIsTriedAgain) {
  lead({{kA, 8'000, true, 5'000}});
  renew(1, kA, 100ms);
  std::vector<SessionId> sessions;
  keeper_.renew_entry_refused(keeper_.take_renew_entry(sessions));
  EXPECT_TRUE(keeper_.wants_renew_entry());
  EXPECT_EQ(keeper_.pending_renewals(), 1u);
}

TEST_F(LeaseKeeperTest, AnExpiryNeedsARoundThatStartedAfterTheDeadline) {
  lead({{kA, 8'000}});
  keeper_.round_started(++round_);
  due(8'100ms);
  EXPECT_TRUE(keeper_.wants_round());
  round_done(round_);
  EXPECT_THAT(expiries(8'100ms), IsEmpty());
  round();
  EXPECT_THAT(expiries(8'150ms), ElementsAre(kA));
}

TEST_F(LeaseKeeperTest, ARenewalBeforeTheExpiryIsProposedSavesTheSession) {
  lead({{kA, 8'000}});
  due(8'100ms);
  round();
  renew(1, kA, 8'200ms);
  EXPECT_THAT(expiries(8'200ms), IsEmpty());
  EXPECT_THAT(round(), ElementsAre(Answers(1u, Outcome::kRenewed)));
  due(16'250ms);
  round();
  EXPECT_THAT(expiries(16'250ms), ElementsAre(kA));
}

TEST_F(LeaseKeeperTest, ARoundFromBeforeTheRenewalDoesNotConfirmTheNextDeadline) {
  lead({{kA, 8'000}});
  due(8'100ms);
  keeper_.round_started(1);
  renew(1, kA, 8'200ms);
  due(16'300ms);
  round_done(1);
  EXPECT_THAT(expiries(16'300ms), IsEmpty());
}

TEST_F(LeaseKeeperTest, FromTheProposalOfAnExpiryNoRenewalIsAnsweredUntilTheSessionEnds) {
  lead({{kA, 8'000}});
  due(8'100ms);
  round();
  EXPECT_THAT(expiries(8'150ms), ElementsAre(kA));
  renew(1, kA, 8'160ms);
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_FALSE(keeper_.wants_renew_entry());
  EXPECT_THAT(ended(kA), ElementsAre(Answers(1u, Outcome::kEnded)));
  keeper_.expiries_applied();
  EXPECT_THAT(renew(2, kA, 8'300ms), ElementsAre(Answers(2u, Outcome::kEnded)));
}

TEST_F(LeaseKeeperTest, ARenewEntryInFlightIsNotAcknowledgedOnceTheExpiryIsProposed) {
  lead({{kA, 8'000, true, 5'000}});
  renew(1, kA, 100ms);
  std::vector<SessionId> sessions;
  const uint64_t entry = keeper_.take_renew_entry(sessions);
  due(8'200ms);
  round();
  EXPECT_THAT(expiries(8'200ms), ElementsAre(kA));
  answers_.clear();
  keeper_.late_renewed(kA);
  keeper_.renew_entry_applied(entry, answers_);
  EXPECT_THAT(answers_, IsEmpty());
  EXPECT_THAT(ended(kA), ElementsAre(Answers(1u, Outcome::kEnded)));
}

TEST_F(LeaseKeeperTest, ARefusedExpiryFreesTheRenewalsItHeld) {
  lead({{kA, 8'000}});
  due(8'100ms);
  round();
  const std::vector<SessionId> taken = expiries(8'150ms);
  renew(1, kA, 8'160ms);
  answers_.clear();
  keeper_.expiries_refused(taken, answers_);
  EXPECT_THAT(round(), ElementsAre(Answers(1u, Outcome::kRenewed)));
}

TEST_F(LeaseKeeperTest, ARefusedMarkIsDueAgain) {
  lead({{kA, 8'000}});
  const std::vector<LateMark> marks = due(4'100ms);
  keeper_.marks_refused(marks, at(4'100ms));
  renew(1, kB, 4'110ms);
  EXPECT_THAT(due(4'120ms), ElementsAre(Marks(kA, 4'120)));
}

TEST_F(LeaseKeeperTest, ExpiriesArePacedBySessionsWorkAndEntriesUnderWay) {
  std::vector<LeaseSeed> seeds;
  for (uint64_t i = 1; i <= 2'500; ++i) seeds.push_back({SessionId(i), 8'000});
  lead(seeds);
  while (!due(8'100ms).empty()) continue;
  round();
  EXPECT_EQ(expiries(8'100ms, 250'000).size(), 1'000u);
  EXPECT_EQ(expiries(8'100ms, 950).size(), 9u);
  EXPECT_THAT(expiries(8'100ms), IsEmpty());
  keeper_.expiries_applied();
  EXPECT_EQ(expiries(8'100ms, 1).size(), 1u);
}

TEST_F(LeaseKeeperTest, MarksComeInEntriesOfAThousandAtMost) {
  std::vector<LeaseSeed> seeds;
  for (uint64_t i = 1; i <= 2'500; ++i) seeds.push_back({SessionId(i), 8'000});
  lead(seeds);
  EXPECT_EQ(due(4'100ms).size(), 1'000u);
  EXPECT_LE(keeper_.next_due(at(4'100ms)), at(4'100ms));
  EXPECT_EQ(due(4'100ms).size(), 1'000u);
  EXPECT_EQ(due(4'100ms).size(), 500u);
  EXPECT_THAT(due(4'100ms), IsEmpty());
}

TEST_F(LeaseKeeperTest, ALoopGapAboveFiftyMillisecondsMovesAllDeadlines) {
  lead({{kA, 8'000}, {kB, 8'000}});
  keeper_.note_gap(50ms);
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(1s)), 7'000);
  keeper_.note_gap(2s);
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(3s)), 7'000);
  due(9'900ms);
  EXPECT_FALSE(keeper_.wants_round());
  due(10'100ms);
  EXPECT_TRUE(keeper_.wants_round());
}

TEST_F(LeaseKeeperTest, AGapAfterTheRoundStillSavesTheSession) {
  lead({{kA, 8'000}});
  due(8'100ms);
  round();
  keeper_.note_gap(1s);
  EXPECT_THAT(expiries(8'900ms), IsEmpty());
  due(9'120ms);
  round();
  EXPECT_THAT(expiries(9'120ms), ElementsAre(kA));
}

TEST_F(LeaseKeeperTest, ASessionOpenedUnderThisLeaderHasAFullTtl) {
  lead({});
  keeper_.session_opened(kA, 8'000, at(3s));
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(3s)), 8'000);
  EXPECT_EQ(keeper_.size(), 1u);
  ended(kA);
  keeper_.session_opened(kB, 8'000, at(4s));
  EXPECT_EQ(keeper_.lease_left_ms(kA, at(4s)), -1);
  EXPECT_EQ(keeper_.lease_left_ms(kB, at(4s)), 8'000);
}

TEST_F(LeaseKeeperTest, SteppingDownAnswersEveryRenewalWhereverItWaits) {
  lead({{kA, 8'000}, {kB, 8'000, true, 5'000}, {SessionId(13), 1'000}});
  renew(1, kA, 10ms);
  keeper_.round_started(1);
  renew(2, kA, 20ms);
  renew(3, kB, 20ms);
  std::vector<SessionId> sessions;
  keeper_.take_renew_entry(sessions);
  renew(4, kB, 20ms);
  due(1'100ms);
  keeper_.round_started(2);
  keeper_.round_done(2, answers_);
  EXPECT_THAT(expiries(1'100ms), ElementsAre(SessionId(13)));
  renew(5, SessionId(13), 1'110ms);
  renew(6, kA, 1'110ms);
  std::vector<RenewalAnswer> answers;
  keeper_.step_down(answers);
  EXPECT_THAT(answers, testing::UnorderedElementsAre(
                           Answers(3u, Outcome::kNotLeader), Answers(4u, Outcome::kNotLeader),
                           Answers(5u, Outcome::kNotLeader), Answers(6u, Outcome::kNotLeader)));
  EXPECT_FALSE(keeper_.leading());
  EXPECT_THAT(renew(7, kA, 2s), ElementsAre(Answers(7u, Outcome::kNotLeader)));
  EXPECT_EQ(keeper_.next_due(at(2s)), Instant::max());
}

TEST_F(LeaseKeeperTest, TheNextTimerIsNeverLaterThanTheNextEvent) {
  lead({{kA, 8'000}, {kB, 400'000}});
  Duration now = 0s;
  std::vector<std::pair<SessionId, int64_t>> seen;
  for (int visits = 0; now < 200s; ++visits) {
    ASSERT_LT(visits, 100'000) << "the timer fires again and again at " << to_ms(now) << " ms";
    const Instant next = keeper_.next_due(at(now));
    ASSERT_GE(next, at(now));
    now = std::max(next - at(0s), now + 1ns);
    for (const LateMark& mark : due(now)) seen.emplace_back(mark.session, mark.silent_ms);
  }
  ASSERT_GE(seen.size(), 5u);
  EXPECT_EQ(seen[0].first, kA);
  EXPECT_NEAR(seen[0].second, 4'000, 17);
  const auto first_of_b = std::ranges::find(seen, kB, &std::pair<SessionId, int64_t>::first);
  ASSERT_NE(first_of_b, seen.end());
  EXPECT_NEAR(first_of_b->second, 180'000, 17);
}

TEST_F(LeaseKeeperTest, AWheelThatStoodStillForHoursMissesNobody) {
  std::vector<LeaseSeed> seeds;
  for (uint64_t i = 1; i <= 300; ++i) {
    seeds.push_back({SessionId(i), static_cast<int64_t>(1'000 * i)});
  }
  lead(seeds);
  while (!due(std::chrono::hours(3)).empty()) continue;
  round();
  size_t taken = 0;
  for (auto some = expiries(std::chrono::hours(3)); !some.empty();
       some = expiries(std::chrono::hours(3))) {
    taken += some.size();
    keeper_.expiries_applied();
  }
  EXPECT_EQ(taken, 300u);
}

}  // namespace
}  // namespace holdfast::session
