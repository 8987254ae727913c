// The snapshot of one group on disk. Its directory has
//
//   CURRENT          the name of the database in force
//   state-N.db       a database that writer.h writes, with SQLite's -wal and -shm beside it
//   copy.db          a copy for servers that are too far behind (copy.h); gone with the process
//   received-*.part  what has come of another server's copy (received_file.h)
//   *.damaged        databases that were found damaged and set aside, for a person to look at
//   *.removed        says of one that was to be set aside that somebody had removed it
//
// Nothing is ever renamed onto a database, because SQLite would replay a leftover -wal into it: a
// new one gets a new name, and CURRENT is switched to it. What CURRENT does not name is removed at
// the next start; if CURRENT is missing, not before the log is known to begin with entry 1. Blocks
// for the disk; one thread at a time, but path(), aside_path(), empty() and copy_in_force() from
// any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "coordinator/snapshot/copy.h"
#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/row_span.h"
#include "coordinator/snapshot/writer.h"
#include "raft/storage/file_system.h"

namespace holdfast::snapshot {

/// What changed since the last one, and the state that it leads to.
struct Span {
  RowSpan rows;
  SnapshotHead head;
  /// The disk is full: what removed rows leave of the database, and what the "-wal" has beyond what
  /// it needs, is given back to it, if that is much. There may be no rows.
  bool shrink = false;
  /// Nobody waits for the end of it, so that much room is given back though the disk is not full
  /// (SnapshotStore::allow_slack()). There may be no rows.
  bool at_leisure = false;
  /// That the disk must not lack meanwhile, besides.
  uint64_t stays_free = 0;
};

/// What one write of a span came to.
struct WrittenSpan {
  LogIndex applied;
  uint64_t rows = 0;
  uint64_t database_bytes = 0;
  /// Of the "-wal" beside it. Once durable, the next span fills these before it takes more room.
  uint64_t wal_bytes = 0;
  /// Of both files, whoever reads them.
  uint64_t disk_bytes = 0;
  /// On disk, in the database itself. False: another process reads the database and holds that up;
  /// it comes with a later span.
  bool durable = false;
  /// The file system could have more of it back: a span that says shrink would do that.
  bool slack = false;
  /// So much that a span at leisure would do it.
  bool excess = false;
  /// Somebody had removed the database or put another file in its place: all of it is in a new one.
  bool anew = false;
};

class SnapshotStore {
 public:
  /// With less room than the largest segment of a log takes, open() removes what has been received.
  static constexpr uint64_t kRoomBesideParts = uint64_t{1} << 30;

  /// `directory` must exist, `files` must outlive the store. `vfs` as in Database::open(): it leads
  /// to the same files as `files`, and so does `writers_vfs`, by which spans are written; empty: as
  /// `vfs`. CORRUPT if CURRENT is not one of ours.
  static Result<std::unique_ptr<SnapshotStore>> open(raft::FileSystem& files,
                                                     const std::string& directory,
                                                     const std::string& vfs = {},
                                                     const std::string& writers_vfs = {});

  /// The same to read the database in force alone: nothing is changed, and one that was being set
  /// aside when a process ended is none. `directory` may be missing.
  static Result<std::unique_ptr<SnapshotStore>> open_to_read(raft::FileSystem& files,
                                                             const std::string& directory,
                                                             const std::string& vfs = {});

  /// Removes what CURRENT does not name. To be called when the log is known to do without that; if
  /// there is a CURRENT, open() has done it.
  Status remove_unnamed();

  bool empty() const;
  /// Which state the database in force says it is, before anything else of it was looked at.
  /// CORRUPT if it cannot even say that.
  Result<SnapshotHead> head() const;
  /// By which threads in the background open databases: they give way to others there
  /// (paced_vfs.h).
  const std::string& writers_vfs() const { return writers_vfs_; }
  /// Of the database in force, or of the directory.
  std::string path() const;

