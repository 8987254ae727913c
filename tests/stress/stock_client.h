// A client as strangers write it: the generated code over a blocking socket, and the bare socket
// for everything that no generated client does.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gen/cpp/Holdfast.h"
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/holdfast_types.tcc"

namespace holdfast::stress {

namespace tt = apache::thrift::transport;
namespace tp = apache::thrift::protocol;

constexpr int kPatienceMs = 20'000;

/// 16 bytes that no other session of the test has.
inline std::string secret_of(uint64_t number) {
  std::string secret = std::to_string(number);
  secret.resize(16, '.');
  return secret;
}

struct StockClient {
  explicit StockClient(uint16_t port)
      : socket(std::make_shared<tt::TSocket>("127.0.0.1", port)),
        framed(std::make_shared<tt::TFramedTransport>(socket)),
        api(std::make_shared<tp::TBinaryProtocol>(framed)) {
    socket->setRecvTimeout(kPatienceMs);
    socket->setSendTimeout(kPatienceMs);
    framed->open();
  }

  /// The context for calls of a new session.
  api::RequestContext open_session(uint64_t number, int64_t ttl_ms = 60'000) {
    api::OpenSessionRequest request;
    request.ttlMs = ttl_ms;
    request.name = "stress";
    request.secret = secret_of(number);
    api::OpenSessionResult opened;
    api.openSession(opened, {}, request);
    api::RequestContext context;
    context.sessionId = opened.sessionId;
    context.sessionSecret = request.secret;
    return context;
  }

  std::shared_ptr<tt::TSocket> socket;
  std::shared_ptr<tt::TFramedTransport> framed;
  api::HoldfastClient api;
};

/// One call as a frame with the length in front.
template <class Send>
std::string frame_of_call(Send&& send) {
  auto memory = std::make_shared<tt::TMemoryBuffer>();
  api::HoldfastClient client(
      std::make_shared<tp::TBinaryProtocol>(std::make_shared<tt::TFramedTransport>(memory)));
  send(client);
  return memory->getBufferAsString();
}

/// A blocking socket; reads give up after kPatienceMs.
class BareSocket {
 public:
  explicit BareSocket(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    const timeval limit{kPatienceMs / 1000, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~BareSocket() { ::close(fd_); }
  BareSocket(const BareSocket&) = delete;
  BareSocket& operator=(const BareSocket&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool write(std::string_view bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  /// The payload of the next frame; empty at the end of the connection.
  std::string read_frame() {
    uint32_t length = 0;
    if (::recv(fd_, &length, sizeof length, MSG_WAITALL) != sizeof length) return {};
    std::string payload(ntohl(length), '\0');
    const ssize_t got = ::recv(fd_, payload.data(), payload.size(), MSG_WAITALL);
    return got == static_cast<ssize_t>(payload.size()) ? payload : std::string();
  }
  /// True if the other side ended the connection, after whatever it still sent.
  bool read_to_end() {
    char bytes[4096];
    ssize_t got = 0;
    do got = ::recv(fd_, bytes, sizeof bytes, 0);
    while (got > 0);
    return got == 0 || errno == ECONNRESET;
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  /// The close that follows is a reset.
  void reset_on_close() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }

 private:
  int fd_;
  bool connected_ = false;
};

}  // namespace holdfast::stress
