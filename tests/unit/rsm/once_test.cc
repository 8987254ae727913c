// Exactly once (PROMISE 4): a command of a session is applied once however often it is retried.
#include "tests/unit/rsm/machine_fixture.h"

namespace holdfast::rsm {
namespace {

using command::CommandKind;
using lockmgr::EndReason;
using lockmgr::RefusalReason;

class OnceTest : public MachineTest {
 protected:
  /// The acquire again, with ranges acknowledged.
  CommandResult acquire_acknowledging(SessionId session, uint64_t sequence, const std::string& path,
                                      const std::vector<std::pair<int64_t, int64_t>>& ranges) {
    return run(acknowledging(header(CommandKind::ACQUIRE, session, sequence), ranges),
               acquire_of(path, 0));
  }

  /// A cancel by a client that counts the acquire among the results it has.
  CommandResult cancel_acknowledging(SessionId session, uint64_t sequence, const std::string& path,
                                     int64_t acquire_sequence) {
    command::CancelAcquire body;
    body.path = path;
    body.acquireSequence = acquire_sequence;
    return run(acknowledging(header(CommandKind::CANCEL_ACQUIRE, session, sequence),
                             {{acquire_sequence, acquire_sequence}}),
               body);
  }

  static command::CommandHeader acknowledging(
      command::CommandHeader head, const std::vector<std::pair<int64_t, int64_t>>& ranges) {
    for (const auto& [first, last] : ranges) {
      head.acknowledged.emplace_back();
      head.acknowledged.back().first = first;
      head.acknowledged.back().last = last;
    }
    return head;
  }

  static command::AcquireAll both(const std::string& one, const std::string& other) {
    command::AcquireAll all;
    for (const std::string& path : {one, other}) {
      all.claims.emplace_back();
      all.claims.back().path = path;
      all.claims.back().mode = api::LockMode::EXCLUSIVE;
    }
    all.waitMs = -1;
    return all;
  }
};

TEST_F(OnceTest, ARetriedAcquireAnswersTheSameGrantAndGrantsNothingTwice) {
  const SessionId a = opened("a");
  const CommandResult first = acquire(a, 1, "/x");
  EXPECT_THAT(first, IsGranted());
  const CommandResult again = acquire(a, 1, "/x");
  EXPECT_EQ(again, first);
  EXPECT_TRUE(effects(EffectKind::kGranted).empty());
  EXPECT_EQ(machine_.locks().holder_count(), 1u);
}

TEST_F(OnceTest, ARetryWithAnotherPathIsRefusedAndTheResultKept) {
  const SessionId a = opened("a");
  const CommandResult first = acquire(a, 1, "/x");
  EXPECT_THAT(acquire(a, 1, "/y"), IsError(ErrorCode::kBadArgument, "sequence 1"));
  EXPECT_EQ(machine_.locks().lock_count(), 1u);
  EXPECT_EQ(acquire(a, 1, "/x"), first);
}

TEST_F(OnceTest, TheSameBytesUnderAnotherKindAreOtherContent) {
  const SessionId a = opened("a");
  command::ReleaseAll all;
  all.holderId = 5;
  run(CommandKind::RELEASE_ALL, a, 1, all);
  EXPECT_THAT(run(CommandKind::RELEASE, a, 1, release_of("/x", Revision(5))),
              IsError(ErrorCode::kBadArgument, "other content"));
}

TEST_F(OnceTest, AnErrorIsRememberedLikeAnyOtherOutcome) {
  const SessionId a = opened("a");
  command::SetHolderValue body;
  body.path = "/x";
  body.holderId = 3;
  const CommandResult refused = run(CommandKind::SET_HOLDER_VALUE, a, 1, body);
  EXPECT_THAT(refused, IsError(ErrorCode::kNotHeld, "/x"));
  EXPECT_EQ(run(CommandKind::SET_HOLDER_VALUE, a, 1, body), refused);
  EXPECT_EQ(machine_.sessions().find(a)->window.result_count(), 1u);
}

TEST_F(OnceTest, AnAcknowledgedSequenceIsForgottenAndNeverAppliedAgain) {
  const SessionId a = opened("a");
  const Revision holder = acquire(a, 1, "/x").id;
  release(a, 2, "/x", holder);
  EXPECT_THAT(acquire_acknowledging(a, 3, "/y", {{1, 2}}), IsGranted());
  EXPECT_EQ(machine_.sessions().find(a)->window.kept().size(), 1u);
  EXPECT_THAT(acquire(a, 1, "/x"), IsError(ErrorCode::kResultForgotten, "sequence 1"));
  EXPECT_EQ(holder_count("/x"), 0u);
}

TEST_F(OnceTest, AnAcknowledgedSequenceThatNeverCameIsForgottenToo) {
  const SessionId a = opened("a");
  acquire_acknowledging(a, 10, "/x", {{4, 6}});
  EXPECT_THAT(acquire(a, 5, "/y"), IsError(ErrorCode::kResultForgotten, "sequence 5"));
  EXPECT_THAT(acquire(a, 7, "/y"), IsGranted());
}

TEST_F(OnceTest, AcknowledgingAWaitingAcquireSkipsIt) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const Revision held = acquire(a, 1, "/x").id;
  EXPECT_THAT(acquire(b, 5, "/x"), IsWaiting());
  acquire_acknowledging(b, 9, "/y", {{1, 8}});
  EXPECT_THAT(acquire(b, 5, "/x"), IsWaiting());
  release(a, 2, "/x", held);
  EXPECT_THAT(acquire(b, 5, "/x"), IsGranted());
  EXPECT_THAT(acquire(b, 4, "/z"), IsError(ErrorCode::kResultForgotten, "sequence 4"));
  acquire_acknowledging(b, 10, "/y", {{5, 5}});
  EXPECT_THAT(acquire(b, 5, "/x"), IsError(ErrorCode::kResultForgotten, "sequence 5"));
}

TEST_F(OnceTest, ARetryInTheEntryThatEndsItsWaitIsToldSo) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  EXPECT_THAT(acquire(b, 1, "/x", 100), IsWaiting());
  now_ms_ += 200;
  EXPECT_THAT(acquire(b, 1, "/x", 100), IsNotGranted(RefusalReason::kTimedOut));
}

