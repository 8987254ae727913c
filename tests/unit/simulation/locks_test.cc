// The judges of the lock history fire on histories that are broken, and only on those.
#include "tests/simulation/lock_history.h"

#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

using lockmgr::LockMode;

class LocksTest : public testing::Test {
 protected:
  LocksTest() {
    history_.begin(Revision(1));
    for (const uint64_t session : {1, 2, 3}) history_.session_opened(SessionId(session));
    history_.finish(open_);
  }
  void begin() { history_.begin(Revision(++now_)); }
  /// Session `session` asks at the present revision, which names it.
  Revision ask(uint64_t session, const std::string& path, LockMode mode = LockMode::kExclusive,
               uint32_t permits = 0, uint32_t limit = 0) {
    history_.queued(
        {Revision(now_), SessionId(session), Sequence(now_), {{path, mode, permits, limit}}});
    return Revision(now_);
  }
  void grant(Revision holder, const std::string& path, bool handed_over = false) {
    history_.granted(holder, Revision(now_), path, handed_over);
  }
  void finish() { history_.finish(open_); }
  /// Asked and granted in one entry.
  Revision held(uint64_t session, const std::string& path, LockMode mode = LockMode::kExclusive) {
    begin();
    const Revision holder = ask(session, path, mode);
    grant(holder, path);
    finish();
    return holder;
  }
  Revision waiting(uint64_t session, const std::string& path) {
    begin();
    const Revision waiter = ask(session, path);
    finish();
    return waiter;
  }

  LockHistory history_;
  uint64_t now_ = 1;
  const LockHistory::Closed open_ = [](const std::string&) { return false; };
};

TEST_F(LocksTest, ALockPassedOnInOrderIsSound) {
  const Revision first = held(1, "/x");
  const Revision second = waiting(2, "/x");
  begin();
  history_.tenure_ended("/x", first, first);
  grant(second, "/x");
  EXPECT_EQ(broken_by([&] { finish(); }), "");
}

TEST_F(LocksTest, TwoExclusiveHoldersBreakI11) {
  held(1, "/x");
  EXPECT_EQ(broken_by([&] { held(2, "/x"); }), "I11");
}

TEST_F(LocksTest, AnExclusiveHolderBesideASharedOneBreaksI11) {
  held(1, "/x", LockMode::kShared);
  EXPECT_EQ(broken_by([&] { held(2, "/x"); }), "I11");
}

TEST_F(LocksTest, TheTokenOfAnotherRevisionBreaksI11) {
  begin();
  const Revision holder = ask(1, "/x");
  EXPECT_EQ(broken_by([&] { history_.granted(holder, Revision(1), "/x", false); }), "I11");
}

TEST_F(LocksTest, MorePermitsThanTheLimitBreakI11) {
  begin();
  grant(ask(1, "/s", LockMode::kSemaphore, 2, 3), "/s");
  finish();
  begin();
  const Revision second = ask(2, "/s", LockMode::kSemaphore, 2, 3);
  EXPECT_EQ(broken_by([&] { grant(second, "/s"); }), "I11");
}

TEST_F(LocksTest, AGrantToAnEndedSessionBreaksI12) {
  const Revision first = held(1, "/x");
  begin();
  const Revision second = ask(2, "/x");
  finish();
  begin();
  history_.tenure_ended("/x", first, first);
  history_.session_ended(SessionId(2));
  EXPECT_EQ(broken_by([&] { grant(second, "/x"); }), "I12");
}

TEST_F(LocksTest, APlaceForAnEndedSessionBreaksI12) {
  begin();
  history_.session_ended(SessionId(2));
  EXPECT_EQ(broken_by([&] { ask(2, "/x"); }), "I12");
}

TEST_F(LocksTest, ALockThatOutlivesItsSessionBreaksI12) {
  held(1, "/x");
  begin();
  history_.session_ended(SessionId(1));
  EXPECT_EQ(broken_by([&] { finish(); }), "I12");
}

TEST_F(LocksTest, AGrantPastAWaiterBreaksI14) {
  const Revision first = held(1, "/x");
  waiting(2, "/x");
  const Revision third = waiting(3, "/x");
  begin();
  history_.tenure_ended("/x", first, first);
  EXPECT_EQ(broken_by([&] { grant(third, "/x"); }), "I14");
}

TEST_F(LocksTest, OnlyAHandOverMayPassWaiters) {
  const Revision first = held(1, "/x");
  waiting(2, "/x");
  const Revision third = waiting(3, "/x");
  begin();
  history_.tenure_ended("/x", first, first);
  EXPECT_EQ(broken_by([&] { grant(third, "/x", /*handed_over=*/true); }), "");
}

TEST_F(LocksTest, ALockLeftFreeBesideAWaiterBreaksI14) {
  const Revision first = held(1, "/x");
  waiting(2, "/x");
  begin();
  history_.tenure_ended("/x", first, first);
  EXPECT_EQ(broken_by([&] { finish(); }), "I14");
}

TEST_F(LocksTest, ACommandOfAnotherHolderThatChangesSomethingBreaksI13) {
  using Command = LockHistory::HolderCommand;
  const auto judge = [](const Command& command) {
    return broken_by([&] { LockHistory::judge(command); });
  };
  EXPECT_EQ(judge({.held = false, .done = true}), "I13");
  EXPECT_EQ(judge({.held = false, .nothing_due = true, .changed = true}), "I13");
  EXPECT_EQ(judge({.held = true, .done = false, .nothing_due = true}), "I13");
  EXPECT_EQ(judge({.held = true, .done = true, .nothing_due = true, .changed = true}), "");
  EXPECT_EQ(judge({.held = false, .done = false, .nothing_due = true}), "");
}

}  // namespace
}  // namespace holdfast::sim
