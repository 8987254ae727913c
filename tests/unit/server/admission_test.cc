// What a call must bring before anything is done for it.
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

class AdmissionTest : public OneServerTest {
 protected:
  /// One call of each kind that belongs to a session, with this context.
  std::map<std::string, Call> every_call(const api::RequestContext& context) {
    std::map<std::string, Call> calls;
    const auto add = [&](const char* name, const Call& call) { calls.emplace(name, call); };
    add("poll", server.poll(context, poll_of(0)));
    add("keepAlive", server.keep_alive(context));
    add("closeSession", server.close(context));
    add("acquire", server.acquire(context, acquire_of("/a")));
    add("acquireAll", server.ask(&Engine::acquire_all, context, api::AcquireAllRequest{}));
    add("cancelAcquire", server.ask(&Engine::cancel_acquire, context, api::CancelAcquireRequest{}));
    add("release", server.release(context, "/a", 1));
    add("releaseAll", server.ask(&Engine::release_all, context, api::ReleaseAllRequest{}));
    add("setHolderValue",
        server.ask(&Engine::set_holder_value, context, api::SetHolderValueRequest{}));
    return calls;
  }
  /// Every such call is refused at once, before an entry is written for it.
  void expect_all_refused(const api::RequestContext& context, ErrorCode::type code,
                          const std::string& text) {
    const LogIndex before = server.engine().host().applied;
    for (const auto& [name, call] : every_call(context)) {
      EXPECT_THAT(call.error(), Refuses(code, text)) << name;
      EXPECT_EQ(call.error().applied, api::Applied::NO) << name;
      EXPECT_FALSE(call.error().retryable) << name;
    }
    cluster.settle();
    EXPECT_EQ(server.engine().host().applied, before);
  }
};

TEST_F(AdmissionTest, ACallOfASessionNeedsOne) {
  expect_all_refused({}, ErrorCode::BAD_ARGUMENT, "context.sessionId is 0");
  api::RequestContext negative;
  negative.sessionId = -5;
  expect_all_refused(negative, ErrorCode::BAD_ARGUMENT, "context.sessionId is -5");
}

TEST_F(AdmissionTest, AnotherSecretThanTheSessionsIsRefusedWhateverItsLength) {
  Client client = cluster.client(1, "a");
  ASSERT_EQ(server.keep_alive(client.context()).outcome(), "not answered");
  cluster.settle();  // the right secret is remembered now
  for (const std::string& wrong : {secret_of("b"), std::string(), std::string("a"),
                                   client.secret.substr(0, 15), client.secret + "."}) {
    client.secret = wrong;
    expect_all_refused(client.next(), ErrorCode::SESSION_UNKNOWN, "the secret is not that of");
  }
}

TEST_F(AdmissionTest, ASecretIsForgottenWithItsSession) {
  Client client = cluster.client(1, "a");
  const Call closed = server.close(client.next());
  cluster.settle();
  ASSERT_EQ(closed.outcome(), "OK");
  expect_all_refused(client.next(), ErrorCode::SESSION_EXPIRED,
                     "session " + std::to_string(client.id.value) + " has ended");
}

TEST_F(AdmissionTest, ARevisionThatOpenedNoSessionIsAnExpiredSession) {
  Client client = cluster.client(1, "a");
  client.id = client.id.prev();
  expect_all_refused(client.next(), ErrorCode::SESSION_EXPIRED, "has ended");
}

TEST_F(AdmissionTest, ACommandOfASessionNeedsASequenceBelowTwoToThe53) {
  Client client = cluster.client(1, "a");
  for (const int64_t sequence : {int64_t{0}, int64_t{-1}, int64_t{1} << 53}) {
    const api::RequestContext context = client.context(sequence);
    for (const auto& [name, call] : every_call(context)) {
      if (name == "poll" || name == "keepAlive") continue;
      EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT,
                                        "context.sequence is " + std::to_string(sequence)))
          << name;
    }
    cluster.settle();
  }
  const Call last = server.acquire(client.context((int64_t{1} << 53) - 1), acquire_of("/a"));
  cluster.settle();
  EXPECT_EQ(last.outcome(), "OK");
}

