#include "coordinator/server/rpc_port.h"

#include <algorithm>
#include <utility>

#include "coordinator/server/engine.h"
#include "coordinator/server/unformed_calls.h"

namespace holdfast::server {

using apache::thrift::TApplicationException;
using apache::thrift::TException;

namespace {
constexpr size_t kFrameLengthBytes = 4;
/// Some hundreds of the smallest calls.
constexpr size_t kReadBytes = 8 << 10;

/// Clients may send and not read, and send very many calls.
RpcPortOptions of_clients(RpcPortOptions options) {
  options.frames.waits_for_reader = true;
  options.frames.max_read_bytes = kReadBytes;
  return options;
}

}  // namespace

/// The engine on the same thread: every call at once, into one object per method.
class RpcPort::EngineCalls final : public CallTaker {
 public:
  EngineCalls(std::span<const RpcMethod> methods, Engine& engine)
      : methods_(methods), arguments_(methods.size()), engine_(engine) {}

  RpcArguments& arguments_for(const RpcMethod& method) override {
    return arguments_[static_cast<size_t>(&method - methods_.data())];
  }
  void take(const RpcMethod& method, CallId call, size_t) override {
    method.invoke(arguments_for(method), engine_, call);
  }
  void refuse_overloaded(CallId call, const std::string& why) override {
    engine_.refuse_overloaded(call, why);
  }
  void abandon(CallId call) override { engine_.abandon(call); }

 private:
  std::span<const RpcMethod> methods_;
  std::vector<RpcArguments> arguments_;
  Engine& engine_;
};

/// A client's connection. Its calls outlive it: their slots forget it when it closes.
struct RpcPort::Connection final : net::FrameConnection::Handler {
  Connection(RpcPort& owner, uint32_t number, net::Socket socket)
      : port(owner),
        id(number),
        frames(owner.loop_, std::move(socket), owner.options_.frames, *this) {}

  void on_frame(net::FrameConnection&, std::string_view payload) override {
    port.on_frame(*this, payload);
  }
  void on_closed(net::FrameConnection&, const net::CloseReason& reason) override {
    port.on_closed(*this, reason);
  }

  RpcPort& port;
  const uint32_t id;
  net::FrameConnection frames;
  uint32_t calls = 0;          ///< outstanding
  uint32_t last_call = kNone;  ///< of those, and the others by Slot::call_before
  /// Of those, refused and not yet answered: on the way to the engine's thread and back.
  uint32_t refusals_under_way = 0;
  size_t held_bytes = 0;  ///< of answers that wait for the calls in line before them
};

/// An outstanding call, or a free place.
struct RpcPort::Slot {
  uint32_t generation = 0;
  uint32_t connection = 0;  ///< 0: free
  int32_t seqid = 0;
  uint32_t next_in_line = kNone;
  uint32_t call_before = kNone;  ///< of the same connection, in order of arrival
  uint32_t call_after = kNone;
  WireProtocol protocol = WireProtocol::kBinary;
  bool first_in_line = false;
  Instant arrived;
  bool refused = false;
  bool answered = false;  ///< `held` waits for the calls in line before it
  const RpcMethod* method = nullptr;
  std::string held;
};

Result<std::unique_ptr<RpcPort>> RpcPort::open(net::Loop& loop, const RpcPortOptions& options,
                                               std::span<const RpcMethod> methods) {
  std::unique_ptr<RpcPort> port(new RpcPort(loop, options, methods));
  net::ListenerOptions listening;
  listening.max_connections = options.max_connections;
  listening.descriptors_kept = options.descriptors_kept;
  auto listener = net::Listener::open(
      loop, options.address,
      [raw = port.get()](net::Socket socket, const net::Address&) {
        raw->adopt(std::move(socket));
      },
      listening);
  if (!listener.ok()) return listener.error();
  port->listener_ = std::move(*listener);
  port->port_ = port->listener_->port();
  return port;
}

RpcPort::RpcPort(net::Loop& loop, const RpcPortOptions& options, std::span<const RpcMethod> methods)
    : loop_(loop), options_(of_clients(options)), methods_(methods), lines_(&pool_) {
  stats_.methods.resize(methods.size());
}

RpcPort::~RpcPort() = default;

void RpcPort::serve_unformed(UnformedCalls& calls) { serve(calls); }

void RpcPort::serve(Engine& engine) {
  engine_calls_ = std::make_unique<EngineCalls>(methods_, engine);
  serve(*engine_calls_);
}

void RpcPort::serve(CallTaker& taker) {
  taker_ = &taker;
  for (auto& [id, connection] : connections_) connection->frames.resume_reading();
}

void RpcPort::adopt(net::Socket socket) {
  const uint32_t id = next_connection_++;
  ++stats_.connections_accepted;
  auto connection = std::make_unique<Connection>(*this, id, std::move(socket));
  if (taker_ == nullptr) connection->frames.pause_reading();
  connections_.emplace(id, std::move(connection));
}

void RpcPort::on_closed(Connection& connection, const net::CloseReason& reason) {
  ++stats_.closed[static_cast<size_t>(reason.cause)];
  forget(connection);
}

// The memory of answers that nobody is to have does not wait for the calls before them, nor does
// the room of calls that are parked.
void RpcPort::forget(Connection& connection) {
  uint32_t call = connection.last_call;
  connections_.erase(connection.id);
  for (; call != kNone; call = slots_[call].call_before) {
    Slot& slot = slots_[call];
    if (slot.answered) {
      slot.held = std::string();
    } else {
      taker_->abandon({options_.tag, call, slot.generation});
    }
  }
}

void RpcPort::cut_off(Connection& connection) {
  ++stats_.closed[static_cast<size_t>(net::CloseCause::kOutputOverflow)];
  connection.frames.close();
  forget(connection);
}

void RpcPort::cut_off(CallId call) {
  const auto at = connections_.find(connection_of(call));
  if (at != connections_.end()) cut_off(*at->second);
}

uint32_t RpcPort::connection_of(CallId call) const {
  HF_CHECK(call.slot < slots_.size() && slots_[call.slot].generation == call.generation,
           "the call is outstanding");
  return slots_[call.slot].connection;
}

RpcPortStats RpcPort::stats() const {
  RpcPortStats stats = stats_;
  if (listener_ != nullptr) stats.connections_refused = listener_->refused();
  return stats;
}

void RpcPort::close_all_after_flush() {
  std::vector<uint32_t> ids;
  ids.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const uint32_t id : ids) {
    const auto at = connections_.find(id);
    if (at != connections_.end()) at->second->frames.close_after_flush();
  }
}

