// Sessions in the state machine: open, late marks, expiry, ends, revocation, settings.
#include "tests/unit/rsm/machine_fixture.h"

namespace holdfast::rsm {
namespace {

using command::CommandKind;
using lockmgr::EndReason;
using lockmgr::RefusalReason;

class SessionsTest : public MachineTest {
 protected:
  std::vector<lockmgr::Notice> notices(SessionId session) const {
    std::vector<lockmgr::Notice> found;
    machine_.notices_of(session, found);
    return found;
  }
  bool live(SessionId session) const {
    return machine_.presence(session) == SessionPresence::kLive;
  }
};

TEST_F(SessionsTest, OpeningAnswersIdAndTtlAndARepeatFindsTheSameSession) {
  const CommandResult first = open("a", 12'000);
  EXPECT_EQ(first.id, index_);
  EXPECT_EQ(first.ttl_ms, 12'000);
  ASSERT_EQ(effects(EffectKind::kSessionOpened).size(), 1u);
  EXPECT_EQ(effects(EffectKind::kSessionOpened)[0].ttl_ms, 12'000);
  const CommandResult again = open("a", 1);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.ttl_ms, 12'000);
  EXPECT_TRUE(effects(EffectKind::kSessionOpened).empty());
}

TEST_F(SessionsTest, TheReplyNamesTheServerThatTookTheCall) {
  opened("a");
  const Effect reply = effects(EffectKind::kReply).at(0);
  EXPECT_EQ(reply.origin_node, NodeId(kOriginNode));
  EXPECT_EQ(reply.origin_request, static_cast<uint64_t>(request_));
  EXPECT_EQ(reply.revision, index_);
}

TEST_F(SessionsTest, OpeningOutsideTheLimitsNamesValueAndLimit) {
  EXPECT_THAT(open("a", 3'999),
              IsError(ErrorCode::kBadArgument, "ttlMs is 3999, allowed are 4000"));
  EXPECT_THAT(open("a", 86'400'001), IsError(ErrorCode::kBadArgument, "86400001"));
  EXPECT_THAT(open(std::string(257, 'n')), IsError(ErrorCode::kTooLarge, "257 bytes"));
  EXPECT_THAT(open("bad\xff name"), IsError(ErrorCode::kBadArgument, "UTF-8"));
  command::OpenSession body;
  body.ttlMs = 10'000;
  body.secretHash = "short";
  EXPECT_THAT(run(header(CommandKind::OPEN_SESSION), body),
              IsError(ErrorCode::kBadArgument, "5 bytes, not 32"));
  EXPECT_EQ(machine_.sessions().size(), 0u);
}

TEST_F(SessionsTest, TheNumberOfSessionsIsLimitedButNotTheRepeatOfOne) {
  change({{"sessions_max", 1}});
  opened("a");
  EXPECT_THAT(open("b"), IsError(ErrorCode::kLimitExceeded, "sessions_max = 1"));
  EXPECT_EQ(open("a").code, ErrorCode::kOk);
}

TEST_F(SessionsTest, PresenceTellsEndedFromNotYet) {
  const SessionId a = opened("a");
  EXPECT_TRUE(live(a));
  EXPECT_EQ(machine_.presence(SessionId(index_.value + 1)), SessionPresence::kNotYet);
  close(a);
  EXPECT_EQ(machine_.presence(a), SessionPresence::kEnded);
  machine_.skip(++index_);
  EXPECT_EQ(machine_.presence(index_), SessionPresence::kEnded);
}

TEST_F(SessionsTest, ClosingFreesLocksAndPlacesInTheSameEntryAndRefusesWhatComesAfter) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  acquire(b, 2, "/y");
  acquire(a, 2, "/y");
  close(a);
  EXPECT_EQ(effects(EffectKind::kSessionEnded).at(0).end_reason, EndReason::kSessionClosed);
  EXPECT_EQ(effects(EffectKind::kGranted).at(0).token, index_);
  EXPECT_EQ(holder("/x"), b);
  EXPECT_EQ(machine_.locks().waiter_count(), 0u);
  EXPECT_THAT(acquire(a, 3, "/z"), IsError(ErrorCode::kSessionExpired, "has ended"));
  EXPECT_THAT(close(a), IsError(ErrorCode::kSessionExpired, "has ended"));
}

TEST_F(SessionsTest, ACloseWithASequenceIsNotRememberedForTheSessionItEnded) {
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  EXPECT_EQ(run(CommandKind::CLOSE_SESSION, a, 2, command::CloseSession{}).code, ErrorCode::kOk);
  EXPECT_EQ(machine_.sessions().digest(), Digest{});
  EXPECT_EQ(machine_.check_invariants(), "");
}

TEST_F(SessionsTest, AnExpiryDecidedInAnotherTermIsVoid) {
  const SessionId a = opened("a");
  command::ExpireSessions body;
  body.sessionIds = {static_cast<int64_t>(a.value)};
  command::CommandHeader head = header(CommandKind::EXPIRE_SESSIONS);
  head.decidedTerm = static_cast<int64_t>(term_.value) - 1;
  EXPECT_EQ(run(head, body).count, 0u);
  EXPECT_TRUE(live(a));
  EXPECT_EQ(expire({a}).count, 1u);
  EXPECT_FALSE(live(a));
  EXPECT_EQ(effects(EffectKind::kSessionEnded).at(0).end_reason, EndReason::kSessionExpired);
}

TEST_F(SessionsTest, ALateMarkDecidedInAnotherTermIsVoid) {
  const SessionId a = opened("a");
  command::MarkLate body;
  body.sessions.emplace_back();
  body.sessions.back().sessionId = static_cast<int64_t>(a.value);
  body.sessions.back().silentMs = 5'000;
  command::CommandHeader head = header(CommandKind::MARK_LATE);
  head.decidedTerm = 1;
  run(head, body);
  EXPECT_FALSE(machine_.sessions().find(a)->late);
  EXPECT_TRUE(effects(EffectKind::kLateMarked).empty());
}

TEST_F(SessionsTest, SilenceIsRecordedUntilACommittedRenewal) {
  const SessionId a = opened("a");
  mark_late(a, 5'000);
  EXPECT_EQ(effects(EffectKind::kLateMarked).at(0).silent_ms, 5'000);
  EXPECT_TRUE(machine_.sessions().find(a)->late);
  EXPECT_EQ(machine_.sessions().find(a)->silent_ms, 5'000);
  renew_late(a);
  EXPECT_EQ(effects(EffectKind::kLateRenewed).at(0).session, a);
  EXPECT_FALSE(machine_.sessions().find(a)->late);
  EXPECT_EQ(machine_.sessions().find(a)->silent_ms, 0);
}

TEST_F(SessionsTest, MarksRenewalsAndExpiriesOfEndedSessionsDoNothing) {
  const SessionId a = opened("a");
  close(a);
  EXPECT_EQ(mark_late(a, 5'000).count, 0u);
  EXPECT_EQ(renew_late(a).count, 0u);
  EXPECT_EQ(expire({a, SessionId(99)}).count, 0u);
  EXPECT_TRUE(effects(EffectKind::kSessionEnded).empty());
}

TEST_F(SessionsTest, ABatchOfMoreThanAThousandSessionsIsRefused) {
  const SessionId a = opened("a");
  EXPECT_THAT(expire(std::vector<SessionId>(1'001, a)),
              IsError(ErrorCode::kBadArgument, "1001 sessions, the limit is 1000"));
  EXPECT_TRUE(live(a));
}

TEST_F(SessionsTest, NoLockPassesFromOneEndedSessionToAnotherInTheSameEntry) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const SessionId c = opened("c");
  acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  acquire(c, 1, "/x");
  expire({a, b});
  const std::vector<Effect> granted = effects(EffectKind::kGranted);
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(granted[0].session, c);
}

// ---- revocation -----------------------------------------------------------------------------

TEST_F(SessionsTest, ASessionUnderNoticeEndsNoticeMsAfterItsAcknowledgement) {
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  const CommandResult announced = revoke_session(a, 500);
  ASSERT_EQ(effects(EffectKind::kRevocationAnnounced).size(), 1u);
  EXPECT_EQ(announced.id, index_);
  ASSERT_EQ(notices(a).size(), 1u);
  EXPECT_TRUE(notices(a)[0].path.empty());
  EXPECT_EQ(notices(a)[0].reason, "maintenance");
  now_ms_ += 100;
  acknowledge_notice(a, announced.id);
  EXPECT_EQ(machine_.next_due_ms(), 0);  // the TTL's clock waits for a tick
  tick();
  EXPECT_EQ(machine_.next_due_ms(), now_ms_ + 500);
  now_ms_ += 499;
  tick();
  EXPECT_TRUE(live(a));
  now_ms_ += 1;
  tick();
  EXPECT_FALSE(live(a));
  EXPECT_EQ(effects(EffectKind::kSessionEnded).at(0).end_reason, EndReason::kSessionRevoked);
  EXPECT_EQ(effects(EffectKind::kTenureEnded).at(0).end_reason, EndReason::kSessionRevoked);
  EXPECT_FALSE(machine_.next_due_ms());
}

TEST_F(SessionsTest, WithoutAcknowledgementItEndsOneTtlAfterTheFirstTickThatFollowsItsApply) {
  const SessionId a = opened("a", 10'000);
  revoke_session(a, 3'000'000);
  now_ms_ += 5'000;
  const int64_t start = now_ms_;
  tick();
  now_ms_ = start + 9'999;
  tick();
  EXPECT_TRUE(live(a));
  now_ms_ = start + 10'000;
  tick();
  EXPECT_FALSE(live(a));
}

TEST_F(SessionsTest, ATickStampedBeforeTheAnnouncementWasAppliedStartsNoClock) {
  const SessionId a = opened("a");
  revoke_session(a, 1'000);
  command::Tick early;
  early.appliedRevision = static_cast<int64_t>(index_.value) - 1;
  run(header(CommandKind::TICK), early);
  EXPECT_EQ(machine_.next_due_ms(), 0);
  command::Tick beyond;
  beyond.appliedRevision = int64_t{1} << 52;
  run(header(CommandKind::TICK), beyond);
  EXPECT_EQ(machine_.next_due_ms(), now_ms_ + 10'000);
}

TEST_F(SessionsTest, TheFirstNoticeStandsAndForceNeedsNone) {
  const SessionId a = opened("a");
  const CommandResult first = revoke_session(a, 1'000);
  const CommandResult second = revoke_session(a, 5);
  EXPECT_EQ(second.id, first.id);
  EXPECT_TRUE(effects(EffectKind::kRevocationAnnounced).empty());
  revoke_session(a, 0, true);
  EXPECT_FALSE(live(a));
  EXPECT_THAT(revoke_session(a, 0), IsError(ErrorCode::kSessionExpired, "there is no session"));
}

TEST_F(SessionsTest, TenuresThatEndWithARevokedSessionTellTheOperatorsReason) {
  const auto note = [this] { return std::string(machine_.locks().describe("/x").tenures[0].note); };
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  revoke_session(a, 0, true);
  EXPECT_EQ(note(), "maintenance");
  const SessionId b = opened("b");
  acquire(b, 1, "/x");
  acknowledge_notice(b, revoke_session(b, 500).id);
  now_ms_ += 500;
  tick();
  EXPECT_FALSE(live(b));
  EXPECT_EQ(note(), "maintenance");
  const SessionId c = opened("c");
  acquire(c, 1, "/x");
  revoke_session(c, 500);
  close(c);
  EXPECT_EQ(note(), "maintenance") << "closed by its client because it was told to";
  const SessionId d = opened("d");
  acquire(d, 1, "/x");
  close(d);
  EXPECT_EQ(note(), "");
}

TEST_F(SessionsTest, BelowItsLevelTheyTellNone) {
  level_ = kLevelOfSessionNotes - 1;
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  revoke_session(a, 0, true);
  EXPECT_EQ(machine_.locks().describe("/x").tenures[0].note, "");
  const SessionId b = opened("b");
  acquire(b, 1, "/x");
  revoke_session(b, 500);
  close(b);
  EXPECT_EQ(machine_.locks().describe("/x").tenures[0].note, "");
}

TEST_F(SessionsTest, ARevokedLockIsAnnouncedToItsHolderAndGivenAwayAfterTheNotice) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const CommandResult held = acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  const CommandResult announced = revoke_lock("/x", 700);
  EXPECT_EQ(announced.count, 1u);
  const Effect notice = effects(EffectKind::kRevocationAnnounced).at(0);
  EXPECT_EQ(notice.session, a);
  EXPECT_EQ(notice.holder_id, held.id);
  EXPECT_EQ(notice.notice_id, announced.id);
  EXPECT_EQ(notice.result.message, "maintenance");
  ASSERT_EQ(notices(a).size(), 1u);
  EXPECT_EQ(notices(a)[0].path, "/x");
  acknowledge_notice(a, announced.id);
  EXPECT_TRUE(notices(a)[0].acknowledged);
  tick();
  now_ms_ += 700;
  tick();
  EXPECT_EQ(holder("/x"), b);
  EXPECT_EQ(effects(EffectKind::kTenureEnded).at(0).end_reason, EndReason::kRevoked);
  EXPECT_TRUE(notices(a).empty());
}

TEST_F(SessionsTest, RevokingALockNobodyHoldsConcernsNobody) {
  EXPECT_EQ(revoke_lock("/x", 0).count, 0u);
  EXPECT_EQ(reply().id, Revision{});
  EXPECT_THAT(revoke_lock("/x", -1), IsError(ErrorCode::kBadArgument, "noticeMs is -1"));
  EXPECT_THAT(revoke_lock("/x", 3'600'001), IsError(ErrorCode::kBadArgument, "3600000"));
}

TEST_F(SessionsTest, AnOperatorsCommandInASessionIsRememberedToo) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(b, 1, "/x");
  command::RevokeLock body;
  body.path = "/x";
  body.force = true;
  const CommandResult first = run(CommandKind::REVOKE_LOCK, a, 1, body);
  EXPECT_EQ(first.count, 1u);
  acquire(b, 2, "/x");
  EXPECT_EQ(run(CommandKind::REVOKE_LOCK, a, 1, body), first);
  EXPECT_EQ(holder("/x"), b);
}

// ---- time -----------------------------------------------------------------------------------

TEST_F(SessionsTest, ClusterTimeNeverGoesBack) {
  now_ms_ = 5'000;
  tick();
  now_ms_ = 3'000;
  tick();
  EXPECT_EQ(machine_.cluster_time_ms(), 5'000);
}

TEST_F(SessionsTest, ATimedWaitEndsBeforeTheCommandOfTheSameEntryIsRun) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const Revision held = acquire(a, 1, "/x").id;
  acquire(b, 1, "/x", 300);
  EXPECT_EQ(machine_.next_due_ms(), now_ms_ + 300);
  now_ms_ += 300;
  release(a, 2, "/x", held);
  EXPECT_EQ(effects(EffectKind::kWaitEnded).at(0).result.reason,
            static_cast<int>(RefusalReason::kTimedOut));
  EXPECT_TRUE(effects(EffectKind::kGranted).empty());
  EXPECT_THAT(acquire(b, 1, "/x", 300), IsNotGranted(RefusalReason::kTimedOut));
}

// ---- settings -------------------------------------------------------------------------------

TEST_F(SessionsTest, SettingsChangeAllOrNone) {
  EXPECT_THAT(change({{"path_depth_max", 3}, {"no_such", 1}}),
              IsError(ErrorCode::kBadArgument, "no_such"));
  EXPECT_EQ(machine_.settings().get(SettingId::kPathDepthMax), 64);
  EXPECT_THAT(change({{"path_depth_max", 3}, {"sessions_max", 0}}),
              IsError(ErrorCode::kBadArgument, "allowed are 1 to"));
  EXPECT_EQ(machine_.settings().get(SettingId::kPathDepthMax), 64);
  EXPECT_THAT(change({{"session_ttl_ms_min", 90'000}, {"session_ttl_ms_max", 80'000}}),
              IsError(ErrorCode::kBadArgument, "above session_ttl_ms_max"));
  EXPECT_EQ(change({{"path_depth_max", 3}, {"session_ttl_ms_min", 100}}).code, ErrorCode::kOk);
  EXPECT_EQ(effects(EffectKind::kSettingsChanged).size(), 1u);
  EXPECT_EQ(machine_.settings().get(SettingId::kPathDepthMax), 3);
  EXPECT_EQ(open("a", 150).code, ErrorCode::kOk);
}

TEST_F(SessionsTest, ChangedLimitsAreJudgedFromTheNextEntryOn) {
  change({{"path_depth_max", 2}, {"waiters_per_lock_max", 1}, {"owned_per_session_max", 2}});
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  EXPECT_THAT(acquire(a, 1, "/1/2/3"), IsError(ErrorCode::kTooLarge, "3 segments"));
  acquire(a, 2, "/x");
  EXPECT_THAT(acquire(b, 1, "/x"), IsWaiting());
  EXPECT_THAT(acquire(b, 2, "/x"), IsError(ErrorCode::kLimitExceeded, "1"));
  acquire(a, 3, "/y");
  EXPECT_THAT(acquire(a, 4, "/z"), IsError(ErrorCode::kLimitExceeded, "2"));
}

TEST_F(SessionsTest, BadArgumentsOfAnAcquireNameTheField) {
  const SessionId a = opened("a");
  uint64_t sequence = 0;
  const auto with = [&](auto&& alter) {
    command::Acquire body = acquire_of("/x");
    alter(body);
    return run(CommandKind::ACQUIRE, a, ++sequence, body);
  };
  EXPECT_THAT(with([](auto& b) { b.waitMs = -2; }), IsError(ErrorCode::kBadArgument, "waitMs"));
  EXPECT_THAT(with([](auto& b) { b.lockDelayMs = 600'001; }),
              IsError(ErrorCode::kBadArgument, "lockDelayMs is 600001"));
  EXPECT_THAT(with([](auto& b) { b.maxQueue = -1; }), IsError(ErrorCode::kBadArgument, "maxQueue"));
  EXPECT_THAT(with([](auto& b) { b.value.assign(4'097, 'v'); }),
              IsError(ErrorCode::kTooLarge, "4097"));
  EXPECT_THAT(with([](auto& b) { b.owner.assign(65, 'o'); }), IsError(ErrorCode::kTooLarge, "65"));
  EXPECT_THAT(with([](auto& b) { b.claim.mode = api::LockMode::UNSPECIFIED; }),
              IsError(ErrorCode::kUnsupported, "lock mode 0"));
  EXPECT_THAT(with([](auto& b) {
                b.claim.mode = api::LockMode::SEMAPHORE;
                b.claim.permits = -1;
              }),
              IsError(ErrorCode::kBadArgument, "permits is -1"));
  EXPECT_THAT(with([](auto& b) { b.claim.path = "x"; }),
              IsError(ErrorCode::kBadArgument, "does not begin with '/'"));
  EXPECT_EQ(machine_.locks().lock_count(), 0u);
}

}  // namespace
}  // namespace holdfast::rsm
