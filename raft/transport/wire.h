// The small pieces that peer frames and configurations are made of. Used inside this folder.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

namespace holdfast::raft {

/// 16-bit length, then the bytes; longer text is a bug of ours, the callers have limits.
inline void append_text(std::string& out, std::string_view text) {
  HF_CHECK(text.size() <= 0xffff, "text does not fit its length field");
  append_le(out, static_cast<uint16_t>(text.size()));
  out.append(text);
}

inline std::string_view read_text(ByteReader& reader) {
  return reader.read_bytes(reader.read<uint16_t>());
}

inline Error corrupt(const std::string& what) { return Error{ErrorCode::kCorrupt, what}; }

inline Error above_limit(const char* what, uint64_t value, uint64_t limit) {
  return corrupt(std::string(what) + " is " + std::to_string(value) + ", the limit is " +
                 std::to_string(limit));
}

}  // namespace holdfast::raft
