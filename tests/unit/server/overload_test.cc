// Bounded queues: what does not fit is refused at once, with a time to come back (PROMISE 13).
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::Applied;
using api::ErrorCode;

EngineOptions small() {
  EngineOptions options;
  options.max_pending_commands = 16;
  options.max_parked_calls = 4;
  options.max_pending_reads = 4;
  options.raft.max_uncommitted_bytes = 16 << 10;
  return options;
}

class OverloadTest : public OneServerTest {
 protected:
  OverloadTest() : OneServerTest(small()) {}

  void expect_overloaded(const Call& call, const std::string& text) {
    EXPECT_THAT(call.error(), Refuses(ErrorCode::OVERLOADED, text));
    EXPECT_EQ(call.error().applied, Applied::NO);
    EXPECT_TRUE(call.error().retryable);
    EXPECT_GT(call.error().retryAfterMs, 0);
  }
  /// What asks for a revision that never comes.
  static api::RequestContext far_future() {
    api::RequestContext context;
    context.minRevision = int64_t{1} << 52;
    context.deadlineMs = 600'000;
    return context;
  }
  /// Commands that stay under way: nothing commits while the disk does not work.
  std::vector<Call> fill() {
    server.disk_works = false;
    std::vector<Call> calls;
    for (int i = 0; i < 16; ++i) calls.push_back(server.release(client.next(), "/a", 1));
    cluster.settle();
    return calls;
  }

  Client client = cluster.client(1, "a");
};

TEST_F(OverloadTest, CommandsBeyondTheLimitAreRefusedAndTheOthersStillEndWell) {
  const std::vector<Call> calls = fill();
  expect_overloaded(server.release(client.next(), "/a", 1), "its 16 commands under way");
  server.disk_works = true;
  cluster.settle();
  for (const Call& call : calls) EXPECT_EQ(call.outcome(), "OK");
  const Call next = server.release(client.next(), "/a", 1);
  cluster.settle();
  EXPECT_EQ(next.outcome(), "OK");
}

TEST_F(OverloadTest, AnAcknowledgementThatFindsNoRoomIsDroppedAndAnswersNobody) {
  const Call held = server.acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  ASSERT_EQ(held.outcome(), "OK");
  api::RevokeLockRequest revoke;
  revoke.path = "/a";
  revoke.noticeMs = 60'000;
  const Call revoked = server.ask(&Engine::revoke_lock, api::RequestContext{}, revoke);
  cluster.settle();
  const int64_t notice = revoked.result<api::RevokeLockResult>().noticeId;
  ASSERT_GT(notice, 0);
  fill();
  api::PollRequest poll = poll_of(0);
  poll.acknowledgedNotices = {notice};
  const Call call = server.poll(client.context(), poll);
  cluster.settle();
  EXPECT_GT(call.result<api::PollResult>().leaseMs, 0);
  server.disk_works = true;
  cluster.settle();
}

TEST_F(OverloadTest, TheLeadersUncommittedBytesAreBoundedButWhatFreesIsAdmitted) {
  TestCluster three(3, small());
  three.lead(1);
  Client of_two = three.client(2, "b");
  Client of_three = three.client(3, "c");
  for (int id = 1; id <= 3; ++id) three.server(id).disk_works = false;
  api::AcquireRequest large = acquire_of("/a");
  large.value.assign(4'000, 'v');
  std::vector<Call> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(three.server(2).acquire(of_two.next(), large));
    three.settle();
    calls.push_back(three.server(3).acquire(of_three.next(), large));
    three.settle();
  }
  EXPECT_FALSE(calls[3].answered());
  expect_overloaded(calls[4], "the leader has its 16384 bytes of uncommitted commands");
  expect_overloaded(calls[5], "the leader has its 16384 bytes of uncommitted commands");
  const Call release = three.server(2).release(of_two.next(), "/a", 1);
  const Call close = three.server(2).close(of_two.next());
  three.settle();
  EXPECT_FALSE(release.answered());
  EXPECT_FALSE(close.answered());
  for (int id = 1; id <= 3; ++id) three.server(id).disk_works = true;
  three.settle();
  EXPECT_EQ(release.outcome(), "OK");
  EXPECT_EQ(close.outcome(), "OK");
}

