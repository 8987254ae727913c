#include "tests/simulation/shrink.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tests/simulation/swarm.h"

namespace holdfast::sim {

namespace {

Draws draws_of(const Schedule& schedule) {
  return schedule.draws_of_seed ? Draws(*schedule.draws_of_seed) : Draws(schedule.draws);
}

}  // namespace

RunResult run_schedule(const Schedule& schedule, const RunOptions& options) {
  Draws draws = draws_of(schedule);
  Simulation simulation(schedule.plan, draws, options);
  return simulation.run();
}

std::optional<Mark> never_met(const Schedule& schedule, const RunResult& result) {
  const auto at =
      std::ranges::find_if(schedule.meets, [&](Mark mark) { return result.marks.of(mark) == 0; });
  return at == schedule.meets.end() ? std::nullopt : std::optional(*at);
}

std::optional<Rule> broken_in_child(const Schedule& schedule) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    // What a failed check says was said once already.
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
    const auto rule = run_schedule(schedule, {}).rule;
    _exit(rule ? 1 + static_cast<int>(*rule) : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return std::nullopt;
  if (!WIFEXITED(status)) return Rule::kCrash;
  const int code = WEXITSTATUS(status);
  return code == 0 ? std::nullopt : std::optional(static_cast<Rule>(code - 1));
}

Schedule schedule_of_seed(uint64_t seed, int64_t length_ms, bool thrift) {
  Schedule schedule;
  Draws draws(seed);
  schedule.plan = draw_plan(draws, {length_ms, thrift});
  schedule.draws_of_seed = seed;
  return schedule;
}

size_t size_of(const Schedule& schedule) {
  size_t size = schedule.plan.faults.size();
  for (const Script& script : schedule.plan.scripts) size += script.ops.size();
  for (const auto& [stream, values] : schedule.draws) size += values.size();
  return size;
}

// ------------------------------------------------------------------------------------- ddmin

bool Shrinker::still_breaks(const Schedule& candidate) {
  ++runs_;
  if (candidate.breaks == Rule::kCrash) return broken_in_child(candidate) == Rule::kCrash;
  return run_schedule(candidate, {}).rule == candidate.breaks;
}

bool Shrinker::take(Schedule candidate) {
  if (out_of_time() || candidate.plan.scripts.empty() || !still_breaks(candidate)) return false;
  best_ = std::move(candidate);
  return true;
}

/// Drops ever smaller parts of a list.
template <class T>
void Shrinker::drop_items(std::vector<T>& (*items)(Schedule&)) {
  size_t part = std::max<size_t>(1, items(best_).size());
  while (!out_of_time()) {
    bool dropped = false;
    for (size_t from = 0; from < items(best_).size() && !out_of_time();) {
      Schedule candidate = best_;
      std::vector<T>& list = items(candidate);
      const size_t to = std::min(from + part, list.size());
      list.erase(list.begin() + static_cast<ptrdiff_t>(from),
                 list.begin() + static_cast<ptrdiff_t>(to));
      if (take(std::move(candidate))) {
        dropped = true;
      } else {
        from = to;
      }
    }
    if (part == 1 && !dropped) return;
    part = std::max<size_t>(1, part / 2);
  }
}

/// What comes after the failure is of no use.
void Shrinker::end_earlier() {
  if (best_.breaks == Rule::kCrash) return;
  const RunResult result = run_schedule(best_, {});
  const int64_t failed_ms = to_ms(result.simulated) + 1;
  Schedule candidate = best_;
  std::erase_if(candidate.plan.faults, [&](const Fault& fault) { return fault.at_ms > failed_ms; });
  candidate.plan.weather.length_ms =
      std::min(candidate.plan.weather.length_ms, std::max<int64_t>(100, failed_ms));
  take(std::move(candidate));
}

/// Instead of "as seed 33 gives them" each draw by itself. A run that ends the program cannot say
/// what it drew.
void Shrinker::name_draws() {
  if (!best_.draws_of_seed || best_.breaks == Rule::kCrash) return;
  Draws draws(*best_.draws_of_seed);
  draws.record();
  Schedule candidate = best_;
  Simulation(candidate.plan, draws, {}).run();
  candidate.draws = draws.recorded();
  candidate.draws_of_seed.reset();
  take(std::move(candidate));
}

void Shrinker::drop_draws() {
  Schedule calm = best_;
  calm.draws.clear();
  calm.draws_of_seed.reset();
  if (take(std::move(calm))) return;
  name_draws();
  std::vector<std::string> streams;
  for (const auto& [stream, values] : best_.draws) streams.push_back(stream);
  for (const std::string& stream : streams) {
    Schedule candidate = best_;
    candidate.draws.erase(stream);
    if (!take(std::move(candidate))) drop_parts_of(stream);
  }
}

void Shrinker::drop_parts_of(const std::string& stream) {
  for (size_t part = best_.draws[stream].size() / 2; part > 0 && !out_of_time(); part /= 2) {
    std::vector<uint64_t> numbers;
    for (const auto& [number, value] : best_.draws[stream]) numbers.push_back(number);
    for (size_t from = 0; from < numbers.size() && !out_of_time(); from += part) {
      Schedule candidate = best_;
      for (size_t i = from; i < std::min(from + part, numbers.size()); ++i) {
        candidate.draws[stream].erase(numbers[i]);
      }
      take(std::move(candidate));
    }
  }
}

void Shrinker::drop_scripts() {
  drop_items<Script>(+[](Schedule& s) -> std::vector<Script>& { return s.plan.scripts; });
}

/// The highest nodes leave: what faults say of them falls on others.
void Shrinker::drop_nodes() {
  while (best_.plan.weather.nodes > 1 && !out_of_time()) {
    Schedule candidate = best_;
    --candidate.plan.weather.nodes;
    if (!take(std::move(candidate))) return;
  }
}

void Shrinker::drop_ops() {
  for (size_t i = 0; i < best_.plan.scripts.size(); ++i) {
    for (size_t part = std::max<size_t>(1, best_.plan.scripts[i].ops.size()); !out_of_time();
         part /= 2) {
      for (size_t from = 0; from < best_.plan.scripts[i].ops.size() && !out_of_time();) {
        Schedule candidate = best_;
        std::vector<Op>& ops = candidate.plan.scripts[i].ops;
        const size_t to = std::min(from + part, ops.size());
        ops.erase(ops.begin() + static_cast<ptrdiff_t>(from),
                  ops.begin() + static_cast<ptrdiff_t>(to));
        if (!take(std::move(candidate))) from = to;
      }
      if (part == 1) break;
    }
  }
}

/// Fields of faults and operations go back to what they are by default, or are halved.
void Shrinker::shorten() {
  for (size_t i = 0; i < best_.plan.faults.size() && !out_of_time(); ++i) {
    for (const Field<Fault>& field : fault_fields()) {
      for (const int64_t by : {int64_t{0}, int64_t{2}}) {
        Schedule candidate = best_;
        int64_t& value = candidate.plan.faults[i].*field.member;
        const int64_t less = by == 0 ? 0 : value / by;
        if (value == less) continue;
        value = less;
        take(std::move(candidate));
      }
    }
  }
  for (size_t s = 0; s < best_.plan.scripts.size(); ++s) {
    for (size_t i = 0; i < best_.plan.scripts[s].ops.size() && !out_of_time(); ++i) {
      plain_fields(s, i);
    }
  }
}

void Shrinker::plain_fields(size_t script, size_t op) {
  for (const Field<Op>& field : op_fields()) {
    Schedule candidate = best_;
    int64_t& value = candidate.plan.scripts[script].ops[op].*field.member;
    const int64_t plain = Op{}.*field.member;
    if (value == plain) continue;
    value = plain;
    take(std::move(candidate));
  }
}

void Shrinker::plain_weather() {
  for (const Field<Weather>& field : weather_fields()) {
    const int64_t plain = Weather{}.*field.member;
    if (best_.plan.weather.*field.member == plain || field.name == "nodes") continue;
    Schedule candidate = best_;
    candidate.plan.weather.*field.member = plain;
    const Weather& w = candidate.plan.weather;
    const bool sound =
        2 * w.heartbeat_ms <= w.election_min_ms && w.election_min_ms < w.election_max_ms;
    if (sound && field.name != "clients" && field.name != "length_ms") take(std::move(candidate));
  }
}

Schedule Shrinker::shrink(Schedule failing) {
  best_ = std::move(failing);
  end_earlier();
  for (size_t before = 0; before != size_of(best_) && !out_of_time();) {
    before = size_of(best_);
    drop_items<Fault>(+[](Schedule& s) -> std::vector<Fault>& { return s.plan.faults; });
    drop_scripts();
    drop_draws();
    drop_nodes();
    drop_ops();
    plain_weather();
    shorten();
  }
  return best_;
}

// ----------------------------------------------------------------------------------- timeline

std::string timeline(const std::vector<Told>& told, int64_t nodes, size_t lines) {
  constexpr size_t kWide = 30;
  std::string text;
  const size_t first = told.size() > lines ? told.size() - lines : 0;
  for (size_t i = first; i < told.size(); ++i) {
    char time[32];
    std::snprintf(time, sizeof time, "%10.3f s  ", static_cast<double>(told[i].at.count()) / 1e9);
    text += time;
    for (int64_t node = 1; node <= nodes; ++node) {
      const bool here = told[i].who == "node " + std::to_string(node);
      std::string cell = here ? told[i].what.substr(0, kWide) : "|";
      cell.resize(std::max(cell.size(), here ? kWide : size_t{3}), ' ');
      text += cell;
      if (here) break;
    }
    if (told[i].who.rfind("node ", 0) != 0) text += told[i].who + " " + told[i].what;
    text += "\n";
  }
  return text;
}

}  // namespace holdfast::sim
