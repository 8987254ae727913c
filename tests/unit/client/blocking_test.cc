// The blocking library over a server on another thread's loop.
#include <signal.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>

#include "clients/cpp/holdfast.h"
#include "tests/unit/client/fake_server.h"

namespace holdfast::client {
namespace {

/// Grants everything and remembers what was released.
class BlockingTest : public testing::Test {
 protected:
  BlockingTest() {
    server_.on("openSession", [this](Received& call) {
      api::OpenSessionResult result;
      result.sessionId = 500;
      result.ttlMs = 8'000;
      result.leaseMs = 7'000;
      server_.reply(call, result);
    });
    server_.on("acquire", [this](Received& call) {
      api::AcquireResult result;
      const std::string path = call.request<api::AcquireRequest>().path;
      if (path == "/ended") {
        return server_.refuse(call, api::ErrorCode::SESSION_EXPIRED, false);
      }
      const bool refuse = path == "/held";
      result.status = refuse ? api::AcquireStatus::NOT_GRANTED : api::AcquireStatus::GRANTED;
      result.holderId = 600;
      result.token = 601;
      server_.reply(call, result);
    });
    server_.on("release", [this](Received& call) {
      released_ = call.request<api::ReleaseRequest>().holderId;
      api::ReleaseResult result;
      result.status = api::ReleaseStatus::RELEASED;
      server_.reply(call, result);
    });
    server_.on("closeSession", [this](Received& call) {
      ++closed_;
      server_.reply(call, api::CloseSessionResult());
    });
    script_keys();
    serving_ = std::thread([this] { loop_.run(); });
  }
  ~BlockingTest() override {
    loop_.stop();
    serving_.join();
  }
  /// One key /k, two pages below it, and a watch that is told once.
  void script_keys() {
    server_.on("put", [this](Received& call) {
      api::PutResult result;
      result.version = call.context.sessionId == 0 ? 1 : 2;
      server_.reply(call, result);
    });
    server_.on("listKeys", [this](Received& call) {
      const bool first = call.request<api::ListKeysRequest>().page.empty();
      api::ListKeysResult result;
      result.keys.resize(1);
      result.keys[0].path = first ? "/k/a" : "/k/b";
      result.nextPage = first ? "/k/a" : "";
      server_.reply(call, result);
    });
    server_.on("poll", [this](Received& call) {
      const auto request = call.request<api::PollRequest>();
      if (request.acknowledgedDelivery == 0) return answer_poll(call, 1, {});
      parked_ = call;
      tell_once();
    });
    server_.on("watch", [this](Received& call) {
      api::WatchResult result;
      result.watchId = 7;
      result.revision = 40;
      if (call.request<api::WatchRequest>().path == "/refused") {
        return server_.refuse(call, api::ErrorCode::LIMIT_EXCEEDED, false);
      }
      server_.reply(call, result);
      watched_ = true;
      tell_once();
    });
    server_.on("unwatch", [this](Received& call) {
      ++unwatched_;
      server_.reply(call, api::UnwatchResult());
    });
  }
  /// When the watch stands and a poll is parked, whichever comes first.
  void tell_once() {
    if (!watched_ || !parked_) return;
    watched_ = false;
    answer_poll(*parked_, 2, 50);
  }
  void answer_poll(const Received& call, int64_t delivery, std::optional<int64_t> event_at) {
    api::PollResult result;
    result.leaseMs = 7'000;
    result.delivery = delivery;
    if (event_at) {
      result.watches.resize(1);
      result.watches[0].watchId = 7;
      result.watches[0].revision = *event_at;
      result.watches[0].events.resize(1);
    }
    server_.reply(call, result);
  }
  Session open(Client& client) {
    auto session = client.open_session({.ttl = 8s});
    EXPECT_TRUE(session.ok());
    return *session;
  }

  SystemClock clock_;
  net::Loop loop_{clock_};
  FakeServer server_{loop_};
  std::thread serving_;
  std::optional<Received> parked_;
  bool watched_ = false;
  std::atomic<int64_t> released_{0};
  std::atomic<int> unwatched_{0};
  std::atomic<int> closed_{0};
};

TEST_F(BlockingTest, AGuardHoldsChecksAndReleases) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  auto lock = session.acquire("/a");
  ASSERT_TRUE(lock.ok() && *lock);
  EXPECT_EQ(lock->token(), 601);
  EXPECT_TRUE(lock->check());
  EXPECT_GT(lock->remaining(), 5s);
  EXPECT_LE(lock->remaining(), 7s);
  EXPECT_EQ(*lock->release(), api::ReleaseStatus::RELEASED);
  EXPECT_FALSE(lock->check());
  EXPECT_EQ(released_, 600);
}

TEST_F(BlockingTest, AGuardThatGoesOutOfScopeIsGivenBackBeforeTheSessionCloses) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  { auto lock = session.acquire("/a"); }
  EXPECT_TRUE(session.close().ok());
  EXPECT_EQ(released_, 600);
}