TEST_F(OnceTest, ACancelInTheEntryThatEndsTheWaitIsToldThatItTimedOut) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  EXPECT_THAT(acquire(b, 1, "/x", 100), IsWaiting());
  now_ms_ += 200;
  EXPECT_THAT(cancel(b, 2, "/x", 1), IsNotGranted(RefusalReason::kTimedOut));
  EXPECT_THAT(acquire(b, 1, "/x", 100), IsNotGranted(RefusalReason::kTimedOut));
}

TEST_F(OnceTest, ARetryInTheEntryThatEndsItsTenureIsToldSo) {
  const SessionId a = opened("a");
  EXPECT_THAT(acquire(a, 1, "/x"), IsGranted());
  command::RevokeLock revoke;
  revoke.path = "/x";
  revoke.noticeMs = 50;
  run(header(CommandKind::REVOKE_LOCK), revoke);
  command::AcknowledgeNotices noted;
  noted.noticeIds.push_back(static_cast<int64_t>(machine_.applied().value));
  run(header(CommandKind::ACKNOWLEDGE_NOTICES, a), noted);
  now_ms_ += 60;
  const CommandResult again = acquire(a, 1, "/x");
  EXPECT_EQ(again.status, number(AcquireStatus::kNotHeld));
  EXPECT_EQ(again.end_reason, static_cast<uint8_t>(EndReason::kRevoked));
}

TEST_F(OnceTest, CommandsMayArriveInAnyOrder) {
  const SessionId a = opened("a");
  EXPECT_THAT(acquire(a, 900, "/x"), IsGranted());
  EXPECT_THAT(acquire(a, 3, "/y"), IsGranted());
  EXPECT_THAT(acquire(a, 400, "/z"), IsGranted());
}

