#include "coordinator/server/snapshots.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "raft/core/configuration.h"

namespace holdfast::server {
namespace {

/// The log is cut at a multiple of this part of the tail that is kept.
constexpr uint64_t kMarksPerTail = 16;

/// So many spans' worth of the log waits, the one that is written among them: it is written too
/// slowly. One more is the most that there may be: with half a database's live bytes each, and the
/// database itself, that keeps what the disk holds near three times the live bytes.
constexpr uint64_t kHurriedSpans = 2;
constexpr uint64_t kWaitingSpansMax = kHurriedSpans + 1;

/// While the disk is full: what is removed is to give room soon.
constexpr Duration kIntervalWhileFull = 1s;
/// Likewise if nothing is removed any more, but the last attempt to give room back came to nothing.
constexpr Duration kGiveBackEvery = 5s;
/// Likewise if somebody read the database when it was written last, though nothing has changed
/// since: the log is cut when he has ended.
constexpr Duration kReadAgainEvery = 30s;
/// Whoever looks into the state by hand is done by then.
constexpr Duration kReadForLong = 60s;
/// Whoever looks at the alarms learns by then that somebody removes files.
constexpr Duration kRemovedLately = 600s;
/// A server on which nothing changes writes no span that would notice that its database is gone.
constexpr Duration kLookEvery = 5s;

}  // namespace

Snapshots::Snapshots(Host& host, snapshot::SpanWriter* writer, std::string genesis, uint64_t bytes,
                     uint64_t wal_bytes)
    : host_(host),
      writer_(writer),
      genesis_(std::move(genesis)),
      wal_bytes_(wal_bytes),
      taken_bytes_(bytes + wal_bytes),
      sealed_at_(host.clock.now()),
      look_at_(host.clock.now() + kLookEvery),
      slack_(bytes > 0),
      excess_(taken_bytes_ > snapshot::SnapshotStore::kSlackBytes) {
  stats_.applied = stats_.written = host.applied;
  stats_.bytes = bytes;
  marks_.push_back({host.applied, 0});
}

void Snapshots::on_entry(const raft::Entry& entry) {
  if (writer_ == nullptr || stopped_) return;
  rows_.add(host_.machine.row_changes(), host_.machine.applied());
  count(entry.data.size() + raft::kEntryOverheadBytes);
  mark();
}

// The log of a state that is written no more waits for nothing.
void Snapshots::count(uint64_t log_bytes) {
  if (stopped_) return;
  log_bytes_ += log_bytes;
  total_bytes_ += log_bytes;
}

void Snapshots::mark() {
  const uint64_t step = host_.options.snapshot_log_bytes / kMarksPerTail;
  if (total_bytes_ - marks_.back().total_bytes >= step) {
    marks_.push_back({host_.applied, total_bytes_});
  }
}

// To the last mark that a snapshot on disk covers and behind which a whole tail of the log stands.
// A log that is much longer than the state is no cheaper to catch up by than a copy of the state.
// While the disk is full the log's segments are wanted more than its tail (PROMISE 12): entries
// that come alone take several times their bytes of them, so a whole tail would use up the reserve.
void Snapshots::advance_cut() {
  const uint64_t whole = host_.options.snapshot_log_bytes;
  const uint64_t roomy = std::clamp(stats_.bytes, whole / 2, whole);
  const uint64_t tail = host_.budget.full() ? whole / kMarksPerTail : roomy;
  while (marks_.size() > 1 && marks_.front().index <= stats_.applied &&
         total_bytes_ - marks_.front().total_bytes >= tail) {
    cut_through_ = marks_.front().index;
    marks_.pop_front();
  }
}

Status Snapshots::turn_end() {
  if (writer_ == nullptr) return ok_status();
  // Entries that come alone take several times their bytes of the log.
  const uint64_t padding = host_.budget.padding_bytes();
  count(padding - std::exchange(padding_bytes_, padding));
  if (Status collected = collect(); !collected.ok()) return collected;
  const bool urgent = finishing_ || waiting_bytes() >= kHurriedSpans * due_bytes();
  if (urgent != std::exchange(urgent_, urgent)) writer_->hurry(urgent);
  if (stopped_) return ok_status();
  take_back();
  look_for_it();
  if (!sealed_ && !submitted_at_ && (due() || writer_->moved())) seal();
  if (!sealed_ || submitted_at_) return ok_status();
  if (host_.node->core().log().durable() < sealed_->head.applied) return ok_status();
  submitted_at_ = host_.clock.now();
  writer_->submit(std::move(*sealed_));
  sealed_.reset();
  return ok_status();
}

// A span that finds no room: what was removed behind it may leave so little that all of it does.
void Snapshots::take_back() {
  if (!submitted_at_ || rows_.empty() || !due() || !wants_room()) return;
  std::optional<snapshot::Span> span = writer_->recall();
  if (!span) return;
  submitted_at_.reset();
  log_bytes_ += std::exchange(under_way_bytes_, 0);
  span->rows.append(std::move(rows_));
  rows_ = std::move(span->rows);
}

// A span that is under way looks by itself.
void Snapshots::look_for_it() {
  if (sealed_ || submitted_at_ || host_.clock.now() < look_at_) return;
  look_at_ = host_.clock.now() + kLookEvery;
  writer_->look();
}

void Snapshots::stop() {
  stopped_ = true;
  hurried_ = false;
  sealed_.reset();
  rows_ = {};
  log_bytes_ = under_way_bytes_ = 0;
}

Status Snapshots::collect() {
  if (!submitted_at_) return ok_status();
  const auto outcome = writer_->collect();
  if (!outcome) return ok_status();
  if (!outcome->ok()) return outcome->error();
  const snapshot::WrittenSpan& written = **outcome;
  stats_.last_taken = host_.clock.now() - *submitted_at_;
  note_speed();
  submitted_at_.reset();
  ++stats_.spans;
  stats_.rows += written.rows;
  stats_.bytes = written.database_bytes;
  span_bytes_ = 0;
  taken_bytes_ = written.disk_bytes;
  wal_bytes_ = written.durable ? written.wal_bytes : 0;
  if (written.anew) removed_at_ = host_.clock.now();
  slack_ = written.slack;
  excess_ = written.excess;
  stats_.written = written.applied;
  if (written.durable) {
    stats_.applied = written.applied;
    read_since_.reset();
  } else if (!read_since_) {
    read_since_ = host_.clock.now();
  }
  advance_cut();
  return ok_status();
}

// A span of little tells nothing: most of its time is that of its syncs.
void Snapshots::note_speed() {
  const uint64_t bytes = std::exchange(under_way_bytes_, 0);
  const double seconds = std::chrono::duration<double>(stats_.last_taken).count();
  if (bytes < host_.options.snapshot_log_bytes / kMarksPerTail || seconds <= 0) return;
  stats_.log_bytes_s = static_cast<double>(bytes) / seconds;
}

uint64_t Snapshots::waiting_bytes_max() const { return kWaitingSpansMax * due_bytes(); }

double Snapshots::behind() const {
  return static_cast<double>(waiting_bytes()) / static_cast<double>(waiting_bytes_max());
}

bool Snapshots::due() const {
  if (rows_.empty()) {
    return has_slack_to_give() && host_.clock.now() - sealed_at_ >= give_back_every();
  }
  const double due = part_of_a_period() * static_cast<double>(due_bytes());
  return hurried_ || static_cast<double>(log_bytes_) >= due ||
         host_.clock.now() - sealed_at_ >= interval();
}

// All servers log the same: those that were started together would all write at the same time, and
// a quorum could not pass by the one that is busy. So each is a part of a period ahead of the next
// one from its first span on.
double Snapshots::part_of_a_period() const {
  if (sealed_before_) return 1;
  const raft::ConfigurationLog& log = host_.node->core().configurations();
  const std::vector<NodeId>& voters = log.placed_at(host_.applied).configuration.voters;
  const auto at = std::find(voters.begin(), voters.end(), host_.options.self);
  if (at == voters.end()) return 1;
  return static_cast<double>(at - voters.begin() + 1) / static_cast<double>(voters.size());
}

// A cluster that refuses all writes for want of room may never change a row again: a database that
// was read when it was to shrink, or had been written before the disk was full, would keep the room
// for ever. So would one whose clients have removed all that they had, on a disk with room for
// others.
bool Snapshots::has_slack_to_give() const {
  return !stopped_ && (read_since_ || (host_.budget.full() ? slack_ : excess_));
}

Duration Snapshots::give_back_every() const {
  if (host_.budget.full()) return kGiveBackEvery;
  return read_since_ ? std::min(interval(), Duration(kReadAgainEvery)) : interval();
}

Duration Snapshots::interval() const {
  const Duration interval = host_.options.snapshot_interval;
  if (host_.budget.full()) return std::min(interval, Duration(kIntervalWhileFull));
  return std::chrono::duration_cast<Duration>(part_of_a_period() * interval);
}

// Half the live bytes bounds how often a row is written again: the disk takes a few times what the
// log takes, however large the state is.
uint64_t Snapshots::due_bytes() const {
  return std::max(host_.options.snapshot_log_bytes, stats_.bytes / 2);
}

void Snapshots::seal() {
  sealed_at_ = host_.clock.now();
  sealed_before_ = true;
  under_way_bytes_ = std::exchange(log_bytes_, 0);
  span_bytes_ = rows_.growth_bytes();
  hurried_ = false;
  snapshot::SnapshotHead head{.cluster = host_.options.cluster,
                              .node = host_.options.self,
                              .applied = host_.applied,
                              .applied_term = host_.applied_term,
                              .digest = host_.machine.digest(),
                              .written_unix_ms = host_.clock.wall_unix_ms(),
                              .genesis = genesis_};
  const auto& placed = host_.node->core().configurations().placed_at(host_.applied);
  if (placed.index) {
    head.membership = {placed.index, raft::encode_configuration(placed.configuration)};
  }
  sealed_ =
      snapshot::Span{std::exchange(rows_, {}), std::move(head), host_.budget.full(), !urgent_};
  sealed_->stays_free = host_.stays_free;
}

bool Snapshots::settled() const {
  const bool wanted = hurried_ && !stopped_ && !rows_.empty();
  return writer_ == nullptr || (!wanted && !sealed_ && !submitted_at_) || obstacle();
}

Instant Snapshots::next_wakeup() const {
  if (writer_ == nullptr || sealed_ || submitted_at_) return Instant::max();
  if (stopped_) return Instant::max();
  if (!rows_.empty()) return hurried_ ? sealed_at_ : std::min(look_at_, sealed_at_ + interval());
  return has_slack_to_give() ? std::min(look_at_, sealed_at_ + give_back_every()) : look_at_;
}

// What was held up when the writing stopped, and is under way no more, will never be tried again.
std::optional<Error> Snapshots::held_up() const {
  const bool over = stopped_ && !submitted_at_;
  return writer_ == nullptr || over ? std::nullopt : writer_->obstacle();
}

std::optional<std::string> Snapshots::obstacle() const {
  const auto obstacle = held_up();
  return obstacle ? std::optional(obstacle->message) : std::nullopt;
}

std::optional<Duration> Snapshots::read_for() const {
  if (!read_since_ || stopped_) return std::nullopt;
  const Duration since = host_.clock.now() - *read_since_;
  return since < kReadForLong ? std::nullopt : std::optional(since);
}

std::optional<Duration> Snapshots::removed_for() const {
  if (!removed_at_ || stopped_) return std::nullopt;
  const Duration since = host_.clock.now() - *removed_at_;
  return since < kRemovedLately ? std::optional(since) : std::nullopt;
}

uint64_t Snapshots::room_wanted() const {
  const uint64_t gathered = span_bytes_ + rows_.growth_bytes();
  const uint64_t wal = stats_.bytes + gathered;
  return wal - std::min(wal, wal_bytes_) + gathered;
}

bool Snapshots::wants_room() const {
  const auto obstacle = held_up();
  return obstacle && obstacle->code == ErrorCode::kNoSpace;
}

}  // namespace holdfast::server
