#include "base/net/socket.h"

#include <netinet/tcp.h>

#include <map>
#include <vector>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}

TEST(Socket, HalfOpenConnectionsAreGivenUpByTheKernel) {
  const Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  set_tcp_options(socket.fd(), 8s);
  EXPECT_EQ(option(socket.fd(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(socket.fd(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(socket.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT), 8'000);
  const int until_dead = option(socket.fd(), IPPROTO_TCP, TCP_KEEPIDLE) +
                         option(socket.fd(), IPPROTO_TCP, TCP_KEEPINTVL) *
                             option(socket.fd(), IPPROTO_TCP, TCP_KEEPCNT);
  EXPECT_LE(until_dead, 8);
}

TEST(Socket, ConnectionsMadeTogetherAreNotProbedTogether) {
  std::vector<Socket> sockets;
  std::map<int, int> by_idle_time;
  for (int i = 0; i < 64; ++i) {
    sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    set_tcp_options(sockets.back().fd(), 60s);
    ++by_idle_time[option(sockets.back().fd(), IPPROTO_TCP, TCP_KEEPIDLE)];
  }
  EXPECT_EQ(by_idle_time.size(), 16u) << "15 s to 30 s";
  for (const auto& [seconds, count] : by_idle_time) EXPECT_LE(count, 5) << seconds;
}

TEST(Socket, MovesItsDescriptorAndClosesItOnce) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int freed = 0;
  {
    Socket first(fd, std::shared_ptr<void>(nullptr, [&](void*) { ++freed; }));
    Socket second = std::move(first);
    Socket third;
    third = std::move(second);
    EXPECT_EQ(third.fd(), fd);
    EXPECT_EQ(freed, 0);
  }
  EXPECT_EQ(freed, 1);
  EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), -1) << "closed";
}

TEST(Socket, KnowsLiteralsWithoutANameServer) {
  EXPECT_EQ(literal_endpoints({"127.0.0.1", 80}).at(0).family(), AF_INET);
  EXPECT_EQ(literal_endpoints({"::1", 80}).at(0).family(), AF_INET6);
  EXPECT_EQ(literal_endpoints({"localhost", 80}).at(0).family(), AF_INET);
  EXPECT_TRUE(literal_endpoints({"db.example.org", 80}).empty());
}

TEST(Socket, AFailedLookUpNamesTheHost) {
  const auto found = resolve_blocking({"no-such-host.invalid", 80});
  ASSERT_FALSE(found.ok());
  EXPECT_NE(found.error().message.find("no-such-host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::net
