#include "base/entropy.h"

#include <sys/random.h>

#include "base/check.h"

namespace holdfast {

uint64_t Entropy::next_u64() {
  uint64_t v = 0;
  fill(&v, sizeof v);
  return v;
}

uint64_t Entropy::next_id() {
  constexpr uint64_t kMask = (uint64_t{1} << 53) - 1;
  uint64_t v = 0;
  while (v == 0) v = next_u64() & kMask;
  return v;
}

void SystemEntropy::fill(void* out, size_t size) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t n = getrandom(at, size, 0);
    HF_CHECK(n > 0, "getrandom failed");
    at += n;
    size -= static_cast<size_t>(n);
  }
}

uint64_t SplitMix::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace holdfast
