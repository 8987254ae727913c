#include "coordinator/server/rpc_codec.h"

#include <type_traits>

#include "coordinator/server/watch_codec.h"
#include "gen/cpp/admin_types.tcc"
#include "gen/cpp/holdfast_types.tcc"
#include "gen/cpp/keys_types.tcc"

namespace holdfast::server {

namespace tp = apache::thrift::protocol;

std::optional<WireProtocol> detect_protocol(std::string_view frame) {
  if (frame.empty()) return std::nullopt;
  switch (static_cast<uint8_t>(frame[0])) {
    case 0x80:
      return WireProtocol::kBinary;
    case 0x82:
      return WireProtocol::kCompact;
    default:
      return std::nullopt;
  }
}

RpcReader::RpcReader()
    : binary_(kStringBytesMax, kContainerSizeMax, /*strict_read=*/true, /*strict_write=*/true),
      compact_(kStringBytesMax, kContainerSizeMax) {}

void RpcReader::reset(std::string_view frame, WireProtocol protocol) {
  protocol_ = protocol;
  if (protocol == WireProtocol::kBinary) {
    binary_.reset(frame);
  } else {
    compact_.reset(frame);
  }
}

void RpcReader::read_head(MessageHead& head) {
  if (protocol_ == WireProtocol::kBinary) {
    binary_.in().readMessageBegin(head.name, head.type, head.seqid);
  } else {
    compact_.in().readMessageBegin(head.name, head.type, head.seqid);
  }
}

void RpcReader::refuse_trailing_bytes(std::string_view rest) {
  if (rest.empty()) return;
  throw tp::TProtocolException(
      tp::TProtocolException::INVALID_DATA,
      std::to_string(rest.size()) + " bytes follow the message in its frame");
}

RpcWriter::RpcWriter()
    : transport_(std::make_shared<FrameWriter>()), binary_(transport_), compact_(transport_) {}

template <class Write>
void RpcWriter::write(std::string& out, WireProtocol protocol, Write&& write) {
  transport_->reset(out);
  if (protocol == WireProtocol::kBinary) {
    write(binary_);
  } else {
    write(compact_);
  }
}

namespace {

/// A result struct as generated servers write it: one set field, then the stop.
template <class Protocol, class Value>
void write_result(Protocol& out, const std::string& method, int32_t seqid, const char* field,
                  int16_t id, const Value& value) {
  out.writeMessageBegin(method, tp::T_REPLY, seqid);
  out.writeStructBegin("result");
  out.writeFieldBegin(field, tp::T_STRUCT, id);
  value.write(&out);
  out.writeFieldEnd();
  out.writeFieldStop();
  out.writeStructEnd();
  out.writeMessageEnd();
}

}  // namespace

void RpcWriter::write_reply(std::string& out, WireProtocol protocol, const std::string& method,
                            int32_t seqid, const ReplyView& reply) {
  write(out, protocol, [&](auto& to) {
    std::visit([&](const auto* value) { write_result(to, method, seqid, "success", 0, *value); },
               reply);
  });
}

void RpcWriter::write_error(std::string& out, WireProtocol protocol, const std::string& method,
                            int32_t seqid, const api::HoldfastError& error) {
  write(out, protocol, [&](auto& to) { write_result(to, method, seqid, "error", 1, error); });
}

void RpcWriter::write_exception(std::string& out, WireProtocol protocol, const std::string& method,
                                int32_t seqid,
                                const apache::thrift::TApplicationException& exception) {
  write(out, protocol, [&](auto& to) {
    to.writeMessageBegin(method, tp::T_EXCEPTION, seqid);
    exception.write(&to);
    to.writeMessageEnd();
  });
}

}  // namespace holdfast::server
