// The history of committed entries is judged: states, copies, and what was said to be refused.
#include "tests/simulation/history.h"

#include "coordinator/rsm/command_codec.h"
#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

using command::CommandKind;

class Nobody final : public HistoryListener {
 public:
  void tenure_ended(const rsm::Effect&, bool) override {}
  void session_ended(const rsm::Effect&, bool) override {}
  bool is_dead(SessionId) const override { return false; }
};

class HistoryTest : public testing::Test {
 protected:
  template <class Body>
  void commit(CommandKind::type kind, uint64_t session, uint64_t sequence, const Body& body) {
    command::CommandHeader header;
    header.level = rsm::kFeatureLevel;
    header.kind = kind;
    header.originNode = 1;
    header.sessionId = static_cast<int64_t>(session);
    header.sequence = static_cast<int64_t>(sequence);
    header.decidedTerm = decided_term_;
    history_.commit({Term(1), history_.last().next(), raft::EntryType::kCommand,
                     encoder_.entry_of(header, body)});
  }
  void open() {
    command::OpenSession body;
    body.secretHash.assign(32, 's');
    body.ttlMs = 10'000;
    commit(CommandKind::OPEN_SESSION, 0, 0, body);
  }
  void acquire(uint64_t sequence) {
    command::Acquire body;
    body.claim.path = "/x";
    body.claim.mode = api::LockMode::EXCLUSIVE;
    body.waitMs = -1;
    commit(CommandKind::ACQUIRE, 1, sequence, body);
  }
  void cancel(uint64_t sequence, uint64_t acquire) {
    command::CancelAcquire body;
    body.path = "/x";
    body.acquireSequence = static_cast<int64_t>(acquire);
    commit(CommandKind::CANCEL_ACQUIRE, 1, sequence, body);
  }
  void revoke(const std::string& reason) {
    command::RevokeLock body;
    body.path = "/x";
    body.reason = reason;
    commit(CommandKind::REVOKE_LOCK, 0, 0, body);
  }
  void put_without_session(const std::string& value, int64_t expected = 0) {
    command::PutKey body;
    body.path = "/k";
    body.value = value;
    body.expectedVersion = expected;
    commit(CommandKind::PUT_KEY, 0, 0, body);
  }
  /// Puts whose steps are guarded: 0 by nothing, else by this holder of /x.
  void transact(uint64_t sequence, const std::vector<int64_t>& guards) {
    command::Transact body;
    for (const int64_t holder : guards) {
      command::PutKey put;
      put.path = "/k";
      put.value = "v";
      if (holder != 0) put.guard.path = "/x";
      put.guard.holderId = holder;
      body.thenOperations.emplace_back().__set_put(put);
    }
    commit(CommandKind::TRANSACT, 1, sequence, body);
  }
  Weather weather_;
  Draws draws_{uint64_t{1}};
  World world_{weather_, draws_};
  Nobody nobody_;
  History history_{world_, nobody_};
  rsm::CommandEncoder encoder_;
  int64_t decided_term_ = 0;  ///< of the entries' term, which is 1, or of another
};

TEST_F(HistoryTest, AnotherStateAtAnIndexBreaksI5) {
  open();
  const Digest right = history_.machine().digest();
  acquire(1);
  EXPECT_EQ(broken_by([&] { history_.check_state(1, LogIndex(1), right); }), "");
  EXPECT_EQ(broken_by([&] { history_.check_state(1, LogIndex(2), right); }), "I5");
}

TEST_F(HistoryTest, ASnapshotOfAnotherStateOrOfTheFutureBreaksI9) {
  open();
  const Digest right = history_.machine().digest();
  acquire(1);
  EXPECT_EQ(broken_by([&] { history_.check_snapshot(1, LogIndex(1), right); }), "");
  EXPECT_EQ(broken_by([&] { history_.check_snapshot(1, LogIndex(2), right); }), "I9");
  EXPECT_EQ(broken_by([&] { history_.check_snapshot(1, LogIndex(3), right); }), "I9");
}

