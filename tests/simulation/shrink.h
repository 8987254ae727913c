// Makes a failing run small: cuts faults, then clients, nodes, operations and draws, and shortens
// what is left, as long as the same rule breaks (ddmin, Zeller and Hildebrandt 2002).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/simulation/schedule.h"
#include "tests/simulation/simulation.h"

namespace holdfast::sim {

/// Runs a schedule.
RunResult run_schedule(const Schedule& schedule, const RunOptions& options);
/// The first rare state that it is there for and did not meet, if so.
std::optional<Mark> never_met(const Schedule& schedule, const RunResult& result);
/// Runs it in a process of its own, so that one that ends itself is only CRASH.
std::optional<Rule> broken_in_child(const Schedule& schedule);
/// The whole run of a seed.
Schedule schedule_of_seed(uint64_t seed, int64_t length_ms, bool thrift);

class Shrinker {
 public:
  /// `clock` bounds the time that is spent.
  Shrinker(Clock& clock, Duration limit) : clock_(clock), end_(clock.now() + limit) {}
  /// `failing.breaks` must be set. Returns the smallest schedule found that breaks the same rule.
  Schedule shrink(Schedule failing);
  uint64_t runs() const { return runs_; }

 private:
  bool still_breaks(const Schedule& candidate);
  void name_draws();
  bool out_of_time() { return clock_.now() >= end_; }
  /// Tries `candidate`; takes it for `best_` if it still breaks.
  bool take(Schedule candidate);
  template <class T>
  void drop_items(std::vector<T>& (*items)(Schedule&));
  void end_earlier();
  void drop_draws();
  void drop_parts_of(const std::string& stream);
  void drop_scripts();
  void drop_nodes();
  void drop_ops();
  void shorten();
  void plain_fields(size_t script, size_t op);
  void plain_weather();

  Clock& clock_;
  const Instant end_;
  Schedule best_;
  uint64_t runs_ = 0;
};

/// Faults, operations and draws that a schedule still has.
size_t size_of(const Schedule& schedule);

/// What happened, as a table with a column for each node and one for everybody else; at most the
/// last `lines`.
std::string timeline(const std::vector<Told>& told, int64_t nodes, size_t lines);

}  // namespace holdfast::sim
