// What a request may never say, whatever the state is, and that every call is asked.
#include <limits>

#include "coordinator/server/rpc_codec.h"
#include "gen/cpp/Holdfast.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr const char* kNotOpenSession = "openSession";
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();

/// A call of any method, with nothing but a context, from the bytes of its frame on.
class ContextTest : public OneServerTest {
 protected:
  Call ask(const RpcMethod& method, const api::RequestContext& context) {
    RpcArguments arguments;
    return ask(method, context, arguments);
  }
  Call ask(const RpcMethod& method, const api::RequestContext& context, RpcArguments& arguments) {
    api::Holdfast_keepAlive_args args;
    args.context = context;
    return decode_and_ask(method, args, arguments);
  }
  template <class Args>
  Call decode_and_ask(const RpcMethod& method, const Args& args, RpcArguments& arguments) {
    std::string frame;
    auto transport = std::make_shared<FrameWriter>();
    transport->reset(frame);
    BinaryOut out(transport);
    args.write(&out);
    RpcReader reader;
    reader.reset(frame, WireProtocol::kBinary);
    method.decode(reader, arguments);
    return server.ask(method, arguments);
  }
  static std::vector<RpcMethod> every_method() {
    std::vector<RpcMethod> all;
    for (const auto methods : {client_methods(), admin_methods()}) {
      all.insert(all.end(), methods.begin(), methods.end());
    }
    return all;
  }
  /// Refused at once, by every call, without an entry or a line for it.
  void expect_refused(const api::RequestContext& context, ErrorCode::type code,
                      const std::string& text, const char* but = "") {
    const LogIndex before = server.engine().host().applied;
    const size_t audits = server.audits.size();
    for (const RpcMethod& method : every_method()) {
      if (method.name == but) continue;
      const Call call = ask(method, context);
      EXPECT_THAT(call.error(), Refuses(code, text)) << method.name;
      EXPECT_EQ(call.error().applied, api::Applied::NO) << method.name;
      EXPECT_FALSE(call.error().retryable) << method.name;
      EXPECT_EQ(call.error().header.sequence, context.sequence) << method.name;
    }
    cluster.settle();
    EXPECT_EQ(server.engine().host().applied, before);
    EXPECT_EQ(server.audits.size(), audits);
  }
  /// No call says `text` of it, whatever else it lacks.
  void expect_taken(const api::RequestContext& context, const std::string& text) {
    for (const RpcMethod& method : every_method()) {
      const Call call = ask(method, context);
      cluster.settle();
      if (!call.answered() || call.outcome() == "OK") continue;
      EXPECT_THAT(call.error().message, testing::Not(testing::HasSubstr(text))) << method.name;
    }
  }
};

TEST_F(ContextTest, ADeadlineIsNotNegative) {
  api::RequestContext context;
  for (const int64_t ms : {int64_t{-1}, kLeast}) {
    context.deadlineMs = ms;
    expect_refused(context, ErrorCode::BAD_ARGUMENT,
                   "context.deadlineMs is " + std::to_string(ms) + ", allowed are 0 to " +
                       std::to_string(kMost));
  }
  for (const int64_t ms : {int64_t{0}, int64_t{1}, kMost}) {
    context.deadlineMs = ms;
    expect_taken(context, "deadlineMs");
  }
}

TEST_F(ContextTest, ATraceHas128BytesAtMost) {
  api::RequestContext context;
  context.trace = std::string(129, 't');
  expect_refused(context, ErrorCode::TOO_LARGE, "context.trace has 129 bytes, the limit is 128");
  context.trace.pop_back();
  expect_taken(context, "context.trace");
  EXPECT_THAT(server.audits.back(), testing::EndsWith(" trace=\"" + context.trace + "\""))
      << "all of it is shown";
}

TEST_F(ContextTest, ARevisionIsNotNegativeAndBelowTwoToThe53) {
  api::RequestContext context;
  for (const int64_t revision : {int64_t{-1}, kLeast, int64_t{1} << 53, kMost}) {
    context.minRevision = revision;
    expect_refused(context, ErrorCode::BAD_ARGUMENT,
                   "context.minRevision is " + std::to_string(revision) + ", allowed are 0 to " +
                       std::to_string((int64_t{1} << 53) - 1));
  }
}

