// What clients believe, judged: two who are sure, a lease that is broken, time that goes back.
#include "tests/simulation/ledger.h"

#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

class Client final : public Believer {
 public:
  explicit Client(int number) : number_(number) {}
  bool sure(Revision) const override { return sure_; }
  Instant local_now() const override { return now_; }
  bool running() const override { return true; }
  SessionId session() const override { return SessionId(static_cast<uint64_t>(number_)); }
  int number() const override { return number_; }
  bool sure_ = true;
  Instant now_{10s};

 private:
  int number_;
};

class LedgerTest : public testing::Test {
 protected:
  void believe(const Client& who, uint64_t holder, lockmgr::LockMode mode, uint32_t permits = 0) {
    ledger_.believe(who, Revision(holder), Revision(holder), {{"/x", mode, permits, 3}});
  }
  void take(uint64_t holder, bool forced) {
    rsm::Effect effect;
    effect.path = "/x";
    effect.holder_id = effect.token = Revision(holder);
    effect.end_reason = lockmgr::EndReason::kRevoked;
    ledger_.tenure_ended(effect, forced);
  }
  Weather weather_;
  Draws draws_{uint64_t{1}};
  World world_{weather_, draws_};
  Ledger ledger_{world_};
  Client one_{1};
  Client two_{2};
};

constexpr auto kExclusive = lockmgr::LockMode::kExclusive;
constexpr auto kShared = lockmgr::LockMode::kShared;
constexpr auto kSemaphore = lockmgr::LockMode::kSemaphore;

TEST_F(LedgerTest, TwoWhoAreSureOfAnExclusiveLockBreakI22) {
  believe(one_, 5, kExclusive);
  EXPECT_EQ(broken_by([&] { believe(two_, 6, kExclusive); }), "I22");
}

TEST_F(LedgerTest, OneWhoIsNoLongerSureIsInNobodysWay) {
  believe(one_, 5, kExclusive);
  one_.sure_ = false;
  EXPECT_EQ(broken_by([&] { believe(two_, 6, kExclusive); }), "");
}

TEST_F(LedgerTest, SharedHoldersMayAllBeSureButNotBesideAnExclusiveOne) {
  believe(one_, 5, kShared);
  EXPECT_EQ(broken_by([&] { believe(two_, 6, kShared); }), "");
  EXPECT_EQ(broken_by([&] { believe(Client(3), 7, kExclusive); }), "I22");
}

TEST_F(LedgerTest, MorePermitsInUseThanTheLimitBreakI22) {
  believe(one_, 5, kSemaphore, 2);
  EXPECT_EQ(broken_by([&] { believe(two_, 6, kSemaphore, 2); }), "I22");
}

TEST_F(LedgerTest, ALockTakenFromOneWhoIsSureBreaksI22UnlessByForce) {
  believe(one_, 5, kExclusive);
  EXPECT_EQ(broken_by([&] { take(5, /*forced=*/true); }), "");
  EXPECT_EQ(broken_by([&] { take(5, /*forced=*/false); }), "I22");
}

TEST_F(LedgerTest, AnExpiryUnderAnAcknowledgedLeaseBreaksI16) {
  ledger_.opened(one_, SessionId(1));
  ledger_.promised(SessionId(1), Instant(11s));
  rsm::Effect effect;
  effect.session = SessionId(1);
  effect.end_reason = lockmgr::EndReason::kSessionExpired;
  EXPECT_EQ(broken_by([&] { ledger_.session_ended(effect, false); }), "I16");
  one_.now_ = Instant(11s);
  EXPECT_EQ(broken_by([&] { ledger_.session_ended(effect, false); }), "");
}

TEST_F(LedgerTest, RevisionsThatGoBackBreakI20) {
  ledger_.answered(7);
  EXPECT_EQ(ledger_.newest(), 7);
  EXPECT_EQ(broken_by([&] { ledger_.check_write(7, 7, "a write"); }), "I20");
  EXPECT_EQ(broken_by([&] { ledger_.check_write(7, 8, "a write"); }), "");
  EXPECT_EQ(broken_by([&] { ledger_.check_read(7, 6, "a read"); }), "I20");
  EXPECT_EQ(broken_by([&] { ledger_.check_read(7, 7, "a read"); }), "");
}

}  // namespace
}  // namespace holdfast::sim
