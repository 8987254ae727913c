// What counted_new.h counts, for the other sources of a program that includes it.
#pragma once

#include <atomic>
#include <cstdint>

namespace holdfast::counting {
// Some of these programs have several threads.
inline std::atomic<uint64_t> allocations{0};
/// With what the heap adds: rounding, and its header of 8 bytes.
inline std::atomic<uint64_t> live_bytes{0};
}  // namespace holdfast::counting
