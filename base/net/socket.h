// File descriptors with an owner, and the few socket calls that connections and listeners share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/net/address.h"
#include "base/time.h"

namespace holdfast::net {

/// Owns one descriptor, and for accepted connections the place in the listener's count.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd, std::shared_ptr<void> slot = nullptr) : fd_(fd), slot_(std::move(slot)) {}
  Socket(Socket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), slot_(std::move(other.slot_)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }
  void close();
  /// Gives the descriptor away.
  int release() { return std::exchange(fd_, -1); }
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
  std::shared_ptr<void> slot_;
};

/// A resolved endpoint: the bytes of a sockaddr.
struct Endpoint {
  std::string sockaddr;
  int family() const;
};

/// Endpoints of a literal address, of "localhost" (127.0.0.1), or of "*" (every interface; in order
/// of preference), without asking a name server; empty if `address` needs one.
std::vector<Endpoint> literal_endpoints(const Address& address);
/// Asks the system's resolver. May block for seconds: never on a loop's thread.
Result<std::vector<Endpoint>> resolve_blocking(const Address& address);
/// The readable address of the socket's other or own end.
Address peer_address(int fd);
Address local_address(int fd);
/// What connections that come in leave of the files that the process may open, wherever they come
/// in: a log goes on in a new one, a state is written anew, and what is dialled needs one too.
inline constexpr uint32_t kDescriptorsKept = 24;
/// Besides the descriptor `fd`, just opened, and those below it the process may open more than so
/// many.
bool leaves_descriptors(int fd, uint32_t kept);
/// No Nagle delay, and TCP gives up on a silent peer (dead host, unplugged cable, frozen kernel)
/// after about `dead_after`; zero leaves TCP's own hours.
void set_tcp_options(int fd, Duration dead_after);

}  // namespace holdfast::net
