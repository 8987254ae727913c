#include "tests/support/file_system_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>

#include "base/check.h"

namespace holdfast::snapshot {
namespace {

constexpr int kPathBytesMax = 512;
/// What the unix VFS says of a disk that it knows nothing about.
constexpr int kSectorBytes = 4'096;
/// The time that stands still: 2023-11-14 in milliseconds of the Julian calendar.
constexpr sqlite3_int64 kJulianMs = 212'866'783'200'000;

std::string unused_name() {
  static std::atomic<uint64_t> made{0};
  return "holdfast-port-" + std::to_string(++made);
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

class FileSystemVfs::OpenFile {
 public:
  OpenFile(FileSystemVfs& vfs, std::unique_ptr<raft::File> file, std::string path,
           bool name_may_be_new)
      : vfs_(vfs),
        file_(std::move(file)),
        path_(std::move(path)),
        name_may_be_new_(name_may_be_new) {}

  void join(std::shared_ptr<ConnectionLocks> locks) { locks_.emplace(std::move(locks)); }
  /// Null for files beside a database: SQLite locks the database alone.
  ConnectionLocks::Member* locks() { return locks_ ? &*locks_ : nullptr; }

  int read(char* out, size_t size, uint64_t offset) {
    auto got = file_->read(offset, out, size);
    if (!got) return vfs_.refuse(got.error(), SQLITE_IOERR_READ);
    if (*got == size) return SQLITE_OK;
    std::memset(out + *got, 0, size - *got);
    return SQLITE_IOERR_SHORT_READ;
  }
  int write(std::string_view bytes, uint64_t offset) {
    const auto done = file_->write(offset, bytes);
    if (done) return SQLITE_OK;
    return vfs_.refuse(done.error(),
                       done.error().number == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE);
  }
  int truncate(uint64_t size) {
    const auto done = file_->truncate(size);
    return done ? SQLITE_OK : vfs_.refuse(done.error(), SQLITE_IOERR_TRUNCATE);
  }
  // What a crash leaves of a -wal or -journal must be found under its name.
  int sync() {
    if (const auto done = file_->sync(); !done) {
      return vfs_.refuse(done.error(), SQLITE_IOERR_FSYNC);
    }
    if (!name_may_be_new_) return SQLITE_OK;
    const auto done = vfs_.files_.sync_directory(directory_of(path_));
    name_may_be_new_ = !done;
    return done ? SQLITE_OK : vfs_.refuse(done.error(), SQLITE_IOERR_DIR_FSYNC);
  }
  // As the unix VFS, which takes room ahead only for one that asked for that.
  void take_hints() { takes_hints_ = true; }
  int grow(sqlite3_int64 size) {
    if (!takes_hints_) return SQLITE_OK;
    sqlite3_int64 now = 0;
    if (const int known = this->size(now); known != SQLITE_OK || now >= size) return known;
    const auto done =
        file_->allocate(static_cast<uint64_t>(now), static_cast<uint64_t>(size - now));
    return done ? SQLITE_OK : vfs_.refuse(done.error(), SQLITE_IOERR_WRITE);
  }
  /// Somebody has removed it.
  bool is_gone() const {
    auto there = vfs_.files_.exists(path_);
    return there && !*there;
  }
  int size(sqlite3_int64& out) {
    auto size = file_->size();
    if (!size) return vfs_.refuse(size.error(), SQLITE_IOERR_FSTAT);
    out = static_cast<sqlite3_int64>(*size);
    return SQLITE_OK;
  }

 private:
  FileSystemVfs& vfs_;
  const std::unique_ptr<raft::File> file_;
  const std::string path_;
  bool name_may_be_new_;
  bool takes_hints_ = false;
  std::optional<ConnectionLocks::Member> locks_;
};

/// SQLite's function tables, and the functions in them.
struct FileSystemVfs::Calls {
  /// Memory that SQLite gives for an open file.
  struct Slot {
    sqlite3_file base;  ///< first: SQLite sees nothing else
    OpenFile* file;
  };
  static OpenFile& file(sqlite3_file* slot) { return *reinterpret_cast<Slot*>(slot)->file; }
  static FileSystemVfs& port(sqlite3_vfs* vfs) {
    return *static_cast<FileSystemVfs*>(vfs->pAppData);
  }

  // --- Of an open file.

  static int close(sqlite3_file* slot) {
    delete reinterpret_cast<Slot*>(slot)->file;
    return SQLITE_OK;
  }
  static int read(sqlite3_file* slot, void* out, int size, sqlite3_int64 offset) {
    return file(slot).read(static_cast<char*>(out), static_cast<size_t>(size),
                           static_cast<uint64_t>(offset));
  }
  static int write(sqlite3_file* slot, const void* bytes, int size, sqlite3_int64 offset) {
    return file(slot).write({static_cast<const char*>(bytes), static_cast<size_t>(size)},
                            static_cast<uint64_t>(offset));
  }
  static int truncate(sqlite3_file* slot, sqlite3_int64 size) {
    return file(slot).truncate(static_cast<uint64_t>(size));
  }
  static int sync(sqlite3_file* slot, int) { return file(slot).sync(); }
  static int size(sqlite3_file* slot, sqlite3_int64* out) { return file(slot).size(*out); }
  static int lock(sqlite3_file* slot, int level) {
    ConnectionLocks::Member* const locks = file(slot).locks();
    return locks == nullptr || locks->lock(level) ? SQLITE_OK : SQLITE_BUSY;
  }
  static int unlock(sqlite3_file* slot, int level) {
    if (ConnectionLocks::Member* const locks = file(slot).locks()) locks->unlock(level);
    return SQLITE_OK;
  }
  static int reserved(sqlite3_file* slot, int* out) {
    ConnectionLocks::Member* const locks = file(slot).locks();
    *out = locks != nullptr && locks->reserved() ? 1 : 0;
    return SQLITE_OK;
  }
  static int control(sqlite3_file* slot, int operation, void* argument) {
    switch (operation) {
      case SQLITE_FCNTL_CHUNK_SIZE:
        file(slot).take_hints();
        return SQLITE_OK;
      case SQLITE_FCNTL_SIZE_HINT:
        return file(slot).grow(*static_cast<sqlite3_int64*>(argument));
      case SQLITE_FCNTL_HAS_MOVED:
        *static_cast<int*>(argument) = file(slot).is_gone() ? 1 : 0;
        return SQLITE_OK;
      default:
        return SQLITE_NOTFOUND;
    }
  }
  static int sector_bytes(sqlite3_file*) { return kSectorBytes; }
  // Writing some bytes of a sector does not endanger the others.
  static int traits(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }
  static int map_index(sqlite3_file* slot, int number, int bytes, int make, void volatile** out) {
    *out = file(slot).locks()->region(static_cast<size_t>(number), static_cast<size_t>(bytes),
                                      make != 0);
    return SQLITE_OK;
  }
  static int lock_index(sqlite3_file* slot, int first, int count, int flags) {
    ConnectionLocks::Member& locks = *file(slot).locks();
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
      locks.unlock_index(first, count);
      return SQLITE_OK;
    }
    const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    return locks.lock_index(first, count, exclusive) ? SQLITE_OK : SQLITE_BUSY;
  }
  static void barrier(sqlite3_file*) {}
  static int leave_index(sqlite3_file* slot, int) {
    file(slot).locks()->leave_index();
    return SQLITE_OK;
  }

  // --- Of the file system.

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* slot, int flags, int* granted);
  static int remove(sqlite3_vfs* vfs, const char* name, int sync_directory);
  static int access(sqlite3_vfs* vfs, const char* name, int, int* out);
  static int full_name(sqlite3_vfs*, const char* name, int room, char* out) {
    if (std::strlen(name) >= static_cast<size_t>(room)) return SQLITE_CANTOPEN;
    std::strcpy(out, name);
    return SQLITE_OK;
  }
  static int randomness(sqlite3_vfs* vfs, int size, char* out) {
    for (int i = 0; i < size; ++i) out[i] = static_cast<char>(port(vfs).random_.next());
    return size;
  }
  static int sleep(sqlite3_vfs*, int us) { return us; }
  static int now_days(sqlite3_vfs*, double* out) {
    *out = static_cast<double>(kJulianMs) / 86'400'000.0;
    return SQLITE_OK;
  }
  static int now_ms(sqlite3_vfs*, sqlite3_int64* out) {
    *out = kJulianMs;
    return SQLITE_OK;
  }
  static int last_error(sqlite3_vfs* vfs, int, char*) { return port(vfs).last_error_; }

