#include "coordinator/snapshot/row_span.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/scheduling.h"

namespace holdfast::snapshot {
namespace {

/// Of a database that sqlite.h opens, and what its leaves keep for themselves of it.
constexpr uint64_t kPageBytes = 4'096;
constexpr uint64_t kPageHeadBytes = 36;
/// Of a cell, besides the row: its id, its sizes, a type for each field.
constexpr uint64_t kCellBytes = 40;

/// Spreads ids whose low bits are alike: 2^64 over the golden ratio.
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
/// Of a table's recent rows.
constexpr unsigned kFirstBits = 6;
constexpr unsigned kBitsMax = 17;
/// Rows, before others have the processor.
constexpr size_t kComparedInATurn = 1'024;

uint64_t growth_of_bytes(uint64_t row_bytes) {
  const uint64_t cell = row_bytes + kCellBytes;
  const uint64_t cells = (kPageBytes - kPageHeadBytes) / cell;
  return cells > 0 ? kPageBytes / cells : cell + kPageBytes;
}

/// A row counts as the largest that it was in the span.
uint64_t growth_of_room(uint32_t room) { return room > 0 ? growth_of_bytes(room) : 0; }

/// Did `entry` make the row? Its revision stands in the numbers of rows: session/rows.h,
/// lockmgr/rows.h, coordinator/tree/rows.h. Tenures are numbered as they end, and never change.
bool made_by(LogIndex entry, RowTable table, uint64_t id) {
  switch (table) {
    case RowTable::kResults:
      return id >> 1 == entry.value;
    case RowTable::kLocks:
    case RowTable::kLockHolders:
    case RowTable::kLockWaiters:
      return id >> 6 == entry.value;
    case RowTable::kKeys:
    case RowTable::kKeyChildren:
      return id >> 12 == entry.value;
    case RowTable::kLockTenures:
      return true;
    default:
      return false;
  }
}

auto row_of(const RowLog::Change& change) { return std::tuple(change.table, change.id); }

}  // namespace

// A page has room for a whole number of cells; what is larger lies on pages of its own, but for an
// end of it (https://www.sqlite.org/fileformat2.html, 1.6).
uint64_t growth_of(std::string_view row) { return growth_of_bytes(row.size()); }

void RowSpan::add(const RowLog& changes, LogIndex entry) {
  for (size_t i = 0; i < changes.size(); ++i) add(changes[i], entry);
}

// Most changes are of rows that changed a moment ago: a key's parent, a session's window, a key
// that many write. Each is one row in the end.
void RowSpan::add(const RowLog::Change& change, LogIndex entry) {
  if (change.table == RowTable::kMeta) {
    meta_id_ = change.id;
    meta_ = change.row;
    return;
  }
  Record* record = recent(change.table).find(change.id);
  if (record == nullptr) {
    record = &new_record(change, is_new(change, entry));
    const Record* const lost = recent(change.table).note(*record);
    if (lost != nullptr && made_by(entry, lost->table, lost->id)) forgotten_ = entry;
  }
  return change.erased ? erase(*record) : put(*record, change.row);
}

// If the entry made another row whose change is not found any more, this may be that one.
bool RowSpan::is_new(const RowLog::Change& change, LogIndex entry) const {
  return entry && entry != forgotten_ && !change.erased && made_by(entry, change.table, change.id);
}

RowSpan::Record& RowSpan::new_record(const RowLog::Change& change, bool born) {
  Record* record = nullptr;
  // There is no earlier change of a row that is new: it may stand anywhere.
  if (born && !spare_.empty()) {
    record = spare_.back();
    spare_.pop_back();
  } else {
    if (records_.empty() || records_.back().size() == records_.back().capacity()) {
      records_.emplace_back().reserve(kBlockBytes / sizeof(Record));
    }
    record = &records_.back().emplace_back();
  }
  record->id = change.id;
  record->table = change.table;
  record->born = born;
  record->dropped = false;
  growth_bytes_ += growth_of_room(record->room);
  return *record;
}

void RowSpan::put(Record& record, std::string_view row) {
  if (row.size() > record.room) {
    growth_bytes_ += growth_of(row) - growth_of_room(record.room);
    record.bytes = take(row.size());
    record.room = static_cast<uint32_t>(row.size());
  }
  std::ranges::copy(row, record.bytes);
  record.size = static_cast<uint32_t>(row.size());
  record.erased = false;
}

void RowSpan::erase(Record& record) {
  record.erased = true;
  if (!record.born) return;
  record.dropped = true;
  growth_bytes_ -= growth_of_room(record.room);
  recent(record.table).drop(record);
  spare_.push_back(&record);
}

char* RowSpan::take(size_t bytes) {
  if (block_left_ < bytes) {
    block_left_ = std::max(kBlockBytes, bytes);
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_left_));
    block_next_ = blocks_.back().get();
  }
  block_left_ -= bytes;
  return std::exchange(block_next_, block_next_ + bytes);
}

