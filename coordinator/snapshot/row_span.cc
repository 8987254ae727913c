#include "coordinator/snapshot/row_span.h"

#include <algorithm>
#include <tuple>

namespace holdfast::snapshot {
namespace {

auto row_of(const RowLog::Change& change) { return std::tuple(change.table, change.id); }

}  // namespace

void RowSpan::add(const RowLog& changes) {
  for (size_t i = 0; i < changes.size(); ++i) {
    RowLog::Change change = changes[i];
    if (change.table == RowTable::kMeta) {
      meta_id_ = change.id;
      meta_ = change.row;
      continue;
    }
    change.row = keep(change.row);
    records_.push_back(change);
    bytes_ += sizeof change + change.row.size();
  }
}

std::string_view RowSpan::keep(std::string_view row) {
  if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < row.size()) {
    blocks_.emplace_back().reserve(std::max(kBlockBytes, row.size()));
  }
  std::string& block = blocks_.back();
  const size_t at = block.size();
  block.append(row);
  return std::string_view{block}.substr(at);
}

std::vector<RowLog::Change> RowSpan::latest() const {
  std::vector<RowLog::Change> rows(records_.begin(), records_.end());
  std::stable_sort(rows.begin(), rows.end(), [](const RowLog::Change& a, const RowLog::Change& b) {
    return row_of(a) < row_of(b);
  });
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool last = i + 1 == rows.size() || row_of(rows[i]) != row_of(rows[i + 1]);
    if (last) rows[kept++] = rows[i];
  }
  rows.resize(kept);
  if (!meta_.empty()) {
    rows.insert(rows.begin(), RowLog::Change{RowTable::kMeta, meta_id_, false, meta_});
  }
  return rows;
}

}  // namespace holdfast::snapshot
