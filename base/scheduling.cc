#include "base/scheduling.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace holdfast {
namespace {

constexpr int kBackgroundNiceness = 10;
constexpr int kNicest = 19;
/// The longest that Linux takes.
constexpr uint64_t kLongSliceNs = 100'000'000;

}  // namespace

void name_this_thread(const std::string& what) {
  constexpr size_t kKept = 15;
  ::prctl(PR_SET_NAME, ("holdfast-" + what).substr(0, kKept).c_str());
}

// Best effort: what a scheduler refuses costs time, nothing else. Niceness is a thread's own.
void schedule_in_background() {
  constexpr pid_t kThisThread = 0;
  sched_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.sched_policy = SCHED_NORMAL;
  attributes.sched_nice = std::min(::getpriority(PRIO_PROCESS, 0) + kBackgroundNiceness, kNicest);
  attributes.sched_runtime = kLongSliceNs;
  [[maybe_unused]] const auto refused = ::syscall(SYS_sched_setattr, kThisThread, &attributes, 0);
}

}  // namespace holdfast
