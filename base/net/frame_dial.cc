// The dialling half of FrameConnection: look up, try each address, report why none answered.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "base/net/frame_connection.h"
#include "base/net/mailbox.h"
#include "base/signals_blocked.h"

namespace holdfast::net {

namespace {

/// A name server that does not answer must not gather threads without bound.
constexpr int kMaxLookups = 16;

}  // namespace

FrameConnection::FrameConnection(Loop& loop, const Address& address, const FrameOptions& options,
                                 Handler& handler)
    : InputSource(loop.mark_),
      loop_(loop),
      handler_(&handler),
      options_(options),
      peer_(address),
      read_event_(
          loop, [](void* self) { static_cast<FrameConnection*>(self)->on_readable(); }, this),
      write_event_(
          loop, [](void* self) { static_cast<FrameConnection*>(self)->on_writable(); }, this),
      timer_(loop, [this] { check_timers(); }),
      state_(State::kConnecting),
      deferred_(true),
      connect_started_(loop.clock().now()) {
  loop_.defer(this);  // the outcome must not come from inside dial()
  arm_timer();
}

std::unique_ptr<FrameConnection> FrameConnection::dial(Loop& loop, const Address& address,
                                                       const FrameOptions& options,
                                                       Handler& handler) {
  return std::unique_ptr<FrameConnection>(new FrameConnection(loop, address, options, handler));
}

void FrameConnection::start_connecting() {
  endpoints_ = literal_endpoints(peer_);
  if (endpoints_.empty()) {
    look_up();
  } else {
    try_next_endpoint();
  }
}

void FrameConnection::look_up() {
  const std::shared_ptr<Mailbox> mailbox = loop_.mailbox_;
  if (mailbox->lookups.fetch_add(1) >= kMaxLookups) {
    mailbox->lookups.fetch_sub(1);
    fail(
        CloseCause::kConnectFailed, ErrorCode::kOverloaded,
        "was not looked up: " + std::to_string(kMaxLookups) + " names are being looked up already");
    return;
  }
  lookup_ = std::make_shared<FrameConnection*>(this);
  // The answer comes through the mailbox, which outlives loop and connection.
  try {
    const SignalsBlocked blocked;
    std::thread([mailbox, address = peer_, asker = lookup_] {
      Result<std::vector<Endpoint>> found = resolve_blocking(address);
      mailbox->lookups.fetch_sub(1);
      mailbox->post([asker, found = std::move(found)] {
        if (*asker != nullptr) (*asker)->looked_up(found);
      });
    }).detach();
  } catch (const std::system_error& error) {
    mailbox->lookups.fetch_sub(1);
    fail(CloseCause::kConnectFailed, ErrorCode::kOverloaded,
         "was not looked up: no thread could be begun: " + error.code().message());
  }
}

void FrameConnection::looked_up(Result<std::vector<Endpoint>> endpoints) {
  lookup_.reset();
  if (!endpoints) {
    fail(CloseCause::kConnectFailed, endpoints.error().code,
         "was not reached: " + endpoints.error().message);
    return;
  }
  endpoints_ = std::move(*endpoints);
  std::reverse(endpoints_.begin(), endpoints_.end());
  try_next_endpoint();
}

void FrameConnection::try_next_endpoint() {
  const Endpoint endpoint = std::move(endpoints_.back());
  endpoints_.pop_back();
  socket_ = Socket(::socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.open()) return connect_failed(errno);
  set_tcp_options(socket_.fd(), options_.dead_after);
  const auto* sockaddr = reinterpret_cast<const struct sockaddr*>(endpoint.sockaddr.data());
  const auto size = static_cast<socklen_t>(endpoint.sockaddr.size());
  if (connect(socket_.fd(), sockaddr, size) == 0) return opened();
  if (errno != EINPROGRESS) return connect_failed(errno);
  write_event_.enable(socket_.fd(), FdEvent::Interest::kWrite);
}

void FrameConnection::finish_connect() {
  write_event_.disable();
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return connect_failed(error);
  opened();
}

void FrameConnection::connect_failed(int error) {
  socket_.close();
  if (!endpoints_.empty()) return try_next_endpoint();
  const CloseCause cause =
      error == ECONNREFUSED ? CloseCause::kRefused : CloseCause::kConnectFailed;
  fail(cause, ErrorCode::kTimeout, std::string("was not reached: ") + strerror(error));
}

void FrameConnection::opened() {
  state_ = State::kOpen;
  std::vector<Endpoint>().swap(endpoints_);
  last_received_ = loop_.now();
  if (reads()) {
    start_reading();
    input_begins();
  }
  if (!output_.empty()) mark_dirty();
  arm_timer();
  handler_->on_connected(*this);
}

}  // namespace holdfast::net
