#include "tests/simulation/poll_places.h"

#include <string>

namespace holdfast::sim {

namespace {

/// The server looks at them every 10 ms (coordinator/server/polls.cc), in the turns that it has.
constexpr Duration kWithin = 20ms;

}  // namespace

void PollPlaces::arrived(SessionId session, uint32_t call, Revision applied) {
  const auto [at, fresh] = places_.try_emplace(session);
  if (fresh) at->second.told = applied;
  at->second.calls.insert(call);
  at->second.outdated.reset();
}

PollPlaces::Place* PollPlaces::take(uint32_t call) {
  for (auto& [session, place] : places_) {
    if (place.calls.erase(call) != 0) return &place;
  }
  return nullptr;
}

void PollPlaces::told(uint32_t call, Revision applied) {
  Place* place = take(call);
  if (place == nullptr) return;
  if (place->outdated) world_.mark(Mark::kToldInTime);
  place->told = applied;
  place->outdated.reset();
}

void PollPlaces::refused(uint32_t call) {
  Place* place = take(call);
  if (place != nullptr && place->calls.empty()) place->outdated.reset();
}

void PollPlaces::turned(const Standing& standing, const Watching& watching) {
  const Revision half =
      standing.history_floor + (standing.history_last - standing.history_floor) / 2;
  for (auto& [session, place] : places_) {
    if (!watching(session)) place.told = standing.applied;
    if (place.calls.empty() || place.told >= half) {
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
