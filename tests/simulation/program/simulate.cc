// Runs simulations, one seed after the other, and stops at the first broken invariant with the run
// made small, told as a timeline, and the command that replays it.
#include <gflags/gflags.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/simulation/moments.h"
#include "tests/simulation/program/runner.h"
#include "tests/simulation/shrink.h"

DEFINE_uint64(seed, 1, "first seed");
DEFINE_bool(fresh, false, "take a first seed that nobody ran before, and print it");
DEFINE_uint64(seeds, 0, "how many seeds to run; 0: 100, or without limit if --minutes is given");
DEFINE_double(minutes, 0, "stop after so many minutes; 0: when the seeds are done");
DEFINE_int32(jobs, 1, "processes that run side by side, 1 to 256");
DEFINE_uint64(seconds, 60, "simulated seconds of a run, before the calm, 1 to 100000");
DEFINE_string(thrift, "mixed",
              "calls through Thrift bytes: mixed (every fifth seed), always, never");
DEFINE_bool(full, false, "fail if a rare state was never met");
DEFINE_bool(twice, false, "run every seed twice and compare the traces");
DEFINE_bool(print_traces, false, "print every seed's trace hash, to compare with another build");
DEFINE_string(record, "", "write the whole run of --seed as a schedule to this file");
DEFINE_string(replay, "", "a schedule file, or a folder of them, to run instead of seeds");
DEFINE_string(moments, "",
              "a schedule file: a run of it for every disk operation of every server, around which "
              "that server dies, by kill and by loss of power");
DEFINE_uint64(stride, 1, "with --moments, only every so manieth of them");
DEFINE_int32(shrink_seconds, 300, "how long a failing run may be made smaller; 0: not at all");
DEFINE_string(schedule_out, "build/schedule.txt", "where the schedule of a failing run is written");
DEFINE_string(commit, "", "what is printed as the commit of a failing run");
DEFINE_bool(verbose, false, "tell what happens");

namespace holdfast::sim {
namespace {

constexpr size_t kTimelineLines = 120;

int refuse(const std::string& what) {
  std::fprintf(stderr, "simulate: %s\n", what.c_str());
  return 2;
}

double hours(Duration d) { return static_cast<double>(d.count()) / 3.6e12; }

void print_told(const Schedule& schedule) {
  RunOptions options;
  options.tell = true;
  const RunResult result = run_schedule(schedule, options);
  std::printf("%s",
              timeline(result.told, schedule.plan.weather.nodes + schedule.plan.weather.spares,
                       kTimelineLines)
                  .c_str());
  if (result.rule) std::printf("%s\n", result.what.c_str());
}

int report(const SeedFailure& failure, const Work& work, SystemClock& clock) {
  const RuleText& text = text_of(failure.rule);
  std::printf("%s %lu: %s\n", work.schedule_of ? "moment" : "seed", failure.seed,
              failure.what.c_str());
  std::printf("commit: %s\n", FLAGS_commit.empty() ? "not given" : FLAGS_commit.c_str());
  std::printf("broken: %s, %s\n", std::string(text.name).c_str(), std::string(text.text).c_str());
  Schedule schedule = schedule_of(work, failure.seed);
  schedule.breaks = failure.rule;
  if (FLAGS_shrink_seconds > 0 && failure.rule != Rule::kDeterminism) {
    std::printf("making it smaller for up to %d s ...\n", FLAGS_shrink_seconds);
    std::fflush(stdout);
    Shrinker shrinker(clock, std::chrono::seconds(FLAGS_shrink_seconds));
    schedule = shrinker.shrink(std::move(schedule));
    std::printf("%zu events are left after %lu runs\n", size_of(schedule), shrinker.runs());
  }
  std::ofstream(FLAGS_schedule_out) << to_text(schedule);
  if (failure.rule != Rule::kCrash) print_told(schedule);
  std::printf("replay: ./dev simulate --replay=%s --verbose\n", FLAGS_schedule_out.c_str());
  if (work.schedule_of) return 1;
  std::printf(
      "   or: ./dev simulate --seed=%lu "
      "--seeds=1 --seconds=%lu --thrift=%s --verbose\n",
      failure.seed, FLAGS_seconds, FLAGS_thrift.c_str());
  return 1;
}

// ------------------------------------------------------------------------------------ replays

Result<Schedule> read_schedule(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return Error{ErrorCode::kBadArgument, path + " cannot be read"};
  auto schedule = parse_schedule(text.str());
  if (schedule.ok()) return schedule;
  return Error{ErrorCode::kBadArgument, path + ": " + schedule.error().message};
}

int replay_file(const std::string& path) {
  const auto schedule = read_schedule(path);
  if (!schedule.ok()) return refuse("--replay=" + schedule.error().message);
  RunOptions options;
  options.verbose = FLAGS_verbose;
  const RunResult result = run_schedule(*schedule, options);
  if (FLAGS_print_traces) std::printf("%s %016lx\n", path.c_str(), result.trace);
  const auto missed = never_met(*schedule, result);
  if (!result.rule && missed) {
    std::printf("%s: it was never met that %s\n", path.c_str(), text_of(*missed).data());
    return 1;
  }
  if (!result.rule) {
    std::printf("%s holds: %lu events\n", path.c_str(), result.events);
    return 0;
  }
  std::printf("%s: %s\nreplay: ./dev simulate --replay=%s --verbose\n", path.c_str(),
              result.what.c_str(), path.c_str());
  return 1;
}

int replay(const std::string& path) {
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return refuse("--replay=" + path + " is not there");
  if (!std::filesystem::is_directory(path)) return replay_file(path);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path().string());
  }
  if (files.empty()) return refuse("--replay=" + path + " has no schedule (*.txt)");
  std::sort(files.begin(), files.end());
  int worst = 0;
  for (const std::string& file : files) worst = std::max(worst, replay_file(file));
  return worst;
}