  static const sqlite3_io_methods kFile;
};

const sqlite3_io_methods FileSystemVfs::Calls::kFile = {
    .iVersion = 2,
    .xClose = close,
    .xRead = read,
    .xWrite = write,
    .xTruncate = truncate,
    .xSync = sync,
    .xFileSize = size,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = reserved,
    .xFileControl = control,
    .xSectorSize = sector_bytes,
    .xDeviceCharacteristics = traits,
    .xShmMap = map_index,
    .xShmLock = lock_index,
    .xShmBarrier = barrier,
    .xShmUnmap = leave_index,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int FileSystemVfs::Calls::open(sqlite3_vfs* vfs, const char* name, sqlite3_file* slot, int flags,
                               int* granted) {
  slot->pMethods = nullptr;
  FileSystemVfs& self = port(vfs);
  // A file without a name is for what does not fit in memory: temp_store = MEMORY wants none.
  if (name == nullptr) return SQLITE_CANTOPEN;
  const bool modify = (flags & SQLITE_OPEN_READWRITE) != 0;
  auto file = self.files_.open(name, modify ? raft::OpenMode::kModify : raft::OpenMode::kRead);
  const bool create = (flags & SQLITE_OPEN_CREATE) != 0;
  if (!file && file.error().number == ENOENT && create) {
    file = self.files_.open(name, raft::OpenMode::kCreate);
  }
  if (!file) return self.refuse(file.error(), SQLITE_CANTOPEN);
  auto* const opened = new OpenFile(self, std::move(*file), name, /*name_may_be_new=*/create);
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
    opened->join(self.locks_of(name));
    // Never zero, which would ask the default VFS.
    const int seed = static_cast<int>(self.random_.next() >> 34) + 1;
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, seed, nullptr);
  }
  new (slot) Slot{{&kFile}, opened};
  if (granted != nullptr) *granted = flags;
  return SQLITE_OK;
}

