#include "coordinator/server/peer_codec.h"

#include "gen/cpp/admin_types.tcc"
#include "gen/cpp/command_types.tcc"
#include "gen/cpp/holdfast_types.tcc"
#include "gen/cpp/peer_types.tcc"

namespace holdfast::server {

namespace {
constexpr int32_t kStringBytesMax = 8 << 20;
constexpr int32_t kContainerSizeMax = 1'000'000;
}  // namespace

PeerCodec::PeerCodec()
    : writer_(std::make_shared<FrameWriter>()),
      in_(kStringBytesMax, kContainerSizeMax),
      out_(writer_) {}

template <class Message>
std::string_view PeerCodec::encode(const Message& message) {
  buffer_.clear();
  writer_->reset(buffer_);
  message.write(&out_);
  return buffer_;
}

template <class Message>
bool PeerCodec::decode(std::string_view bytes, Message& message) {
  in_.reset(bytes);
  try {
    message.read(&in_.in());
  } catch (const apache::thrift::TException&) {
    return false;
  }
  in_.done();
  return in_.rest().empty();
}

#define HF_PEER_MESSAGE(Message)                                        \
  template std::string_view PeerCodec::encode<Message>(const Message&); \
  template bool PeerCodec::decode<Message>(std::string_view, Message&)
HF_PEER_MESSAGE(peer::ForwardBatch);
HF_PEER_MESSAGE(peer::ForwardRefusals);
HF_PEER_MESSAGE(peer::RenewalBatch);
HF_PEER_MESSAGE(peer::RenewalReplies);
HF_PEER_MESSAGE(peer::TransferRequest);
HF_PEER_MESSAGE(peer::TransferRefusal);
HF_PEER_MESSAGE(peer::LeaseQuery);
HF_PEER_MESSAGE(peer::LeaseReply);
HF_PEER_MESSAGE(peer::SnapshotAsk);
HF_PEER_MESSAGE(peer::SnapshotPiece);
HF_PEER_MESSAGE(peer::MemberChange);
HF_PEER_MESSAGE(peer::MemberChangeReply);
HF_PEER_MESSAGE(peer::DigestReport);
HF_PEER_MESSAGE(peer::DigestNews);
HF_PEER_MESSAGE(peer::RoomReport);
#undef HF_PEER_MESSAGE

}  // namespace holdfast::server
