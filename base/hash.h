// Hashes for the indexes. Seeded per process: nothing observes them (base/flat_index.h).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/checksum.h"

namespace holdfast {

inline uint64_t hash_text(std::string_view text, uint64_t seed) { return checksum64(text, seed); }

inline uint64_t hash_pair(uint64_t first, uint64_t second, uint64_t seed) {
  char bytes[16];
  std::memcpy(bytes, &first, 8);
  std::memcpy(bytes + 8, &second, 8);
  return checksum64({bytes, sizeof bytes}, seed);
}

}  // namespace holdfast
