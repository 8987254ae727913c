#include "coordinator/snapshot/writer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/scheduling.h"
#include "coordinator/snapshot/row_codec.h"

namespace holdfast::snapshot {
namespace {

// The log-ahead file is synced and folded into the database by checkpoint() alone, so that a commit
// waits for no disk. 16 MiB of pages are cached.
constexpr const char* kSettings =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
    "PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;";

}  // namespace

std::string to_text(const Digest& digest) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(digest.high),
                static_cast<unsigned long long>(digest.low));
  return text;
}

uint32_t head_check(const SnapshotHead& head) {
  std::string fields;
  for (const uint64_t number :
       {head.cluster.value, head.node.value, head.applied.value, head.applied_term.value,
        head.digest.high, head.digest.low, static_cast<uint64_t>(head.written_unix_ms)}) {
    append_le(fields, number);
  }
  fields += head.genesis;
  if (head.membership.index) {
    append_le(fields, head.membership.index.value);
    fields += head.membership.configuration;
  }
  return static_cast<uint32_t>(checksum64(fields));
}

Result<SnapshotWriter> SnapshotWriter::create(raft::FileSystem& files, const std::string& path,
                                              const std::string& vfs) {
  // SQLite would make the file for everybody to read, and gives its companions the same mode.
  if (auto made = files.open(path, raft::OpenMode::kCreate); !made) {
    return made.error().to_error();
  }
  auto database = Database::open(path, Database::Mode::kModify, vfs);
  if (!database.ok()) return database.error();
  SnapshotWriter writer(std::move(*database));
  for (const std::string& sql :
       {std::string(kSettings), "BEGIN;" + create_statements() + "COMMIT;"}) {
    if (Status made = writer.database_.run(sql); !made.ok()) return made.error();
  }
  if (Status prepared = writer.prepare(); !prepared.ok()) return prepared.error();
  return writer;
}

Result<SnapshotWriter> SnapshotWriter::open(const std::string& path, const std::string& vfs) {
  auto database = Database::open(path, Database::Mode::kModify, vfs);
  if (!database.ok()) return database.error();
  SnapshotWriter writer(std::move(*database));
  if (Status set = writer.database_.run(kSettings); !set.ok()) return set.error();
  if (Status prepared = writer.prepare(); !prepared.ok()) return prepared.error();
  return writer;
}

Status SnapshotWriter::prepare() {
  for (const TableSchema& schema : table_schemas()) {
    auto upsert = database_.prepare(upsert_sql(schema));
    if (!upsert.ok()) return upsert.error();
    auto erase = database_.prepare(std::string("DELETE FROM ") + schema.name + " WHERE id = ?");
    if (!erase.ok()) return erase.error();
    tables_.push_back({&schema, std::move(*upsert), std::move(*erase)});
  }
  auto head = database_.prepare(
      "INSERT OR REPLACE INTO snapshot (only_row, cluster_id, node_id, applied_index, "
      "applied_term, digest, written_unix_ms, genesis, head_check) "
      "VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)");
  if (!head.ok()) return head.error();
  head_ = std::move(*head);
  return ok_status();
}

Status SnapshotWriter::write(std::span<const RowLog::Change> changes, const SnapshotHead& head) {
  const auto bytes = database_.file_bytes();
  if (!bytes.ok()) return bytes.error();
  if (Status begun = database_.run("BEGIN IMMEDIATE"); !begun.ok()) return begun;
  Status done = write_rows(changes, head);
  if (done.ok()) done = take_room();
  if (done.ok()) done = database_.run("COMMIT");
  if (done.ok()) {
    written_ = head.applied;
    return done;
  }
  // Some errors have rolled it back already; then this one says so and nothing else.
  [[maybe_unused]] const Status undone = database_.run("ROLLBACK");
  const Status cut = cut_to(*bytes);
  return cut.ok() ? done : cut;
}

// What is committed stays in the "-wal" until the database has room for it, and can be neither
// undone nor given back: what a full disk lacks it must lack before.
Status SnapshotWriter::take_room() {
  const auto bytes = database_bytes();
  return bytes.ok() ? database_.grow_file(*bytes) : Status(bytes.error());
}

Status SnapshotWriter::cut_rest() { return cut_to(0); }

