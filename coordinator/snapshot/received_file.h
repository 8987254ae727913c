// The file into which the bytes of a snapshot go that another server sends, piece by piece. A
// server names it after the copy that they are of, so that a process that is started anew can go on
// with what had come. Blocks for the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "coordinator/snapshot/copy.h"
#include "raft/storage/file_system.h"

namespace holdfast::snapshot {

/// Which copy of a state it is, as its sender says.
struct ArrivingCopy {
  NodeId sender;
  uint64_t id = 0;
  uint64_t bytes = 0;  ///< of the whole
  uint64_t sum = 0;    ///< PieceSum of the whole
  LogIndex applied;
  friend bool operator==(const ArrivingCopy&, const ArrivingCopy&) = default;
};

/// Where it is received, as long as it is not known to be good:
/// "received-SENDER-ID-BYTES-SUM-APPLIED.part".
std::string part_name(const ArrivingCopy& copy);
/// What such a name says; none if it is another name.
std::optional<ArrivingCopy> copy_in(std::string_view part_name);
/// What has come of a copy to this directory, if anything has: of the latest state.
Result<std::optional<ArrivingCopy>> find_part(raft::FileSystem& files,
                                              const std::string& directory);
/// Removes all that has come to the directory of any copy.
Status remove_parts(raft::FileSystem& files, const std::string& directory);

/// What arrives of a copy, in order.
class ReceivedFile {
 public:
  /// What stands at `path` is lost with the first piece, and what SQLite may have left beside it.
  ReceivedFile(raft::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  /// Goes on with what an earlier process has left: all pieces that are there but the last, which
  /// may be torn. Whether they are what was sent finish() finds out. For the first call.
  Status reopen();
  Status append(std::string_view piece);
  /// All has arrived: makes it durable, except for its name. CORRUPT if these are not the bytes
  /// that the sender's sum is of.
  Status finish(uint64_t sum);
  /// Gives it the name of a database, whose like is lost.
  Status become(const std::string& database);

  const std::string& path() const { return path_; }
  /// Of the pieces that are there. For whoever waits for the calls above.
  uint64_t bytes() const { return bytes_; }

 private:
  Status create();

  raft::FileSystem& files_;
  const std::string path_;
  std::unique_ptr<raft::File> file_;
  uint64_t bytes_ = 0;
  PieceSum sum_;
};

}  // namespace holdfast::snapshot
