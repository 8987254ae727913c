// The little of Protocol Buffers' encoding that etcd's messages need: varints and lengths.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::bench {

/// Appends fields to a message. The numbers are those of etcd's rpc.proto and kv.proto.
class ProtoWriter {
 public:
  explicit ProtoWriter(std::string& out) : out_(out) {}

  ProtoWriter& put(uint32_t field, int64_t value) {
    varint(uint64_t{field} << 3);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  ProtoWriter& put(uint32_t field, std::string_view bytes) {
    varint(uint64_t{field} << 3 | 2);
    varint(bytes.size());
    out_.append(bytes);
    return *this;
  }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }

  std::string& out_;
};

/// Walks the fields of a message, unknown ones too. Malformed bytes end the walk; `ok()` tells.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : rest_(bytes) {}

  /// Moves to the next field; false at the end.
  bool next() {
    if (rest_.empty() || !ok_) return false;
    const uint64_t key = varint();
    field_ = static_cast<uint32_t>(key >> 3);
    bytes_ = {};
    number_ = 0;
    switch (key & 7) {
      case 0:
        number_ = static_cast<int64_t>(varint());
        break;
      case 1:
        take(8);
        break;
      case 2:
        bytes_ = take(varint());
        break;
      case 5:
        take(4);
        break;
      default:
        ok_ = false;
    }
    return ok_;
  }
  uint32_t field() const { return field_; }
  int64_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }
  bool ok() const { return ok_; }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  std::string_view take(uint64_t size) {
    if (rest_.size() < size) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view rest_;
  uint32_t field_ = 0;
  int64_t number_ = 0;
  std::string_view bytes_;
  bool ok_ = true;
};

/// The last value of a numbered field in a message, which is what the encoding's rules make of
/// repeats; empty or 0 if it is absent.
inline std::string_view proto_bytes(std::string_view message, uint32_t field) {
  std::string_view found;
  for (ProtoReader reader(message); reader.next();) {
    if (reader.field() == field) found = reader.bytes();
  }
  return found;
}
inline int64_t proto_number(std::string_view message, uint32_t field) {
  int64_t found = 0;
  for (ProtoReader reader(message); reader.next();) {
    if (reader.field() == field) found = reader.number();
  }
  return found;
}

}  // namespace holdfast::bench
