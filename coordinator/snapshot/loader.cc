#include "coordinator/snapshot/loader.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/snapshot/check_thread.h"
#include "coordinator/snapshot/row_codec.h"

namespace holdfast::snapshot {
namespace {

/// A part of a millisecond: whoever loads on a thread that has other work does it in between.
constexpr uint64_t kRowsPerReport = 64;
constexpr uint64_t kBytesPerReport = 256 << 10;
constexpr std::chrono::milliseconds kReportWhileWaiting{2};

Error corrupt(const Database& database, const std::string& what) {
  return {ErrorCode::kCorrupt, database.path() + ": " + what};
}

bool read_hex(std::string_view text, uint64_t& value) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size();
}

bool read_digest(std::string_view text, Digest& digest) {
  return text.size() == 32 && read_hex(text.substr(0, 16), digest.high) &&
         read_hex(text.substr(16), digest.low);
}

Status load_table(Database& database, const TableSchema& schema, const RowSink& sink,
                  const LoadProgress& progress, uint64_t& rows) {
  auto statement = database.prepare(select_sql(schema));
  if (!statement.ok()) return statement.error();
  uint64_t id = 0;
  uint64_t bytes = 0;
  std::string row;
  for (;;) {
    const auto more = statement->step();
    if (!more.ok()) return more.error();
    if (!*more) return ok_status();
    Status taken = read_row(*statement, schema, id, row);
    if (taken.ok()) taken = sink(schema.table, id, row);
    if (!taken.ok()) {
      return Error{taken.error().code, database.path() + ": " + taken.error().message};
    }
    bytes += row.size();
    if (++rows % kRowsPerReport != 0 && bytes < kBytesPerReport) continue;
    bytes = 0;
    progress(rows);
  }
}

/// Nothing but our tables and views may be there: a trigger, a view in a table's place, another
/// constraint would be work that whoever made the file has thought of.
Status verify_schema(Database& database) {
  const std::vector<std::string> tables = table_statements();
  const std::string membership = membership_schema();
  std::set<std::string_view> missing(tables.begin(), tables.end());
  auto statement = database.prepare("SELECT sql, name FROM sqlite_schema WHERE type <> 'view'");
  if (!statement.ok()) return statement.error();
  for (;;) {
    const auto more = statement->step();
    if (!more.ok()) return more.error();
    if (!*more) break;
    const std::string_view sql = statement->bytes(0);
    if (missing.erase(sql) == 0 && sql != membership) {
      return corrupt(database,
                     "no snapshot has '" + std::string(statement->bytes(1)) + "' as it has");
    }
  }
  if (missing.empty()) return ok_status();
  return corrupt(database, "it lacks what a snapshot has: " + std::string(*missing.begin()));
}

Status look_over(Database& database) {
  const auto application = database.integer("PRAGMA application_id");
  if (!application.ok()) return application.error();
  if (*application != kApplicationId) return corrupt(database, "this is no snapshot of Holdfast");
  const auto version = database.integer("PRAGMA user_version");
  if (!version.ok()) return version.error();
  if (*version != kFormatVersion) {
    return Error{ErrorCode::kUnsupported, database.path() + ": its format version is " +
                                              std::to_string(*version) + ", this program knows " +
                                              std::to_string(kFormatVersion)};
  }
  if (!database.writable()) return corrupt(database, "its header says that nobody may write it");
  return verify_schema(database);
}

/// What SQLite itself can make nothing of is damage.
Status judged(const Status& good) {
  const bool unknown = !good.ok() && good.error().code == ErrorCode::kInternal;
  return unknown ? Status(Error{ErrorCode::kCorrupt, good.error().message}) : good;
}

/// Absent as long as the members never changed.
Result<SnapshotMembership> read_membership(Database& database) {
  const auto tables = database.integer(
      "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'membership'");
  if (!tables.ok()) return tables.error();
  if (*tables == 0) return SnapshotMembership();
  auto statement = database.prepare("SELECT entry_index, configuration FROM membership");
  if (!statement.ok()) return statement.error();
  const auto row = statement->step();
  if (!row.ok()) return row.error();
  if (!*row) return corrupt(database, "the snapshot has a table of its members, without a row");
  return SnapshotMembership{LogIndex(static_cast<uint64_t>(statement->integer(0))),
                            std::string(statement->bytes(1))};
}

}  // namespace