TEST_F(BlockingTest, ASessionIsClosedWhenItsLastHandleGoesEvenIfTheClientGoesRightAfter) {
  {
    auto client = Client::connect({.servers = {server_.address()}});
    const Session session = open(**client);
  }
  EXPECT_EQ(closed_, 1);
}

// The last handle then goes on the library's own thread, which cannot wait for its own end.
TEST_F(BlockingTest, ACallbackMayHoldTheLastHandleOfItsSession) {
  auto sentinel = std::make_shared<int>(0);
  const std::weak_ptr<int> gone = sentinel;
  {
    auto client = Client::connect({.servers = {server_.address()}});
    Session session = open(**client);
    auto lock = session.acquire("/a");
    ASSERT_TRUE(lock.ok() && *lock);
    lock->on_lost([sentinel = std::move(sentinel), session](LostReason) {});
  }
  while (!gone.expired()) std::this_thread::yield();
}

TEST_F(BlockingTest, ARefusedAcquireIsAGuardThatIsFalse) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  auto lock = session.acquire("/held", {.wait_ms = 0});
  ASSERT_TRUE(lock.ok());
  EXPECT_FALSE(static_cast<bool>(*lock));
  EXPECT_FALSE(lock->check());
  EXPECT_EQ(lock->refusal().status, api::AcquireStatus::NOT_GRANTED);
}

TEST_F(BlockingTest, WhoAsksAfterTheEndOfASessionIsToldOfItAtOnce) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  const auto lock = session.acquire("/ended");
  ASSERT_FALSE(lock.ok());
  std::promise<ErrorCode> told;
  auto code = told.get_future();
  session.on_ended([&](const CallError& error) { told.set_value(error.code); });
  ASSERT_EQ(code.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(code.get(), ErrorCode::kSessionExpired);
}

TEST_F(BlockingTest, SignalsAreLeftToTheThreadsOfTheProgram) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  std::promise<sigset_t> told;
  ASSERT_FALSE(session.acquire("/ended").ok());
  session.on_ended([&](const CallError&) {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    told.set_value(blocked);
  });
  const sigset_t there = told.get_future().get();
  sigset_t here;
  pthread_sigmask(SIG_BLOCK, nullptr, &here);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1}) {
    EXPECT_EQ(sigismember(&there, signal), 1) << signal;
    EXPECT_EQ(sigismember(&here, signal), 0) << signal;
  }
  EXPECT_EQ(sigismember(&there, SIGSEGV), 0);
}

TEST_F(BlockingTest, KeysAreWrittenWithASessionOrWithoutOne) {
  auto client = Client::connect({.servers = {server_.address()}});
  const Session session = open(**client);
  EXPECT_EQ((*client)->keys().put("/k", "v")->version, 1);
  EXPECT_EQ(session.keys().put("/k", "v")->version, 2);
}

TEST_F(BlockingTest, AListHasAllItsPages) {
  auto client = Client::connect({.servers = {server_.address()}});
  const auto keys = (*client)->keys().list("/k");
  ASSERT_TRUE(keys.ok());
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].path, "/k/a");
  EXPECT_EQ((*keys)[1].path, "/k/b");
}

TEST_F(BlockingTest, AWatchTellsUntilItsGuardGoes) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  std::promise<int64_t> told;
  {
    auto watch = session.watch(
        "/k", {}, {.told = [&](const WatchBatch& batch) { told.set_value(batch.revision); }});
    ASSERT_TRUE(watch.ok());
    EXPECT_EQ(watch->revision(), 40);
    EXPECT_EQ(told.get_future().get(), 50);
  }
  EXPECT_TRUE(session.close().ok());
  EXPECT_EQ(unwatched_, 1);
}

TEST_F(BlockingTest, ARefusedWatchIsAnError) {
  auto client = Client::connect({.servers = {server_.address()}});
  Session session = open(**client);
  bool ended = false;
  const auto watch =
      session.watch("/refused", {}, {.ended = [&](const CallError&) { ended = true; }});
  ASSERT_FALSE(watch.ok());
  EXPECT_EQ(watch.error().code, ErrorCode::kLimitExceeded);
  EXPECT_TRUE(session.close().ok());
  EXPECT_FALSE(ended);
}

TEST(ConnectTest, AnIllFormedAddressIsRefusedAndNamed) {
  const auto client = Client::connect({.servers = {"nonsense"}});
  ASSERT_FALSE(client.ok());
  EXPECT_NE(client.error().message.find("nonsense"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::client
