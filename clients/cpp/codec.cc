#include "clients/cpp/codec.h"

#include <thrift/TApplicationException.h>
#include <thrift/protocol/TCompactProtocol.h>

#include "thrift/frame_transport.h"

namespace holdfast::client {
namespace {

using apache::thrift::TApplicationException;
using apache::thrift::TException;
using apache::thrift::protocol::TCompactProtocolT;
using apache::thrift::protocol::TMessageType;
using apache::thrift::protocol::TType;

// Limits of what a reply may hold, beside the frame's own length: API, Limits (pages and poll
// replies end at 1 MiB or 1,000 entries; values are at most 1 MiB).
constexpr int32_t kStringLimit = 4 << 20;
constexpr int32_t kContainerLimit = 100'000;

/// What a server means that knows no such call, or cannot read its arguments, such as lists of more
/// items than it takes; it did nothing then.
api::ErrorCode::type code_of(TApplicationException::TApplicationExceptionType type) {
  if (type == TApplicationException::UNKNOWN_METHOD) return api::ErrorCode::UNSUPPORTED;
  if (type == TApplicationException::PROTOCOL_ERROR) return api::ErrorCode::BAD_ARGUMENT;
  return api::ErrorCode::INTERNAL;
}

}  // namespace

struct Codec::Protocols {
  std::shared_ptr<FrameReader> source = std::make_shared<FrameReader>();
  std::shared_ptr<FrameWriter> sink = std::make_shared<FrameWriter>();
  TCompactProtocolT<FrameReader> in{source, kStringLimit, kContainerLimit};
  TCompactProtocolT<FrameWriter> out{sink};
};

Codec::Codec() : protocols_(std::make_unique<Protocols>()) {}
Codec::~Codec() = default;

CallError to_call_error(const api::HoldfastError& error) {
  CallError out;
  out.code = static_cast<ErrorCode>(error.code);
  out.message = error.message;
  out.maybe_applied = error.applied != api::Applied::NO;
  out.retryable = error.retryable;
  out.retry_after = from_ms(error.retryAfterMs);
  return out;
}

template <class Call>
void Codec::encode(int32_t seqid, const api::RequestContext& context,
                   const typename Call::Request& request, std::string& out) {
  protocols_->sink->reset(out);
  auto& protocol = protocols_->out;
  protocol.writeMessageBegin(Call::kName, TMessageType::T_CALL, seqid);
  protocol.writeStructBegin("");
  protocol.writeFieldBegin("context", TType::T_STRUCT, 1);
  context.write(&protocol);
  protocol.writeFieldEnd();
  protocol.writeFieldBegin("request", TType::T_STRUCT, 2);
  request.write(&protocol);
  protocol.writeFieldEnd();
  protocol.writeFieldStop();
  protocol.writeStructEnd();
  protocol.writeMessageEnd();
}

bool Codec::begin_reply(std::string_view frame) {
  protocols_->source->reset(frame);
  try {
    TMessageType type{};
    protocols_->in.readMessageBegin(name_, type, seqid_);
    is_exception_ = type == TMessageType::T_EXCEPTION;
    return is_exception_ || type == TMessageType::T_REPLY;
  } catch (const TException&) {
    return false;
  }
}

bool Codec::read_application_exception(api::HoldfastError& error) {
  TApplicationException exception;
  exception.read(&protocols_->in);
  error.code = code_of(exception.getType());
  const bool unread = error.code != api::ErrorCode::INTERNAL;
  error.applied = unread ? api::Applied::NO : api::Applied::UNKNOWN;
  error.message = std::string("the server cannot serve ") + name_ + ": " + exception.what();
  return protocols_->source->rest().empty();
}

template <class Call>
bool Codec::read_reply(typename Call::Result& result, api::HoldfastError& error, bool* failed) {
  auto& in = protocols_->in;
  try {
    if (name_ != Call::kName) return false;
    *failed = is_exception_;
    if (is_exception_) return read_application_exception(error);
    std::string ignored;
    TType type{};
    int16_t field = 0;
    bool found = false;
    in.readStructBegin(ignored);
    for (in.readFieldBegin(ignored, type, field); type != TType::T_STOP;
         in.readFieldBegin(ignored, type, field)) {
      if (type != TType::T_STRUCT || found || field > 1) return false;
      found = true;
      *failed = field == 1;
      if (*failed) {
        error.read(&in);
      } else {
        result.read(&in);
      }
      in.readFieldEnd();
    }
    in.readStructEnd();
    in.readMessageEnd();
    return found && protocols_->source->rest().empty();
  } catch (const TException&) {
    return false;
  } catch (const std::length_error&) {
    return false;
  }
}

#define HF_CALL(Call)                                                                          \
  template void Codec::encode<Call>(int32_t, const api::RequestContext&, const Call::Request&, \
                                    std::string&);                                             \
  template bool Codec::read_reply<Call>(Call::Result&, api::HoldfastError&, bool*)
HF_CALL(OpenSession);
HF_CALL(Poll);
HF_CALL(KeepAlive);
HF_CALL(CloseSession);
HF_CALL(Acquire);
HF_CALL(CancelAcquire);
HF_CALL(AcquireAll);
HF_CALL(Release);
HF_CALL(ReleaseAll);
HF_CALL(SetHolderValue);
HF_CALL(CheckToken);
HF_CALL(DescribeLock);
HF_CALL(ListLocks);
HF_CALL(RevokeLock);
HF_CALL(GetKey);
HF_CALL(GetKeys);
HF_CALL(ListKeys);
HF_CALL(WaitForChange);
HF_CALL(PutKey);
HF_CALL(CreateKey);
HF_CALL(RemoveKey);
HF_CALL(Transact);
HF_CALL(StartWatch);
HF_CALL(StopWatch);
HF_CALL(ServerStatus);
HF_CALL(ListMembers);
HF_CALL(ChangeMembers);
HF_CALL(TransferLeadership);
HF_CALL(ListSessions);
HF_CALL(ListWatches);
HF_CALL(ExpireSession);
HF_CALL(ChangeSettings);
HF_CALL(RebuildState);
HF_CALL(SnapshotPiece);
#undef HF_CALL

}  // namespace holdfast::client
