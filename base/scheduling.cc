#include "base/scheduling.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace holdfast {
namespace {

constexpr int kBackgroundNiceness = 10;
constexpr int kNicest = 19;
constexpr Duration kSlice = 400us;
/// A thread that gives way forgoes its slice: more often would leave it next to nothing.
constexpr Duration kGiveWayEvery = 200us;

/// When this thread last gave way; none: it is not in the background.
thread_local std::optional<Instant> gave_way;

/// What sched_setattr(2) takes; the C library has no name for it yet, and the kernel's header
/// names what the library's does.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  ///< ns
  uint64_t deadline = 0;
  uint64_t period = 0;
};

}  // namespace

void name_this_thread(const std::string& what) {
  constexpr size_t kKept = 15;
  ::prctl(PR_SET_NAME, ("holdfast-" + what).substr(0, kKept).c_str());
}

// Best effort: what a scheduler refuses costs time, nothing else. Niceness is a thread's own.
void schedule_in_background() {
  constexpr pid_t kThisThread = 0;
  SchedulingAttributes attributes;
  attributes.nice = std::min(::getpriority(PRIO_PROCESS, 0) + kBackgroundNiceness, kNicest);
  attributes.runtime = static_cast<uint64_t>(kSlice.count());
  [[maybe_unused]] const auto refused = ::syscall(SYS_sched_setattr, kThisThread, &attributes, 0);
  gave_way = SystemClock().now();
}

bool give_way() {
  if (!gave_way || SystemClock().now() < *gave_way + kGiveWayEvery) return false;
  ::sched_yield();
  gave_way = SystemClock().now();
  return true;
}

}  // namespace holdfast
