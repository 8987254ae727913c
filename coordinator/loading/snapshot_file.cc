#include "coordinator/loading/snapshot_file.h"

#include <array>
#include <string_view>
#include <utility>

#include "coordinator/loading/loaded_state.h"
#include "coordinator/tree/key_tree.h"
#include "lockmgr/lock_table.h"
#include "raft/core/configuration.h"
#include "raft/transport/genesis.h"
#include "session/session_table.h"

namespace holdfast::loading {
namespace {

Result<uint64_t> size_of(raft::FileSystem& files, const std::string& path) {
  auto file = files.open(path, raft::OpenMode::kRead);
  if (!file) return file.error().to_error();
  auto size = (*file)->size();
  if (!size) return size.error().to_error();
  return *size;
}

Result<bool> has_content(raft::FileSystem& files, const std::string& path) {
  auto there = files.exists(path);
  if (!there) return there.error().to_error();
  if (!*there) return false;
  const auto size = size_of(files, path);
  if (!size.ok()) return size.error();
  return *size > 0;
}

Error in_two_files(const std::string& path, const std::string& companion) {
  return {ErrorCode::kBadArgument,
          path + ": a part of it is in " + companion +
              ": this is the database of a server, not a file of holdfast snapshot save"};
}

/// An immutable database is read without what SQLite may keep beside it, so nothing may be there.
Status stands_alone(raft::FileSystem& files, const std::string& path) {
  for (const std::string& companion : {path + snapshot::kWal, path + snapshot::kJournal}) {
    const auto content = has_content(files, companion);
    if (!content.ok()) return content.error();
    if (!*content) continue;
    return in_two_files(path, companion);
  }
  return ok_status();
}

uint32_t big_endian(std::string_view bytes) {
  uint32_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

/// How long a database is by its own first bytes (https://www.sqlite.org/fileformat.html, 1.3); 0
/// if they do not say.
uint64_t announced_bytes(std::string_view head) {
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  const std::string_view changes = head.substr(24, 4);
  const std::string_view changes_then = head.substr(92, 4);  // when the number of pages was written
  if (!head.starts_with(kMagic) || changes != changes_then) return 0;
  const uint64_t page_bytes = big_endian(head.substr(16, 2));
  return (page_bytes == 1 ? 65'536 : page_bytes) * big_endian(head.substr(28, 4));
}

/// Before SQLite reads it, which says of a file that was cut off no more than that it is malformed,
/// reads what is missing of the last page as zeros, and looks at nothing behind it.
Status has_size(raft::FileSystem& files, const std::string& path, uint64_t bytes) {
  auto file = files.open(path, raft::OpenMode::kRead);
  if (!file) return file.error().to_error();
  std::array<char, 100> head{};
  const auto got = (*file)->read(0, head.data(), head.size());
  if (!got) return got.error().to_error();
  const uint64_t announced = announced_bytes({head.data(), head.size()});
  if (announced == 0 || announced == bytes) return ok_status();
  return Error{ErrorCode::kCorrupt, path + ": it has " + std::to_string(bytes) +
                                        " bytes, but must have " + std::to_string(announced)};
}

Result<std::vector<raft::Member>> members_of(const std::string& path,
                                             const snapshot::SnapshotHead& head) {
  auto genesis = raft::decode_genesis(head.genesis);
  if (!genesis.ok()) {
    return Error{ErrorCode::kCorrupt, path + ": entry 1 of the log: " + genesis.error().message};
  }
  if (genesis->cluster == head.cluster) {
    if (!head.membership.index) return std::move(genesis->configuration.members);
    auto latest = raft::decode_configuration(head.membership.configuration);
    if (latest.ok()) return std::move(latest->members);
    return Error{ErrorCode::kCorrupt, path + ": its members: " + latest.error().message};
  }
  return Error{ErrorCode::kCorrupt, path + ": its head is of cluster " +
                                        std::to_string(head.cluster.value) +
                                        ", entry 1 of the log in it of cluster " +
                                        std::to_string(genesis->cluster.value)};
}

}  // namespace

Result<SnapshotFile> examine(raft::FileSystem& files, const std::string& path, uint64_t hash_seed) {
  const auto bytes = size_of(files, path);
  if (!bytes.ok()) return Error{ErrorCode::kBadArgument, bytes.error().message};
  if (Status alone = stands_alone(files, path); !alone.ok()) return alone.error();
  if (Status whole = has_size(files, path, *bytes); !whole.ok()) return whole.error();
  auto database = snapshot::Database::open(path, snapshot::Database::Mode::kImmutable);
  if (!database.ok()) return database.error();
  auto loaded = load_state(*database, {.hash_seed = hash_seed}, [](uint64_t) {});
  if (!loaded.ok()) return loaded.error();
  auto views = snapshot::other_views(*database);
  if (!views.ok()) return views.error();
  auto members = members_of(path, loaded->head);
  if (!members.ok()) return members.error();
  const rsm::StateMachine& machine = *loaded->machine;
  return SnapshotFile{.path = path,
                      .bytes = *bytes,
                      .head = std::move(loaded->head),
                      .members = std::move(*members),
                      .sessions = machine.sessions().size(),
                      .locks = machine.locks().lock_count(),
                      .waiters = machine.locks().waiter_count(),
                      .keys = machine.keys().key_count(),
                      .other_views = std::move(*views),
                      .machine = std::move(loaded->machine)};
}

}  // namespace holdfast::loading
