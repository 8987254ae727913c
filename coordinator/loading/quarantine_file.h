// The file by which a server remembers that its state is quarantined, so that a start does not
// serve it again: group-1/quarantine in the data directory. It is there as long as that state is.
// Blocks for the disk.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "raft/storage/file_system.h"

namespace holdfast::loading {

class QuarantineFile {
 public:
  /// `files` outlives it.
  QuarantineFile(raft::FileSystem& files, const std::string& data_directory, GroupId group);

  /// Why the state is quarantined, if it is. A file that does not verify says so too: what it was
  /// written for holds all the same.
  Result<std::optional<std::string>> read() const;
  /// Durable when it returns.
  Status write(const std::string& why);
  /// The state that it was about is in force no more.
  Status remove();
  const std::string& path() const { return path_; }

 private:
  raft::FileSystem& files_;
  const std::string directory_;
  const std::string path_;
};

}  // namespace holdfast::loading
