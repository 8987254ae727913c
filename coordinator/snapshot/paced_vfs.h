// SQLite's way to the disk, with pauses. What a snapshot writes is brought to the disk in small
// pieces, not by one sync of it all: a sync of the log, which every command waits for, stands
// behind whatever the disk has been given before.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/time.h"

namespace holdfast::snapshot {

/// What the disk is given at a time by whoever writes much: then it is brought there. How long
/// others wait grows with it (docs/performance.md, "Writes beside snapshots").
constexpr uint64_t kDiskPieceBytes = uint64_t{64} << 10;

/// How much may be written in a second. Any thread.
class Pace {
 public:
  Pace(Clock& clock, uint64_t bytes_per_second)
      : clock_(clock), bytes_per_second_(bytes_per_second) {}
  /// While hurried there is no limit: what waits to be written has become too much, or somebody
  /// waits for it.
  void hurry(bool hurried);
  bool hurried() const;
  Instant now() const { return clock_.now(); }
  /// Returns when these bytes, begun at `begin`, have taken what they have to, or in a hurry.
  void wait(Instant begin, uint64_t bytes);

 private:
  Clock& clock_;
  const uint64_t bytes_per_second_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool hurried_ = false;
};

class PacedVfs {
 public:
  /// Over SQLite's default. `pace` and this outlive all databases that are opened by name().
  explicit PacedVfs(Pace& pace);
  ~PacedVfs();
  PacedVfs(const PacedVfs&) = delete;
  PacedVfs& operator=(const PacedVfs&) = delete;

  /// For Database::open(); no other VFS of the process has it.
  const std::string& name() const;
  /// Whether this is the name of one.
  static bool is(const std::string& name);

 private:
  struct Registered;
  std::unique_ptr<Registered> vfs_;
};

}  // namespace holdfast::snapshot