TEST_F(AdmissionTest, MoreAcknowledgedRangesThanTheLimitAreRefused) {
  Client client = cluster.client(1, "a");
  api::RequestContext context = client.next();
  context.acknowledged.resize(1'025);
  const Call call = server.acquire(context, acquire_of("/a"));
  cluster.settle();
  EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, "1025 ranges, the limit is 1024"));
}

TEST_F(AdmissionTest, ARepeatedCommandIsAnsweredWithoutAnotherEntry) {
  Client client = cluster.client(1, "a");
  const Call first = server.acquire(client.context(1), acquire_of("/a"));
  cluster.settle();
  const LogIndex before = server.engine().host().applied;
  const Call again = server.acquire(client.context(1), acquire_of("/a"));
  ASSERT_EQ(again.outcome(), "OK");
  EXPECT_EQ(again.result<api::AcquireResult>().holderId,
            first.result<api::AcquireResult>().holderId);
  EXPECT_EQ(again.result<api::AcquireResult>().header.sequence, 1);
  cluster.settle();
  EXPECT_EQ(server.engine().host().applied, before);
}

TEST_F(AdmissionTest, AUsedSequenceWithOtherContentIsRefusedAndChangesNothing) {
  Client client = cluster.client(1, "a");
  server.acquire(client.context(1), acquire_of("/a"));
  cluster.settle();
  const Call other = server.acquire(client.context(1), acquire_of("/b"));
  const Call kind = server.release(client.context(1), "/a", 1);
  cluster.settle();
  EXPECT_THAT(other.error(), Refuses(ErrorCode::BAD_ARGUMENT, "other content"));
  EXPECT_THAT(kind.error(), Refuses(ErrorCode::BAD_ARGUMENT, "other content"));
  const Call lock = server.describe({}, "/b");
  cluster.settle();
  EXPECT_EQ(lock.result<api::DescribeLockResult>().lock.holderCount, 0);
}

TEST_F(AdmissionTest, ASequenceThatWasCancelledUnseenAnswersAcquiresOnly) {
  Client client = cluster.client(1, "a");
  api::CancelAcquireRequest cancel;
  cancel.path = "/a";
  cancel.acquireSequence = 5;
  server.ask(&Engine::cancel_acquire, client.context(1), cancel);
  cluster.settle();
  const Call acquire = server.acquire(client.context(5), acquire_of("/a"));
  EXPECT_EQ(acquire.result<api::AcquireResult>().reason, api::RefusalReason::CANCELLED);
  const Call release = server.release(client.context(5), "/a", 1);
  cluster.settle();
  EXPECT_THAT(release.error(), Refuses(ErrorCode::BAD_ARGUMENT, "other content"));
}

TEST_F(AdmissionTest, AnAcknowledgedSequenceIsNeverAppliedAgain) {
  Client client = cluster.client(1, "a");
  const Call held = server.acquire(client.context(1), acquire_of("/a"));
  cluster.settle();
  api::RequestContext context = client.context(2);
  context.acknowledged.emplace_back();
  context.acknowledged.back().first = context.acknowledged.back().last = 1;
  server.release(context, "/a", held.result<api::AcquireResult>().holderId);
  cluster.settle();
  const Call again = server.acquire(client.context(1), acquire_of("/a"));
  cluster.settle();
  EXPECT_THAT(again.error(), Refuses(ErrorCode::RESULT_FORGOTTEN, "sequence 1"));
}

