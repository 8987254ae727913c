// The small pieces that configurations and peer frames are made of. Used in raft/ only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/ids.h"
#include "raft/core/quorum.h"

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

/// Ascending ids of servers, behind their number.
inline void append_ids(std::string& out, const std::vector<NodeId>& ids) {
  HF_CHECK(ids.size() <= kMaxMembers, "more members than the limit");
  append_le(out, static_cast<uint8_t>(ids.size()));
  for (const NodeId id : ids) append_le(out, id.value);
}

inline Result<std::vector<NodeId>> read_ids(ByteReader& reader, const char* list) {
  const auto count = reader.read<uint8_t>();
  if (count > kMaxMembers) return above_limit(list, count, kMaxMembers);
  std::vector<NodeId> ids;
  for (int i = 0; i < count && reader.ok(); ++i) {
    const NodeId id(reader.read<uint64_t>());
    const bool ascends = ids.empty() ? static_cast<bool>(id) : id > ids.back();
    if (reader.ok() && !ascends) {
      return corrupt(std::string(list) + ": id " + std::to_string(id.value) +
                     " does not ascend from the one before");
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace holdfast::raft
