// One listening port of the server: accepts connections, turns frames into calls of the engine and
// its answers, whenever they come, into frames. A parked call costs one slot here.
#pragma once

#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/net/frame_connection.h"
#include "base/net/listener.h"
#include "base/net/loop.h"
#include "coordinator/server/call.h"
#include "coordinator/server/rpc_codec.h"
#include "coordinator/server/rpc_methods.h"
#include "coordinator/server/rpc_port_stats.h"

namespace holdfast::server {

class Engine;

struct RpcPortOptions {
  net::Address address;
  /// Set in the ids of this port's calls, so that answers find their way back to it.
  uint32_t tag = 0;
  net::FrameOptions frames;
  size_t max_connections = 16'000;
  /// Calls outstanding on one connection; more are refused with OVERLOADED.
  uint32_t max_calls_per_connection = 20'000;
};

class RpcPort final : public ReplySink {
 public:
  /// Listens at once and answers calls of `methods` once serve() was called.
  static Result<std::unique_ptr<RpcPort>> open(net::Loop& loop, const RpcPortOptions& options,
                                               std::span<const RpcMethod> methods);
  ~RpcPort();

  /// Calls go to `engine` from now on; it outlives the port. Connections made before wait unread.
  void serve(Engine& engine);
  /// Accepts no more connections; what is outstanding is still answered.
  void stop_accepting() { listener_.reset(); }
  /// Closes each connection once what it was sent is out.
  void close_all_after_flush();

  void complete(CallId call, const ReplyView& reply) override;
  void fail(CallId call, const api::HoldfastError& error) override;

  uint16_t port() const { return port_; }
  size_t connections() const { return connections_.size(); }
  size_t outstanding() const { return outstanding_; }
  RpcPortStats stats() const;

 private:
  struct Connection;
  struct Slot;
  struct Line {
    uint32_t first;
    uint32_t last;
  };
  static constexpr uint32_t kNone = ~uint32_t{0};

  RpcPort(net::Loop& loop, const RpcPortOptions& options, std::span<const RpcMethod> methods);
  void accept(net::Socket socket);
  void on_frame(Connection& connection, std::string_view frame);
  void on_closed(Connection& connection, const net::CloseReason& reason);
  void forget(Connection& connection);
  void dispatch(Connection& connection, WireProtocol protocol);
  void refuse_overloaded(Connection& connection, CallId call);
  void answer_exception(CallId call, int type, const std::string& message);
  uint32_t open_slot(Connection& connection, WireProtocol protocol, const RpcMethod* method);
  Slot* find(CallId call);
  template <class Write>
  void answer(CallId call, Write&& write);
  void count(CallId call, ErrorCode outcome);
  void release_line(uint32_t slot);
  void free_slot(uint32_t slot);
  static uint64_t line_key(const Connection& connection, int32_t seqid);

  net::Loop& loop_;
  const RpcPortOptions options_;
  std::span<const RpcMethod> methods_;
  Engine* engine_ = nullptr;
  RpcReader reader_;
  RpcWriter writer_;
  RpcArguments arguments_;
  MessageHead head_;
  RpcPortStats stats_;
  uint16_t port_ = 0;

  std::unique_ptr<net::Listener> listener_;
  uint32_t next_connection_ = 1;
  std::unordered_map<uint32_t, std::unique_ptr<Connection>> connections_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  size_t outstanding_ = 0;
  /// Calls outstanding with the same seqid on one connection, in order of arrival: stock clients
  /// number all their calls 0 and take the next reply for theirs, so these are answered in order.
  std::pmr::unsynchronized_pool_resource pool_;
  std::pmr::unordered_map<uint64_t, Line> lines_;
};

}  // namespace holdfast::server
