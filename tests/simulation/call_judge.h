// The recorded calls of a run are judged (tests/history). The search follows the committed history
// where no client was told, instead of trying every order.
#pragma once

#include <vector>

#include "tests/history/history.h"
#include "tests/simulation/history.h"

namespace holdfast::sim {

/// Throws Broken (LINEAR) unless the order of the log explains every answer of the calls, and the
/// log is that of their cluster. What was judged.
history::Verdict judge(const std::vector<history::Operation>& calls, const History& log);

}  // namespace holdfast::sim