// -------------------------------------------------------------------------------------- seeds

int print_traces(const Work& work) {
  for (uint64_t n = 0; n < work.seeds; ++n) {
    const uint64_t seed = work.first_seed + n;
    const RunResult result =
        run_schedule(schedule_of_seed(seed, work.length_ms, uses_thrift(work.thrift, seed)), {});
    std::printf("seed %lu %016lx %s\n", seed, result.trace, result.what.c_str());
  }
  return 0;
}

int judge_marks(const Totals& totals) {
  int missing = 0;
  for (size_t i = 0; i < kMarks; ++i) {
    const auto mark = static_cast<Mark>(i);
    std::printf("%10lu x %s\n", totals.marks.of(mark), std::string(text_of(mark)).c_str());
    missing += totals.marks.of(mark) == 0 ? 1 : 0;
  }
  if (!FLAGS_full || missing == 0) return 0;
  std::printf("%d of %zu rare states were never met\n", missing, kMarks);
  return 1;
}

int run_seeds(Work work) {
  SystemClock clock;
  const Instant begun = clock.now();
  Runner runner(clock, work);
  const auto print = [&](const Totals& t) {
    const double s = std::max(1e-9, static_cast<double>((clock.now() - begun).count()) / 1e9);
    std::printf(
        "%lu seeds, %.1f simulated hours (%.1f a minute), %.0f events/s, %zu of %zu marks\n",
        t.seeds, hours(t.simulated), hours(t.simulated) / s * 60, static_cast<double>(t.events) / s,
        t.marks.hit_marks(), kMarks);
    std::fflush(stdout);
  };
  Instant told = begun;
  const auto failure = runner.run([&](const Totals& t) {
    if (clock.now() - told < 5s) return;
    told = clock.now();
    print(t);
  });
  const Totals& totals = runner.totals();
  print(totals);
  if (failure) return report(*failure, work, clock);
  const uint64_t deaths = deaths_at_disk(totals.marks);
  if (work.schedule_of && deaths != totals.seeds) {
    return refuse(std::to_string(deaths) + " servers died in " + std::to_string(totals.seeds) +
                  " moments");
  }
  const int marks = judge_marks(totals);
  if (totals.answers == 0 || totals.grants == 0) return refuse("the runs checked nothing");
  std::printf("%lu seeds held: %lu entries, %lu grants, %lu answers\n", totals.seeds,
              totals.entries, totals.grants, totals.answers);
  return marks;
}