void RpcPort::on_frame(Connection& connection, std::string_view frame) {
  stats_.bytes_received += kFrameLengthBytes + frame.size();
  const auto protocol = detect_protocol(frame);
  if (!protocol) {
    // Nothing sensible can be answered to bytes that are not Thrift.
    ++stats_.malformed;
    connection.frames.close();
    return forget(connection);
  }
  reader_.reset(frame, *protocol);
  try {
    reader_.read_head(head_);
  } catch (const TException&) {
    ++stats_.malformed;
    connection.frames.close();
    return forget(connection);
  }
  dispatch(connection, *protocol, frame.size());
}

void RpcPort::dispatch(Connection& connection, WireProtocol protocol, size_t frame_bytes) {
  ++stats_.calls;
  const RpcMethod* method = find_method(methods_, head_.name);
  const uint32_t slot = open_slot(connection, protocol, method);
  const CallId call{options_.tag, slot, slots_[slot].generation};
  if (head_.type != apache::thrift::protocol::T_CALL) {
    return answer_exception(call, TApplicationException::INVALID_MESSAGE_TYPE,
                            "message type " + std::to_string(head_.type) + " is not a call (1)");
  }
  if (method == nullptr) {
    return answer_exception(call, TApplicationException::UNKNOWN_METHOD,
                            "this port has no method '" + head_.name.substr(0, 64) + "'");
  }
  if (connection.calls > options_.max_calls_per_connection) {
    return refuse_overloaded(connection, call);
  }
  try {
    method->decode(reader_, taker_->arguments_for(*method));
  } catch (const TException& malformed) {
    return answer_exception(call, TApplicationException::PROTOCOL_ERROR,
                            "malformed arguments of " + method->name + ": " + malformed.what());
  }
  taker_->take(*method, call, frame_bytes);
}

void RpcPort::refuse_overloaded(Connection& connection, CallId call) {
  ++stats_.overloaded;
  slots_[call.slot].refused = true;
  ++connection.refusals_under_way;
  const uint32_t id = connection.id;
  const uint64_t limit = options_.max_calls_per_connection;
  taker_->refuse_overloaded(
      call, "this connection has its " + std::to_string(limit) + " calls outstanding");
  if (!connections_.contains(id)) return;  // there was no room for the refusal either
  // Refusals that must wait in line are calls outstanding too: a client that goes on all the same
  // is cut off. Those that still have to come from the engine's thread are not the client's doing,
  // and IoThread bounds them.
  if (connection.calls - connection.refusals_under_way > 2 * limit) cut_off(connection);
}

void RpcPort::answer_exception(CallId call, int type, const std::string& message) {
  ++stats_.malformed;
  const TApplicationException exception(
      static_cast<TApplicationException::TApplicationExceptionType>(type), message);
  answer(call, [&](std::string& out, const Slot& slot, const std::string& name) {
    writer_.write_exception(out, slot.protocol, name, slot.seqid, exception);
  });
}

