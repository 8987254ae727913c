#include "raft/core/configuration_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "raft/core/quorum.h"

namespace holdfast::raft {

ConfigurationLog::ConfigurationLog(PlacedConfiguration base,
                                   std::vector<PlacedConfiguration> changes) {
  HF_CHECK(well_formed(base.configuration), "a configuration has voters, in order");
  all_.push_back(std::move(base));
  for (PlacedConfiguration& change : changes) {
    append(change.index, std::move(change.configuration));
  }
}

const Configuration& ConfigurationLog::at(LogIndex index) const {
  return placed_at(index).configuration;
}

const PlacedConfiguration& ConfigurationLog::placed_at(LogIndex index) const {
  const auto past = std::upper_bound(
      all_.begin(), all_.end(), index,
      [](LogIndex i, const PlacedConfiguration& placed) { return i < placed.index; });
  HF_CHECK(past != all_.begin(), "configuration of an index before the log");
  return *std::prev(past);
}

void ConfigurationLog::append(LogIndex index, Configuration configuration) {
  HF_CHECK(index > latest_index(), "configurations come in the order of the log");
  HF_CHECK(well_formed(configuration), "a configuration has voters, in order");
  all_.push_back({index, std::move(configuration)});
}

bool ConfigurationLog::truncate_from(LogIndex index) {
  const size_t before = all_.size();
  while (all_.size() > 1 && all_.back().index >= index) all_.pop_back();
  HF_CHECK(latest_index() < index, "truncates the first configuration");
  return all_.size() < before;
}

void ConfigurationLog::compact(LogIndex through) {
  while (all_.size() > 1 && all_[1].index <= through) all_.erase(all_.begin());
}

}  // namespace holdfast::raft
