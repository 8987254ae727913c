// A command of a session that comes a second time is answered as its first copy was, also where
// something is wrong with the second (PROMISE 4); and what waits to be judged has a bound.
#include <string>
#include <vector>

#include "coordinator/tree/key_tree.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

api::PutRequest put_of(const std::string& value) {
  api::PutRequest request;
  request.path = "/config";
  request.value = value;
  return request;
}

/// All that can be wrong with a context and leaves the content of the command as it is.
std::vector<api::RequestContext> wrong(const api::RequestContext& context) {
  std::vector<api::RequestContext> all(4, context);
  all[0].deadlineMs = -1;
  all[1].minRevision = -1;
  all[2].trace = std::string(129, 't');
  for (int64_t i = 0; i < 1'025; ++i) {
    api::SequenceRange range;
    range.first = range.last = 100 + 2 * i;
    all[3].acknowledged.push_back(range);
  }
  return all;
}

class CopiesTest : public ThreeServersTest {
 protected:
  CopiesTest() { client = cluster.client(1, "a"); }
  Call put(TestServer& server, const api::RequestContext& context, const std::string& value) {
    return server.ask(&Engine::put, context, put_of(value));
  }
  /// The first copy, through the leader.
  api::RequestContext put_first(const std::string& value) {
    const api::RequestContext context = client.next();
    const Call call = put(leader, context, value);
    cluster.settle();
    version = call.result<api::PutResult>().version;
    return context;
  }

  Client client;
  int64_t version = 0;
};

TEST_F(CopiesTest, ACopyWithAWrongContextIsAnsweredAsTheFirstWasByAServerThatHasNotAppliedItYet) {
  follower.engine().hold_apply(true);
  const api::RequestContext first = put_first("a");
  std::vector<Call> copies;
  for (const api::RequestContext& context : wrong(first)) {
    copies.push_back(put(follower, context, "a"));
    cluster.settle();
    EXPECT_FALSE(copies.back().answered()) << copies.back().outcome();
  }
  follower.engine().hold_apply(false);
  cluster.settle();
  for (const Call& copy : copies) EXPECT_EQ(copy.result<api::PutResult>().version, version);
  EXPECT_EQ(leader.engine().machine().keys().get("/config")->stat.version, version);
}

TEST_F(CopiesTest, OneWhoseFirstIsKnownHereIsAnsweredAtOnce) {
  const api::RequestContext first = put_first("a");
  for (const api::RequestContext& context : wrong(first)) {
    EXPECT_EQ(put(leader, context, "a").result<api::PutResult>().version, version);
  }
}

// What another version took, because it did not look at it, or made the same command of it.
TEST_F(CopiesTest, SoIsOneWithAWrongContent) {
  follower.engine().hold_apply(true);
  const api::RequestContext context = client.next();
  const Call first = leader.acquire(context, acquire_of("/jobs/a"));
  cluster.settle();
  api::AcquireRequest wrong_permits = acquire_of("/jobs/a");
  wrong_permits.permits = -1;
  const Call copy = follower.acquire(context, wrong_permits);
  cluster.settle();
  EXPECT_FALSE(copy.answered()) << copy.outcome();
  follower.engine().hold_apply(false);
  cluster.settle();
  EXPECT_EQ(copy.result<api::AcquireResult>().token, first.result<api::AcquireResult>().token);
}

TEST_F(CopiesTest, AFirstOneIsRefusedOnceAQuorumHasSaidThatItIs) {
  const LogIndex before = leader.engine().host().applied;
  for (const api::RequestContext& context : wrong(client.next())) {
    const Call call = put(leader, context, "a");
    EXPECT_FALSE(call.answered());
    cluster.settle();
    EXPECT_THAT(call.error(), Refuses(call.error().code, "context."));
    EXPECT_EQ(call.error().applied, api::Applied::NO);
    EXPECT_FALSE(call.error().retryable);
    EXPECT_EQ(call.error().header.sequence, context.sequence);
  }
  EXPECT_EQ(leader.engine().host().applied, before) << "without an entry";
}

TEST_F(CopiesTest, OneWithAnotherContentIsNoCopy) {
  const api::RequestContext first = put_first("a");
  for (const api::RequestContext& context : wrong(first)) {
    const Call call = put(leader, context, "b");
    cluster.settle();
    EXPECT_THAT(call.error(), Refuses(call.error().code, "context."));
  }
}

