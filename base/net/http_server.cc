#include "base/net/http_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/net/socket.h"
#include "base/net/timer.h"

namespace holdfast::net {

namespace {

constexpr int kIdleSeconds = 10;
constexpr Duration kPause = 100ms;
constexpr int kHeaderBytesMax = 16 << 10;
constexpr int kBodyBytesMax = 1 << 10;

uint16_t bound_port(evutil_socket_t fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

struct HttpServer::Impl {
  Impl(Loop& loop, Handler answers, uint32_t kept)
      : handler(std::move(answers)), descriptors_kept(kept), go_on(loop, [this] { try_again(); }) {}

  const Handler handler;
  const uint32_t descriptors_kept;
  evhttp* http = nullptr;
  evconnlistener* listener = nullptr;
  uint16_t port = 0;
  Timer go_on;

  ~Impl() {
    if (http != nullptr) evhttp_free(http);
  }

  static void serve(evhttp_request* request, void* self) {
    static_cast<Impl*>(self)->answer(request);
  }

  bool has_room() const {
    const int next = fcntl(evconnlistener_get_fd(listener), F_DUPFD_CLOEXEC, 0);
    if (next >= 0) ::close(next);
    return next >= 0 && leaves_descriptors(next, descriptors_kept);
  }

  /// Whoever is connected is gone after kIdleSeconds at the latest.
  void wait_for_room() {
    evconnlistener_disable(listener);
    go_on.arm_after(kPause);
  }
  void try_again() { has_room() ? void(evconnlistener_enable(listener)) : wait_for_room(); }

  // A connection that finds no descriptor stays where it is: the listener would try it again and
  // again, and nothing else would be done (PROMISE 13).
  static void accept_failed(evconnlistener*, void* self) {
    static_cast<Impl*>(self)->wait_for_room();
  }

  /// One was accepted.
  static bufferevent* begin(event_base* base, void* self) {
    auto* const http = static_cast<Impl*>(self);
    if (!http->has_room()) http->wait_for_room();
    return bufferevent_socket_new(base, -1, 0);
  }

  void answer(evhttp_request* request) {
    const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
    const char* path = uri == nullptr ? nullptr : evhttp_uri_get_path(uri);
    const HttpResponse response = handler(path == nullptr ? "/" : path);
    evbuffer* body = evbuffer_new();
    evbuffer_add(body, response.body.data(), response.body.size());
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                      response.content_type.c_str());
    evhttp_send_reply(request, response.status, nullptr, body);
    evbuffer_free(body);
  }
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
uint16_t HttpServer::port() const { return impl_->port; }

Result<std::unique_ptr<HttpServer>> HttpServer::open(Loop& loop, const Address& address,
                                                     Handler handler, uint32_t descriptors_kept) {
  auto impl = std::make_unique<Impl>(loop, std::move(handler), descriptors_kept);
  impl->http = evhttp_new(loop.base_);
  HF_CHECK(impl->http != nullptr, "evhttp_new failed");
  evhttp_set_allowed_methods(impl->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_max_headers_size(impl->http, kHeaderBytesMax);
  evhttp_set_max_body_size(impl->http, kBodyBytesMax);
  evhttp_set_timeout(impl->http, kIdleSeconds);
  evhttp_set_gencb(impl->http, &Impl::serve, impl.get());
  evhttp_bound_socket* bound =
      evhttp_bind_socket_with_handle(impl->http, address.host.c_str(), address.port);
  if (bound == nullptr) {
    return Error{ErrorCode::kBadArgument,
                 "cannot listen on " + to_string(address) + ": " + std::strerror(errno)};
  }
  impl->port = bound_port(evhttp_bound_socket_get_fd(bound));
  impl->listener = evhttp_bound_socket_get_listener(bound);
  evconnlistener_set_error_cb(impl->listener, &Impl::accept_failed);
  evhttp_set_bevcb(impl->http, &Impl::begin, impl.get());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace holdfast::net
