// A snapshot whose files somebody removes, replaces or writes to while a server has them open.
#include <utility>

#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/store.h"

namespace holdfast::snapshot {
namespace {

constexpr uint64_t kNameBytesMax = 256;

bool same_state(const SnapshotHead& a, const SnapshotHead& b) {
  return a.applied == b.applied && a.applied_term == b.applied_term && a.digest == b.digest;
}

Error moved_from(const std::string& path) {
  return {ErrorCode::kOverloaded,
          path + " is not what was written there: somebody has removed or replaced it"};
}

}  // namespace

// A received state is open nowhere else, by which it could be read and written anew.
Status SnapshotStore::open_writer() {
  if (writer_) return ok_status();
  const InForce original = in_force();
  if (!lies_there(original)) return moved_from(path());
  auto writer = SnapshotWriter::open(path(), writers_vfs_);
  if (!writer.ok()) return writer.error();
  if (!lies_there(original)) return moved_from(path());
  writer_ = std::move(*writer);
  note_wal();
  return ok_status();
}

bool SnapshotStore::has_moved() {
  return writer_ && (writer_->has_moved() || !wal_is_there() || !is_named());
}

// What the disk does not tell is taken to be as it was: whoever needs it meets the same error. Who
// opens the database without its "-wal" makes another one.
bool SnapshotStore::wal_is_there() const {
  const std::string path = this->path() + kWal;
  auto there = files_.exists(path);
  if (!there || !*there) return !there;
  return serves_one_thread() || in_force().wal == identity_of(path);
}

bool SnapshotStore::is_named() const {
  const std::string current = directory_ + "/CURRENT";
  auto there = files_.exists(current);
  if (!there || !*there) return !there;
  auto text = raft::read_file(files_, current, kNameBytesMax);
  return !text || *text == current_ || *text == current_ + "\n";
}

Status SnapshotStore::make_directory() {
  auto there = files_.exists(directory_);
  if (there && *there) return ok_status();
  if (auto made = files_.create_directory(directory_); !made) return made.error().to_error();
  const std::string parent = directory_.substr(0, directory_.find_last_of('/'));
  if (auto synced = files_.sync_directory(parent); !synced) return synced.error().to_error();
  return ok_status();
}

// One that was written anew before it could be opened is followed by the one in force.
Result<SnapshotCopy> SnapshotStore::copy_in_force() const {
  for (;;) {
    const InForce original = in_force();
    auto copy = copy_of(original);
    if (copy.ok() || in_force().name == original.name) return copy;
  }
}

// A database can be opened by its path alone, and there may lie what somebody has put there. It is
// not even to be opened then: SQLite would take the "-wal" beside it for its own, and if there is
// none it would make one. What others have written into the file is told by its head.
Result<SnapshotCopy> SnapshotStore::copy_of(const InForce& original) const {
  const std::string from = directory_ + "/" + original.name;
  const Error moved = moved_from(from);
  if (!lies_there(original)) return moved;
  auto copy = make_copy(files_, from, copy_path(), writers_vfs_);
  const bool ours = lies_there(original) || in_force().name != original.name;
  if (ours && (!copy.ok() || may_have_held(copy->head, original))) return copy;
  const Status gone = remove_database(files_, copy_path());
  return gone.ok() ? moved : gone.error();
}

// It leaves nothing to keep: the rest of it is worth nothing alone. A start that found neither
// CURRENT nor anything set aside would take the log for damaged.
Status SnapshotStore::remember_removed(const std::string& path) {
  const std::string mark = path + std::string(kRemoved);
  const auto bytes = bytes_of_file(files_, mark);
  if (!bytes.ok()) return bytes.error();
  if (*bytes > 0) {
    return Error{ErrorCode::kCorrupt, mark + ": an empty file of this name is to say that " + path +
                                          " was removed, but somebody's is there: move it away"};
  }
  if (auto told = files_.open(mark, raft::OpenMode::kCreate); !told) return told.error().to_error();
  anything_set_aside_ = true;
  return remove_companions(files_, path);
}

/// Of state-N.db. What somebody has given such a name has bytes, and is none of ours.
Result<bool> SnapshotStore::says_removed(const std::string& database) const {
  const std::string mark = directory_ + "/" + database + std::string(kRemoved);
  auto there = files_.exists(mark);
  if (!there) return there.error().to_error();
  if (!*there) return false;
  const auto bytes = bytes_of_file(files_, mark);
  return bytes.ok() ? Result<bool>(*bytes == 0) : bytes.error();
}

void SnapshotStore::name_current(const std::string& name) {
  const std::string path = directory_ + "/" + name;
  const auto file = name.empty() ? std::nullopt : identity_of(path);
  const auto wal = name.empty() ? std::nullopt : identity_of(path + kWal);
  const std::lock_guard lock(mutex_);
  current_ = name;
  file_ = file;
  wal_ = wal;
}

// A process before this one may have left it, or somebody who reads: he takes it with him.
void SnapshotStore::forget_wal() {
  const std::lock_guard lock(mutex_);
  wal_.reset();
}

// Which file the database is stays as it was known: what lies there now may be a stranger's.
void SnapshotStore::note_wal() {
  const auto wal = identity_of(path() + kWal);
  const std::lock_guard lock(mutex_);
  wal_ = wal;
}

SnapshotStore::InForce SnapshotStore::in_force() const {
  const std::lock_guard lock(mutex_);
  return {current_, file_, wal_, holds_};
}

/// As far as that can be known: the disk of a test numbers no files, and what it does not tell is
/// taken to be as it was. As long as this store has written nothing there is no "-wal" that could
/// be missed, and what readers make is nobody's loss.
bool SnapshotStore::lies_there(const InForce& original) const {
  const std::string path = directory_ + "/" + original.name;
  if (serves_one_thread()) {
    auto there = files_.exists(path);
    return !there || *there;
  }
  return original.file && identity_of(path) == original.file &&
         (!original.wal || identity_of(path + kWal) == original.wal);
}

/// In the time since.
bool SnapshotStore::may_have_held(const SnapshotHead& head, const InForce& original) const {
  const std::lock_guard lock(mutex_);
  const auto& before = original.holds;
  if (!before) return true;
  if (head.cluster != before->cluster || head.applied < before->applied) return false;
  if (head.applied == before->applied) return same_state(head, *before);
  return head.applied < becomes_->applied || same_state(head, *becomes_);
}

}  // namespace holdfast::snapshot
