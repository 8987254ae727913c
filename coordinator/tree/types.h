// The vocabulary of the key tree: what callers pass in and what they get back. All std::string_view
// fields of answers are valid until the tree's next begin().
//
// A path is absolute and was judged by its caller: "/a/b", no empty segment. "/" is the root.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"

namespace holdfast::tree {

/// What ends a key besides a remove.
enum class KeyKind : uint8_t {
  kPersistent = 1,  ///< nothing
  kEphemeral = 2,   ///< the end of its session; has no children
  kContainer = 3,   ///< to have lost its last child
  kTtl = 4,         ///< its time without a write, once it has no child
};

/// Everything about a key but its value.
struct Stat {
  uint64_t version = 0;           ///< 1 at creation, and one more at each write
  uint64_t children_version = 0;  ///< children created and removed so far
  Revision create_revision;       ///< zero: the root
  Revision modify_revision;       ///< of the last write; creation is one
  Revision children_revision;     ///< last creation or removal of a child; zero: there was none
  SessionId ephemeral_owner;      ///< zero unless ephemeral
  int64_t created_unix_ms = 0;    ///< leader's wall clock, for people
  int64_t modified_unix_ms = 0;
  uint64_t value_bytes = 0;
  uint64_t child_count = 0;
  KeyKind kind = KeyKind::kPersistent;
  int64_t ttl_ms = 0;  ///< zero unless a TTL key
  friend bool operator==(const Stat&, const Stat&) = default;
};

struct KeyView {
  Stat stat;
  std::string_view value;
};

/// Replicated settings that are judged here. What is present already may exceed a lowered limit:
/// only what would grow beyond it is refused.
struct Limits {
  uint64_t path_bytes = UINT64_MAX;  ///< a sequential name makes a path longer
  uint64_t path_depth = UINT64_MAX;  ///< segments
  uint64_t value_bytes = 1 << 20;
  uint64_t keys = UINT64_MAX;   ///< quota: keys in existence
  uint64_t bytes = UINT64_MAX;  ///< quota: names and values of all keys together
  uint64_t ephemerals_of_a_session = 10'000;
};

enum class OperationKind : uint8_t {
  kPut = 1,     ///< replaces the value, or creates a persistent key
  kCreate = 2,  ///< fails if the key exists
  kRemove = 3,
};

/// An `expected_version` that any version fits.
inline constexpr int64_t kAnyVersion = -1;

/// One change wanted. Views need live only during the call.
struct Operation {
  OperationKind kind = OperationKind::kPut;
  std::string_view path;
  std::string_view value;  ///< put, create
  /// put: 0 = the key must not exist. put, remove: above 0 = the version that it must have.
  int64_t expected_version = kAnyVersion;
  bool make_parents = false;  ///< put, create: missing parents are created, persistent and empty
  bool recursive = false;     ///< remove: with everything below it

  KeyKind key_kind = KeyKind::kPersistent;  ///< create
  bool sequential = false;                  ///< create: `path` is completed by the next number
  SessionId session;                        ///< create of an ephemeral key: its live owner
  int64_t ttl_ms = 0;                       ///< create of a TTL key: at least 1; else 0
};

/// What an operation did.
struct Outcome {
  std::string_view path;  ///< the key's; of a sequential one with its number
  uint64_t version = 0;   ///< put, create: the key's version now
  bool created = false;
  uint64_t keys = 0;  ///< keys created, parents too, or removed
};

/// The operation that could not be done: nothing of its transaction was.
struct Failure {
  size_t index = 0;
  Error error;
};

enum class CompareTarget : uint8_t {
  kExists = 1,  ///< the number is 1 if the key exists, else 0
  kVersion = 2,
  kValue = 3,  ///< bytewise
  kModifyRevision = 4,
  kCreateRevision = 5,
};

enum class Relation : uint8_t { kEqual = 1, kNotEqual = 2, kLess = 3, kGreater = 4 };

/// "What `path` has stands in `relation` to what is given here". A missing key has version and
/// revisions 0, and no value: a comparison of its value never holds.
struct Compare {
  std::string_view path;
  CompareTarget target = CompareTarget::kExists;
  Relation relation = Relation::kEqual;
  uint64_t number = 0;
  std::string_view value;  ///< kValue
};

enum class EventKind : uint8_t { kCreated = 1, kChanged = 2, kRemoved = 3 };

/// Why a key was removed.
enum class RemoveReason : uint8_t {
  kNone = 0,  ///< it was not
  kRemoved = 1,
  kSessionEnded = 2,
  kTtl = 3,
  kContainer = 4,  ///< it was a container and lost its last child
};

/// One change of one key.
struct Event {
  EventKind kind = EventKind::kCreated;
  RemoveReason reason = RemoveReason::kNone;
  KeyKind key_kind = KeyKind::kPersistent;
  std::string_view path;
  std::string_view value;    ///< as written; empty if removed
  uint64_t version = 0;      ///< of a removed key its last one
  Revision revision;         ///< of the entry
  Revision create_revision;  ///< tells apart keys that had the same path
  SessionId ephemeral_owner;
};

/// What one entry did, in the order in which it did it.
struct Effects {
  std::vector<Event> events;
};

enum class ListScope : uint8_t {
  kChildren = 1,
  kSubtree = 2,  ///< all keys below, not the key itself
};

/// A page of the keys below `path`.
struct ListRequest {
  std::string_view path;
  ListScope scope = ListScope::kChildren;
  std::string_view after;  ///< only what follows it; a path below `path` that need not exist
  bool with_values = false;
  size_t count = 1'000;    ///< keys at most
  size_t bytes = 1 << 20;  ///< of paths, values and kStatBytes a key
};

/// What a key counts for in a page besides its path and value.
inline constexpr size_t kStatBytes = 96;

struct ListedKey {
  std::string path;
  Stat stat;
  std::string_view value;  ///< empty unless asked for
};

struct KeyPage {
  std::vector<ListedKey> keys;  ///< at least one, if any follows `after`
  bool more = false;            ///< there are further ones: ask again after the last one
};

}  // namespace holdfast::tree
