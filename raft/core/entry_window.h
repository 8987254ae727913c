// The entries that the core keeps in memory: a contiguous run up to the log's end, in a ring that
// stops allocating once it has grown to the working size.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "raft/core/config.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Size of an entry as limits count it.
inline uint64_t entry_bytes(const Entry& entry) { return entry.data.size() + kEntryOverheadBytes; }

class EntryWindow {
 public:
  /// Empty; the first entry pushed will have index `next`.
  explicit EntryWindow(LogIndex next) : begin_(next), end_(next) {}

  /// Index of the first entry kept; equals end() if there is none.
  LogIndex begin() const { return begin_; }
  /// One above the index of the last entry.
  LogIndex end() const { return end_; }
  bool contains(LogIndex index) const { return begin_ <= index && index < end_; }
  const Entry& at(LogIndex index) const;
  /// Sizes of the entries in [low, high), as far as they are kept. Constant time.
  uint64_t bytes(LogIndex low, LogIndex high) const;

  /// `entry.index` must be end().
  void push(Entry entry);
  /// Drops entries at `index` and above.
  void drop_from(LogIndex index);
  /// Drops entries below `index`.
  void drop_below(LogIndex index);

 private:
  struct Slot {
    Entry entry;
    uint64_t bytes_through = 0;  ///< running sum of sizes, this entry included
  };
  size_t slot(LogIndex index) const { return index.value & (slots_.size() - 1); }
  uint64_t bytes_before(LogIndex index) const;
  void grow();

  std::vector<Slot> slots_;  ///< size zero or a power of two; entry i is at i modulo size
  LogIndex begin_;
  LogIndex end_;
  uint64_t bytes_below_begin_ = 0;  ///< running sum just before begin_
};

}  // namespace holdfast::raft
