// The real disk.
#pragma once

#include "raft/storage/file_system.h"

namespace holdfast::raft {

/// POSIX files: mode 0600, directories 0700, close-on-exec. Stateless; any thread.
class PosixFileSystem final : public FileSystem {
 public:
  IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  IoStatus create_directory(const std::string& path) override;
  IoResult<std::vector<std::string>> list(const std::string& path) override;
  IoResult<bool> exists(const std::string& path) override;
  IoStatus rename(const std::string& from, const std::string& to) override;
  IoStatus unlink(const std::string& path) override;
  IoStatus sync_directory(const std::string& path) override;
  IoResult<uint64_t> free_bytes(const std::string& path) override;
  IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) override;
};

}  // namespace holdfast::raft
