#include "coordinator/snapshot/row_codec.h"

#include <limits>

#include "base/bytes.h"

namespace holdfast::snapshot {
namespace {

uint32_t row_check(RowTable table, uint64_t id, std::string_view row) {
  return static_cast<uint32_t>(row_hash(table, id, row).low);
}

void bind_field(Statement& statement, int at, FieldKind kind, ByteReader& reader) {
  switch (kind) {
    case FieldKind::kByte:
      return statement.bind(at, reader.read<uint8_t>());
    case FieldKind::kWord:
      return statement.bind(at, reader.read<uint32_t>());
    case FieldKind::kLong:
      return statement.bind(at, static_cast<int64_t>(reader.read<uint64_t>()));
    case FieldKind::kText:
      return statement.bind_text(at, reader.read_bytes(reader.read<uint32_t>()));
    case FieldKind::kBytes:
      return statement.bind_blob(at, reader.read_bytes(reader.read<uint32_t>()));
    case FieldKind::kRest: {
      const std::string_view rest = reader.read_bytes(reader.remaining());
      return rest.empty() ? statement.bind_null(at) : statement.bind_blob(at, rest);
    }
  }
}

/// False if the number does not fit the field.
template <class T>
bool append_number(std::string& row, int64_t value) {
  if (value < 0 || value > int64_t{std::numeric_limits<T>::max()}) return false;
  append_le(row, static_cast<T>(value));
  return true;
}

bool append_field(std::string& row, const Statement& statement, int column, FieldKind kind) {
  switch (kind) {
    case FieldKind::kByte:
      return append_number<uint8_t>(row, statement.integer(column));
    case FieldKind::kWord:
      return append_number<uint32_t>(row, statement.integer(column));
    case FieldKind::kLong:
      append_le(row, static_cast<uint64_t>(statement.integer(column)));
      return true;
    case FieldKind::kText:
    case FieldKind::kBytes: {
      const std::string_view bytes = statement.bytes(column);
      append_le(row, static_cast<uint32_t>(bytes.size()));
      row.append(bytes);
      return true;
    }
    case FieldKind::kRest:
      row.append(statement.bytes(column));
      return true;
  }
  return false;
}

Error corrupt(const TableSchema& schema, uint64_t id, const char* what) {
  return {ErrorCode::kCorrupt,
          std::string("row ") + std::to_string(id) + " of table " + schema.name + ": " + what};
}

}  // namespace

std::string upsert_sql(const TableSchema& schema) {
  std::string sql = std::string("INSERT OR REPLACE INTO ") + schema.name + " VALUES (?, ?";
  for (size_t i = 0; i < schema.fields.size(); ++i) sql += ", ?";
  return sql + ")";
}

std::string select_sql(const TableSchema& schema) {
  std::string sql = "SELECT id";
  for (const Field& field : schema.fields) sql += std::string(", ") + field.name;
  return sql + ", row_check FROM " + schema.name + " ORDER BY id";
}

bool bind_row(Statement& statement, const TableSchema& schema, uint64_t id, std::string_view row) {
  ByteReader reader(row);
  int at = 1;
  statement.bind(at++, static_cast<int64_t>(id));
  for (const Field& field : schema.fields) bind_field(statement, at++, field.kind, reader);
  statement.bind(at, row_check(schema.table, id, row));
  return reader.ok() && reader.remaining() == 0;
}

Status read_row(const Statement& statement, const TableSchema& schema, uint64_t& id,
                std::string& row) {
  int column = 0;
  row.clear();
  id = static_cast<uint64_t>(statement.integer(column++));
  for (const Field& field : schema.fields) {
    if (!append_field(row, statement, column++, field.kind)) {
      return corrupt(schema, id, "a number is out of range");
    }
  }
  if (statement.integer(column) != row_check(schema.table, id, row)) {
    return corrupt(schema, id, "its check sum is that of another content");
  }
  return ok_status();
}

}  // namespace holdfast::snapshot
