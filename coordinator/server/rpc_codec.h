// Thrift messages to and from frames: the protocol is detected per frame, the structs are decoded
// into objects that are reused, and lengths inside a frame are bounded before anything is allocated
// for them (a 7-byte message can otherwise make stock Thrift allocate gigabytes).
#pragma once

#include <thrift/TApplicationException.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/server/call.h"
#include "thrift/frame_protocol.h"
#include "thrift/frame_transport.h"

namespace holdfast::server {

/// The two protocols that stock clients speak over framed transport.
enum class WireProtocol : uint8_t { kBinary, kCompact };

/// By the first byte of a message: 0x80 strict binary, 0x82 compact, anything else none.
std::optional<WireProtocol> detect_protocol(std::string_view frame);

using BinaryIn = apache::thrift::protocol::TBinaryProtocolT<FrameReader>;
using CompactIn = apache::thrift::protocol::TCompactProtocolT<FrameReader>;
using BinaryOut = apache::thrift::protocol::TBinaryProtocolT<FrameWriter>;
using CompactOut = apache::thrift::protocol::TCompactProtocolT<FrameWriter>;

/// What stands first in a message.
struct MessageHead {
  std::string name;
  apache::thrift::protocol::TMessageType type;
  int32_t seqid = 0;
};

/// Decodes one frame at a time, of all connections of a port: what one client sends, whatever it
/// is, must not show in how the next frame is read. Every member throws TException if the bytes are
/// not Thrift.
class RpcReader {
 public:
  /// No string of a call may be longer than this: what the largest frame that --max_frame_bytes
  /// allows can hold, so that a value too large is decoded, and refused with its size and the
  /// limit. A string never claims more than its frame has: FrameReader.
  static constexpr int32_t kStringBytesMax = 16 << 20;
  /// No list or map of a call may have more elements than this, whatever the frame's size.
  static constexpr int32_t kContainerSizeMax = 100'000;

  RpcReader();
  void reset(std::string_view frame, WireProtocol protocol);
  void read_head(MessageHead& head);
  /// Reads the arguments struct into `args`, which must be in its initial state, and the message's
  /// end. Throws if bytes are left over.
  template <class Args>
  void read_arguments(Args& args) {
    if (protocol_ == WireProtocol::kBinary) {
      read_arguments(binary_, args);
    } else {
      read_arguments(compact_, args);
    }
  }

 private:
  template <class In, class Args>
  static void read_arguments(FrameProtocol<In>& protocol, Args& args) {
    args.read(&protocol.in());
    protocol.in().readMessageEnd();
    protocol.done();
    refuse_trailing_bytes(protocol.rest());
  }
  static void refuse_trailing_bytes(std::string_view rest);

  FrameProtocol<BinaryIn> binary_;
  FrameProtocol<CompactIn> compact_;
  WireProtocol protocol_ = WireProtocol::kBinary;
};

/// Encodes replies, appending to the string given.
class RpcWriter {
 public:
  RpcWriter();
  void write_reply(std::string& out, WireProtocol protocol, const std::string& method,
                   int32_t seqid, const ReplyView& reply);
  void write_error(std::string& out, WireProtocol protocol, const std::string& method,
                   int32_t seqid, const api::HoldfastError& error);
  /// For what is wrong with the message itself, understood by every Thrift client.
  void write_exception(std::string& out, WireProtocol protocol, const std::string& method,
                       int32_t seqid, const apache::thrift::TApplicationException& exception);

 private:
  template <class Write>
  void write(std::string& out, WireProtocol protocol, Write&& write);

  std::shared_ptr<FrameWriter> transport_;
  BinaryOut binary_;
  CompactOut compact_;
};

}  // namespace holdfast::server
