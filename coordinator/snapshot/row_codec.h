// A row between its encoding (base/rows.h) and the columns of its table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "coordinator/snapshot/schema.h"
#include "coordinator/snapshot/sqlite.h"

namespace holdfast::snapshot {

/// "INSERT OR REPLACE ..." with a parameter for each column, as bind_row() binds them.
std::string upsert_sql(const TableSchema& schema);
/// All rows ascending by id, with the columns that read_row() wants.
std::string select_sql(const TableSchema& schema);

/// Binds a row to a statement of upsert_sql(). The bytes must live until it has run. False if the
/// encoding is not what the schema says: schema and room disagree, which is our own bug.
bool bind_row(Statement& statement, const TableSchema& schema, uint64_t id, std::string_view row);

/// Makes the encoding of the row at which a statement of select_sql() stands; `row` is overwritten.
/// CORRUPT names table and id: a number out of its field's range, or another check sum.
Status read_row(const Statement& statement, const TableSchema& schema, uint64_t& id,
                std::string& row);

}  // namespace holdfast::snapshot
