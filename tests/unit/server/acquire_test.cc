// Acquires from their call to their answer: granted, held while the place waits, answered WAITING
// in time, cancelled, repeated on another server.
#include "lockmgr/lock_table.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::AcquireResult;
using api::AcquireStatus;
using api::ErrorCode;
using api::RefusalReason;

class AcquireTest : public OneServerTest {
 protected:
  AcquireTest() {
    const Call call = server.acquire(holder.next(), acquire_of("/job"));
    cluster.settle();
    holder_id = call.result<AcquireResult>().holderId;
  }
  Call wait(int64_t sequence, int64_t wait_ms = -1, int64_t deadline_ms = 0) {
    api::RequestContext context = waiter.context(sequence);
    context.deadlineMs = deadline_ms;
    const Call call = server.acquire(context, acquire_of("/job", wait_ms));
    cluster.settle();
    return call;
  }
  Call cancel(int64_t sequence, int64_t acquire_sequence) {
    api::CancelAcquireRequest request;
    request.path = "/job";
    request.acquireSequence = acquire_sequence;
    const Call call = server.ask(&Engine::cancel_acquire, waiter.context(sequence), request);
    cluster.settle();
    return call;
  }
  /// Keeps a session alive meanwhile.
  void advance(Duration time) {
    for (Duration passed{0}; passed < time; passed += 1s) {
      server.keep_alive(holder.context());
      server.keep_alive(waiter.context());
      cluster.advance(std::min<Duration>(1s, time - passed));
    }
  }

