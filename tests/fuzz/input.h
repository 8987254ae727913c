// Takes a fuzzer's input apart, from its front. When it is used up every answer is zero or empty,
// so that each prefix of an input is an input too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace holdfast::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  /// In [0, bound); bound must be positive. Takes one byte, or two for bounds above 256.
  uint64_t below(uint64_t bound) {
    const uint64_t low = byte();
    return (bound > 256 ? low << 8 | byte() : low) % bound;
  }

  bool flag() { return byte() % 2 != 0; }

  /// Any number: small ones in one byte, the others around the powers of two and at the end.
  uint64_t number() {
    const uint64_t first = byte();
    if (first < 0xC0) return first;
    const uint64_t around = uint64_t{1} << (first % 64);
    const uint64_t step = byte();
    if (first == 0xFF) return std::numeric_limits<uint64_t>::max() - step;
    return step < 128 ? around + step : around - (step - 127);
  }

  std::string_view bytes(size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

}  // namespace holdfast::fuzz