// Blocks keep their bytes where they are when they are moved. A change that is added now must stand
// behind the later span's.
void RowSpan::append(RowSpan&& later) {
  std::ranges::move(later.records_, std::back_inserter(records_));
  std::ranges::move(later.blocks_, std::back_inserter(blocks_));
  growth_bytes_ += later.growth_bytes_;
  spare_.clear();
  for (Recent& recent : recent_) recent.forget();
  if (later.meta_.empty()) return;
  meta_ = std::move(later.meta_);
  meta_id_ = later.meta_id_;
}

void RowSpan::keep_latest() {
  RowSpan kept;
  for (const RowLog::Change& change : latest()) kept.add(change);
  *this = std::move(kept);
}

std::vector<RowLog::Change> RowSpan::latest() const {
  std::vector<RowLog::Change> rows;
  size_t count = 0;
  for (const auto& block : records_) count += block.size();
  rows.reserve(count + 1);
  for (const auto& block : records_) {
    for (const Record& record : block) {
      if (record.dropped) continue;
      const size_t size = record.erased ? 0 : record.size;
      rows.push_back({record.table, record.id, record.erased, {record.bytes, size}});
    }
  }
  // Of many rows that takes a tenth of a second.
  size_t compared = 0;
  const auto before = [&compared](const RowLog::Change& a, const RowLog::Change& b) {
    if (++compared % kComparedInATurn == 0) give_way();
    return row_of(a) < row_of(b);
  };
  std::stable_sort(rows.begin(), rows.end(), before);
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

RowSpan::Record* RowSpan::Recent::find(uint64_t id) const {
  if (slots_.empty()) return nullptr;
  Record* const record = slots_[slot_of(id)];
  return record != nullptr && record->id == id ? record : nullptr;
}

const RowSpan::Record* RowSpan::Recent::note(Record& record) {
  if (2 * taken_ >= slots_.size() && bits_ < kBitsMax) grow();
  Record*& slot = slots_[slot_of(record.id)];
  if (slot == nullptr) ++taken_;
  const Record* const before = std::exchange(slot, &record);
  return before != &record ? before : nullptr;
}

void RowSpan::Recent::drop(const Record& record) {
  Record*& slot = slots_[slot_of(record.id)];
  if (slot != &record) return;
  slot = nullptr;
  --taken_;
}

size_t RowSpan::Recent::slot_of(uint64_t id) const { return id * kGolden >> (64 - bits_); }

void RowSpan::Recent::grow() {
  bits_ = bits_ == 0 ? kFirstBits : bits_ + 1;
  const std::vector<Record*> before =
      std::exchange(slots_, std::vector<Record*>(size_t{1} << bits_));
  for (Record* const record : before) {
    if (record != nullptr) slots_[slot_of(record->id)] = record;
  }
}

}  // namespace holdfast::snapshot
