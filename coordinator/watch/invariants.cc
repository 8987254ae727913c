// What must hold between calls, recounted from the objects themselves.
#include <algorithm>
#include <string>

#include "coordinator/watch/state.h"

namespace holdfast::watch {

namespace {

std::string of(const Watch& watch, const char* what) {
  return "watch " + std::to_string(watch.id.value) + " of owner " +
         std::to_string(watch.owner->id.value) + ": " + what;
}

}  // namespace

std::string Watches::State::check(const Interest& interest, uint64_t& watches) const {
  const std::string name = "interest in " + *interest.path + ": ";
  if (interest.watches.empty()) return name + "nobody has it";
  Revision before{0};
  for (const Watch& watch : interest.watches) {
    if (watch.interest != &interest) return of(watch, "in the list of another interest");
    const Revision visited = watch.visited == kNotVisited ? Revision{} : watch.visited;
    if (visited < before) return of(watch, "looked at after one behind it");
    before = visited;
    if (watch.visited != interest.newest && !interest.fired_link.is_linked()) {
      return of(watch, "never looked at again");
    }
    if (std::string broken = check(watch); !broken.empty()) return broken;
    ++watches;
  }
  return {};
}

size_t Watches::State::unseen(const Watch& watch) const {
  if (watch.mode != Mode::kWalking) {
    return watch.interest->positions.size() + watch.part - first_unseen(watch);
  }
  std::vector<uint64_t> changes;
  find_changes(watch, changes);
  return changes.size();
}

std::string Watches::State::check(const Watch& watch) const {
  const Owner& owner = *watch.owner;
  const Busy* busy = owner.busy.get();
  const auto known = owners.find(owner.id);
  if (known == owners.end() || &known->second != &owner) return of(watch, "its owner is gone");
  if (!watch.owner_link.is_linked()) return of(watch, "its owner does not have it");
  const bool pending = busy != nullptr && std::find(busy->pending.begin(), busy->pending.end(),
                                                    &watch) != busy->pending.end();
  const bool told =
      busy != nullptr && std::any_of(busy->told.begin(), busy->told.end(),
                                     [&](const Told& t) { return t.watch == &watch; });
  if (pending != watch.pending) return of(watch, "wrongly marked pending");
  if (told != watch.told) return of(watch, "wrongly marked told");
  const bool to_visit = watch.visited != watch.interest->newest;
  if (has_unseen(watch) && !pending && !to_visit) return of(watch, "its news are forgotten");
  if (pending && !has_unseen(watch)) return of(watch, "pending without news");
  const bool walks = busy != nullptr && busy->walks(watch);
  if (walks != (watch.mode == Mode::kWalking)) return of(watch, "walks, or not, against its mode");
  const bool goes_on = watch.mode != Mode::kBehind && !has_lost(watch);
  if (goes_on && watch.part > 0 && watch.part >= unseen(watch)) {
    return of(watch, "a part of a group that is not there");
  }
  return {};
}

std::string Watches::State::check(const Owner& owner) const {
  const std::string name = "owner " + std::to_string(owner.id.value) + ": ";
  const auto count = std::distance(owner.watches.begin(), owner.watches.end());
  if (count != owner.count) return name + "watches differ from a recount";
  if (!owner.busy) return owner.awake ? name + "awake without news" : "";
  const Busy& busy = *owner.busy;
  if (busy.pending.empty() && busy.delivery == 0) return name + "nothing under way, yet busy";
  if (busy.delivery == 0 && !busy.told.empty()) return name + "told without a delivery";
  if (owner.awake && busy.pending.empty()) return name + "awake without news";
  return {};
}

std::string Watches::check_invariants() const {
  const State& state = *state_;
  if (std::string broken = state.history.check_invariants(); !broken.empty()) return broken;
  if (std::string broken = state.interests.check_invariants(); !broken.empty()) return broken;
  uint64_t watches = 0;
  for (const Interest& interest : state.interests.all()) {
    if (std::string broken = state.check(interest, watches); !broken.empty()) return broken;
    for (const Watch& watch : interest.watches) {
      if (&watch != &*watch.owner->watches.begin()) continue;
      if (std::string broken = state.check(*watch.owner); !broken.empty()) return broken;
    }
  }
  if (watches != state.watch_count) return "watches differ from a recount";
  if (state.free_watches.size() + watches != state.pool.size()) return "a watch is lost";
  return {};
}

}  // namespace holdfast::watch
