// Every moment of a run at which a server may die: around each of its disk operations, once by
// kill and once by loss of power. A run for each, which is the same as the one without up to there.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/simulation/schedule.h"
#include "tests/simulation/simulation.h"

namespace holdfast::sim {

/// The faults that make a schedule each, from entry 1 on and until the world is healed. `calm` is
/// what the schedule came to without any.
std::vector<Fault> moments_of(const RunResult& calm);

/// The same run, in which a server dies at that moment.
Schedule dying_at(const Schedule& schedule, const Fault& moment);

/// How often a server died at its disk.
uint64_t deaths_at_disk(const MarkCounts& marks);

}  // namespace holdfast::sim
