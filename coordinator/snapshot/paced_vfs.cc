#include "coordinator/snapshot/paced_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/scheduling.h"

namespace holdfast::snapshot {
namespace {

constexpr const char* kPrefix = "holdfast-paced-";

/// Stands before the file of the default VFS, in memory that SQLite owns.
struct PacedFile {
  sqlite3_file base;
  sqlite3_file* below;
  Pace* pace;
  uint64_t written;  ///< since the last piece was brought to the disk
  Instant begin;     ///< of the piece that is being written
};

PacedFile& paced(sqlite3_file* file) { return *reinterpret_cast<PacedFile*>(file); }
sqlite3_file* below(sqlite3_file* file) { return paced(file).below; }

/// The piece is on the disk when this returns, and not sooner than its share of a second.
int end_piece(PacedFile& file) {
  const uint64_t bytes = std::exchange(file.written, 0);
  if (file.pace->hurried()) return SQLITE_OK;
  const int synced = file.below->pMethods->xSync(file.below, SQLITE_SYNC_DATAONLY);
  file.pace->wait(file.begin, bytes);
  return synced;
}

int close(sqlite3_file* file) { return below(file)->pMethods->xClose(below(file)); }
int read(sqlite3_file* file, void* out, int size, sqlite3_int64 at) {
  give_way();
  return below(file)->pMethods->xRead(below(file), out, size, at);
}
int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
  give_way();
  PacedFile& self = paced(file);
  const bool begins = self.pace != nullptr && self.written == 0;
  if (begins) self.begin = self.pace->now();
  const int result = self.below->pMethods->xWrite(self.below, data, size, at);
  if (result != SQLITE_OK || self.pace == nullptr) return result;
  self.written += static_cast<uint64_t>(size);
  return self.written < kDiskPieceBytes ? SQLITE_OK : end_piece(self);
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  return below(file)->pMethods->xTruncate(below(file), size);
}
int sync(sqlite3_file* file, int flags) {
  paced(file).written = 0;
  return below(file)->pMethods->xSync(below(file), flags);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return below(file)->pMethods->xFileSize(below(file), size);
}
int lock(sqlite3_file* file, int level) { return below(file)->pMethods->xLock(below(file), level); }
int unlock(sqlite3_file* file, int level) {
  return below(file)->pMethods->xUnlock(below(file), level);
}
int check_reserved_lock(sqlite3_file* file, int* held) {
  return below(file)->pMethods->xCheckReservedLock(below(file), held);
}
int file_control(sqlite3_file* file, int operation, void* argument) {
  return below(file)->pMethods->xFileControl(below(file), operation, argument);
}
int sector_size(sqlite3_file* file) { return below(file)->pMethods->xSectorSize(below(file)); }
int device_characteristics(sqlite3_file* file) {
  return below(file)->pMethods->xDeviceCharacteristics(below(file));
}
int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return below(file)->pMethods->xShmMap(below(file), page, size, extend, out);
}
int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
  return below(file)->pMethods->xShmLock(below(file), offset, n, flags);
}
void shm_barrier(sqlite3_file* file) { below(file)->pMethods->xShmBarrier(below(file)); }
int shm_unmap(sqlite3_file* file, int remove) {
  return below(file)->pMethods->xShmUnmap(below(file), remove);
}
int fetch(sqlite3_file* file, sqlite3_int64 at, int size, void** out) {
  give_way();
  return below(file)->pMethods->xFetch(below(file), at, size, out);
}
int unfetch(sqlite3_file* file, sqlite3_int64 at, void* page) {
  return below(file)->pMethods->xUnfetch(below(file), at, page);
}

constexpr int kMethodsVersion = 3;  ///< with memory shared between processes, and mapped pages
constexpr sqlite3_io_methods kMethods = {kMethodsVersion,
                                         close,
                                         read,
                                         write,
                                         truncate,
                                         sync,
                                         file_size,
                                         lock,
                                         unlock,
                                         check_reserved_lock,
                                         file_control,
                                         sector_size,
                                         device_characteristics,
                                         shm_map,
                                         shm_lock,
                                         shm_barrier,
                                         shm_unmap,
                                         fetch,
                                         unfetch};

std::atomic<uint64_t> registered_so_far = 0;

}  // namespace

void Pace::hurry(bool hurried) {
  {
    const std::lock_guard lock(mutex_);
    if (hurried_ == hurried) return;
    hurried_ = hurried;
  }
  changed_.notify_all();
}

bool Pace::hurried() const {
  const std::lock_guard lock(mutex_);
  return hurried_;
}

void Pace::wait(Instant begin, uint64_t bytes) {
  constexpr double kSecond = 1e9;
  const double share =
      static_cast<double>(bytes) * kSecond / static_cast<double>(bytes_per_second_);
  const Instant end = begin + Duration(static_cast<int64_t>(share));
  std::unique_lock lock(mutex_);
  for (Instant now = clock_.now(); now < end && !hurried_; now = clock_.now()) {
    changed_.wait_for(lock, end - now);
  }
}

/// All but the opening of files is the default's own: it asks nothing of the VFS but what is
/// copied.
struct PacedVfs::Registered : sqlite3_vfs {
  sqlite3_vfs* below = nullptr;
  Pace* pace = nullptr;
  std::string name;

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* got) {
    auto& self = *static_cast<Registered*>(vfs);
    auto* under = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(out) + sizeof(PacedFile));
    auto* file = new (out) PacedFile{};
    file->below = under;
    const bool lasting = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
    file->pace = lasting ? self.pace : nullptr;
    const int result = self.below->xOpen(self.below, path, under, flags, got);
    // SQLite closes what has methods, even if it could not be opened.
    file->base.pMethods = under->pMethods == nullptr ? nullptr : &kMethods;
    return result;
  }
};

PacedVfs::PacedVfs(Pace& pace) : vfs_(new Registered{}) {
  sqlite3_vfs* const below = sqlite3_vfs_find(nullptr);
  HF_CHECK(below != nullptr, "SQLite has no way to the disk");
  static_cast<sqlite3_vfs&>(*vfs_) = *below;
  vfs_->below = below;
  vfs_->pace = &pace;
  vfs_->name = kPrefix + std::to_string(++registered_so_far);
  vfs_->pNext = nullptr;
  vfs_->zName = vfs_->name.c_str();
  vfs_->szOsFile = static_cast<int>(sizeof(PacedFile)) + below->szOsFile;
  vfs_->xOpen = Registered::open;
  HF_CHECK(sqlite3_vfs_register(vfs_.get(), 0) == SQLITE_OK, "SQLite does not take another VFS");
}

PacedVfs::~PacedVfs() { sqlite3_vfs_unregister(vfs_.get()); }

const std::string& PacedVfs::name() const { return vfs_->name; }

bool PacedVfs::is(const std::string& name) { return name.starts_with(kPrefix); }

}  // namespace holdfast::snapshot
