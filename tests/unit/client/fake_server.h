// A server that says what a test tells it to, on a real loopback socket in the test's own thread,
// and a clock that moves only when told to.
#pragma once

#include <gtest/gtest.h>
#include <thrift/protocol/TCompactProtocol.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/net/frame_connection.h"
#include "base/net/listener.h"
#include "base/net/loop.h"
#include "clients/cpp/calls.h"
#include "tests/support/manual_clock.h"
#include "thrift/frame_transport.h"

namespace holdfast::client {

/// Deterministic.
class FakeEntropy final : public Entropy {
 public:
  void fill(void* out, size_t size) override {
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(mix_.next());
  }

 private:
  SplitMix mix_{42};
};

/// One call as the server received it.
struct Received {
  std::string name;
  int32_t seqid = 0;
  api::RequestContext context;
  net::FrameConnection* from = nullptr;
  std::string frame;

  template <class Request>
  Request request() const {
    Request request;
    auto reader = std::make_shared<FrameReader>();
    reader->reset(frame);
    apache::thrift::protocol::TCompactProtocolT<FrameReader> in(reader);
    read_arguments(in, nullptr, &request);
    return request;
  }

  template <class Protocol, class Request>
  static void read_arguments(Protocol& in, api::RequestContext* into_context, Request* request) {
    std::string name;
    apache::thrift::protocol::TMessageType message{};
    int32_t seqid = 0;
    in.readMessageBegin(name, message, seqid);
    std::string ignored;
    apache::thrift::protocol::TType type{};
    int16_t field = 0;
    api::RequestContext unused;
    in.readStructBegin(ignored);
    in.readFieldBegin(ignored, type, field);
    ASSERT_EQ(field, 1);
    (into_context != nullptr ? *into_context : unused).read(&in);
    in.readFieldEnd();
    if constexpr (!std::is_same_v<Request, void>) {
      in.readFieldBegin(ignored, type, field);
      ASSERT_EQ(field, 2);
      request->read(&in);
    }
  }
};

/// Every call is handed to the handler of its name, which answers now, later or never.
class FakeServer final : public net::FrameConnection::Handler {
 public:
  using Handler = std::function<void(Received&)>;

  explicit FakeServer(net::Loop& loop, int32_t id = 1) : id_(id), loop_(loop) { listen(0); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int32_t id() const { return id_; }
  void on(const std::string& name, Handler handler) { handlers_[name] = std::move(handler); }

  /// Cuts every connection and refuses new ones until up().
  void down() {
    connections_.clear();
    listener_.reset();
  }
  void up() { listen(port_); }
  void cut() { connections_.clear(); }
  size_t connections() const { return connections_.size(); }

  template <class Result>
  void reply(const Received& call, Result result) {
    fill(call, result.header);
    send(call, [&](auto& out) {
      out.writeFieldBegin("success", apache::thrift::protocol::T_STRUCT, 0);
      result.write(&out);
    });
  }
  void refuse(const Received& call, api::HoldfastError error) {
    fill(call, error.header);
    send(call, [&](auto& out) {
      out.writeFieldBegin("error", apache::thrift::protocol::T_STRUCT, 1);
      error.write(&out);
    });
  }
  void refuse(const Received& call, api::ErrorCode::type code, bool retryable,
              api::Applied::type applied = api::Applied::NO, int64_t retry_after_ms = 0) {
    api::HoldfastError error;
    error.code = code;
    error.message = "scripted";
    error.retryable = retryable;
    error.applied = applied;
    error.retryAfterMs = retry_after_ms;
    refuse(call, error);
  }
  void send_raw(const Received& call, std::string_view frame) { call.from->send(frame); }

  /// Names of the calls received, in order.
  std::vector<std::string> log;
  int count(const std::string& name) const {
    return static_cast<int>(std::count(log.begin(), log.end(), name));
  }

  // What every header says unless the test sets it itself.
  int32_t leader_id = 0;
  std::string leader_address;
  int64_t term = 1;
  int64_t cluster_id = 77;
  int64_t revision = 1000;

 private:
  void listen(uint16_t port) {
    auto opened = net::Listener::open(
        loop_, {"127.0.0.1", port}, [this](net::Socket socket, const net::Address&) {
          connections_.push_back(std::make_unique<net::FrameConnection>(
              loop_, std::move(socket), net::FrameOptions{}, *this));
        });
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    listener_ = std::move(*opened);
    port_ = listener_->port();
  }

  void fill(const Received& call, api::ResponseHeader& header) const {
    if (header.sequence == 0) header.sequence = call.context.sequence;
    if (header.revision == 0) header.revision = revision;
    header.serverId = id_;
    if (header.leaderId == 0) header.leaderId = leader_id;
    if (header.leaderAddress.empty()) header.leaderAddress = leader_address;
    if (header.term == 0) header.term = term;
    if (header.clusterId == 0) header.clusterId = cluster_id;
  }

  template <class WriteField>
  void send(const Received& call, WriteField write_field) {
    for (const auto& connection : connections_) {
      if (connection.get() != call.from || connection->closed()) continue;
      connection->send_with([&](std::string& bytes) {
        auto writer = std::make_shared<FrameWriter>();
        writer->reset(bytes);
        apache::thrift::protocol::TCompactProtocolT<FrameWriter> out(writer);
        out.writeMessageBegin(call.name, apache::thrift::protocol::T_REPLY, call.seqid);
        out.writeStructBegin("");
        write_field(out);
        out.writeFieldEnd();
        out.writeFieldStop();
        out.writeStructEnd();
        out.writeMessageEnd();
      });
    }
  }

  void on_frame(net::FrameConnection& from, std::string_view payload) override {
    Received call;
    call.from = &from;
    call.frame = payload;
    auto reader = std::make_shared<FrameReader>();
    reader->reset(call.frame);
    apache::thrift::protocol::TCompactProtocolT<FrameReader> in(reader);
    apache::thrift::protocol::TMessageType type{};
    in.readMessageBegin(call.name, type, call.seqid);
    reader->reset(call.frame);
    Received::read_arguments<decltype(in), void>(in, &call.context, nullptr);
    log.push_back(call.name);
    const auto handler = handlers_.find(call.name);
    if (handler != handlers_.end()) handler->second(call);
  }
  void on_closed(net::FrameConnection&, const net::CloseReason&) override {}

  const int32_t id_;
  net::Loop& loop_;
  uint16_t port_ = 0;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<net::FrameConnection>> connections_;
  std::map<std::string, Handler> handlers_;
};

/// A loop on a fake clock, turned by hand.
class LoopTest : public testing::Test {
 protected:
  /// Lets everything that is on its way arrive. Loopback sockets deliver within the same instant.
  void settle() {
    for (int i = 0; i < 40; ++i) loop_.turn(Duration(0));
  }
  /// Time passes, and everything due in it happens.
  void pass(Duration total, Duration step = 10ms) {
    for (Duration gone{0}; gone < total; gone += step) {
      clock_.advance(step);
      settle();
    }
  }

  ManualClock clock_;
  FakeEntropy entropy_;
  net::Loop loop_{clock_};
};

}  // namespace holdfast::client
