// What a thread tells the kernel of itself: its name, how the scheduler is to treat it. Linux.
#pragma once

#include <string>

namespace holdfast {

/// As `top -H` and `perf` show it: "holdfast-" and `what`, of which the kernel keeps 15 bytes.
void name_this_thread(const std::string& what);

/// Nobody waits for this thread: it is nice, and has a long slice. A thread with the usual slice,
/// which a request may wait for, takes its place as soon as it wakes; a thread with the same slice
/// would let it run for some milliseconds first, however nice it is (EEVDF since Linux 6.12:
/// sched_setattr(2) with sched_runtime; older kernels take no notice of slices).
void schedule_in_background();

}  // namespace holdfast
