// What the connections of one process to one database tell each other: SQLite's file locks, and the
// index of the -wal with its locks. The unix VFS keeps these in fcntl() and in the -shm file; here
// they are in memory, because one process opens the database. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace holdfast::snapshot {

class ConnectionLocks {
 public:
  /// Levels of the file lock, by SQLite's numbers.
  enum Level : int { kNone, kShared, kReserved, kPending, kExclusive };

  /// What one connection holds; it joins for as long as it lives.
  class Member {
   public:
    explicit Member(std::shared_ptr<ConnectionLocks> locks);
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    /// False: another connection is in the way. Then nothing changed, but for the wish of
    /// kExclusive to be next (kPending).
    bool lock(int level);
    void unlock(int level) { level_ = level < level_ ? level : level_; }
    /// Does any connection mean to write?
    bool reserved() const;

    /// Locks `count` bytes of the index from `first` on, or none. False: another is in the way.
    bool lock_index(int first, int count, bool exclusive);
    void unlock_index(int first, int count);
    /// Region `number` of the index. Null if it is not there, and not to be made.
    void* region(size_t number, size_t bytes, bool make);
    /// The index goes with the last connection that has it.
    void leave_index();

   private:
    bool anybody_else(int level) const;

    const std::shared_ptr<ConnectionLocks> locks_;
    int level_ = kNone;
    uint32_t shared_ = 0;  ///< bytes of the index, a bit each
    uint32_t exclusive_ = 0;
    bool in_index_ = false;
  };

 private:
  std::vector<Member*> members_;
  std::vector<std::unique_ptr<std::byte[]>> regions_;
};

}  // namespace holdfast::snapshot
