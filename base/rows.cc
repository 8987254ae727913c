#include "base/rows.h"

namespace holdfast {
namespace {
constexpr size_t kRowHeader = sizeof(uint8_t) + sizeof(uint64_t);
}  // namespace

Digest row_hash(RowTable table, uint64_t id, std::string_view row) {
  std::string bytes;
  bytes.reserve(kRowHeader + row.size());
  append_le(bytes, static_cast<uint8_t>(table));
  append_le(bytes, id);
  bytes.append(row);
  return hash128(bytes);
}

void RowLog::begin(RowTable table, uint64_t id) {
  records_.push_back({.id = id, .offset = bytes_.size(), .table = table, .erased = false});
  put8(static_cast<uint8_t>(table));
  put64(id);
}

void RowLog::put_bytes(std::string_view value) {
  put32(static_cast<uint32_t>(value.size()));
  bytes_.append(value);
}

Digest RowLog::finish() { return hash128(std::string_view{bytes_}.substr(records_.back().offset)); }

void RowLog::erase(RowTable table, uint64_t id) {
  records_.push_back({.id = id, .offset = bytes_.size(), .table = table, .erased = true});
}

RowLog::Change RowLog::operator[](size_t index) const {
  const Record& record = records_[index];
  Change change{.table = record.table, .id = record.id, .erased = record.erased, .row = {}};
  if (!record.erased) {
    const uint64_t start = record.offset + kRowHeader;
    change.row = std::string_view{bytes_}.substr(start, end_of(index) - start);
  }
  return change;
}

uint64_t RowLog::end_of(size_t index) const {
  return index + 1 < records_.size() ? records_[index + 1].offset : bytes_.size();
}

void RowLog::clear() {
  records_.clear();
  bytes_.clear();
}

}  // namespace holdfast
