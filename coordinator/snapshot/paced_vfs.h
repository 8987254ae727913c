// SQLite's way to the disk, with pauses. What a snapshot writes is brought to the disk in small
// pieces, not by one sync of it all: a sync of the log, which every command waits for, stands
// behind whatever the disk has been given before.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/time.h"

namespace holdfast::snapshot {

/// How much may be written in a second. Any thread.
class Pace {
 public:
  explicit Pace(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}
  /// While hurried there is no limit: what waits to be written has become too much, or somebody
  /// waits for it.
  void hurry(bool hurried) { hurried_ = hurried; }
  /// How long these bytes have to take at least.
  Duration share(uint64_t bytes) const;

 private:
  const uint64_t bytes_per_second_;
  std::atomic<bool> hurried_ = false;
};

class PacedVfs {
 public:
  /// Over SQLite's default. `pace` and this outlive all databases that are opened by name().
  explicit PacedVfs(const Pace& pace);
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
