// A database written anew: the rows that are in force are fewer than those it has pages for, and
// what there is room for beside it may be a small new one, though not what it takes to change the
// old one page by page. Blocks for the disk.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "base/rows.h"
#include "coordinator/snapshot/writer.h"

namespace holdfast::snapshot {

/// Room on the disk for a database with the rows that `from` has after `changes`, which are as
/// RowSpan::latest() gives them, while it is written. Reads all of `from`.
Result<uint64_t> bytes_anew(Database& from, std::span<const RowLog::Change> changes);

/// Writes these rows and `head` to `to`, which holds none, and makes them durable in pieces.
/// OVERLOADED: another process reads it.
Status write_anew(Database& from, std::span<const RowLog::Change> changes, const SnapshotHead& head,
                  SnapshotWriter& to);

}  // namespace holdfast::snapshot
