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

Result<std::unique_ptr<LogStore>> open_log(FileSystem& files, const SnapshotPosition& snapshot) {
  SeededEntropy entropy(99);
  LogOptions options = small_log();
  options.snapshot = snapshot;
  return LogStore::open(files, entropy, options);
}

void prepare(LogStore& log) {
  while (log.preparer().step() == SegmentPreparer::Step::kWorked) {
  }
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

LogPoint LogContent::last() const {
  if (entries.empty()) return before;
  return {entries.back().index, entries.back().term};
}

LogContent LogContent::behind(LogIndex index) const {
  const auto at = entries.begin() + static_cast<ptrdiff_t>(index - before.index);
  const LogPoint cut = index == before.index ? before : LogPoint{at[-1].index, at[-1].term};
  return {hard_state, {at, entries.end()}, cut};
}

void LogContent::apply(const Entry& entry) {
  entries.resize(entry.index - before.index.next());
  entries.push_back(entry);
}

void LogContent::apply(const Write& write) {
  if (write.hard_state) apply(*write.hard_state);
  for (const Entry& entry : write.entries) apply(entry);
}

LogContent content_of(LogStore& log) {
  const LogIndex before = log.first_index().prev();
  return {log.recovered().hard_state, read_all(log),
          LogPoint{before, log.term(before).value_or(Term())}};
}

std::string segment_path(uint64_t number) {
  return std::string(kLogDirectory) + "/" + segment_file_name(number);
}

}  // namespace holdfast::raft
