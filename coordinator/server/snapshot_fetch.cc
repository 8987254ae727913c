#include "coordinator/server/snapshot_fetch.h"

#include <algorithm>
#include <utility>

#include "base/byte_text.h"
#include "coordinator/server/host.h"

namespace holdfast::server {
namespace {

/// What a piece of work leaves for the loop thread.
template <class T>
using Outcome = std::shared_ptr<std::optional<T>>;

template <class T>
Outcome<T> no_outcome() {
  return std::make_shared<std::optional<T>>();
}

snapshot::ArrivingCopy copy_of(NodeId sender, const peer::SnapshotPiece& piece) {
  return {.sender = sender,
          .id = static_cast<uint64_t>(piece.copy),
          .bytes = static_cast<uint64_t>(piece.bytes),
          .sum = static_cast<uint64_t>(piece.sum),
          .applied = LogIndex(static_cast<uint64_t>(piece.appliedIndex))};
}

/// It becomes the database at `path` last: until then another process would go on with it.
Result<StoredState> verify_and_load(snapshot::ReceivedFile& file, uint64_t sum,
                                    const StoredStateQuestion& question, const std::string& path,
                                    const std::string& vfs) {
  if (Status whole = file.finish(sum); !whole.ok()) return whole.error();
  auto state = load_received_state(question, file.path(), vfs);
  if (!state.ok()) return state;
  if (Status named = file.become(path); !named.ok()) return named.error();
  return state;
}

}  // namespace

SnapshotFetch::SnapshotFetch(SnapshotFetchPorts ports) : ports_(std::move(ports)) { find_part(); }

// The names of a directory with a dozen files. If they cannot be read the next file that is written
// there will tell.
void SnapshotFetch::find_part() {
  const auto found = snapshot::find_part(ports_.files, directory());
  if (found.ok()) part_ = *found;
  if (part_) part_until_ = ports_.clock.now() + kKeepPart;
}

void SnapshotFetch::begin(NodeId from, LogIndex at_least) {
  const Instant now = ports_.clock.now();
  const bool silent = run_ && run_->request != 0 && now >= run_->piece_at + kTurnAway;
  if (silent && !asks(from)) {
    give_up("it sends nothing, and node " + std::to_string(from.value) + " offers its state");
  }
  if (run_ || staged_ || now < not_before_) return;
  run_ = Run{.from = from,
             .asked = {from},
             .at_least = at_least,
             .number = ++last_run_,
             .heard_at = now,
             .piece_at = now};
  ++stats_.started;
  ports_.question.log("asking node " + std::to_string(from.value) + " for its state at revision " +
                      std::to_string(at_least.value) + " or later");
  // Only who sent it has that copy.
  if (part_ && (part_->sender != from || part_->applied < at_least)) discard();
  if (const auto part = std::exchange(part_, std::nullopt)) return resume(*part);
  ask();
}

// Nothing is asked for before it is known how far it had come.
void SnapshotFetch::resume(const snapshot::ArrivingCopy& part) {
  run_->copy = part;
  run_->file = file_of(part);
  auto outcome = no_outcome<Status>();
  ports_.background.run([file = run_->file, outcome] { *outcome = file->reopen(); },
                        [this, number = run_->number, outcome] { reopened(number, **outcome); });
}

void SnapshotFetch::reopened(uint64_t run, const Status& done) {
  if (!run_ || run_->number != run) return;
  if (!done.ok()) return abandon(done.error().message);
  run_->offset = run_->file->bytes();
  // The source is given up for what it says from now on.
  run_->heard_at = run_->piece_at = ports_.clock.now();
  if (run_->offset == 0) {
    run_->copy = {};  // any copy will do
    return ask();
  }
  const uint64_t whole = run_->copy.bytes;
  if (const auto why = no_room(whole - run_->offset)) return abandon(*why);
  run_->resumed = true;
  ports_.question.log("going on with the state of revision " +
                      std::to_string(run_->copy.applied.value) + ": " + byte_text(run_->offset) +
                      " of " + byte_text(whole) + " had come before this start");
  ask();
}

std::optional<std::string> SnapshotFetch::no_room(uint64_t bytes) const {
  return ports_.no_room ? ports_.no_room(bytes) : std::nullopt;
}

void SnapshotFetch::begin_any(const std::vector<NodeId>& sources, LogIndex at_least) {
  if (sources.empty()) return;
  if (run_) return ask_besides(sources);
  const bool known = part_ && std::ranges::find(sources, part_->sender) != sources.end();
  begin(known ? part_->sender : sources[stats_.abandoned % sources.size()], at_least);
}

// One that is told to wait may be told so for kCopyMax: the disk over there may be slow, or others
// read an older copy. Once something has come it is not thrown away for another's.
void SnapshotFetch::ask_besides(const std::vector<NodeId>& sources) {
  const auto patience = kAskBesides * static_cast<int64_t>(run_->asked.size());
  if (run_->sends || run_->request == 0 || ports_.clock.now() < run_->piece_at + patience) return;
  for (size_t i = 0; i < sources.size(); ++i) {
    const NodeId source = sources[(stats_.abandoned + i) % sources.size()];
    if (asks(source)) continue;
    ports_.question.log("asking node " + std::to_string(source.value) +
                        " for its state, too: node " + std::to_string(run_->from.value) +
                        " has no copy yet");
    run_->asked.push_back(source);
    return ask_of(source);
  }
}

bool SnapshotFetch::asks(NodeId node) const {
  return run_ && std::ranges::find(run_->asked, node) != run_->asked.end();
}

// Asked again, the question keeps its number: an answer to the first that is long on its way will
// do.
void SnapshotFetch::ask() {
  if (run_->request == 0) run_->request = ports_.entropy.next_id();
  run_->asked_at = ports_.clock.now();
  for (const NodeId source : run_->asked) ask_of(source);
}

void SnapshotFetch::ask_of(NodeId source) {
  peer::SnapshotAsk message;
  message.request = static_cast<int64_t>(run_->request);
  message.minIndex = static_cast<int64_t>(run_->at_least.value);
  message.copy = static_cast<int64_t>(run_->copy.id);
  message.offset = static_cast<int64_t>(run_->offset);
  ports_.transport.send_app(source, raft::Lane::kControl,
                            static_cast<uint8_t>(PeerKind::kSnapshotAsk), codec_.encode(message));
}

void SnapshotFetch::receive(NodeId from, std::string_view bytes) {
  peer::SnapshotPiece piece;
  if (!asks(from) || !codec_.decode(bytes, piece) || run_->request == 0 ||
      static_cast<uint64_t>(piece.request) != run_->request) {
    return;
  }
  // The copy is being made: with a large state that takes longer than a silence that tells of
  // death.
  if (piece.copy == 0) run_->heard_at = ports_.clock.now();
  if (!fits(piece)) return;
  run_->from = from;
  run_->asked = {from};
  run_->request = 0;
  run_->sends = true;
  run_->heard_at = run_->piece_at = ports_.clock.now();
  const snapshot::ArrivingCopy copy = copy_of(from, piece);
  if (copy.id != run_->copy.id) {
    // What has come of another one goes with the first piece.
    const uint64_t freed = std::min(run_->offset, copy.bytes);
    if (const auto why = no_room(copy.bytes - freed)) return abandon(*why);
    begin_copy(copy);
  }
  ++stats_.pieces;
  stats_.bytes += piece.data.size();
  write(std::move(piece.data));
}

std::shared_ptr<snapshot::ReceivedFile> SnapshotFetch::file_of(
    const snapshot::ArrivingCopy& copy) const {
  return std::make_shared<snapshot::ReceivedFile>(ports_.files,
                                                  directory() + "/" + snapshot::part_name(copy));
}

void SnapshotFetch::begin_copy(const snapshot::ArrivingCopy& copy) {
  run_->copy = copy;
  run_->resumed = false;
  run_->offset = 0;
  run_->file = file_of(copy);
}

// Only the piece that was asked for, or the first one of another copy; whole pieces, because the
// sum is over them.
bool SnapshotFetch::fits(const peer::SnapshotPiece& piece) const {
  const bool other = static_cast<uint64_t>(piece.copy) != run_->copy.id;
  const uint64_t offset = other ? 0 : run_->offset;
  const uint64_t bytes = other ? static_cast<uint64_t>(piece.bytes) : run_->copy.bytes;
  return piece.copy != 0 && piece.bytes > 0 &&
         piece.appliedIndex >= static_cast<int64_t>(run_->at_least.value) &&
         static_cast<uint64_t>(piece.offset) == offset && bytes > offset &&
         static_cast<uint64_t>(piece.bytes) == bytes &&
         piece.data.size() == std::min(snapshot::PieceSum::kPieceBytes, bytes - offset);
}

void SnapshotFetch::write(std::string data) {
  const bool first = std::exchange(run_->offset, run_->offset + data.size()) == 0;
  auto outcome = no_outcome<Status>();
  ports_.background.run(
      [file = run_->file, piece = std::move(data), first, &files = ports_.files,
       directory = directory(), outcome] {
        *outcome = first ? snapshot::remove_parts(files, directory) : ok_status();
        if ((*outcome)->ok()) *outcome = file->append(piece);
      },
      [this, number = run_->number, outcome] { written(number, **outcome); });
}

void SnapshotFetch::written(uint64_t run, const Status& done) {
  if (!run_ || run_->number != run) return;
  if (!done.ok()) return abandon(done.error().message);
  if (run_->offset < run_->copy.bytes) return ask();
  finish();
}

void SnapshotFetch::finish() {
  auto outcome = no_outcome<Result<StoredState>>();
  ports_.background.run(
      [file = run_->file, sum = run_->copy.sum, question = ports_.question, path = ports_.path,
       vfs = ports_.vfs, outcome] { *outcome = verify_and_load(*file, sum, question, path, vfs); },
      [this, number = run_->number, outcome] { loaded(number, std::move(**outcome)); });
}

void SnapshotFetch::loaded(uint64_t run, Result<StoredState> state) {
  if (!run_ || run_->number != run) return;
  if (!state.ok()) return abandon(state.error().message);
  if (state->machine->applied() < run_->at_least) {
    return abandon(ports_.path + ": is the state at revision " +
                   std::to_string(state->machine->applied().value) + ", not " +
                   std::to_string(run_->at_least.value) + " or later");
  }
  state->snapshot_bytes = run_->copy.bytes;
  stats_.resumed += run_->resumed ? 1 : 0;
  staged_ = std::move(*state);
  run_.reset();
}

void SnapshotFetch::abandon(const std::string& why) {
  give_up(why);
  not_before_ = ports_.clock.now() + kPause;
}

void SnapshotFetch::give_up(const std::string& why) {
  ports_.question.log("gave up receiving the state of node " + std::to_string(run_->from.value) +
                      ": " + why);
  ++stats_.abandoned;
  run_.reset();
  discard();
}

// At once, not when the next attempt begins: what was left on a disk without room would keep it
// full, and be counted against the room that the next attempt needs (PROMISE 12).
void SnapshotFetch::discard() {
  part_.reset();
  auto gone = no_outcome<Status>();
  ports_.background.run(
      [&files = ports_.files, path = ports_.path, directory = directory(), gone] {
        *gone = snapshot::remove_database(files, path);
        if ((*gone)->ok()) *gone = snapshot::remove_parts(files, directory);
      },
      [this, gone] {
        if (!(*gone)->ok()) ports_.question.log((*gone)->error().message);
      });
}

void SnapshotFetch::turn_end() {
  const Instant now = ports_.clock.now();
  if (part_ && now >= part_until_) discard();
  if (!run_ || run_->request == 0) return;
  if (now >= run_->heard_at + kGiveUp) return abandon("it does not answer");
  if (now >= run_->piece_at + kCopyMax) return abandon("it has no copy of its state yet");
  if (now >= run_->asked_at + kAskAgain) ask();
}

Instant SnapshotFetch::next_wakeup() const {
  const Instant next = part_ ? part_until_ : Instant::max();
  if (!run_) return not_before_ > ports_.clock.now() ? std::min(next, not_before_) : next;
  if (run_->request == 0) return Instant::max();
  return std::min(run_->heard_at + kGiveUp, run_->asked_at + kAskAgain);
}

std::optional<StoredState> SnapshotFetch::take() { return std::exchange(staged_, std::nullopt); }

std::optional<SnapshotFetchProgress> SnapshotFetch::how_far() const {
  if (!run_) return std::nullopt;
  return SnapshotFetchProgress{run_->from, run_->offset, run_->copy.bytes};
}

std::string SnapshotFetch::progress() const {
  if (!run_) return {};
  const std::string whose = "the state of node " + std::to_string(run_->from.value);
  // Before the first piece the sender makes a copy, and nobody knows how large it will be.
  const uint64_t whole = run_->copy.bytes;
  if (whole == 0) return "waiting for " + whose;
  if (run_->offset == whole) return "verifying and loading " + whose + ": " + byte_text(whole);
  return "receiving " + whose + ": " + byte_text(run_->offset) + " of " + byte_text(whole);
}

}  // namespace holdfast::server
