#include "base/checksum.h"

#include <xxhash.h>

namespace holdfast {

uint64_t checksum64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

void Digest::add(const Digest& other) {
  low += other.low;
  high += other.high + (low < other.low ? 1 : 0);
}

void Digest::subtract(const Digest& other) {
  const uint64_t borrow = low < other.low ? 1 : 0;
  low -= other.low;
  high -= other.high + borrow;
}

Digest hash128(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.low64, h.high64};
}

}  // namespace holdfast
