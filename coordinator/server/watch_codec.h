// Events between apply, the history and the wire. An event's fields are packed once, as the history
// keeps them; its bytes on the wire are made once, for both protocols, and spliced into the reply
// of every watcher that asks for them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"
#include "coordinator/rsm/effects.h"
#include "coordinator/server/rpc_codec.h"
#include "coordinator/tree/types.h"
#include "coordinator/watch/watches.h"
#include "gen/cpp/holdfast_types.h"
#include "gen/cpp/watch_types.h"

namespace holdfast::server {

/// What one entry changed, in the form that the history takes. Buffers are reused.
class EventBatch {
 public:
  void clear();
  void add(const tree::Event& event);
  /// A grant or the end of a tenure; of other effects nothing is told.
  void add(const rsm::Effect& effect);
  bool empty() const { return marks_.empty(); }
  std::span<const watch::NewEvent> events();

 private:
  struct Mark {
    watch::NewEvent event;
    size_t path = 0;  ///< where in bytes_ its path begins; the payload follows
    size_t payload = 0;
    size_t end = 0;
  };
  void add(watch::Space space, watch::EventType type, std::string_view path,
           std::string_view fields, std::string_view value);

  std::string bytes_;
  std::vector<Mark> marks_;
  std::vector<watch::NewEvent> events_;
};

/// The struct that a kept event is on the wire.
api::WatchEvent api_event(const watch::Event& event, bool with_value);

/// The bytes of one event or of several, in each protocol.
class WireEvents {
 public:
  WireEvents() = default;
  explicit WireEvents(Blob both) : both_(std::move(both)) {}
  std::string_view in(WireProtocol protocol) const;
  size_t size() const { return both_.size(); }

 private:
  Blob both_;  ///< length of the first part (4 bytes), then the events in either protocol
};

/// Encodes events into the form that WireEvents reads. One thread.
class EventEncoder {
 public:
  EventEncoder();
  void encode(const watch::Event& event, bool with_value, std::string& out);
  void encode(std::span<const api::WatchEvent> events, std::string& out);

 private:
  std::shared_ptr<FrameWriter> transport_;
  BinaryOut binary_;
  CompactOut compact_;
};

/// One WatchDelivery whose events are bytes already.
struct SplicedDelivery {
  int64_t watch_id = 0;
  api::DeliveryKind::type kind = api::DeliveryKind::EVENTS;
  int64_t revision = 0;
  bool partial = false;
  size_t events = 0;              ///< in `bytes` together
  std::vector<WireEvents> bytes;  ///< in order
};

/// A PollResult, of which `watches` is spliced. `head.watches` stays empty.
struct PollReply {
  api::PollResult head;
  std::vector<SplicedDelivery> deliveries;
  size_t count = 0;  ///< of them, those in use: the rest keep their memory

  SplicedDelivery& add();
  void clear() { count = 0; }
  /// As the generated struct writes itself.
  void write(BinaryOut* out) const;
  void write(CompactOut* out) const;
  /// The generated struct; for callers in this process.
  api::PollResult expand() const;
};

/// The API's struct that a reply is, whichever it is.
template <class Result>
const Result& plain(const Result& reply) {
  return reply;
}
inline api::PollResult plain(const PollReply& reply) { return reply.expand(); }

}  // namespace holdfast::server
