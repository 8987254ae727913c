// What changed in the replicated state over a span of log entries: gathered as entries are applied,
// handed to the snapshot thread as a value. Gathering copies bytes and sorts nothing.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/rows.h"

namespace holdfast::snapshot {

/// By how much a database grows for a new row, at most, but for what splitting its pages adds.
uint64_t growth_of(std::string_view row);

/// Movable; one thread at a time.
class RowSpan {
 public:
  /// The row changes of one entry, behind those added before.
  void add(const RowLog& changes);
  void add(RowLog::Change change);
  /// The changes that a later span gathered.
  void append(RowSpan&& later);
  /// Forgets all changes of a row but the last, and reckons anew: a span that goes with later ones
  /// again and again stays as large as what it has to write. Sorts and copies: not for the loop.
  void keep_latest();

  /// The last change of every row that changed, ascending by table and id, at most one a row. Valid
  /// until the span is changed or gone.
  std::vector<RowLog::Change> latest() const;

  /// By how much a database grows for them, at most: as if all were new to it. A row that changes
  /// again soon is counted once.
  uint64_t growth_bytes() const { return growth_bytes_; }
  bool empty() const { return records_.empty() && meta_.empty(); }

  /// Changes and rows lie in blocks of this size, so that growing moves none, and so that the
  /// system has them back at once when the span is written (process_limits.h): small pieces of
  /// memory would be left as holes between what the keys have taken meanwhile.
  static constexpr size_t kBlockBytes = 1 << 20;

 private:
  void record(const RowLog::Change& change);
  std::string_view keep(std::string_view row);
  bool counted(const RowLog::Change& change);

  std::deque<std::vector<RowLog::Change>> records_;  ///< none of them empty
  std::deque<std::string> blocks_;
  std::string meta_;  ///< every entry changes this one row: only its last content is kept
  uint64_t meta_id_ = 0;
  uint64_t growth_bytes_ = 0;
  /// Rows that were counted lately, by their ids.
  struct Counted {
    RowTable table{};
    uint64_t id = 0;
    size_t bytes = 0;
  };
  static constexpr size_t kCounted = 64;
  std::array<Counted, kCounted> counted_{};
};

}  // namespace holdfast::snapshot
