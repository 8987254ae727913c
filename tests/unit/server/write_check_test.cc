// Writes of keys that can never be right: refused before an entry is written, also where the state
// would not have looked.
#include <functional>

#include "coordinator/rsm/path.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

/// Longer than any setting allows, and what is said of it.
const std::string kLong = "/" + std::string(8'192, 'x');
const std::string kLongPath = "path " + rsm::quote(kLong) + " has 8193 bytes, the limit is 8192";

api::PutRequest put_of(const std::string& path) {
  api::PutRequest request;
  request.path = path;
  return request;
}

api::CreateRequest create_of(const std::string& path, api::KeyKind::type kind) {
  api::CreateRequest request;
  request.path = path;
  request.kind = kind;
  return request;
}

api::RemoveRequest remove_of(const std::string& path) {
  api::RemoveRequest request;
  request.path = path;
  return request;
}

api::LockGuard guard_of(const std::string& path, int64_t holder) {
  api::LockGuard guard;
  guard.path = path;
  guard.holderId = holder;
  return guard;
}

api::Operation step(const api::PutRequest& put) {
  api::Operation operation;
  operation.__set_put(put);
  return operation;
}
api::Operation step(const api::CreateRequest& create) {
  api::Operation operation;
  operation.__set_create(create);
  return operation;
}
api::Operation step(const api::RemoveRequest& remove) {
  api::Operation operation;
  operation.__set_remove(remove);
  return operation;
}

api::Compare exists(api::CompareRelation::type relation, int64_t number = 1) {
  api::Compare compare;
  compare.target = api::CompareTarget::EXISTS;
  compare.relation = relation;
  compare.path = "/no-such-key";
  compare.number = number;
  return compare;
}

/// A step and what is said of it.
struct Bad {
  api::Operation operation;
  ErrorCode::type code;
  std::string text;
};

class WriteCheckTest : public OneServerTest {
 protected:
  template <class Request>
  void expect_refused(void (Engine::*handler)(CallId, const api::RequestContext&, const Request&),
                      const Request& request, ErrorCode::type code, const std::string& text,
                      const api::RequestContext& context = {}) {
    const LogIndex before = server.engine().host().applied;
    const Call call = server.ask(handler, context, request);
    if (context.sequence != 0) cluster.settle();
    ASSERT_TRUE(call.answered()) << text;
    EXPECT_THAT(call.error(), Refuses(code, text));
    EXPECT_EQ(call.error().applied, api::Applied::NO);
    cluster.settle();
    EXPECT_EQ(server.engine().host().applied, before);
  }
  /// Wherever it stands, and whichever of the lists is done.
  void expect_step_refused(const Bad& bad) {
    api::TransactRequest done;
    done.thenOperations = {step(put_of("/good")), bad.operation};
    expect_refused(&Engine::transact, done, bad.code, "thenOperations[1]: " + bad.text);
    api::TransactRequest not_done;
    not_done.thenOperations = {step(put_of("/good"))};
    not_done.otherwiseOperations = {bad.operation};
    expect_refused(&Engine::transact, not_done, bad.code, "otherwiseOperations[0]: " + bad.text);
  }
  std::string outcome(const api::TransactRequest& request, const api::RequestContext& context) {
    const Call call = server.ask(&Engine::transact, context, request);
    cluster.settle();
    return call.outcome();
  }
};

TEST_F(WriteCheckTest, BothListsOfATransactionAreJudged) {
  api::PutRequest version = put_of("/a");
  version.expectedVersion = -2;
  api::PutRequest large = put_of("/a");
  large.value.resize((1 << 20) + 1);
  api::RemoveRequest none = remove_of("/a");
  none.expectedVersion = -1;
  api::CreateRequest ttl = create_of("/a", api::KeyKind::PERSISTENT);
  ttl.ttlMs = 5;
  api::PutRequest guarded = put_of("/a");
  guarded.guard = guard_of("/lock", 5);
  const std::vector<Bad> all = {
      {step(put_of("a")), ErrorCode::BAD_ARGUMENT, "path \"a\" does not begin with '/'"},
      {step(remove_of("/")), ErrorCode::BAD_ARGUMENT, "path \"/\" has an empty segment"},
      {step(create_of(kLong, api::KeyKind::PERSISTENT)), ErrorCode::TOO_LARGE, kLongPath},
      {step(version), ErrorCode::BAD_ARGUMENT, "expectedVersion is -2, allowed are -1 to"},
      {step(large), ErrorCode::TOO_LARGE,
       "the value of key \"/a\" has 1048577 bytes, the limit is 1048576"},
      {step(none), ErrorCode::BAD_ARGUMENT, "expectedVersion is -1, allowed are 0 to"},
      {step(ttl), ErrorCode::BAD_ARGUMENT, "ttlMs is 5, allowed are 0 to 0"},
      {step(create_of("/a", api::KeyKind::TTL)), ErrorCode::BAD_ARGUMENT, "ttlMs is 0, allowed"},
      {step(create_of("/a", static_cast<api::KeyKind::type>(9))), ErrorCode::UNSUPPORTED,
       "there is no kind of key 9"},
      {step(create_of("/a", api::KeyKind::EPHEMERAL)), ErrorCode::BAD_ARGUMENT,
       "an ephemeral key needs a session"},
      {step(guarded), ErrorCode::BAD_ARGUMENT, "a guard needs a session"},
      {api::Operation(), ErrorCode::BAD_ARGUMENT, "an operation is one of put, create and remove"},
  };
  for (const Bad& bad : all) expect_step_refused(bad);
}

// What a setting allows is for the state to say: settings here may be behind the leader's.
TEST_F(WriteCheckTest, WhatSettingsLimitIsJudgedOfTheListThatIsDone) {
  const api::CreateRequest deep =
      create_of("/" + std::string(1'024, 'x'), api::KeyKind::PERSISTENT);
  api::TransactRequest request;
  request.otherwiseOperations = {step(deep)};
  EXPECT_EQ(outcome(request, {}), "OK");
  std::swap(request.thenOperations, request.otherwiseOperations);
  EXPECT_EQ(outcome(request, {}), "TOO_LARGE");
}

TEST_F(WriteCheckTest, AGuardsPathAndHolderAreJudged) {
  Client client = cluster.client(1, "a");
  const auto all = [&](const api::LockGuard& guard, ErrorCode::type code, const std::string& text) {
    api::PutRequest put = put_of("/a");
    put.guard = guard;
    expect_refused(&Engine::put, put, code, text, client.next());
    api::CreateRequest create = create_of("/a", api::KeyKind::PERSISTENT);
    create.guard = guard;
    expect_refused(&Engine::create, create, code, text, client.next());
    api::RemoveRequest remove = remove_of("/a");
    remove.guard = guard;
    expect_refused(&Engine::remove, remove, code, text, client.next());
    api::TransactRequest transact;
    transact.otherwiseOperations = {step(put), step(create), step(remove)};
    expect_refused(&Engine::transact, transact, code, "otherwiseOperations[0]: " + text,
                   client.next());
  };
  all(guard_of("lock", 5), ErrorCode::BAD_ARGUMENT, "guard: path \"lock\" does not begin with '/'");
  all(guard_of("/lock/", 5), ErrorCode::BAD_ARGUMENT,
      "guard: path \"/lock/\" has an empty segment");
  all(guard_of(kLong, 5), ErrorCode::TOO_LARGE, "guard: " + kLongPath);
  all(guard_of("/lock", -5), ErrorCode::BAD_ARGUMENT, "guard.holderId is -5, allowed are 1 to");
  all(guard_of("/lock", 0), ErrorCode::BAD_ARGUMENT, "guard.holderId is 0, allowed are 1 to");
  all(guard_of("", 5), ErrorCode::BAD_ARGUMENT, "guard.holderId is 5 and guard.path is empty");
  api::PutRequest put = put_of("/a");
  put.guard = guard_of("/lock", 5);
  const Call not_held = server.ask(&Engine::put, client.next(), put);
  cluster.settle();
  EXPECT_EQ(not_held.outcome(), "NOT_HELD") << "that is for the state to say";
}

TEST_F(WriteCheckTest, WhetherAKeyExistsIsComparedByEqualityOnly) {
  using Relation = api::CompareRelation;
  api::TransactRequest request;
  const auto refused = [&](const api::Compare& compare, const std::string& text) {
    request.compares = {exists(Relation::EQUAL), compare};
    expect_refused(&Engine::transact, request, ErrorCode::BAD_ARGUMENT, "compares[1]: " + text);
  };
  refused(exists(Relation::LESS), "EXISTS of \"/no-such-key\" has the relation LESS, allowed are");
  refused(exists(Relation::GREATER), "EXISTS of \"/no-such-key\" has the relation GREATER");
  refused(exists(Relation::EQUAL, 2), "EXISTS.number is 2, allowed are 0 to 1");
  refused(exists(Relation::NOT_EQUAL, -1), "EXISTS.number is -1, allowed are 0 to 1");
  for (const int64_t number : {0, 1}) {
    for (const auto relation : {Relation::UNSPECIFIED, Relation::EQUAL, Relation::NOT_EQUAL}) {
      request.compares = {exists(relation, number)};
      EXPECT_EQ(outcome(request, {}), "OK");
    }
  }
  api::Compare version = exists(Relation::LESS);
  version.target = api::CompareTarget::VERSION;
  request.compares = {version};
  EXPECT_EQ(outcome(request, {}), "OK") << "numbers have an order";
}

}  // namespace
}  // namespace holdfast::server
