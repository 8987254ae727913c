#include "base/scheduling.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace holdfast {
namespace {

constexpr int kBackgroundNiceness = 10;
/// The shortest that Linux takes.
constexpr uint64_t kPromptSliceNs = 100'000;
constexpr uint64_t kUsualSlice = 0;

/// Best effort: what a scheduler refuses costs time, nothing else. Niceness is a thread's own.
void set(int niceness, uint64_t slice_ns) {
  sched_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.sched_policy = SCHED_NORMAL;
  attributes.sched_nice = niceness;
  attributes.sched_runtime = slice_ns;
  constexpr pid_t kThisThread = 0;
  [[maybe_unused]] const auto refused = ::syscall(SYS_sched_setattr, kThisThread, &attributes, 0);
}

int niceness() { return ::getpriority(PRIO_PROCESS, 0); }

}  // namespace

void schedule_promptly() { set(niceness(), kPromptSliceNs); }

void schedule_in_background() {
  constexpr int kLeast = 19;
  const int wanted = niceness() + kBackgroundNiceness;
  set(wanted < kLeast ? wanted : kLeast, kUsualSlice);
}

}  // namespace holdfast
