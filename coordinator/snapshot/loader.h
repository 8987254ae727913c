// The reading half of a snapshot: is the file one of ours and whole, which state is it, its rows.
// Everything in it may be damaged or forged. Blocks for the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/rows.h"
#include "coordinator/snapshot/sqlite.h"
#include "coordinator/snapshot/writer.h"
#include "raft/storage/file_system.h"

namespace holdfast::snapshot {

/// CORRUPT: not a Holdfast snapshot, or SQLite's quick_check finds damage. UNSUPPORTED: of another
/// format version, which is named. Each names the file.
Status verify(Database& database);
/// The part of verify() that reads the whole file: SQLite's own check.
Status quick_check(Database& database);
/// Names of the views in it that are not those with which this program makes a database. What they
/// show need not be what the rows say; nothing here reads them, and older programs may have had
/// others.
Result<std::vector<std::string>> other_views(Database& database);

/// CORRUPT if there is no head, as in a database that was created and never written.
Result<SnapshotHead> read_head(Database& database);

/// Given each row in ascending order of table and id; an error ends the loading.
using RowSink = std::function<Status(RowTable table, uint64_t id, std::string_view row)>;
/// Rows given so far; called now and then.
using LoadProgress = std::function<void(uint64_t rows)>;

/// Verifies the database, gives all its rows to `sink`, and tells which state they should be.
/// Errors of rows name the file.
Result<SnapshotHead> load_database(Database& database, const RowSink& sink,
                                   const LoadProgress& progress);

/// The same of a database that was verified before.
Result<SnapshotHead> load_rows(Database& database, const RowSink& sink,
                               const LoadProgress& progress);

/// As load_database(), in less time: what verify() has to read the whole file for is done meanwhile
/// by a thread and a connection of its own, in mode kRead, through `vfs`, which two threads may
/// use. So `sink` is given rows of a file of which it turns out only then that it is damaged.
Result<SnapshotHead> load_and_verify(Database& database, const std::string& vfs,
                                     const RowSink& sink, const LoadProgress& progress);

/// 0 if there is no such file. SQLite locks the database alone, so that its "-wal" may be opened
/// beside it (sqlite.h).
Result<uint64_t> bytes_of_file(raft::FileSystem& files, const std::string& path);

/// How to read a database that no process has open, so that nothing is changed: beside one without
/// a "-wal" SQLite makes its files, unless nobody is said to change it.
Result<Database::Mode> mode_at_rest(raft::FileSystem& files, const std::string& path);

}  // namespace holdfast::snapshot
