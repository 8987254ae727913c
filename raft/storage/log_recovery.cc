#include "raft/storage/log_recovery.h"

#include <algorithm>

namespace holdfast::raft {
namespace {

std::string to_text(const LogPoint& point) {
  return "entry " + std::to_string(point.index.value) + " of term " +
         std::to_string(point.term.value);
}

std::string entries_of(const LogScan& scan) {
  const LogPoint last = scan.end().tail.last();
  if (last == scan.begin()) return "no entry behind " + to_text(last);
  return "entries " + std::to_string(scan.begin().index.next().value) + " to " + to_text(last);
}

}  // namespace

LogRecovery::LogRecovery(FileSystem& files, Entropy& entropy, const LogOptions& options)
    : files_(files),
      entropy_(entropy),
      options_(options),
      scan_(files, options.directory, options.group, options.store) {}

Result<std::unique_ptr<LogStore>> LogRecovery::run() {
  if (auto failure = scan()) return *failure;
  if (auto failure = options_.begins_here ? judge_begin() : judge_snapshot()) return *failure;
  plan_head();
  if (auto failure = options_.read_only ? find_last_batch() : move_last_batch()) return *failure;
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
  const LogPoint begin = scan_.chain().front()->head->tail.last();
  positions_ = LogPositions(begin);
  if (options_.snapshot && options_.snapshot->last.index == begin.index) {
    term_at_snapshot_ = begin.term;
  }
  const auto fault = scan_.replay([this](const ScannedBatch& batch) {
    if (last_) settle(*last_);
    last_ = batch;
    note_snapshot_entry(batch);
    note_configurations(batch);
  });
  if (fault) return fault->to_error();
  return failure_;
}

void LogRecovery::note_snapshot_entry(const ScannedBatch& batch) {
  if (!options_.snapshot) return;
  const LogIndex index = options_.snapshot->last.index;
  for (const Record& record : batch.records) {
    if (!is_entry(record.type) || LogIndex(record.index) > index) continue;
    // An entry before it replaces it too.
    term_at_snapshot_.reset();
    if (LogIndex(record.index) == index) term_at_snapshot_ = Term(record.term);
  }
}

/// An entry replaces the one at its index and all behind that.
void LogRecovery::note_configurations(const ScannedBatch& batch) {
  for (const Record& record : batch.records) {
    if (!is_entry(record.type)) continue;
    while (!configurations_.empty() && configurations_.back().index.value >= record.index) {
      configurations_.pop_back();
    }
    if (entry_type_of(record.type) != EntryType::kConfiguration) continue;
    configurations_.push_back({Term(record.term), LogIndex(record.index), EntryType::kConfiguration,
                               Blob(record.payload)});
  }
}

// Nothing has been changed yet. A log whose begin was cut off belongs to a snapshot that holds what
// is missing; and a snapshot belongs to a log that holds its last entry, or the one after it.
std::optional<Error> LogRecovery::judge_snapshot() {
  if (options_.snapshot_lost) return std::nullopt;
  const LogPoint snapshot = options_.snapshot ? options_.snapshot->last : LogPoint();
  const std::string stands = snapshot.index ? "the snapshot is the state after " + to_text(snapshot)
                                            : "there is no snapshot";
  const auto refuse = [&](const std::string& log, const std::string& why) {
    return Error{ErrorCode::kCorrupt,
                 options_.directory + ": " + log + ", but " + stands + ": " + why};
  };
  if (scan_.begin().index > snapshot.index) {
    return refuse("the log begins in " + scan_.chain().front()->name + " with entry " +
                      std::to_string(scan_.begin().index.next().value),
                  "the entries before that are missing");
  }
  if (!snapshot.index || term_at_snapshot_ == snapshot.term) return std::nullopt;
  if (scan_.empty()) {
    return refuse("the log is empty", "it was lost, and with it this server's votes");
  }
  if (!options_.snapshot->received) {
    return refuse("the log holds " + entries_of(scan_),
                  "this server's log held that entry when it wrote the snapshot, and has lost it");
  }
  discarded_ = options_.directory + ": the log held " + entries_of(scan_) + ", and " + stands +
               ", received from another server: it begins anew behind that";
  return std::nullopt;
}

std::optional<Error> LogRecovery::judge_begin() const {
  if (scan_.empty()) return std::nullopt;
  return Error{ErrorCode::kCorrupt,
               options_.directory + ": none can begin here, as the log holds " + entries_of(scan_)};
}

/// A later batch is readable: this one is durable where it stands.
void LogRecovery::settle(const ScannedBatch& batch) {
  AppendedBatch appended;
  appended.end = batch.end;
  for (const Record& record : batch.records) {
    if (!is_entry(record.type)) continue;
    appended.entries.push_back({LogIndex(record.index), Term(record.term), record.offset});
  }
  appended.segment = open_segment(*batch.file);
  if (appended.segment != nullptr) publish(std::move(appended));
}

void LogRecovery::publish(AppendedBatch batch) {
  chain_.publish(batch);
  auto behind = batch.entries.begin();
  for (auto entry = behind; entry != batch.entries.end(); ++entry) {
    if (entry->index >= positions_.first_index()) continue;
    // In place of one that was cut off: the log begins behind it (LogScan::begin()).
    positions_ = LogPositions({entry->index, entry->term});
    behind = entry + 1;
  }
  batch.entries.erase(batch.entries.begin(), behind);
  positions_.publish(batch);
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
                                              path_of(file.name), std::move(*opened),
                                              file.head->tail.last()});
  return segment;
}

