// SQLite over the disk port (raft/storage/file_system.h): every read, write, sync, truncation and
// removal of a database, its -wal and its -journal goes through a FileSystem, so that a fake disk
// can be as unkind to a snapshot as it is to the log. For tests and simulation only: the server
// uses SQLite's own unix VFS, because a person may read the database beside it, and only fcntl()
// locks and a mapped -shm file keep the two apart. Here locks and index are in memory.
//
// Deterministic: the order and content of all operations follow from the calls and the seed. SQLite
// has one generator of random numbers in a process (salts of a -wal), which every opening of a
// database seeds anew; the time stands still. One thread at a time, for all that use one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/entropy.h"
#include "raft/storage/file_system.h"
#include "tests/support/connection_locks.h"

struct sqlite3_vfs;

namespace holdfast::snapshot {

class FileSystemVfs {
 public:
  /// `files` and this outlive all databases that are opened by name().
  FileSystemVfs(raft::FileSystem& files, uint64_t seed);
  ~FileSystemVfs();
  FileSystemVfs(const FileSystemVfs&) = delete;
  FileSystemVfs& operator=(const FileSystemVfs&) = delete;

  /// For Database::open(); no other VFS of the process has it.
  const std::string& name() const { return name_; }

 private:
  class OpenFile;
  struct Calls;

  std::shared_ptr<ConnectionLocks> locks_of(const std::string& path);
  /// Remembers what the port said, for sqlite3_system_errno(), and returns `code`.
  int refuse(const raft::IoError& error, int code);

  raft::FileSystem& files_;
  const std::string name_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  SplitMix random_;
  int last_error_ = 0;  ///< errno
  std::map<std::string, std::weak_ptr<ConnectionLocks>> locks_;
};

}  // namespace holdfast::snapshot
