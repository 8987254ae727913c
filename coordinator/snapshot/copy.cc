#include "coordinator/snapshot/copy.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "coordinator/snapshot/loader.h"

namespace holdfast::snapshot {
namespace {

/// Nothing is lost with a copy: no journal, no sync.
constexpr const char* kCopySettings = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;";

Result<SnapshotHead> copy_database(const std::string& from, const std::string& to,
                                   const std::string& vfs, Database::Mode mode) {
  auto source = Database::open(from, mode, vfs);
  if (!source.ok()) return source.error();
  auto target = Database::open(to, Database::Mode::kModify, vfs);
  if (!target.ok()) return target.error();
  if (Status set = target->run(kCopySettings); !set.ok()) return set.error();
  if (Status copied = target->copy_from(*source); !copied.ok()) return copied.error();
  return read_head(*target);
}

Status sum_up(raft::FileSystem& files, SnapshotCopy& copy) {
  auto file = files.open(copy.path, raft::OpenMode::kRead);
  if (!file) return file.error().to_error();
  PieceSum sum;
  std::string piece(PieceSum::kPieceBytes, '\0');
  for (;;) {
    auto read = (*file)->read(copy.bytes, piece.data(), piece.size());
    if (!read) return read.error().to_error();
    const size_t size = read.value();
    if (size == 0) break;
    sum.add({piece.data(), size});
    copy.bytes += size;
  }
  copy.sum = sum.value();
  return ok_status();
}

Result<SnapshotCopy> make(raft::FileSystem& files, const std::string& from, const std::string& to,
                          const std::string& vfs, Database::Mode mode) {
  if (Status gone = remove_database(files, to); !gone.ok()) return gone.error();
  // SQLite would make the file for everybody to read.
  if (auto made = files.open(to, raft::OpenMode::kCreate); !made) return made.error().to_error();
  auto head = copy_database(from, to, vfs, mode);
  if (!head.ok()) return head.error();
  SnapshotCopy copy{.path = to, .head = std::move(*head)};
  if (Status summed = sum_up(files, copy); !summed.ok()) return summed.error();
  return copy;
}

}  // namespace

void PieceSum::add(std::string_view piece) { value_ = checksum64(piece, value_); }

Result<SnapshotCopy> make_copy(raft::FileSystem& files, const std::string& from,
                               const std::string& to, const std::string& vfs, Database::Mode mode) {
  auto copy = make(files, from, to, vfs, mode);
  if (!copy.ok()) {
    // The first error is what matters; what cannot be removed now goes with the next start.
    [[maybe_unused]] const Status removed = remove_database(files, to);
  }
  return copy;
}

Result<std::string> read_piece(raft::FileSystem& files, const SnapshotCopy& copy, uint64_t offset) {
  auto file = files.open(copy.path, raft::OpenMode::kRead);
  if (!file) return file.error().to_error();
  std::string piece(std::min(PieceSum::kPieceBytes, copy.bytes - offset), '\0');
  auto read = (*file)->read(offset, piece.data(), piece.size());
  if (!read) return read.error().to_error();
  if (read.value() != piece.size()) {
    return Error{ErrorCode::kCorrupt, copy.path + ": ends at " +
                                          std::to_string(offset + read.value()) + ", not at " +
                                          std::to_string(copy.bytes)};
  }
  return piece;
}

Status remove_file(raft::FileSystem& files, const std::string& path) {
  auto there = files.exists(path);
  if (!there) return there.error().to_error();
  if (!*there) return ok_status();
  if (auto gone = files.unlink(path); !gone) return gone.error().to_error();
  return ok_status();
}

Status remove_database(raft::FileSystem& files, const std::string& path) {
  if (Status gone = remove_file(files, path); !gone.ok()) return gone;
  return remove_companions(files, path);
}

Status remove_companions(raft::FileSystem& files, const std::string& path) {
  for (const char* companion : kCompanions) {
    if (Status gone = remove_file(files, path + companion); !gone.ok()) return gone;
  }
  return ok_status();
}

}  // namespace holdfast::snapshot