  /// Verifies the database in force, gives all its rows to `sink`, and makes what it gave durable.
  /// Not if empty(). CORRUPT and UNSUPPORTED as in loader.h. On the real disk by two threads
  /// (load_and_verify()).
  Result<SnapshotHead> load(const RowSink& sink, const LoadProgress& progress);
  /// As load(), of a store that may be open to read: nothing is changed, nor made durable.
  Result<SnapshotHead> read(const RowSink& sink) const;
  /// Size of the database, as last loaded or written; zero before.
  uint64_t database_bytes() const { return database_bytes_; }
  /// The same of one that is not loaded yet. Not while this process has it open, as SQLite's locks
  /// would go with the file. Zero if empty().
  Result<uint64_t> bytes_at_rest() const;
  /// Of the "-wal" that the process before this one left, as loaded: as in WrittenSpan.
  uint64_t wal_bytes_left() const { return wal_bytes_left_; }
  /// The database in force is not to be believed: it is kept as *.damaged, and the store is empty.
  /// If somebody has removed it that is remembered, until another one is in force.
  Status set_aside();
  /// Where set_aside() keeps it; empty: somebody has removed it.
  std::string aside_path() const;
  /// A damaged one was set aside, now or by an earlier process, and is still there to be looked at,
  /// or had been removed by then: this is no server's first start.
  bool anything_set_aside() const { return anything_set_aside_; }
  /// What the last one that was set aside says of itself, if it can: for hints, as nothing else of
  /// it was looked at.
  std::optional<SnapshotHead> head_set_aside() const;

  /// Where a copy for others is made.
  std::string copy_path() const { return directory_ + "/copy.db"; }
  /// Makes it, of what is in force; after an error there is none. Any thread, beside the one that
  /// writes. OVERLOADED: what lies at path(), or the "-wal" beside it, is not what was written
  /// there. The next span writes that anew, if it is another file.
  Result<SnapshotCopy> copy_in_force() const;
  /// What a state becomes that another server has sent: a name that no database bore before.
  std::string incoming_path() const { return directory_ + "/" + incoming_; }
  /// The database at incoming_path(), durable and verified, is in force from now on, and the one
  /// before it is gone. The store is then to be opened anew.
  Status adopt_incoming();

  /// Brings the database to the span's state; makes one if there is none. After NO_SPACE and
  /// OVERLOADED the same span can be tried again. After any error the database holds the state
  /// before the span or the span's. OVERLOADED too if what is in force was received, was never open
  /// to be written, and is not at path() any more.
  Result<WrittenSpan> write(const Span& span);
  /// Somebody removed what is in force, the "-wal" beside it or CURRENT, or put something else in
  /// its place: the next span, which may have no rows, writes all of it anew. Cheap.
  bool has_moved();

  /// What the files may have beyond what the rows explain (docs/snapshots.md, "Room").
  static constexpr uint64_t kSlackBytes = uint64_t{16} << 20;
  /// Another bound than kSlackBytes: tests have small databases.
  void allow_slack(uint64_t bytes) { slack_bytes_ = bytes; }

