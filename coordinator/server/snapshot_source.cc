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
  asks_[from] = {.request = static_cast<uint64_t>(message.request),
                 .at_least = LogIndex(static_cast<uint64_t>(message.minIndex)),
                 .copy = static_cast<uint64_t>(message.copy),
                 .offset = static_cast<uint64_t>(message.offset),
                 .at = host_.clock.now()};
}

void SnapshotSource::turn_end() {
  if (ports_.background == nullptr) return;
  const Instant now = host_.clock.now();
  drop_late(now);
  answer_asks(now);
}

void SnapshotSource::drop_late(Instant now) {
  std::erase_if(asks_, [now](const auto& each) { return each.second.at + kForget <= now; });
  if (copy_ && copy_->asked_at + kIdle <= now) drop_copy();
}

void SnapshotSource::answer_asks(Instant now) {
  for (auto at = asks_.begin(); at != asks_.end();) {
    if (!serves(at->second)) {
      want_copy(at->second, now);
      ++at;
      continue;
    }
    copy_->asked_at = now;
    if (!pace_.open(now)) return;
    pace_.begin(now);
    answer(at->first, at->second);
    at = asks_.erase(at);
  }
}

/// The copy is late enough for the asker, and this log still goes on where it ends.
bool SnapshotSource::serves(const Ask& ask) const {
  return copy_ && copy_->file->head.applied >= ask.at_least &&
         copy_->file->head.applied.next() >= ports_.first_in_log();
}

void SnapshotSource::answer(NodeId to, const Ask& ask) {
  const uint64_t offset = ask.copy == copy_->id && ask.offset < copy_->file->bytes ? ask.offset : 0;
  auto piece = std::make_shared<std::optional<Result<std::string>>>();
  ports_.background->run([files = ports_.files, file = copy_->file, offset,
                          piece] { *piece = snapshot::read_piece(*files, *file, offset); },
                         [this, to, ask, copy = *copy_, offset, piece] {
                           if ((*piece)->ok())
                             return send(to, ask, copy, offset, std::move(***piece));
                           ports_.log((*piece)->error().message);
                           if (copy_ && copy_->id == copy.id) drop_copy();
                         });
}

void SnapshotSource::send(NodeId to, const Ask& ask, const Copy& copy, uint64_t offset,
                          std::string data) {
  ++stats_.pieces;
  stats_.bytes += data.size();
  peer::SnapshotPiece piece;
  piece.request = static_cast<int64_t>(ask.request);
  piece.copy = static_cast<int64_t>(copy.id);
  piece.appliedIndex = static_cast<int64_t>(copy.file->head.applied.value);
  piece.appliedTerm = static_cast<int64_t>(copy.file->head.applied_term.value);
  piece.bytes = static_cast<int64_t>(copy.file->bytes);
  piece.sum = static_cast<int64_t>(copy.file->sum);
  piece.offset = static_cast<int64_t>(offset);
  piece.data = std::move(data);
  host_.transport.send_app(to, raft::Lane::kBulk, static_cast<uint8_t>(PeerKind::kSnapshotPiece),
                           codec_.encode(piece));
}

// Two copies at once would be twice the state on disk: one that somebody still reads stays, and
// whoever needs a later one waits until it is idle.
void SnapshotSource::want_copy(const Ask& ask, Instant now) {
  if (making_ || now < not_before_ || host_.applied < ask.at_least) return;
  if (snapshots_.stats().applied < ask.at_least) return snapshots_.hurry();
  if (copy_ && serves({.at_least = LogIndex()}) && copy_->asked_at + kForget > now) return;
  make_copy();
}

void SnapshotSource::make_copy() {
  copy_.reset();
  making_ = snapshots_.stats().applied;
  ++stats_.copies;
  auto made = std::make_shared<std::optional<Result<snapshot::SnapshotCopy>>>();
  ports_.background->run(
      [files = ports_.files, from = ports_.store->path(), to = ports_.store->copy_path(),
       vfs = ports_.store->vfs(), made] { *made = snapshot::make_copy(*files, from, to, vfs); },
      [this, made] { copy_made(std::move(**made)); });
}

void SnapshotSource::copy_made(Result<snapshot::SnapshotCopy> made) {
  making_.reset();
  if (!made.ok()) {
    ports_.log("no copy of the snapshot for another server: " + made.error().message);
    not_before_ = host_.clock.now() + kPause;
    return;
  }
  copy_ = {host_.entropy.next_id(), std::make_shared<snapshot::SnapshotCopy>(std::move(*made)),
           host_.clock.now()};
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
  Instant next = copy_ ? copy_->asked_at + kIdle : Instant::max();
  for (const auto& [from, ask] : asks_) {
    next = std::min(next, ask.at + kForget);
    if (serves(ask)) next = std::min(next, pace_.opens_at());
    if (!making_ && host_.clock.now() < not_before_) next = std::min(next, not_before_);
  }
  return next;
}

std::optional<LogIndex> SnapshotSource::pinned() const {
  if (copy_) return copy_->file->head.applied;
  return making_;
}

}  // namespace holdfast::server
