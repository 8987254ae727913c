// Is there one order of what was asked of some keys that explains every answer? What has a known
// revision stands in that order; between it, what was never answered may have taken effect or not,
// and sessions end.
#pragma once

#include "tests/history/search.h"

namespace holdfast::history {

/// `course` may be null.
SearchResult search(const KeyHistory& keys, const std::map<uint64_t, Session>& sessions,
                    const Course* course, uint64_t budget);

}  // namespace holdfast::history
