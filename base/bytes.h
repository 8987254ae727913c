// Little-endian fixed-width encoding for on-disk records and peer frames, with a reader that never
// runs past its input.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast {

template <std::unsigned_integral T>
void store_le(char* at, T value) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian hosts need byte swaps here");
  std::memcpy(at, &value, sizeof value);
}

template <std::unsigned_integral T>
T load_le(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <std::unsigned_integral T>
void append_le(std::string& out, T value) {
  const size_t at = out.size();
  out.resize(at + sizeof value);
  store_le(out.data() + at, value);
}

/// Reads from untrusted bytes: after the first short read `ok()` is false and all reads yield zero.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T read() {
    if (rest_.size() < sizeof(T)) return fail<T>();
    const T value = load_le<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  std::string_view read_bytes(uint64_t size) {
    if (rest_.size() < size) return fail<std::string_view>();
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  bool ok() const { return ok_; }
  size_t remaining() const { return rest_.size(); }

 private:
  template <class T>
  T fail() {
    ok_ = false;
    rest_ = {};
    return T{};
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace holdfast
