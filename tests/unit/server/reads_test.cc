// Reads: linearizable ones wait for a quorum and for the revision it names, local ones for nothing
// but the revision that the caller asks for (PROMISE 9).
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::Consistency;
using api::DescribeLockResult;
using api::ErrorCode;

class ReadsTest : public ThreeServersTest {
 protected:
  static int32_t holders(const Call& call) {
    return call.result<DescribeLockResult>().lock.holderCount;
  }

  Client client = cluster.client(1, "a");
};

TEST_F(ReadsTest, ALinearizableReadOfAFollowerSeesWhatWasAcknowledgedBefore) {
  // The follower gets no entries for a while, only the answer to its question for a read index.
  cluster.hold(
      [](const Parcel& p) { return p.to == NodeId(2) && p.is(raft::MessageType::kAppendRequest); });
  const Call acquired = leader.acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  ASSERT_EQ(acquired.outcome(), "OK");
  const Call linearizable = follower.describe({}, "/a");
  const Call local = follower.describe({}, "/a", Consistency::LOCAL);
  cluster.settle();
  EXPECT_EQ(holders(local), 0) << "the follower lags behind";
  EXPECT_FALSE(linearizable.answered());
  cluster.release();
  cluster.advance(300ms);
  EXPECT_EQ(holders(linearizable), 1);
}

// Or each call of a client that is patient would cost memory for ten minutes.
TEST_F(ReadsTest, WhatEndsLongBeforeItsDeadlineIsNotKeptUntilThen) {
  const size_t before = leader.engine().queued_deadlines();
  api::RequestContext patient;
  patient.deadlineMs = 600'000;
  for (int i = 0; i < 200; ++i) {
    const Call read = leader.describe(patient, "/a");
    const Call command = leader.change_setting("sessions_max", 1'000 + i, 600'000);
    cluster.settle();
    ASSERT_TRUE(read.answered() && command.answered());
  }
  cluster.advance(DeadlineQueue::kAhead + 1s);
  EXPECT_LT(leader.engine().queued_deadlines(), before + 5);
}

TEST_F(ReadsTest, ADeadlineThatIsFarAheadIsKeptToTheEnd) {
  cluster.isolate(2);
  api::RequestContext patient;
  patient.deadlineMs = 20'000;
  const Call read = follower.describe(patient, "/a");
  const Call command = follower.change_setting("sessions_max", 1'000, 20'000);
  cluster.advance(19'900ms);
  EXPECT_FALSE(read.answered() || command.answered());
  cluster.advance(200ms);
  EXPECT_TRUE(read.answered() && command.answered());
}

// A client takes no frame above 8 MiB: one that looks at the lock would lose its connection.
TEST_F(ReadsTest, OfManyHoldersWithLargeValuesThoseAreDescribedThatAFrameHasRoomFor) {
  const Call changed = leader.change_setting("holder_value_bytes_max", 65'536);
  cluster.settle();
  ASSERT_EQ(changed.outcome(), "OK");
  for (int i = 0; i < 150; ++i) {
    api::AcquireRequest request = acquire_of("/a");
    request.mode = api::LockMode::SHARED;
    request.owner = std::to_string(i);
    request.value.assign(65'536, 'v');
    leader.acquire(client.next(), request);
    cluster.settle();
  }
  const Call call = leader.describe({}, "/a");
  cluster.advance(300ms);
  EXPECT_EQ(holders(call), 150);
  const auto shown = call.result<DescribeLockResult>().lock.holders;
  ASSERT_FALSE(shown.empty());
  EXPECT_EQ(shown.front().owner, "0");
  size_t bytes = 0;
  for (const api::LockHolder& holder : shown) bytes += holder.value.size();
  EXPECT_GT(bytes, 4u << 20);
  EXPECT_LE(bytes, 5u << 20);
}

TEST_F(ReadsTest, ALeaderAnswersOnlyAfterAQuorumConfirmedIt) {
  cluster.isolate(1);
  const Call call = leader.describe({}, "/a");
  cluster.settle();
  EXPECT_FALSE(call.answered());
  cluster.heal();
  cluster.advance(300ms);
  EXPECT_EQ(call.outcome(), "OK");
}

TEST_F(ReadsTest, ADeposedLeadersReadIsAskedAgainAndSeesTheNextLeadersWrites) {
  cluster.isolate(1);
  api::RequestContext patient;
  patient.deadlineMs = 30'000;
  const Call call = leader.describe(patient, "/a");
  cluster.settle();
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != &leader; }));
  const Call acquired = cluster.leader()->acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  ASSERT_EQ(acquired.outcome(), "OK");
  EXPECT_FALSE(call.answered());
  cluster.heal();
  cluster.advance(2s);
  EXPECT_EQ(holders(call), 1);
}

TEST_F(ReadsTest, AllReadsOfATurnShareOneRound) {
  const uint64_t before = leader.engine().node().core().counters().read_rounds;
  std::vector<Call> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(leader.describe({}, "/a"));
  cluster.settle();
  for (const Call& call : calls) EXPECT_EQ(call.outcome(), "OK");
  EXPECT_EQ(leader.engine().node().core().counters().read_rounds, before + 1);
}

