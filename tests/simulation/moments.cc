#include "tests/simulation/moments.h"

namespace holdfast::sim {

std::vector<Fault> moments_of(const RunResult& calm) {
  std::vector<Fault> moments;
  for (size_t node = 0; node < calm.disk_operations.size(); ++node) {
    for (uint64_t operation = 1; operation <= calm.disk_operations[node]; ++operation) {
      for (const int64_t power : {0, 1}) {
        Fault fault;
        fault.kind = FaultKind::kDieAtDisk;
        fault.node = static_cast<int64_t>(node) + 1;
        fault.amount = static_cast<int64_t>(operation);
        fault.other = power;
        fault.seed = static_cast<int64_t>(moments.size()) + 1;
        moments.push_back(fault);
      }
    }
  }
  return moments;
}

Schedule dying_at(const Schedule& schedule, const Fault& moment) {
  Schedule dying = schedule;
  dying.plan.faults.insert(dying.plan.faults.begin(), moment);
  return dying;
}

uint64_t deaths_at_disk(const MarkCounts& marks) {
  uint64_t deaths = 0;
  for (const Mark mark : {Mark::kCrashInForming, Mark::kCrashInWrite, Mark::kCrashInPreparation,
                          Mark::kCrashInRecovery, Mark::kCrashInLoad, Mark::kCrashInSpan,
                          Mark::kCrashInCatchUp, Mark::kCrashInAdoption}) {
    deaths += marks.of(mark);
  }
  return deaths;
}

}  // namespace holdfast::sim
