#include "coordinator/watch/watches.h"

#include <algorithm>

#include "base/check.h"
#include "coordinator/watch/state.h"

namespace holdfast::watch {

namespace {

Error bad(const WatchSpec& spec, const std::string& what) {
  return {ErrorCode::kBadArgument, "watch of \"" + std::string(spec.path) + "\": " + what};
}

Status check_spec(const WatchSpec& spec) {
  if (!spec.path.starts_with('/')) return bad(spec, "the path is not absolute");
  if (spec.spaces == 0 || spec.spaces > kBothSpaces) {
    return bad(spec, "spaces " + std::to_string(spec.spaces) + "; 1 to 3 are known");
  }
  if (spec.types == 0) return bad(spec, "no event type is wanted");
  return ok_status();
}

}  // namespace

void Busy::clear() {
  pending.clear();
  told.clear();
  delivery = 0;
  resync_first = false;
  walkers.reset();
}

void Watches::State::append(Revision revision, std::span<const NewEvent> events) {
  uint64_t position = history.end_position();
  history.append(revision, events);
  for (; position < history.end_position(); ++position) {
    interests.list(position, [this](Interest& interest) { fire(interest); });
  }
  trim();
}

void Watches::State::trim() {
  while (history.over_bounds()) {
    history.drop_oldest(
        [this](uint64_t position, const Event& event) { interests.unlist(position, event); });
  }
}

Result<Registered> Watches::State::watch(OwnerId owner, const WatchSpec& spec,
                                         uint64_t watches_max) {
  if (Status status = check_spec(spec); !status.ok()) return status.error();
  const Owner* known = find_owner(owner);
  const uint64_t present = known == nullptr ? 0 : known->count;
  if (present >= watches_max) {
    return Error{ErrorCode::kLimitExceeded, std::to_string(present) +
                                                " watches of one session are present; at most " +
                                                std::to_string(watches_max)};
  }
  WatchSpec from = spec;
  if (!from.since) from.since = history.last();
  const bool behind = from.since < history.floor();
  const Watch* added = add_watch(owner, from, behind);
  trim();  // what it looks back to is listed now, which counts
  return Registered{added->id, from.since, behind};
}

Watch* Watches::State::add_watch(OwnerId owner_id, const WatchSpec& spec, bool behind) {
  Owner& owner = owners.try_emplace(owner_id).first->second;
  owner.id = owner_id;
  Watch* watch = free_watches.empty() ? &pool.emplace_back() : free_watches.back();
  if (!free_watches.empty()) free_watches.pop_back();
  *watch = Watch{};
  watch->id = ++newest_watch;
  watch->owner = &owner;
  watch->through = spec.since;
  watch->mode = behind ? Mode::kBehind : Mode::kLive;
  watch->with_values = spec.with_values;
  watch->interest = interests.find_or_add({spec.path, spec.scope, spec.spaces, spec.types},
                                          behind ? history.last() : spec.since);
  Interest& interest = *watch->interest;
  if (has_unseen(*watch)) {
    watch->visited = kNotVisited;
    interest.watches.push_front(*watch);
    fire(interest);
  } else {
    watch->visited = interest.newest;
    interest.watches.push_back(*watch);
  }
  owner.watches.insert(owner.watches.end(), *watch);
  ++owner.count;
  ++watch_count;
  return watch;
}

Owner* Watches::State::find_owner(OwnerId id) {
  const auto at = owners.find(id);
  return at == owners.end() ? nullptr : &at->second;
}

void Watches::State::drop(Watch* watch) {
  Owner& owner = *watch->owner;
  if (Busy* busy = owner.busy.get()) {
    if (watch->pending) std::erase(busy->pending, watch);
    if (watch->told) std::erase_if(busy->told, [&](const Told& t) { return t.watch == watch; });
    if (busy->walks(*watch)) busy->walkers->now = {};
    if (busy->walkers && busy->walkers->acknowledged.watch == watch) {
      busy->walkers->acknowledged = {};
    }
  }
  drop_interest_of(watch);
  owner.watches.erase(owner.watches.iterator_to(*watch));
  free_watches.push_back(watch);
  --watch_count;
  if (--owner.count == 0) {
    owners.erase(owner.id);
  } else {
    if (owner.awake) gather(owner);  // it was named, and is not to be named again for the others
    rest(owner);
  }
}

void Watches::State::drop_interest_of(Watch* watch) {
  Interest* interest = watch->interest;
  interest->watches.erase(interest->watches.iterator_to(*watch));
  if (!interest->watches.empty()) return;
  if (interest->fired_link.is_linked()) fired.erase(fired.iterator_to(*interest));
  interests.remove(interest);
}

void Watches::State::commit(Owner& owner) {
  Busy& busy = *owner.busy;
  for (const Told& told : busy.told) told.watch->told = false;
  busy.told.clear();
  busy.delivery = 0;
  if (busy.walkers) {
    busy.walkers->acknowledged = busy.walkers->now;
    if (busy.walkers->now.watch == nullptr) busy.walkers.reset();
  }
  rest(owner);
}

void Watches::State::roll_back(Owner& owner) {
  if (!owner.busy || owner.busy->delivery == 0) return;
  Busy& busy = *owner.busy;
  for (const Told& told : busy.told) {
    Watch& watch = *told.watch;
    watch.through = told.through;
    watch.part = told.part;
    watch.mode = told.mode;
    watch.told = false;
    if (has_unseen(watch)) make_pending(watch);
  }
  busy.told.clear();
  busy.delivery = 0;
  if (busy.walkers) busy.walkers->now = busy.walkers->acknowledged;
}

size_t Watches::State::first_unseen(const Watch& watch) const {
  const size_t group = watch.interest->positions.partition_point(
      [&](uint64_t position) { return history.at(position).revision <= watch.through; });
  return group + watch.part;
}

void Watches::State::find_changes(const Watch& watch, std::vector<uint64_t>& positions) const {
  const Interest& interest = *watch.interest;
  positions.clear();
  if (interest.types == kAllTypes) {
    const size_t first = interest.positions.partition_point(
        [&](uint64_t position) { return history.at(position).revision <= watch.through; });
    for (size_t index = first; index < interest.positions.size(); ++index) {
      positions.push_back(interest.positions[index]);
    }
    return;
  }
  const uint64_t mark = history.mark_of(*interest.path);
  for (uint64_t at = history.position_after(watch.through); at < history.end_position(); ++at) {
    if (history.bears(at, mark) && interest.sees(history.at(at))) positions.push_back(at);
  }
}

size_t Watches::State::group_end(const Interest& interest, size_t index) const {
  const Revision revision = listed(interest, index).revision;
  size_t end = index + 1;
  while (end < interest.positions.size() && listed(interest, end).revision == revision) ++end;
  return end;
}

// ---- the interface ------------------------------------------------------------------------------

Watches::Watches(const WatchesOptions& options) : state_(std::make_unique<State>(options)) {}
Watches::~Watches() = default;

void Watches::append(Revision revision, std::span<const NewEvent> events) {
  state_->append(revision, events);
}

void Watches::set_bounds(const HistoryBounds& bounds) {
  state_->history.set_bounds(bounds);
  state_->trim();
}

History& Watches::history() { return state_->history; }
const History& Watches::history() const { return state_->history; }

Result<Registered> Watches::watch(OwnerId owner, const WatchSpec& spec, uint64_t watches_max) {
  return state_->watch(owner, spec, watches_max);
}

bool Watches::unwatch(OwnerId owner_id, WatchId id) {
  Owner* owner = state_->find_owner(owner_id);
  if (owner == nullptr) return false;
  const auto at = owner->watches.find(id, ByWatchId{});
  if (at == owner->watches.end()) return false;
  state_->drop(&*at);
  return true;
}

void Watches::remove_owner(OwnerId owner_id) {
  Owner* owner = state_->find_owner(owner_id);
  if (owner == nullptr) return;
  owner->busy.reset();
  owner->awake = false;
  for (uint32_t left = owner->count; left > 0; --left) state_->drop(&*owner->watches.begin());
}

void Watches::take_woken(size_t max, std::vector<OwnerId>& woken) {
  state_->take_woken(max, woken);
}

bool Watches::waking() const { return !state_->fired.empty(); }

bool Watches::has_news(OwnerId owner_id) {
  Owner* owner = state_->find_owner(owner_id);
  if (owner == nullptr) return false;
  state_->gather(*owner);
  return owner->busy && !owner->busy->pending.empty();
}

bool Watches::acknowledge(OwnerId owner_id, uint64_t delivery) {
  Owner* owner = state_->find_owner(owner_id);
  const bool ours =
      owner != nullptr && owner->busy && delivery != 0 && owner->busy->delivery == delivery;
  if (ours) state_->commit(*owner);
  return ours;
}

void Watches::rewind(OwnerId owner_id) {
  Owner* owner = state_->find_owner(owner_id);
  if (owner == nullptr || !owner->busy || owner->busy->delivery == 0) return;
  state_->roll_back(*owner);
  state_->gather(*owner);
  if (!owner->busy->pending.empty()) owner->awake = true;
  state_->rest(*owner);
}

uint64_t Watches::watch_count() const { return state_->watch_count; }
uint64_t Watches::owner_count() const { return state_->owners.size(); }
uint64_t Watches::interest_count() const { return state_->interests.size(); }

uint64_t Watches::watches_of(OwnerId owner_id) const {
  const Owner* owner = state_->find_owner(owner_id);
  return owner == nullptr ? 0 : owner->count;
}

}  // namespace holdfast::watch
