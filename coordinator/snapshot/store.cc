#include "coordinator/snapshot/store.h"

#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::snapshot {
namespace {

constexpr const char* kCurrent = "CURRENT";
constexpr std::string_view kPrefix = "state-";
constexpr std::string_view kSuffix = ".db";
constexpr std::string_view kDamaged = ".damaged";
constexpr uint64_t kCurrentBytesMax = 256;
/// SQLite's own files of a database.
constexpr const char* kCompanions[] = {"-wal", "-shm", "-journal"};

std::string name_of(uint64_t number) {
  return std::string(kPrefix) + std::to_string(number) + std::string(kSuffix);
}

/// The N of state-N.db, with whatever follows it; zero if the name is no such.
uint64_t number_in(std::string_view name) {
  if (!name.starts_with(kPrefix)) return 0;
  uint64_t number = 0;
  const char* const first = name.data() + kPrefix.size();
  const char* const last = name.data() + name.size();
  const auto read = std::from_chars(first, last, number);
  const std::string_view rest(read.ptr, static_cast<size_t>(last - read.ptr));
  return read.ec == std::errc{} && rest.starts_with(kSuffix) ? number : 0;
}

bool is_name(std::string_view name) {
  return number_in(name) != 0 && name == name_of(number_in(name));
}

Status to_status(const raft::IoStatus& done) {
  if (!done) return done.error().to_error();
  return ok_status();
}

}  // namespace

Result<std::unique_ptr<SnapshotStore>> SnapshotStore::open(raft::FileSystem& files,
                                                           const std::string& directory,
                                                           const std::string& vfs) {
  std::unique_ptr<SnapshotStore> store(new SnapshotStore(files, directory, vfs));
  if (Status read = store->read_current(); !read.ok()) return read.error();
  if (Status removed = store->remove_leftovers(); !removed.ok()) return removed.error();
  return store;
}

Status SnapshotStore::read_current() {
  const std::string path = directory_ + "/" + kCurrent;
  auto there = files_.exists(path);
  if (!there) return there.error().to_error();
  if (!*there) return ok_status();
  auto text = raft::read_file(files_, path, kCurrentBytesMax);
  if (!text) return text.error().to_error();
  std::string name = std::move(*text);
  if (name.ends_with('\n')) name.pop_back();
  if (!is_name(name)) {
    return Error{ErrorCode::kCorrupt, path + ": it must name a database as state-N.db"};
  }
  auto database = files_.exists(directory_ + "/" + name);
  if (!database) return database.error().to_error();
  if (!*database) {
    return Error{ErrorCode::kCorrupt, path + ": it names " + name + ", which is not there"};
  }
  current_ = name;
  return ok_status();
}

// A database that was begun when the process ended, or one that another had replaced.
Status SnapshotStore::remove_leftovers() {
  auto names = files_.list(directory_);
  if (!names) return names.error().to_error();
  for (const std::string& name : *names) {
    const uint64_t number = number_in(name);
    if (number == 0) continue;
    next_number_ = std::max(next_number_, number + 1);
    const bool kept = !current_.empty() && name.starts_with(current_);
    if (kept || name.find(kDamaged) != std::string::npos) continue;
    if (auto gone = files_.unlink(directory_ + "/" + name); !gone) return gone.error().to_error();
  }
  return ok_status();
}

Result<SnapshotHead> SnapshotStore::load(const RowSink& sink, const LoadProgress& progress) {
  auto database = Database::open(path(), Database::Mode::kModify, vfs_);
  if (!database.ok()) return database.error();
  if (Status good = verify(*database); !good.ok()) return good.error();
  if (Status loaded = load_rows(*database, sink, progress); !loaded.ok()) return loaded.error();
  auto head = read_head(*database);
  if (!head.ok()) return head.error();
  // What can be read after kill -9 need not be on disk yet.
  auto writer = SnapshotWriter::open(path(), vfs_);
  if (!writer.ok()) return writer.error();
  if (const auto durable = checkpoint(*writer); !durable.ok()) return durable.error();
  writer_ = std::move(*writer);
  return head;
}

Status SnapshotStore::set_aside() {
  writer_.reset();
  const std::string from = path();
  if (Status gone = to_status(files_.unlink(directory_ + "/" + kCurrent)); !gone.ok()) return gone;
  for (const char* companion : kCompanions) {
    auto there = files_.exists(from + companion);
    if (!there || !*there) continue;
    if (auto moved = files_.rename(from + companion, from + std::string(kDamaged) + companion);
        !moved) {
      return moved.error().to_error();
    }
  }
  if (auto moved = files_.rename(from, from + std::string(kDamaged)); !moved) {
    return moved.error().to_error();
  }
  current_.clear();
  return to_status(files_.sync_directory(directory_));
}

Result<WrittenSpan> SnapshotStore::write(const Span& span) {
  if (empty()) {
    if (Status made = create(); !made.ok()) return made.error();
  }
  if (!writer_) {
    auto writer = SnapshotWriter::open(path(), vfs_);
    if (!writer.ok()) return writer.error();
    writer_ = std::move(*writer);
  }
  const std::vector<RowLog::Change> rows = span.rows.latest();
  if (Status written = writer_->write(rows, span.head); !written.ok()) return written.error();
  const auto durable = checkpoint(*writer_);
  if (!durable.ok()) return durable.error();
  return WrittenSpan{span.head.applied, rows.size(), database_bytes_, *durable};
}

Result<bool> SnapshotStore::checkpoint(SnapshotWriter& writer) {
  auto durable = writer.checkpoint();
  if (!durable.ok()) return durable;
  const auto bytes = writer.database_bytes();
  if (!bytes.ok()) return bytes.error();
  database_bytes_ = *bytes;
  return durable;
}

// The empty database is durable before CURRENT names it.
Status SnapshotStore::create() {
  const std::string name = name_of(next_number_++);
  auto writer = SnapshotWriter::create(files_, directory_ + "/" + name, vfs_);
  if (!writer.ok()) return writer.error();
  if (const auto durable = writer->checkpoint(); !durable.ok()) return durable.error();
  if (Status switched = switch_to(name); !switched.ok()) return switched;
  writer_ = std::move(*writer);
  return ok_status();
}

Status SnapshotStore::switch_to(const std::string& name) {
  if (auto synced = files_.sync_directory(directory_); !synced) return synced.error().to_error();
  if (auto set = raft::replace_file(files_, directory_, kCurrent, name + "\n"); !set) {
    return set.error().to_error();
  }
  current_ = name;
  return ok_status();
}

}  // namespace holdfast::snapshot
