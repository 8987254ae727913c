// gRPC over one HTTP/2 connection, on the loop that Holdfast's own clients use: unary calls and
// streams of messages, many at once. nghttp2 does the framing and the headers. gRPC's own library
// would bring threads and queues that cost the two cores more than what is measured.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/net/address.h"
#include "base/net/fd_event.h"
#include "base/net/loop.h"
#include "base/net/socket.h"

namespace holdfast::bench {

class GrpcConnection {
 public:
  class Owner {
   public:
    /// `message` is valid during the call only.
    virtual void on_message(uint64_t tag, std::string_view message) = 0;
    /// A call was refused, by gRPC's status.
    virtual void on_refused(size_t lane, const std::string& status) = 0;
    virtual void on_connection_lost(size_t lane, const std::string& why) = 0;

   protected:
    ~Owner() = default;
  };

  /// Connects at once: on loopback the kernel answers without delay. If that fails, connected() is
  /// false and nothing else may be called.
  GrpcConnection(net::Loop& loop, const net::Address& server, size_t lane, Owner& owner);
  ~GrpcConnection();
  GrpcConnection(const GrpcConnection&) = delete;
  GrpcConnection& operator=(const GrpcConnection&) = delete;

  bool connected() const { return socket_.open(); }
  /// One request, one response. `path` must live as long as the program.
  void call(std::string_view path, std::string_view message, uint64_t tag) {
    begin(path, message, tag, true);
  }
  /// A stream that stays open; its number is for send().
  int32_t open_stream(std::string_view path, std::string_view message, uint64_t tag) {
    return begin(path, message, tag, false);
  }
  void send(int32_t stream, std::string_view message);

 private:
  struct Stream {
    uint64_t tag = 0;
    bool last_request = true;  ///< nothing follows what is in `out`
    std::string out;
    size_t sent = 0;
    std::string in;
  };
  struct Callbacks;

  int32_t begin(std::string_view path, std::string_view message, uint64_t tag, bool last_request);
  void on_readable();
  void flush();
  void deliver(Stream& stream, std::string_view bytes);
  void lost(const std::string& why);

  const size_t lane_;
  Owner& owner_;
  const std::string authority_;
  net::Socket socket_;
  net::FdEvent read_event_;
  net::FdEvent write_event_;
  net::Loop::Hook flush_hook_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, Stream> streams_;
  bool dirty_ = true;  ///< there may be frames to send, at first the settings
  std::string out_;
  std::string refusal_;  ///< a status that is not OK, until its stream ends
};

}  // namespace holdfast::bench