// Pages that are committed stay, whoever may have put them there.
Status SnapshotWriter::cut_to(uint64_t bytes) {
  const auto now = database_.file_bytes();
  if (!now.ok()) return now.error();
  const auto pages = database_bytes();
  if (!pages.ok()) return pages.error();
  const uint64_t kept = std::max(bytes, *pages);
  return *now > kept ? database_.cut_file(kept) : ok_status();
}

Status SnapshotWriter::write_rows(std::span<const RowLog::Change> changes,
                                  const SnapshotHead& head) {
  for (const RowLog::Change& change : changes) {
    give_way();
    if (Status written = write_row(change); !written.ok()) return written;
  }
  return write_head(head);
}

Status SnapshotWriter::write_row(const RowLog::Change& change) {
  TableStatements* const statements = statements_of(change.table);
  HF_CHECK(statements != nullptr, "a row of a table that the snapshot does not know");
  if (change.erased) {
    statements->erase.bind(1, static_cast<int64_t>(change.id));
    return statements->erase.run();
  }
  HF_CHECK(bind_row(statements->upsert, *statements->schema, change.id, change.row),
           "a row is encoded otherwise than the snapshot's schema says");
  return statements->upsert.run();
}

Status SnapshotWriter::write_head(const SnapshotHead& head) {
  const std::string digest = to_text(head.digest);
  int at = 1;
  for (const uint64_t number :
       {head.cluster.value, head.node.value, head.applied.value, head.applied_term.value}) {
    head_.bind(at++, static_cast<int64_t>(number));
  }
  head_.bind_text(at++, digest);
  head_.bind(at++, head.written_unix_ms);
  head_.bind_blob(at++, head.genesis);
  head_.bind(at, head_check(head));
  if (Status written = head_.run(); !written.ok()) return written;
  return head.membership.index ? write_membership(head.membership) : drop_membership();
}

// A new cluster made of another one's state has other members.
Status SnapshotWriter::drop_membership() {
  return database_.run("DROP TABLE IF EXISTS membership");
}

// The table comes with the first change of the members: until then a file is as it always was.
Status SnapshotWriter::write_membership(const SnapshotMembership& membership) {
  if (Status made = database_.run(membership_statement()); !made.ok()) return made;
  auto row = database_.prepare(
      "INSERT OR REPLACE INTO membership (only_row, entry_index, configuration) VALUES (1, ?, ?)");
  if (!row.ok()) return row.error();
  row->bind(1, static_cast<int64_t>(membership.index.value));
  row->bind_blob(2, membership.configuration);
  return row->run();
}

Result<bool> SnapshotWriter::checkpoint() {
  auto statement = database_.prepare("PRAGMA wal_checkpoint(PASSIVE)");
  if (!statement.ok()) return statement.error();
  const auto row = statement->step();
  if (!row.ok()) return row.error();
  const bool busy = statement->integer(0) != 0;
  return !busy && statement->integer(1) == statement->integer(2);
}

Result<uint64_t> SnapshotWriter::database_bytes() { return bytes_of_pages("PRAGMA page_count"); }

Result<uint64_t> SnapshotWriter::free_bytes() { return bytes_of_pages("PRAGMA freelist_count"); }

// The -wal goes in any case: it may be as large as the database was, and holds what an attempt for
// which there was no room has taken. What is worse than a want of room is not hidden by that.
Status SnapshotWriter::shrink() {
  const Status rebuilt = database_.run("VACUUM");
  const Status given = give_wal_back();
  const bool passes = given.ok() || given.error().code == ErrorCode::kOverloaded ||
                      given.error().code == ErrorCode::kNoSpace;
  return rebuilt.ok() || !passes ? given : rebuilt;
}

Status SnapshotWriter::give_wal_back() {
  const auto busy = database_.integer("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!busy.ok()) return busy.error();
  return *busy == 0 ? ok_status() : Error{ErrorCode::kOverloaded, "another process reads it"};
}

Result<uint64_t> SnapshotWriter::bytes_of_pages(const char* count) {
  const auto pages = database_.integer(count);
  if (!pages.ok()) return pages.error();
  const auto page = database_.integer("PRAGMA page_size");
  if (!page.ok()) return page.error();
  return static_cast<uint64_t>(*pages) * static_cast<uint64_t>(*page);
}

SnapshotWriter::TableStatements* SnapshotWriter::statements_of(RowTable table) {
  for (TableStatements& statements : tables_) {
    if (statements.schema->table == table) return &statements;
  }
  return nullptr;
}

}  // namespace holdfast::snapshot
