// The disk port: one of the four interfaces (clock, disk, network, entropy) through which the
// project reaches the world. Small on purpose: what a log and a few small files need, with the
// durability rules of POSIX made explicit, so that a simulated disk can be as unkind as a real one.
//
// What is durable when (the contract that posix_file_system.cc relies on and the fake disk abuses):
//  - bytes and size of a file: after File::sync() returned ok;
//  - a name (created, renamed, removed): after FileSystem::sync_directory() of its directory did;
//  - anything else: perhaps, perhaps not, and in parts of 512-byte sectors in any order.
// After a sync that failed nothing is known about the bytes written since the last good one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace holdfast::raft {

/// What the operating system said.
struct IoError {
  int number = 0;         ///< errno
  std::string operation;  ///< "write", "sync", "open", ...
  std::string path;
  std::string detail;  ///< further words for a person; may be empty

  /// NO_SPACE if the disk or quota is full, else INTERNAL; the sentence names operation, path and
  /// errno.
  Error to_error() const;
  bool out_of_space() const;
};

/// Either a value or an IoError.
template <class T>
class [[nodiscard]] IoResult {
 public:
  IoResult(T value) : state_(std::in_place_index<0>, std::move(value)) {}        // NOLINT: implicit
  IoResult(IoError error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit
  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    HF_CHECK(ok(), "value() of an I/O error");
    return std::get<0>(state_);
  }
  T& operator*() { return value(); }
  T* operator->() { return &value(); }
  const IoError& error() const {
    HF_CHECK(!ok(), "error() of a value");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, IoError> state_;
};

using IoStatus = IoResult<std::monostate>;
inline IoStatus io_ok() { return IoStatus(std::monostate{}); }

/// An open file; closed by the destructor. All members may be called from several threads at once.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to `size` bytes at `offset`; fewer only at the end of the file.
  virtual IoResult<size_t> read(uint64_t offset, char* out, size_t size) = 0;
  /// Writes all of `bytes` at `offset`, extending the file if needed.
  virtual IoStatus write(uint64_t offset, std::string_view bytes) = 0;
  /// Takes the room, without writing where the file system knows how; the size becomes that.
  virtual IoStatus allocate(uint64_t offset, uint64_t size) = 0;
  /// Writes zeros. Unlike a mere reservation this spares later syncs the file system's metadata.
  virtual IoStatus zero_fill(uint64_t offset, uint64_t size) = 0;
  /// fdatasync: all bytes written so far, and the size, are on disk when it returns ok.
  virtual IoStatus sync() = 0;
  /// Cuts the file to `size` bytes.
  virtual IoStatus truncate(uint64_t size) = 0;
  virtual IoResult<uint64_t> size() = 0;
};

/// Held until destroyed, or until the process ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode {
  kRead,    ///< must exist
  kModify,  ///< read and write; must exist
  kCreate,  ///< read and write; created, or emptied if it exists
};

/// Paths are absolute or relative to the working directory, with '/' between the parts.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  /// Ok if it exists already. The parent must exist.
  virtual IoStatus create_directory(const std::string& path) = 0;
  /// Names of files and directories in `path`, without the path, sorted.
  virtual IoResult<std::vector<std::string>> list(const std::string& path) = 0;
  virtual IoResult<bool> exists(const std::string& path) = 0;
  /// Replaces `to` if it exists. Both in one directory.
  virtual IoStatus rename(const std::string& from, const std::string& to) = 0;
  virtual IoStatus unlink(const std::string& path) = 0;
  virtual IoStatus sync_directory(const std::string& path) = 0;
  /// Bytes that this process may still take of the file system that holds `path`, which exists.
  virtual IoResult<uint64_t> free_bytes(const std::string& path) = 0;
  /// Takes the lock file for this process alone, creating it if needed and writing the process id
  /// into it. If another process has it: EWOULDBLOCK, `detail` naming that process.
  virtual IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

/// Whole content of a file of at most `limit` bytes; EFBIG if it is longer.
IoResult<std::string> read_file(FileSystem& files, const std::string& path, uint64_t limit);

/// Creates or replaces `path` so that after a crash it has either its old or its new content:
/// temporary file, sync, rename, directory sync.
IoStatus replace_file(FileSystem& files, const std::string& directory, const std::string& name,
                      std::string_view content);

}  // namespace holdfast::raft
