#include "tests/history/known.h"

#include <algorithm>
#include <map>

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
  learn_entries(operations);
}

namespace {

/// The entry that an answer says its own call became; 0 if it says none.
uint64_t entry_of(const Operation& op) {
  if (!op.answer.known) return 0;
  const bool acquires = op.call == Call::kAcquire || op.call == Call::kAcquireAll;
  return acquires ? op.answer.holder_id : op.answer.write_revision;
}

}  // namespace

void Known::learn_entries(const std::vector<Operation>& operations) {
  std::map<std::pair<uint64_t, uint64_t>, int64_t> first_sent;
  for (const Operation& op : operations) {
    const std::pair command(op.arguments.session, op.arguments.sequence);
    const auto [at, fresh] = first_sent.emplace(command, op.invoked);
    if (!fresh) at->second = std::min(at->second, op.invoked);
  }
  for (const Operation& op : operations) {
    const uint64_t entry = entry_of(op);
    if (entry == 0) continue;
    const std::pair command(op.arguments.session, op.arguments.sequence);
    const bool numbered = op.arguments.sequence != 0;
    entries_.emplace_back(entry, numbered ? first_sent.at(command) : op.invoked);
  }
  std::ranges::sort(entries_);
  for (size_t i = 1; i < entries_.size(); ++i) {
    entries_[i].second = std::max(entries_[i].second, entries_[i - 1].second);
  }
}

int64_t Known::sent_by(uint64_t revision) const {
  const auto after = std::ranges::upper_bound(entries_, std::pair(revision, kNever));
  return after == entries_.begin() ? std::numeric_limits<int64_t>::min() / 2
                                   : std::prev(after)->second;
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

std::optional<std::string> Known::stale_read(const Operation& op, const Window& window) const {
  const std::string what = "read the state of revision " + std::to_string(op.revision);
  if (!op.arguments.local && window.until < window.after) return stale(op, what);
  if (op.revision >= op.arguments.min_revision) return std::nullopt;
  return name_of(op) + " " + what + ", and asked for one no older than revision " +
         std::to_string(op.arguments.min_revision);
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
