// Accepts TCP connections on one address.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/net/address.h"
#include "base/net/loop.h"
#include "base/net/socket.h"

namespace holdfast::net {

struct ListenerOptions {
  int backlog = 1024;
  /// Connections beyond this many open ones are accepted and closed at once, so that the other side
  /// knows immediately, and counted in refused(). The same happens when descriptors run out.
  size_t max_connections = 20'000;
  /// Likewise what would leave the process fewer descriptors than this for its own files.
  uint32_t descriptors_kept = 0;
};

class Listener final : private InputSource {
 public:
  /// Called with each connection, on the loop's thread. The socket frees its place when it closes.
  using OnAccept = std::function<void(Socket socket, const Address& peer)>;

  /// Binds and listens. The host must be a literal, "localhost", or "*" for every interface. Port 0
  /// lets the kernel choose. Errors name address and port, and say when another process has it.
  static Result<std::unique_ptr<Listener>> open(Loop& loop, const Address& address,
                                                OnAccept on_accept, ListenerOptions options = {});
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Where it listens, with the port the kernel chose.
  const Address& address() const { return address_; }
  uint16_t port() const { return address_.port; }
  size_t connections() const { return *open_; }
  uint64_t refused() const { return refused_; }

 private:
  Listener(Loop& loop, Socket socket, OnAccept on_accept, ListenerOptions options);
  void accept_ready();
  uint64_t input_waiting() const override;
  bool accept_one();
  bool refuse_for_lack_of_descriptors();
  std::shared_ptr<void> take_slot();

  Loop& loop_;
  Socket socket_;
  Address address_;
  OnAccept on_accept_;
  ListenerOptions options_;
  std::shared_ptr<std::atomic<size_t>> open_;  ///< sockets may close on other threads
  uint64_t refused_ = 0;
  int spare_fd_ = -1;  ///< given up to accept and close one connection when descriptors run out
  bool* destroyed_ = nullptr;  ///< set while accepting, to learn of its own destruction
  std::unique_ptr<FdEvent> event_;
};

}  // namespace holdfast::net
