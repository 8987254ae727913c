#include <gflags/gflags.h>

#include <cstdio>

#include "tests/simulation/simulation.h"
#include "tests/simulation/swarm.h"

DEFINE_uint64(seed, 1, "first seed");
DEFINE_uint64(seeds, 100, "how many seeds to run, from 1 up");
DEFINE_uint64(seconds, 60, "simulated seconds of a run, before the calm, 1 to 100000");
DEFINE_bool(verbose, false, "print what happens");
DEFINE_bool(keep, false, "go on");

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  using namespace holdfast::sim;
  MarkCounts marks;
  uint64_t events = 0, entries=0, grants=0; double hours = 0;
  uint64_t busiest = 0;
  for (uint64_t seed = FLAGS_seed; seed < FLAGS_seed + FLAGS_seeds; ++seed) {
    Draws draws(seed);
    const Plan plan = draw_plan(draws, {static_cast<int64_t>(FLAGS_seconds) * 1000, seed % 5 == 0});
    Simulation simulation(plan, draws, {false, FLAGS_verbose});
    const RunResult result = simulation.run();
    marks.add(result.marks);
    events += result.events; entries += result.entries; grants += result.grants;
    hours += static_cast<double>(result.simulated.count()) / 3.6e12;
    busiest = std::max(busiest, result.busiest_second);
    if (result.rule) {
      std::printf("seed %lu: %s\n", seed, result.what.c_str());
      if (!FLAGS_keep) return 1;
    }
  }
  for (size_t i = 0; i < kMarks; ++i) std::printf("%8lu x %s\n", marks.of(static_cast<Mark>(i)), std::string(text_of(static_cast<Mark>(i))).c_str());
  std::printf("%lu events %lu entries %lu grants %.2f hours busiest %lu\n", events, entries, grants, hours, busiest);
  return 0;
}