// Of a call that opens a session all that names one is ignored: see its test.
TEST_F(ContextTest, ASequenceWithoutASessionIsRefused) {
  api::RequestContext context;
  context.sequence = 7;
  expect_refused(context, ErrorCode::BAD_ARGUMENT,
                 "context.sequence is 7 and context.sessionId 0: only within a session",
                 kNotOpenSession);
  context.sessionId = 5;
  expect_taken(context, "only within a session");
}

TEST_F(ContextTest, ASessionAndItsSequenceAreNotNegativeAndBelowTwoToThe53) {
  for (const int64_t number : {int64_t{-1}, kLeast, int64_t{1} << 53, kMost}) {
    const std::string bounds = std::to_string(number) + ", allowed are 0 to ";
    api::RequestContext context;
    context.sessionId = number;
    expect_refused(context, ErrorCode::BAD_ARGUMENT, "context.sessionId is " + bounds,
                   kNotOpenSession);
    context.sessionId = 5;
    context.sequence = number;
    expect_refused(context, ErrorCode::BAD_ARGUMENT, "context.sequence is " + bounds,
                   kNotOpenSession);
  }
}

TEST_F(ContextTest, WhatNamesASessionIsIgnoredWhereOneIsOpened) {
  api::RequestContext context;
  context.sessionId = -1;
  context.sequence = -1;
  const RpcMethod* open = find_method(client_methods(), "openSession");
  EXPECT_THAT(ask(*open, context).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "secret has 0 bytes, it must have 16"));
}

// The port reads all polls into one object, and a client of an older IDL leaves the number out.
TEST_F(ContextTest, AFieldThatIsLeftOutIsNotAnotherClients) {
  const Client first = cluster.client(1, "first");
  const Client second = cluster.client(1, "second");
  const RpcMethod* poll = find_method(client_methods(), "poll");
  RpcArguments shared;
  api::Holdfast_poll_args numbered;
  numbered.context = first.context();
  numbered.request.pollNumber = 9;
  const Call one = decode_and_ask(*poll, numbered, shared);
  const Call other = ask(*poll, second.context(), shared);
  cluster.settle();
  EXPECT_EQ(one.outcome(), "OK");
  EXPECT_EQ(other.outcome(), "OK");
  numbered.context = second.context();
  numbered.request.pollNumber = 1;
  const Call next = decode_and_ask(*poll, numbered, shared);
  cluster.settle();
  EXPECT_EQ(next.outcome(), "OK") << "its first number";
}

class PollRequestTest : public OneServerTest {
 protected:
  void expect_refused(const api::PollRequest& request, const std::string& text) {
    const Call call = server.poll(client.context(), request);
    EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, text));
    cluster.settle();
  }
  void expect_taken(const api::PollRequest& request) {
    const Call call = server.poll(client.context(), request);
    cluster.settle();
    EXPECT_EQ(call.outcome(), "OK");
  }
  Client client = cluster.client(1, "a");
};

TEST_F(PollRequestTest, AnAcknowledgedDeliveryIsNotNegative) {
  for (const int64_t delivery : {int64_t{-1}, kLeast}) {
    expect_refused(poll_of(0, delivery),
                   "acknowledgedDelivery is " + std::to_string(delivery) + ", allowed are 0 to");
  }
  for (const int64_t delivery : {int64_t{0}, int64_t{1}, kMost}) expect_taken(poll_of(0, delivery));
}

TEST_F(PollRequestTest, AWaitIsNotNegative) {
  for (const int64_t ms : {int64_t{-1}, kLeast}) {
    expect_refused(poll_of(ms), "maxWaitMs is " + std::to_string(ms) + ", allowed are 0 to");
  }
  expect_taken(poll_of(kMost, 0, /*renew_now=*/true));
}

TEST_F(PollRequestTest, ANoticeIsNamedByItsNumber) {
  api::PollRequest request = poll_of(0);
  for (const int64_t notice : {int64_t{0}, int64_t{-1}, int64_t{1} << 53}) {
    request.acknowledgedNotices = {1, notice};
    expect_refused(request, "an acknowledged notice is " + std::to_string(notice) + ", allowed");
  }
  request.acknowledgedNotices = {1, (int64_t{1} << 53) - 1};
  expect_taken(request);
}

