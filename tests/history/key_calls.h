// Calls about keys, as histories record them. Enumerators have the numbers of the client IDL.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::history {

enum class KeyAct { kPut = 1, kCreate = 2, kRemove = 3 };

/// One write: a call of its own, or a step of a transaction.
struct KeyWrite {
  KeyAct act = KeyAct::kPut;
  std::string path;
  std::string value;
  int64_t expected_version = 0;  ///< put, remove: 0 any, -1 none
  bool ephemeral = false;        ///< create
  bool sequential = false;       ///< create
  bool container = false;        ///< create
  int64_t ttl_ms = 0;            ///< create, of a TTL key
  bool make_parents = false;     ///< put, create
  bool recursive = false;        ///< remove
  std::string guard_path;        ///< a lock; empty: no guard
  uint64_t guard_holder = 0;

  bool operator==(const KeyWrite&) const = default;
};

enum class Target {
  kExists = 1,
  kVersion = 2,
  kValue = 3,
  kModifyRevision = 4,
  kHolds = 5,
  kCreateRevision = 6,
};
enum class Relation { kEqual = 1, kNotEqual = 2, kLess = 3, kGreater = 4 };

/// One condition of a transaction.
struct KeyCompare {
  Target target = Target::kExists;
  Relation relation = Relation::kEqual;
  std::string path;  ///< of kHolds the lock's
  int64_t number = 0;
  std::string value;

  bool operator==(const KeyCompare&) const = default;
};

/// What a step of a write came to.
struct KeyResult {
  std::string path;  ///< create: with the number of a sequential key
  uint64_t version = 0;
  uint64_t removed = 0;

  bool operator==(const KeyResult&) const = default;
};

/// A key as a read shows it.
struct SeenKey {
  std::string path;
  std::string value;
  uint64_t version = 0;
  uint64_t create_revision = 0;
  uint64_t modify_revision = 0;
  uint64_t owner = 0;  ///< the session of an ephemeral key

  bool operator==(const SeenKey&) const = default;
};

}  // namespace holdfast::history
