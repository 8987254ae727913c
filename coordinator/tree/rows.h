// The rows of the key tree and their encoding: little-endian fixed-width integers, texts with a
// 32-bit length, in the order of the fields here. Part of the snapshot format and of the digest.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "base/rows.h"
#include "coordinator/tree/key_tree.h"
#include "coordinator/tree/types.h"

namespace holdfast::tree {

/// A key's number is its entry's revision times 4,096, plus how many keys that entry had made
/// before it: never used again, and greater than its parent's.
inline constexpr unsigned kMadeBits = 12;
static_assert(kMadePerEntryMax == uint64_t{1} << kMadeBits);
inline constexpr uint64_t make_key_id(Revision revision, uint64_t made) {
  return revision.value << kMadeBits | made;
}
inline constexpr Revision create_revision_of(uint64_t key_id) {
  return Revision(key_id >> kMadeBits);
}

/// The root's number. It has no row of its own, being always there and always the same.
inline constexpr uint64_t kRootId = 1;

/// RowTable::kKeys, id = key number, which holds the create revision.
struct KeyRow {
  uint64_t parent_id = 0;
  std::string_view name;  ///< the last segment of the path
  std::string_view value;
  KeyKind kind = KeyKind::kPersistent;
  uint64_t version = 0;
  Revision modify_revision;
  int64_t created_unix_ms = 0;
  int64_t modified_unix_ms = 0;
  SessionId session;   ///< ephemeral: the owner; else zero
  int64_t ttl_ms = 0;  ///< TTL key; else zero
  int64_t due_ms = 0;  ///< TTL key: end of its time in cluster time; else zero
};

/// What a key knows of its children. A table of its own, so that a new child does not write its
/// parent's value again.
struct ChildCounts {
  uint64_t version = 0;    ///< children created and removed so far
  Revision revision;       ///< of the last one
  uint64_t numbered = 0;   ///< sequential children created so far
  int64_t emptied_ms = 0;  ///< cluster time at which the last child left; 0 while there are any
};

/// RowTable::kKeyChildren, id = key number. A row for every key that ever had a child.
using ChildrenRow = ChildCounts;

/// Writes one row as an upsert and returns its hash.
Digest write_row(RowLog& log, uint64_t id, const KeyRow& row);
Digest write_row(RowLog& log, uint64_t id, const ChildrenRow& row);

/// Reads an encoding; views point into it. False if it is not exactly one row with values that the
/// tree could have written.
bool read_row(std::string_view bytes, KeyRow& row);
bool read_row(std::string_view bytes, ChildrenRow& row);

}  // namespace holdfast::tree