  Client holder = cluster.client(1, "holder", 40'000);
  Client waiter = cluster.client(1, "waiter", 40'000);
  int64_t holder_id = 0;
};

TEST_F(AcquireTest, ATryIsAnsweredAtOnceAndSaysWhoHolds) {
  const auto result = wait(1, 0).result<AcquireResult>();
  EXPECT_EQ(result.status, AcquireStatus::NOT_GRANTED);
  EXPECT_EQ(result.reason, RefusalReason::BUSY);
  ASSERT_EQ(result.holders.size(), 1u);
  EXPECT_EQ(result.holders[0].holderId, holder_id);
  EXPECT_EQ(result.holders[0].sessionName, "holder");
}

TEST_F(AcquireTest, AnEnqueueIsAnsweredAtOnceWithItsPlace) {
  const Call call = server.acquire(waiter.next(), acquire_of("/job", -1, /*enqueue=*/true));
  cluster.settle();
  const auto result = call.result<AcquireResult>();
  EXPECT_EQ(result.status, AcquireStatus::WAITING);
  EXPECT_EQ(result.position, 1);
  EXPECT_EQ(result.holders.size(), 1u);
  EXPECT_EQ(server.engine().parked_calls(), 0u);
}

TEST_F(AcquireTest, AHeldCallIsAnsweredByTheGrant) {
  const Call call = wait(1);
  EXPECT_FALSE(call.answered());
  EXPECT_EQ(server.engine().parked_calls(), 1u);
  server.release(holder.next(), "/job", holder_id);
  cluster.settle();
  const auto result = call.result<AcquireResult>();
  EXPECT_EQ(result.status, AcquireStatus::GRANTED);
  EXPECT_GT(result.token, result.holderId) << "granted by a later entry than its own";
  EXPECT_EQ(result.header.sequence, 1);
  EXPECT_EQ(server.engine().parked_calls(), 0u);
}

TEST_F(AcquireTest, AHeldCallIsAnsweredWaitingAfterAQuarterOfTheTtl) {
  const Call call = wait(1);
  advance(9'900ms);
  EXPECT_FALSE(call.answered());
  advance(200ms);
  EXPECT_EQ(call.result<AcquireResult>().status, AcquireStatus::WAITING);
  EXPECT_EQ(call.result<AcquireResult>().position, 1);
  EXPECT_EQ(server.engine().parked_calls(), 0u);
  server.release(holder.next(), "/job", holder_id);
  cluster.settle();
  EXPECT_EQ(wait(1).result<AcquireResult>().status, AcquireStatus::GRANTED)
      << "the place had stayed";
}

TEST_F(AcquireTest, AHeldCallIsAnsweredWaitingAtItsOwnDeadlineIfThatIsEarlier) {
  const Call call = wait(1, -1, 2'000);
  advance(1'900ms);
  EXPECT_FALSE(call.answered());
  advance(150ms);
  EXPECT_EQ(call.result<AcquireResult>().status, AcquireStatus::WAITING);
}

TEST_F(AcquireTest, AHeldCallIsNeverHeldLongerThanAMinute) {
  Client patient = cluster.client(1, "patient", 3'600'000);
  const Call call = server.acquire(patient.next(), acquire_of("/job"));
  advance(59'900ms);
  EXPECT_FALSE(call.answered());
  advance(200ms);
  EXPECT_EQ(call.result<AcquireResult>().status, AcquireStatus::WAITING);
}

TEST_F(AcquireTest, ARepeatedCallTakesThePlaceOfTheOneThatIsHeld) {
  const Call first = wait(1);
  const LogIndex before = server.engine().host().applied;
  const Call second = wait(1);
  EXPECT_EQ(first.result<AcquireResult>().status, AcquireStatus::WAITING);
  EXPECT_FALSE(second.answered());
  EXPECT_EQ(server.engine().host().applied, before) << "a repetition needs no entry";
  EXPECT_EQ(server.engine().parked_calls(), 1u);
  advance(5s);
  EXPECT_FALSE(second.answered()) << "the first call's time was the first call's";
  server.release(holder.next(), "/job", holder_id);
  cluster.settle();
  EXPECT_EQ(second.result<AcquireResult>().status, AcquireStatus::GRANTED);
}

TEST_F(AcquireTest, AWaitThatRunsOutIsNotGrantedOnlyOnceThePlaceIsGone) {
  const Call call = wait(1, 3'000);
  advance(2'900ms);
  EXPECT_FALSE(call.answered());
  advance(200ms);
  const auto result = call.result<AcquireResult>();
  EXPECT_EQ(result.status, AcquireStatus::NOT_GRANTED);
  EXPECT_EQ(result.reason, RefusalReason::TIMED_OUT);
  EXPECT_EQ(result.holders.size(), 1u);
  EXPECT_EQ(server.engine().machine().locks().waiter_count(), 0u);
}

TEST_F(AcquireTest, ACancelAnswersTheHeldCallToo) {
  const Call call = wait(1);
  const auto cancelled = cancel(2, 1).result<api::CancelAcquireResult>();
  EXPECT_EQ(cancelled.status, AcquireStatus::NOT_GRANTED);
  EXPECT_EQ(cancelled.reason, RefusalReason::CANCELLED);
  EXPECT_EQ(call.result<AcquireResult>().status, AcquireStatus::NOT_GRANTED);
  EXPECT_EQ(call.result<AcquireResult>().reason, RefusalReason::CANCELLED);
}

TEST_F(AcquireTest, ACancelThatComesAfterTheGrantLeavesTheLockHeld) {
  const Call call = wait(1);
  server.release(holder.next(), "/job", holder_id);
  cluster.settle();
  const auto cancelled = cancel(2, 1).result<api::CancelAcquireResult>();
  EXPECT_EQ(cancelled.status, AcquireStatus::GRANTED);
  EXPECT_EQ(cancelled.holderId, call.result<AcquireResult>().holderId);
  EXPECT_EQ(cancelled.token, call.result<AcquireResult>().token);
}

TEST_F(AcquireTest, TheEndOfTheSessionEndsItsHeldCalls) {
  const Call call = wait(1);
  server.close(waiter.context(2));
  cluster.settle();
  EXPECT_THAT(call.error(), Refuses(ErrorCode::SESSION_EXPIRED, "has ended"));
  // It had a place in the queue, which others saw.
  EXPECT_EQ(call.error().applied, api::Applied::UNKNOWN);
  EXPECT_EQ(server.engine().parked_calls(), 0u);
}

TEST_F(AcquireTest, ARepetitionAfterTheTenureEndedSaysSoWithTheTokenAndTheReason) {
  const Call granted = server.acquire(waiter.context(7), acquire_of("/other"));
  cluster.settle();
  const auto held = granted.result<AcquireResult>();
  server.release(waiter.context(8), "/other", held.holderId);
  cluster.settle();
  const Call again = server.acquire(waiter.context(7), acquire_of("/other"));
  const auto result = again.result<AcquireResult>();
  EXPECT_EQ(result.status, AcquireStatus::NOT_HELD);
  EXPECT_EQ(result.token, held.token);
  EXPECT_EQ(result.endReason, api::EndReason::RELEASED);
}

TEST_F(AcquireTest, AnAcquireAllIsHeldAndGrantedAsOne) {
  api::AcquireAllRequest request;
  request.waitMs = -1;
  for (const char* path : {"/free", "/job"}) {
    request.locks.emplace_back();
    request.locks.back().path = path;
  }
  const Call call = server.ask(&Engine::acquire_all, waiter.next(), request);
  cluster.settle();
  EXPECT_FALSE(call.answered());
  server.release(holder.next(), "/job", holder_id);
  cluster.settle();
  EXPECT_EQ(call.result<AcquireResult>().status, AcquireStatus::GRANTED);
  EXPECT_EQ(server.engine().machine().locks().places_of(waiter.id), 2u);
}

TEST_F(AcquireTest, AMaxQueueThatIsReachedRefusesWithoutAPlace) {
  wait(1);
  api::AcquireRequest request = acquire_of("/job");
  request.maxQueue = 1;
  const Call call = server.acquire(waiter.context(2), request);
  cluster.settle();
  EXPECT_EQ(call.result<AcquireResult>().reason, RefusalReason::QUEUE_FULL);
  EXPECT_EQ(server.engine().machine().locks().waiter_count(), 1u);
}

/// A client that goes from the leader to a follower that lags behind.
class RevisionTest : public ThreeServersTest {
 protected:
  RevisionTest() {
    const Call held = leader.acquire(holder.next(), acquire_of("/job"));
    leader.acquire(waiter.next(), acquire_of("/job", -1, /*enqueue=*/true));
    cluster.settle();
    cluster.advance(200ms);
    // The follower sees the place; the grant it does not see.
    cluster.isolate(2);
    leader.release(holder.next(), "/job", held.result<AcquireResult>().holderId);
    cluster.settle();
    const Call granted = leader.acquire(waiter.context(1), acquire_of("/job", -1, true));
    seen = granted.result<AcquireResult>().header.revision;
    EXPECT_EQ(granted.result<AcquireResult>().status, AcquireStatus::GRANTED);
  }
  Call again(int64_t deadline_ms = 0) {
    api::RequestContext context = waiter.context(1);
    context.minRevision = seen;
    context.deadlineMs = deadline_ms;
    const Call call = follower.acquire(context, acquire_of("/job", -1, /*enqueue=*/true));
    cluster.settle();
    return call;
  }

  Client holder = cluster.client(1, "holder");
  Client waiter = cluster.client(1, "waiter");
  int64_t seen = 0;
};

TEST_F(RevisionTest, ARepeatedAcquireIsNotAnsweredFromAnOlderStateThanTheCallerHasSeen) {
  const Call call = again();
  EXPECT_FALSE(call.answered());
  cluster.heal();
  cluster.advance(300ms);
  const auto result = call.result<AcquireResult>();
  EXPECT_EQ(result.status, AcquireStatus::GRANTED);
  EXPECT_GE(result.header.revision, seen);
}

TEST_F(RevisionTest, ACommandWhoseRevisionDoesNotComeEndsAtItsDeadlineWithoutEffect) {
  const Call call = again(500);
  cluster.advance(450ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(100ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::TIMEOUT, "the call needs " + std::to_string(seen)));
  EXPECT_EQ(call.error().applied, api::Applied::NO);
  EXPECT_TRUE(call.error().retryable);
}

TEST_F(RevisionTest, ARenewalIsHandedOnAtOnceAndOnlyItsAnswerWaitsForTheRevision) {
  cluster.heal();
  cluster.advance(300ms);
  api::RequestContext context = waiter.context();
  context.minRevision = seen + 3;
  const Call call = follower.keep_alive(context);
  cluster.advance(100ms);
  EXPECT_FALSE(call.answered());
  EXPECT_EQ(follower.engine().pending_renewals(), 1u);
  for (int i = 0; i < 3; ++i) leader.release(holder.next(), "/none", 1);
  cluster.advance(100ms);
  EXPECT_GE(call.result<api::KeepAliveResult>().header.revision, seen + 3);
  EXPECT_GT(call.result<api::KeepAliveResult>().leaseMs, 0);
}

TEST_F(RevisionTest, TheLeaderToo) {
  api::RequestContext context = holder.context();
  context.minRevision = seen + 2;
  const Call call = leader.keep_alive(context);
  const Call poll = leader.poll(context, poll_of(0));
  cluster.settle();
  EXPECT_FALSE(call.answered());
  EXPECT_FALSE(poll.answered());
  leader.release(holder.next(), "/none", 1);
  leader.release(holder.next(), "/none", 1);
  cluster.settle();
  EXPECT_GE(call.result<api::KeepAliveResult>().header.revision, seen + 2);
  EXPECT_GE(poll.result<api::PollResult>().header.revision, seen + 2);
}

// The time of a wait for ever, nearly, is no time that has passed.
TEST_F(RevisionTest, AVeryLongWaitKeepsNoServerBusy) {
  leader.acquire(holder.next(), acquire_of("/long"));
  api::AcquireRequest request = acquire_of("/long");
  request.waitMs = (int64_t{1} << 53) - 1;
  const Call call = leader.acquire(waiter.next(), request);
  cluster.settle();
  EXPECT_FALSE(call.answered());
  EXPECT_GT(leader.engine().next_wakeup(), cluster.clock.now());
}

}  // namespace
}  // namespace holdfast::server
