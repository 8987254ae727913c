// The log as the core sees it: terms of every index, the newest entries in memory, and how far it
// is durable. Everything older is on disk, behind LogReader.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/ids.h"
#include "raft/core/config.h"
#include "raft/core/entry_window.h"
#include "raft/core/types.h"

namespace holdfast::raft {

class LogView {
 public:
  /// A log recovered from disk, all of it durable. `runs` as in InitialState.
  LogView(LogIndex first, LogIndex last, std::vector<TermRun> runs);

  LogIndex first() const { return first_; }
  LogIndex last() const { return window_.end().prev(); }
  Term last_term() const { return term(last()); }
  /// Term of an index in [first() - 1, last()]; index 0 has term 0.
  Term term(LogIndex index) const;
  /// Whether the log has an entry at `index` (or is empty before it) with that term.
  bool matches(LogIndex index, Term term) const;
  /// Paper 5.4.1: whether a log ending at (`last_index`, `last_term`) is at least as up to date.
  bool is_up_to_date(LogIndex last_index, Term last_term) const;
  /// The largest index at or below `index` whose term is at most `term`; never below first() - 1.
  LogIndex last_not_above(LogIndex index, Term term) const;
  const EntryWindow& window() const { return window_; }
  const std::vector<TermRun>& term_runs() const { return runs_; }

  void append(Entry entry);
  /// Drops entries at `index` and above; what was durable of them counts no more.
  void truncate_from(LogIndex index);
  /// Forgets entries below `index` in memory while more than `keep_bytes` are kept.
  void evict(LogIndex below, uint64_t keep_bytes);
  /// Forgets everything to `through`, which is durable, but the term there. A no-op below first().
  void compact(LogIndex through);

  // Durability. A write carries everything from unwritten() on; it becomes durable later, in order.

  LogIndex durable() const { return durable_; }
  /// First index that no write carries yet; last() + 1 if there is none.
  LogIndex unwritten() const { return unwritten_; }
  bool has_unwritten() const { return unwritten_ <= last(); }
  /// Write `number` carries everything that was unwritten.
  void written(uint64_t number);
  /// Writes to `number` are on disk.
  void persisted(uint64_t number);
  /// The write that makes `index` durable: 0 if it is durable; `next_number` if it is unwritten.
  uint64_t write_covering(LogIndex index, uint64_t next_number) const;

 private:
  /// A write handed out and not yet confirmed, and the last index it still vouches for: truncation
  /// takes that back, or the confirmation of replaced entries would count for their successors.
  struct OutstandingWrite {
    uint64_t number;
    LogIndex last;
  };

  LogIndex first_;
  std::vector<TermRun> runs_;
  EntryWindow window_;
  LogIndex durable_;
  LogIndex unwritten_;
  std::deque<OutstandingWrite> outstanding_;
};

}  // namespace holdfast::raft