TEST_F(OnceTest, AFullWindowRefusesWithoutRecordingSoThatTheCommandMayBeSentAgain) {
  change({{"result_window", 16}});
  const SessionId a = opened("a");
  for (uint64_t i = 1; i <= 16; ++i) EXPECT_THAT(acquire(a, i, path(i)), IsGranted());
  EXPECT_THAT(acquire(a, 17, "/late"), IsError(ErrorCode::kLimitExceeded, "result_window = 16"));
  EXPECT_FALSE(machine_.lookup(a, Sequence(17)));
  EXPECT_THAT(acquire_acknowledging(a, 17, "/late", {{1, 1}}), IsGranted());
}

TEST_F(OnceTest, ARetryOfAKeptResultIsAnsweredWhileTheWindowIsFull) {
  change({{"result_window", 16}});
  const SessionId a = opened("a");
  for (uint64_t i = 1; i <= 16; ++i) acquire(a, i, path(i));
  EXPECT_THAT(acquire(a, 3, path(3)), IsGranted());
}

TEST_F(OnceTest, WaitingAcquiresDoNotCountAgainstTheWindow) {
  change({{"result_window", 16}});
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  for (uint64_t i = 1; i <= 15; ++i) acquire(a, i, path(i));
  for (uint64_t i = 1; i <= 15; ++i) EXPECT_THAT(acquire(b, i, path(i)), IsWaiting());
  for (uint64_t i = 16; i <= 31; ++i) EXPECT_THAT(acquire(b, i, path(i)), IsGranted());
  EXPECT_THAT(acquire(b, 40, "/more"), IsError(ErrorCode::kLimitExceeded, "window"));
}

