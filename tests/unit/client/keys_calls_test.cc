// Every call of the blocking Keys: what it is told reaches the server, and what the server answers
// comes back.
#include <mutex>
#include <thread>

#include "clients/cpp/holdfast.h"
#include "tests/unit/client/fake_server.h"

namespace holdfast::client {
namespace {

api::LockGuard guard_of(const std::string& path, int64_t holder_id) {
  api::LockGuard guard;
  guard.path = path;
  guard.holderId = holder_id;
  return guard;
}

/// A server that remembers the last call and answers it from `script`.
class KeysCallsTest : public testing::Test {
 protected:
  KeysCallsTest() {
    answer<GetKey>([](api::GetResult& result) {
      result.found = true;
      result.key.value = "v";
    });
    answer<GetKeys>([](api::GetManyResult& result) { result.keys.resize(2); });
    answer<ListKeys>([](api::ListKeysResult& result) { result.nextPage = "/k/b"; });
    answer<WaitForChange>([](api::WaitForChangeResult& result) { result.changed = true; });
    answer<PutKey>([](api::PutResult& result) { result.version = 4; });
    answer<CreateKey>([](api::CreateResult& result) { result.path = "/k/n-7"; });
    answer<RemoveKey>([](api::RemoveResult& result) { result.removed = 3; });
    answer<Transact>([](api::TransactResult& result) { result.succeeded = true; });
    serving_ = std::thread([this] { loop_.run(); });
    client_ = std::move(*Client::connect({.servers = {server_.address()}}));
  }
  ~KeysCallsTest() override {
    client_.reset();
    loop_.stop();
    serving_.join();
  }
  template <class Call, class Script>
  void answer(Script script) {
    server_.on(Call::kName, [this, script](Received& call) {
      {
        const std::lock_guard<std::mutex> guard(mutex_);
        last_ = call;
      }
      typename Call::Result result;
      script(result);
      server_.reply(call, result);
    });
  }
  template <class Request>
  Request asked() {
    const std::lock_guard<std::mutex> guard(mutex_);
    return last_.request<Request>();
  }
  int64_t asked_revision() {
    const std::lock_guard<std::mutex> guard(mutex_);
    return last_.context.minRevision;
  }
  Keys keys() { return client_->keys(); }

  SystemClock clock_;
  net::Loop loop_{clock_};
  FakeServer server_{loop_};
  std::mutex mutex_;
  Received last_;
  std::thread serving_;
  std::unique_ptr<Client> client_;
};

TEST_F(KeysCallsTest, Get) {
  const auto got = keys().get("/k", {.consistency = api::Consistency::LOCAL, .stat_only = true});
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(got->found);
  EXPECT_EQ(got->key.value, "v");
  EXPECT_EQ(asked<api::GetRequest>().path, "/k");
  EXPECT_EQ(asked<api::GetRequest>().consistency, api::Consistency::LOCAL);
  EXPECT_TRUE(asked<api::GetRequest>().statOnly);
  ASSERT_TRUE(keys().get("/k").ok());
  EXPECT_EQ(asked<api::GetRequest>().consistency, api::Consistency::LINEARIZABLE);
  EXPECT_FALSE(asked<api::GetRequest>().statOnly);
}

TEST_F(KeysCallsTest, GetMany) {
  const auto got =
      keys().get_many({"/b", "/a"}, {.consistency = api::Consistency::LOCAL, .stat_only = true});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->keys.size(), 2u);
  const auto request = asked<api::GetManyRequest>();
  EXPECT_EQ(request.paths, (std::vector<std::string>{"/b", "/a"}));
  EXPECT_EQ(request.consistency, api::Consistency::LOCAL);
  EXPECT_TRUE(request.statOnly);
}

TEST_F(KeysCallsTest, APageOfAList) {
  const auto page = keys().list_page("/k",
                                     {.subtree = true,
                                      .with_values = true,
                                      .consistency = api::Consistency::LOCAL,
                                      .page_size = 7},
                                     "/k/a");
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->nextPage, "/k/b");
  const auto request = asked<api::ListKeysRequest>();
  EXPECT_EQ(request.path, "/k");
  EXPECT_TRUE(request.subtree);
  EXPECT_TRUE(request.withValues);
  EXPECT_EQ(request.page, "/k/a");
  EXPECT_EQ(request.pageSize, 7);
  EXPECT_EQ(request.consistency, api::Consistency::LOCAL);
}

