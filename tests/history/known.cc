#include "tests/history/known.h"

#include <algorithm>

namespace holdfast::history {

Known::Known(const std::vector<Operation>& operations) {
  for (const Operation& op : operations) {
    if (op.returned != kNever && op.revision != 0) highest_.push_back({op.returned, &op});
  }
  std::stable_sort(highest_.begin(), highest_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 1; i < highest_.size(); ++i) {
    const Operation* before = highest_[i - 1].second;
    if (before->revision > highest_[i].second->revision) highest_[i].second = before;
  }
}

const Operation* Known::witness(int64_t moment) const {
  const auto at = std::lower_bound(highest_.begin(), highest_.end(), moment,
                                   [](const auto& a, int64_t m) { return a.first < m; });
  return at == highest_.begin() ? nullptr : std::prev(at)->second;
}

uint64_t Known::revision(int64_t moment) const {
  const Operation* op = witness(moment);
  return op == nullptr ? 0 : op->revision;
}

Window Known::window(const Operation& op) const {
  return {revision(op.invoked), op.revision == 0 ? kNoRevision : op.revision, op.invoked,
          op.returned};
}

std::string Known::stale(const Operation& op, const std::string& what) const {
  const Operation* before = witness(op.invoked);
  return name_of(op) + " " + what + ", although revision " + std::to_string(before->revision) +
         " had been answered before it began, to " + name_of(*before);
}

std::vector<const Operation*> by_time(const std::vector<Operation>& operations) {
  std::vector<const Operation*> all;
  for (const Operation& op : operations) all.push_back(&op);
  std::stable_sort(all.begin(), all.end(),
                   [](const auto* a, const auto* b) { return a->invoked < b->invoked; });
  return all;
}

}  // namespace holdfast::history