TEST_F(CopiesTest, OneWhoseResultWasGivenUpSaysThatItWasApplied) {
  api::RequestContext first = put_first("a");
  api::RequestContext second = client.next();
  second.acknowledged.resize(1);
  second.acknowledged[0].first = second.acknowledged[0].last = first.sequence;
  put(leader, second, "b");
  cluster.settle();
  first.deadlineMs = -1;
  const Call call = put(leader, first, "a");
  cluster.settle();
  EXPECT_THAT(call.error(), Refuses(ErrorCode::RESULT_FORGOTTEN, "was acknowledged"));
}

TEST_F(CopiesTest, WhatNobodyCanSayIsNotDenied) {
  api::RequestContext context = put_first("a");
  context.deadlineMs = -1;
  follower.engine().hold_apply(true);
  const Call other = put(follower, context, "b");
  leader.close(client.next());
  cluster.settle();
  follower.engine().hold_apply(false);
  cluster.settle();
  EXPECT_THAT(other.error(), Refuses(ErrorCode::BAD_ARGUMENT, "context.deadlineMs"))
      << "the leader had not ended it when it was asked";
  follower.engine().hold_apply(true);
  client = cluster.client(1, "b");
  follower.engine().hold_apply(false);
  cluster.settle();
  context = put_first("c");
  context.deadlineMs = -1;
  cluster.hold(
      [](const Parcel& parcel) { return parcel.is(raft::MessageType::kReadIndexRequest); });
  const Call call = put(follower, context, "d");
  cluster.settle();
  leader.close(client.next());
  cluster.settle();
  cluster.release();
  cluster.settle();
  EXPECT_THAT(call.error(), Refuses(ErrorCode::SESSION_EXPIRED, "has ended"));
  EXPECT_EQ(call.error().applied, api::Applied::UNKNOWN);
}

TEST_F(CopiesTest, WithoutALeaderNobodyKnowsAndAnotherServerMay) {
  api::RequestContext context = client.next();
  context.trace = std::string(129, 't');
  context.deadlineMs = 3'000;
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  const Call call = put(follower, context, "a");
  cluster.advance(2'900ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(200ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, ""));
  EXPECT_TRUE(call.error().retryable);
}

/// Bodies that wait for a revision to come.
class WaitingBodiesTest : public OneServerTest {
 protected:
  static EngineOptions small() {
    EngineOptions options;
    options.raft.max_uncommitted_bytes = 4 << 20;
    return options;
  }
  WaitingBodiesTest() : OneServerTest(small()) {}
  Call wait(const std::string& value) {
    api::RequestContext context = client.next();
    context.minRevision = 1'000'000;
    context.deadlineMs = 1'000;
    const Call call = server.ask(&Engine::put, context, put_of(value));
    cluster.settle();
    return call;
  }
  Client client = cluster.client(1, "a");
};

TEST_F(WaitingBodiesTest, TakeNoMoreThanCommandsUnderWayDo) {
  const std::string large(1 << 20, 'v');
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(wait(large).answered());
  EXPECT_THAT(wait(large).error(),
              Refuses(ErrorCode::OVERLOADED, "4194304 bytes of reads and of calls that wait"));
  cluster.advance(1'100ms);
  EXPECT_EQ(server.engine().pending_reads(), 0u);
  EXPECT_FALSE(wait(large).answered()) << "there is room again";
}

TEST_F(WaitingBodiesTest, LeaveRoomForSmallOnes) {
  const std::string large(1 << 20, 'v');
  for (int i = 0; i < 4; ++i) wait(large);
  ASSERT_TRUE(wait(large).answered());
  EXPECT_FALSE(wait("v").answered());
  const Call read = server.describe(client.context(), "/jobs/a");
  cluster.settle();
  EXPECT_EQ(read.outcome(), "OK");
  const std::string small(15 << 10, 'v');
  for (int i = 0; i < 400; ++i) wait(small);
  EXPECT_THAT(wait(small).error(), Refuses(ErrorCode::OVERLOADED, "8388608 bytes"));
}

TEST_F(WaitingBodiesTest, AreReckonedWithAllThatTheyTake) {
  api::TransactRequest many;
  api::Operation operation;
  api::PutRequest put;
  put.path = "/a";
  operation.__set_put(put);
  many.thenOperations.assign((4 << 20) / sizeof operation / 2, operation);
  const auto ask = [&] {
    api::RequestContext context = client.next();
    context.minRevision = 1'000'000;
    return server.ask(&Engine::transact, context, many);
  };
  EXPECT_FALSE(ask().answered());
  EXPECT_THAT(ask().error(), Refuses(ErrorCode::OVERLOADED, "bytes of reads and of calls"));
}

TEST_F(WaitingBodiesTest, OneAlonePassesHoweverLargeItIs) {
  EXPECT_FALSE(wait(std::string(5 << 20, 'v')).answered());
}

}  // namespace
}  // namespace holdfast::server
