// A log on a disk, and an input's hands on it: bytes changed, files cut, copied and removed, and
// records changed and sealed anew with the checksum that the change needs.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "raft/storage/log_format.h"
#include "tests/fuzz/input.h"
#include "tests/support/fake_file_system.h"

namespace holdfast::raft {

/// Index, term, type and payload of an entry.
using EntryFacts = std::tuple<uint64_t, uint64_t, uint8_t, std::string>;

class DamagedDisk {
 public:
  static constexpr uint64_t kFileBytesMax = 16 << 10;

  DamagedDisk(std::unique_ptr<FakeFileSystem> disk, std::string directory, StoreId store)
      : disk_(std::move(disk)), directory_(std::move(directory)), store_(store) {}

  void damage(fuzz::Input& input);

  FakeFileSystem& files() { return *disk_; }
  /// Whether a checksum was made to fit: then the content may be one that nobody ever wrote.
  bool forged() const { return forged_; }
  /// Every entry of any file that verifies as a record of a log here.
  std::set<EntryFacts> verified_entries() const;

 private:
  void overwrite(fuzz::Input& input, const std::string& path);
  void resize(fuzz::Input& input, const std::string& path);
  void copy(fuzz::Input& input, const std::string& path);
  void add_or_remove(fuzz::Input& input, const std::string& path);
  void forge_record(fuzz::Input& input, const std::string& path);
  void forge_head(fuzz::Input& input, const std::string& path);
  void forge_batch(fuzz::Input& input, const std::string& path);

  std::vector<std::string> log_files() const;
  uint64_t number_of(const std::string& path) const;
  std::set<uint64_t> salts() const;
  static std::vector<Record> records_of(const std::string& content, uint64_t seed);
  static uint64_t near(fuzz::Input& input, uint64_t value);

  std::unique_ptr<FakeFileSystem> disk_;
  const std::string directory_;
  const StoreId store_;
  bool forged_ = false;
};

}  // namespace holdfast::raft
