#include "base/net/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace holdfast::net {

namespace {

template <class Sockaddr>
Endpoint endpoint_of(const Sockaddr& sockaddr) {
  return Endpoint{std::string(reinterpret_cast<const char*>(&sockaddr), sizeof sockaddr)};
}

Endpoint ipv4(in_addr host, uint16_t port) {
  sockaddr_in sockaddr{};
  sockaddr.sin_family = AF_INET;
  sockaddr.sin_port = htons(port);
  sockaddr.sin_addr = host;
  return endpoint_of(sockaddr);
}

Endpoint ipv6(in6_addr host, uint16_t port) {
  sockaddr_in6 sockaddr{};
  sockaddr.sin6_family = AF_INET6;
  sockaddr.sin6_port = htons(port);
  sockaddr.sin6_addr = host;
  return endpoint_of(sockaddr);
}

Address address_of(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return Address{text, ntohs(v4.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return Address{text, ntohs(v6.sin6_port)};
  }
  return Address{"unknown", 0};
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

Address name_of(int fd, NameCall call) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (call(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return Address{"unknown", 0};
  return address_of(storage);
}

void set_option(int fd, int level, int name, int value) {
  // Best effort: a socket without the option still works, only less quickly.
  setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  slot_ = std::move(other.slot_);
  return *this;
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  slot_.reset();
}

int Endpoint::family() const {
  return reinterpret_cast<const struct sockaddr*>(sockaddr.data())->sa_family;
}

std::vector<Endpoint> literal_endpoints(const Address& address) {
  in_addr v4;
  in6_addr v6;
  if (address.host == "localhost") {
    v4.s_addr = htonl(INADDR_LOOPBACK);
    return {ipv4(v4, address.port)};
  }
  if (address.host == "*") {
    v4.s_addr = htonl(INADDR_ANY);  // for hosts without IPv6
    return {ipv6(in6addr_any, address.port), ipv4(v4, address.port)};
  }
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return {ipv4(v4, address.port)};
  if (inet_pton(AF_INET6, address.host.c_str(), &v6) == 1) return {ipv6(v6, address.port)};
  return {};
}

Result<std::vector<Endpoint>> resolve_blocking(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int problem = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (problem != 0) {
    return Error{ErrorCode::kBadArgument,
                 "cannot resolve \"" + address.host + "\": " + gai_strerror(problem)};
  }
  std::vector<Endpoint> endpoints;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const auto* bytes = reinterpret_cast<const char*>(each->ai_addr);
    endpoints.push_back(Endpoint{std::string(bytes, each->ai_addrlen)});
  }
  freeaddrinfo(found);
  return endpoints;
}

Address peer_address(int fd) { return name_of(fd, &getpeername); }
Address local_address(int fd) { return name_of(fd, &getsockname); }

// A new descriptor is the lowest that is free (open(2)), so at most those above it are left. The
// limit is asked for each time: it can be changed while the process runs (prlimit(1)).
bool leaves_descriptors(int fd, uint32_t kept) {
  rlimit limit{};
  if (kept == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
  return limit.rlim_cur == RLIM_INFINITY || static_cast<rlim_t>(fd) + kept < limit.rlim_cur;
}

void set_tcp_options(int fd, Duration dead_after) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (dead_after <= Duration{0}) return;
  // Idle for a quarter to half of the time, then a probe every eighth. Where in between is told by
  // the descriptor: thousands of connections that were made together must not probe together, for
  // ever, in bursts that no queue takes. With unacknowledged data: the user timeout.
  constexpr int kProbes = 4;
  const auto seconds = static_cast<int>(dead_after / 1s);
  const int idle = std::max(1, seconds / 4) + fd % (seconds / 4 + 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 8));
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(to_ms(dead_after)));
}

}  // namespace holdfast::net
