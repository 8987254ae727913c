#include "coordinator/snapshot/store.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator/snapshot/anew.h"
#include "coordinator/snapshot/copy.h"
#include "coordinator/snapshot/received_file.h"
#include "coordinator/snapshot/side_thread.h"

namespace holdfast::snapshot {
namespace {

constexpr const char* kCurrent = "CURRENT";
constexpr std::string_view kPrefix = "state-";
constexpr std::string_view kSuffix = ".db";
constexpr const char* kCopy = "copy.db";
constexpr std::string_view kDamaged = ".damaged";
constexpr uint64_t kCurrentBytesMax = 256;
/// Far more than there will be; the next number is one as well.
constexpr uint64_t kNumberMax = uint64_t{1} << 62;
constexpr size_t kPieceBytes = 1 << 20;
constexpr std::chrono::milliseconds kTurnWhileWaiting{2};
/// Of the database, one part in so many must be free for it to be written anew without that.
constexpr uint64_t kFreePartToShrink = 4;
/// A database that is not full of rows, and its "-wal", may have so much beside the rows' own bytes
/// in halves of these: as a span of many rows leaves a "-wal" as large as the database.
constexpr uint64_t kExplainedHalves = 3;
/// What is written anew though the disk is not full leaves it so much beyond what it would count as
/// full for: others go on taking of it, and no client is to be refused anything because of it.
constexpr uint64_t kLeftBytes = uint64_t{256} << 20;
/// After so many attempts for which even the reserve had no room the span is done as it is.
constexpr int kShrinksWithoutRoomMax = 3;

std::string name_of(uint64_t number) {
  return std::string(kPrefix) + std::to_string(number) + std::string(kSuffix);
}

/// The N of a name that begins as state-N.db; zero if there is none.
uint64_t number_in(std::string_view name) {
  if (!name.starts_with(kPrefix)) return 0;
  uint64_t number = 0;
  const char* const first = name.data() + kPrefix.size();
  const char* const last = name.data() + name.size();
  const auto read = std::from_chars(first, last, number);
  const bool ours = read.ec == std::errc{} && number <= kNumberMax;
  return ours && name.starts_with(name_of(number)) ? number : 0;
}

bool is_name(std::string_view name) {
  return number_in(name) != 0 && name == name_of(number_in(name));
}

/// Is it `database`, or a file that SQLite keeps beside it?
bool belongs_to(std::string_view name, const std::string& database) {
  return name == database || std::any_of(std::begin(kCompanions), std::end(kCompanions),
                                         [&](const char* end) { return name == database + end; });
}

/// After a sync that failed nobody knows what is on the disk: it is no matter of waiting for room.
Error to_error(const raft::IoError& said) {
  Error error = said.to_error();
  if (said.operation == "sync") error.code = ErrorCode::kDiskFailed;
  return error;
}

Status to_status(const raft::IoStatus& done) {
  if (!done) return to_error(done.error());
  return ok_status();
}

/// What a later attempt may not meet any more.
bool passes(const Error& error) {
  return error.code == ErrorCode::kNoSpace || error.code == ErrorCode::kOverloaded;
}

/// A process that was killed, or whose sync failed, leaves bytes that are read and yet on no disk,
/// and that no later sync brings there: they are written once more.
Status write_again(raft::FileSystem& files, const std::string& path) {
  auto there = files.exists(path);
  if (!there) return to_error(there.error());
  if (!*there) return ok_status();
  auto file = files.open(path, raft::OpenMode::kModify);
  if (!file) return to_error(file.error());
  std::string piece(kPieceBytes, '\0');
  for (uint64_t at = 0;; at += piece.size()) {
    auto got = (*file)->read(at, piece.data(), piece.size());
    if (!got) return to_error(got.error());
    if (*got == 0) break;
    if (auto done = (*file)->write(at, {piece.data(), *got}); !done) return to_status(done);
  }
  return to_status((*file)->sync());
}

}  // namespace

Result<std::unique_ptr<SnapshotStore>> SnapshotStore::open(raft::FileSystem& files,
                                                           const std::string& directory,
                                                           const std::string& vfs,
                                                           const std::string& writers_vfs) {
  std::unique_ptr<SnapshotStore> store(
      new SnapshotStore(files, directory, vfs, writers_vfs.empty() ? vfs : writers_vfs));
  const auto current = store->read_current();
  if (!current.ok()) return current.error();
  if (*current == Current::kSetAside) {
    if (Status forgot = store->forget_current(); !forgot.ok()) return forgot.error();
  }
  if (Status counted = store->count_names(); !counted.ok()) return counted.error();
  // Without CURRENT there was no snapshot yet, or CURRENT was lost.
  if (!store->empty() || store->anything_set_aside_) {
    if (Status removed = store->remove_unnamed(); !removed.ok()) return removed.error();
  }
  if (Status room = store->make_room_to_start(); !room.ok()) return room.error();
  store->incoming_ = name_of(store->next_number_ + 1);
  return store;
}

Result<std::unique_ptr<SnapshotStore>> SnapshotStore::open_to_read(raft::FileSystem& files,
                                                                   const std::string& directory,
                                                                   const std::string& vfs) {
  std::unique_ptr<SnapshotStore> store(new SnapshotStore(files, directory, vfs, vfs));
  const auto current = store->read_current();
  if (!current.ok()) return current.error();
  return store;
}

bool SnapshotStore::empty() const {
  const std::lock_guard lock(mutex_);
  return current_.empty();
}

std::string SnapshotStore::path() const {
  const std::lock_guard lock(mutex_);
  return directory_ + "/" + current_;
}

void SnapshotStore::is_to_hold(const SnapshotHead& head) {
  const std::lock_guard lock(mutex_);
  becomes_ = head;
}

void SnapshotStore::holds(const SnapshotHead& head) {
  const std::lock_guard lock(mutex_);
  holds_ = becomes_ = head;
}

Result<SnapshotStore::Current> SnapshotStore::read_current() {
  const std::string path = directory_ + "/" + kCurrent;
  auto there = files_.exists(path);
  if (!there) return to_error(there.error());
  if (!*there) return Current::kInForce;
  auto text = raft::read_file(files_, path, kCurrentBytesMax);
  if (!text) return to_error(text.error());
  std::string name = std::move(*text);
  if (name.ends_with('\n')) name.pop_back();
  if (!is_name(name)) {
    return Error{ErrorCode::kCorrupt, path + ": it must name a database as state-N.db"};
  }
  auto database = files_.exists(directory_ + "/" + name);
  if (!database) return to_error(database.error());
  if (!*database) {
    auto aside = files_.exists(directory_ + "/" + name + std::string(kDamaged));
    if (!aside) return to_error(aside.error());
    auto told = says_removed(name);
    if (!told.ok()) return told.error();
    if (*aside || *told) return Current::kSetAside;
    return Error{ErrorCode::kCorrupt, path + ": it names " + name + ", which is not there"};
  }
  name_current(name);
  forget_wal();
  return Current::kInForce;
}

Status SnapshotStore::count_names() {
  auto names = files_.list(directory_);
  if (!names) return to_error(names.error());
  for (const std::string& name : *names) {
    const uint64_t number = number_in(name);
    next_number_ = std::max(next_number_, number + 1);
    const bool damaged = name == name_of(number) + std::string(kDamaged);
    const auto told = says_removed(name_of(number));
    if (!told.ok()) return told.error();
    anything_set_aside_ |= damaged || *told;
    if (damaged && number > number_in(aside_)) aside_ = name;
  }
  return ok_status();
}

// What has come of a state is worth less than a start, which needs a segment of the log.
Status SnapshotStore::make_room_to_start() {
  auto free = files_.free_bytes(directory_);
  if (!free) return to_error(free.error());
  return *free < kRoomBesideParts ? remove_parts(files_, directory_) : ok_status();
}

// A database that was begun when the process ended, one that another had replaced, a copy.
Status SnapshotStore::remove_unnamed() {
  auto names = files_.list(directory_);
  if (!names) return to_error(names.error());
  for (const std::string& name : *names) {
    if (Status removed = remove_unless_kept(name); !removed.ok()) return removed;
  }
  return ok_status();
}

Status SnapshotStore::remove_unless_kept(const std::string& name) {
  const uint64_t number = number_in(name);
  const std::string database = name_of(number);
  const bool over = !current_.empty() && name == database + std::string(kRemoved);
  const auto told = over ? says_removed(database) : Result<bool>(false);
  if (!told.ok()) return told.error();
  const bool ours =
      (number != 0 && (*told || belongs_to(name, database))) || belongs_to(name, kCopy);
  if (!ours || belongs_to(name, current_)) return ok_status();
  return to_status(files_.unlink(directory_ + "/" + name));
}

Result<SnapshotHead> SnapshotStore::head() const {
  const auto mode = mode_at_rest(files_, path());
  if (!mode.ok()) return mode.error();
  auto database = Database::open(path(), *mode, vfs_);
  if (!database.ok()) return database.error();
  return read_head(*database);
}

std::optional<SnapshotHead> SnapshotStore::head_set_aside() const {
  if (aside_.empty()) return std::nullopt;
  auto database = Database::open(directory_ + "/" + aside_, Database::Mode::kRead, vfs_);
  if (!database.ok()) return std::nullopt;
  auto head = read_head(*database);
  return head.ok() ? std::optional(std::move(*head)) : std::nullopt;
}

// What a process that was killed has left may be a whole span, and its disk a slow one.
void SnapshotStore::beside(const std::function<void()>& meanwhile,
                           const std::function<void()>& work) {
  if (serves_one_thread()) return work();
  SideThread thread(work);
  if (!thread.begun()) return work();
  while (!thread.ended_within(kTurnWhileWaiting)) meanwhile();
}

Result<SnapshotHead> SnapshotStore::load(const RowSink& sink, const LoadProgress& progress) {
  // SQLite would open a file that it may not write to be read alone.
  if (auto file = files_.open(path(), raft::OpenMode::kModify); !file) {
    return to_error(file.error());
  }
  uint64_t rows = 0;
  const auto meanwhile = [&] { progress(rows); };
  Status safe = ok_status();
  beside(meanwhile, [&] {
    safe = write_again(files_, path() + kWal);
    if (safe.ok()) safe = to_status(files_.sync_directory(directory_));
  });
  if (!safe.ok()) return safe.error();
  auto database = Database::open(path(), Database::Mode::kModify, vfs_);
  if (!database.ok()) return database.error();
  const LoadProgress counted = [&](uint64_t so_far) { progress(rows = so_far); };
  auto head = serves_one_thread() ? load_database(*database, sink, counted)
                                  : load_and_verify(*database, vfs_, sink, counted);
  if (!head.ok()) return head;
  auto writer = SnapshotWriter::open(path(), writers_vfs_);
  if (!writer.ok()) return writer.error();
  // All of it is on the disk by now, if not in the database alone: room for that may come later.
  Result<bool> durable = false;
  beside(meanwhile, [&] { durable = checkpoint(*writer); });
  if (!durable.ok() && durable.error().code != ErrorCode::kNoSpace) return durable.error();
  if (Status cut = frames_wait_ ? ok_status() : writer->cut_rest(); !cut.ok()) return cut.error();
  const auto wal = wal_bytes();
  if (!wal.ok()) return wal.error();
  wal_bytes_left_ = frames_wait_ ? 0 : *wal;
  writer_ = std::move(*writer);
  // A file of a lower layer has another number once it is open to be written.
  name_current(current_);
  holds(*head);
  return head;
}

Result<SnapshotHead> SnapshotStore::read(const RowSink& sink) const {
  const auto mode = mode_at_rest(files_, path());
  if (!mode.ok()) return mode.error();
  auto database = Database::open(path(), *mode, vfs_);
  if (!database.ok()) return database.error();
  return load_database(*database, sink, [](uint64_t) {});
}

std::string SnapshotStore::aside_path() const {
  const std::string from = path();
  auto there = files_.exists(from);
  return there && !*there ? std::string() : from + std::string(kDamaged);
}

// CURRENT goes last: what it names is either there, or there as *.damaged, which the next start
// knows (read_current). A crash leaves nothing that would be taken for a server's first start.
Status SnapshotStore::set_aside() {
  writer_.reset();
  const std::string from = path();
  const std::string to = aside_path();
  if (to.empty()) {
    const Status told = remember_removed(from);
    return told.ok() ? forget_current() : told;
  }
  if (auto moved = files_.rename(from, to); !moved) return to_error(moved.error());
  anything_set_aside_ = true;
  aside_ = current_ + std::string(kDamaged);
  for (const char* companion : kCompanions) {
    auto there = files_.exists(from + companion);
    if (!there || !*there) continue;
    if (auto moved = files_.rename(from + companion, to + companion); !moved) {
      return to_error(moved.error());
    }
  }
  return forget_current();
}

Status SnapshotStore::forget_current() {
  if (Status synced = to_status(files_.sync_directory(directory_)); !synced.ok()) return synced;
  if (Status gone = remove_file(files_, directory_ + "/" + kCurrent); !gone.ok()) return gone;
  name_current({});
  return to_status(files_.sync_directory(directory_));
}

// The one before it is gone then: what somebody has removed since it was verified replaces nothing.
Status SnapshotStore::adopt_incoming() {
  auto there = files_.exists(incoming_path());
  if (!there) return to_error(there.error());
  if (!*there) return Error{ErrorCode::kDiskFailed, incoming_path() + ": somebody has removed it"};
  const std::string before = path();
  const bool replaces = !empty();
  writer_.reset();
  if (Status switched = switch_to(incoming_); !switched.ok()) return switched;
  return replaces ? remove_database(files_, before) : ok_status();
}

Result<WrittenSpan> SnapshotStore::write(const Span& span) {
  wal_is_read_ = false;
  is_to_hold(span.head);
  auto written = empty() ? write_first(span) : write_next(span);
  if (!written.ok()) return written;
  holds(span.head);
  auto sizes = this->sizes();
  if (sizes.ok() && span.at_leisure && written->durable && is_excess(*sizes)) {
    const Status given = give_excess_back(span, *sizes);
    if (!given.ok() && !passes(given.error())) return given.error();
    sizes = this->sizes();
  }
  if (!sizes.ok()) return sizes.error();
  written->excess = is_excess(*sizes);
  written->slack =
      !written->durable || much_is_free(sizes->free) || wal_is_read_ || wal_is_large(sizes->wal);
  written->database_bytes = database_bytes_;
  written->disk_bytes = sizes->file + sizes->wal;
  // What waits in it for somebody who reads is not there to be filled anew.
  written->wal_bytes = wal_is_read_ ? 0 : sizes->wal;
  return written;
}

// What nobody needs goes back though there is room (docs/snapshots.md, "Room"). What does not come
// off now, for want of room or because somebody reads the "-wal", is tried again with a later span.
Status SnapshotStore::give_excess_back(const Span& span, const Sizes& sizes) {
  if (!much_is_free(sizes.free)) return writer_->give_wal_back();
  return rewrite(span.head, {}, kLeftBytes + span.stays_free);
}

Result<WrittenSpan> SnapshotStore::write_next(const Span& span) {
  if (Status opened = open_writer(); !opened.ok()) return opened.error();
  if (has_moved()) return write_elsewhere(span);
  auto written = write_with(*writer_, span);
  if (written.ok() && has_moved()) return write_elsewhere(span);
  const bool no_room = !written.ok() && written.error().code == ErrorCode::kNoSpace;
  return no_room ? write_anew(span, written.error()) : written;
}

// What is written to a file without a name is gone with the process, and the log would be cut for
// it. All of the state can still be read there. What lies at the old name is not this store's.
Result<WrittenSpan> SnapshotStore::write_elsewhere(const Span& span) {
  if (Status made = make_directory(); !made.ok()) return made.error();
  const std::vector<RowLog::Change> rows = span.rows.latest();
  const std::string what = path() + " was removed or replaced, and has to be written anew";
  if (Status done = rewrite(span.head, rows, 0); !done.ok()) {
    return Error{done.error().code, what + ": " + done.error().message};
  }
  return WrittenSpan{
      .applied = span.head.applied, .rows = rows.size(), .durable = !frames_wait_, .anew = true};
}

// What keys took that are removed by now, or what others have taken of the room that was reserved,
// must not hold up for ever the span that gives it back. What the attempt before this one has put
// into the "-wal" is no use to anybody.
Result<WrittenSpan> SnapshotStore::write_anew(const Span& span, const Error& obstacle) {
  const std::vector<RowLog::Change> rows = span.rows.latest();
  Status done = writer_->give_wal_back();
  if (done.ok()) {
    frames_wait_ = false;
    done = rewrite(span.head, rows, 0);
  }
  if (!done.ok()) return passes(done.error()) ? obstacle : done.error();
  return WrittenSpan{.applied = span.head.applied, .rows = rows.size(), .durable = !frames_wait_};
}

/// Puts a new database in force, and removes the one before it, if that is still there.
Status SnapshotStore::rewrite(const SnapshotHead& head, const std::vector<RowLog::Change>& rows,
                              uint64_t left_bytes) {
  const std::string before = path();
  const auto ours = replace_with(head, rows, left_bytes);
  if (!ours.ok()) return ours.error();
  if (Status gone = *ours ? remove_database(files_, before) : ok_status(); !gone.ok()) return gone;
  const auto durable = checkpoint(*writer_);
  return durable.ok() ? ok_status() : durable.error();
}

// The rows are read where they were written: at that path may lie another file by now.
Result<bool> SnapshotStore::replace_with(const SnapshotHead& head,
                                         const std::vector<RowLog::Change>& rows,
                                         uint64_t left_bytes) {
  Database& from = writer_->database();
  if (Status fits = fits_anew(from, head.applied, rows, left_bytes); !fits.ok()) {
    return fits.error();
  }
  const std::string name = name_of(std::exchange(next_number_, next_number_ + 2));
  const Status removed = remove_database(files_, directory_ + "/" + name);
  if (!removed.ok()) return removed.error();
  auto writer = SnapshotWriter::create(files_, directory_ + "/" + name, writers_vfs_);
  Status done = writer.ok() ? snapshot::write_anew(from, rows, head, *writer) : writer.error();
  if (done.ok()) done = switch_to(name);
  if (done.ok()) {
    const bool ours = !writer_->has_moved();
    writer_ = std::move(*writer);
    return ours;
  }
  writer = done.error();
  return clear_attempt(name, done.error());
}

// To write in vain would cost the disk much, again and again: so what it takes is added up first.
Status SnapshotStore::fits_anew(Database& from, LogIndex applied,
                                const std::vector<RowLog::Change>& rows, uint64_t left_bytes) {
  if (anew_at_ != applied) {
    const auto bytes = bytes_anew(from, rows);
    if (!bytes.ok()) return bytes.error();
    anew_at_ = applied;
    anew_bytes_ = *bytes;
  }
  auto free = files_.free_bytes(directory_);
  if (!free) return to_error(free.error());
  if (*free >= anew_bytes_ + left_bytes) return ok_status();
  return Error{ErrorCode::kNoSpace, "no room for a smaller database either"};
}

Result<WrittenSpan> SnapshotStore::write_first(const Span& span) {
  const std::string name = name_of(std::exchange(next_number_, next_number_ + 2));
  auto written = write_new(name, span);
  return written.ok() ? written : clear_attempt(name, written.error());
}

// What is left of an attempt takes room that the next one wants. After a failed sync it may be the
// one that CURRENT names.
Error SnapshotStore::clear_attempt(const std::string& name, const Error& why) {
  if (why.code == ErrorCode::kDiskFailed) return why;
  const Status removed = remove_database(files_, directory_ + "/" + name);
  return removed.ok() ? why : removed.error();
}

// The state is whole and durable in the new database before CURRENT names it.
// Somebody who opens a database that is not there yet makes an empty one, for everybody to read.
Result<WrittenSpan> SnapshotStore::write_new(const std::string& name, const Span& span) {
  const Status removed = remove_database(files_, directory_ + "/" + name);
  if (!removed.ok()) return removed.error();
  auto writer = SnapshotWriter::create(files_, directory_ + "/" + name, writers_vfs_);
  if (!writer.ok()) return writer.error();
  auto written = write_with(*writer, span);
  if (!written.ok()) return written;
  if (!written->durable) {
    return Error{ErrorCode::kOverloaded, directory_ + "/" + name + ": another process reads it"};
  }
  if (Status switched = switch_to(name); !switched.ok()) return switched.error();
  writer_ = std::move(*writer);
  return written;
}

// A span that was written, but not put into the database because that was locked, or because its
// file system kept no room that it had been asked for, comes again: to write it anew would take
// more of the room that is wanted.
Result<WrittenSpan> SnapshotStore::write_with(SnapshotWriter& writer, const Span& span) {
  const std::vector<RowLog::Change> rows = span.rows.latest();
  if (writer.written() != span.head.applied) {
    if (Status written = write_rows(writer, rows, span.head); !written.ok()) return written.error();
  }
  const auto durable = checkpoint(writer);
  if (!durable.ok()) return durable.error();
  if (span.shrink && *durable) {
    if (Status shrunk = shrink(writer); !shrunk.ok()) return shrunk.error();
  }
  return WrittenSpan{.applied = span.head.applied,
                     .rows = rows.size(),
                     .database_bytes = database_bytes_,
                     .durable = *durable};
}

// What stays in the "-wal" for somebody who reads it may find him gone by now: once it is in the
// database, the span for which there is no room behind it takes its place.
Status SnapshotStore::write_rows(SnapshotWriter& writer, const std::vector<RowLog::Change>& rows,
                                 const SnapshotHead& head) {
  Status written = writer.write(rows, head);
  const bool no_room = !written.ok() && written.error().code == ErrorCode::kNoSpace;
  if (!no_room || !frames_wait_) return written;
  const auto folded = checkpoint(writer);
  if (!folded.ok()) return folded.error();
  return *folded ? writer.write(rows, head) : written;
}

// An obstacle makes the span come again, and for want of room the reserve is lent to it. Somebody
// who reads is not waited for: what the database has to give then stays for a later span.
Status SnapshotStore::shrink(SnapshotWriter& writer) {
  const auto wal = wal_bytes();
  if (!wal.ok()) return wal.error();
  Status shrunk = give_back(writer, *wal);
  const bool no_room = !shrunk.ok() && shrunk.error().code == ErrorCode::kNoSpace;
  if (no_room && ++shrinks_without_room_ < kShrinksWithoutRoomMax) return shrunk;
  shrinks_without_room_ = 0;
  wal_is_read_ = !shrunk.ok() && shrunk.error().code == ErrorCode::kOverloaded;
  if (!shrunk.ok() && !no_room && !wal_is_read_) return shrunk;
  const auto bytes = writer.database_bytes();
  if (!bytes.ok()) return bytes.error();
  database_bytes_ = *bytes;
  return ok_status();
}

Status SnapshotStore::give_back(SnapshotWriter& writer, uint64_t wal_bytes) {
  const auto free = writer.free_bytes();
  if (!free.ok()) return free.error();
  if (much_is_free(*free)) return writer.shrink();
  return wal_is_large(wal_bytes) ? writer.give_wal_back() : ok_status();
}

// Readers may have let it grow over many spans, and it never shrinks by itself.
bool SnapshotStore::wal_is_large(uint64_t wal_bytes) const {
  return wal_bytes > database_bytes_ + database_bytes_ / kFreePartToShrink;
}

bool SnapshotStore::much_is_free(uint64_t free_bytes) const {
  return free_bytes >= database_bytes_ / kFreePartToShrink;
}

// To write all rows anew costs twice their bytes: it is paid by the removed rows, of which there
// must be as many again before it happens once more.
bool SnapshotStore::is_excess(const Sizes& sizes) const {
  const uint64_t rows = database_bytes_ - std::min(database_bytes_, sizes.free);
  return sizes.free + sizes.wal > rows * kExplainedHalves / 2 + slack_bytes_;
}

Result<SnapshotStore::Sizes> SnapshotStore::sizes() {
  const auto file = writer_->file_bytes();
  if (!file.ok()) return file.error();
  const auto free = writer_->free_bytes();
  if (!free.ok()) return free.error();
  const auto wal = wal_bytes();
  if (!wal.ok()) return wal.error();
  return Sizes{*file, *free, *wal};
}

Result<uint64_t> SnapshotStore::bytes_at_rest() const {
  return empty() ? Result<uint64_t>(uint64_t{0}) : bytes_of_file(files_, path());
}

Result<uint64_t> SnapshotStore::wal_bytes() const { return bytes_of_file(files_, path() + kWal); }

Result<bool> SnapshotStore::checkpoint(SnapshotWriter& writer) {
  auto durable = writer.checkpoint();
  frames_wait_ = !durable.ok() || !*durable;
  if (!durable.ok()) return durable;
  const auto bytes = writer.database_bytes();
  if (!bytes.ok()) return bytes.error();
  database_bytes_ = *bytes;
  return durable;
}

Status SnapshotStore::switch_to(const std::string& name) {
  if (Status synced = to_status(files_.sync_directory(directory_)); !synced.ok()) return synced;
  Status set = to_status(raft::replace_file(files_, directory_, kCurrent, name + "\n"));
  if (set.ok()) name_current(name);
  return set;
}

}  // namespace holdfast::snapshot
