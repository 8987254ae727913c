#include "coordinator/server/snapshot_source.h"

#include <algorithm>
#include <utility>

namespace holdfast::server {
namespace {

/// Pieces that may go out at once after a pause.
constexpr int kBurst = 8;

Duration spacing(uint64_t bytes_a_second) {
  return Duration(std::chrono::nanoseconds(1s).count() *
                  static_cast<int64_t>(snapshot::PieceSum::kPieceBytes) /
                  static_cast<int64_t>(bytes_a_second));
}

/// A disk that is full may have room again; any other error of it is not the caller's affair.
Refusal refusal_of_disk(const Error& error) {
  const bool full = error.code == ErrorCode::kNoSpace;
  return {full ? ErrorCode::kNoSpace : ErrorCode::kInternal,
          "this server has no copy of its snapshot to give: " + error.message, false, full, 1'000};
}

}  // namespace

SnapshotSource::SnapshotSource(Host& host, PeerCodec& codec, Snapshots& snapshots,
                               SnapshotSourcePorts ports)
    : host_(host),
      codec_(codec),
      snapshots_(snapshots),
      ports_(std::move(ports)),
      pace_(spacing(host.options.snapshot_send_bytes_s), kBurst) {}

void SnapshotSource::receive(NodeId from, std::string_view bytes) {
  peer::SnapshotAsk message;
  if (ports_.background == nullptr || !codec_.decode(bytes, message)) return;
  SnapshotAsk ask{.peer = from,
                  .request = static_cast<uint64_t>(message.request),
                  .at_least = LogIndex(static_cast<uint64_t>(message.minIndex)),
                  .copy = static_cast<uint64_t>(message.copy),
                  .offset = static_cast<uint64_t>(message.offset),
                  .until = host_.clock.now() + kForget};
  const auto before = std::ranges::find(asks_, from, &SnapshotAsk::peer);
  if (before == asks_.end()) return asks_.push_back(std::move(ask));
  *before = std::move(ask);
  if (waits_for_copy(*before)) tell_to_wait(*before);
}

const snapshot::SnapshotCopy* SnapshotSource::copy(uint64_t id) const {
  return copy_ && copy_->id == id ? copy_->file.get() : nullptr;
}

size_t SnapshotSource::calls() const {
  const auto is_call = [](const SnapshotAsk& ask) { return !ask.peer; };
  return static_cast<size_t>(
      std::ranges::count_if(asks_, is_call) +
      std::ranges::count_if(reading_, [&](const auto& each) { return is_call(each.second); }));
}

void SnapshotSource::ask(SnapshotAsk ask) {
  if (ports_.background == nullptr) {
    return host_.fail(ask.call,
                      {ErrorCode::kUnsupported, "this server writes no snapshot", false, false, 0},
                      ask.sequence);
  }
  if (calls() >= kCallsMax) {
    return host_.fail(
        ask.call,
        {ErrorCode::kOverloaded,
         "this server gives its snapshot to " + std::to_string(kCallsMax) + " callers already",
         false, true, 1'000},
        ask.sequence);
  }
  asks_.push_back(std::move(ask));
}

void SnapshotSource::turn_end() {
  if (ports_.background == nullptr) return;
  const Instant now = host_.clock.now();
  drop_late(now);
  refuse_held_up();
  answer_asks(now);
  refuse_for_want_of_room();
  answer_late(now);
}

void SnapshotSource::drop_late(Instant now) {
  std::erase_if(asks_, [now](const SnapshotAsk& ask) { return ask.peer && ask.until <= now; });
  if (copy_ && copy_->asked_at + kIdle <= now) drop_copy();
}

// A disk without room, or somebody who holds the database: whoever asked should know.
void SnapshotSource::refuse_held_up() {
  const auto obstacle = snapshots_.obstacle();
  if (!obstacle || asks_.empty()) return;
  const bool full = snapshots_.wants_room();
  refuse_waiting({full ? ErrorCode::kNoSpace : ErrorCode::kOverloaded,
                  "this server cannot write its snapshot now: " + *obstacle, false, true, 1'000});
}

// A copy that took the last room would stop the log.
void SnapshotSource::refuse_for_want_of_room() {
  const auto why = std::exchange(no_room_, std::nullopt);
  if (!why) return;
  ports_.log("no copy of the snapshot for others: " + *why);
  refuse_waiting(refusal_of_disk({ErrorCode::kNoSpace, *why}));
}

void SnapshotSource::refuse_waiting(const Refusal& refusal) {
  std::erase_if(asks_, [&](const SnapshotAsk& ask) {
    if (ask.peer || serves(ask)) return false;
    host_.fail(ask.call, refusal, ask.sequence);
    return true;
  });
}

void SnapshotSource::answer_asks(Instant now) {
  for (auto at = asks_.begin(); at != asks_.end();) {
    if (!serves(*at)) {
      want_copy(*at, now);
      ++at;
      continue;
    }
    copy_->asked_at = now;
    if (!pace_.open(now)) return;
    pace_.begin(now);
    answer(std::move(*at));
    at = asks_.erase(at);
  }
}

void SnapshotSource::answer_late(Instant now) {
  std::erase_if(asks_, [&](const SnapshotAsk& ask) {
    if (ask.peer || ask.until > now) return false;
    api::SnapshotPieceResult later;
    host_.fill(later.header, ask.sequence);
    later.revision = static_cast<int64_t>(ask.at_least.value);
    host_.complete(ask.call, &later);
    return true;
  });
}

/// The copy is late enough for the asker, and for a server this log still goes on where it ends.
bool SnapshotSource::serves(const SnapshotAsk& ask) const {
  if (!copy_) return false;
  const LogIndex applied = copy_->file->head.applied;
  if (!ask.peer) return ask.copy == copy_->id || applied >= ask.at_least;
  return applied >= ask.at_least && applied.next() >= ports_.first_in_log();
}

void SnapshotSource::answer(SnapshotAsk ask) {
  const uint64_t offset = ask.copy == copy_->id && ask.offset < copy_->file->bytes ? ask.offset : 0;
  const uint64_t number = ++last_reading_;
  reading_.emplace(number, std::move(ask));
  auto piece = std::make_shared<std::optional<Result<std::string>>>();
  ports_.background->run([files = ports_.files, file = copy_->file, offset,
                          piece] { *piece = snapshot::read_piece(*files, *file, offset); },
                         [this, number, copy = *copy_, offset, piece] {
                           piece_read(number, copy, offset, std::move(**piece));
                         });
}

void SnapshotSource::piece_read(uint64_t number, const Copy& copy, uint64_t offset,
                                Result<std::string> piece) {
  const auto read = reading_.extract(number);
  if (read.empty()) return;
  const SnapshotAsk& ask = read.mapped();
  if (!piece.ok()) {
    ports_.log(piece.error().message);
    if (copy_ && copy_->id == copy.id) drop_copy();
    if (!ask.peer) host_.fail(ask.call, refusal_of_disk(piece.error()), ask.sequence);
    return;
  }
  ++stats_.pieces;
  stats_.bytes += piece->size();
  if (ask.peer) return send(ask, copy, offset, std::move(*piece));
  complete(ask, copy, offset, std::move(*piece));
}

void SnapshotSource::send(const SnapshotAsk& ask, const Copy& copy, uint64_t offset,
                          std::string data) {
  peer::SnapshotPiece piece;
  piece.request = static_cast<int64_t>(ask.request);
  piece.copy = static_cast<int64_t>(copy.id);
  piece.appliedIndex = static_cast<int64_t>(copy.file->head.applied.value);
  piece.appliedTerm = static_cast<int64_t>(copy.file->head.applied_term.value);
  piece.bytes = static_cast<int64_t>(copy.file->bytes);
  piece.sum = static_cast<int64_t>(copy.file->sum);
  piece.offset = static_cast<int64_t>(offset);
  piece.data = std::move(data);
  host_.transport.send_app(ask.peer, raft::Lane::kBulk,
                           static_cast<uint8_t>(PeerKind::kSnapshotPiece), codec_.encode(piece));
}

void SnapshotSource::complete(const SnapshotAsk& ask, const Copy& copy, uint64_t offset,
                              std::string data) {
  const snapshot::SnapshotHead& head = copy.file->head;
  if (offset == 0) {
    ports_.audit(ask.trace, "snapshotPiece copy=" + std::to_string(copy.id) +
                                " revision=" + std::to_string(head.applied.value) +
                                " bytes=" + std::to_string(copy.file->bytes));
  }
  api::SnapshotPieceResult piece;
  host_.fill(piece.header, ask.sequence);
  piece.copy = static_cast<int64_t>(copy.id);
  piece.revision = static_cast<int64_t>(head.applied.value);
  piece.term = static_cast<int64_t>(head.applied_term.value);
  piece.bytes = static_cast<int64_t>(copy.file->bytes);
  piece.sum = static_cast<int64_t>(copy.file->sum);
  piece.offset = static_cast<int64_t>(offset);
  piece.data = std::move(data);
  host_.complete(ask.call, &piece);
}

// Two copies at once would be twice the state on disk: one that somebody still reads stays, and
// whoever needs a later one waits until it is idle.
void SnapshotSource::want_copy(const SnapshotAsk& ask, Instant now) {
  if (making_ || now < not_before_ || host_.applied < ask.at_least) return;
  if (snapshots_.stats().written < ask.at_least) return snapshots_.hurry();
  if (copy_is_read(now)) return;
  no_room_ = ports_.no_room ? ports_.no_room(snapshots_.stats().bytes) : std::nullopt;
  if (!no_room_) return make_copy();
  not_before_ = now + kPause;
}

bool SnapshotSource::copy_is_read(Instant now) const {
  return copy_ && copy_->file->head.applied.next() >= ports_.first_in_log() &&
         copy_->asked_at + kForget > now;
}

/// The copy, or the span before it, is on its way to this server's disk; or it comes after an older
/// one, which is being made or read.
bool SnapshotSource::waits_for_copy(const SnapshotAsk& ask) const {
  if (making_ && *making_ >= ask.at_least) return true;
  if (host_.applied < ask.at_least) return false;
  if (snapshots_.stats().written < ask.at_least) return !snapshots_.obstacle();
  return making_.has_value() || (!serves(ask) && copy_is_read(host_.clock.now()));
}

// Whoever asks again does not give this server up for its silence, then: it would turn to others,
// which have to make their copies too, and perhaps want a later state when it comes back.
void SnapshotSource::tell_to_wait(const SnapshotAsk& ask) {
  peer::SnapshotPiece none;
  none.request = static_cast<int64_t>(ask.request);
  host_.transport.send_app(ask.peer, raft::Lane::kBulk,
                           static_cast<uint8_t>(PeerKind::kSnapshotPiece), codec_.encode(none));
}

void SnapshotSource::make_copy() {
  copy_.reset();
  making_ = snapshots_.stats().applied;
  ++stats_.copies;
  auto made = std::make_shared<std::optional<Result<snapshot::SnapshotCopy>>>();
  ports_.background->run([store = ports_.store, made] { *made = store->copy_in_force(); },
                         [this, made] { copy_made(std::move(**made)); });
}

void SnapshotSource::copy_made(Result<snapshot::SnapshotCopy> made) {
  making_.reset();
  if (!made.ok()) {
    ports_.log("no copy of the snapshot for others: " + made.error().message);
    not_before_ = host_.clock.now() + kPause;
    // Somebody holds it, or it was removed and will be written anew: whoever asks waits for that.
    if (made.error().code == ErrorCode::kOverloaded) return snapshots_.look();
    return refuse_waiting(refusal_of_disk(made.error()));
  }
  const Instant now = host_.clock.now();
  copy_ = {host_.entropy.next_id(), std::make_shared<snapshot::SnapshotCopy>(std::move(*made)),
           now};
  // Whoever is left needs a later one: nobody begins to read this one.
  const bool wanted = asks_.empty() || std::ranges::any_of(asks_, [this](const SnapshotAsk& ask) {
                        return serves(ask);
                      });
  if (!wanted) copy_->asked_at = now - kForget;
}

void SnapshotSource::drop_copy() {
  auto gone = std::make_shared<std::optional<Status>>();
  ports_.background->run([files = ports_.files, path = copy_->file->path,
                          gone] { *gone = snapshot::remove_database(*files, path); },
                         [this, gone] {
                           if (!(*gone)->ok()) ports_.log((*gone)->error().message);
                         });
  copy_.reset();
}

Instant SnapshotSource::next_wakeup() const {
  const Instant now = host_.clock.now();
  Instant next = copy_ ? copy_->asked_at + kIdle : Instant::max();
  for (const SnapshotAsk& ask : asks_) {
    next = std::min(next, ask.until);
    if (serves(ask)) next = std::min(next, pace_.opens_at());
    if (!making_ && now < not_before_) next = std::min(next, not_before_);
    if (copy_ && copy_->asked_at + kForget > now) {
      next = std::min(next, copy_->asked_at + kForget);
    }
  }
  return next;
}

std::optional<LogIndex> SnapshotSource::pinned() const {
  if (copy_) return copy_->file->head.applied;
  return making_;
}

void SnapshotSource::forget_servers() {
  std::erase_if(asks_, [](const SnapshotAsk& ask) { return bool(ask.peer); });
  std::erase_if(reading_, [](const auto& each) { return bool(each.second.peer); });
}

void SnapshotSource::shut_down() {
  const auto end = [this](const SnapshotAsk& ask) {
    if (ask.peer) return;
    host_.fail(ask.call,
               {ErrorCode::kShuttingDown, "this server is stopping; use another", false, true, 0},
               ask.sequence);
  };
  for (const SnapshotAsk& ask : std::exchange(asks_, {})) end(ask);
  for (const auto& [number, ask] : std::exchange(reading_, {})) end(ask);
}

}  // namespace holdfast::server
