// A copy of the snapshot that nobody changes: what a server that is too far behind is sent, and
// what an operator keeps. Blocks for the disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "coordinator/snapshot/writer.h"
#include "raft/storage/file_system.h"

namespace holdfast::snapshot {

/// Sum of a file's bytes, piece by piece in order; where one piece ends and the next begins counts
/// too, so both sides take pieces of kPieceBytes.
class PieceSum {
 public:
  static constexpr uint64_t kPieceBytes = uint64_t{256} << 10;
  void add(std::string_view piece);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

struct SnapshotCopy {
  std::string path;
  SnapshotHead head;
  uint64_t bytes = 0;
  uint64_t sum = 0;  ///< PieceSum of the whole file
};

/// Copies the database at `from` as one read transaction sees it; others may go on writing to it.
/// What stood at `to` is lost. Not synced: a copy does not outlive the process. After an error
/// nothing is left at `to`. `vfs` as in Database::open(); `mode` how `from` may be opened.
Result<SnapshotCopy> make_copy(raft::FileSystem& files, const std::string& from,
                               const std::string& to, const std::string& vfs = {},
                               Database::Mode mode = Database::Mode::kRead);

/// A piece of a copy: PieceSum::kPieceBytes at most, less only at its end.
Result<std::string> read_piece(raft::FileSystem& files, const SnapshotCopy& copy, uint64_t offset);

/// Ok if there is none.
Status remove_file(raft::FileSystem& files, const std::string& path);
/// Removes a database and what SQLite keeps beside it; ok if there is none.
Status remove_database(raft::FileSystem& files, const std::string& path);
/// Removes only what SQLite keeps beside it.
Status remove_companions(raft::FileSystem& files, const std::string& path);

}  // namespace holdfast::snapshot
