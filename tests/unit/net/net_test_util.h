// What the socket tests share: a clock moved by hand, a loop driven until something is true, and a
// raw peer that decides about every byte.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/net/frame_connection.h"
#include "base/net/listener.h"
#include "base/net/loop.h"

namespace holdfast::net {

/// The machine's clock plus what the test adds: waiting for a timer takes no time.
class ShiftedClock final : public Clock {
 public:
  Instant now() override { return stopped_.value_or(system_.now()) + (shift_ += each_reading); }
  int64_t wall_unix_ms() override { return system_.wall_unix_ms(); }
  void advance(Duration by) { shift_ += by; }
  /// From now on only what the test adds passes.
  void stop() { stopped_ = system_.now(); }
  /// So much passes from one reading to the next, as if what is done between them took it.
  Duration each_reading{0};

 private:
  SystemClock system_;
  std::optional<Instant> stopped_;
  Duration shift_{0};
};

/// Turns until `done`, at most 10 real seconds.
inline bool run_until(Loop& loop, const std::function<bool()>& done) {
  SystemClock clock;
  const Instant limit = clock.now() + 10s;
  while (!done()) {
    if (clock.now() > limit) return false;
    loop.turn(20ms);
  }
  return true;
}

inline const Address kLoopback{"127.0.0.1", 0};

inline std::string frame_of(std::string_view payload) {
  const uint32_t length = htonl(static_cast<uint32_t>(payload.size()));
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + std::string(payload);
}

/// A blocking socket outside any loop.
class RawPeer {
 public:
  explicit RawPeer(uint16_t port, int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    const int yes = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const timeval limit{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~RawPeer() { close(); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void write(std::string_view bytes) {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::string read(size_t size) {
    std::string bytes(size, '\0');
    const ssize_t got = ::recv(fd_, bytes.data(), size, MSG_WAITALL);
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  void read_all_there_is() {
    std::string bytes(1 << 20, '\0');
    while (::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
  }
  /// The other side closed, and nothing is left to read.
  bool at_end() {
    char byte;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT) == 0;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  int fd_;
  bool connected_ = false;
};

/// Remembers what a connection reported.
class Recorder final : public FrameConnection::Handler {
 public:
  void on_connected(FrameConnection&) override { ++connected; }
  void on_frame(FrameConnection& connection, std::string_view payload) override {
    frames.emplace_back(payload);
    if (react) react(connection, payload);
  }
  void on_closed(FrameConnection& connection, const CloseReason& reason) override {
    closed.push_back(reason);
    if (react_closed) react_closed(connection);
  }
  CloseCause cause() const { return closed.at(0).cause; }
  const std::string& message() const { return closed.at(0).error.message; }

  int connected = 0;
  std::vector<std::string> frames;
  std::vector<CloseReason> closed;
  std::function<void(FrameConnection&, std::string_view)> react;
  std::function<void(FrameConnection&)> react_closed;
};

/// A loop with a listener whose connections report to one recorder.
struct Server {
  explicit Server(FrameOptions with = {}, ListenerOptions listener_options = {}) : options(with) {
    auto opened = Listener::open(
        loop, kLoopback,
        [this](Socket socket, const Address&) {
          connections.push_back(
              std::make_unique<FrameConnection>(loop, std::move(socket), options, recorder));
        },
        listener_options);
    listener = std::move(*opened);
  }
  FrameConnection& only() { return *connections.at(0); }
  bool accepted(size_t count = 1) {
    return run_until(loop, [&] { return connections.size() >= count; });
  }

  ShiftedClock clock;
  Loop loop{clock};
  FrameOptions options;
  Recorder recorder;
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<FrameConnection>> connections;
};

}  // namespace holdfast::net
