// Draws the plan of a run: a random subset of all faults with random strength, settings from their
// whole range, and what the clients do. "Swarm", because runs that leave much out meet more, taken
// together, than runs that have a little of everything.
#pragma once

#include "tests/simulation/draws.h"
#include "tests/simulation/plan.h"

namespace holdfast::sim {

/// What a caller may fix.
struct SwarmOptions {
  int64_t length_ms = 60'000;
  bool thrift = false;
};

Plan draw_plan(Draws& draws, const SwarmOptions& options);
/// Further hands that work on keys, from streams of their own (swarm_keys.cc).
void draw_keys(Draws& draws, Plan& plan);

}  // namespace holdfast::sim
