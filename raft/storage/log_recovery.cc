#include "raft/storage/log_recovery.h"

#include <algorithm>

namespace holdfast::raft {
namespace {

/// Files kept for reuse besides the one that becomes the fresh segment.
constexpr size_t kSparesMax = 1;

}  // namespace

LogRecovery::LogRecovery(FileSystem& files, Entropy& entropy, const LogOptions& options)
    : files_(files),
      entropy_(entropy),
      options_(options),
      scan_(files, options.directory, options.group, options.store) {}

Result<std::unique_ptr<LogStore>> LogRecovery::run() {
  if (auto failure = scan()) return *failure;
  plan_head();
  if (auto failure = write_fresh_segment()) return *failure;
  publish_last_batch();
  if (auto failure = drop_leftovers()) return *failure;
  std::unique_ptr<LogStore> log = hand_out();
  if (!log->positions_.contains(LogIndex(1))) return log;
  std::vector<Entry> genesis;
  if (Status read = log->read(LogIndex(1), LogIndex(2), 0, genesis); !read) return read.error();
  log->recovered_.genesis = std::move(genesis.front());
  return log;
}

std::optional<Error> LogRecovery::scan() {
  if (auto fault = scan_.find_segments()) return fault->to_error();
  if (scan_.empty()) return std::nullopt;
  positions_ = LogPositions(scan_.chain().front()->head->tail.last_index);
  const auto fault = scan_.replay([this](const ScannedBatch& batch) {
    if (last_) settle(*last_);
    last_ = batch;
  });
  if (fault) return fault->to_error();
  return failure_;
}

/// A later batch is readable: this one is durable where it stands.
void LogRecovery::settle(const ScannedBatch& batch) {
  AppendedBatch appended;
  for (const Record& record : batch.records) {
    if (!is_entry(record.type)) continue;
    appended.entries.push_back({LogIndex(record.index), Term(record.term), record.offset});
  }
  if (appended.entries.empty()) return;
  appended.segment = open_segment(*batch.file);
  if (appended.segment != nullptr) positions_.publish(appended);
}

SegmentRef LogRecovery::open_segment(const LogFile& file) {
  SegmentRef& segment = segments_[file.number];
  if (segment != nullptr || failure_) return segment;
  auto opened = files_.open(path_of(file.name), OpenMode::kRead);
  if (!opened) {
    failure_ = opened.error().to_error();
    return nullptr;
  }
  segment = std::make_shared<Segment>(Segment{file.number, segment_seed(scan_.salt(), file.number),
                                              path_of(file.name), std::move(*opened)});
  return segment;
}

void LogRecovery::plan_head() {
  head_.segment = scan_.next_segment();
  head_.store = options_.store;
  head_.group = options_.group;
  head_.first_batch = scan_.empty() ? 1 : scan_.end().next_batch;
  head_.salt = scan_.empty() ? entropy_.next_u64() : scan_.salt();
  if (scan_.empty()) return;
  if (last_ && last_->offset != kFirstBatchOffset) {
    head_.previous_segment = last_->file->number;
    head_.previous_end = last_->offset;
  } else {
    // The segment of the last batch holds nothing else: the fresh one takes its place.
    const SegmentHead& replaced = last_ ? *last_->file->head : *scan_.chain().front()->head;
    head_.previous_segment = replaced.previous_segment;
    head_.previous_end = replaced.previous_end;
  }
  head_.tail = last_ ? last_->before : scan_.end().tail;
}

std::optional<Error> LogRecovery::write_fresh_segment() {
  const std::string_view image = encode_last_batch();
  if (IoStatus done = write_image(image); !done) return done.error().to_error();
  fresh_end_ = image.size();
  return std::nullopt;
}

std::string_view LogRecovery::encode_last_batch() {
  BatchSize size;
  if (last_) {
    for (const Record& record : last_->records) size.add_payload(record.payload.size());
  }
  encoder_.begin(size, segment_seed(head_.salt, head_.segment), 0, head_.first_batch, head_.group,
                 &head_);
  if (last_) {
    for (const Record& record : last_->records) {
      const uint64_t offset = encoder_.add(record.type, record.index, record.term, record.payload);
      if (!is_entry(record.type)) continue;
      rewritten_.entries.push_back({LogIndex(record.index), Term(record.term), offset});
    }
  }
  return encoder_.finish();
}

IoStatus LogRecovery::write_image(std::string_view image) {
  auto file = fresh_file();
  if (!file) return file.error();
  if (auto done = (*file)->write(0, image); !done) return done;
  if (auto done = (*file)->sync(); !done) return done;
  const std::string path = path_of(segment_file_name(head_.segment));
  const std::string temporary = path_of(temporary_file_name(head_.segment));
  if (auto done = files_.rename(temporary, path); !done) return done;
  if (auto done = files_.sync_directory(options_.directory); !done) return done;
  // Opened by its final name, which errors from here on bear.
  file = files_.open(path, OpenMode::kModify);
  if (!file) return file.error();
  fresh_ = std::make_shared<Segment>(
      Segment{head_.segment, segment_seed(head_.salt, head_.segment), path, std::move(*file)});
  return io_ok();
}

// A file that holds no part of the log is reused: a node that restarts again and again neither
// fills segments with zeros each time nor fills the disk. Its old bytes never verify.
IoResult<std::unique_ptr<File>> LogRecovery::fresh_file() {
  const std::string temporary = path_of(temporary_file_name(head_.segment));
  for (const LogFile& file : scan_.files()) {
    if (file.role == LogFile::Role::kChain || file.bytes < options_.segment_bytes) continue;
    if (auto done = files_.rename(path_of(file.name), temporary); !done) return done.error();
    reused_ = file.name;
    return files_.open(temporary, OpenMode::kModify);
  }
  auto created = files_.open(temporary, OpenMode::kCreate);
  if (!created) return created.error();
  if (auto done = (*created)->zero_fill(0, options_.segment_bytes); !done) return done.error();
  return created;
}

void LogRecovery::publish_last_batch() {
  rewritten_.segment = fresh_;
  positions_.publish(rewritten_);
}

bool LogRecovery::kept(const LogFile& file) const {
  return file.role == LogFile::Role::kChain && file.number <= head_.previous_segment;
}

// From here on the fresh segment is durable, and nothing behind the end that it names counts.
std::optional<Error> LogRecovery::drop_leftovers() {
  for (const LogFile& file : scan_.files()) {
    if (file.name == reused_) continue;
    if (kept(file)) {
      if (IoStatus done = trim(file); !done) return done.error().to_error();
    } else if (file.bytes >= options_.segment_bytes && spares_.size() < kSparesMax) {
      spares_.push_back(file.name);
    } else if (IoStatus done = files_.unlink(path_of(file.name)); !done) {
      return done.error().to_error();
    }
  }
  return std::nullopt;
}

/// Gives the disk back what stands behind the end of an older segment.
IoStatus LogRecovery::trim(const LogFile& file) {
  const uint64_t end = file.number == head_.previous_segment ? head_.previous_end : file.end;
  if (file.bytes <= end) return io_ok();
  auto opened = files_.open(path_of(file.name), OpenMode::kModify);
  if (!opened) return opened.error();
  return (*opened)->truncate(end);
}

RecoveredLog LogRecovery::summary() const {
  RecoveredLog log;
  log.hard_state = scan_.end().tail.hard_state;
  log.first_index = positions_.first_index();
  log.last_index = positions_.last_index();
  log.term_runs = positions_.term_runs();
  log.created = scan_.empty();
  if (scan_.end().torn) log.torn_tail = scan_.end().describe();
  return log;
}

std::unique_ptr<LogStore> LogRecovery::hand_out() {
  auto preparer = std::make_unique<SegmentPreparer>(
      files_, options_.directory, options_.segment_bytes, head_.segment + 1, std::move(spares_));
  const LogIdentity identity{head_.store, head_.group, head_.salt};
  LogAppender::Position position{fresh_, fresh_end_, head_.first_batch + 1, scan_.end().tail};
  RecoveredLog recovered = summary();
  return std::unique_ptr<LogStore>(new LogStore(std::move(recovered), std::move(positions_),
                                                std::move(preparer), identity,
                                                options_.segment_bytes, std::move(position)));
}

}  // namespace holdfast::raft
