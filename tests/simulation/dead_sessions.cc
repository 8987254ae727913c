#include "tests/simulation/dead_sessions.h"

#include <string>
#include <utility>

#include "session/lease_keeper.h"

namespace holdfast::sim {

DeadSessions::DeadSessions(World& world, Look look)
    : world_(world), look_(std::move(look)), slack_(from_ms(world.weather().election_max_ms)) {}

// A renewal that was on its way may arrive within the slack.
void DeadSessions::died(SessionId session) {
  const auto presence = look_(session);
  if (!presence) return;
  dead_[session] = {world_.now(), from_ms(presence->ttl_ms) + 2 * slack_};
}

void DeadSessions::allow_all(Duration more) {
  for (auto& [session, dead] : dead_) dead.allowed += more;
}

void DeadSessions::leadership_ended() {
  for (auto& [session, dead] : dead_) {
    const auto presence = look_(session);
    if (!presence) continue;
    const Duration ttl = from_ms(presence->ttl_ms);
    dead.allowed += presence->late ? session::late_again_after(ttl) : session::late_after(ttl);
    dead.allowed += slack_;
    ++dead.leaderships;
  }
}

void DeadSessions::observe(bool served) {
  if (!served_) allow_all(world_.now() - looked_);
  if (!served_ && served) allow_all(slack_);
  served_ = served;
  looked_ = world_.now();
  for (auto at = dead_.begin(); at != dead_.end();) {
    const auto& [session, dead] = *at;
    const Duration since = world_.now() - dead.died;
    const Duration bound = dead.allowed + dead.allowed / 1'000'000 * world_.weather().drift_ppm;
    if (!look_(session)) {
      if (dead.leaderships > 1) world_.mark(Mark::kDeadOverElections);
      at = dead_.erase(at);
      continue;
    }
    if (since > bound) {
      throw Broken(Rule::kI16, "session " + std::to_string(session.value) + " is there " +
                                   std::to_string(to_ms(since)) + " ms after its client died, " +
                                   std::to_string(dead.leaderships) +
                                   " leaderships later; the bound is " +
                                   std::to_string(to_ms(bound)) + " ms");
    }
    ++at;
  }
}

}  // namespace holdfast::sim
