// What counted_new.h counts, for the other sources of a program that includes it.
#pragma once

#include <cstdint>

namespace holdfast::counting {
inline uint64_t allocations = 0;
inline uint64_t live_bytes = 0;  ///< with what the heap adds: rounding, and its header of 8 bytes
}  // namespace holdfast::counting
