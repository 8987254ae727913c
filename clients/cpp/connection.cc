#include "clients/cpp/connection.h"

namespace holdfast::client {
namespace {

// A seqid is the slot's number in the low bits and a running generation above it, so that a late
// reply never finds a later call in its slot.
constexpr int kSlotBits = 20;
constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
constexpr uint32_t kGenerations = 1u << (31 - kSlotBits);

}  // namespace

std::shared_ptr<Connection> Connection::dial(net::Loop& loop, const net::Address& address,
                                             const ConnectionOptions& options, Owner* owner) {
  std::shared_ptr<Connection> connection(new Connection(options.call_bytes_max, owner));
  connection->frames_ = net::FrameConnection::dial(loop, address, options.frames, *connection);
  return connection;
}

Connection::~Connection() = default;

int32_t Connection::take_slot(ReplySink& sink, uint64_t tag, int64_t sequence) {
  HF_CHECK(!closed_, "call on a closed connection");
  if (free_.empty()) {
    HF_CHECK(slots_.size() < kSlotMask, "more calls outstanding on a connection than seqids");
    slots_.emplace_back();
    free_.push_back(static_cast<uint32_t>(slots_.size() - 1));
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  generation_ = generation_ % (kGenerations - 1) + 1;
  slots_[index] = {&sink, tag, sequence, static_cast<int32_t>(generation_ << kSlotBits | index)};
  ++outstanding_;
  return slots_[index].seqid;
}

Connection::Slot* Connection::find(int32_t seqid) {
  const uint32_t index = static_cast<uint32_t>(seqid) & kSlotMask;
  if (seqid <= 0 || index >= slots_.size() || slots_[index].seqid != seqid) return nullptr;
  return &slots_[index];
}

void Connection::release(Slot& slot) {
  free_.push_back(static_cast<uint32_t>(slot.seqid) & kSlotMask);
  slot = Slot{};
  --outstanding_;
}

CallError Connection::too_long() const {
  return {ErrorCode::kTooLarge, "the call has " + std::to_string(too_long_) +
                                    " bytes, the limit is " + std::to_string(call_bytes_max_)};
}

// The slot stays taken until the server answers, so that its seqid is not used again before.
void Connection::forget(int32_t seqid) {
  if (Slot* slot = find(seqid)) slot->sink = nullptr;
}

void Connection::on_connected(net::FrameConnection&) {
  opened_ = true;
  if (owner_ != nullptr) owner_->on_connection_open(*this);
}

void Connection::on_frame(net::FrameConnection& frames, std::string_view payload) {
  last_received_ = frames.last_received();
  const auto self = shared_from_this();
  if (!codec_.begin_reply(payload)) return fail("sent something that is not a reply");
  Slot* slot = find(codec_.seqid());
  if (slot == nullptr) return fail("answered a call that was not made");
  const Slot call = *slot;
  release(*slot);
  if (call.sink == nullptr) return;
  Reply reply(codec_, call.sequence);
  call.sink->on_reply(call.tag, *this, reply);
  if (!reply.ok_) fail("sent a malformed reply or another call's reply to " + codec_.name());
}

void Connection::on_closed(net::FrameConnection&, const net::CloseReason& reason) {
  const auto self = shared_from_this();
  if (closed_) return;
  closed_ = true;
  if (owner_ != nullptr) owner_->on_connection_closed(*this, reason.error.message);
  lose_all();
}

void Connection::fail(const std::string& why) {
  if (closed_) return;
  const auto self = shared_from_this();
  closed_ = true;
  frames_->close();
  if (owner_ != nullptr) owner_->on_connection_closed(*this, to_string(peer()) + " " + why);
  lose_all();
}

void Connection::close() {
  if (closed_) return;
  const auto self = shared_from_this();
  closed_ = true;
  frames_->close();
  lose_all();
}

void Connection::lose_all() {
  const std::vector<Slot> lost = std::move(slots_);
  slots_.clear();
  free_.clear();
  outstanding_ = 0;
  for (const Slot& slot : lost) {
    if (slot.seqid != 0 && slot.sink != nullptr) slot.sink->on_lost(slot.tag, *this);
  }
}

}  // namespace holdfast::client