TEST_F(HistoryTest, AnAppliedIndexThatNobodyCommittedBreaksI6) {
  open();
  EXPECT_EQ(broken_by([&] { history_.check_state(1, LogIndex(2), Digest{}); }), "I6");
}

TEST_F(HistoryTest, ACommandAppliedAfterItWasAnsweredNotAppliedBreaksI18) {
  open();
  history_.forbid(SessionId(1), Sequence(1));
  EXPECT_EQ(broken_by([&] { acquire(1); }), "I18");
}

TEST_F(HistoryTest, ACommandAppliedBeforeItWasAnsweredNotAppliedBreaksI18) {
  open();
  acquire(1);
  EXPECT_EQ(broken_by([&] { history_.forbid(SessionId(1), Sequence(1)); }), "I18");
}

TEST_F(HistoryTest, ACommandWithoutASessionThatIsAppliedTwiceBreaksI17) {
  open();
  revoke("once");
  EXPECT_EQ(broken_by([&] { revoke("once"); }), "I17");
}

TEST_F(HistoryTest, AWriteWithoutASessionIsDoneOncePerCopyAtMost) {
  SessionlessWrites& writes = history_.sessionless();
  writes.sent("t");
  writes.sent("t");
  put_without_session("t|1");
  EXPECT_EQ(broken_by([&] { put_without_session("t|1"); }), "");
  EXPECT_EQ(world_.marks().of(Mark::kSessionlessTwice), 1u);
  EXPECT_EQ(broken_by([&] { put_without_session("t|1"); }), "I17");
}

TEST_F(HistoryTest, AWriteWithoutASessionThatWasRefusedIsNotDone) {
  SessionlessWrites& writes = history_.sessionless();
  writes.sent("t");
  writes.sent("t");
  writes.refused("t", ErrorCode::kNoLeader);
  EXPECT_EQ(broken_by([&] { put_without_session("t|1"); }), "");
  EXPECT_EQ(broken_by([&] { put_without_session("t|1"); }), "I18");
}

TEST_F(HistoryTest, ARefusalAfterAWriteWithoutASessionWasDoneBreaksI18) {
  SessionlessWrites& writes = history_.sessionless();
  writes.sent("t");
  put_without_session("t|1");
  EXPECT_EQ(broken_by([&] { writes.refused("t", ErrorCode::kNoLeader); }), "I18");
}

TEST_F(HistoryTest, AStateRefusesAWriteWithoutASessionOnlyIfTheLogSaysSo) {
  SessionlessWrites& writes = history_.sessionless();
  for (int copy = 0; copy < 3; ++copy) writes.sent("t");
  put_without_session("t|1", -1);
  put_without_session("t|1", -1);
  EXPECT_EQ(world_.marks().of(Mark::kSessionlessMetItself), 1u);
  EXPECT_EQ(broken_by([&] { writes.refused("t", ErrorCode::kBadVersion); }), "");
  EXPECT_EQ(broken_by([&] { writes.refused("t", ErrorCode::kBadVersion); }), "I17");
}

TEST_F(HistoryTest, AnAnswerToAWriteWithoutASessionIsOfACopyOfItsOwn) {
  SessionlessWrites& writes = history_.sessionless();
  writes.sent("t");
  put_without_session("t|1");
  EXPECT_EQ(broken_by([&] { writes.answered("other", 1); }), "I17");
  EXPECT_EQ(broken_by([&] { writes.answered("t", 1); }), "");
  EXPECT_EQ(broken_by([&] { writes.answered("t", 1); }), "I17");
  api::PutResult result;
  result.revision = result.version = 1;
  const auto told = [&] {
    return broken_by([&] { history_.check_reply(SessionId{}, Sequence{}, result); });
  };
  EXPECT_EQ(told(), "");
  result.version = 2;
  EXPECT_EQ(told(), "I17");
}

