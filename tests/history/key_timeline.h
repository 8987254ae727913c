// Keys, before any search: which writes and reads concern which keys, when each must have taken
// effect, and what contradicts itself already.
#pragma once

#include "tests/history/timeline.h"

namespace holdfast::history {

/// Fills in `timeline.keys`, and what answers about keys say of sessions. `course` may be null.
void place_keys(const std::vector<Operation>& operations, const Course* course, const Known& known,
                Timeline& timeline);

/// What an answered write of keys says of locks: guards, and conditions on holders.
std::vector<Operation> guards_of(const Operation& op);

}  // namespace holdfast::history
