// Counts what a program allocates: replaces its operator new, so exactly one source of a program
// includes this. Never inlined, else the compiler pairs malloc() with delete and complains.
#pragma once

#include <malloc.h>

#include <cstdlib>
#include <new>

#include "tests/counting/counts.h"

namespace holdfast::counting {
inline uint64_t size_of(void* block) {
  return block == nullptr ? 0 : malloc_usable_size(block) + 8;
}
}  // namespace holdfast::counting

__attribute__((noinline)) void* operator new(size_t size, const std::nothrow_t&) noexcept {
  holdfast::counting::allocations.fetch_add(1, std::memory_order_relaxed);
  void* const block = std::malloc(size);
  holdfast::counting::live_bytes.fetch_add(holdfast::counting::size_of(block),
                                           std::memory_order_relaxed);
  return block;
}
__attribute__((noinline)) void* operator new(size_t size) {
  if (void* block = operator new(size, std::nothrow)) return block;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* block) noexcept {
  holdfast::counting::live_bytes.fetch_sub(holdfast::counting::size_of(block),
                                           std::memory_order_relaxed);
  std::free(block);
}
__attribute__((noinline)) void operator delete(void* block, size_t) noexcept {
  operator delete(block);
}