TEST_F(HistoryTest, OnlyOutcomeUnknownLeavesTheFateOfAWriteWithoutASessionOpen) {
  SessionlessWrites& writes = history_.sessionless();
  writes.sent("t");
  put_without_session("t|1");
  EXPECT_EQ(broken_by([&] { writes.unknown("t", ErrorCode::kOutcomeUnknown); }), "");
  EXPECT_EQ(world_.marks().of(Mark::kSessionlessLost), 1u);
  EXPECT_EQ(broken_by([&] { writes.unknown("t", ErrorCode::kTimeout); }), "I17");
}

TEST_F(HistoryTest, AGuardOfALaterStepKeepsTheWholeTransactionFromBeingDone) {
  open();
  acquire(1);
  EXPECT_EQ(broken_by([&] { transact(2, {0, 2}); }), "");
  EXPECT_EQ(world_.marks().of(Mark::kStepGuardAccepted), 1u);
  EXPECT_EQ(broken_by([&] { transact(3, {2, 0, 99}); }), "");
  EXPECT_EQ(world_.marks().of(Mark::kStepGuardRefused), 1u);
  EXPECT_EQ(history_.keys().at("/k", 4).version, 2);
}

TEST_F(HistoryTest, AnAnswerThatIsNotInTheLogBreaksI17) {
  open();
  acquire(1);
  api::AcquireResult result;
  result.status = api::AcquireStatus::GRANTED;
  result.holderId = 2;
  result.token = 2;
  const auto told = [&] {
    return broken_by([&] { history_.check_reply(SessionId(1), Sequence(1), result); });
  };
  EXPECT_EQ(told(), "");
  result.token = 3;
  EXPECT_EQ(told(), "I17");
  result.status = api::AcquireStatus::NOT_HELD;
  EXPECT_EQ(told(), "I17");
}

TEST_F(HistoryTest, ACopyOfAnAcquireIsSound) {
  open();
  acquire(1);
  EXPECT_EQ(broken_by([&] { acquire(1); }), "");
  EXPECT_EQ(world_.marks().of(Mark::kRetryMetOutcome), 1u);
}

TEST_F(HistoryTest, AnEntryThatWasDecidedInAnotherTermBreaksI16) {
  open();
  command::MarkLate late;
  late.sessions.emplace_back();
  late.sessions.back().sessionId = 1;
  late.sessions.back().silentMs = 5'000;
  command::ExpireSessions expiry;
  expiry.sessionIds = {1};
  decided_term_ = 1;
  EXPECT_EQ(broken_by([&] { commit(CommandKind::MARK_LATE, 0, 0, late); }), "");
  decided_term_ = 2;
  EXPECT_EQ(broken_by([&] { commit(CommandKind::MARK_LATE, 0, 0, late); }), "I16");
  EXPECT_EQ(broken_by([&] { commit(CommandKind::EXPIRE_SESSIONS, 0, 0, expiry); }), "I16");
  decided_term_ = 1;
  EXPECT_EQ(broken_by([&] { commit(CommandKind::EXPIRE_SESSIONS, 0, 0, expiry); }), "");
}

TEST_F(HistoryTest, AnAcquireThatComesAfterItsCancelIsSound) {
  open();
  cancel(2, 1);
  EXPECT_EQ(world_.marks().of(Mark::kCancelCameFirst), 0u);
  EXPECT_EQ(broken_by([&] { acquire(1); }), "");
  EXPECT_EQ(world_.marks().of(Mark::kCancelCameFirst), 1u);
}

TEST_F(HistoryTest, AnAcquireThatOnlyItsCancelNamesWasNotApplied) {
  open();
  cancel(2, 1);
  EXPECT_EQ(broken_by([&] { history_.forbid(SessionId(1), Sequence(1)); }), "");
  EXPECT_EQ(broken_by([&] { history_.forbid(SessionId(1), Sequence(2)); }), "I18");
}

}  // namespace
}  // namespace holdfast::sim
