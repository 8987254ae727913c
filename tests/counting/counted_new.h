// Counts what a program allocates: replaces its operator new, so exactly one source of a program
// includes this. Never inlined, else the compiler pairs malloc() with delete and complains.
#pragma once

#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <new>

namespace holdfast::counting {
inline uint64_t allocations = 0;
/// In blocks that are not freed, as the allocator rounds them.
inline int64_t live_bytes = 0;

inline void free_block(void* block) {
  live_bytes -= static_cast<int64_t>(malloc_usable_size(block));
  std::free(block);
}
}  // namespace holdfast::counting

__attribute__((noinline)) void* operator new(size_t size) {
  ++holdfast::counting::allocations;
  if (void* block = std::malloc(size)) {
    holdfast::counting::live_bytes += static_cast<int64_t>(malloc_usable_size(block));
    return block;
  }
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* block) noexcept {
  holdfast::counting::free_block(block);
}
__attribute__((noinline)) void operator delete(void* block, size_t) noexcept {
  holdfast::counting::free_block(block);
}
