#include "tests/simulation/poll_places.h"

#include <algorithm>
#include <string>

namespace holdfast::sim {

namespace {

/// The server looks at them every 10 ms (coordinator/server/polls.cc), in the turns that it has.
constexpr Duration kWithin = 20ms;

}  // namespace

void PollPlaces::arrived(SessionId session, uint32_t call, Revision applied) {
  const auto [at, fresh] = places_.try_emplace(session);
  if (fresh) at->second.told = applied;
  at->second.call = call;
  at->second.outdated.reset();
}

PollPlaces::Place* PollPlaces::place_of(uint32_t call) {
  const auto at = std::find_if(places_.begin(), places_.end(),
                               [call](const auto& each) { return each.second.call == call; });
  return at == places_.end() ? nullptr : &at->second;
}

void PollPlaces::told(uint32_t call, Revision applied) {
  Place* place = place_of(call);
  if (place == nullptr) return;
  if (place->outdated) world_.mark(Mark::kToldInTime);
  *place = Place{.told = applied, .call = 0, .outdated = {}};
}

void PollPlaces::refused(uint32_t call) {
  Place* place = place_of(call);
  if (place == nullptr) return;
  place->call = 0;
  place->outdated.reset();
}

void PollPlaces::turned(const Standing& standing, const Watching& watching) {
  const Revision half =
      standing.history_floor + (standing.history_last - standing.history_floor) / 2;
  for (auto& [session, place] : places_) {
    if (!watching(session)) place.told = standing.applied;
    if (place.call == 0 || place.told >= half) {
      place.outdated.reset();
    } else if (!place.outdated) {
      if (!standing.renews) place.outdated = standing.now;
    } else if (standing.now - *place.outdated > kWithin) {
      throw Broken(Rule::kI19, "the poll of session " + std::to_string(session.value) +
                                   " is parked, and its watches were told through " +
                                   std::to_string(place.told.value) + " last, of a history from " +
                                   std::to_string(standing.history_floor.value) + " to " +
                                   std::to_string(standing.history_last.value));
    }
  }
}

}  // namespace holdfast::sim
