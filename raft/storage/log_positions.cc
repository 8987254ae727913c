#include "raft/storage/log_positions.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace holdfast::raft {
namespace {

constexpr uint64_t kOffsetUnit = 8;

/// The last run that begins at or before `index`; there must be one.
template <class Run>
typename std::vector<Run>::const_iterator run_of(const std::vector<Run>& runs, LogIndex index) {
  const auto after = std::upper_bound(runs.begin(), runs.end(), index,
                                      [](LogIndex at, const Run& run) { return at < run.first; });
  HF_CHECK(after != runs.begin(), "index before the first run");
  return after - 1;
}

template <class Run>
void drop_runs_from(std::vector<Run>& runs, LogIndex index) {
  while (!runs.empty() && runs.back().first >= index) runs.pop_back();
}

}  // namespace

void LogPositions::cut_from(LogIndex index) {
  offsets_.resize(index - first_index());
  drop_runs_from(segments_, index);
  drop_runs_from(terms_, index);
}

void LogPositions::publish(const AppendedBatch& batch) {
  for (const PlacedEntry& entry : batch.entries) {
    HF_CHECK(entry.index > before_ && entry.index <= last_index().next(), "gap in the log");
    HF_CHECK(entry.offset / kOffsetUnit <= std::numeric_limits<uint32_t>::max(),
             "segment beyond 32 GiB");
    if (entry.index <= last_index()) cut_from(entry.index);
    if (segments_.empty() || segments_.back().segment != batch.segment) {
      segments_.push_back({entry.index, batch.segment});
    }
    if (terms_.empty() || terms_.back().term != entry.term) {
      terms_.push_back({entry.index, entry.term});
    }
    offsets_.push_back(static_cast<uint32_t>(entry.offset / kOffsetUnit));
  }
}

std::optional<Term> LogPositions::term(LogIndex index) const {
  if (!contains(index)) return std::nullopt;
  return run_of(terms_, index)->term;
}

LogPositions::Stretch LogPositions::stretch(LogIndex index) const {
  HF_CHECK(contains(index), "position of an entry that the log does not hold");
  const auto run = run_of(segments_, index);
  const auto next = run + 1;
  return {run->segment.get(), next == segments_.end() ? last_index().next() : next->first};
}

uint64_t LogPositions::offset(LogIndex index) const {
  return offsets_[index - first_index()] * kOffsetUnit;
}

}  // namespace holdfast::raft
