#include "coordinator/server/watch_hub.h"

#include <algorithm>
#include <optional>
#include <string>

#include "coordinator/rsm/path.h"
#include "coordinator/server/state_walk.h"
#include "gen/cpp/admin_types.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::server {

namespace {

int64_t number(Revision revision) { return static_cast<int64_t>(revision.value); }

/// Takes a delivery up into the reply.
class ReplyFiller final : public watch::Sink {
 public:
  ReplyFiller(watch::History& history, EventEncoder& encoder, PollReply& reply)
      : history_(history), encoder_(encoder), reply_(reply) {}

  size_t size_of(const watch::Event& event, bool with_value) override {
    return wire(event, with_value).in(WireProtocol::kBinary).size();
  }
  void begin_group(watch::WatchId watch, Revision revision) override {
    begin(watch, api::DeliveryKind::EVENTS, revision);
  }
  void add(const watch::Event& event, bool with_value) override {
    ++current_->events;
    current_->bytes.push_back(wire(event, with_value));
  }
  void end_group(bool complete) override { current_->partial = !complete; }
  void resync_begin(watch::WatchId watch, Revision revision) override {
    begin(watch, api::DeliveryKind::RESYNC_BEGIN, revision);
  }
  void snapshot_item(watch::WatchId watch, watch::Space, const watch::WalkItem& item) override {
    const int64_t id = static_cast<int64_t>(watch.value);
    const bool goes_on = current_ != nullptr && current_->watch_id == id &&
                         current_->kind == api::DeliveryKind::RESYNC_STATE;
    if (!goes_on) begin(watch, api::DeliveryKind::RESYNC_STATE, history_.last());
    const StateItem state(item.payload);
    current_->events += state.events();
    current_->bytes.emplace_back(Blob(state.wire()));
  }
  void resync_end(watch::WatchId watch, Revision revision) override {
    begin(watch, api::DeliveryKind::RESYNC_END, revision);
  }

 private:
  WireEvents wire(const watch::Event& event, bool with_value) {
    return WireEvents(history_.encoded(
        event, 0, with_value, [this](const watch::Event& one, bool value, std::string& out) {
          encoder_.encode(one, value, out);
        }));
  }
  void begin(watch::WatchId watch, api::DeliveryKind::type kind, Revision revision) {
    current_ = &reply_.add();
    current_->watch_id = static_cast<int64_t>(watch.value);
    current_->kind = kind;
    current_->revision = number(revision);
  }

  watch::History& history_;
  EventEncoder& encoder_;
  PollReply& reply_;
  SplicedDelivery* current_ = nullptr;
};

Error unknown(const char* what, int value) {
  return {ErrorCode::kUnsupported,
          std::string(what) + " " + std::to_string(value) + " is not known here"};
}

std::optional<watch::Scope> scope_of(api::WatchScope::type scope) {
  switch (scope) {
    case api::WatchScope::UNSPECIFIED:
    case api::WatchScope::NODE:
      return watch::Scope::kNode;
    case api::WatchScope::CHILDREN:
      return watch::Scope::kChildren;
    case api::WatchScope::SUBTREE:
      return watch::Scope::kSubtree;
  }
  return std::nullopt;
}

std::optional<uint8_t> spaces_of(api::WatchSpace::type space) {
  constexpr auto kKeys = static_cast<uint8_t>(watch::Space::kKeys);
  constexpr auto kLocks = static_cast<uint8_t>(watch::Space::kLocks);
  switch (space) {
    case api::WatchSpace::UNSPECIFIED:
    case api::WatchSpace::KEYS:
      return kKeys;
    case api::WatchSpace::LOCKS:
      return kLocks;
    case api::WatchSpace::BOTH:
      return watch::kBothSpaces;
  }
  return std::nullopt;
}

std::optional<watch::EventType> type_of(api::EventType::type type) {
  switch (type) {
    case api::EventType::KEY_CREATED:
      return watch::EventType::kCreated;
    case api::EventType::KEY_CHANGED:
      return watch::EventType::kChanged;
    case api::EventType::KEY_REMOVED:
      return watch::EventType::kRemoved;
    case api::EventType::LOCK_GRANTED:
      return watch::EventType::kGranted;
    case api::EventType::LOCK_ENDED:
      return watch::EventType::kTenureEnded;
    case api::EventType::UNSPECIFIED:
      break;
  }
  return std::nullopt;
}

/// The types of event that there are in these spaces.
uint32_t types_in(uint8_t spaces) {
  constexpr uint32_t kOfKeys = watch::bit(watch::EventType::kCreated) |
                               watch::bit(watch::EventType::kChanged) |
                               watch::bit(watch::EventType::kRemoved);
  const bool keys = (spaces & static_cast<uint8_t>(watch::Space::kKeys)) != 0;
  const bool locks = (spaces & static_cast<uint8_t>(watch::Space::kLocks)) != 0;
  return (keys ? kOfKeys : 0) | (locks ? ~kOfKeys : 0);
}

Result<uint32_t> types_of(const std::vector<api::EventType::type>& filter, uint8_t spaces) {
  if (filter.empty()) return watch::kAllTypes;
  uint32_t types = 0;
  for (const api::EventType::type each : filter) {
    const auto type = type_of(each);
    if (!type) return unknown("event type", each);
    types |= watch::bit(*type);
  }
  if ((types & types_in(spaces)) != 0) return types;
  return Error{ErrorCode::kBadArgument,
               "no event type of the filter is one of the watch's space: it would tell nothing"};
}

api::WatchInfo api_watch(const watch::WatchView& view) {
  api::WatchInfo info;
  info.watchId = static_cast<int64_t>(view.id.value);
  info.sessionId = static_cast<int64_t>(view.owner.value);
  info.path.assign(view.path);
  // The numbers of the wire: a scope's are one more, those of spaces the same bits.
  info.scope = static_cast<api::WatchScope::type>(static_cast<int>(view.scope) + 1);
  info.space = static_cast<api::WatchSpace::type>(view.spaces);
  info.withValues = view.with_values;
  info.behind = view.behind;
  info.resyncing = view.resyncing;
  if (view.types == watch::kAllTypes) return info;
  for (const auto type :
       {api::EventType::KEY_CREATED, api::EventType::KEY_CHANGED, api::EventType::KEY_REMOVED,
        api::EventType::LOCK_GRANTED, api::EventType::LOCK_ENDED}) {
    if ((view.types & watch::bit(*type_of(type))) != 0) info.filter.push_back(type);
  }
  return info;
}

}  // namespace

