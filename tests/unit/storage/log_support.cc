#include "tests/unit/storage/log_support.h"

#include "raft/storage/log_format.h"

namespace holdfast::raft {

Entry make_entry(uint64_t term, uint64_t index, size_t size, EntryType type) {
  std::string payload;
  while (payload.size() < size) {
    payload += std::to_string(term) + ":" + std::to_string(index) + ";";
  }
  payload.resize(size);
  return {Term(term), LogIndex(index), type, Blob(payload)};
}

Write make_write(uint64_t number, std::optional<HardState> state, std::vector<Entry> entries) {
  Write write;
  write.number = number;
  write.hard_state = state;
  write.entries = std::move(entries);
  return write;
}

std::vector<Entry> make_entries(uint64_t term, uint64_t first, uint64_t last, size_t size) {
  std::vector<Entry> entries;
  for (uint64_t i = first; i <= last; ++i) entries.push_back(make_entry(term, i, size));
  return entries;
}

LogOptions small_log(uint64_t segment_bytes) {
  LogOptions options;
  options.directory = kLogDirectory;
  options.store = kStore;
  options.segment_bytes = segment_bytes;
  return options;
}

Result<std::unique_ptr<LogStore>> open_log(FileSystem& files, uint64_t segment_bytes) {
  SeededEntropy entropy(99);
  return LogStore::open(files, entropy, small_log(segment_bytes));
}

std::unique_ptr<FakeFileSystem> fake_disk(uint64_t seed) {
  auto disk = std::make_unique<FakeFileSystem>(seed);
  EXPECT_TRUE(disk->create_directory(kLogDirectory).ok());
  EXPECT_TRUE(disk->sync_directory("/").ok());
  return disk;
}

Status append(LogStore& log, std::vector<Write> writes) {
  const auto batch = log.append(writes);
  if (!batch) return batch.error();
  log.publish(*batch);
  return ok_status();
}

std::vector<Entry> read_all(LogStore& log) {
  std::vector<Entry> entries;
  if (log.last_index() < log.first_index()) return entries;
  const Status read =
      log.read(log.first_index(), log.last_index().next(), ~size_t{0} >> 1, entries);
  EXPECT_TRUE(read.ok()) << read.error().message;
  return entries;
}

void LogContent::apply(const Entry& entry) {
  entries.resize(entry.index.value - 1);
  entries.push_back(entry);
}

void LogContent::apply(const Write& write) {
  if (write.hard_state) apply(*write.hard_state);
  for (const Entry& entry : write.entries) apply(entry);
}

LogContent content_of(LogStore& log) { return {log.recovered().hard_state, read_all(log)}; }

std::string segment_path(uint64_t number) {
  return std::string(kLogDirectory) + "/" + segment_file_name(number);
}

}  // namespace holdfast::raft
