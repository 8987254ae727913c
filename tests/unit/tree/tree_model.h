// The naive twin of the key tree: a map of paths, walked from end to end for every question, and
// copied whole for a transaction. It states the rules a second time, as plainly as possible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator/tree/types.h"

namespace holdfast::tree {

/// The order of keys: bytewise, with '/' below all other bytes.
struct PathOrder {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

struct ModelKey {
  uint64_t id = 0;
  std::string value;
  Stat stat;
  int64_t due_ms = 0;
  int64_t emptied_ms = 0;
  uint64_t numbered = 0;
};

struct ModelOutcome {
  std::string path;
  uint64_t version = 0;
  bool created = false;
  uint64_t keys = 0;
};

class TreeModel {
 public:
  using Keys = std::map<std::string, ModelKey, PathOrder>;

  TreeModel();
  void begin(uint64_t revision, int64_t now_ms, int64_t unix_ms);
  size_t run_due(size_t limit);
  /// The index and code of the operation that failed, or nothing.
  std::optional<std::pair<size_t, ErrorCode>> apply(const std::vector<Operation>& operations,
                                                    const Limits& limits);
  void end_sessions(const std::vector<SessionId>& sessions);

  std::optional<int64_t> next_due_ms() const;
  bool holds(const Compare& compare) const;
  /// All that a list without bounds has after `after`.
  std::vector<std::string> list(std::string_view path, ListScope scope,
                                std::string_view after) const;
  uint64_t bytes() const;
  uint64_t ephemerals_of(SessionId session) const;

  Keys keys;  ///< with the root
  std::vector<std::string> events;
  std::vector<ModelOutcome> outcomes;

 private:
  ErrorCode run(const Operation& operation, const Limits& limits);
  ErrorCode put(const Operation& operation, const Limits& limits);
  ErrorCode create(const Operation& operation, std::string path, const Limits& limits);
  ErrorCode remove(const Operation& operation);
  std::vector<std::string> missing_parents(const std::string& path) const;
  void add(const std::string& path, const Operation& operation);
  void drop(const std::string& path, RemoveReason reason);
  void drop_all(const std::string& path);
  void touch_parent(const std::string& path, int step);
  std::optional<int64_t> due_of(const ModelKey& key) const;

  uint64_t revision_ = 0;
  int64_t now_ms_ = 0, unix_ms_ = 0;
  uint64_t made_ = 0;
};

}  // namespace holdfast::tree