TEST_F(ReadsTest, WithoutAQuorumAReadEndsAtItsDeadlineAsNoLeader) {
  cluster.isolate(2);
  api::RequestContext context;
  context.deadlineMs = 1'000;
  const Call call = follower.describe(context, "/a");
  cluster.advance(950ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(100ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "no quorum confirmed the read"));
  EXPECT_TRUE(call.error().retryable);
  EXPECT_EQ(call.error().applied, api::Applied::NO);
}

TEST_F(ReadsTest, ALocalReadIsAnsweredAtOnceEvenWithoutALeader) {
  cluster.isolate(2);
  cluster.advance(3s);
  const Call call = follower.describe({}, "/a", Consistency::LOCAL);
  EXPECT_EQ(call.outcome(), "OK");
  EXPECT_EQ(call.result<DescribeLockResult>().header.leaderId, 0);
  EXPECT_EQ(call.result<DescribeLockResult>().header.leaderAddress, "");
}

TEST_F(ReadsTest, ALocalReadWaitsForTheRevisionThatItsCallerHasSeen) {
  cluster.isolate(2);
  const Call acquired = leader.acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  api::RequestContext context;
  context.minRevision = acquired.result<api::AcquireResult>().header.revision;
  const Call waits = follower.describe(context, "/a", Consistency::LOCAL);
  context.deadlineMs = 200;
  const Call ends = follower.describe(context, "/a", Consistency::LOCAL);
  cluster.advance(300ms);
  EXPECT_FALSE(waits.answered());
  EXPECT_THAT(ends.error(), Refuses(ErrorCode::TIMEOUT, "the call needs"));
  cluster.heal();
  cluster.advance(1s);
  EXPECT_EQ(holders(waits), 1);
}

TEST_F(ReadsTest, ATokenIsCurrentOnlyWhileItsHolderHolds) {
  const Call acquired = leader.acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  const auto grant = acquired.result<api::AcquireResult>();
  const auto check = [&](int64_t token) {
    api::CheckTokenRequest request;
    request.path = "/a";
    request.token = token;
    const Call call = follower.ask(&Engine::check_token, api::RequestContext{}, request);
    cluster.settle();
    return call.result<api::CheckTokenResult>();
  };
  EXPECT_TRUE(check(grant.token).current);
  EXPECT_EQ(check(grant.token).latestToken, grant.token);
  for (const int64_t token : {grant.token - 1, grant.token + 1, int64_t{0}, int64_t{-1}}) {
    EXPECT_FALSE(check(token).current) << token;
  }
  leader.release(client.next(), "/a", grant.holderId);
  cluster.settle();
  EXPECT_FALSE(check(grant.token).current);
  EXPECT_EQ(check(grant.token).latestToken, 0);
}

TEST_F(ReadsTest, LocksAreListedInPagesInTheOrderOfTheirPaths) {
  for (const char* path : {"/a/2", "/b/1", "/a/1", "/a/3"}) {
    leader.acquire(client.next(), acquire_of(path));
  }
  cluster.settle();
  api::ListLocksRequest request;
  request.prefix = "/a/";
  request.pageSize = 2;
  std::vector<std::string> paths;
  for (int page = 0; page < 3; ++page) {
    const Call call = follower.ask(&Engine::list_locks, api::RequestContext{}, request);
    cluster.settle();
    const auto result = call.result<api::ListLocksResult>();
    for (const api::LockSummary& lock : result.locks) paths.push_back(lock.path);
    request.page = result.nextPage;
    if (request.page.empty()) break;
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"/a/1", "/a/2", "/a/3"}));
}

TEST_F(ReadsTest, APageOfAnotherSizeThanAllowedIsRefused) {
  for (const int32_t size : {-1, 1'001}) {
    api::ListLocksRequest locks;
    locks.pageSize = size;
    EXPECT_THAT(leader.ask(&Engine::list_locks, api::RequestContext{}, locks).error(),
                Refuses(ErrorCode::BAD_ARGUMENT, "pageSize is " + std::to_string(size)));
    api::ListSessionsRequest sessions;
    sessions.pageSize = size;
    EXPECT_THAT(leader.ask(&Engine::list_sessions, api::RequestContext{}, sessions).error(),
                Refuses(ErrorCode::BAD_ARGUMENT, "pageSize is " + std::to_string(size)));
  }
}

TEST_F(ReadsTest, OnlyTheLeaderKnowsWhatIsLeftOfALease) {
  leader.acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  cluster.advance(2s);
  const Call there = leader.describe({}, "/a");
  cluster.settle();
  const auto lock = there.result<DescribeLockResult>().lock;
  ASSERT_EQ(lock.holders.size(), 1u);
  EXPECT_LE(lock.holders[0].leaseLeftMs, 8'100);
  EXPECT_GE(lock.holders[0].leaseLeftMs, 7'500);
}

}  // namespace
}  // namespace holdfast::server
