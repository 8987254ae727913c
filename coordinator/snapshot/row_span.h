// What changed in the replicated state over a span of log entries: gathered as entries are applied,
// handed to the snapshot thread as a value. Gathering copies bytes and sorts nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/rows.h"

namespace holdfast::snapshot {

/// Movable; one thread at a time.
class RowSpan {
 public:
  /// The row changes of one entry, behind those added before.
  void add(const RowLog& changes);

  /// The last change of every row that changed, ascending by table and id, at most one a row. Valid
  /// until the span is changed or gone.
  std::vector<RowLog::Change> latest() const;

  /// Memory that the rows take.
  uint64_t bytes() const { return bytes_; }
  bool empty() const { return records_.empty() && meta_.empty(); }

 private:
  /// Rows are copied into blocks, so that growing moves none.
  static constexpr size_t kBlockBytes = 1 << 20;
  std::string_view keep(std::string_view row);

  std::deque<RowLog::Change> records_;
  std::deque<std::string> blocks_;
  std::string meta_;  ///< every entry changes this one row: only its last content is kept
  uint64_t meta_id_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace holdfast::snapshot
