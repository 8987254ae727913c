// What a thread tells the kernel of itself: its name, how the scheduler is to treat it. Linux.
#pragma once

#include <string>

namespace holdfast {

/// As `top -H` and `perf` show it: "holdfast-" and `what`, of which the kernel keeps 15 bytes.
void name_this_thread(const std::string& what);

/// Nobody waits for this thread: it is nice, and has a short slice. What a thread is owed after it
/// was kept waiting grows with its slice, however nice it is, and it takes it at a stretch (EEVDF
/// since Linux 6.12: sched_setattr(2) with sched_runtime; older kernels take no notice of slices).
void schedule_in_background();

/// For a thread in the background, between any two small pieces of its work: whoever waits for the
/// processor has it first. Without that, another that wakes while this one takes what it is owed
/// may wait for the scheduler's next tick, 4 ms. Cheap if called often: it acts a few times in a
/// millisecond at most. In other threads it does nothing. Whether it did.
bool give_way();

}  // namespace holdfast
