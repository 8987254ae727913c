#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>

#include <atomic>

#include "tests/unit/net/net_test_util.h"

namespace {

/// Whether the thread that looked a name up could have been given SIGTERM; -1: none did.
std::atomic<int> was_given_signals{-1};

}  // namespace

// The C library's, which tells besides who called it.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  was_given_signals = sigismember(&blocked, SIGTERM) == 0;
  static const auto next =
      reinterpret_cast<decltype(&::getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(host, service, hints, found);
}

namespace holdfast::net {
namespace {

struct DialTest : testing::Test {
  std::unique_ptr<FrameConnection> dial(const Address& address, FrameOptions options = {}) {
    return FrameConnection::dial(server.loop, address, options, client);
  }
  Address here() const { return server.listener->address(); }

  Server server;
  Recorder client;
};

/// A port on which nobody listens: bound, so that nobody else takes it, but not listening.
struct DeafPort {
  DeafPort() : fd(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any);
  }
  ~DeafPort() { ::close(fd); }
  Address address() const { return local_address(fd); }
  int fd;
};

TEST_F(DialTest, FramesSentBeforeTheConnectionStandsArriveBothWays) {
  server.recorder.react = [](FrameConnection& connection, std::string_view) {
    connection.send("pong");
  };
  auto connection = dial(here());
  connection->send("ping");
  EXPECT_FALSE(connection->connected());
  ASSERT_TRUE(run_until(server.loop, [&] { return client.frames.size() == 1; }));
  EXPECT_EQ(client.connected, 1);
  EXPECT_EQ(server.recorder.frames, std::vector<std::string>{"ping"});
  EXPECT_EQ(client.frames, std::vector<std::string>{"pong"});
  EXPECT_EQ(connection->peer(), here());
}

TEST_F(DialTest, TellsARefusalFromOtherFailures) {
  const DeafPort deaf;
  auto connection = dial(deaf.address());
  EXPECT_TRUE(client.closed.empty()) << "never from inside dial()";
  ASSERT_TRUE(run_until(server.loop, [&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.cause(), CloseCause::kRefused);
  EXPECT_NE(client.message().find(to_string(deaf.address())), std::string::npos);
  EXPECT_EQ(client.connected, 0);
}

TEST_F(DialTest, GivesUpOnAnAddressThatDoesNotAnswer) {
  // A full backlog drops further attempts: nobody answers them.
  DeafPort deaf;
  listen(deaf.fd, 0);
  const RawPeer filler(deaf.address().port);
  std::vector<std::unique_ptr<FrameConnection>> attempts;
  for (int i = 0; i < 4; ++i) attempts.push_back(dial(deaf.address(), {.connect_timeout = 3s}));
  for (int i = 0; i < 5; ++i) server.loop.turn(1ms);
  server.clock.advance(4s);
  ASSERT_TRUE(run_until(server.loop, [&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.cause(), CloseCause::kConnectTimeout);
  EXPECT_NE(client.message().find("3000 ms"), std::string::npos);
}

TEST_F(DialTest, LooksNamesUpWithoutStoppingTheLoop) {
  auto connection = dial({"ip6-localhost.invalid", 1});
  ASSERT_TRUE(run_until(server.loop, [&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.cause(), CloseCause::kConnectFailed);
  EXPECT_NE(client.message().find("ip6-localhost.invalid"), std::string::npos);
}

TEST_F(DialTest, WhoLooksANameUpIsGivenNoSignals) {
  was_given_signals = -1;
  auto connection = dial({"name.invalid", 1});
  ASSERT_TRUE(run_until(server.loop, [&] { return !client.closed.empty(); }));
  EXPECT_EQ(was_given_signals, 0);
  sigset_t here;
  pthread_sigmask(SIG_BLOCK, nullptr, &here);
  EXPECT_EQ(sigismember(&here, SIGTERM), 0) << "who dials goes on as before";
}

TEST_F(DialTest, ReachesLocalhostByName) {
  auto connection = dial({"localhost", here().port});
  EXPECT_TRUE(run_until(server.loop, [&] { return client.connected == 1; }));
}

TEST_F(DialTest, AnAttemptThatIsDroppedReportsNothing) {
  {
    auto connection = dial({"name.invalid", 1});
    server.loop.turn(0ms);
  }
  auto other = dial(here());
  ASSERT_TRUE(run_until(server.loop, [&] { return client.connected == 1; }));
  EXPECT_TRUE(client.closed.empty());
}

TEST_F(DialTest, OutputQueuedWhileDiallingIsBoundedToo) {
  DeafPort deaf;
  listen(deaf.fd, 0);
  const RawPeer filler(deaf.address().port);
  std::vector<std::unique_ptr<FrameConnection>> attempts;
  for (int i = 0; i < 4; ++i) {
    attempts.push_back(dial(deaf.address(), {.max_output_bytes = 1000}));
  }
  server.loop.turn(0ms);
  attempts.back()->send(std::string(2000, 'x'));
  ASSERT_TRUE(run_until(server.loop, [&] { return !client.closed.empty(); }));
  EXPECT_EQ(client.cause(), CloseCause::kOutputOverflow);
}

}  // namespace
}  // namespace holdfast::net
