#include "base/net/listener.h"

#include <sys/resource.h>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

TEST(Listener, ReportsThePortTheKernelChose) {
  Server server;
  EXPECT_NE(server.listener->port(), 0);
  RawPeer peer(server.listener->port());
  EXPECT_TRUE(peer.connected());
  EXPECT_TRUE(server.accepted());
}

TEST(Listener, NamesTheAddressWhosePortIsTaken) {
  Server server;
  const Address taken{"127.0.0.1", server.listener->port()};
  const auto second = Listener::open(server.loop, taken, [](Socket, const Address&) {});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(to_string(taken)), std::string::npos);
  EXPECT_NE(second.error().message.find("another process has this port"), std::string::npos);
}

TEST(Listener, RefusesToListenOnAName) {
  Server server;
  const auto opened =
      Listener::open(server.loop, {"example.org", 0}, [](Socket, const Address&) {});
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("example.org:0"), std::string::npos);
}

TEST(Listener, ListensOnEveryInterfaceAndOnIPv6) {
  Server server;
  for (const char* host : {"*", "0.0.0.0", "::1"}) {
    const auto opened = Listener::open(server.loop, {host, 0}, [](Socket, const Address&) {});
    EXPECT_TRUE(opened.ok()) << host << ": " << opened.error().message;
  }
}

TEST(Listener, ClosesConnectionsBeyondTheLimitAtOnceAndTakesOthersWhenPlacesFreeUp) {
  Server server({}, {.max_connections = 2});
  const uint16_t port = server.listener->port();
  RawPeer first(port), second(port), third(port);
  ASSERT_TRUE(server.accepted(2));
  ASSERT_TRUE(run_until(server.loop, [&] { return server.listener->refused() == 1; }));
  EXPECT_EQ(third.read(1), "") << "closed, not left waiting";
  EXPECT_EQ(server.listener->connections(), 2u);
  first.close();
  ASSERT_TRUE(run_until(server.loop, [&] { return server.listener->connections() == 1; }));
  RawPeer fourth(port);
  ASSERT_TRUE(server.accepted(3));
  fourth.write(frame_of("hello"));
  EXPECT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == 1; }));
}

TEST(Listener, RefusesCleanlyWhenDescriptorsRunOut) {
  Server server;
  RawPeer waiting(server.listener->port());
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = dup(0);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const bool refused = run_until(server.loop, [&] { return server.listener->refused() > 0; });
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(refused);
  EXPECT_EQ(waiting.read(1), "");
  RawPeer later(server.listener->port());
  EXPECT_TRUE(server.accepted());
}

TEST(Listener, LeavesTheProcessTheDescriptorsThatAreKeptForIt) {
  Server server({}, {.descriptors_kept = 8});
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  RawPeer waiting(server.listener->port());
  const int next = dup(0);
  ::close(next);
  const auto limit_to = [&before](int count) {
    const rlimit limit{static_cast<rlim_t>(count), before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
  };
  limit_to(next + 8);
  const bool refused = run_until(server.loop, [&] { return server.listener->refused() > 0; });
  limit_to(next + 10);  // one for the peer's own end
  RawPeer later(server.listener->port());
  const bool accepted = server.accepted();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(refused);
  EXPECT_EQ(waiting.read(1), "") << "closed, not left waiting";
  EXPECT_TRUE(accepted);
}

TEST(Listener, KeepsTheCountOfConnectionsThatOutliveIt) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  server.listener.reset();
  peer.close();
  EXPECT_TRUE(run_until(server.loop, [&] { return server.recorder.closed.size() == 1; }));
}

}  // namespace
}  // namespace holdfast::net