void RpcPort::complete(CallId call, const ReplyView& reply) {
  count(call, ErrorCode::kOk);
  answer(call, [&](std::string& out, const Slot& slot, const std::string& name) {
    writer_.write_reply(out, slot.protocol, name, slot.seqid, reply);
  });
}

void RpcPort::fail(CallId call, const api::HoldfastError& error) {
  count(call, static_cast<ErrorCode>(error.code));
  answer(call, [&](std::string& out, const Slot& slot, const std::string& name) {
    writer_.write_error(out, slot.protocol, name, slot.seqid, error);
  });
}

// Before the answer, which frees the slot.
void RpcPort::count(CallId call, ErrorCode outcome) {
  const Slot* slot = find(call);
  if (slot == nullptr || slot->method == nullptr) return;
  MethodStats& method = stats_.methods[static_cast<size_t>(slot->method - methods_.data())];
  ++method.answered[std::min(static_cast<size_t>(outcome), method.answered.size() - 1)];
  method.durations.add(loop_.now() - slot->arrived);
}

uint64_t RpcPort::line_key(const Connection& connection, int32_t seqid) {
  return uint64_t{connection.id} << 32 | static_cast<uint32_t>(seqid);
}

uint32_t RpcPort::open_slot(Connection& connection, WireProtocol protocol,
                            const RpcMethod* method) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t at = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[at];
  slot.connection = connection.id;
  slot.seqid = head_.seqid;
  slot.next_in_line = kNone;
  slot.protocol = protocol;
  slot.refused = slot.answered = false;
  slot.arrived = loop_.now();
  slot.method = method;
  slot.call_after = kNone;
  slot.call_before = std::exchange(connection.last_call, at);
  if (slot.call_before != kNone) slots_[slot.call_before].call_after = at;
  if (connection.calls++ == 0) connection.frames.set_idle_timeout(Duration{0});
  ++outstanding_;
  const auto [line, fresh] = lines_.try_emplace(line_key(connection, head_.seqid), Line{at, at});
  slot.first_in_line = fresh;
  if (!fresh) {
    slots_[line->second.last].next_in_line = at;
    line->second.last = at;
  }
  return at;
}

RpcPort::Slot* RpcPort::find(CallId call) {
  if (call.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[call.slot];
  return slot.connection != 0 && slot.generation == call.generation ? &slot : nullptr;
}

template <class Write>
void RpcPort::answer(CallId call, Write&& write) {
  Slot* slot = find(call);
  HF_CHECK(slot != nullptr && !slot->answered, "a call is answered exactly once");
  slot->answered = true;
  ++stats_.answered;
  const auto to = connections_.find(slot->connection);
  if (to != connections_.end()) {
    if (slot->refused) --to->second->refusals_under_way;
    const std::string& name = slot->method != nullptr ? slot->method->name : head_.name;
    const auto encode = [&](std::string& out) {
      const size_t before = out.size();
      write(out, *slot, name);
      stats_.bytes_sent += kFrameLengthBytes + out.size() - before;
    };
    if (slot->first_in_line) {
      to->second->frames.send_with(encode);
    } else {
      encode(slot->held);
      to->second->held_bytes += slot->held.size();
      // As FrameConnection bounds what is sent within a turn.
      if (to->second->held_bytes > 2 * options_.frames.max_output_bytes) cut_off(*to->second);
    }
  }
  if (slot->first_in_line) release_line(call.slot);
}

// The first in line is answered: sends what was held behind it, up to the next unanswered call.
void RpcPort::release_line(uint32_t at) {
  const uint64_t key =
      uint64_t{slots_[at].connection} << 32 | static_cast<uint32_t>(slots_[at].seqid);
  while (true) {
    const uint32_t next = slots_[at].next_in_line;
    free_slot(at);
    const auto line = lines_.find(key);
    if (next == kNone) {
      lines_.erase(line);
      return;
    }
    line->second.first = next;
    Slot& slot = slots_[next];
    slot.first_in_line = true;
    if (!slot.answered) return;
    const auto to = connections_.find(slot.connection);
    if (to != connections_.end()) {
      to->second->held_bytes -= slot.held.size();
      to->second->frames.send(slot.held);
    }
    at = next;
  }
}

void RpcPort::free_slot(uint32_t at) {
  Slot& slot = slots_[at];
  if (slot.call_before != kNone) slots_[slot.call_before].call_after = slot.call_after;
  if (slot.call_after != kNone) slots_[slot.call_after].call_before = slot.call_before;
  const auto from = connections_.find(slot.connection);
  if (from != connections_.end()) {
    Connection& connection = *from->second;
    if (connection.last_call == at) connection.last_call = slot.call_before;
    if (--connection.calls == 0) connection.frames.set_idle_timeout(options_.frames.idle_timeout);
  }
  slot.connection = 0;
  ++slot.generation;
  slot.held = std::string();
  free_slots_.push_back(at);
  --outstanding_;
}

}  // namespace holdfast::server