TEST_F(OnceTest, TheWindowIsBoundedInBytesToo) {
  change({{"result_window_bytes", 16'384}});
  const SessionId a = opened("a");
  command::SetHolderValue body;
  body.path = "/" + std::string(70, 'p');
  body.holderId = 3;
  uint64_t sequence = 0;
  CommandResult result;
  do {
    result = run(CommandKind::SET_HOLDER_VALUE, a, ++sequence, body);
  } while (result.code == ErrorCode::kNotHeld);
  EXPECT_THAT(result, IsError(ErrorCode::kLimitExceeded, "result_window_bytes = 16384"));
  EXPECT_LT(sequence, 130u);
  EXPECT_GT(sequence, 60u);
}

TEST_F(OnceTest, AGrantThatComesLaterIsWhatARetryAnswers) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const Revision held = acquire(a, 1, "/x").id;
  const CommandResult waiting = acquire(b, 1, "/x");
  EXPECT_THAT(waiting, IsWaiting());
  EXPECT_EQ(waiting.position, 1u);
  release(a, 2, "/x", held);
  const std::vector<Effect> granted = effects(EffectKind::kGranted);
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(granted[0].session, b);
  EXPECT_EQ(granted[0].token, index_);
  const CommandResult again = acquire(b, 1, "/x");
  EXPECT_THAT(again, IsGranted());
  EXPECT_EQ(again.id, waiting.id);
  EXPECT_EQ(again.token, granted[0].token);
}

TEST_F(OnceTest, ARetriedAcquireAfterItsReleaseAnswersNotHeldWithTokenAndReason) {
  const SessionId a = opened("a");
  const CommandResult held = acquire(a, 1, "/x");
  release(a, 2, "/x", held.id);
  const CommandResult again = acquire(a, 1, "/x");
  EXPECT_THAT(again, IsNotHeld(EndReason::kReleased));
  EXPECT_EQ(again.token, held.token);
  EXPECT_EQ(again.id, held.id);
}

TEST_F(OnceTest, ARetriedAcquireAfterARevocationNamesIt) {
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  revoke_lock("/x", 0, true);
  EXPECT_THAT(acquire(a, 1, "/x"), IsNotHeld(EndReason::kRevoked));
}

TEST_F(OnceTest, AnAcquireAllIsNotHeldOnceTheFirstOfItsLocksIsLost) {
  const SessionId a = opened("a");
  const command::AcquireAll all = both("/x", "/y");
  const CommandResult held = run(CommandKind::ACQUIRE_ALL, a, 1, all);
  EXPECT_THAT(held, IsGranted());
  EXPECT_EQ(effects(EffectKind::kGranted).size(), 2u);
  revoke_lock("/y", 0, true);
  EXPECT_THAT(cancel(a, 2, "/x", 1), IsNotHeld(EndReason::kRevoked));
  const CommandResult cancelled = cancel(a, 3, "/y", 1);
  EXPECT_THAT(cancelled, IsNotHeld(EndReason::kRevoked)) << "the path named is not held any more";
  EXPECT_EQ(cancelled.id, held.id) << "names what is left, to be released";
  release(a, 4, "/x", held.id);
  EXPECT_THAT(run(CommandKind::ACQUIRE_ALL, a, 1, all), IsNotHeld(EndReason::kRevoked));
}

TEST_F(OnceTest, ARetriedReleaseAnswersReleasedThoughAnotherHoldsTheLockNow) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const Revision held = acquire(a, 1, "/x").id;
  acquire(b, 1, "/x");
  const CommandResult released = release(a, 2, "/x", held);
  EXPECT_EQ(released.status, static_cast<int>(lockmgr::ReleaseStatus::kReleased));
  EXPECT_EQ(release(a, 2, "/x", held), released);
  EXPECT_EQ(this->holder("/x"), b);
}

TEST_F(OnceTest, CancellingAnUnseenAcquireMakesItsLateCopyChangeNothing) {
  const SessionId a = opened("a");
  EXPECT_THAT(cancel(a, 2, "/x", 1), IsNotGranted(RefusalReason::kCancelled));
  EXPECT_THAT(acquire(a, 1, "/x"), IsNotGranted(RefusalReason::kCancelled));
  EXPECT_EQ(machine_.locks().lock_count(), 0u);
}

TEST_F(OnceTest, CancellingAWaitTakesThePlaceAndIsTheAcquiresResult) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  EXPECT_THAT(cancel(b, 2, "/x", 1), IsNotGranted(RefusalReason::kCancelled));
  ASSERT_EQ(effects(EffectKind::kWaitEnded).size(), 1u);
  EXPECT_THAT(acquire(b, 1, "/x"), IsNotGranted(RefusalReason::kCancelled));
  EXPECT_EQ(machine_.locks().waiter_count(), 0u);
}

TEST_F(OnceTest, CancellingAGrantedAcquireAnswersTheGrantAndLeavesItHeld) {
  const SessionId a = opened("a");
  const CommandResult held = acquire(a, 1, "/x");
  const CommandResult cancelled = cancel(a, 2, "/x", 1);
  EXPECT_THAT(cancelled, IsGranted());
  EXPECT_EQ(cancelled.token, held.token);
  EXPECT_EQ(holder("/x"), a);
}

TEST_F(OnceTest, CancellingAFinishedAcquireAnswersItsOwnResult) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  EXPECT_THAT(acquire(b, 1, "/x", 0), IsNotGranted(RefusalReason::kBusy));
  EXPECT_THAT(cancel(b, 2, "/x", 1), IsNotGranted(RefusalReason::kBusy));
}

TEST_F(OnceTest, OnlyAnAcquireCanBeCancelledAndNotTheCancelItself) {
  const SessionId a = opened("a");
  release(a, 1, "/x", Revision(4));
  EXPECT_THAT(cancel(a, 2, "/x", 1), IsError(ErrorCode::kBadArgument, "no acquire"));
  EXPECT_THAT(cancel(a, 3, "/x", 3), IsError(ErrorCode::kBadArgument, "itself"));
}

// What time does in an entry comes before the entry's own command, which must see it done.
TEST_F(OnceTest, ARetryInTheEntryThatEndsItsWaitAnswersTheEnd) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  EXPECT_THAT(acquire(b, 1, "/x", 300), IsWaiting());
  now_ms_ += 300;
  const CommandResult again = acquire(b, 1, "/x", 300);
  EXPECT_THAT(again, IsNotGranted(RefusalReason::kTimedOut));
  EXPECT_EQ(acquire(b, 1, "/x", 300), again);
}

