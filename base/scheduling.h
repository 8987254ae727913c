// How the scheduler is to treat a thread, told to it by the thread itself. Linux; where a kernel
// knows no slices for ordinary threads (before 6.12) it takes no notice of them.
#pragma once

namespace holdfast {

/// A request waits for this thread: when it wakes it takes the place of a thread that has a longer
/// slice, and runs for a short one. Without this it may wait until the other's slice has ended,
/// some milliseconds. (EEVDF, "custom slices": sched_setattr(2) with sched_runtime.)
void schedule_promptly();

/// Nobody waits for this thread: it is nice, and its slice is the usual one. The processors' others
/// come first, and yet it gets on.
void schedule_in_background();

}  // namespace holdfast