int FileSystemVfs::Calls::remove(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  FileSystemVfs& self = port(vfs);
  if (const auto done = self.files_.unlink(name); !done) {
    const bool missing = done.error().number == ENOENT;
    return self.refuse(done.error(), missing ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE);
  }
  if (sync_directory == 0) return SQLITE_OK;
  const auto done = self.files_.sync_directory(directory_of(name));
  return done ? SQLITE_OK : self.refuse(done.error(), SQLITE_IOERR_DIR_FSYNC);
}

// To SQLite an empty file is none, as in the unix VFS.
int FileSystemVfs::Calls::access(sqlite3_vfs* vfs, const char* name, int, int* out) {
  FileSystemVfs& self = port(vfs);
  *out = 0;
  auto there = self.files_.exists(name);
  if (!there) return self.refuse(there.error(), SQLITE_IOERR_ACCESS);
  if (!*there) return SQLITE_OK;
  auto file = self.files_.open(name, raft::OpenMode::kRead);
  if (!file) return self.refuse(file.error(), SQLITE_IOERR_ACCESS);
  auto size = (*file)->size();
  if (!size) return self.refuse(size.error(), SQLITE_IOERR_ACCESS);
  *out = *size > 0 ? 1 : 0;
  return SQLITE_OK;
}

FileSystemVfs::FileSystemVfs(raft::FileSystem& files, uint64_t seed)
    : files_(files), name_(unused_name()), vfs_(std::make_unique<sqlite3_vfs>()), random_(seed) {
  *vfs_ = {};
  vfs_->iVersion = 2;
  vfs_->szOsFile = sizeof(Calls::Slot);
  vfs_->mxPathname = kPathBytesMax;
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->xOpen = Calls::open;
  vfs_->xDelete = Calls::remove;
  vfs_->xAccess = Calls::access;
  vfs_->xFullPathname = Calls::full_name;
  vfs_->xRandomness = Calls::randomness;
  vfs_->xSleep = Calls::sleep;
  vfs_->xCurrentTime = Calls::now_days;
  vfs_->xCurrentTimeInt64 = Calls::now_ms;
  vfs_->xGetLastError = Calls::last_error;
  HF_CHECK(sqlite3_vfs_register(vfs_.get(), 0) == SQLITE_OK, "SQLite takes no VFS");
}

FileSystemVfs::~FileSystemVfs() { sqlite3_vfs_unregister(vfs_.get()); }

std::shared_ptr<ConnectionLocks> FileSystemVfs::locks_of(const std::string& path) {
  std::weak_ptr<ConnectionLocks>& known = locks_[path];
  std::shared_ptr<ConnectionLocks> locks = known.lock();
  if (locks == nullptr) known = locks = std::make_shared<ConnectionLocks>();
  return locks;
}

int FileSystemVfs::refuse(const raft::IoError& error, int code) {
  last_error_ = error.number;
  return code;
}

}  // namespace holdfast::snapshot
