// Where every entry of the log stands: four bytes an entry, plus a few runs. Owned by the loop
// thread, which learns of new positions from what append() returned on the sync thread, so nothing
// is shared and nothing is locked.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/config.h"
#include "raft/core/types.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_format.h"

namespace holdfast::raft {

/// A segment that can be read. Shared by the threads; File allows that.
struct Segment {
  uint64_t number = 0;
  uint64_t seed = 0;
  std::string path;
  std::unique_ptr<File> file;
  LogPoint before;     ///< the last entry before it, as its head says
  uint64_t bytes = 0;  ///< of the file when it was begun; 0: found by a start, and cut to its end
};
using SegmentRef = std::shared_ptr<const Segment>;

struct PlacedEntry {
  LogIndex index;
  Term term;
  uint64_t offset = 0;
};

/// What one append made durable, for LogStore::publish() on the loop thread.
struct AppendedBatch {
  SegmentRef segment;
  uint64_t write_number = 0;  ///< the highest in it
  uint64_t end = 0;           ///< offset behind it in the segment
  std::vector<PlacedEntry> entries;
};

class LogPositions {
 public:
  /// The log begins behind `before`.
  explicit LogPositions(LogPoint before = {});

  /// Takes up entries in order; one at or below the last index replaces it and all behind it.
  void publish(const AppendedBatch& batch);
  /// Forgets every entry up to `before`, of which the term stays known: the log begins behind it.
  void cut(LogIndex before);

  LogIndex first_index() const { return before_.next(); }
  LogIndex last_index() const { return before_ + offsets_.size(); }
  bool contains(LogIndex index) const { return index > before_ && index <= last_index(); }
  /// Of an entry in the log or of the last one before it; nothing for any other index.
  std::optional<Term> term(LogIndex index) const;
  /// They cover first_index() - 1, if that is above 0, to last_index().
  const std::vector<TermRun>& term_runs() const { return terms_; }

  /// Consecutive entries in one segment.
  struct Stretch {
    const Segment* segment = nullptr;
    LogIndex end;  ///< the first entry that is elsewhere, or last_index() + 1
  };
  /// `index` must be contained.
  Stretch stretch(LogIndex index) const;
  uint64_t offset(LogIndex index) const;

 private:
  struct SegmentRun {
    LogIndex first;
    SegmentRef segment;
  };
  void drop_from(LogIndex index);

  LogIndex before_;
  std::deque<uint32_t> offsets_;  ///< in units of 8 bytes
  std::vector<SegmentRun> segments_;
  std::vector<TermRun> terms_;
};

}  // namespace holdfast::raft