 private:
  struct Sizes {
    uint64_t file = 0;
    uint64_t free = 0;  ///< pages of it without a row
    uint64_t wal = 0;
  };
  struct InForce {
    std::string name;
    std::optional<FileIdentity> file;   ///< which that was when it was named
    std::optional<FileIdentity> wal;    ///< likewise the one beside it
    std::optional<SnapshotHead> holds;  ///< the state that it has, or had before the span under way
  };
  SnapshotStore(raft::FileSystem& files, std::string directory, std::string vfs,
                std::string writers_vfs)
      : files_(files),
        directory_(std::move(directory)),
        vfs_(std::move(vfs)),
        writers_vfs_(std::move(writers_vfs)) {}
  /// What the file CURRENT names, if there is one.
  enum class Current : uint8_t { kInForce, kSetAside };
  /// Of kSetAside it is to go.
  Result<Current> read_current();
  Status forget_current();
  Status remember_removed(const std::string& path);
  Result<bool> says_removed(const std::string& database) const;
  Status make_room_to_start();
  Status count_names();
  Result<WrittenSpan> write_first(const Span& span);
  Result<WrittenSpan> write_next(const Span& span);
  Status open_writer();
  Result<WrittenSpan> write_anew(const Span& span, const Error& obstacle);
  Result<WrittenSpan> write_elsewhere(const Span& span);
  Status rewrite(const SnapshotHead& head, const std::vector<RowLog::Change>& rows,
                 uint64_t left_bytes);
  /// True: at the path of the one before it still lies that one.
  Result<bool> replace_with(const SnapshotHead& head, const std::vector<RowLog::Change>& rows,
                            uint64_t left_bytes);
  Status fits_anew(Database& from, LogIndex applied, const std::vector<RowLog::Change>& rows,
                   uint64_t left_bytes);
  Error clear_attempt(const std::string& name, const Error& why);
  Result<WrittenSpan> write_new(const std::string& name, const Span& span);
  Result<WrittenSpan> write_with(SnapshotWriter& writer, const Span& span);
  Status write_rows(SnapshotWriter& writer, const std::vector<RowLog::Change>& rows,
                    const SnapshotHead& head);
  Status shrink(SnapshotWriter& writer);
  Status give_back(SnapshotWriter& writer, uint64_t wal_bytes);
  Status give_excess_back(const Span& span, const Sizes& sizes);
  bool wal_is_large(uint64_t wal_bytes) const;
  bool much_is_free(uint64_t free_bytes) const;
  bool is_excess(const Sizes& sizes) const;
  Result<Sizes> sizes();
  Result<uint64_t> wal_bytes() const;
  Status remove_unless_kept(const std::string& name);
  void name_current(const std::string& name);
  void forget_wal();
  void note_wal();
  bool wal_is_there() const;
  bool is_named() const;
  Status make_directory();
  InForce in_force() const;
  Result<SnapshotCopy> copy_of(const InForce& original) const;
  bool lies_there(const InForce& original) const;
  bool may_have_held(const SnapshotHead& head, const InForce& original) const;
  void is_to_hold(const SnapshotHead& head);
  void holds(const SnapshotHead& head);
  Status switch_to(const std::string& name);
  /// Makes durable what was written; false: not yet.
  Result<bool> checkpoint(SnapshotWriter& writer);
  /// Works by a thread of its own, if one may be had; this one calls `meanwhile` now and then.
  void beside(const std::function<void()>& meanwhile, const std::function<void()>& work);
  /// Others than SQLite's own way to the disk do.
  /// Behind the name of a database: an empty file of this name says that it had been removed.
  static constexpr std::string_view kRemoved = ".removed";

  bool serves_one_thread() const { return !vfs_.empty(); }

  raft::FileSystem& files_;
  const std::string directory_;
  const std::string vfs_;
  const std::string writers_vfs_;
  mutable std::mutex mutex_;  ///< of what follows: it may change while a copy is made
  std::string current_;       ///< empty: there is no snapshot
  std::optional<FileIdentity> file_;
  std::optional<FileIdentity> wal_;
  std::optional<SnapshotHead> holds_;
  std::optional<SnapshotHead> becomes_;  ///< the last state that it was to be brought to
  // Of the one thread.
  bool anything_set_aside_ = false;
  std::string aside_;  ///< name of the last; empty: there is none
  /// Of the next database made here; every second one, as the number behind it is incoming_'s.
  uint64_t next_number_ = 1;
  std::string incoming_;
  uint64_t slack_bytes_ = kSlackBytes;
  uint64_t database_bytes_ = 0;
  uint64_t wal_bytes_left_ = 0;
  bool frames_wait_ = false;      ///< in the "-wal", as the last checkpoint did not take them all
  int shrinks_without_room_ = 0;  ///< of this span
  /// What all rows would take in a database of their own (anew.h), and with which span.
  uint64_t anew_bytes_ = 0;
  LogIndex anew_at_;
  bool wal_is_read_ = false;  ///< somebody kept it from being given back with this span
  std::optional<SnapshotWriter> writer_;
};

}  // namespace holdfast::snapshot
