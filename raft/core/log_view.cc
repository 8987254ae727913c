#include "raft/core/log_view.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::raft {

LogView::LogView(LogIndex first, LogIndex last, std::vector<TermRun> runs)
    : first_(first),
      runs_(std::move(runs)),
      window_(last.next()),
      durable_(last),
      unwritten_(last.next()) {
  HF_CHECK(first_ >= LogIndex(1) && last.next() >= first_, "first and last index of the log");
  const LogIndex covered = first_ > LogIndex(1) ? first_.prev() : first_;
  HF_CHECK(last < covered || (!runs_.empty() && runs_.front().first <= covered),
           "terms of the log");
  HF_CHECK(runs_.empty() || runs_.back().first <= last, "term run beyond the log");
}

Term LogView::term(LogIndex index) const {
  if (!index) return Term();
  HF_CHECK(index <= last() && index.next() >= first_, "term of an index outside the log");
  if (!runs_.empty() && index >= runs_.back().first) return runs_.back().term;
  auto run = std::upper_bound(runs_.begin(), runs_.end(), index,
                              [](LogIndex i, const TermRun& r) { return i < r.first; });
  HF_CHECK(run != runs_.begin(), "index before the first term run");
  return std::prev(run)->term;
}

bool LogView::matches(LogIndex index, Term t) const {
  return index <= last() && index.next() >= first_ && term(index) == t;
}

bool LogView::is_up_to_date(LogIndex last_index, Term t) const {
  return t > last_term() || (t == last_term() && last_index >= last());
}

LogIndex LogView::last_not_above(LogIndex index, Term t) const {
  LogIndex at = std::min(index, last());
  for (auto run = runs_.rbegin(); run != runs_.rend() && at >= first_; ++run) {
    if (run->first > at) continue;
    if (run->term <= t) return at;
    at = run->first.prev();
  }
  return std::max(at, first_.prev());
}

void LogView::append(Entry entry) {
  HF_CHECK(entry.term >= last_term(), "terms of a log never go back");
  if (runs_.empty() || runs_.back().term != entry.term) {
    runs_.push_back({entry.index, entry.term});
  }
  window_.push(std::move(entry));
}

void LogView::truncate_from(LogIndex index) {
  HF_CHECK(index >= first_ && index <= last(), "truncation outside the log");
  if (index < window_.begin()) {
    window_ = EntryWindow(index);
  } else {
    window_.drop_from(index);
  }
  while (!runs_.empty() && runs_.back().first >= index) runs_.pop_back();
  const LogIndex kept = index.prev();
  durable_ = std::min(durable_, kept);
  unwritten_ = std::min(unwritten_, index);
  for (OutstandingWrite& write : outstanding_) write.last = std::min(write.last, kept);
}

void LogView::evict(LogIndex below, uint64_t keep_bytes) {
  const LogIndex limit = std::min(below, durable_.next());
  while (window_.begin() < limit && window_.bytes(window_.begin(), window_.end()) > keep_bytes) {
    window_.drop_below(window_.begin().next());
  }
}

/// Paper, section 7: of what is discarded only the last index and its term are kept, for the
/// consistency check of the entry that follows.
void LogView::compact(LogIndex through) {
  if (through < first_) return;
  HF_CHECK(through <= durable_, "compacts what is not durable");
  first_ = through.next();
  window_.drop_below(first_);
  const auto past = std::upper_bound(runs_.begin(), runs_.end(), through,
                                     [](LogIndex i, const TermRun& r) { return i < r.first; });
  HF_CHECK(past != runs_.begin(), "index before the first term run");
  runs_.erase(runs_.begin(), std::prev(past));
}

void LogView::written(uint64_t number) {
  outstanding_.push_back({number, last()});
  unwritten_ = last().next();
}

void LogView::persisted(uint64_t number) {
  while (!outstanding_.empty() && outstanding_.front().number <= number) {
    durable_ = std::max(durable_, outstanding_.front().last);
    outstanding_.pop_front();
  }
}

uint64_t LogView::write_covering(LogIndex index, uint64_t next_number) const {
  if (index <= durable_) return 0;
  for (const OutstandingWrite& write : outstanding_) {
    if (write.last >= index) return write.number;
  }
  return next_number;
}

}  // namespace holdfast::raft
