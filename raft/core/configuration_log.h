// The configurations that a log holds, by index. A server uses the latest one of its log, committed
// or not (dissertation 4.1), and goes back to the one before if its entry is truncated.
#pragma once

#include <vector>

#include "base/ids.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// A configuration and the index of the entry that brought it.
struct PlacedConfiguration {
  LogIndex index;
  Configuration configuration;
  friend bool operator==(const PlacedConfiguration&, const PlacedConfiguration&) = default;
};

class ConfigurationLog {
 public:
  /// `base` is in force before `changes`, whose indexes ascend from its own.
  ConfigurationLog(PlacedConfiguration base, std::vector<PlacedConfiguration> changes);

  const Configuration& latest() const { return all_.back().configuration; }
  LogIndex latest_index() const { return all_.back().index; }
  /// In force at `index`; never asked for one before the oldest kept.
  const Configuration& at(LogIndex index) const;
  const PlacedConfiguration& placed_at(LogIndex index) const;
  /// Oldest first; never empty.
  const std::vector<PlacedConfiguration>& all() const { return all_; }

  void append(LogIndex index, Configuration configuration);
  /// The entries at `index` and above are gone. Whether one of them was a configuration.
  bool truncate_from(LogIndex index);
  /// Forgets those that were replaced at or before `through`.
  void compact(LogIndex through);

 private:
  std::vector<PlacedConfiguration> all_;
};

}  // namespace holdfast::raft
