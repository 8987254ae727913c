#include "tests/fuzz/memory_server.h"

#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"
#include "raft/transport/codec.h"

namespace holdfast::server {

using apache::thrift::TApplicationException;
using apache::thrift::TException;

namespace {

constexpr int kTurnsMax = 1'000;

EngineOptions options_for(int members) {
  EngineOptions options;
  options.self = NodeId(1);
  options.cluster = ClusterId(5);
  options.store = StoreId(1);
  options.raft.id = NodeId(1);
  options.max_pending_commands = 64;
  options.max_pending_reads = 64;
  options.max_parked_calls = 64;
  for (uint64_t id = 1; id <= static_cast<uint64_t>(members); ++id) {
    const std::string number = std::to_string(id);
    options.members.push_back({NodeId(id), StoreId(id), "peer:" + number, "client:" + number, 1});
  }
  return options;
}

raft::InitialState initial_state(const EngineOptions& options, raft::testing::MemoryLog& disk) {
  raft::Configuration configuration;
  for (const raft::Member& member : options.members) configuration.voters.push_back(member.id);
  configuration.members = options.members;
  raft::Write genesis;
  genesis.hard_state = raft::HardState{Term(1), NodeId()};
  genesis.entries.push_back({Term(1), LogIndex(1), raft::EntryType::kGenesis, Blob()});
  disk.sync(genesis);
  return disk.recover(configuration);
}

}  // namespace

MemoryServer::MemoryServer(int members) : members_(members) {
  const EngineOptions options = options_for(members);
  engine_ = std::make_unique<Engine>(
      options, initial_state(options, disk_),
      EnginePorts{*this,
                  entropy_,
                  disk_,
                  writer_,
                  *this,
                  *this,
                  [](const std::string&) {},
                  [this](const Error&) {
                    HF_CHECK(members_ > 1, "a server without peers has nobody to contradict it");
                    stopped_ = true;
                  },
                  {}});
  advance(2s);
}

MemoryServer::~MemoryServer() = default;

void MemoryServer::on_frame(std::span<const RpcMethod> methods, std::string_view frame) {
  const auto protocol = detect_protocol(frame);
  if (!protocol || stopped_) return;
  reader_.reset(frame, *protocol);
  try {
    reader_.read_head(head_);
  } catch (const TException&) {
    return;  // a port closes the connection
  }
  dispatch(methods, *protocol);
  turn();
}

void MemoryServer::dispatch(std::span<const RpcMethod> methods, WireProtocol protocol) {
  const CallId call{0, ++next_slot_, 1};
  outstanding_[call.slot] = {protocol, head_.name, head_.seqid};
  const RpcMethod* method = find_method(methods, head_.name);
  if (head_.type != apache::thrift::protocol::T_CALL) return refuse(call, "not a call");
  if (method == nullptr) return refuse(call, "no such method");
  try {
    method->decode(reader_, arguments_);
  } catch (const TException& malformed) {
    return refuse(call, malformed.what());
  }
  method->invoke(arguments_, *engine_, call);
}

void MemoryServer::refuse(CallId call, const std::string& why) {
  const Outstanding asked = take(call);
  std::string bytes;
  writer_of_replies_.write_exception(
      bytes, asked.protocol, asked.method, asked.seqid,
      TApplicationException(TApplicationException::PROTOCOL_ERROR, why));
  check_reply(bytes, asked);
}

void MemoryServer::complete(CallId call, const ReplyView& reply) {
  const Outstanding asked = take(call);
  std::string bytes;
  writer_of_replies_.write_reply(bytes, asked.protocol, asked.method, asked.seqid, reply);
  check_reply(bytes, asked);
}

void MemoryServer::fail(CallId call, const api::HoldfastError& error) {
  HF_CHECK(!error.message.empty() && error.code != 0, "an error says what is wrong");
  const Outstanding asked = take(call);
  std::string bytes;
  writer_of_replies_.write_error(bytes, asked.protocol, asked.method, asked.seqid, error);
  check_reply(bytes, asked);
}

MemoryServer::Outstanding MemoryServer::take(CallId call) {
  const auto at = outstanding_.find(call.slot);
  HF_CHECK(at != outstanding_.end(), "a call is answered exactly once");
  Outstanding asked = std::move(at->second);
  outstanding_.erase(at);
  return asked;
}

void MemoryServer::check_reply(const std::string& bytes, const Outstanding& call) {
  MessageHead head;
  HF_CHECK(detect_protocol(bytes) == call.protocol, "the answer speaks the call's protocol");
  reply_reader_.reset(bytes, call.protocol);
  reply_reader_.read_head(head);
  HF_CHECK(head.name == call.method && head.seqid == call.seqid, "the answer names its call");
}

void MemoryServer::on_app(NodeId from, uint8_t kind, std::string_view payload) {
  if (stopped_) return;
  engine_->on_app(from, kind, payload);
  turn();
}

void MemoryServer::on_peer_frame(uint8_t type, std::string_view body) {
  if (stopped_) return;
  std::string bytes;
  append_le(bytes, raft::kPeerMagic);
  append_le(bytes, raft::kPeerProtocolVersion);
  append_le(bytes, type);
  append_le(bytes, checksum64(body, type));
  bytes.append(body);
  auto frame = raft::decode_frame(bytes);
  if (!frame.ok()) return;
  if (auto* message = std::get_if<raft::MessageFrame>(&*frame)) {
    engine_->on_message(std::move(message->message));
    turn();
  }
}

void MemoryServer::on_pause(Duration gap) {
  now_ += gap;
  engine_->on_pause(gap);
  turn();
}

void MemoryServer::turn() {
  for (int i = 0; i < kTurnsMax && !stopped_; ++i) {
    const bool more = engine_->turn_end(/*all_input_handled=*/true);
    if (!writer_.sync() && !more) return;
  }
  HF_CHECK(stopped_, "a server without input comes to rest");
}

void MemoryServer::advance(Duration time) {
  const Instant end = now_ + time;
  for (int i = 0; i < kTurnsMax && !stopped_ && now_ < end; ++i) {
    // Never less than a millisecond: some timers are due at once, again and again.
    now_ = std::min(end, std::max(now_ + 1ms, engine_->next_wakeup()));
    turn();
  }
  now_ = end;
}

void MemoryServer::finish() {
  HF_CHECK(engine_->machine().check_invariants().empty(), "the state is in order");
  if (stopped_) return;
  engine_->begin_drain();
  turn();
  if (stopped_) return;
  engine_->finish_drain();
  HF_CHECK(outstanding_.empty(), "a server that stops has answered every call");
}

}  // namespace holdfast::server