TEST_F(OnceTest, ACancelInTheEntryThatEndsTheWaitAnswersTheEnd) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  EXPECT_THAT(acquire(b, 1, "/x", 300), IsWaiting());
  now_ms_ += 300;
  EXPECT_THAT(cancel(b, 2, "/x", 1), IsNotGranted(RefusalReason::kTimedOut));
  EXPECT_THAT(acquire(b, 1, "/x", 300), IsNotGranted(RefusalReason::kTimedOut));
}

TEST_F(OnceTest, ARetryInTheEntryThatRevokesItsLockAnswersTheLoss) {
  const SessionId a = opened("a");
  EXPECT_THAT(acquire(a, 1, "/x"), IsGranted());
  const Revision notice = revoke_lock("/x", 200).id;
  acknowledge_notice(a, notice);
  now_ms_ += 200;
  EXPECT_THAT(acquire(a, 1, "/x"), IsNotHeld(EndReason::kRevoked));
}

TEST_F(OnceTest, ACancelInTheEntryThatRevokesItsLockAnswersTheLoss) {
  const SessionId a = opened("a");
  const CommandResult held = acquire(a, 1, "/x");
  acknowledge_notice(a, revoke_lock("/x", 200).id);
  now_ms_ += 200;
  const CommandResult cancelled = cancel(a, 2, "/x", 1);
  EXPECT_THAT(cancelled, IsNotHeld(EndReason::kRevoked));
  EXPECT_EQ(cancelled.id, held.id);
  EXPECT_EQ(cancel(a, 2, "/x", 1), cancelled);
}

TEST_F(OnceTest, ACancelInTheEntryThatRevokesOneOfItsLocksAnswersTheLossWhicheverItNames) {
  for (const uint64_t named : {1, 2}) {
    const SessionId a = opened("a" + path(named));
    EXPECT_THAT(run(CommandKind::ACQUIRE_ALL, a, 1, both(path(1), path(2))), IsGranted());
    acknowledge_notice(a, revoke_lock(path(1), 200).id);
    now_ms_ += 200;
    EXPECT_THAT(cancel(a, 2, path(named), 1), IsNotHeld(EndReason::kRevoked));
    close(a);
  }
}

// A client that acknowledges all below its command counts in an acquire that was told to wait.
TEST_F(OnceTest, ACancelThatAcknowledgesItsAcquireIsToldTheGrantThatCameFirst) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  const CommandResult first = acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  release(a, 2, "/x", first.id);
  const Revision granted{index_.value};
  const CommandResult cancelled = cancel_acknowledging(b, 2, "/x", 1);
  EXPECT_THAT(cancelled, IsGranted());
  EXPECT_EQ(cancelled.token, granted);
  release(b, 3, "/x", cancelled.id);
  EXPECT_EQ(holder_count("/x"), 0u) << "the cancel named the holder";
  EXPECT_THAT(cancel(b, 4, "/x", 1), IsError(ErrorCode::kResultForgotten, "sequence 1"));
}

TEST_F(OnceTest, ACancelThatAcknowledgesItsAcquireAllIsToldThatOneOfItsLocksIsLost) {
  const SessionId a = opened("a");
  const CommandResult held = run(CommandKind::ACQUIRE_ALL, a, 1, both("/x", "/y"));
  EXPECT_THAT(held, IsGranted());
  revoke_lock("/y", 0, true);
  const CommandResult cancelled = cancel_acknowledging(a, 2, "/x", 1);
  EXPECT_THAT(cancelled, IsNotHeld(EndReason::kRevoked));
  EXPECT_EQ(cancelled.id, held.id) << "names what is left, to be released";
  EXPECT_EQ(cancelled.token, held.token);
}

