#include "raft/storage/log_scan.h"

#include <algorithm>

#include "base/bytes.h"

namespace holdfast::raft {
namespace {

/// A batch number further ahead than this cannot be what a piece of this log bears.
constexpr uint64_t kBatchesAheadMax = uint64_t{1} << 32;
constexpr uint64_t kAlignment = 8;  ///< of records
// Offsets in a record's head, for the search over raw bytes.
constexpr size_t kAtBatch = 16, kAtGroup = 24;

LogFault io_fault(const std::string& path, uint64_t offset, const IoError& error) {
  const Error text = error.to_error();
  return {text.code, path, offset, text.message};
}

std::string batch_name(uint64_t number) { return "batch " + std::to_string(number); }

}  // namespace

Error LogFault::to_error() const {
  return {code, file + ": damaged at offset " + std::to_string(offset) + ": " + reason};
}

std::string LogEnd::describe() const {
  return file->name + ": unfinished write at offset " + std::to_string(offset) + ": " + reason;
}

LogScan::LogScan(FileSystem& files, std::string directory, GroupId group,
                 std::optional<StoreId> store)
    : files_(files), directory_(std::move(directory)), group_(group), store_(store) {}

LogFault LogScan::fault(const LogFile& file, uint64_t offset, std::string reason) const {
  return {ErrorCode::kCorrupt, path_of(file), offset, std::move(reason)};
}

std::optional<LogFault> LogScan::find_segments() {
  if (auto failure = list()) return failure;
  for (LogFile& file : all_) {
    if (auto failure = read_head(file)) return failure;
  }
  return link();
}

std::optional<LogFault> LogScan::list() {
  auto names = files_.list(directory_);
  if (!names) return io_fault(directory_, 0, names.error());
  for (const std::string& name : *names) {
    LogFile file;
    file.name = name;
    if (const auto number = parse_segment_name(name, kSegmentSuffix)) {
      file.number = *number;
    } else if (const auto temporary = parse_segment_name(name, kTemporarySuffix)) {
      file.number = *temporary;
      file.role = LogFile::Role::kTemporary;
    } else {
      continue;
    }
    next_segment_ = std::max(next_segment_, file.number + 1);
    all_.push_back(std::move(file));
  }
  std::sort(all_.begin(), all_.end(),
            [](const LogFile& a, const LogFile& b) { return a.number < b.number; });
  return std::nullopt;
}

std::optional<LogFault> LogScan::read_head(LogFile& file) {
  auto opened = files_.open(path_of(file), OpenMode::kRead);
  if (!opened) return io_fault(path_of(file), 0, opened.error());
  auto size = (*opened)->size();
  if (!size) return io_fault(path_of(file), 0, size.error());
  file.bytes = *size;
  std::string sector(kSectorBytes, '\0');
  auto got = (*opened)->read(0, sector.data(), sector.size());
  if (!got) return io_fault(path_of(file), 0, got.error());
  sector.resize(*got);
  const auto head = decode_segment_head(sector);
  if (head) next_segment_ = std::max(next_segment_, head->segment + 1);
  if (file.role == LogFile::Role::kTemporary) return std::nullopt;
  // Under another number it is a recycled file that has not been begun again.
  if (!head || head->segment != file.number) return std::nullopt;
  if (head->version != kLogVersion) {
    return LogFault{ErrorCode::kUnsupported, path_of(file), 0,
                    "log format version " + std::to_string(head->version) +
                        ", this program knows version " + std::to_string(kLogVersion)};
  }
  if (head->group != group_ || (store_ && head->store != *store_)) {
    return LogFault{ErrorCode::kBadArgument, path_of(file), 0,
                    "segment of store " + std::to_string(head->store.value) + ", group " +
                        std::to_string(head->group.value) + ", expected store " +
                        std::to_string(store_.value_or(head->store).value) + ", group " +
                        std::to_string(group_.value)};
  }
  file.head = head;
  file.role = LogFile::Role::kDead;
  return std::nullopt;
}

// The newest segment that was begun is the end of the log; each head names the segment before it.
std::optional<LogFault> LogScan::link() {
  LogFile* newest = nullptr;
  LogFile* any = nullptr;
  for (LogFile& file : all_) {
    if (file.role == LogFile::Role::kTemporary) continue;
    if (any == nullptr) any = &file;
    if (file.head) newest = &file;
  }
  if (newest == nullptr) {
    // The first segment gets its name when its head is on disk, and before any other.
    if (any != nullptr) return fault(*any, 0, "no segment of this log has a valid head");
    return std::nullopt;
  }
  newest->end = newest->bytes;
  for (LogFile* at = newest; at != nullptr;) {
    at->role = LogFile::Role::kChain;
    chain_.push_back(at);
    if (begins_with(*at)) break;
    const uint64_t previous = at->head->previous_segment;
    const auto older = std::find_if(all_.begin(), all_.end(), [&](const LogFile& file) {
      return file.number == previous && file.role != LogFile::Role::kTemporary;
    });
    LogFile* const found = older == all_.end() ? nullptr : &*older;
    if (auto failure = check_link(*at, found)) return failure;
    found->end = at->head->previous_end;
    at = found;
  }
  std::reverse(chain_.begin(), chain_.end());
  return std::nullopt;
}

// A cut removes segments oldest first, each for sure before the next. So if the one before this is
// gone and none before that is left, the log was cut here; if one is left there is a hole.
bool LogScan::begins_with(const LogFile& file) const {
  const uint64_t previous = file.head->previous_segment;
  if (previous == 0) return true;
  return std::none_of(all_.begin(), all_.end(), [previous](const LogFile& older) {
    if (older.role == LogFile::Role::kTemporary) return false;
    return older.number == previous || (older.head && older.number < previous);
  });
}

std::optional<LogFault> LogScan::check_link(const LogFile& file, const LogFile* older) const {
  const std::string name = segment_file_name(file.head->previous_segment);
  if (older == nullptr) {
    return fault(file, 0, "the log before it is in " + name + ", which is missing");
  }
  if (!older->head) {
    return fault(*older, 0, "its head does not verify, and the log goes on in " + file.name);
  }
  if (older->number >= file.number || older->head->salt != file.head->salt) {
    return fault(file, 0, "the log before it is said to be in " + name + ", which does not fit");
  }
  if (older->bytes < file.head->previous_end) {
    return fault(*older, older->bytes,
                 "the file ends, but the log in it goes on to offset " +
                     std::to_string(file.head->previous_end));
  }
  return std::nullopt;
}

std::optional<LogFault> LogScan::replay(const OnBatch& on_batch) {
  if (chain_.empty()) return std::nullopt;
  end_.tail = chain_.front()->head->tail;
  begin_ = end_.tail.last();
  for (size_t i = 0; i < chain_.size(); ++i) {
    const LogFile* newer = i + 1 < chain_.size() ? chain_[i + 1] : nullptr;
    if (auto failure = check_continuity(*chain_[i])) return failure;
    if (auto failure = read_segment(*chain_[i], newer, on_batch)) return failure;
  }
  return std::nullopt;
}

// What a head says of the log before it must be what the log before it says.
std::optional<LogFault> LogScan::check_continuity(const LogFile& file) const {
  const SegmentHead& head = *file.head;
  if (head.tail == end_.tail && head.first_batch > end_.last_batch) return std::nullopt;
  return fault(file, 0,
               "it follows entry " + std::to_string(head.tail.last_index.value) + " in term " +
                   std::to_string(head.tail.hard_state.term.value) + ", but the log before it " +
                   "ends with entry " + std::to_string(end_.tail.last_index.value) + " in term " +
                   std::to_string(end_.tail.hard_state.term.value));
}

std::optional<LogFault> LogScan::load(const LogFile& file,
                                      std::shared_ptr<const std::string>& image) {
  auto opened = files_.open(path_of(file), OpenMode::kRead);
  if (!opened) return io_fault(path_of(file), 0, opened.error());
  auto bytes = std::make_shared<std::string>(file.bytes, '\0');
  auto got = (*opened)->read(0, bytes->data(), bytes->size());
  if (!got) return io_fault(path_of(file), 0, got.error());
  bytes->resize(*got);
  image = std::move(bytes);
  return std::nullopt;
}

std::optional<LogFault> LogScan::read_segment(LogFile& file, const LogFile* newer,
                                              const OnBatch& on_batch) {
  std::shared_ptr<const std::string> image;
  if (auto failure = load(file, image)) return failure;
  uint64_t offset = kFirstBatchOffset;
  uint64_t expected = file.head->first_batch;
  while (newer == nullptr || offset != file.end) {
    ScannedBatch batch;
    batch.image = image;
    uint64_t bad_at = offset;
    std::string reason;
    const bool begun = parse(file, offset, expected, batch, bad_at, reason);
    if (begun) {
      if (auto failure = take_up(batch)) return failure;
      on_batch(batch);
    }
    if (begun && batch.whole && batch.end <= file.end) {
      offset = batch.end;
      ++expected;
      continue;
    }
    if (newer != nullptr) {
      if (reason.empty()) reason = batch_name(expected) + " runs past the segment's end";
      return fault(file, bad_at, reason + ", but the log goes on in " + newer->name);
    }
    end_.torn = begun;
    return judge(file, *image, expected, bad_at, !begun, reason);
  }
  return std::nullopt;
}

std::optional<LogFault> LogScan::take_up(const ScannedBatch& batch) {
  LogTail tail = end_.tail;
  LogPoint begin = begin_;
  for (const Record& record : batch.records) {
    if (const auto reason = tail.advance(record)) return fault(*batch.file, record.offset, *reason);
    if (!is_entry(record.type) || tail.last_index > begin.index) continue;
    // It replaces an entry before this log. In a log that was cut, one that was cut off: it is
    // covered by a snapshot too (SegmentChain::cut()), and now the last one before the log.
    if (chain_.front()->head->previous_segment == 0) {
      return fault(*batch.file, record.offset,
                   "entry " + std::to_string(record.index) +
                       " stands in a log that begins behind " + "entry " +
                       std::to_string(begin.index.value));
    }
    begin = tail.last();
  }
  end_.tail = tail;
  begin_ = begin;
  end_.last_batch = batch.number;
  return std::nullopt;
}

bool LogScan::parse(const LogFile& file, uint64_t offset, uint64_t expected, ScannedBatch& batch,
                    uint64_t& bad_at, std::string& reason) const {
  batch.file = &file;
  batch.number = expected;
  batch.offset = batch.end = bad_at = offset;
  batch.before = end_.tail;
  const uint64_t seed = segment_seed(salt(), file.number);
  const auto record = decode_record(*batch.image, 0, offset, seed);
  const auto head = record ? decode_batch_head(*record) : std::nullopt;
  if (!head || record->batch != expected || record->group != group_.value) {
    reason = batch_name(expected) + " has no valid head";
    return false;
  }
  parse_records(*head, seed, batch, offset + record->bytes, bad_at, reason);
  batch.end = batch.whole ? offset + head->bytes : bad_at;
  return true;
}

void LogScan::parse_records(const BatchHead& head, uint64_t seed, ScannedBatch& batch, uint64_t at,
                            uint64_t& bad_at, std::string& reason) const {
  const std::string& image = *batch.image;
  const uint64_t end = batch.offset + head.bytes;
  batch.records.reserve(std::min<uint64_t>(head.records, image.size() / kRecordHeadBytes));
  for (uint32_t i = 0; i < head.records; ++i) {
    const auto record = decode_record(image, 0, at, seed);
    if (!record || record->batch != batch.number || record->group != group_.value ||
        at + record->bytes > end) {
      bad_at = at;
      reason = "record " + std::to_string(i + 1) + " of " + std::to_string(head.records) + " of " +
               batch_name(batch.number) + " does not verify";
      return;
    }
    batch.records.push_back(*record);
    at += record->bytes;
  }
  for (; at < end; ++at) {
    if (at < image.size() && image[at] == 0) continue;
    bad_at = at;
    reason = "the padding of " + batch_name(batch.number) + " is not zero";
    return;
  }
  batch.whole = true;
}

// Batch b + 1 is begun only when batch b is on disk. So if anything of a later batch stands behind
// the bad region, what is bad had been synced: damage. Otherwise it is, or cannot be told from, an
// unfinished write.
std::optional<LogFault> LogScan::judge(LogFile& file, const std::string& image, uint64_t bad_batch,
                                       uint64_t bad_at, bool at_boundary,
                                       const std::string& reason) {
  Behind here;
  search(file, image, bad_at, bad_batch, here);
  Behind elsewhere;
  const LogFile* unbegun = nullptr;
  for (const LogFile& newer : all_) {
    if (newer.number <= file.number || newer.role != LogFile::Role::kSpare) continue;
    std::shared_ptr<const std::string> other;
    if (auto failure = load(newer, other)) return failure;
    search(newer, *other, 0, bad_batch, elsewhere);
    if (unbegun == nullptr && (elsewhere.own || elsewhere.later)) unbegun = &newer;
  }
  const std::optional<Piece>& later = here.later ? here.later : elsewhere.later;
  if (later) {
    const std::string proof = ", but " + batch_name(later->record.batch) + ", written after it, " +
                              "stands in " + later->file->name + " at offset " +
                              std::to_string(later->record.offset);
    const bool in_newer = !here.later && at_boundary && !here.own;
    if (!in_newer) return fault(file, bad_at, reason + proof);
    return fault(*unbegun, 0,
                 "its head does not verify" + proof + "; the log before it ends in " + file.name +
                     " at offset " + std::to_string(bad_at));
  }
  end_.file = &file;
  end_.offset = bad_at;
  end_.torn = end_.torn || here.own || elsewhere.own;
  end_.reason = reason;
  end_.next_batch = bad_batch + 1;
  return std::nullopt;
}

void LogScan::search(const LogFile& file, std::string_view image, uint64_t from, uint64_t bad_batch,
                     Behind& behind) const {
  const uint64_t seed = segment_seed(salt(), file.number);
  for (uint64_t at = from / kAlignment * kAlignment; at + kRecordHeadBytes <= image.size();
       at += kAlignment) {
    const auto batch = load_le<uint64_t>(image.data() + at + kAtBatch);
    if (batch - bad_batch > kBatchesAheadMax ||
        load_le<uint64_t>(image.data() + at + kAtGroup) != group_.value) {
      continue;
    }
    const auto record = decode_record(image, 0, at, seed);
    if (!record) continue;
    std::optional<Piece>& found = batch == bad_batch ? behind.own : behind.later;
    if (!found) found = Piece{&file, *record};
    if (behind.later) return;
  }
}

}  // namespace holdfast::raft
