// How the rows of the replicated state (base/rows.h) stand in SQLite: each field of an encoding is
// a column, so that a person can query what a server holds. One description serves both ways; the
// views are for people and nothing reads them. docs/snapshots.md is this page for users.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/rows.h"

namespace holdfast::snapshot {

/// PRAGMA application_id: "HFST".
inline constexpr int32_t kApplicationId = 0x48465354;
/// PRAGMA user_version: the format of tables, columns and encodings. Another one is refused.
inline constexpr int32_t kFormatVersion = 1;

/// How a field is encoded, and what its column holds.
enum class FieldKind : uint8_t {
  kByte,   ///< 1 byte; INTEGER
  kWord,   ///< 4 bytes; INTEGER
  kLong,   ///< 8 bytes; INTEGER, two's complement
  kText,   ///< 4 bytes of length, then the bytes; TEXT
  kBytes,  ///< the same; BLOB
  kRest,   ///< what is left of the row; BLOB, NULL if nothing is. Only the last
};

struct Field {
  const char* name;
  FieldKind kind;
};

/// One table: `id INTEGER PRIMARY KEY`, the fields, and `row_check`, the low half of the row's hash
/// cut to 32 bits, which names the row that a disk has damaged.
struct TableSchema {
  RowTable table;
  const char* name;
  std::span<const Field> fields;
};

/// All tables, ascending by number.
std::span<const TableSchema> table_schemas();
/// Null if no table has that number.
const TableSchema* find_schema(RowTable table);

/// The statements that make the tables and the head that every database has, as SQLite keeps their
/// text.
std::vector<std::string> table_statements();
/// The table that a database has in addition once the members of its cluster have changed.
std::string membership_statement();
/// And as SQLite keeps its text.
std::string membership_schema();
/// The views that a database is made with, as SQLite keeps their text.
std::vector<std::string> view_statements();
/// The statements that make an empty database of this format: tables, head, views.
std::string create_statements();

}  // namespace holdfast::snapshot
