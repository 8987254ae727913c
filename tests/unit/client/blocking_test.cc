// The blocking library over a server on another thread's loop.
#include <atomic>
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
      const bool refuse = call.request<api::AcquireRequest>().path == "/held";
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
    serving_ = std::thread([this] { loop_.run(); });
  }
  ~BlockingTest() override {
    loop_.stop();
    serving_.join();
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
  std::atomic<int64_t> released_{0};
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

TEST(ConnectTest, AnIllFormedAddressIsRefusedAndNamed) {
  const auto client = Client::connect({.servers = {"nonsense"}});
  ASSERT_FALSE(client.ok());
  EXPECT_NE(client.error().message.find("nonsense"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::client
