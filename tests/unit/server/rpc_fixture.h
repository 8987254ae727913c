// A port with a serving engine behind it, and clients that decide about every byte.
#pragma once

#include <set>

#include "coordinator/server/rpc_port.h"
#include "gen/cpp/Holdfast.h"
#include "lockmgr/lock_table.h"
#include "tests/unit/net/net_test_util.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {

/// A reply as it came.
struct Reply {
  WireProtocol protocol;
  std::string name;
  apache::thrift::protocol::TMessageType type;
  int32_t seqid = 0;
  std::string body;
};

class RpcPortTest : public OneServerTest {
 protected:
  RpcPortTest() {
    port = open_port();
    port->serve(server.engine());
    server.ports = port.get();
    hook = loop.on_turn_end(0, [this] { cluster.settle(); });
  }

  std::unique_ptr<RpcPort> open_port() {
    RpcPortOptions options;
    options.address = net::kLoopback;
    options.tag = 1;
    options.max_calls_per_connection = 4;
    options.frames.max_frame_bytes = 64 << 10;
    options.frames.frame_timeout = 1s;
    options.frames.idle_timeout = 2s;
    auto opened = RpcPort::open(loop, options, client_methods());
    EXPECT_TRUE(opened.ok());
    return std::move(*opened);
  }
  void settle() {
    for (int i = 0; i < 20; ++i) loop.turn(1ms);
  }

  // ---- what clients send

  template <class Args>
  static std::string call(WireProtocol protocol, const std::string& name, int32_t seqid,
                          const Args& args) {
    std::string out;
    auto writer = std::make_shared<FrameWriter>();
    writer->reset(out);
    const auto write = [&](auto&& to) {
      to.writeMessageBegin(name, apache::thrift::protocol::T_CALL, seqid);
      args.write(&to);
      to.writeMessageEnd();
    };
    if (protocol == WireProtocol::kBinary) {
      write(BinaryOut(writer));
    } else {
      write(CompactOut(writer));
    }
    return out;
  }
  std::string keep_alive(WireProtocol protocol, int32_t seqid) const {
    api::Holdfast_keepAlive_args args;
    args.context = client.context();
    return call(protocol, "keepAlive", seqid, args);
  }
  size_t arguments_size(WireProtocol protocol) const {
    return keep_alive(protocol, 4).size() - head_size(protocol);
  }
  static size_t head_size(WireProtocol protocol) {
    const std::string name = "keepAlive";
    return protocol == WireProtocol::kBinary ? 12 + name.size() : 4 + name.size();
  }
  std::string acquire(int32_t seqid, int64_t sequence, const std::string& path = "/job",
                      bool enqueue = false) const {
    api::Holdfast_acquire_args args;
    args.context = client.context(sequence);
    args.request = acquire_of(path, -1, enqueue);
    return call(WireProtocol::kBinary, "acquire", seqid, args);
  }
  /// A binary message with these bytes as its arguments.
  static std::string message(const std::string& name, apache::thrift::protocol::TMessageType type,
                             int32_t seqid, const std::string& arguments) {
    std::string out;
    auto writer = std::make_shared<FrameWriter>();
    writer->reset(out);
    BinaryOut to(writer);
    to.writeMessageBegin(name, type, seqid);
    return out + arguments;
  }

  // ---- what they get

  Reply next(net::RawPeer& peer) {
    std::string length;
    EXPECT_TRUE(net::run_until(loop, [&] {
      char peeked[4];
      return ::recv(peer.fd(), peeked, 4, MSG_PEEK | MSG_DONTWAIT) == 4;
    })) << "no answer";
    length = peer.read(4);
    uint32_t size = 0;
    std::memcpy(&size, length.data(), 4);
    size = ntohl(size);
    std::string frame;
    while (frame.size() < size) {
      loop.turn(0ms);
      const std::string more = peer.read(size - frame.size());
      if (more.empty()) break;
      frame += more;
    }
    return parse(frame);
  }
  static Reply parse(const std::string& frame) {
    Reply reply;
    reply.protocol = detect_protocol(frame).value_or(WireProtocol::kBinary);
    auto reader = std::make_shared<FrameReader>();
    reader->reset(frame);
    if (reply.protocol == WireProtocol::kBinary) {
      BinaryIn(reader).readMessageBegin(reply.name, reply.type, reply.seqid);
    } else {
      CompactIn(reader).readMessageBegin(reply.name, reply.type, reply.seqid);
    }
    reply.body = std::string(reader->rest());
    return reply;
  }
  template <class Result>
  static Result decode(const Reply& reply) {
    EXPECT_EQ(reply.type, apache::thrift::protocol::T_REPLY);
    Result result;
    read(reply, result);
    return result;
  }
  static apache::thrift::TApplicationException exception_of(const Reply& reply) {
    EXPECT_EQ(reply.type, apache::thrift::protocol::T_EXCEPTION);
    apache::thrift::TApplicationException exception;
    read(reply, exception);
    return exception;
  }
  template <class Value>
  static void read(const Reply& reply, Value& value) {
    auto reader = std::make_shared<FrameReader>();
    reader->reset(reply.body);
    if (reply.protocol == WireProtocol::kBinary) {
      BinaryIn in(reader);
      value.read(&in);
    } else {
      CompactIn in(reader);
      value.read(&in);
    }
    EXPECT_TRUE(reader->rest().empty());
  }
  bool nothing_more(net::RawPeer& peer) {
    settle();
    char byte;
    return ::recv(peer.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
  }
  void expect_usable(net::RawPeer& peer) {
    peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 77)));
    EXPECT_EQ(next(peer).seqid, 77);
    EXPECT_EQ(port->outstanding(), 0u);
  }

  // ---- the lock that calls wait for

  void take_lock() {
    const Call call = server.acquire(holder.next(), acquire_of("/job"));
    cluster.settle();
    holder_id = call.result<api::AcquireResult>().holderId;
  }
  void give_lock() {
    server.release(holder.next(), "/job", holder_id);
    cluster.settle();
  }
  void cancel(int64_t acquire_sequence) {
    api::CancelAcquireRequest request;
    request.path = "/job";
    request.acquireSequence = acquire_sequence;
    server.ask(&Engine::cancel_acquire, client.context(100 + acquire_sequence), request);
    cluster.settle();
  }

  net::ShiftedClock clock;
  net::Loop loop{clock};
  Client client = cluster.client(1, "client", 60'000);
  Client holder = cluster.client(1, "holder", 60'000);
  int64_t holder_id = 0;
  std::unique_ptr<RpcPort> port;
  net::Loop::Hook hook;
};

}  // namespace holdfast::server
