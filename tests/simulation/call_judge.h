// The recorded calls of a run are judged (tests/history). What no client was told the search takes
// from the committed history, instead of trying every order.
#pragma once

#include <vector>

#include "tests/history/history.h"
#include "tests/simulation/history.h"

namespace holdfast::sim {

/// The verdict, which is good. Throws Broken (LINEAR) unless the order of the log explains every
/// answer of the calls, and (VACUOUS) if there is nothing to judge. `log` is that of their cluster.
history::Verdict judge(const std::vector<history::Operation>& calls, const History& log);

}  // namespace holdfast::sim
