#include "coordinator/server/watch_codec.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "gen/cpp/holdfast_types.tcc"
#include "gen/cpp/watch_types.tcc"
#include "lockmgr/types.h"

namespace holdfast::server {

namespace tp = apache::thrift::protocol;

namespace {

/// What the history keeps of an event besides its path and value. In this process only.
struct Fields {
  uint64_t version = 0;
  uint64_t create_revision = 0;
  uint64_t session = 0;  ///< keys: the ephemeral's owner; locks: the holder's
  uint64_t holder_id = 0;
  uint64_t token = 0;
  uint8_t reason = 0;  ///< RemovalReason or EndReason
};

std::string_view bytes_of(const Fields& fields) {
  return {reinterpret_cast<const char*>(&fields), sizeof(fields)};
}

int64_t signed_of(uint64_t number) { return static_cast<int64_t>(number); }

watch::EventType type_of(tree::EventKind kind) {
  switch (kind) {
    case tree::EventKind::kCreated:
      return watch::EventType::kCreated;
    case tree::EventKind::kChanged:
      return watch::EventType::kChanged;
    case tree::EventKind::kRemoved:
      return watch::EventType::kRemoved;
  }
  HF_CHECK(false, "a key is created, changed or removed");
}

api::EventType::type api_type(watch::EventType type) {
  switch (type) {
    case watch::EventType::kCreated:
      return api::EventType::KEY_CREATED;
    case watch::EventType::kChanged:
      return api::EventType::KEY_CHANGED;
    case watch::EventType::kRemoved:
      return api::EventType::KEY_REMOVED;
    case watch::EventType::kGranted:
      return api::EventType::LOCK_GRANTED;
    case watch::EventType::kTenureEnded:
      return api::EventType::LOCK_ENDED;
    default:
      return api::EventType::UNSPECIFIED;
  }
}

}  // namespace

// ------------------------------------------------------------------------------- from apply

void EventBatch::clear() {
  bytes_.clear();
  marks_.clear();
}

void EventBatch::add(watch::Space space, watch::EventType type, std::string_view path,
                     std::string_view fields, std::string_view value) {
  Mark mark;
  mark.event.space = space;
  mark.event.type = type;
  mark.event.has_value = !value.empty();
  mark.path = bytes_.size();
  bytes_ += path;
  mark.payload = bytes_.size();
  bytes_ += fields;
  bytes_ += value;
  mark.end = bytes_.size();
  marks_.push_back(mark);
}

void EventBatch::add(const tree::Event& event) {
  Fields fields;
  fields.version = event.version;
  fields.create_revision = event.create_revision.value;
  fields.session = event.ephemeral_owner.value;
  fields.reason = static_cast<uint8_t>(event.reason);
  add(watch::Space::kKeys, type_of(event.kind), event.path, bytes_of(fields), event.value);
}

void EventBatch::add(const rsm::Effect& effect) {
  const bool granted = effect.kind == rsm::EffectKind::kGranted;
  if (!granted && effect.kind != rsm::EffectKind::kTenureEnded) return;
  Fields fields;
  fields.session = effect.session.value;
  fields.holder_id = effect.holder_id.value;
  fields.token = effect.token.value;
  if (!granted) fields.reason = static_cast<uint8_t>(effect.end_reason);
  add(watch::Space::kLocks, granted ? watch::EventType::kGranted : watch::EventType::kTenureEnded,
      effect.path, bytes_of(fields), {});
}

std::span<const watch::NewEvent> EventBatch::events() {
  events_.clear();
  const std::string_view all = bytes_;
  for (const Mark& mark : marks_) {
    events_.push_back(mark.event);
    events_.back().path = all.substr(mark.path, mark.payload - mark.path);
    events_.back().payload = all.substr(mark.payload, mark.end - mark.payload);
  }
  return events_;
}

// --------------------------------------------------------------------------------- to the wire

api::WatchEvent api_event(const watch::Event& event, bool with_value) {
  Fields fields;
  const std::string_view payload = event.payload();
  std::memcpy(&fields, payload.data(), sizeof(fields));
  api::WatchEvent out;
  out.eventType = api_type(event.type);
  out.path = event.path();
  if (event.space == watch::Space::kKeys) {
    out.version = signed_of(fields.version);
    out.createRevision = signed_of(fields.create_revision);
    out.ephemeralOwner = signed_of(fields.session);
    out.removal = static_cast<api::RemovalReason::type>(fields.reason);
    out.modifyRevision = signed_of(event.revision.value);
    if (with_value) out.value = payload.substr(sizeof(fields));
  } else {
    out.sessionId = signed_of(fields.session);
    out.holderId = signed_of(fields.holder_id);
    out.token = signed_of(fields.token);
    out.endReason = fields.reason;
  }
  return out;
}

std::string_view WireEvents::in(WireProtocol protocol) const {
  const std::string_view all = both_.view();
  const size_t binary = load_le<uint32_t>(all.data());
  return protocol == WireProtocol::kBinary ? all.substr(sizeof(uint32_t), binary)
                                           : all.substr(sizeof(uint32_t) + binary);
}

EventEncoder::EventEncoder()
    : transport_(std::make_shared<FrameWriter>()), binary_(transport_), compact_(transport_) {}

void EventEncoder::encode(const watch::Event& event, bool with_value, std::string& out) {
  const api::WatchEvent one = api_event(event, with_value);
  encode({&one, 1}, out);
}

void EventEncoder::encode(std::span<const api::WatchEvent> events, std::string& out) {
  const size_t begin = out.size();
  append_le(out, uint32_t{0});
  transport_->reset(out);
  for (const api::WatchEvent& event : events) event.write(&binary_);
  const auto binary = static_cast<uint32_t>(out.size() - begin - sizeof(uint32_t));
  store_le(out.data() + begin, binary);
  for (const api::WatchEvent& event : events) event.write(&compact_);
}

// ----------------------------------------------------------------------------------- the reply

SplicedDelivery& PollReply::add() {
  if (count == deliveries.size()) deliveries.emplace_back();
  SplicedDelivery& delivery = deliveries[count++];
  delivery.partial = false;
  delivery.events = 0;
  delivery.bytes.clear();
  return delivery;
}

namespace {

constexpr WireProtocol protocol_of(const BinaryOut&) { return WireProtocol::kBinary; }
constexpr WireProtocol protocol_of(const CompactOut&) { return WireProtocol::kCompact; }

template <class Out>
void write_number(Out& out, const char* name, int16_t id, int64_t value) {
  out.writeFieldBegin(name, tp::T_I64, id);
  out.writeI64(value);
  out.writeFieldEnd();
}

template <class Out>
void write_flag(Out& out, const char* name, int16_t id, bool value) {
  out.writeFieldBegin(name, tp::T_BOOL, id);
  out.writeBool(value);
  out.writeFieldEnd();
}

template <class Out, class Item>
void write_list(Out& out, const char* name, int16_t id, const std::vector<Item>& items) {
  out.writeFieldBegin(name, tp::T_LIST, id);
  out.writeListBegin(tp::T_STRUCT, static_cast<uint32_t>(items.size()));
  for (const Item& item : items) item.write(&out);
  out.writeListEnd();
  out.writeFieldEnd();
}

/// thrift/watch.thrift, WatchDelivery.
template <class Out>
void write_delivery(Out& out, const SplicedDelivery& delivery) {
  out.writeStructBegin("WatchDelivery");
  write_number(out, "watchId", 1, delivery.watch_id);
  out.writeFieldBegin("kind", tp::T_I32, 2);
  out.writeI32(delivery.kind);
  out.writeFieldEnd();
  write_number(out, "revision", 3, delivery.revision);
  out.writeFieldBegin("events", tp::T_LIST, 4);
  out.writeListBegin(tp::T_STRUCT, static_cast<uint32_t>(delivery.events));
  for (const WireEvents& events : delivery.bytes) {
    const std::string_view bytes = events.in(protocol_of(out));
    out.getTransport()->write(reinterpret_cast<const uint8_t*>(bytes.data()),
                              static_cast<uint32_t>(bytes.size()));
  }
  out.writeListEnd();
  out.writeFieldEnd();
  write_flag(out, "partial", 5, delivery.partial);
  out.writeFieldStop();
  out.writeStructEnd();
}

/// thrift/holdfast.thrift, PollResult.
template <class Out>
void write_reply(Out& out, const PollReply& reply) {
  const api::PollResult& head = reply.head;
  out.writeStructBegin("PollResult");
  out.writeFieldBegin("header", tp::T_STRUCT, 1);
  head.header.write(&out);
  out.writeFieldEnd();
  write_number(out, "leaseMs", 2, head.leaseMs);
  write_number(out, "delivery", 3, head.delivery);
  write_list(out, "grants", 4, head.grants);
  write_list(out, "revocations", 5, head.revocations);
  write_list(out, "losses", 6, head.losses);
  write_flag(out, "more", 7, head.more);
  out.writeFieldBegin("watches", tp::T_LIST, 8);
  out.writeListBegin(tp::T_STRUCT, static_cast<uint32_t>(reply.count));
  for (size_t i = 0; i < reply.count; ++i) write_delivery(out, reply.deliveries[i]);
  out.writeListEnd();
  out.writeFieldEnd();
  write_number(out, "progressRevision", 9, head.progressRevision);
  write_number(out, "progressWatchId", 10, head.progressWatchId);
  write_number(out, "serverEpoch", 11, head.serverEpoch);
  out.writeFieldStop();
  out.writeStructEnd();
}

}  // namespace

void PollReply::write(BinaryOut* out) const { write_reply(*out, *this); }
void PollReply::write(CompactOut* out) const { write_reply(*out, *this); }

api::PollResult PollReply::expand() const {
  if (count == 0) return head;
  std::string bytes;
  auto writer = std::make_shared<FrameWriter>();
  writer->reset(bytes);
  BinaryOut out(writer);
  write(&out);
  auto reader = std::make_shared<FrameReader>();
  reader->reset(bytes);
  BinaryIn in(reader);
  api::PollResult result;
  result.read(&in);
  return result;
}

}  // namespace holdfast::server
