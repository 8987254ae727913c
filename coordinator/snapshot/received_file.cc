#include "coordinator/snapshot/received_file.h"

#include <array>
#include <charconv>

#include "coordinator/snapshot/paced_vfs.h"

namespace holdfast::snapshot {
namespace {

constexpr std::string_view kBegin = "received-";
constexpr std::string_view kEnd = ".part";

}  // namespace

std::string part_name(const ArrivingCopy& copy) {
  std::string name(kBegin);
  for (const uint64_t number : {copy.sender.value, copy.id, copy.bytes, copy.sum}) {
    name += std::to_string(number) + "-";
  }
  return name + std::to_string(copy.applied.value) + std::string(kEnd);
}

std::optional<ArrivingCopy> copy_in(std::string_view name) {
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return std::nullopt;
  std::array<uint64_t, 5> numbers{};
  const char* at = name.data() + kBegin.size();
  for (uint64_t& number : numbers) {
    const auto read = std::from_chars(at, name.data() + name.size(), number);
    if (read.ec != std::errc()) return std::nullopt;
    at = read.ptr + 1;  // what stands there is looked at below
  }
  const ArrivingCopy copy{.sender = NodeId(numbers[0]),
                          .id = numbers[1],
                          .bytes = numbers[2],
                          .sum = numbers[3],
                          .applied = LogIndex(numbers[4])};
  const bool could_be = copy.id != 0 && part_name(copy) == name;
  return could_be ? std::optional(copy) : std::nullopt;
}

// After a power loss one that was removed may be there again.
Result<std::optional<ArrivingCopy>> find_part(raft::FileSystem& files,
                                              const std::string& directory) {
  auto names = files.list(directory);
  if (!names) return names.error().to_error();
  std::optional<ArrivingCopy> latest;
  for (const std::string& name : *names) {
    const auto copy = copy_in(name);
    if (copy && (!latest || latest->applied < copy->applied)) latest = copy;
  }
  return latest;
}

Status remove_parts(raft::FileSystem& files, const std::string& directory) {
  auto names = files.list(directory);
  if (!names) return names.error().to_error();
  for (const std::string& name : *names) {
    if (!copy_in(name)) continue;
    std::string path = directory;
    path.append("/").append(name);
    if (Status gone = remove_companions(files, path); !gone.ok()) return gone;
    if (Status gone = remove_database(files, path); !gone.ok()) return gone;
  }
  return ok_status();
}

// A byte is written only after the sync of all before it has succeeded, so what stands before the
// last piece is what this disk has. The last one may be torn, or be of a sync that failed, after
// which the page cache shows what no later sync brings to the disk.
Status ReceivedFile::reopen() {
  if (Status gone = remove_companions(files_, path_); !gone.ok()) return gone;
  auto file = files_.open(path_, raft::OpenMode::kModify);
  if (!file) return file.error().to_error();
  auto size = (*file)->size();
  if (!size) return size.error().to_error();
  const uint64_t kept = *size == 0 ? 0 : (*size - 1) / PieceSum::kPieceBytes;
  if (auto cut = (*file)->truncate(kept * PieceSum::kPieceBytes); !cut) {
    return cut.error().to_error();
  }
  file_ = std::move(*file);
  std::string piece(PieceSum::kPieceBytes, '\0');
  for (uint64_t i = 0; i < kept; ++i) {
    auto read = file_->read(bytes_, piece.data(), piece.size());
    if (!read) return read.error().to_error();
    sum_.add(piece);
    bytes_ += piece.size();
  }
  return ok_status();
}

Status ReceivedFile::create() {
  if (Status gone = remove_database(files_, path_); !gone.ok()) return gone;
  auto file = files_.open(path_, raft::OpenMode::kCreate);
  if (!file) return file.error().to_error();
  file_ = std::move(*file);
  return ok_status();
}

Status ReceivedFile::append(std::string_view piece) {
  if (file_ == nullptr) {
    if (Status made = create(); !made.ok()) return made;
  }
  sum_.add(piece);
  while (!piece.empty()) {
    const std::string_view part = piece.substr(0, kDiskPieceBytes);
    if (auto written = file_->write(bytes_, part); !written) return written.error().to_error();
    if (auto synced = file_->sync(); !synced) return synced.error().to_error();
    bytes_ += part.size();
    piece.remove_prefix(part.size());
  }
  return ok_status();
}

Status ReceivedFile::finish(uint64_t sum) {
  if (sum_.value() != sum) {
    return Error{ErrorCode::kCorrupt,
                 path_ + ": what was received is not what was sent: its sum is " +
                     std::to_string(sum_.value()) + ", the sender's is " + std::to_string(sum)};
  }
  if (auto synced = file_->sync(); !synced) return synced.error().to_error();
  return ok_status();
}

Status ReceivedFile::become(const std::string& database) {
  file_.reset();
  if (Status gone = remove_database(files_, database); !gone.ok()) return gone;
  if (auto named = files_.rename(path_, database); !named) return named.error().to_error();
  return ok_status();
}

}  // namespace holdfast::snapshot
