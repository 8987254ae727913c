// Snapshots: what is written is loaded, in whatever spans it was written, and nothing else is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "coordinator/snapshot/row_codec.h"
#include "coordinator/snapshot/schema.h"
#include "coordinator/tree/key_tree.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using testing::HasSubstr;

raft::PosixFileSystem disk;

TEST(Snapshots, AStateComesBackAsItWasWhateverTheSpans) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    WrittenState state(seed);
    auto writer = SnapshotWriter::create(disk, path);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    for (int span = 0; span < 12; ++span) {
      state.apply(1 + static_cast<int>(state.workload().below(300)));
      ASSERT_TRUE(state.write(*writer).ok());
      if (span % 3 == 0) {
        ASSERT_TRUE(*writer->checkpoint());
      }
      const auto loaded = load(path);
      ASSERT_TRUE(loaded.ok()) << "seed " << seed << ": " << loaded.error().message;
      ASSERT_EQ((*loaded)->digest(), state.machine().digest());
      ASSERT_EQ((*loaded)->applied(), state.machine().applied());
      ASSERT_EQ((*loaded)->check_invariants(), "");
    }
  }
}

TEST(Snapshots, AWriterThatComesBackGoesOn) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("state.db");
  WrittenState state(9);
  {
    auto writer = SnapshotWriter::create(disk, path);
    state.apply(500);
    ASSERT_TRUE(state.write(*writer).ok());
  }
  auto writer = SnapshotWriter::open(path);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  state.apply(500);
  ASSERT_TRUE(state.write(*writer).ok());
  const auto loaded = load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ((*loaded)->digest(), state.machine().digest());
}

TEST(Snapshots, TheHeadSaysWhichStateItIs) {
  const TemporaryDirectory directory;
  WrittenState state(2);
  auto writer = SnapshotWriter::create(disk, directory.file("state.db"));
  state.apply(50);
  const SnapshotHead head = state.head();
  ASSERT_TRUE(state.write(*writer).ok());
  auto database = Database::open(directory.file("state.db"), Database::Mode::kRead);
  const auto read = read_head(*database);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, head);
}

TEST(Snapshots, TheMembersStandBesideTheHeadOnceTheyHaveChanged) {
  const TemporaryDirectory directory;
  WrittenState state(2);
  auto writer = SnapshotWriter::create(disk, directory.file("state.db"));
  state.apply(50);
  ASSERT_TRUE(state.write(*writer).ok());
  for (const uint64_t index : {7, 9}) {
    state.apply(5);
    Span span = state.take_span();
    span.head.membership = {LogIndex(index), "members of " + std::to_string(index)};
    ASSERT_TRUE(writer->write(span.rows.latest(), span.head).ok());
    auto database = Database::open(directory.file("state.db"), Database::Mode::kRead);
    const auto read = read_head(*database);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*read, span.head);
    EXPECT_TRUE(load(directory.file("state.db")).ok());
  }
}

TEST(Snapshots, MembersThatAreGoneOrOthersAreDamage) {
  for (const char* sql :
       {"DROP TABLE membership", "DELETE FROM membership",
        "UPDATE membership SET configuration = x'31'", "UPDATE membership SET entry_index = 8"}) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("state.db");
    WrittenState state(4);
    auto writer = SnapshotWriter::create(disk, path);
    state.apply(80);
    Span span = state.take_span();
    span.head.membership = {LogIndex(7), "members"};
    ASSERT_TRUE(writer->write(span.rows.latest(), span.head).ok());
    ASSERT_TRUE(Database::open(path, Database::Mode::kModify)->run(sql).ok());
    const auto loaded = load(path);
    ASSERT_FALSE(loaded.ok()) << sql;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt) << sql;
  }
}

TEST(Snapshots, ASpanHoldsTheLastChangeOfARowOnly) {
  RowLog log;
  RowSpan span;
  const auto put = [&](uint64_t id, const std::string& row) {
    log.begin(RowTable::kKeys, id);
    log.put_bytes(row);
    log.finish();
  };
  put(2, "first");
  put(1, "one");
  put(2, "second");
  span.add(log);
  log.clear();
  put(2, "third");
  log.erase(RowTable::kKeys, 1);
  log.erase(RowTable::kLocks, 7);
  span.add(log);
  const auto rows = span.latest();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].table, RowTable::kLocks);
  EXPECT_EQ(rows[1].id, 1U);
  EXPECT_TRUE(rows[1].erased);
  EXPECT_EQ(rows[2].id, 2U);
  EXPECT_THAT(std::string(rows[2].row), HasSubstr("third"));
}

