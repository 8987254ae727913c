// Who watches what, for operators.
#include <algorithm>

#include "coordinator/watch/state.h"

namespace holdfast::watch {

WatchList Watches::list(uint64_t place, size_t max, size_t path_bytes) const {
  const auto& pool = state_->pool;
  const uint64_t end = std::min<uint64_t>(pool.size(), place + max);
  WatchList list;
  size_t bytes = 0;
  for (; place < end; ++place) {
    const Watch& watch = pool[place];
    if (!watch.owner_link.is_linked()) continue;
    bytes += watch.interest->path->size();
    if (bytes > path_bytes && !list.watches.empty()) break;
    list.watches.push_back({.owner = watch.owner->id,
                            .id = watch.id,
                            .path = *watch.interest->path,
                            .scope = watch.interest->scope,
                            .spaces = watch.interest->spaces,
                            .types = watch.interest->types,
                            .with_values = watch.with_values,
                            .behind = State::has_unseen(watch),
                            .resyncing = watch.mode != Mode::kLive});
  }
  list.next = place < pool.size() ? place : 0;
  return list;
}

}  // namespace holdfast::watch
