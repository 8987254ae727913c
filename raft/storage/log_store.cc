#include "raft/storage/log_store.h"

#include <algorithm>

#include "base/check.h"
#include "raft/storage/log_recovery.h"

namespace holdfast::raft {
namespace {

constexpr uint64_t kReadBytesMin = 4 << 10;
constexpr uint64_t kReadBytesMax = 1 << 20;

Error unreadable(const Segment& segment, uint64_t offset, LogIndex index) {
  return {ErrorCode::kCorrupt, segment.path + ": damaged at offset " + std::to_string(offset) +
                                   ": entry " + std::to_string(index.value) + " does not verify"};
}

std::optional<Error> validate(const LogOptions& options) {
  if (options.segment_bytes < LogOptions::kSegmentBytesMin ||
      options.segment_bytes > LogOptions::kSegmentBytesMax) {
    return Error{ErrorCode::kBadArgument,
                 "segment size " + std::to_string(options.segment_bytes) + " bytes is not within " +
                     std::to_string(LogOptions::kSegmentBytesMin) + " to " +
                     std::to_string(LogOptions::kSegmentBytesMax)};
  }
  if (options.segment_bytes % kSectorBytes != 0) {
    return Error{ErrorCode::kBadArgument, "segment size " + std::to_string(options.segment_bytes) +
                                              " is no multiple of " + std::to_string(kSectorBytes)};
  }
  if (options.segments_ahead < 1 || options.segments_ahead > LogOptions::kSegmentsAheadMax) {
    return Error{ErrorCode::kBadArgument, std::to_string(options.segments_ahead) +
                                              " segments ahead is not within 1 to " +
                                              std::to_string(LogOptions::kSegmentsAheadMax)};
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<LogStore>> LogStore::open(FileSystem& files, Entropy& entropy,
                                                 const LogOptions& options) {
  if (auto failure = validate(options)) return *failure;
  return LogRecovery(files, entropy, options).run();
}

Status RecoveredLog::check_terms() const {
  if (term_runs.empty() || term_runs.back().term <= hard_state.term) return ok_status();
  return Error{ErrorCode::kCorrupt, "the log ends with entry " + std::to_string(last_index.value) +
                                        " of term " + std::to_string(term_runs.back().term.value) +
                                        ", but the term in force is " +
                                        std::to_string(hard_state.term.value)};
}

LogStore::LogStore(RecoveredLog recovered, LogPositions positions, SegmentChain chain,
                   std::unique_ptr<SegmentPreparer> preparer, LogIdentity identity,
                   uint64_t segment_bytes, LogAppender::Position position)
    : recovered_(std::move(recovered)),
      positions_(std::move(positions)),
      chain_(std::move(chain)),
      preparer_(std::move(preparer)),
      appender_(identity, segment_bytes, std::move(position), *preparer_) {}

Status LogStore::read(LogIndex low, LogIndex high, size_t max_bytes, std::vector<Entry>& out) {
  HF_CHECK(low < high && positions_.contains(low) && positions_.contains(high.prev()),
           "read outside the log");
  ReadBudget budget{max_bytes};
  while (low < high && !budget.spent) {
    const LogPositions::Stretch stretch = positions_.stretch(low);
    const auto next = read_part(*stretch.segment, low, std::min(high, stretch.end), budget, out);
    if (!next) return next.error();
    low = *next;
  }
  return ok_status();
}

// One read of the file: from the first entry to the last wanted, or as far as the budget may reach.
Result<LogIndex> LogStore::read_part(const Segment& segment, LogIndex low, LogIndex end,
                                     ReadBudget& budget, std::vector<Entry>& out) {
  const uint64_t start = positions_.offset(low);
  const uint64_t reach = positions_.offset(end.prev()) - start + kReadBytesMin;
  const uint64_t wanted =
      std::clamp<uint64_t>(budget.bytes, kReadBytesMin, std::min(reach, kReadBytesMax));
  auto window = read_window(segment, start, wanted);
  if (!window) return window.error();
  const LogIndex first = low;
  for (; low < end; ++low) {
    const uint64_t at = positions_.offset(low);
    const bool partly = at - start >= window->size() ||
                        claimed_record_bytes(window->substr(at - start)).value_or(~uint64_t{0}) >
                            window->size() - (at - start);
    if (partly && low != first) return low;
    if (partly) {
      const uint64_t claimed = claimed_record_bytes(*window).value_or(0);
      window = read_window(segment, start, claimed);
      if (!window) return window.error();
    }
    auto entry = decode_entry(segment, *window, start, low);
    if (!entry) return entry.error();
    if (!budget.admit(*entry)) return low;
    out.push_back(std::move(*entry));
  }
  return low;
}

bool LogStore::ReadBudget::admit(const Entry& entry) {
  const size_t cost = entry.data.size() + kEntryOverheadBytes;
  spent = begun && cost > bytes;
  bytes -= std::min(bytes, cost);
  begun = true;
  return !spent;
}

Result<std::string_view> LogStore::read_window(const Segment& segment, uint64_t offset,
                                               uint64_t size) {
  if (read_buffer_.size() < size) read_buffer_.resize(size);
  auto got = segment.file->read(offset, read_buffer_.data(), size);
  if (!got) return got.error().to_error();
  return std::string_view{read_buffer_}.substr(0, *got);
}

Result<Entry> LogStore::decode_entry(const Segment& segment, std::string_view window,
                                     uint64_t start, LogIndex index) const {
  const uint64_t offset = positions_.offset(index);
  const auto record = decode_record(window, start, offset, segment.seed);
  if (!record || !is_entry(record->type) || record->index != index.value ||
      Term(record->term) != positions_.term(index)) {
    return unreadable(segment, offset, index);
  }
  return Entry{Term(record->term), index, entry_type_of(record->type), Blob(record->payload)};
}

void LogStore::publish(const AppendedBatch& batch) {
  positions_.publish(batch);
  chain_.publish(batch);
}

LogIndex LogStore::cut(LogIndex through) {
  HF_CHECK(through <= last_index(), "a snapshot is ahead of the log that is cut for it");
  SegmentChain::Cut cut = chain_.cut(through);
  if (cut.segments.empty()) return first_index();
  HF_CHECK(cut.before <= through, "entries behind the snapshot would go");
  positions_.cut(cut.before);
  preparer_->retire(std::move(cut.segments));
  return first_index();
}

LogSpace LogStore::space() const {
  return {appender_.bytes_ahead(), preparer_->out_of_space(), chain_.bytes(), preparer_->ready()};
}

StoredLogReader::Outcome StoredLogReader::entries(LogIndex low, LogIndex high, size_t max_bytes,
                                                  std::vector<Entry>& out) {
  if (failure_) return Outcome::kUnavailable;
  const size_t before = out.size();
  if (Status done = log_.read(low, high, max_bytes, out); !done) {
    failure_ = done.error();
    // What was read before the failure was not asked for alone: the core takes all or nothing.
    out.erase(out.begin() + static_cast<ptrdiff_t>(before), out.end());
    return Outcome::kUnavailable;
  }
  return Outcome::kOk;
}

}  // namespace holdfast::raft
