// The messages of servers to each other (thrift/peer.thrift) to and from bytes. One thread.
#pragma once

#include <thrift/protocol/TCompactProtocol.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "gen/cpp/peer_types.h"
#include "thrift/frame_protocol.h"
#include "thrift/frame_transport.h"

namespace holdfast::server {

class PeerCodec {
 public:
  PeerCodec();
  /// The encoded message; valid until the next call.
  template <class Message>
  std::string_view encode(const Message& message);
  /// `message` must be in its initial state. False if the bytes are not such a message.
  template <class Message>
  bool decode(std::string_view bytes, Message& message);

 private:
  std::shared_ptr<FrameWriter> writer_;
  FrameProtocol<apache::thrift::protocol::TCompactProtocolT<FrameReader>> in_;
  apache::thrift::protocol::TCompactProtocolT<FrameWriter> out_;
  std::string buffer_;
};

}  // namespace holdfast::server
