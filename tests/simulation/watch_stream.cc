#include "tests/simulation/watch_stream.h"

#include <algorithm>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

bool is_lock(const api::WatchEvent& event) {
  return event.eventType >= api::EventType::LOCK_GRANTED;
}

/// What a snapshot tells of a key.
api::WatchEvent item_of(const std::string& path, const KeyHistory::Version& key, bool value) {
  api::WatchEvent item;
  item.eventType = api::EventType::KEY_CREATED;
  item.path = path;
  item.version = key.version;
  item.createRevision = key.create_revision;
  item.modifyRevision = key.modify_revision;
  item.ephemeralOwner = key.owner;
  if (value) item.value = key.value;
  return item;
}

}  // namespace

void check_order(const std::string& who, const std::vector<api::WatchDelivery>& deliveries,
                 std::set<int64_t> live) {
  std::pair<int64_t, int64_t> before{0, 0};
  for (const api::WatchDelivery& each : deliveries) {
    if (each.kind == api::DeliveryKind::RESYNC_BEGIN) live.erase(each.watchId);
    if (each.kind != api::DeliveryKind::EVENTS || !live.contains(each.watchId)) continue;
    const std::pair<int64_t, int64_t> now{each.revision, each.watchId};
    if (now <= before) {
      throw Broken(Rule::kI19, who + " was told revision " + std::to_string(each.revision) +
                                   " after " + std::to_string(before.first) + " in one reply");
    }
    before = now;
  }
}

WatchStream::WatchStream(World& world, const History& history, std::string name, WatchSpec spec,
                         int64_t since)
    : world_(world),
      history_(history),
      name_(std::move(name)),
      spec_(std::move(spec)),
      position_(since) {}

void WatchStream::refuse(int64_t revision, const std::string& what) const {
  throw Broken(Rule::kI19, name_ + " of " + spec_.path + ", told up to " +
                               std::to_string(position_) + ", at revision " +
                               std::to_string(revision) + ": " + what);
}

void WatchStream::registered(int64_t revision) {
  if (position_ != 0 && revision != position_) refuse(revision, "begins elsewhere than asked");
  position_ = revision;
  const bool from_start = !begun_ && revision <= static_cast<int64_t>(history_.last().value);
  if (from_start && spec_.filter.empty()) view_ = state_at(revision);
  begun_ = true;
}

void WatchStream::restart() {
  if (building_) world_.mark(Mark::kResyncInterrupted);
  parts_.clear();
  building_.reset();
}

void WatchStream::take(const api::WatchDelivery& delivery, int64_t revision, int64_t floor) {
  world_.trace(static_cast<uint64_t>(delivery.revision) * 8 + static_cast<uint64_t>(delivery.kind));
  if (delivery.revision > revision) refuse(delivery.revision, "is told before it came to be");
  switch (delivery.kind) {
    case api::DeliveryKind::RESYNC_BEGIN:
      return begin_resync(delivery.revision, floor);
    case api::DeliveryKind::RESYNC_STATE:
      return take_items(delivery);
    case api::DeliveryKind::RESYNC_END:
      return end_resync(delivery.revision);
    default:
      if (delivery.events.empty()) refuse(delivery.revision, "a group without events");
      return building_ ? take_passed(delivery) : take_group(delivery);
  }
}

void WatchStream::progressed(int64_t progress, int64_t revision) {
  if (progress > revision) refuse(progress, "a progress mark from the future");
  if (building_) refuse(progress, "a progress mark in a resynchronisation");
  if (!parts_.empty() && progress >= parts_of_) refuse(progress, "progress past half a group");
  check_nothing_between(position_, progress + 1);
  if (progress > position_ && parts_.empty()) world_.mark(Mark::kIdleProgress);
  position_ = std::max(position_, progress);
}

// --------------------------------------------------------------------------- what is to be told

bool WatchStream::in_scope(const std::string& path) const {
  switch (spec_.scope) {
    case api::WatchScope::CHILDREN:
      return is_child(path, spec_.path);
    case api::WatchScope::SUBTREE:
      return path == spec_.path || is_below(path, spec_.path);
    default:
      return path == spec_.path;
  }
}

bool WatchStream::in_space(const api::WatchEvent& event) const {
  if (spec_.space == api::WatchSpace::BOTH) return true;
  return is_lock(event) == (spec_.space == api::WatchSpace::LOCKS);
}

bool WatchStream::matches(const api::WatchEvent& event, Types types) const {
  const auto& filter = spec_.filter;
  const bool wanted = types == Types::kAll || filter.empty() ||
                      std::find(filter.begin(), filter.end(), event.eventType) != filter.end();
  return wanted && in_space(event) && in_scope(event.path);
}