/// A run for every `stride`th moment.
int run_moments(Work work) {
  const auto schedule = read_schedule(FLAGS_moments);
  if (!schedule.ok()) return refuse("--moments=" + schedule.error().message);
  if (FLAGS_stride == 0) return refuse("--stride=0 is not above 0");
  const RunResult calm = run_schedule(*schedule, {});
  if (calm.rule) return refuse("--moments=" + FLAGS_moments + ": " + calm.what);
  if (const auto missed = never_met(*schedule, calm)) {
    return refuse("--moments=" + FLAGS_moments + ": it was never met that " +
                  std::string(text_of(*missed)));
  }
  const std::vector<Fault> moments = moments_of(calm);
  for (size_t node = 0; node < calm.disk_operations.size(); ++node) {
    std::printf("node %zu: %lu disk operations\n", node + 1, calm.disk_operations[node]);
  }
  work.first_seed = 0;
  work.seeds = (moments.size() + FLAGS_stride - 1) / FLAGS_stride;
  work.schedule_of = [&](uint64_t n) { return dying_at(*schedule, moments[n * FLAGS_stride]); };
  return run_seeds(work);
}

int run() {
  if (FLAGS_seconds == 0 || FLAGS_seconds > 100'000) {
    return refuse("--seconds=" + std::to_string(FLAGS_seconds) + " is not within 1 and 100000");
  }
  if (FLAGS_jobs < 1 || FLAGS_jobs > 256) {
    return refuse("--jobs=" + std::to_string(FLAGS_jobs) + " is not within 1 and 256");
  }
  if (FLAGS_minutes < 0) {
    return refuse("--minutes=" + std::to_string(FLAGS_minutes) + " is below 0");
  }
  if (FLAGS_thrift != "mixed" && FLAGS_thrift != "always" && FLAGS_thrift != "never") {
    return refuse("--thrift=" + FLAGS_thrift + " is none of mixed, always, never");
  }
  if (!FLAGS_replay.empty()) return replay(FLAGS_replay);
  Work work;
  work.first_seed = FLAGS_seed;
  if (FLAGS_fresh) {
    SystemEntropy entropy;
    work.first_seed = entropy.next_u64() >> 24;
    std::printf("first seed: %lu\n", work.first_seed);
  }
  work.length_ms = static_cast<int64_t>(FLAGS_seconds) * 1'000;
  work.thrift = FLAGS_thrift == "always"  ? Thrift::kAlways
                : FLAGS_thrift == "never" ? Thrift::kNever
                                          : Thrift::kMixed;
  work.jobs = FLAGS_jobs;
  work.twice = FLAGS_twice;
  work.seeds = FLAGS_seeds == 0 && FLAGS_minutes == 0 ? 100 : FLAGS_seeds;
  if (FLAGS_minutes > 0) {
    work.limit = Duration(static_cast<int64_t>(FLAGS_minutes * 60e9));
  }
  if (!FLAGS_moments.empty()) return run_moments(work);
  if (FLAGS_print_traces) return print_traces(work);
  if (!FLAGS_record.empty()) {
    std::ofstream(FLAGS_record) << to_text(schedule_of_seed(
        work.first_seed, work.length_ms, uses_thrift(work.thrift, work.first_seed)));
    return replay(FLAGS_record);
  }
  if (FLAGS_verbose && work.seeds == 1) {
    RunOptions options;
    options.verbose = true;
    run_schedule(schedule_of_seed(work.first_seed, work.length_ms,
                                  uses_thrift(work.thrift, work.first_seed)),
                 options);
  }
  return run_seeds(work);
}

}  // namespace
}  // namespace holdfast::sim

int main(int argc, char** argv) {
  gflags::SetUsageMessage("simulates clusters of real servers, a seed at a time");
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  if (argc > 1) {
    return holdfast::sim::refuse("there is no argument '" + std::string(argv[1]) + "'; see --help");
  }
  return holdfast::sim::run();
}
