// ZooKeeper's encoding (jute): big-endian integers, strings and buffers behind a 4-byte length.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::bench {

/// Appends fields to a request.
class JuteWriter {
 public:
  explicit JuteWriter(std::string& out) : out_(out) {}

  template <std::integral T>
  JuteWriter& put(T value) {
    for (size_t i = sizeof(T); i-- > 0;) {
      out_.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
    }
    return *this;
  }
  JuteWriter& put(std::string_view bytes) {
    put(static_cast<int32_t>(bytes.size()));
    out_.append(bytes);
    return *this;
  }

 private:
  std::string& out_;
};

/// Reads fields of a reply; after the first short one `ok()` is false and all are zero or empty.
class JuteReader {
 public:
  explicit JuteReader(std::string_view bytes) : rest_(bytes) {}

  template <std::integral T>
  T read() {
    const std::string_view bytes = take(sizeof(T));
    uint64_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
    return static_cast<T>(value);
  }
  std::string_view read_bytes() {
    const auto size = read<int32_t>();
    // -1 stands for a buffer that is null.
    return take(size < 0 ? 0 : static_cast<size_t>(size));
  }
  std::string_view rest() const { return rest_; }
  bool ok() const { return ok_; }

 private:
  std::string_view take(size_t size) {
    if (rest_.size() < size) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace holdfast::bench
