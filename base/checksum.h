// XXH3 behind two functions: record checksums, and the rows of the state digest.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

/// 64-bit XXH3 of `bytes`; different seeds give unrelated sums.
uint64_t checksum64(std::string_view bytes, uint64_t seed = 0);

/// A 128-bit number with wrapping addition: an order-independent sum of row hashes.
struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;

  void add(const Digest& other);
  void subtract(const Digest& other);
  friend bool operator==(const Digest&, const Digest&) = default;
};

/// 128-bit XXH3 of `bytes`.
Digest hash128(std::string_view bytes, uint64_t seed = 0);

}  // namespace holdfast
