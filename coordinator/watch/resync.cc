// The walk over the current state for a watch that is behind: steps and proof are in watches.h,
// RESYNC. Each function returns false when the budget is used up.
#include "base/check.h"
#include "coordinator/watch/collector.h"

namespace holdfast::watch {

namespace {

/// Objects asked for at a time: those that do not fit any more are walked over again.
constexpr size_t kChunk = 64;

Space first_space(const Watch& watch) {
  const bool keys = (watch.interest->spaces & static_cast<uint8_t>(Space::kKeys)) != 0;
  return keys ? Space::kKeys : Space::kLocks;
}

bool has_more_spaces(const Watch& watch, Space space) {
  const bool locks = (watch.interest->spaces & static_cast<uint8_t>(Space::kLocks)) != 0;
  return space == Space::kKeys && locks;
}

}  // namespace

void Collector::resync(bool share) {
  if (resyncs_ == 0) return;
  begin_pass(share);
  while (Watch* watch = next_resync()) {
    if (watch->mode == Mode::kBehind && !begin_walk(*watch)) return;
    if (!tell_passed(*watch) || !walk_on(*watch) || !end_walk(*watch)) return;
  }
}

Watch* Collector::next_resync() {
  Busy& busy = *owner_.busy;
  if (busy.walkers && busy.walkers->now.watch != nullptr) return busy.walkers->now.watch;
  for (Watch* watch : busy.pending) {
    if (watch->mode == Mode::kBehind) return watch;
  }
  return nullptr;
}

bool Collector::begin_walk(Watch& watch) {
  if (!budget_.fits(0)) return false;
  tell(watch);
  const Revision last = state_.history.last();
  sink_.resync_begin(watch.id, last);
  take(0);
  watch.mode = Mode::kWalking;
  pass_by(watch, last);
  if (!owner_.busy->walkers) owner_.busy->walkers = std::make_unique<Walkers>();
  owner_.busy->walkers->now = {.watch = &watch, .space = first_space(watch)};
  return true;
}

// Step (a): afterwards the cursor is at the last revision.
bool Collector::tell_passed(Watch& watch) {
  tell(watch);
  state_.find_changes(watch, state_.walk_changes);
  const std::span<const uint64_t> changes = state_.walk_changes;
  for (size_t index = watch.part; index < changes.size();) {
    const Revision revision = state_.history.at(changes[index]).revision;
    size_t end = index + 1;
    while (end < changes.size() && state_.history.at(changes[end]).revision == revision) ++end;
    if (!hand_passed(watch, changes.subspan(index, end - index))) return false;
    pass_by(watch, revision);
    index = end;
  }
  pass_by(watch, state_.history.last());
  return true;
}

/// What is left of a group.
bool Collector::hand_passed(Watch& watch, std::span<const uint64_t> group) {
  const Walker& walker = owner_.busy->walkers->now;
  bool open = false;
  size_t index = 0;
  for (; index < group.size(); ++index, ++watch.part) {
    const Event& event = state_.history.at(group[index]);
    if (!walker.passed(event)) continue;
    const size_t size = sink_.size_of(event, watch.with_values);
    if (!budget_.fits(size)) break;
    if (!std::exchange(open, true)) sink_.begin_group(watch.id, event.revision);
    sink_.add(event, watch.with_values);
    take(size);
  }
  if (open) sink_.end_group(index == group.size());
  return index == group.size();
}

// Step (b).
bool Collector::walk_on(Watch& watch) {
  Walker& walker = owner_.busy->walkers->now;
  for (;;) {
    bool at_end = false;
    while (!at_end) {
      if (!walk_chunk(watch, at_end)) return false;
    }
    if (!has_more_spaces(watch, walker.space)) return true;
    walker.space = Space::kLocks;
    walker.position.clear();
    walker.part = 0;
  }
}

bool Collector::walk_chunk(Watch& watch, bool& at_end) {
  Walker& walker = owner_.busy->walkers->now;
  const Interest& interest = *watch.interest;
  std::vector<WalkItem>& items = state_.items;
  items.clear();
  at_end = walk_.next({.path = *interest.path,
                       .scope = interest.scope,
                       .space = walker.space,
                       .with_values = watch.with_values,
                       .after = walker.position,
                       .after_part = walker.part},
                      std::clamp<size_t>(budget_.entries, 1, kChunk), items);
  HF_CHECK(at_end || !items.empty(), "a walk that does not move");
  for (const WalkItem& item : items) {
    if (!budget_.fits(item.bytes)) return false;
    HF_CHECK(walker.position.empty() || tree_less(walker.position, item.path) ||
                 (walker.part != 0 && walker.position == item.path),
             "a walk out of tree order");
    sink_.snapshot_item(watch.id, walker.space, item);
    take(item.bytes);
    walker.position.assign(item.path);
    walker.part = item.part;
  }
  return true;
}

bool Collector::end_walk(Watch& watch) {
  if (!budget_.fits(0)) return false;
  sink_.resync_end(watch.id, watch.through);
  take(0);
  watch.mode = Mode::kLive;
  owner_.busy->walkers->now = {};
  return true;
}

}  // namespace holdfast::watch
