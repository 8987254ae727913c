// What the tests of the log share: entries whose content says who they are, a log opened in one
// line, and a model of what a sequence of writes leaves behind.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/ready.h"
#include "raft/storage/log_store.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/seeded_entropy.h"

namespace holdfast::raft {

inline constexpr const char* kLogDirectory = "/log";
inline constexpr StoreId kStore{77};

/// An entry whose payload follows from term, index and size.
Entry make_entry(uint64_t term, uint64_t index, size_t size = 20,
                 EntryType type = EntryType::kCommand);
Write make_write(uint64_t number, std::optional<HardState> state, std::vector<Entry> entries);
/// Entries first..last of one term.
std::vector<Entry> make_entries(uint64_t term, uint64_t first, uint64_t last, size_t size = 20);

LogOptions small_log(uint64_t segment_bytes = 4096);
Result<std::unique_ptr<LogStore>> open_log(FileSystem& files, uint64_t segment_bytes = 4096);
/// With a snapshot beside it.
Result<std::unique_ptr<LogStore>> open_log(FileSystem& files, const SnapshotPosition& snapshot);
/// Lets the preparing thread finish what it has to do.
void prepare(LogStore& log);
/// A fake disk with the log's directory on it.
std::unique_ptr<FakeFileSystem> fake_disk(uint64_t seed = 1);

/// Appends as one batch and publishes it.
Status append(LogStore& log, std::vector<Write> writes);
std::vector<Entry> read_all(LogStore& log);

/// Hard state and entries: what a log should hold.
struct LogContent {
  HardState hard_state;
  std::vector<Entry> entries;  ///< from entry 1 on, unless the log begins later
  LogPoint before;             ///< what the log begins behind

  LogPoint last() const;
  /// What a cut behind `index` leaves of it.
  LogContent behind(LogIndex index) const;
  void apply(const HardState& state) { hard_state = state; }
  void apply(const Entry& entry);
  void apply(const Write& write);
  friend bool operator==(const LogContent&, const LogContent&) = default;
};
LogContent content_of(LogStore& log);

/// "/log/0000000000000002.log"
std::string segment_path(uint64_t number);

}  // namespace holdfast::raft
