// The second half of the judgement: is there an order of one lock's steps that the model accepts?
// Depth first in the style of Wing and Gong, with Lowe's memory of the configurations already left
// without success. Locks share nothing but the ends of sessions, whose windows lay_out() has made
// one, so each is searched by itself.
#pragma once

#include <map>
#include <string>

#include "tests/history/timeline.h"

namespace holdfast::history {

struct SearchResult {
  Verdict::Kind kind = Verdict::Kind::kGood;
  std::string explanation;
  uint64_t steps = 0;
};

SearchResult search(const LockHistory& lock, const std::map<uint64_t, Session>& sessions,
                    const Known& known, uint64_t budget);

}  // namespace holdfast::history