/// Numbers of other requests that nothing could be true of.
class RequestCheckTest : public OneServerTest {
 protected:
  template <class Request>
  void expect_refused(void (Engine::*handler)(CallId, const api::RequestContext&, const Request&),
                      const Request& request, const std::string& text,
                      ErrorCode::type code = ErrorCode::BAD_ARGUMENT) {
    const LogIndex before = server.engine().host().applied;
    const Call call = server.ask(handler, client.next(), request);
    cluster.settle();
    ASSERT_TRUE(call.answered()) << text;
    EXPECT_THAT(call.error(), Refuses(code, text));
    EXPECT_EQ(server.engine().host().applied, before);
  }
  static constexpr int64_t kNumbers[] = {-1, kLeast, int64_t{1} << 53, kMost};
  Client client = cluster.client(1, "a");
};

TEST_F(RequestCheckTest, ARevisionThatCannotBeIsRefused) {
  for (const int64_t number : kNumbers) {
    api::WaitForChangeRequest wait;
    wait.path = "/a";
    wait.afterRevision = number;
    expect_refused(&Engine::wait_for_change, wait, "afterRevision is " + std::to_string(number));
    api::WatchRequest watch;
    watch.path = "/a";
    watch.sinceRevision = number;
    expect_refused(&Engine::watch, watch, "sinceRevision is " + std::to_string(number));
  }
}

TEST_F(RequestCheckTest, AWaitForAChangeHasABoundedTime) {
  for (const int64_t ms : {int64_t{-1}, int64_t{60'001}}) {
    api::WaitForChangeRequest wait;
    wait.path = "/a";
    wait.maxWaitMs = ms;
    expect_refused(&Engine::wait_for_change, wait,
                   "maxWaitMs is " + std::to_string(ms) + ", allowed are 0 to 60000");
  }
}

TEST_F(RequestCheckTest, AnIdThatNothingCanHaveIsRefused) {
  for (const int64_t number : kNumbers) {
    api::UnwatchRequest unwatch;
    unwatch.watchId = number;
    expect_refused(&Engine::unwatch, unwatch, "watchId is " + std::to_string(number));
    api::ListSessionsRequest list;
    list.page = number;
    expect_refused(&Engine::list_sessions, list, "page is " + std::to_string(number));
  }
  expect_refused(&Engine::unwatch, api::UnwatchRequest(), "watchId is 0, allowed are 1 to");
}

// Of the other modes these do not get into the command, and the state would not see them.
TEST_F(RequestCheckTest, NoModeTakesPermitsThatAreNegative) {
  for (const auto mode :
       {api::LockMode::EXCLUSIVE, api::LockMode::SHARED, api::LockMode::SEMAPHORE}) {
    api::AcquireRequest one = acquire_of("/a");
    one.mode = mode;
    one.permits = -1;
    expect_refused(&Engine::acquire, one, "permits is -1, allowed are 0 to 2147483647");
    api::AcquireAllRequest all;
    all.locks.resize(2);
    all.locks[1].mode = mode;
    all.locks[1].limit = -3;
    expect_refused(&Engine::acquire_all, all, "limit is -3, allowed are 0 to 2147483647");
  }
}

TEST_F(RequestCheckTest, APageOfLocksIsOfPathsThatCanBe) {
  api::ListLocksRequest list;
  for (const char* prefix : {"jobs", "//", "/a//", "/./", "/../a", "/a\n"}) {
    list.prefix = prefix;
    expect_refused(&Engine::list_locks, list, "is the beginning of no path: path");
  }
  const std::string longest = "/" + std::string(8'191, 'x');
  list.prefix = longest + "x";
  expect_refused(&Engine::list_locks, list, "the limit is 8192", ErrorCode::TOO_LARGE);
  for (const std::string& prefix :
       {std::string(), std::string("/"), std::string("/jobs/"), std::string("/jobs/."), longest}) {
    list.prefix = prefix;
    const Call call = server.ask(&Engine::list_locks, api::RequestContext{}, list);
    cluster.settle();
    EXPECT_EQ(call.outcome(), "OK") << prefix.substr(0, 9);
  }
  list.page = "jobs";
  expect_refused(&Engine::list_locks, list, "path \"jobs\" does not begin with '/'");
}

}  // namespace
}  // namespace holdfast::server