TEST_F(OverloadTest, WhatFreesIsAdmittedPastTheBytesOfCommandsUnderWay) {
  server.disk_works = false;
  api::AcquireRequest large = acquire_of("/a");
  large.value.assign(4'000, 'v');
  for (int i = 0; i < 4; ++i) server.acquire(client.next(), large);
  expect_overloaded(server.acquire(client.next(), large), "16384 bytes of commands under way");
  EXPECT_FALSE(server.release(client.next(), "/a", 1).answered());
  server.disk_works = true;
  cluster.settle();
}

// A path is judged when the command is applied, so anything may stand for it until then.
TEST_F(OverloadTest, WhatSaysThatItFreesAndIsLargeIsAdmittedAsAllElse) {
  server.disk_works = false;
  api::AcquireRequest large = acquire_of("/a");
  large.value.assign(4'000, 'v');
  server.acquire(client.next(), large);
  const std::string path = "/" + std::string(kExemptBytesMax, 'p');
  expect_overloaded(server.release(client.next(), path, 1), "16384 bytes of commands under way");
  server.disk_works = true;
  cluster.settle();
}

TEST_F(OverloadTest, WhatFreesIsBoundedToo) {
  server.disk_works = false;
  const std::string path = "/" + std::string(4'000, 'p');
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(server.release(client.next(), path, 1).answered());
  expect_overloaded(server.release(client.next(), path, 1), "32768 bytes of commands under way");
  server.disk_works = true;
  cluster.settle();
}

TEST_F(OverloadTest, RenewalsThatWaitForARevisionAreBounded) {
  api::RequestContext context = client.context();
  context.minRevision = int64_t{1} << 52;
  std::vector<Call> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(server.keep_alive(context));
  cluster.settle();
  const Call over = server.keep_alive(context);
  cluster.settle();
  EXPECT_THAT(over.error(),
              Refuses(ErrorCode::NO_LEADER, "its 4 renewals that wait for a revision"));
  EXPECT_TRUE(over.error().retryable);
  for (const Call& call : waiting) EXPECT_FALSE(call.answered());
  const Call plain = server.keep_alive(client.context());
  cluster.settle();
  EXPECT_EQ(plain.outcome(), "OK") << "it does not wait";
  cluster.advance(10s);
  for (const Call& call : waiting) EXPECT_TRUE(call.answered());
  const Call later = server.keep_alive(context);
  cluster.settle();
  EXPECT_FALSE(later.answered()) << "there is room again";
}

TEST_F(OverloadTest, CommandsThatWaitForALeaderAreBoundedInBytesToo) {
  TestCluster three(3, small());
  three.lead(1);
  Client other = three.client(1, "b");
  three.server(1).crash();
  three.server(3).crash();
  ASSERT_TRUE(three.until([&] { return !three.server(2).engine().host().soft.leader; }));
  api::AcquireRequest large = acquire_of("/a");
  large.value.assign(4'000, 'v');
  std::vector<Call> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(three.server(2).acquire(other.next(), large));
  EXPECT_FALSE(calls[3].answered());
  expect_overloaded(calls[4], "16384 bytes of commands");
  three.advance(6s);
  EXPECT_EQ(calls[0].error().code, ErrorCode::TIMEOUT);
  EXPECT_FALSE(three.server(2).acquire(other.next(), large).answered()) << "there is room again";
}

TEST_F(OverloadTest, PollsAndAcquiresShareTheRoomForParkedCalls) {
  Client holder = cluster.client(1, "holder");
  server.acquire(holder.next(), acquire_of("/a"));
  cluster.settle();
  std::vector<Call> parked;
  for (int i = 0; i < 3; ++i) parked.push_back(server.acquire(client.next(), acquire_of("/a")));
  cluster.settle();
  server.poll(client.context(), poll_of(2'000));
  cluster.settle();
  parked.push_back(server.poll(client.context(), poll_of(2'000)));
  cluster.settle();
  EXPECT_EQ(server.engine().parked_calls(), 4u);
  for (const Call& call : parked) EXPECT_FALSE(call.answered());
  const Call acquire = server.acquire(client.next(), acquire_of("/a"));
  server.poll(holder.context(), poll_of(2'000));
  cluster.settle();
  const Call poll = server.poll(holder.context(), poll_of(2'000));
  cluster.settle();
  EXPECT_EQ(acquire.result<api::AcquireResult>().status, api::AcquireStatus::WAITING)
      << "it keeps its place, only the call finds no room";
  EXPECT_GT(poll.result<api::PollResult>().leaseMs, 0) << "it renews, only parking is refused";
  EXPECT_EQ(server.engine().parked_calls(), 4u);
}

TEST_F(OverloadTest, ReadsThatWaitAreBounded) {
  TestCluster three(3, small());
  three.lead(1);
  three.isolate(2);
  std::vector<Call> reads;
  for (int i = 0; i < 4; ++i) reads.push_back(three.server(2).describe({}, "/a"));
  api::RequestContext later;
  later.minRevision = 1'000'000;
  expect_overloaded(three.server(2).describe({}, "/a"), "its 4 reads under way");
  expect_overloaded(three.server(2).describe(later, "/a", api::Consistency::LOCAL),
                    "its 4 reads under way");
  EXPECT_EQ(three.server(2).describe({}, "/a", api::Consistency::LOCAL).outcome(), "OK")
      << "it does not wait";
  three.heal();
  three.advance(2s);
  for (const Call& call : reads) EXPECT_EQ(call.outcome(), "OK");
}

// They need no session.
TEST_F(OverloadTest, WaitsForAChangeLeaveRoomForPolls) {
  api::WaitForChangeRequest request;
  request.path = "/none";
  request.afterRevision = static_cast<int64_t>(server.engine().host().applied.value);
  request.maxWaitMs = 60'000;
  std::vector<Call> waits;
  for (int i = 0; i < 2; ++i) {
    waits.push_back(server.ask(&Engine::wait_for_change, api::RequestContext{}, request));
  }
  expect_overloaded(server.ask(&Engine::wait_for_change, api::RequestContext{}, request),
                    "its 2 waits for changes");
  server.poll(client.context(), poll_of(2'000));
  cluster.settle();
  const Call poll = server.poll(client.context(), poll_of(2'000));
  cluster.settle();
  EXPECT_FALSE(poll.answered()) << "it parks";
  for (const Call& call : waits) EXPECT_FALSE(call.answered());
}

TEST_F(OverloadTest, ReadsOfAFarFutureLeaveRoomForThoseOfNow) {
  api::RequestContext never;
  never.minRevision = int64_t{1} << 52;
  never.deadlineMs = 600'000;
  for (int i = 0; i < 2; ++i) server.describe(never, "/a", api::Consistency::LOCAL);
  expect_overloaded(server.describe(never, "/a", api::Consistency::LOCAL),
                    "its 2 reads waiting for revisions");
  const Call linearizable = server.describe(never, "/a");
  cluster.settle();
  expect_overloaded(linearizable, "its 2 reads waiting for revisions");
  const Call now = server.describe({}, "/a");
  cluster.settle();
  EXPECT_EQ(now.outcome(), "OK");
}

TEST_F(OverloadTest, WaitsThatTheirClientsLeftBehindMakeRoomForOthers) {
  api::WaitForChangeRequest request;
  request.path = "/none";
  request.afterRevision = static_cast<int64_t>(server.engine().host().applied.value);
  request.maxWaitMs = 60'000;
  const auto wait = [&] {
    return server.ask(&Engine::wait_for_change, api::RequestContext{}, request);
  };
  const Call stays = wait();
  for (int i = 0; i < 10; ++i) {
    const Call left = wait();
    EXPECT_FALSE(left.answered()) << "it parks, whoever left before";
    server.abandon_latest();
    cluster.settle();
    EXPECT_EQ(left.outcome(), "TIMEOUT") << "its place is free, and nobody is told the value";
  }
  EXPECT_FALSE(stays.answered());
  EXPECT_EQ(server.engine().parked_key_waits(), 1u);
  api::PutRequest put;
  put.path = "/none";
  server.ask(&Engine::put, api::RequestContext{}, put);
  cluster.settle();
  EXPECT_EQ(stays.outcome(), "OK");
}

TEST_F(OverloadTest, ReadsOfAFarFutureThatTheirClientsLeftBehindMakeRoomForOthers) {
  for (int i = 0; i < 10; ++i) {
    const Call left = server.describe(far_future(), "/a", api::Consistency::LOCAL);
    server.abandon_latest();
    cluster.settle();
    EXPECT_EQ(left.outcome(), "TIMEOUT");
  }
  EXPECT_EQ(server.engine().pending_reads(), 0u);
}

// A linearizable read first waits for a quorum, and its client may leave meanwhile.
TEST_F(OverloadTest, AReadOfAFarFutureThatIsLeftBehindBeforeItsQuorumIsThereMakesRoomToo) {
  TestCluster three(3, small());
  three.lead(1);
  three.isolate(2);
  const Call left = three.server(2).describe(far_future(), "/a");
  three.settle();
  ASSERT_FALSE(left.answered());
  three.server(2).abandon_latest();
  three.settle();
  EXPECT_EQ(left.outcome(), "TIMEOUT");
  EXPECT_EQ(three.server(2).engine().pending_reads(), 0u);
}

// Whoever sends a command and leaves wants it done, also if the server must catch up before it can
// judge it.
TEST_F(OverloadTest, ACommandThatWaitsToBeJudgedIsDoneThoughItsClientIsGone) {
  const Call held = server.acquire(client.next(), acquire_of("/a"));
  cluster.settle();
  api::RequestContext later = client.next();
  later.minRevision = static_cast<int64_t>(server.engine().host().applied.value) + 2;
  const Call release = server.release(later, "/a", held.result<api::AcquireResult>().holderId);
  server.abandon_latest();
  cluster.settle();
  ASSERT_FALSE(release.answered());
  for (int i = 0; i < 2; ++i) {
    server.release(client.next(), "/none", 1);
    cluster.settle();
  }
  EXPECT_EQ(release.outcome(), "OK");
}

TEST_F(OverloadTest, ACallThatIsAnsweredOrOfAnotherKindIsLeftAloneWhenItsClientGoes) {
  const Call answered = server.describe({}, "/a", api::Consistency::LOCAL);
  server.abandon_latest();
  const Call waits = server.acquire(client.next(), acquire_of("/a"));
  server.abandon_latest();
  cluster.settle();
  EXPECT_EQ(answered.outcome(), "OK");
  EXPECT_EQ(waits.outcome(), "OK") << "what it asked for is done: it may ask again";
}

TEST_F(OverloadTest, APortThatIsFullRefusesInTheEnginesName) {
  const Call call = server.refused_by_port("this connection has its 7 calls outstanding");
  expect_overloaded(call, "this connection has its 7 calls");
  EXPECT_EQ(call.error().header.serverId, 1);
}

}  // namespace
}  // namespace holdfast::server
