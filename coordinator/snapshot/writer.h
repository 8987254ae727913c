// The writing half of a snapshot: one SQLite database that always holds the whole state at one
// index, and is brought to the next by writing what changed in between. Blocks for the disk: the
// snapshot thread's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/rows.h"
#include "coordinator/snapshot/schema.h"
#include "coordinator/snapshot/sqlite.h"
#include "raft/storage/file_system.h"

namespace holdfast::snapshot {

/// The configuration in force at the snapshot's entry, if it is not that of entry 1.
struct SnapshotMembership {
  LogIndex index;             ///< of its entry; zero: entry 1's is in force
  std::string configuration;  ///< encoded (raft/core/configuration.h)
  friend bool operator==(const SnapshotMembership&, const SnapshotMembership&) = default;
};

/// Which state the rows are.
struct SnapshotHead {
  ClusterId cluster;
  NodeId node;        ///< who wrote it
  LogIndex applied;   ///< the rows are the state after this entry
  Term applied_term;  ///< its term
  Digest digest;      ///< of that state
  int64_t written_unix_ms = 0;
  std::string genesis;  ///< entry 1: the first members
  SnapshotMembership membership = {};
  friend bool operator==(const SnapshotHead&, const SnapshotHead&) = default;
};

/// 32 hexadecimal digits, the high half first.
std::string to_text(const Digest& digest);

/// 32 bits that stand beside the head and change with each of its fields: no row's check and no
/// digest covers it.
uint32_t head_check(const SnapshotHead& head);

class SnapshotWriter {
 public:
  /// Makes an empty database, readable by this user alone; what stood at `path` is lost.
  static Result<SnapshotWriter> create(raft::FileSystem& files, const std::string& path,
                                       const std::string& vfs = {});
  /// Goes on with one that verify() has accepted.
  static Result<SnapshotWriter> open(const std::string& path, const std::string& vfs = {});

  /// Brings the database to `head` in ONE transaction. `changes` ascend by table and id, one a row
  /// (RowSpan::latest()). What it takes of the disk to put it into the database is taken before: no
  /// checkpoint() lacks room. After an error the file is as before the call.
  Status write(std::span<const RowLog::Change> changes, const SnapshotHead& head);
  /// What write() brought the database to; zero if it did not yet.
  LogIndex written() const { return written_; }
  /// Makes durable what was written, in the database file itself. False: somebody else reads the
  /// file and holds it up; try again later.
  Result<bool> checkpoint();
  /// Size of the database without its -wal.
  Result<uint64_t> database_bytes();
  /// Of its file, which may be larger.
  Result<uint64_t> file_bytes() { return database_.file_bytes(); }
  /// Cuts off its file what a process that ended before its commit had grown it by. Only after
  /// checkpoint() was true, before the first write(): the first commit would count it as pages.
  Status cut_rest();
  /// Somebody removed the file or put another one in its place.
  bool has_moved() { return database_.has_moved(); }
  /// What is written, wherever it lies: to be read.
  Database& database() { return database_; }
  /// Of it, what holds no row.
  Result<uint64_t> free_bytes();
  /// Gives that back to the file system, and the -wal. Holds the rows in memory meanwhile, and
  /// takes as much room in the -wal as they do. Only after checkpoint() was true; after an error
  /// the file is as before. NO_SPACE, or OVERLOADED if somebody reads the file.
  Status shrink();
  /// Gives the -wal back to the file system, after checkpoint() was true. OVERLOADED likewise.
  Status give_wal_back();

 private:
  struct TableStatements {
    const TableSchema* schema;
    Statement upsert;
    Statement erase;
  };
  explicit SnapshotWriter(Database database) : database_(std::move(database)) {}
  Status prepare();
  Status take_room();
  Status cut_to(uint64_t bytes);
  Result<uint64_t> bytes_of_pages(const char* count);
  Status write_rows(std::span<const RowLog::Change> changes, const SnapshotHead& head);
  Status write_row(const RowLog::Change& change);
  Status write_head(const SnapshotHead& head);
  Status write_membership(const SnapshotMembership& membership);
  Status drop_membership();
  TableStatements* statements_of(RowTable table);

  Database database_;
  std::vector<TableStatements> tables_;
  Statement head_;
  LogIndex written_;
};

}  // namespace holdfast::snapshot