TEST_F(KeysCallsTest, ARevisionThatAnotherProgramToldOf) {
  ASSERT_TRUE(keys().get("/k", {.min_revision = 4'711}).ok());
  EXPECT_EQ(asked_revision(), 4'711);
  ASSERT_TRUE(keys().get_many({"/k"}, {.min_revision = 4'712}).ok());
  EXPECT_EQ(asked_revision(), 4'712);
  ASSERT_TRUE(keys().list_page("/k", {.min_revision = 4'713}).ok());
  EXPECT_EQ(asked_revision(), 4'713);
  ASSERT_TRUE(keys().get("/k").ok());
  EXPECT_LT(asked_revision(), 4'711) << "no other read is bound to it";
  ASSERT_TRUE(keys().get("/k", {.min_revision = -1}).ok());
  EXPECT_EQ(asked_revision(), -1) << "what cannot be is the server's to refuse";
}

TEST_F(KeysCallsTest, WaitForChange) {
  const auto changed = keys().wait_for_change("/k", 40, 300ms);
  ASSERT_TRUE(changed.ok());
  EXPECT_TRUE(changed->changed);
  const auto request = asked<api::WaitForChangeRequest>();
  EXPECT_EQ(request.path, "/k");
  EXPECT_EQ(request.afterRevision, 40);
  EXPECT_EQ(request.maxWaitMs, 300);
}

TEST_F(KeysCallsTest, Put) {
  const auto put = keys().put(
      "/k", "v", {.expected_version = -1, .make_parents = true, .guard = guard_of("/jobs", 9)});
  ASSERT_TRUE(put.ok());
  EXPECT_EQ(put->version, 4);
  const auto request = asked<api::PutRequest>();
  EXPECT_EQ(request.path, "/k");
  EXPECT_EQ(request.value, "v");
  EXPECT_EQ(request.expectedVersion, -1);
  EXPECT_TRUE(request.makeParents);
  EXPECT_EQ(request.guard, guard_of("/jobs", 9));
}

TEST_F(KeysCallsTest, Create) {
  const auto created = keys().create("/k/n-", "v",
                                     {.kind = api::KeyKind::TTL,
                                      .sequential = true,
                                      .ttl = 5s,
                                      .make_parents = true,
                                      .guard = guard_of("/jobs", 9)});
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(created->path, "/k/n-7");
  const auto request = asked<api::CreateRequest>();
  EXPECT_EQ(request.path, "/k/n-");
  EXPECT_EQ(request.value, "v");
  EXPECT_EQ(request.kind, api::KeyKind::TTL);
  EXPECT_TRUE(request.sequential);
  EXPECT_EQ(request.ttlMs, 5'000);
  EXPECT_TRUE(request.makeParents);
  EXPECT_EQ(request.guard, guard_of("/jobs", 9));
}

TEST_F(KeysCallsTest, Remove) {
  const auto removed = keys().remove(
      "/k", {.expected_version = 3, .recursive = true, .guard = guard_of("/jobs", 9)});
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(removed->removed, 3);
  const auto request = asked<api::RemoveRequest>();
  EXPECT_EQ(request.path, "/k");
  EXPECT_EQ(request.expectedVersion, 3);
  EXPECT_TRUE(request.recursive);
  EXPECT_EQ(request.guard, guard_of("/jobs", 9));
}

TEST_F(KeysCallsTest, ATransactionIsSentAsItIs) {
  api::TransactRequest request;
  request.compares.resize(1);
  request.compares[0].target = api::CompareTarget::HOLDS;
  request.compares[0].path = "/jobs";
  request.compares[0].number = 9;
  request.thenOperations.resize(1);
  request.thenOperations[0].put.path = "/k";
  request.thenOperations[0].__isset.put = true;
  const auto done = keys().transact(request);
  ASSERT_TRUE(done.ok());
  EXPECT_TRUE(done->succeeded);
  EXPECT_EQ(asked<api::TransactRequest>(), request);
}

}  // namespace
}  // namespace holdfast::client
