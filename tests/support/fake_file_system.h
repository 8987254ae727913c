// A disk that does its worst, for tests and simulation. Everything that a real disk may lose at a
// power loss it may lose: any subset of the 512-byte sectors written since the last sync, any
// subset of the names made, changed or removed since the directory's last sync, the size of a file
// grown or cut. Deterministic: what happens follows from the seed and the calls.
//
// A test runs a workload until crash_at() strikes, drops all its objects, calls power_loss() or
// process_crash(), and opens everything anew. Files and locks of a former life refuse to work.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "raft/storage/file_system.h"

namespace holdfast::raft {

class FakeFileSystem final : public FileSystem {
 public:
  static constexpr uint64_t kSector = 512;

  explicit FakeFileSystem(uint64_t seed = 1);
  ~FakeFileSystem() override;
  FakeFileSystem(const FakeFileSystem&) = delete;
  FakeFileSystem& operator=(const FakeFileSystem&) = delete;
  /// A disk of its own with the same content, durable and not; nothing open, no faults set.
  std::unique_ptr<FakeFileSystem> clone(uint64_t seed) const;

  IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  IoStatus create_directory(const std::string& path) override;
  IoResult<std::vector<std::string>> list(const std::string& path) override;
  IoResult<bool> exists(const std::string& path) override;
  IoStatus rename(const std::string& from, const std::string& to) override;
  IoStatus unlink(const std::string& path) override;
  IoStatus sync_directory(const std::string& path) override;
  IoResult<uint64_t> free_bytes(const std::string& path) override;
  IoResult<std::unique_ptr<FileLock>> lock(const std::string& path) override;

  // Faults. Operations that change something (write, zero fill, sync, truncate, create, rename,
  // unlink, directory sync) are counted from 1 on; reads are counted apart.

  uint64_t operations() const;
  /// A hash over these operations and what they wrote, in their order.
  uint64_t trace() const;
  uint64_t reads() const;
  /// The operation of that number happens in part, or not at all; it and all after it fail.
  void crash_at(uint64_t operation);
  bool crashed() const;
  /// That operation fails with `error`. A failed sync loses the pages: what was written is still
  /// readable, but no later sync brings it to the disk.
  void fail_at(uint64_t operation, int error);
  void fail_read_at(uint64_t read, int error);
  /// No file is opened to be locked.
  void refuse_locks(int error);
  /// Bytes that all files together may take; ENOSPC beyond.
  void set_capacity(uint64_t bytes);
  /// No operation fails, crashes or lies from now on.
  void disarm();
  /// Bytes that all files together take now.
  uint64_t used() const;
  /// If that operation is a write, the disk says it wrote and keeps what was there (lost), or puts
  /// the bytes elsewhere in the same file (misdirected).
  void lie_at(uint64_t operation, bool misdirect);
  /// Whether a write to a file in that directory was lost or went elsewhere, as lie_at() said.
  bool has_lied_about(const std::string& directory) const;
  /// From here on what is lost, torn or kept follows from `seed`.
  void reseed(uint64_t seed);
  /// While a test looks, reads are not counted and do not fail.
  void observe(bool looking);
  /// Files that are open in this life.
  int open_files() const;

  /// The process or the machine stops here: whatever is still tried, as by destructors, fails.
  /// process_crash() or power_loss() comes next.
  void halt();
  /// The process is gone: open files and locks are dead, all that was written stays readable.
  void process_crash();
  /// The machine is gone: of what was not synced, an arbitrary part survives.
  void power_loss();

  // The test's own hands: these are no operations, cannot fail, and are durable at once.

  void flip_bit(const std::string& path, uint64_t offset, int bit);
  void put(const std::string& path, std::string content);
  void remove(const std::string& path);
  /// All files below a directory, and the directories there if `with_directories`.
  void remove_below(const std::string& directory, bool with_directories);
  std::string content(const std::string& path) const;
  std::vector<std::string> paths() const;

 private:
  class FakeFile;
  class FakeLock;

  struct Inode {
    std::string cache;         ///< what a reader sees
    std::string durable;       ///< what is on disk for sure
    std::set<uint64_t> dirty;  ///< sectors of `cache` that a sync would write
    /// Smallest size since the last sync: behind it nothing of `durable` stays.
    uint64_t floor = 0;
    bool directory = false;
  };
  using InodeRef = std::shared_ptr<Inode>;
  /// A change of names that is not durable yet; a rename is atomic.
  struct NameChange {
    enum class Kind { kCreate, kRename, kUnlink } kind = Kind::kCreate;
    std::string path;
    std::string to;  ///< rename
    InodeRef inode;  ///< create
  };
  using Names = std::map<std::string, InodeRef>;

  enum class Verdict { kDo, kCrash, kFail };
  Verdict count_operation(std::string_view operation, const std::string& path, int& error);
  void record(uint64_t what);
  int count_read();
  IoStatus refuse(const char* operation, const std::string& path, int error) const;
  void mark_written(Inode& inode, uint64_t offset, uint64_t size);
  IoStatus store(Inode& inode, const std::string& path, uint64_t offset, std::string_view bytes);
  IoStatus sync_inode(Inode& inode, const std::string& path);
  IoStatus truncate_inode(Inode& inode, const std::string& path, uint64_t size);
  bool has_room(const Inode& inode, uint64_t end) const;
  uint64_t used_bytes() const;
  bool lies_about(Inode& inode, uint64_t offset, std::string_view bytes);
  void note(NameChange change);
  static void apply(Names& names, const NameChange& change);
  void lose_unsynced_sectors(Inode& inode);
  static std::string parent_of(const std::string& path);

  mutable std::mutex mutex_;
  SplitMix random_;
  Names names_;    ///< as a running process sees them
  Names durable_;  ///< as they are on disk for sure
  std::vector<NameChange> changes_;
  std::set<std::string> locks_;
  int refuse_locks_ = 0;
  uint64_t life_ = 1;  ///< objects of an earlier one are dead
  uint64_t operations_ = 0;
  uint64_t reads_ = 0;
  uint64_t trace_ = 0;
  std::optional<uint64_t> crash_at_;
  bool crashed_ = false;
  std::map<uint64_t, int> failures_;
  std::map<uint64_t, int> read_failures_;
  uint64_t capacity_ = ~uint64_t{0};
  std::map<uint64_t, bool> lies_;  ///< by operation: misdirected
  std::set<std::string> lied_about_;
  int open_files_ = 0;
  bool observed_ = false;
};

}  // namespace holdfast::raft
