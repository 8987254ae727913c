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

/// Drops what the runs say of places before `index`, which a run must cover.
template <class Run>
void drop_runs_before(std::vector<Run>& runs, LogIndex index) {
  runs.erase(runs.begin(), run_of(runs, index));
  runs.front().first = index;
}

template <class Run>
void drop_runs_from(std::vector<Run>& runs, LogIndex index) {
  while (!runs.empty() && runs.back().first >= index) runs.pop_back();
}

}  // namespace

LogPositions::LogPositions(LogPoint before) : before_(before.index) {
  if (before_) terms_.push_back({before.index, before.term});
}

void LogPositions::drop_from(LogIndex index) {
  offsets_.resize(index - first_index());
  drop_runs_from(segments_, index);
  drop_runs_from(terms_, index);
}

void LogPositions::cut(LogIndex before) {
  HF_CHECK(before >= before_ && before <= last_index(), "a cut outside the log");
  if (before == before_) return;
  drop_runs_before(terms_, before);
  if (before == last_index()) {
    segments_.clear();
  } else {
    drop_runs_before(segments_, before.next());
  }
  offsets_.erase(offsets_.begin(), offsets_.begin() + static_cast<ptrdiff_t>(before - before_));
  before_ = before;
}

void LogPositions::publish(const AppendedBatch& batch) {
  for (const PlacedEntry& entry : batch.entries) {
    HF_CHECK(entry.index > before_ && entry.index <= last_index().next(), "gap in the log");
    HF_CHECK(entry.offset / kOffsetUnit <= std::numeric_limits<uint32_t>::max(),
             "segment beyond 32 GiB");
    if (entry.index <= last_index()) drop_from(entry.index);
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
  if (!index || (index != before_ && !contains(index))) return std::nullopt;
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