TEST_F(AdmissionTest, AFullWindowRefusesNewCommandsUntilResultsAreAcknowledged) {
  Client client = cluster.client(1, "a");
  for (int i = 0; i < 1'024; ++i) server.release(client.next(), "/a", 1);
  cluster.settle();
  const Call over = server.release(client.context(5'000), "/a", 1);
  cluster.settle();
  EXPECT_THAT(over.error(), Refuses(ErrorCode::LIMIT_EXCEEDED, "result_window = 1024"));
  EXPECT_TRUE(over.error().retryable);
  EXPECT_EQ(over.error().applied, api::Applied::NO);
  api::RequestContext context = client.context(5'000);
  context.acknowledged.emplace_back();
  context.acknowledged.back().first = 1;
  context.acknowledged.back().last = 10;
  const Call again = server.release(context, "/a", 1);
  cluster.settle();
  EXPECT_EQ(again.result<api::ReleaseResult>().status, api::ReleaseStatus::NOT_HELD);
}

TEST_F(AdmissionTest, AnEnumValueOfALaterVersionIsRefusedAsUnsupported) {
  Client client = cluster.client(1, "a");
  api::AcquireRequest request = acquire_of("/a");
  request.mode = static_cast<api::LockMode::type>(9);
  const Call call = server.acquire(client.next(), request);
  cluster.settle();
  EXPECT_THAT(call.error(), Refuses(ErrorCode::UNSUPPORTED, "lock mode 9"));
  EXPECT_THAT(server.describe({}, "/a", static_cast<api::Consistency::type>(7)).error(),
              Refuses(ErrorCode::UNSUPPORTED, "consistency 7"));
}

TEST_F(AdmissionTest, ASecretOfAnotherSizeOpensNoSession) {
  for (const size_t size : {size_t{0}, size_t{15}, size_t{17}}) {
    api::OpenSessionRequest request;
    request.ttlMs = 10'000;
    request.secret.assign(size, 's');
    EXPECT_THAT(server.ask(&Engine::open_session, api::RequestContext{}, request).error(),
                Refuses(ErrorCode::BAD_ARGUMENT, "secret has " + std::to_string(size) + " bytes"));
  }
}

TEST_F(AdmissionTest, ATtlBeyondTheLimitsIsRefusedNeverClamped) {
  for (const int64_t ttl : {int64_t{3'999}, int64_t{86'400'001}, int64_t{-1}}) {
    const Call call = server.open("ttl", ttl);
    cluster.settle();
    EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, "ttlMs is " + std::to_string(ttl)));
  }
}

TEST_F(AdmissionTest, ACommandTooLargeForThePeersIsRefusedBeforeItIsWritten) {
  Client client = cluster.client(1, "a");
  const LogIndex before = server.engine().host().applied;
  api::AcquireRequest request = acquire_of("/a");
  request.value.assign(2 << 20, 'v');
  const Call call = server.acquire(client.next(), request);
  cluster.settle();
  EXPECT_THAT(call.error(),
              Refuses(ErrorCode::TOO_LARGE, "1310720; of a key's value it is 1048576"));
  EXPECT_EQ(call.error().applied, api::Applied::NO);
  api::OpenSessionRequest open;
  open.secret = secret_of("b");
  open.ttlMs = 10'000;
  open.attributes["large"].assign(2 << 20, 'v');
  EXPECT_THAT(server.ask(&Engine::open_session, api::RequestContext{}, open).error(),
              Refuses(ErrorCode::TOO_LARGE, "1310720"));
  cluster.settle();
  EXPECT_EQ(server.engine().host().applied, before);
}

class PresenceTest : public ThreeServersTest {};

TEST_F(PresenceTest, ASessionNotKnownHereYetIsWaitedFor) {
  cluster.isolate(2);
  const Client client = cluster.client(1, "a");
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  EXPECT_FALSE(call.answered());
  cluster.heal();
  cluster.advance(300ms);
  EXPECT_GT(call.result<api::KeepAliveResult>().leaseMs, 0);
}

TEST_F(PresenceTest, ASessionThatNeverBecomesKnownEndsInATimeoutThatNamesBothRevisions) {
  cluster.isolate(2);
  const Client client = cluster.client(1, "a");
  api::RequestContext context = client.context();
  context.deadlineMs = 1'000;
  const Call call = follower.keep_alive(context);
  cluster.advance(900ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(200ms);
  EXPECT_THAT(call.error(),
              Refuses(ErrorCode::TIMEOUT, "the call needs " + std::to_string(client.id.value)));
  EXPECT_TRUE(call.error().retryable);
  EXPECT_EQ(call.error().applied, api::Applied::NO);
}

TEST_F(PresenceTest, TheSecretIsCheckedOnceTheSessionIsKnown) {
  cluster.isolate(2);
  Client client = cluster.client(1, "a");
  client.secret = secret_of("b");
  const Call call = follower.acquire(client.next(), acquire_of("/a"));
  cluster.heal();
  cluster.advance(300ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::SESSION_UNKNOWN, "the secret"));
}

}  // namespace
}  // namespace holdfast::server
