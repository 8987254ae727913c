#include "base/net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/net/fd_event.h"

namespace holdfast::net {

namespace {

/// So many connections at most are accepted before other sockets get their turn.
constexpr int kAcceptsAtOnce = 64;

Error cannot_listen(const Address& address, int error) {
  if (error == EADDRINUSE) {
    return Error{ErrorCode::kBadArgument,
                 "cannot listen on " + to_string(address) + ": another process has this port"};
  }
  return Error{ErrorCode::kBadArgument,
               "cannot listen on " + to_string(address) + ": " + strerror(error)};
}

Result<Socket> bind_and_listen(const Address& address, const Endpoint& endpoint, int backlog) {
  Socket socket(::socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.open()) return cannot_listen(address, errno);
  const int yes = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const auto* sockaddr = reinterpret_cast<const struct sockaddr*>(endpoint.sockaddr.data());
  const auto size = static_cast<socklen_t>(endpoint.sockaddr.size());
  if (bind(socket.fd(), sockaddr, size) != 0 || listen(socket.fd(), backlog) != 0) {
    return cannot_listen(address, errno);
  }
  return socket;
}

/// Any descriptor will do, as long as it can be given up.
int reserve_descriptor(int like) { return fcntl(like, F_DUPFD_CLOEXEC, 0); }

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, const Address& address,
                                                 OnAccept on_accept, ListenerOptions options) {
  const std::vector<Endpoint> endpoints = literal_endpoints(address);
  if (endpoints.empty()) {
    return Error{ErrorCode::kBadArgument,
                 "cannot listen on " + to_string(address) +
                     ": the host must be an IP address, \"localhost\" or \"*\""};
  }
  Result<Socket> socket = bind_and_listen(address, endpoints.front(), options.backlog);
  for (size_t i = 1; i < endpoints.size() && !socket; ++i) {
    socket = bind_and_listen(address, endpoints[i], options.backlog);
  }
  if (!socket) return socket.error();
  return std::unique_ptr<Listener>(
      new Listener(loop, std::move(*socket), std::move(on_accept), options));
}

Listener::Listener(Loop& loop, Socket socket, OnAccept on_accept, ListenerOptions options)
    : InputSource(loop.mark_),
      loop_(loop),
      socket_(std::move(socket)),
      address_(local_address(socket_.fd())),
      on_accept_(std::move(on_accept)),
      options_(options),
      open_(std::make_shared<std::atomic<size_t>>(0)),
      spare_fd_(reserve_descriptor(socket_.fd())) {
  const auto ready = [](void* self) { static_cast<Listener*>(self)->accept_ready(); };
  event_ = std::make_unique<FdEvent>(loop, ready, this);
  event_->enable(socket_.fd(), FdEvent::Interest::kRead);
}

Listener::~Listener() {
  event_.reset();
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (spare_fd_ >= 0) ::close(spare_fd_);
}

void Listener::accept_ready() {
  bool destroyed = false;
  destroyed_ = &destroyed;
  int accepted = 0;
  while (accepted < kAcceptsAtOnce && accept_one() && !destroyed) ++accepted;
  if (destroyed) return;
  destroyed_ = nullptr;
  if (accepted < kAcceptsAtOnce) return input_ends();
  input_taken(kAcceptsAtOnce);
  loop_.expect_input();
}

// Of a socket that listens the kernel says there how many wait to be accepted.
uint64_t Listener::input_waiting() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(socket_.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_unacked : 0;
}

bool Listener::accept_one() {
  Socket accepted(accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted.open()) {
    if (errno == EMFILE || errno == ENFILE) return refuse_for_lack_of_descriptors();
    return errno == ECONNABORTED || errno == EINTR;
  }
  if (*open_ >= options_.max_connections ||
      !leaves_descriptors(accepted.fd(), options_.descriptors_kept)) {
    ++refused_;
    return true;
  }
  const int fd = accepted.fd();
  on_accept_(Socket(accepted.release(), take_slot()), peer_address(fd));
  return true;
}

bool Listener::refuse_for_lack_of_descriptors() {
  // Without this the pending connection would keep the poll awake and the other side waiting.
  if (spare_fd_ < 0) return false;
  ::close(spare_fd_);
  const int fd = accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    ++refused_;
  }
  spare_fd_ = reserve_descriptor(socket_.fd());
  return fd >= 0;
}

std::shared_ptr<void> Listener::take_slot() {
  ++*open_;
  // The count outlives the listener as long as a connection does.
  return std::shared_ptr<void>(nullptr, [open = open_](void*) { --*open; });
}

}  // namespace holdfast::net