void LogRecovery::plan_head() {
  head_.segment = scan_.next_segment();
  head_.store = options_.store;
  head_.group = options_.group;
  head_.first_batch = scan_.empty() ? 1 : scan_.end().next_batch;
  head_.salt = scan_.empty() ? entropy_.next_u64() : scan_.salt();
  tail_ = scan_.end().tail;
  if (!discarded_.empty() || options_.begins_here) discard();
  if (!scan_.empty()) plan_place();
}

// Term and vote are kept: they bind this server whatever log it has. If the snapshot's term is
// above its own, this server never voted in that term, for it would be on disk: it takes the term
// up without a vote, as any server does that hears of a later term (paper, figure 2).
void LogRecovery::discard() {
  const LogPoint& snapshot = options_.snapshot->last;
  if (tail_.hard_state.term < snapshot.term) tail_.hard_state = {snapshot.term, NodeId()};
  tail_.last_index = snapshot.index;
  tail_.last_term = snapshot.term;
  head_.tail = tail_;
  last_.reset();
  configurations_.clear();
  positions_ = LogPositions(snapshot);
  chain_ = SegmentChain();
}

void LogRecovery::plan_place() {
  head_.tail = last_ ? last_->before : tail_;
  if (!discarded_.empty()) return;
  if (last_ && last_->offset != kFirstBatchOffset) {
    head_.previous_segment = last_->file->number;
    head_.previous_end = last_->offset;
  } else {
    // The segment of the last batch holds nothing else: the fresh one takes its place.
    const SegmentHead& replaced = last_ ? *last_->file->head : *scan_.chain().front()->head;
    head_.previous_segment = replaced.previous_segment;
    head_.previous_end = replaced.previous_end;
  }
}

std::optional<Error> LogRecovery::find_last_batch() {
  if (last_) settle(*last_);
  return failure_;
}

std::optional<Error> LogRecovery::move_last_batch() {
  if (auto failure = write_fresh_segment()) return failure;
  publish_last_batch();
  return drop_leftovers();
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
  auto bytes = (*file)->size();
  if (!bytes) return bytes.error();
  fresh_ = std::make_shared<Segment>(Segment{head_.segment, segment_seed(head_.salt, head_.segment),
                                             path, std::move(*file), head_.tail.last(), *bytes});
  return io_ok();
}

// A file that holds no part of the log is reused: a node that restarts again and again neither
// fills segments with zeros each time nor fills the disk. Its old bytes never verify. But the
// rename by which it ceased to hold a part may be on no disk yet, if a kill came after it: so the
// directory is synced before the file is touched, else a power loss could bring the file back as a
// segment.
IoResult<std::unique_ptr<File>> LogRecovery::fresh_file() {
  const std::string temporary = path_of(temporary_file_name(head_.segment));
  for (const LogFile& file : scan_.files()) {
    if (file.role == LogFile::Role::kChain || file.bytes < options_.segment_bytes) continue;
    if (auto done = files_.sync_directory(options_.directory); !done) return done.error();
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
  rewritten_.end = fresh_end_;
  publish(std::move(rewritten_));
}

bool LogRecovery::kept(const LogFile& file) const {
  return file.role == LogFile::Role::kChain && file.number <= head_.previous_segment;
}

// From here on the fresh segment is durable, and nothing behind the end that it names counts. When
// the log is handed out no superseded segment bears a segment's name any more, for sure: a later
// start would take one for what is left before a hole.
std::optional<Error> LogRecovery::drop_leftovers() {
  for (const LogFile& file : scan_.files()) {
    if (file.name == reused_ || std::count(spares_.begin(), spares_.end(), file.name) > 0) continue;
    if (IoStatus done = kept(file) ? trim(file) : drop(file); !done) return done.error().to_error();
  }
  if (IoStatus done = files_.sync_directory(options_.directory); !done) {
    return done.error().to_error();
  }
  return std::nullopt;
}

IoStatus LogRecovery::drop(const LogFile& file) {
  if (file.bytes < options_.segment_bytes || spares_.size() >= options_.segments_ahead) {
    return files_.unlink(path_of(file.name));
  }
  spares_.push_back(temporary_file_name(file.number));
  if (file.name == spares_.back()) return io_ok();
  return files_.rename(path_of(file.name), path_of(spares_.back()));
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
  log.hard_state = tail_.hard_state;
  log.first_index = positions_.first_index();
  log.last_index = positions_.last_index();
  log.term_runs = positions_.term_runs();
  log.configurations = configurations_;
  log.created = scan_.empty();
  log.discarded = discarded_;
  if (scan_.end().torn) log.torn_tail = scan_.end().describe();
  return log;
}

std::unique_ptr<LogStore> LogRecovery::hand_out() {
  auto preparer = std::make_unique<SegmentPreparer>(files_, options_.directory,
                                                    options_.segment_bytes, options_.segments_ahead,
                                                    head_.segment + 1, std::move(spares_));
  const LogIdentity identity{head_.store, head_.group, head_.salt};
  LogAppender::Position position{fresh_, fresh_end_, head_.first_batch + 1, tail_};
  RecoveredLog recovered = summary();
  return std::unique_ptr<LogStore>(new LogStore(std::move(recovered), std::move(positions_),
                                                std::move(chain_), std::move(preparer), identity,
                                                options_.segment_bytes, std::move(position)));
}

}  // namespace holdfast::raft
