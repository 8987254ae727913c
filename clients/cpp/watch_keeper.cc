#include "clients/cpp/watch_keeper.h"

#include <algorithm>
#include <utility>

namespace holdfast::client {
namespace {

constexpr int64_t kDeadlineMs = 5'000;
// Waits after a refusal that may pass, if it names none itself.
constexpr Duration kRefusalDelay = 100ms;

}  // namespace

WatchKeeper::WatchKeeper(ServerPool& pool, const api::RequestContext& session)
    : pool_(pool), session_(session), retry_(pool.loop(), [this] { register_missing(); }) {}

WatchKeeper::~WatchKeeper() { stop(); }

int64_t WatchKeeper::add(api::WatchRequest request, WatchHandlers handlers) {
  const int64_t number = ++last_number_;
  auto watch = std::make_shared<Watch>();
  watch->request = std::move(request);
  watch->handlers = std::move(handlers);
  watches_.emplace(number, std::move(watch));
  register_missing();
  return number;
}

void WatchKeeper::remove(int64_t number) {
  auto node = watches_.extract(number);
  if (node.empty()) return;
  Watch& watch = *node.mapped();
  attempt(watch, 0);
  if (watch.id == 0) return;  // one under way is stopped when its answer comes
  numbers_.erase(watch.id);
  const auto& connection = server_->connection;
  if (connection != nullptr && !connection->closed()) stop_watch(*connection, watch.id);
}

void WatchKeeper::stop() {
  retry_.cancel();
  for (const auto& [tag, call] : calls_) {
    if (const auto connection = call.connection.lock()) connection->forget(call.seqid);
  }
  calls_.clear();
  stops_.clear();
  attempts_ = 0;
  watches_.clear();
  numbers_.clear();
  server_ = nullptr;
}

void WatchKeeper::end(const CallError& error) {
  const auto all = watches_;
  stop();
  for (const auto& [number, watch] : all) {
    if (watch->handlers.ended) watch->handlers.ended(error);
  }
}

// -------------------------------------------------------------------------------- registration

void WatchKeeper::polled(Server& server, int64_t epoch) {
  if (&server != server_ || epoch != epoch_) move_to(server, epoch);
  register_missing();
}

// docs/watches.md, Where a watch begins: on another server, or after its restart, a client
// registers again with the last revision that was told whole.
void WatchKeeper::move_to(Server& server, int64_t epoch) {
  leave();
  server_ = &server;
  epoch_ = epoch;
  const auto node = left_.extract(&server);
  if (node.empty() || node.mapped().epoch != epoch) return;
  for (const int64_t id : node.mapped().ids) stop_watch(pool_.connect(server), id);
}

void WatchKeeper::leave() {
  Left left{epoch_, {}};
  for (const auto& [number, watch] : watches_) {
    if (watch->id != 0) left.ids.push_back(watch->id);
    watch->id = 0;
    attempt(*watch, 0);
    watch->part.clear();
    watch->resync.reset();
  }
  numbers_.clear();
  if (!left.ids.empty()) left_[server_] = std::move(left);
}

void WatchKeeper::register_missing() {
  if (server_ == nullptr) return;
  for (const auto& [number, watch] : watches_) {
    if (watch->id == 0 && watch->attempt == 0) {
      register_at(number, *watch, pool_.connect(*server_));
    }
  }
}

void WatchKeeper::register_at(int64_t number, Watch& watch, Connection& connection) {
  api::RequestContext context = session_;
  context.minRevision = pool_.newest_revision();
  context.deadlineMs = kDeadlineMs;
  attempt(watch, ++last_tag_);
  Call& call = calls_[watch.attempt];
  call.watch = number;
  call.connection = connection.weak_from_this();
  call.seqid = connection.send<StartWatch>(context, watch.request, *this, watch.attempt);
}

void WatchKeeper::stop_watch(Connection& connection, int64_t id) {
  api::RequestContext context = session_;
  context.deadlineMs = kDeadlineMs;
  api::UnwatchRequest request;
  request.watchId = id;
  const uint64_t tag = ++last_tag_;
  Call& call = calls_[tag];
  call.stops = id;
  stops_.emplace(id, tag);
  call.connection = connection.weak_from_this();
  call.seqid = connection.send<StopWatch>(context, request, *this, tag);
}

void WatchKeeper::attempt(Watch& watch, uint64_t tag) {
  if (watch.attempt != 0) --attempts_;
  if (tag != 0) ++attempts_;
  watch.attempt = tag;
}

WatchKeeper::Call WatchKeeper::take_call(uint64_t tag) {
  Call call = std::move(calls_.extract(tag).mapped());
  const auto [first, end] = stops_.equal_range(call.stops);
  const auto stop = std::find_if(first, end, [&](const auto& at) { return at.second == tag; });
  if (stop != end) stops_.erase(stop);
  return call;
}

void WatchKeeper::on_reply(uint64_t tag, Connection& from, Reply& reply) {
  const Call call = take_call(tag);
  api::HoldfastError error;
  bool failed = false;
  if (call.watch == 0) {
    api::UnwatchResult ignored;
    reply.read<StopWatch>(ignored, error, &failed);
    return;
  }
  const auto at = watches_.find(call.watch);
  const bool wanted = at != watches_.end() && at->second->attempt == tag;
  if (wanted) attempt(*at->second, 0);
  api::WatchResult result;
  if (!reply.read<StartWatch>(result, error, &failed)) return;
  if (!wanted) {
    if (!failed) stop_watch(from, result.watchId);
    return;
  }
  const std::shared_ptr<Watch> watch = at->second;
  if (failed) return refused(call.watch, watch, error);
  registered(call.watch, watch, result);
}

// The polls went over the same connection: the reply to the next one has it registered again.
void WatchKeeper::on_lost(uint64_t tag, Connection&) {
  const Call call = take_call(tag);
  const auto at = watches_.find(call.watch);
  if (at != watches_.end() && at->second->attempt == tag) attempt(*at->second, 0);
}

void WatchKeeper::registered(int64_t number, const std::shared_ptr<Watch>& watch,
                             const api::WatchResult& result) {
  // Of a process that was started since the last poll: the next one moves all watches there.
  if (result.serverEpoch != epoch_) return;
  watch->id = result.watchId;
  numbers_[watch->id] = number;
  if (watch->request.sinceRevision == 0) watch->request.sinceRevision = result.revision;
  if (std::exchange(watch->started, true)) return;
  if (watch->handlers.started) watch->handlers.started(result.revision);
}

void WatchKeeper::refused(int64_t number, const std::shared_ptr<Watch>& watch,
                          const api::HoldfastError& refusal) {
  const CallError error = to_call_error(refusal);
  // The Keeper hears of the session's end as well, and tells all watches.
  if (error.code == ErrorCode::kSessionExpired || error.code == ErrorCode::kSessionUnknown) return;
  if (error.retryable) return retry_.arm_after(std::max(kRefusalDelay, error.retry_after));
  watches_.erase(number);
  if (watch->handlers.ended) watch->handlers.ended(error);
}

// ------------------------------------------------------------------------------ what is told

void WatchKeeper::taken_up(Server& server, const api::PollResult& result) {
  polled(server, result.serverEpoch);
  for (const api::WatchDelivery& delivery : result.watches) take(delivery);
  if (result.progressRevision > 0) take_progress(result.progressRevision, result.progressWatchId);
}

// A connection keeps order, so the answer to a registration comes before what its watch tells.
void WatchKeeper::take(const api::WatchDelivery& delivery) {
  const auto number = numbers_.find(delivery.watchId);
  if (number == numbers_.end()) return stop_stray(delivery.watchId);
  const std::shared_ptr<Watch> watch = watches_.at(number->second);
  switch (delivery.kind) {
    case api::DeliveryKind::UNSPECIFIED:
    case api::DeliveryKind::EVENTS:
      return take_group(*watch, delivery);
    case api::DeliveryKind::RESYNC_BEGIN:
      watch->part.clear();
      watch->resync.emplace();
      return;
    case api::DeliveryKind::RESYNC_STATE:
      if (!watch->resync) return;
      for (const api::WatchEvent& item : delivery.events) watch->resync->apply(item);
      return;
    case api::DeliveryKind::RESYNC_END: {
      if (!watch->resync) return;
      const WatchBatch batch{delivery.revision, true, watch->resync->take()};
      watch->resync.reset();
      return tell(*watch, batch);
    }
  }
}

// A transaction is never shown by halves.
void WatchKeeper::take_group(Watch& watch, const api::WatchDelivery& delivery) {
  watch.part.insert(watch.part.end(), delivery.events.begin(), delivery.events.end());
  if (delivery.partial) return;
  WatchBatch batch{delivery.revision, false, std::exchange(watch.part, {})};
  if (!watch.resync) return tell(watch, batch);
  for (const api::WatchEvent& event : batch.events) watch.resync->apply(event);
}

void WatchKeeper::tell(Watch& watch, const WatchBatch& batch) {
  watch.request.sinceRevision = batch.revision;
  if (watch.handlers.told) watch.handlers.told(batch);
}

void WatchKeeper::take_progress(int64_t revision, int64_t newest_id) {
  std::vector<int64_t> to_tell;
  for (const auto& [number, watch] : watches_) {
    const bool meant = watch->id != 0 && watch->id <= newest_id;
    if (!meant || watch->resync || !watch->part.empty()) continue;
    if (revision <= watch->request.sinceRevision) continue;
    watch->request.sinceRevision = revision;
    if (watch->handlers.progressed) to_tell.push_back(number);
  }
  // Each may end others.
  for (const int64_t number : to_tell) {
    const auto at = watches_.find(number);
    if (at == watches_.end()) continue;
    const std::shared_ptr<Watch> watch = at->second;
    watch->handlers.progressed(revision);
  }
}

// One whose registration was answered to a connection that broke, or that was removed meanwhile.
void WatchKeeper::stop_stray(int64_t id) {
  const bool may_be_ours = attempts_ > 0;
  if (may_be_ours || server_ == nullptr) return;
  Connection& connection = pool_.connect(*server_);
  if (!is_stopping(connection, id)) stop_watch(connection, id);
}

// What it had told before the call arrived there is still on its way.
bool WatchKeeper::is_stopping(const Connection& connection, int64_t id) const {
  const auto [first, end] = stops_.equal_range(id);
  return std::any_of(first, end, [&](const auto& at) {
    return calls_.at(at.second).connection.lock().get() == &connection;
  });
}

}  // namespace holdfast::client
