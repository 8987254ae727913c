#include "raft/storage/room.h"

#include <algorithm>
#include <utility>

namespace holdfast::raft {
namespace {

/// Sizes of the reserve are multiples of it, so that it does not change with every span.
constexpr uint64_t kMiB = uint64_t{1} << 20;
/// SQLite's shared memory, a process id, CURRENT.
constexpr uint64_t kStartBytes = 4 * kMiB;

/// While one is filled the next may be begun.
constexpr uint64_t kSegmentsBetweenLooks = 2;

uint64_t rounded_up(uint64_t bytes) { return (bytes + kMiB - 1) / kMiB * kMiB; }

std::string reserve_path(const std::string& directory) {
  return directory + "/" + RoomKeeper::kFileName;
}

}  // namespace

const char* room_state_name(DiskRoom::State state) {
  switch (state) {
    case DiskRoom::State::kOk:
      return "ok";
    case DiskRoom::State::kLow:
      return "low";
    case DiskRoom::State::kFull:
      return "full";
  }
  return "unknown";
}

// What its files have taken since was free at the last look, and is so no longer: counted as free
// it would be spent twice, on the database that has grown and on the next span.
uint64_t DiskRoom::snapshot_bytes(uint64_t taken) const {
  const uint64_t spoken_for =
      wanted_bytes() + log_bytes + taken - std::min(taken, snapshot_taken_bytes);
  return reserve_bytes + free_bytes - std::min(free_bytes, spoken_for);
}

RoomKeeper::RoomKeeper(FileSystem& files, LogStore& log, RoomOptions options, Instant now)
    : files_(files),
      log_(log),
      options_(std::move(options)),
      snapshot_{options_.snapshot_bytes, taken_} {
  room_.path = options_.directory;
  // step() tells of what fails. What is held need not be left free besides: a start takes a segment
  // before the first step may be over.
  [[maybe_unused]] const auto opened = open_reserve();
  [[maybe_unused]] const auto free = ask_free();
  judge(now);
  log_.preparer().set_permit([this](uint64_t bytes) { return begin_segment(bytes); });
}

RoomKeeper::~RoomKeeper() { log_.preparer().set_permit(nullptr); }

DiskRoom RoomKeeper::room() const {
  const std::lock_guard lock(mutex_);
  return room_;
}

void RoomKeeper::lend(bool lent) {
  const std::lock_guard lock(mutex_);
  lent_ = lent;
}

void RoomKeeper::note_snapshot(const SnapshotRoom& snapshot) {
  const std::lock_guard lock(mutex_);
  snapshot_ = snapshot;
  noted_ = true;
}

Status RoomKeeper::step(Instant now) {
  const Wanted wanted = this->wanted();
  taken_ = wanted.taken_bytes;
  auto free = ask_free();
  const IoStatus held = hold_reserve(wanted);
  reserve_missing_ = !held || reserve_too_large_;
  free = ask_free();
  if (!wanted.lent) retry_preparation(now);
  judge(now);
  if (!held && !held.error().out_of_space()) return held.error().to_error();
  return free ? ok_status() : Status(free.error().to_error());
}

IoResult<uint64_t> RoomKeeper::ask_free() {
  {
    const std::lock_guard lock(mutex_);
    begun_ = 0;
  }
  auto free = files_.free_bytes(options_.directory);
  if (free) free_ = *free;
  return free;
}

RoomKeeper::Wanted RoomKeeper::wanted() const {
  const std::lock_guard lock(mutex_);
  const uint64_t taken = snapshot_.taken_bytes;
  if (lent_ || options_.reserve_bytes == 0) return {lent_, true, 0, taken};
  return {false, noted_, options_.reserve_bytes + rounded_up(snapshot_.wanted_bytes), taken};
}

IoStatus RoomKeeper::open_reserve() {
  const std::string path = reserve_path(options_.directory);
  auto there = files_.exists(path);
  if (!there) return there.error();
  auto file = files_.open(path, *there ? OpenMode::kModify : OpenMode::kCreate);
  if (!file) return file.error();
  auto bytes = (*file)->size();
  if (!bytes) return bytes.error();
  held_ = *bytes;
  file_ = std::move(*file);
  return io_ok();
}

// The log comes first: while it lacks a segment, nothing is taken that a segment could have. What
// does not fit beside what is to stay free is not tried: for a moment it would take all that is
// free from the log's next segment and from the snapshot.
IoStatus RoomKeeper::hold_reserve(const Wanted& wanted) {
  if (file_ == nullptr) {
    if (auto done = open_reserve(); !done) return done;
  }
  if (held_ > wanted.reserve_bytes && wanted.known) {
    if (auto done = file_->truncate(wanted.reserve_bytes); !done) return done;
    held_ = wanted.reserve_bytes;
  }
  short_ = wanted.reserve_bytes - std::min(held_, wanted.reserve_bytes);
  const uint64_t part = std::min(kStepBytes, short_);
  reserve_too_large_ = part > 0 && part + options_.min_free_bytes > free_;
  if (part == 0 || reserve_too_large_ || segments_missing_) return io_ok();
  if (auto done = file_->allocate(held_, part); !done) return done;
  held_ += part;
  short_ -= part;
  return io_ok();
}

// A log that took what the snapshot needs could not be cut any more. Before the snapshot has said
// what that is, what it is likely to say counts.
bool RoomKeeper::may_take_segment(uint64_t bytes) const {
  auto free = files_.free_bytes(options_.directory);
  const std::lock_guard lock(mutex_);
  if (!free) return true;
  const uint64_t held = room_.reserve_bytes;
  const uint64_t snapshot = snapshot_.wanted_bytes - std::min(held, snapshot_.wanted_bytes);
  return !lent_ && *free >= bytes + options_.min_free_bytes + snapshot;
}

// Until the next look at the disk it is known what the log has taken of what was free then.
bool RoomKeeper::begin_segment(uint64_t bytes) {
  if (!may_take_segment(bytes)) return false;
  const std::lock_guard lock(mutex_);
  begun_ += bytes;
  room_.free_bytes -= std::min(room_.free_bytes, bytes);
  return true;
}

// A segment that does not fit is not begun: its zeros would be written and given back, again and
// again. A quota is not seen in what is free, so the attempts become rarer. Not while the reserve
// is lent: what is free then is the snapshot's, by which the log is cut.
void RoomKeeper::retry_preparation(Instant now) {
  const SegmentPreparer& preparer = log_.preparer();
  if (preparer.ready() == preparer.ahead()) {
    segments_missing_ = false;
    retry_after_ = kRetryMin;
  } else if (preparer.out_of_space()) {
    segments_missing_ = true;
    if (now < retry_at_ || !may_take_segment(preparer.segment_bytes())) return;
    retry_at_ = now + retry_after_;
    retry_after_ = std::min(retry_after_ * 2, Duration(kRetryMax));
    log_.retry_preparation();
  }
}

std::string RoomKeeper::missing() const {
  if (segments_missing_) return "the log's next segments";
  if (lent_) return "the snapshot but the reserve";
  if (reserve_missing_) return "the reserve";
  return {};
}

// What it takes to come back is more than what it takes to stay, so that the state does not flap.
void RoomKeeper::judge(Instant now) {
  const std::lock_guard lock(mutex_);
  const uint64_t min = options_.min_free_bytes;
  const auto raised = [&](uint64_t mark, DiskRoom::State at) {
    return room_.state >= at ? mark + mark / 4 : mark;
  };
  room_.free_bytes = free_ - std::min(free_, begun_);
  room_.reserve_bytes = held_;
  const SegmentPreparer& preparer = log_.preparer();
  const size_t ready = std::min(preparer.ready(), preparer.ahead());
  const uint64_t lacking = segments_missing_ ? preparer.ahead() - ready : 0;
  room_.snapshot_taken_bytes = taken_;
  room_.reserve_short_bytes = short_;
  room_.short_bytes = short_ + lacking * preparer.segment_bytes();
  room_.log_bytes = kSegmentsBetweenLooks * preparer.segment_bytes();
  room_.missing = missing();
  DiskRoom::State state = DiskRoom::State::kOk;
  if (!room_.missing.empty() || free_ < raised(min, DiskRoom::State::kFull)) {
    state = DiskRoom::State::kFull;
  } else if (free_ < raised(2 * min, DiskRoom::State::kLow)) {
    state = DiskRoom::State::kLow;
  }
  if (room_.missing.empty()) room_.missing = "further writes";
  if (state != room_.state || room_.since == Instant()) room_.since = now;
  room_.state = state;
  room_.needed_bytes = raised(min, DiskRoom::State::kFull);
}

Status RoomKeeper::make_room_to_start(FileSystem& files, const std::string& directory) {
  const std::string path = reserve_path(directory);
  auto there = files.exists(path);
  if (!there) return there.error().to_error();
  auto free = *there ? files.free_bytes(directory) : IoResult<uint64_t>(kStartBytes);
  if (!free) return free.error().to_error();
  if (*free >= kStartBytes) return ok_status();
  auto file = files.open(path, OpenMode::kModify);
  if (!file) return file.error().to_error();
  auto bytes = (*file)->size();
  if (!bytes) return bytes.error().to_error();
  const IoStatus cut = (*file)->truncate(*bytes - std::min(*bytes, kStartBytes));
  return cut ? ok_status() : Status(cut.error().to_error());
}

}  // namespace holdfast::raft