Status quick_check(Database& database) {
  const auto check = database.text("PRAGMA quick_check(1)");
  if (!check.ok()) return judged(check.error());
  if (*check != "ok") return corrupt(database, *check);
  return ok_status();
}

Result<std::vector<std::string>> other_views(Database& database) {
  const std::vector<std::string> ours = view_statements();
  auto statement =
      database.prepare("SELECT sql, name FROM sqlite_schema WHERE type = 'view' ORDER BY name");
  if (!statement.ok()) return statement.error();
  std::vector<std::string> others;
  for (;;) {
    const auto more = statement->step();
    if (!more.ok()) return more.error();
    if (!*more) return others;
    if (std::ranges::find(ours, statement->bytes(0)) != ours.end()) continue;
    others.emplace_back(statement->bytes(1));
  }
}

Status verify(Database& database) {
  Status ours = judged(look_over(database));
  return ours.ok() ? quick_check(database) : ours;
}

Result<SnapshotHead> read_head(Database& database) {
  auto statement = database.prepare(
      "SELECT cluster_id, node_id, applied_index, applied_term, digest, written_unix_ms, genesis, "
      "head_check FROM snapshot");
  if (!statement.ok()) return statement.error();
  const auto row = statement->step();
  if (!row.ok()) return row.error();
  if (!*row) return corrupt(database, "the snapshot has no head");
  SnapshotHead head;
  head.cluster = ClusterId(static_cast<uint64_t>(statement->integer(0)));
  head.node = NodeId(static_cast<uint64_t>(statement->integer(1)));
  head.applied = LogIndex(static_cast<uint64_t>(statement->integer(2)));
  head.applied_term = Term(static_cast<uint64_t>(statement->integer(3)));
  if (!read_digest(statement->bytes(4), head.digest)) {
    return corrupt(database, "the digest in the head is none");
  }
  auto membership = read_membership(database);
  if (!membership.ok()) return membership.error();
  head.membership = std::move(*membership);
  head.written_unix_ms = statement->integer(5);
  head.genesis = statement->bytes(6);
  if (statement->integer(7) != head_check(head)) {
    return corrupt(database, "the head's check sum is that of another content");
  }
  return head;
}

Result<SnapshotHead> load_rows(Database& database, const RowSink& sink,
                               const LoadProgress& progress) {
  uint64_t rows = 0;
  for (const TableSchema& schema : table_schemas()) {
    Status loaded = load_table(database, schema, sink, progress, rows);
    if (!loaded.ok()) return loaded.error();
  }
  progress(rows);
  return read_head(database);
}

Result<SnapshotHead> load_database(Database& database, const RowSink& sink,
                                   const LoadProgress& progress) {
  if (Status good = verify(database); !good.ok()) return good.error();
  return load_rows(database, sink, progress);
}

// What is damaged may be anything for the rows: of two errors the check's is the one to be told.
Result<SnapshotHead> load_and_verify(Database& database, const std::string& vfs,
                                     const RowSink& sink, const LoadProgress& progress) {
  if (Status ours = judged(look_over(database)); !ours.ok()) return ours.error();
  CheckThread check(database.path(), vfs);
  const RowSink unless_damaged = [&](RowTable table, uint64_t id, std::string_view row) {
    if (check.failed()) return Status(Error{ErrorCode::kCorrupt, "it is damaged"});
    return sink(table, id, row);
  };
  uint64_t rows = 0;
  const LoadProgress counted = [&](uint64_t so_far) { progress(rows = so_far); };
  auto head = load_rows(database, unless_damaged, counted);
  while (!check.ended_within(kReportWhileWaiting)) progress(rows);
  const std::optional<Status> beside = check.outcome();
  if (Status good = beside ? *beside : quick_check(database); !good.ok()) return good.error();
  return head;
}

Result<uint64_t> bytes_of_file(raft::FileSystem& files, const std::string& path) {
  auto there = files.exists(path);
  if (!there) return there.error().to_error();
  if (!*there) return uint64_t{0};
  auto file = files.open(path, raft::OpenMode::kRead);
  if (!file) return file.error().to_error();
  auto bytes = (*file)->size();
  if (!bytes) return bytes.error().to_error();
  return *bytes;
}

Result<Database::Mode> mode_at_rest(raft::FileSystem& files, const std::string& path) {
  const auto wal = bytes_of_file(files, path + kWal);
  if (!wal.ok()) return wal.error();
  return *wal > 0 ? Database::Mode::kRead : Database::Mode::kImmutable;
}

}  // namespace holdfast::snapshot
