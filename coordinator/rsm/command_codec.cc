#include "coordinator/rsm/command_codec.h"

#include <thrift/protocol/TCompactProtocol.h>

#include <algorithm>
#include <string>

#include "base/checksum.h"
#include "coordinator/rsm/command_reset.h"
#include "gen/cpp/command_types.tcc"
#include "thrift/frame_protocol.h"
#include "thrift/frame_transport.h"

namespace holdfast::rsm {
namespace {

// An entry never is as long as this; what a hostile length may make Thrift allocate is.
constexpr int32_t kStringMax = 1 << 22;
// More than any list of a command may have; lists of structs are sized before they are read.
constexpr int32_t kContainerMax = 10'000;

using ReadProtocol = apache::thrift::protocol::TCompactProtocolT<FrameReader>;
using WriteProtocol = apache::thrift::protocol::TCompactProtocolT<FrameWriter>;

Error malformed(const char* part, const char* what) {
  return {ErrorCode::kBadArgument, std::string("malformed command ") + part + ": " + what};
}

}  // namespace

int32_t level_of(command::CommandKind::type kind) {
  return kind == command::CommandKind::RESTORE ? 2 : 1;
}

uint64_t content_hash(command::CommandKind::type kind, std::string_view body) {
  const uint64_t hash = checksum64(body, static_cast<uint64_t>(kind));
  return hash == 0 ? 1 : hash;  // zero stands for "any content"
}

// ---- encoder --------------------------------------------------------------------------------

struct CommandEncoder::Buffers {
  std::shared_ptr<FrameWriter> writer = std::make_shared<FrameWriter>();
  WriteProtocol protocol{writer};
  std::string header;
  std::string body;

  template <class Struct>
  void write(const Struct& value, std::string& out) {
    out.clear();
    writer->reset(out);
    value.write(&protocol);
  }
};

CommandEncoder::CommandEncoder() : buffers_(std::make_unique<Buffers>()) {}
CommandEncoder::~CommandEncoder() = default;

template <class Body>
std::string_view CommandEncoder::body(const Body& body) {
  buffers_->write(body, buffers_->body);
  return buffers_->body;
}

Blob CommandEncoder::entry(const command::CommandHeader& header, std::string_view body) {
  std::string& head = buffers_->header;
  buffers_->write(header, head);
  return Blob::make(head.size() + body.size(), [&](char* at) {
    std::copy(body.begin(), body.end(), std::copy(head.begin(), head.end(), at));
  });
}

// ---- decoder --------------------------------------------------------------------------------

struct CommandDecoder::Reader {
  FrameProtocol<ReadProtocol> frame{kStringMax, kContainerMax};

  /// Fields that the bytes do not have must not keep what another command had; nor may the protocol
  /// keep anything of one that it could not read (FrameProtocol).
  template <class Struct>
  Status read(Struct& value, const char* part) {
    reset(value);
    frame.go_on();
    try {
      value.read(&frame.in());
    } catch (const apache::thrift::TException& exception) {
      return malformed(part, exception.what());
    }
    frame.done();
    return ok_status();
  }
};

CommandDecoder::CommandDecoder() : reader_(std::make_unique<Reader>()) {}
CommandDecoder::~CommandDecoder() = default;

Status CommandDecoder::header(std::string_view payload, command::CommandHeader& header) {
  reader_->frame.reset(payload);
  return reader_->read(header, "header");
}

std::string_view CommandDecoder::body_bytes() const { return reader_->frame.rest(); }

template <class Body>
Status CommandDecoder::body(Body& body) {
  Status status = reader_->read(body, "body");
  if (status.ok() && !reader_->frame.rest().empty()) {
    return malformed("body", "bytes behind its end");
  }
  return status;
}

#define HF_BODY(Type)                                                                  \
  template std::string_view CommandEncoder::body<command::Type>(const command::Type&); \
  template Status CommandDecoder::body<command::Type>(command::Type&);
HF_BODY(OpenSession)
HF_BODY(CloseSession)
HF_BODY(MarkLate)
HF_BODY(RenewLate)
HF_BODY(ExpireSessions)
HF_BODY(RevokeSession)
HF_BODY(Tick)
HF_BODY(SessionAttributes)
HF_BODY(Acquire)
HF_BODY(AcquireAll)
HF_BODY(CancelAcquire)
HF_BODY(Release)
HF_BODY(ReleaseAll)
HF_BODY(SetHolderValue)
HF_BODY(RevokeLock)
HF_BODY(AcknowledgeNotices)
HF_BODY(ChangeSettings)
HF_BODY(PutKey)
HF_BODY(CreateKey)
HF_BODY(RemoveKey)
HF_BODY(Transact)
HF_BODY(TransactOutcome)
HF_BODY(Restore)
#undef HF_BODY

}  // namespace holdfast::rsm
