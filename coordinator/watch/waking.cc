// Who is to be told. An event marks its interests, not their watches, of which there may be
// 100,000: those are looked at in portions. An interest keeps those not yet looked at since its
// newest event at the front; who has been looked at goes to the back. So nobody waits longer than
// one round, also when the interest fires again meanwhile.
#include <algorithm>

#include "coordinator/watch/state.h"

namespace holdfast::watch {

void Watches::State::fire(Interest& interest) {
  if (!interest.fired_link.is_linked()) fired.push_back(interest);
}

void Watches::State::take_woken(size_t max, std::vector<OwnerId>& woken) {
  while (max > 0 && !fired.empty()) {
    Interest& interest = fired.front();
    fired.pop_front();
    max -= visit(interest, std::min(max, kTurn), woken);
    if (interest.watches.front().visited != interest.newest) fired.push_back(interest);
  }
}

size_t Watches::State::visit(Interest& interest, size_t portion, std::vector<OwnerId>& woken) {
  auto& watches = interest.watches;
  size_t visited = 0;
  while (visited < portion && watches.front().visited != interest.newest) {
    Watch& watch = watches.front();
    watches.splice(watches.end(), watches, watches.begin());
    watch.visited = interest.newest;
    ++visited;
    if (!has_unseen(watch)) continue;
    make_pending(watch);
    if (!std::exchange(watch.owner->awake, true)) woken.push_back(watch.owner->id);
  }
  return visited;
}

// While waking is under way some of an owner's watches may not have been looked at: then they all
// are, so that revision order and progress hold over all of them.
void Watches::State::gather(Owner& owner) {
  if (fired.empty()) return;
  for (Watch& watch : owner.watches) {
    if (has_unseen(watch)) make_pending(watch);
  }
}

void Watches::State::make_pending(Watch& watch) {
  if (watch.pending) return;
  watch.pending = true;
  busy_of(*watch.owner).pending.push_back(&watch);
}

Busy& Watches::State::busy_of(Owner& owner) {
  if (!owner.busy && !spare.empty()) {
    owner.busy = std::move(spare.back());
    spare.pop_back();
  }
  if (!owner.busy) owner.busy = std::make_unique<Busy>();
  return *owner.busy;
}

// Nothing more to tell it: the next news wake it. Nothing under way either: no memory for that.
void Watches::State::rest(Owner& owner) {
  if (!owner.busy) return;
  if (!owner.busy->pending.empty()) return;
  owner.awake = false;
  if (owner.busy->delivery != 0) return;
  owner.busy->clear();
  if (spare.size() < kSpareMax) spare.push_back(std::move(owner.busy));
  owner.busy.reset();
}

}  // namespace holdfast::watch