/// A snapshot file of a state, changed by one statement, and what loading it says.
std::string damage(const std::string& sql) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("state.db");
  WrittenState state(4);
  auto writer = SnapshotWriter::create(disk, path);
  state.apply(800);
  EXPECT_TRUE(state.write(*writer).ok());
  auto database = Database::open(path, Database::Mode::kModify);
  const Status done = database->run(sql);
  EXPECT_TRUE(done.ok()) << done.error().message;
  const auto loaded = load(path);
  return loaded.ok() ? "loaded" : loaded.error().message;
}

TEST(Snapshots, AChangedRowIsNamed) {
  EXPECT_THAT(damage("UPDATE key_rows SET value = X'00' WHERE id = (SELECT max(id) FROM key_rows)"),
              HasSubstr("of table key_rows: its check sum is that of another content"));
  EXPECT_THAT(damage("UPDATE session_rows SET late = 999"),
              HasSubstr("of table session_rows: a number is out of range"));
  EXPECT_THAT(damage("UPDATE key_rows SET id = id + 1 WHERE id = (SELECT max(id) FROM key_rows)"),
              HasSubstr("check sum"));
}

TEST(Snapshots, AMissingOrForeignRowIsFoundByTheDigest) {
  EXPECT_EQ(damage("DELETE FROM setting_rows WHERE id = (SELECT max(id) FROM setting_rows)"),
            "another digest");
  EXPECT_THAT(damage("UPDATE snapshot SET digest = 'short'"), HasSubstr("digest"));
  EXPECT_THAT(damage("DELETE FROM snapshot"), HasSubstr("no head"));
}

TEST(Snapshots, AChangedHeadIsFound) {
  for (const char* change :
       {"cluster_id = cluster_id + 1", "node_id = 4", "applied_index = applied_index + 1",
        "applied_term = applied_term - 1", "digest = '00000000000000000000000000000000'",
        "written_unix_ms = 0", "genesis = X'00'"}) {
    EXPECT_THAT(damage(std::string("UPDATE snapshot SET ") + change),
                HasSubstr("the head's check sum is that of another content"))
        << change;
  }
}

TEST(Snapshots, AFileThatBringsItsOwnSchemaIsRefused) {
  const std::pair<const char*, const char*> kForged[] = {
      {"CREATE TRIGGER more AFTER INSERT ON key_rows BEGIN DELETE FROM lock_rows; END", "'more'"},
      {"CREATE TABLE further (id INTEGER PRIMARY KEY)", "'further'"},
      {"CREATE INDEX slow ON key_rows (value)", "'slow'"},
      {"DROP TABLE setting_rows", "it lacks what a snapshot has"},
      {"DROP TABLE setting_rows; CREATE VIEW setting_rows AS WITH RECURSIVE n(id) AS (SELECT 1 "
       "UNION ALL SELECT id + 1 FROM n) SELECT id, id AS value, 0 AS row_check FROM n",
       "it lacks what a snapshot has"},
      {"DROP TABLE setting_rows; CREATE TABLE setting_rows (id INTEGER PRIMARY KEY, value, "
       "row_check)",
       "'setting_rows'"}};
  for (const auto& [sql, found] : kForged) EXPECT_THAT(damage(sql), HasSubstr(found)) << sql;
  EXPECT_EQ(damage("DROP VIEW locks"), "loaded") << "views are for people";
}

TEST(Snapshots, AnotherFormatIsNamed) {
  EXPECT_THAT(damage("PRAGMA user_version = 2"),
              HasSubstr("its format version is 2, this program knows 1"));
  EXPECT_THAT(damage("PRAGMA application_id = 5"), HasSubstr("no snapshot of Holdfast"));
}

TEST(Snapshots, AFileThatIsNoDatabaseIsAnError) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("text.db")) << std::string(9'000, 'x');
  const auto loaded = load(directory.file("text.db"));
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(loaded.error().message, HasSubstr("text.db"));
  const auto missing = load(directory.file("missing.db"));
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("missing.db"));
}

