#include "tests/simulation/program/runner.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tests/simulation/shrink.h"

namespace holdfast::sim {

/// What a worker writes: before a seed and behind it. Small enough to be written whole.
struct Runner::Report {
  uint64_t seed = 0;
  bool finished = false;
  bool broken = false;
  Rule rule = Rule::kCrash;
  uint64_t events = 0;
  uint64_t entries = 0;
  uint64_t grants = 0;
  uint64_t answers = 0;
  Duration simulated{0};
  MarkCounts marks;
  char what[2048] = {};
};

bool uses_thrift(Thrift thrift, uint64_t seed) {
  return thrift == Thrift::kAlways || (thrift == Thrift::kMixed && seed % 5 == 0);
}

Schedule schedule_of(const Work& work, uint64_t seed) {
  if (work.schedule_of) return work.schedule_of(seed);
  return schedule_of_seed(seed, work.length_ms, uses_thrift(work.thrift, seed));
}

void Runner::work_alone(int number, int pipe) {
  const Instant end = work_.limit ? clock_.now() + *work_.limit : Instant::max();
  const auto jobs = static_cast<uint64_t>(work_.jobs);
  for (auto n = static_cast<uint64_t>(number); work_.seeds == 0 || n < work_.seeds; n += jobs) {
    if (clock_.now() >= end) break;
    Report report;
    report.seed = work_.first_seed + n;
    if (write(pipe, &report, sizeof report) != sizeof report) break;
    const Schedule schedule = schedule_of(work_, report.seed);
    RunResult result = run_schedule(schedule, {});
    if (work_.twice && !result.rule && run_schedule(schedule, {}).trace != result.trace) {
      result.rule = Rule::kDeterminism;
      result.what = "two runs have different traces";
    }
    report.finished = true;
    report.broken = result.rule.has_value();
    if (result.rule) report.rule = *result.rule;
    report.events = result.events;
    report.entries = result.entries;
    report.grants = result.grants;
    report.answers = result.answers;
    report.simulated = result.simulated;
    report.marks = result.marks;
    std::strncpy(report.what, result.what.c_str(), sizeof report.what - 1);
    if (write(pipe, &report, sizeof report) != sizeof report) break;
  }
}

void Runner::start_workers() {
  static_assert(sizeof(Report) <= 4'096, "a report is written whole");
  for (int number = 0; number < work_.jobs; ++number) {
    int ends[2];
    std::fflush(nullptr);
    if (pipe(ends) != 0) continue;
    const pid_t pid = fork();
    if (pid == 0) {
      close(ends[0]);
      work_alone(number, ends[1]);
      _exit(0);
    }
    close(ends[1]);
    workers_.push_back({pid, ends[0], 0});
  }
}

std::optional<SeedFailure> Runner::take(Worker& worker) {
  Report report;
  const ssize_t got = read(worker.pipe, &report, sizeof report);
  if (got != static_cast<ssize_t>(sizeof report)) {
    close(worker.pipe);
    worker.pipe = -1;
    int status = 0;
    waitpid(worker.pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
    return SeedFailure{worker.seed, Rule::kCrash, "CRASH: the program ended itself"};
  }
  worker.seed = report.seed;
  if (!report.finished) return std::nullopt;
  ++totals_.seeds;
  totals_.events += report.events;
  totals_.entries += report.entries;
  totals_.grants += report.grants;
  totals_.answers += report.answers;
  totals_.simulated += report.simulated;
  totals_.marks.add(report.marks);
  if (!report.broken) return std::nullopt;
  return SeedFailure{report.seed, report.rule, report.what};
}

void Runner::end_workers() {
  for (const Worker& worker : workers_) {
    if (worker.pipe < 0) continue;
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, nullptr, 0);
    close(worker.pipe);
  }
  workers_.clear();
}

std::optional<SeedFailure> Runner::run(const std::function<void(const Totals&)>& progress) {
  start_workers();
  Instant told = clock_.now();
  std::optional<SeedFailure> failure;
  while (!failure) {
    std::vector<pollfd> waiting;
    for (const Worker& worker : workers_) {
      if (worker.pipe >= 0) waiting.push_back({worker.pipe, POLLIN, 0});
    }
    if (waiting.empty()) break;
    poll(waiting.data(), waiting.size(), 1'000);
    for (const pollfd& each : waiting) {
      if (each.revents == 0 || failure) continue;
      const auto worker = std::find_if(workers_.begin(), workers_.end(),
                                       [&](const Worker& w) { return w.pipe == each.fd; });
      failure = take(*worker);
    }
    if (clock_.now() - told < 1s) continue;
    told = clock_.now();
    progress(totals_);
  }
  end_workers();
  return failure;
}

}  // namespace holdfast::sim
