// A schedule file: a whole run as text, to be replayed, shrunk, edited by hand and kept in the
// suite (tests/simulation/schedules). One line a thing; '#' begins a comment:
//
//   weather nodes=3 ttl_ms=4000
//   split at=1200 for=300 mask=1          a fault; names and fields are those of plan.h
//   client 2 hand 1 lock path=1 wait=-1   what that hand does next
//   draw net/1/2 17=1 250=4000            draws of a stream that are not zero, by number
//   draws_of_seed 33                      or all draws as this seed gives them
//   meets LogCut                          a rare state that it is there for (marks.inc)
//   breaks I22                            what it showed when it was written; nothing: it holds
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/simulation/draws.h"
#include "tests/simulation/invariants.h"
#include "tests/simulation/marks.h"
#include "tests/simulation/plan.h"

namespace holdfast::sim {

struct Schedule {
  Plan plan;
  DrawTable draws;
  std::optional<uint64_t> draws_of_seed;  ///< instead of `draws`
  std::optional<Rule> breaks;
  std::vector<Mark> meets;  ///< what the run is there for: it fails if one of these is never met
};

std::string to_text(const Schedule& schedule);
/// BAD_ARGUMENT names the line, the word, and what is allowed.
Result<Schedule> parse_schedule(const std::string& text);

}  // namespace holdfast::sim
