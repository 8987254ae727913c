#include "coordinator/snapshot/row_span.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace holdfast::snapshot {
namespace {

/// Of a database that sqlite.h opens, and what its leaves keep for themselves of it.
constexpr uint64_t kPageBytes = 4'096;
constexpr uint64_t kPageHeadBytes = 36;
/// Of a cell, besides the row: its id, its sizes, a type for each field.
constexpr uint64_t kCellBytes = 40;

/// Spreads ids whose low bits are alike: 2^64 over the golden ratio.
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;

auto row_of(const RowLog::Change& change) { return std::tuple(change.table, change.id); }

}  // namespace

// A page has room for a whole number of cells; what is larger lies on pages of its own, but for an
// end of it (https://www.sqlite.org/fileformat2.html, 1.6).
uint64_t growth_of(std::string_view row) {
  const uint64_t cell = row.size() + kCellBytes;
  const uint64_t cells = (kPageBytes - kPageHeadBytes) / cell;
  return cells > 0 ? kPageBytes / cells : cell + kPageBytes;
}

void RowSpan::add(const RowLog& changes) {
  for (size_t i = 0; i < changes.size(); ++i) add(changes[i]);
}

void RowSpan::add(RowLog::Change change) {
  if (change.table == RowTable::kMeta) {
    meta_id_ = change.id;
    meta_ = change.row;
    return;
  }
  change.row = keep(change.row);
  record(change);
  if (!change.erased && !counted(change)) growth_bytes_ += growth_of(change.row);
}

// A key's parent and a session's window change with every key that is created or put: they would
// make up most of what is counted, and be a few rows in the end.
bool RowSpan::counted(const RowLog::Change& change) {
  const uint64_t mixed = (change.id + static_cast<uint64_t>(change.table)) * kGolden;
  Counted& last = counted_[mixed >> 32 & (kCounted - 1)];
  const bool same = last.table == change.table && last.id == change.id;
  if (same && change.row.size() <= last.bytes) return true;
  last = {change.table, change.id, change.row.size()};
  return false;
}

// Blocks keep their bytes where they are when they are moved.
void RowSpan::append(RowSpan&& later) {
  std::ranges::move(later.records_, std::back_inserter(records_));
  std::ranges::move(later.blocks_, std::back_inserter(blocks_));
  growth_bytes_ += later.growth_bytes_;
  if (later.meta_.empty()) return;
  meta_ = std::move(later.meta_);
  meta_id_ = later.meta_id_;
}

void RowSpan::keep_latest() {
  RowSpan kept;
  for (const RowLog::Change& change : latest()) kept.add(change);
  *this = std::move(kept);
}

void RowSpan::record(const RowLog::Change& change) {
  if (records_.empty() || records_.back().size() == records_.back().capacity()) {
    records_.emplace_back().reserve(kBlockBytes / sizeof change);
  }
  records_.back().push_back(change);
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
  std::vector<RowLog::Change> rows;
  size_t count = 0;
  for (const auto& block : records_) count += block.size();
  rows.reserve(count + 1);
  for (const auto& block : records_) rows.insert(rows.end(), block.begin(), block.end());
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
