// The connections of one port that live on one loop: turns frames into calls and their answers,
// whenever they come, into frames. A parked call costs one slot here. It accepts connections itself
// and calls the engine (the default), or is an I/O thread's part of a port (io_thread.h).
#pragma once

#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/net/frame_connection.h"
#include "base/net/listener.h"
#include "base/net/loop.h"
#include "coordinator/server/call.h"
#include "coordinator/server/port.h"
#include "coordinator/server/rpc_codec.h"
#include "coordinator/server/rpc_methods.h"
#include "coordinator/server/rpc_port_stats.h"

namespace holdfast::server {

/// Where decoded calls go.
class CallTaker {
 public:
  /// An object to decode the next call of `method` into.
  virtual RpcArguments& arguments_for(const RpcMethod& method) = 0;
  /// The call whose arguments arguments_for() was given last; they came in so many bytes.
  virtual void take(const RpcMethod& method, CallId call, size_t frame_bytes) = 0;
  /// The port has no room for this call.
  virtual void refuse_overloaded(CallId call, const std::string& why) = 0;
  /// The connection of a call that was taken or refused, and is not answered yet, is gone: what it
  /// is answered nobody gets. Within a call to this port: not the moment to answer others.
  virtual void abandon(CallId call) = 0;

 protected:
  ~CallTaker() = default;
};

class RpcPort final : public Port {
 public:
  /// Listens at once and answers calls of `methods` once serve() was called.
  static Result<std::unique_ptr<RpcPort>> open(net::Loop& loop, const RpcPortOptions& options,
                                               std::span<const RpcMethod> methods);
  /// Without a listener: connections come by adopt().
  RpcPort(net::Loop& loop, const RpcPortOptions& options, std::span<const RpcMethod> methods);
  ~RpcPort() override;

  void adopt(net::Socket socket);
  /// Calls go to `taker` from now on; it outlives the port.
  void serve(CallTaker& taker);

  // Port. On one loop nothing has to be waited for.
  void serve_unformed(UnformedCalls& calls) override;
  void serve(Engine& engine) override;
  void stop_accepting() override { listener_.reset(); }
  void close_all_after_flush() override;
  bool closing_done() const override { return true; }
  Instant handled_until() const override { return Instant::max(); }
  void ask_handled_until(Instant) override {}
  uint16_t port() const override { return port_; }
  size_t connections() const override { return connections_.size(); }
  RpcPortStats stats() const override;
  size_t outstanding() const { return outstanding_; }
  /// RpcPortStats::bytes_sent, without a copy of all of it.
  uint64_t bytes_sent() const { return stats_.bytes_sent; }
  /// Of an outstanding call, by a number that no later connection has; also of one that is gone.
  uint32_t connection_of(CallId call) const;
  /// What waits for the client of this outstanding call has no room: its connection ends.
  void cut_off(CallId call);

  void complete(CallId call, const ReplyView& reply) override;
  void fail(CallId call, const api::HoldfastError& error) override;
  uint64_t client_of(CallId call) const override {
    return uint64_t{options_.tag} << 32 | connection_of(call);
  }

 private:
  class EngineCalls;
  struct Connection;
  struct Slot;
  struct Line {
    uint32_t first;
    uint32_t last;
  };
  static constexpr uint32_t kNone = ~uint32_t{0};

  void on_frame(Connection& connection, std::string_view frame);
  void on_closed(Connection& connection, const net::CloseReason& reason);
  void cut_off(Connection& connection);
  void forget(Connection& connection);
  void dispatch(Connection& connection, WireProtocol protocol, size_t frame_bytes);
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
  CallTaker* taker_ = nullptr;
  std::unique_ptr<EngineCalls> engine_calls_;
  RpcReader reader_;
  RpcWriter writer_;
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
