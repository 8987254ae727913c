// Runs simulations, one seed after the other, and stops at the first broken invariant with the
// command that replays it.
#include <gflags/gflags.h>

#include <chrono>
#include <cstdio>
#include <map>

#include "tests/simulation/simulation.h"

DEFINE_uint64(seed, 1, "first seed");
DEFINE_uint64(seeds, 100, "how many seeds to run, from 1 up");
DEFINE_uint64(seconds, 60, "simulated seconds of a run, before the calm, 1 to 100000");
DEFINE_bool(verbose, false, "print what happens");
DEFINE_uint64(repeat_every, 10, "run every n-th seed twice and compare the traces; 0: none");

namespace {

using holdfast::sim::RunResult;

RunResult run(uint64_t seed) {
  holdfast::sim::Simulation simulation(seed, FLAGS_verbose);
  return simulation.run(std::chrono::seconds(FLAGS_seconds));
}

int report_failure(uint64_t seed, const std::string& why) {
  std::printf("seed %lu: %s\nreplay: ./dev simulate --seed=%lu --seeds=1 --seconds=%lu --verbose\n",
              seed, why.c_str(), seed, FLAGS_seconds);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  gflags::SetUsageMessage("simulates clusters of real servers, a seed at a time");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  if (argc > 1 || FLAGS_seeds == 0 || FLAGS_seconds == 0 || FLAGS_seconds > 100'000) {
    std::fprintf(stderr, "simulate: bad flag or argument; see --help\n");
    return 2;
  }
  RunResult sum;
  for (uint64_t seed = FLAGS_seed; seed < FLAGS_seed + FLAGS_seeds; ++seed) {
    const RunResult result = run(seed);
    if (!result.broken.empty()) return report_failure(seed, result.broken);
    if (FLAGS_repeat_every != 0 && seed % FLAGS_repeat_every == 0 &&
        run(seed).trace != result.trace) {
      return report_failure(seed, "not deterministic: two runs have different traces");
    }
    sum.events += result.events;
    sum.grants += result.grants;
    sum.simulated += result.simulated;
    for (const auto& [mark, count] : result.sometimes) sum.sometimes[mark] += count;
    if ((seed - FLAGS_seed + 1) % 10 == 0) {
      std::printf("%lu seeds, %.1f simulated hours, %lu events, %lu grants\n",
                  seed - FLAGS_seed + 1, static_cast<double>(sum.simulated.count()) / 3.6e12,
                  sum.events, sum.grants);
      std::fflush(stdout);
    }
  }
  for (const auto& [mark, count] : sum.sometimes) std::printf("%8lu x %s\n", count, mark.c_str());
  std::printf("%lu seeds held\n", FLAGS_seeds);
  return 0;
}
