#include "tests/simulation/reigns.h"

#include <string>

namespace holdfast::sim {

bool Reigns::serves(Term term) const {
  const auto at = reigns_.find(term);
  return at != reigns_.end() && at->second.clock != nullptr;
}

void Reigns::begins_to_serve(Term term, SimClock& clock,
                             std::span<const session::LeaseSeed> found) {
  leads(term);
  Reign& reign = reigns_.at(term);
  reign.served = world_.now();
  reign.clock = &clock;
  for (const session::LeaseSeed& seed : found) {
    reign.owed[seed.session] = from_ms(seed.ttl_ms - (seed.late ? seed.silent_ms : 0));
  }
}

// A session that was opened later has a lease of this leader's own, which the ledger knows.
void Reigns::expired(Term term, SessionId session) {
  const auto at = reigns_.find(term);
  if (at == reigns_.end() || at->second.clock == nullptr) return;
  const Reign& reign = at->second;
  const auto owed = reign.owed.find(session);
  if (owed == reign.owed.end()) return;
  const Duration counted = reign.clock->now() - reign.clock->at(reign.served);
  if (counted < owed->second) {
    throw Broken(Rule::kI16, "session " + std::to_string(session.value) + " expired " +
                                 std::to_string(to_ms(counted)) + " ms after the leader of term " +
                                 std::to_string(term.value) +
                                 " could answer anybody; it was owed " +
                                 std::to_string(to_ms(owed->second)) + " ms");
  }
  const Duration mute = reign.served - reign.elected;
  if (mute > from_ms(world_.weather().election_max_ms)) world_.mark(Mark::kExpiredAfterReplay);
}

}  // namespace holdfast::sim