std::vector<api::WatchEvent> WatchStream::matching(const KeyHistory::Entry& entry,
                                                   Types types) const {
  std::vector<api::WatchEvent> events;
  for (const api::WatchEvent& event : entry.events) {
    if (!matches(event, types)) continue;
    events.push_back(event);
    if (!spec_.values) events.back().value.clear();
  }
  return events;
}

std::vector<api::WatchEvent> WatchStream::matching(int64_t revision, Types types) const {
  const KeyHistory::Entry* entry = history_.keys().entry(revision);
  return entry == nullptr ? std::vector<api::WatchEvent>() : matching(*entry, types);
}

/// No gap: nothing that this watch sees lies strictly between.
void WatchStream::check_nothing_between(int64_t after, int64_t before) const {
  for (const KeyHistory::Entry& entry : history_.keys().after(after)) {
    if (entry.revision >= before) return;
    for (const api::WatchEvent& event : entry.events) {
      if (matches(event))
        refuse(before, "revision " + std::to_string(entry.revision) + " of " + event.path +
                           " was not told");
    }
  }
}

// -------------------------------------------------------------------------------------- views

WatchView WatchStream::state_at(int64_t revision) const {
  WatchView view;
  if (spec_.space != api::WatchSpace::LOCKS) add_keys(revision, view);
  if (spec_.space != api::WatchSpace::KEYS) add_locks(revision, view);
  return view;
}

void WatchStream::add_keys(int64_t revision, WatchView& view) const {
  std::vector<std::string> paths;
  if (spec_.scope != api::WatchScope::NODE) {
    paths = history_.keys().below(spec_.path, spec_.scope == api::WatchScope::CHILDREN, revision);
  }
  if (spec_.scope != api::WatchScope::CHILDREN && spec_.path != "/") paths.push_back(spec_.path);
  for (const std::string& path : paths) {
    const KeyHistory::Version& key = history_.keys().at(path, revision);
    if (key.present) view.keys[path] = item_of(path, key, spec_.values);
  }
}

void WatchStream::add_locks(int64_t revision, WatchView& view) const {
  const Revision at(static_cast<uint64_t>(revision));
  for (const std::string& path : history_.locks().present(at)) {
    if (!in_scope(path)) continue;
    for (const auto& [token, holder] : history_.locks().at(path, at).holders) {
      view.locks[path].emplace(static_cast<int64_t>(token.value),
                               static_cast<int64_t>(holder.value));
    }
  }
}

void WatchStream::apply(const api::WatchEvent& event, int64_t revision, WatchView& view) const {
  switch (event.eventType) {
    case api::EventType::KEY_CREATED:
    case api::EventType::KEY_CHANGED: {
      api::WatchEvent item = event;
      item.eventType = api::EventType::KEY_CREATED;
      if (item.modifyRevision == 0) item.modifyRevision = revision;
      view.keys[event.path] = item;
      return;
    }
    case api::EventType::KEY_REMOVED:
      view.keys.erase(event.path);
      return;
    case api::EventType::LOCK_GRANTED:
      view.locks[event.path].emplace(event.token, event.holderId);
      return;
    default: {
      auto& holders = view.locks[event.path];
      holders.erase({event.token, event.holderId});
      if (holders.empty()) view.locks.erase(event.path);
    }
  }
}

// ------------------------------------------------------------------------------------- groups

void WatchStream::take_group(const api::WatchDelivery& delivery) {
  if (delivery.revision <= position_) refuse(delivery.revision, "is told again, or out of order");
  if (!parts_.empty() && delivery.revision != parts_of_) {
    refuse(delivery.revision, "comes before the rest of " + std::to_string(parts_of_));
  }
  parts_of_ = delivery.revision;
  parts_.insert(parts_.end(), delivery.events.begin(), delivery.events.end());
  if (!delivery.partial) return take_whole(delivery.revision);
  world_.mark(Mark::kGroupInParts);
  if (parts_.size() >= matching(delivery.revision).size()) {
    refuse(delivery.revision, "says that more of it follows, and nothing can");
  }
}

void WatchStream::take_whole(int64_t revision) {
  const std::vector<api::WatchEvent> told = std::exchange(parts_, {});
  const std::vector<api::WatchEvent> expected = matching(revision);
  if (told != expected) {
    refuse(revision, "its " + std::to_string(told.size()) + " events are not the " +
                         std::to_string(expected.size()) + " that the entry made");
  }
  check_nothing_between(position_, revision);
  mark_group(told);
  position_ = revision;
  if (!view_) return;
  for (const api::WatchEvent& event : told) apply(event, revision, *view_);
  if (*view_ != state_at(revision)) refuse(revision, "its view is not the state");
}

