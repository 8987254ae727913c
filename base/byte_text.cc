#include "base/byte_text.h"

namespace holdfast {

std::string byte_text(uint64_t bytes) {
  constexpr uint64_t kKiB = 1 << 10;
  constexpr uint64_t kMiB = 1 << 20;
  if (bytes == 1) return "1 byte";
  if (bytes < kKiB) return std::to_string(bytes) + " bytes";
  const bool small = bytes < kMiB;
  const uint64_t unit = small ? kKiB : kMiB;
  const uint64_t whole = bytes / unit;
  const uint64_t tenths = whole < 10 ? bytes % unit * 10 / unit : 0;
  return std::to_string(whole) + (tenths == 0 ? "" : "." + std::to_string(tenths)) +
         (small ? " KiB" : " MiB");
}

}  // namespace holdfast