TEST_F(OnceTest, ACancelThatAcknowledgesItsAcquireTakesThePlaceOfOneThatWaits) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  EXPECT_THAT(cancel_acknowledging(b, 2, "/x", 1), IsNotGranted(RefusalReason::kCancelled));
}

TEST_F(OnceTest, BelowItsLevelACancelForgetsAnAcknowledgedGrant) {
  level_ = kLevelOfAcknowledgedCancels - 1;
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  EXPECT_THAT(cancel_acknowledging(a, 2, "/x", 1),
              IsError(ErrorCode::kResultForgotten, "sequence 1"));
}

TEST_F(OnceTest, ACancelOfHeldLocksNamesOneOfThem) {
  const SessionId a = opened("a");
  EXPECT_THAT(run(CommandKind::ACQUIRE_ALL, a, 1, both("/x", "/y")), IsGranted());
  EXPECT_THAT(cancel(a, 2, "/z", 1), IsError(ErrorCode::kBadArgument, "not one of /z but of /x"));
  EXPECT_THAT(cancel(a, 3, "/y", 1), IsGranted());
}

// A replica of an older program answers so as long as its level is in force.
TEST_F(OnceTest, BelowItsLevelACancelDoesNotSeeWhatIsLostInItsEntry) {
  level_ = kLevelOfLateCancels - 1;
  const SessionId a = opened("a");
  acquire(a, 1, "/x");
  acknowledge_notice(a, revoke_lock("/x", 200).id);
  now_ms_ += 200;
  EXPECT_THAT(cancel(a, 2, "/x", 1), IsGranted());
  const SessionId b = opened("b");
  acquire(a, 3, "/x");
  acquire(b, 1, "/x", 300);
  now_ms_ += 300;
  const CommandResult cancelled = cancel(b, 2, "/x", 1);
  EXPECT_THAT(cancelled, IsNotGranted(RefusalReason::kTimedOut));
  EXPECT_EQ(cancelled.id, Revision{});
}

TEST_F(OnceTest, TheSequencesOfOneSessionMeanNothingToAnother) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  EXPECT_THAT(acquire(a, 1, "/x"), IsGranted());
  EXPECT_THAT(acquire(b, 1, "/y"), IsGranted());
}

TEST_F(OnceTest, BadSequencesAndRangesAreRefusedByName) {
  const SessionId a = opened("a");
  EXPECT_THAT(acquire(a, 0, "/x"), IsError(ErrorCode::kBadArgument, "sequence"));
  command::CommandHeader head = header(CommandKind::ACQUIRE, a, 1);
  head.sequence = -4;
  EXPECT_THAT(run(head, acquire_of("/x")), IsError(ErrorCode::kBadArgument, "-4"));
  EXPECT_THAT(acquire_acknowledging(a, 1, "/x", {{5, 3}}),
              IsError(ErrorCode::kBadArgument, "5 to 3"));
  EXPECT_THAT(acquire_acknowledging(a, 1, "/x", {{0, 3}}),
              IsError(ErrorCode::kBadArgument, "0 to 3"));
  const std::vector<std::pair<int64_t, int64_t>> many(1'025, {1, 1});
  EXPECT_THAT(acquire_acknowledging(a, 2, "/x", many), IsError(ErrorCode::kBadArgument, "1025"));
  EXPECT_EQ(machine_.locks().lock_count(), 0u);
}

TEST_F(OnceTest, LookupTellsAnEdgeWhatARetryWouldAnswer) {
  const SessionId a = opened("a");
  const SessionId b = opened("b");
  acquire(a, 1, "/x");
  acquire(b, 1, "/x");
  EXPECT_THAT(*machine_.lookup(a, Sequence(1)), IsGranted());
  EXPECT_THAT(*machine_.lookup(b, Sequence(1)), IsWaiting());
  EXPECT_EQ(machine_.lookup(b, Sequence(1))->position, 1u);
  EXPECT_FALSE(machine_.lookup(b, Sequence(2)));
  EXPECT_FALSE(machine_.lookup(SessionId(99), Sequence(1)));
}

}  // namespace
}  // namespace holdfast::rsm
