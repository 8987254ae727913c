// Runs many seeds, in processes of their own, so that a run that ends its process is a result too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "tests/simulation/marks.h"
#include "tests/simulation/schedule.h"
#include "tests/simulation/simulation.h"

namespace holdfast::sim {

/// Which seeds run through Thrift bytes.
enum class Thrift { kMixed, kAlways, kNever };

struct Work {
  /// The run of a seed, instead of what schedule_of_seed() draws.
  std::function<Schedule(uint64_t)> schedule_of;
  uint64_t first_seed = 1;
  uint64_t seeds = 0;  ///< 0: no limit
  int64_t length_ms = 60'000;
  Thrift thrift = Thrift::kMixed;
  int jobs = 1;
  bool twice = false;  ///< every seed is run twice, and the traces compared
  std::optional<Duration> limit;
};

/// Of every fifth seed the bytes travel, unless told otherwise.
bool uses_thrift(Thrift thrift, uint64_t seed);

Schedule schedule_of(const Work& work, uint64_t seed);

struct Totals {
  uint64_t seeds = 0;
  uint64_t events = 0;
  uint64_t entries = 0;
  uint64_t grants = 0;
  uint64_t answers = 0;
  Duration simulated{0};
  MarkCounts marks;
};

struct SeedFailure {
  uint64_t seed = 0;
  Rule rule = Rule::kCrash;
  std::string what;
};

class Runner {
 public:
  Runner(Clock& clock, const Work& work) : clock_(clock), work_(work) {}
  /// Until the work is done, or a seed fails. `progress` is called about once a second.
  std::optional<SeedFailure> run(const std::function<void(const Totals&)>& progress);
  const Totals& totals() const { return totals_; }

 private:
  struct Report;
  struct Worker {
    int pid = 0;
    int pipe = -1;
    uint64_t seed = 0;
  };
  void start_workers();
  void work_alone(int number, int pipe);
  std::optional<SeedFailure> take(Worker& worker);
  void end_workers();

  Clock& clock_;
  const Work work_;
  std::vector<Worker> workers_;
  Totals totals_;
};

}  // namespace holdfast::sim