void WatchStream::mark_group(const std::vector<api::WatchEvent>& events) const {
  const auto locks = std::count_if(events.begin(), events.end(), is_lock);
  if (locks > 0 && locks < std::ssize(events)) world_.mark(Mark::kLockAndKey);
  for (const api::WatchEvent& event : events) {
    if (event.removal == api::RemovalReason::SESSION_ENDED) world_.mark(Mark::kEphemeralGone);
    if (event.removal == api::RemovalReason::TTL_PASSED) world_.mark(Mark::kTtlPassed);
    if (event.removal == api::RemovalReason::CONTAINER_EMPTY) world_.mark(Mark::kContainerGone);
  }
}

// ------------------------------------------------------------------------------------- resync

void WatchStream::begin_resync(int64_t revision, int64_t floor) {
  world_.mark(building_ ? Mark::kResyncAgain : Mark::kResync);
  if (revision < position_) refuse(revision, "a resynchronisation goes back");
  if (floor <= position_) {
    refuse(revision,
           "a resynchronisation, though the history reaches back to " + std::to_string(floor));
  }
  parts_.clear();
  building_.emplace();
  walker_.reset();
  began_ = dealt_ = revision;
}

/// Keys first, then locks, each in order, each as it is at the revision of the delivery.
void WatchStream::take_items(const api::WatchDelivery& delivery) {
  if (!building_) refuse(delivery.revision, "an item outside of a resynchronisation");
  if (delivery.revision < dealt_) refuse(delivery.revision, "an item older than what was told");
  dealt_ = delivery.revision;
  const WatchView now = state_at(delivery.revision);
  for (const api::WatchEvent& item : delivery.events) {
    if (walked(item) && walker_->second != item.path) {
      refuse(delivery.revision, item.path + " is an item out of order");
    }
    walker_ = {is_lock(item), item.path};
    if (item.modifyRevision > began_) world_.mark(Mark::kChangedAhead);
    bool shown = false;
    if (is_lock(item)) {
      const auto lock = now.locks.find(item.path);
      shown = lock != now.locks.end() && lock->second.contains({item.token, item.holderId});
    } else {
      const auto key = now.keys.find(item.path);
      shown = key != now.keys.end() && key->second == item;
    }
    if (!shown) refuse(delivery.revision, item.path + " is an item unlike the state");
    apply(item, item.modifyRevision, *building_);
  }
}

/// Was its place in the walk reached?
bool WatchStream::walked(const api::WatchEvent& event) const {
  if (!walker_) return false;
  if (walker_->first != is_lock(event)) return walker_->first;
  return !TreeOrder()(walker_->second, event.path);
}

/// Changes of what was walked past, as the entry made them and whatever the filter; those further
/// on are left out.
void WatchStream::take_passed(const api::WatchDelivery& delivery) {
  if (delivery.revision <= began_ || delivery.revision < dealt_) {
    refuse(delivery.revision, "a change older than what was told in the resynchronisation");
  }
  dealt_ = delivery.revision;
  const std::vector<api::WatchEvent> made = matching(delivery.revision, Types::kAll);
  auto at = made.begin();
  for (const api::WatchEvent& event : delivery.events) {
    at = std::find(at, made.end(), event);
    if (at == made.end()) refuse(delivery.revision, event.path + " did not change so");
    // After the last key the walk stands before the first lock, though no item says so.
    const bool after_keys = spec_.space == api::WatchSpace::BOTH && !is_lock(event);
    if (after_keys && !walked(event)) walker_ = {true, ""};
    if (!walked(event)) refuse(delivery.revision, event.path + " was not walked past yet");
    apply(event, delivery.revision, *building_);
    world_.mark(Mark::kChangedBehind);
  }
}

void WatchStream::end_resync(int64_t revision) {
  if (!building_) refuse(revision, "the end of no resynchronisation");
  if (revision < dealt_ || revision < position_) refuse(revision, "a resynchronisation goes back");
  if (*building_ != state_at(revision)) {
    refuse(revision, "what the resynchronisation showed is not the state");
  }
  if (spec_.filter.empty()) view_ = std::move(building_);
  building_.reset();
  position_ = revision;
  world_.mark(Mark::kResynced);
}

}  // namespace holdfast::sim