TEST(Snapshots, EveryRowOfEveryTableWasWrittenByTheWorkload) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("state.db");
  WrittenState state(5);
  auto writer = SnapshotWriter::create(disk, path);
  std::map<std::string, int64_t> most;
  auto database = Database::open(path, Database::Mode::kModify);
  for (int span = 0; span < 30; ++span) {
    state.apply(200);
    ASSERT_TRUE(state.write(*writer).ok());
    for (const TableSchema& schema : table_schemas()) {
      const auto count = database->integer(std::string("SELECT count(*) FROM ") + schema.name);
      ASSERT_TRUE(count.ok());
      most[schema.name] = std::max(most[schema.name], *count);
    }
  }
  for (const auto& [table, rows] : most) EXPECT_GT(rows, 0) << table;
}

TEST(Database, WhatCannotBeOpenedIsNamedWithWhatTheSystemSaidAndWhereToLook) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("missing.db");
  const auto database = Database::open(path, Database::Mode::kRead);
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.error().code, ErrorCode::kDiskFailed);
  EXPECT_THAT(database.error().message, testing::StartsWith(path + ": "));
  EXPECT_THAT(database.error().message, HasSubstr("No such file or directory (errno 2)"));
  EXPECT_THAT(database.error().message, testing::EndsWith("; look whether it is there, and this "
                                                          "user may open it and write to its "
                                                          "directory"));
}

TEST(Statements, TellOfWhatCannotBeBound) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("empty.db"));
  auto database = Database::open(directory.file("empty.db"), Database::Mode::kModify);
  ASSERT_TRUE(database->run("CREATE TABLE t (x)").ok());
  auto insert = database->prepare("INSERT INTO t VALUES (?)");
  const std::string_view longer_than_any("x", size_t{1} << 32);
  insert->bind_blob(1, longer_than_any);
  const Status inserted = insert->run();
  ASSERT_FALSE(inserted.ok());
  EXPECT_THAT(inserted.error().message, HasSubstr("too big"));
  EXPECT_EQ(*database->integer("SELECT count(*) FROM t"), 0);
  insert->bind_blob(1, "x");
  EXPECT_TRUE(insert->run().ok());
}

TEST(Views, SpeakOfPathsAndNames) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("state.db");
  WrittenState state(6);
  auto writer = SnapshotWriter::create(disk, path);
  state.apply(1'000);
  ASSERT_TRUE(state.write(*writer).ok());
  auto database = Database::open(path, Database::Mode::kRead);
  const auto count = [&](const std::string& what) {
    const auto rows = database->integer("SELECT count(*) FROM " + what);
    EXPECT_TRUE(rows.ok()) << rows.error().message;
    return rows.ok() ? *rows : -1;
  };
  EXPECT_EQ(count("keys"), static_cast<int64_t>(state.machine().keys().key_count()));
  EXPECT_EQ(count("keys WHERE path NOT LIKE '/%'"), 0);
  EXPECT_EQ(count("locks"), count("lock_rows"));
  EXPECT_EQ(count("holders"), count("holder_rows"));
  EXPECT_EQ(count("waiters"), count("waiter_rows"));
  EXPECT_EQ(count("tenures"), count("tenure_rows"));
  EXPECT_EQ(count("sessions"), count("session_rows"));
  EXPECT_GT(count("sessions"), 0);
}

// Whoever loads on a thread that has other work comes to it between large rows, too.
TEST(Snapshots, LoadingReportsOftenHoweverLargeRowsAre) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("state.db");
  WrittenState state(4, Bulk{.first = 1, .last = 40, .bytes = 100'000});
  auto writer = SnapshotWriter::create(disk, path);
  ASSERT_TRUE(writer.ok());
  state.apply(40);
  ASSERT_TRUE(state.write(*writer).ok());
  auto database = Database::open(path, Database::Mode::kModify, "");
  ASSERT_TRUE(database.ok());
  size_t bytes = 0;
  size_t most = 0;
  const auto loaded = load_rows(
      *database,
      [&](RowTable, uint64_t, std::string_view row) {
        bytes += row.size();
        return ok_status();
      },
      [&](uint64_t) { most = std::max(most, std::exchange(bytes, 0)); });
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_GT(most, 100'000u);
  EXPECT_LT(most, 400'000u);
}

}  // namespace
}  // namespace holdfast::snapshot
