#include "coordinator/snapshot/anew.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/row_span.h"

namespace holdfast::snapshot {
namespace {

/// Of rows that are written and put into the database at a time: their "-wal" stays so small.
constexpr uint64_t kPieceBytes = 256 << 10;
/// Of a database without rows, rounded up.
constexpr uint64_t kEmptyBytes = 128 << 10;

auto place_of(const RowLog::Change& change) { return std::tuple(change.table, change.id); }

/// All rows in force, ascending: those of the database, but for those that changed, which come in
/// their places.
Status each_row(Database& from, std::span<const RowLog::Change> changes, const RowSink& sink) {
  auto next = changes.begin();
  const auto give = [&] {
    const RowLog::Change& change = *next++;
    return change.erased ? ok_status() : sink(change.table, change.id, change.row);
  };
  const auto merge = [&](RowTable table, uint64_t id, std::string_view row) {
    const auto here = std::tuple(table, id);
    while (next != changes.end() && place_of(*next) < here) {
      if (Status given = give(); !given.ok()) return given;
    }
    const bool changed = next != changes.end() && place_of(*next) == here;
    return changed ? give() : sink(table, id, row);
  };
  if (auto read = load_rows(from, merge, [](uint64_t) {}); !read.ok()) return read.error();
  while (next != changes.end()) {
    if (Status given = give(); !given.ok()) return given;
  }
  return ok_status();
}

Status write_piece(const RowSpan& piece, const SnapshotHead& head, SnapshotWriter& to) {
  if (Status written = to.write(piece.latest(), head); !written.ok()) return written;
  const auto durable = to.checkpoint();
  if (!durable.ok()) return durable.error();
  if (*durable) return ok_status();
  return Error{ErrorCode::kOverloaded, "another process reads a database that is not complete"};
}

}  // namespace

Result<uint64_t> bytes_anew(Database& from, std::span<const RowLog::Change> changes) {
  uint64_t bytes = kEmptyBytes + 2 * kPieceBytes;
  uint64_t largest = 0;  // a piece ends with a row, which may be larger than all before it
  const Status read = each_row(from, changes, [&](RowTable, uint64_t, std::string_view row) {
    const uint64_t growth = growth_of(row);
    bytes += growth;
    largest = std::max(largest, growth);
    return ok_status();
  });
  if (!read.ok()) return read.error();
  return bytes + largest;
}

Status write_anew(Database& from, std::span<const RowLog::Change> changes, const SnapshotHead& head,
                  SnapshotWriter& to) {
  RowSpan piece;
  const auto add = [&](RowTable table, uint64_t id, std::string_view row) {
    piece.add({table, id, false, row});
    if (piece.growth_bytes() < kPieceBytes) return ok_status();
    return write_piece(std::exchange(piece, {}), head, to);
  };
  if (Status read = each_row(from, changes, add); !read.ok()) return read;
  return write_piece(piece, head, to);
}

}  // namespace holdfast::snapshot
