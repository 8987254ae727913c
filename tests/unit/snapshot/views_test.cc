// What a person pays who asks a view: counted in SQLite's own steps, which no machine changes.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <map>
#include <memory>
#include <string>

#include "coordinator/snapshot/schema.h"

namespace holdfast::snapshot {
namespace {

constexpr uint64_t kFew = 500;
constexpr uint64_t kMany = 4 * kFew;

/// So many locks, each held and waited for once, sessions and keys, each of these of one session.
class Filled {
 public:
  explicit Filled(uint64_t count) {
    sqlite3* raw = nullptr;
    EXPECT_EQ(sqlite3_open(":memory:", &raw), SQLITE_OK);
    database_.reset(raw);
    run(create_statements());
    for (const RowTable table : {RowTable::kSessions, RowTable::kLocks, RowTable::kLockHolders,
                                 RowTable::kLockWaiters, RowTable::kKeys}) {
      fill(*find_schema(table), count);
    }
  }
  /// SQLite's steps to give all rows of it, of which there must be so many.
  uint64_t steps_of(const std::string& view, uint64_t rows) {
    sqlite3_stmt* raw = nullptr;
    EXPECT_EQ(
        sqlite3_prepare_v2(database_.get(), ("SELECT * FROM " + view).c_str(), -1, &raw, nullptr),
        SQLITE_OK);
    const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> asked(raw, sqlite3_finalize);
    uint64_t got = 0;
    while (sqlite3_step(asked.get()) == SQLITE_ROW) ++got;
    EXPECT_EQ(got, rows) << view;
    return static_cast<uint64_t>(
        sqlite3_stmt_status(asked.get(), SQLITE_STMTSTATUS_VM_STEP, false));
  }

 private:
  void run(const std::string& sql) {
    EXPECT_EQ(sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database_.get());
  }
  /// Row n belongs to lock n and session n, and as a key to the root.
  static std::string value_of(const Field& field) {
    const std::string name = field.name;
    if (name == "lock_id" || name == "session_id") return "n";
    if (name == "parent_id") return "1";
    if (field.kind == FieldKind::kText) return "'x' || n";
    if (field.kind == FieldKind::kBytes || field.kind == FieldKind::kRest) return "x'00'";
    return "1";
  }
  void fill(const TableSchema& table, uint64_t count) {
    std::string sql = "WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers";
    sql += " LIMIT " + std::to_string(count) + ") INSERT INTO " + table.name + " SELECT n";
    for (const Field& field : table.fields) sql += ", " + value_of(field);
    run(sql + ", 0 FROM numbers");
  }

  std::unique_ptr<sqlite3, decltype(&sqlite3_close)> database_{nullptr, sqlite3_close};
};

TEST(Views, FourTimesTheRowsCostFourTimesTheSteps) {
  Filled few(kFew);
  Filled many(kMany);
  for (const std::string view : {"keys", "locks", "holders", "waiters", "sessions"}) {
    const uint64_t steps = few.steps_of(view, kFew);
    EXPECT_GT(steps, kFew) << view;
    EXPECT_LT(many.steps_of(view, kMany), 5 * steps) << view;
  }
}

}  // namespace
}  // namespace holdfast::snapshot
