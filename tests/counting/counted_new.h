// Counts what a program allocates: replaces its operator new, so exactly one source of a program
// includes this. Never inlined, else the compiler pairs malloc() with delete and complains.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace holdfast::counting {
inline uint64_t allocations = 0;
}  // namespace holdfast::counting

__attribute__((noinline)) void* operator new(size_t size) {
  ++holdfast::counting::allocations;
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* block) noexcept { std::free(block); }
__attribute__((noinline)) void operator delete(void* block, size_t) noexcept { std::free(block); }