api::ListWatchesResult WatchHub::list(uint64_t place, size_t max, size_t path_bytes) const {
  const watch::WatchList listed = watches_.list(place, max, path_bytes);
  api::ListWatchesResult result;
  for (const watch::WatchView& view : listed.watches) result.watches.push_back(api_watch(view));
  result.nextPage = static_cast<int64_t>(listed.next);
  return result;
}

WatchHub::WatchHub(Host& host)
    : host_(host),
      epoch_(static_cast<int64_t>(host.entropy.next_id())),
      watches_(
          {.history = {.bytes = host.options.history_bytes, .events = host.options.history_events},
           .start = host.applied,
           .hash_seed = host.entropy.next_u64(),
           .last_id = host.entropy.next_id() >> 1}) {}

void WatchHub::on_entry(LogIndex revision, std::span<const tree::Event> keys,
                        const rsm::Effects& effects) {
  batch_.clear();
  for (const tree::Event& event : keys) batch_.add(event);
  for (const rsm::Effect& effect : effects) batch_.add(effect);
  watches_.append(revision, batch_.events());
}

Result<watch::Registered> WatchHub::watch(SessionId session, const api::WatchRequest& request) {
  if (request.path != "/") {
    if (const Status form = rsm::check_form(request.path); !form.ok()) return form.error();
  }
  const auto scope = scope_of(request.scope);
  if (!scope) return unknown("watch scope", request.scope);
  const auto spaces = spaces_of(request.space);
  if (!spaces) return unknown("watch space", request.space);
  const auto types = types_of(request.filter, *spaces);
  if (!types.ok()) return types.error();
  return watches_.watch(owner_of(session),
                        {.path = request.path,
                         .scope = *scope,
                         .spaces = *spaces,
                         .types = *types,
                         .with_values = request.withValues,
                         .since = Revision(static_cast<uint64_t>(request.sinceRevision))},
                        host_.options.max_watches_per_session);
}

void WatchHub::unwatch(SessionId session, int64_t watch_id) {
  watches_.unwatch(owner_of(session), watch::WatchId(static_cast<uint64_t>(watch_id)));
}

void WatchHub::take_acknowledgement(SessionId session, int64_t delivery) {
  const auto named = static_cast<uint64_t>(std::max<int64_t>(0, delivery));
  if (!watches_.acknowledge(owner_of(session), named)) watches_.rewind(owner_of(session));
}

void WatchHub::begin(PollReply& reply) const {
  reply.clear();
  reply.head.serverEpoch = epoch_;
  reply.head.progressRevision = reply.head.progressWatchId = 0;
}

void WatchHub::leave_out(PollReply& reply) const {
  begin(reply);
  reply.head.more = true;
}

void WatchHub::collect(SessionId session, PollReply& reply) {
  begin(reply);
  if (watches_.watches_of(owner_of(session)) == 0) return;
  StateWalk walk(host_.machine, encoder_);
  ReplyFiller filler(watches_.history(), encoder_, reply);
  const watch::Collected collected =
      watches_.collect({.owner = owner_of(session),
                        .delivery = static_cast<uint64_t>(reply.head.delivery),
                        .bytes = host_.options.watch_reply_bytes,
                        .entries = host_.options.watch_reply_entries},
                       walk, filler);
  reply.head.more = reply.head.more || collected.more;
  reply.head.progressRevision = number(collected.progress);
  reply.head.progressWatchId = static_cast<int64_t>(collected.newest_watch.value);
}

bool WatchHub::may_have_changed(std::string_view path, LogIndex revision) const {
  const watch::History& history = watches_.history();
  if (revision < history.floor()) return true;
  for (uint64_t next = history.newest_of(watch::Chain::kPath, path); next != 0;) {
    const watch::Event& event = history.at(next - 1);
    if (event.revision <= revision) return false;
    if (event.space == watch::Space::kKeys && event.path() == path) return true;
    next = history.older(watch::Chain::kPath, next - 1);
  }
  return false;
}

}  // namespace holdfast::server
