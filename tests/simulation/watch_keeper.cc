#include "tests/simulation/watch_keeper.h"

#include <algorithm>

namespace holdfast::sim {

namespace {

constexpr Duration kCallTimeout = 2s;
constexpr Duration kAgain = 20ms;
/// Replies of one process that may be under way, and more.
constexpr size_t kFloorsKept = 64;

bool in_events(const api::WatchDelivery& delivery) {
  return delivery.kind == api::DeliveryKind::EVENTS;
}

}  // namespace

// ----------------------------------------------------------------------------- for the hands

int WatchKeeper::begin(const WatchSpec& spec, int64_t since) {
  if (!client_.polls()) return 0;
  const int watch = ++newest_;
  const std::string name = client_.name() + "'s watch " + std::to_string(watch);
  watched_.emplace(watch,
                   Watched{WatchStream(client_.world(), client_.history(), name, spec, since)});
  work();
  return watch;
}

void WatchKeeper::end(int watch) {
  const auto at = watched_.find(watch);
  if (at == watched_.end()) return;
  leave(at->second);
  watched_.erase(at);
  work();
}

void WatchKeeper::rest(int watch) {
  const auto at = watched_.find(watch);
  if (at == watched_.end() || client_.quiescent()) return;
  at->second.resting = true;
  leave(at->second);
  work();
}

void WatchKeeper::wake(int watch) {
  const auto at = watched_.find(watch);
  if (at == watched_.end()) return;
  at->second.resting = false;
  work();
}

void WatchKeeper::wake_all() {
  for (auto& [watch, watched] : watched_) watched.resting = false;
  work();
}

std::string WatchKeeper::behind(int64_t revision) const {
  for (const auto& [watch, watched] : watched_) {
    const WatchStream& stream = watched.stream;
    if (stream.begun() && !stream.resyncing() && stream.position() >= revision) continue;
    return client_.name() + "'s watch " + std::to_string(watch) + " of " + stream.spec().path +
           (stream.begun() ? " has come to " + std::to_string(stream.position()) + " of " +
                                 std::to_string(revision)
                           : " is not registered");
  }
  return {};
}

// ------------------------------------------------------------------------------------ replies

void WatchKeeper::emitted(const SimNode& node, const api::PollResult& result) {
  if (result.watches.empty()) return;
  std::map<int64_t, int64_t>& floors = floors_[result.serverEpoch];
  floors[result.delivery] = node.history_floor();
  if (floors.size() > kFloorsKept) floors.erase(floors.begin());
  for (const api::WatchDelivery& each : result.watches) {
    // Parts of one revision are told one after the other.
    if (!in_events(each) || each.partial) continue;
    const auto key = std::make_tuple(result.serverEpoch, each.watchId, each.revision);
    if (!told_.insert(key).second) again_.insert(key);
  }
}

void WatchKeeper::emitted(const SimNode& node, const api::WatchResult& result) {
  const bool edge = result.revision == node.history_floor() && result.revision > 0;
  if (edge) client_.world().mark(Mark::kWatchAtEdge);
}

void WatchKeeper::answered(const api::PollResult& result) {
  const Place place{result.header.serverId, result.serverEpoch};
  if (place != place_) move(place);
  std::set<int64_t> live;
  for (const auto& [watch, watched] : watched_) {
    if (!watched.stream.resyncing()) live.insert(watched.id);
  }
  check_order(client_.name(), result.watches, std::move(live));
  for (const api::WatchDelivery& each : result.watches) {
    if (again_.contains({result.serverEpoch, each.watchId, each.revision})) {
      client_.world().mark(Mark::kToldAgain);
    }
    const int64_t floor = floors_.at(result.serverEpoch).at(result.delivery);
    deliver({each, result.header.revision, floor});
  }
  if (result.progressRevision != 0) {
    for (auto& [watch, watched] : watched_) {
      if (watched.id == 0 || watched.id > result.progressWatchId) continue;
      watched.stream.progressed(result.progressRevision, result.header.revision);
    }
  }
  work();
}

/// Another process answers: there, all is to be registered anew.
void WatchKeeper::move(const Place& place) {
  std::set<int64_t>& left = left_behind_[place_.second];
  left.insert(disowned_.begin(), disowned_.end());
  for (auto& [watch, watched] : watched_) {
    if (watched.id != 0) left.insert(watched.id);
    watched.id = 0;
    watched.stream.restart();
  }
  place_ = place;
  ++stay_;
  disowned_.clear();
  unwatch_.clear();
  orphans_.clear();
  for (const int64_t id : std::exchange(left_behind_[place.second], {})) disown(id);
}

void WatchKeeper::deliver(const Arrival& arrival) {
  const int64_t id = arrival.delivery.watchId;
  for (auto& [watch, watched] : watched_) {
    if (watched.id != id) continue;
    return watched.stream.take(arrival.delivery, arrival.revision, arrival.floor);
  }
  if (enrolling_ != 0 && !disowned_.contains(id)) {
    orphans_.push_back(arrival);
  } else {
    disown(id);
  }
}

void WatchKeeper::disown(int64_t id) {
  if (disowned_.insert(id).second) unwatch_.push_back(id);
}

void WatchKeeper::leave(Watched& watched) {
  if (watched.id != 0) disown(std::exchange(watched.id, 0));
  watched.stream.restart();
}

// -------------------------------------------------------------------------------- registering

void WatchKeeper::work() {
  if (asking_ || waiting_ || place_.first == 0) return;
  if (!unwatch_.empty()) {
    const int64_t id = unwatch_.back();
    unwatch_.pop_back();
    return unregister(id);
  }
  for (const auto& [watch, watched] : watched_) {
    if (watched.id == 0 && !watched.resting) return enroll(watch);
  }
}

/// Not at once: the server is stopping, or gone.
void WatchKeeper::again() {
  waiting_ = true;
  client_.later(kAgain, [this] {
    waiting_ = false;
    work();
  });
}

void WatchKeeper::unregister(int64_t id) {
  api::UnwatchRequest request;
  request.watchId = id;
  asking_ = true;
  client_.ask_at<api::UnwatchRequest>(
      client_.node(place_.first), request, client_.context(0), kCallTimeout,
      [this, id, place = place_](const Outcome<api::UnwatchResult>& outcome) {
        asking_ = false;
        if (outcome.result != nullptr) return work();
        if (client_.session_is_over(outcome.error)) return;
        if (place == place_) unwatch_.push_back(id);
        again();
      });
}

void WatchKeeper::enroll(int watch) {
  Watched& watched = watched_.at(watch);
  const WatchSpec& spec = watched.stream.spec();
  api::WatchRequest request;
  request.path = spec.path;
  request.scope = spec.scope;
  request.space = spec.space;
  request.withValues = spec.values;
  request.filter = spec.filter;
  request.sinceRevision = watched.stream.position();
  api::RequestContext context = client_.context(0);
  // "From now on" is not before what this client has seen of another server.
  if (request.sinceRevision == 0) context.minRevision = client_.last_revision();
  asking_ = true;
  enrolling_ = watch;
  client_.ask_at<api::WatchRequest>(
      client_.node(place_.first), request, context, kCallTimeout,
      [this, watch, place = place_, stay = stay_,
       least = context.minRevision](const Outcome<api::WatchResult>& outcome) {
        if (outcome.result != nullptr) {
          client_.ledger().check_read(least, outcome.result->revision, client_.name() + "'s watch");
        }
        enrolled(watch, place, stay == stay_, outcome);
      });
}

void WatchKeeper::enrolled(int watch, const Place& place, bool same_stay,
                           const Outcome<api::WatchResult>& outcome) {
  asking_ = false;
  enrolling_ = 0;
  const auto orphans = std::exchange(orphans_, {});
  const auto at = watched_.find(watch);
  if (outcome.result != nullptr) {
    const api::WatchResult& result = *outcome.result;
    client_.note(result.header);
    // A poll that went elsewhere and came back acknowledged, and dropped, what came before this.
    const bool here = same_stay && result.serverEpoch == place_.second;
    if (here && at != watched_.end() && !at->second.resting) {
      take_place(at->second, place, result);
    } else if (result.serverEpoch == place_.second) {
      disown(result.watchId);
    } else {
      left_behind_[result.serverEpoch].insert(result.watchId);
    }
  } else if (client_.session_is_over(outcome.error)) {
    return;
  }
  for (const Arrival& orphan : orphans) deliver(orphan);
  if (outcome.result != nullptr) return work();
  if (outcome.error != nullptr && outcome.error->code == api::ErrorCode::LIMIT_EXCEEDED) {
    client_.world().mark(Mark::kWatchLimit);
    watched_.erase(watch);
  }
  again();
}

void WatchKeeper::take_place(Watched& watched, const Place& place, const api::WatchResult& result) {
  World& world = client_.world();
  if (watched.last.first != 0 && watched.last != place) {
    world.mark(watched.last.first == place.first ? Mark::kWatchRestarted : Mark::kWatchElsewhere);
  }
  if (result.revision > result.header.revision) world.mark(Mark::kWatchAhead);
  watched.stream.registered(result.revision);
  watched.id = result.watchId;
  watched.last = place;
}

}  // namespace holdfast::sim
