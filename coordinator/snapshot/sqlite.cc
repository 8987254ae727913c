#include "coordinator/snapshot/sqlite.h"

#include <sqlite3.h>

#include <utility>

namespace holdfast::snapshot {
namespace {

ErrorCode code_of(int result) {
  switch (result & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorCode::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kOverloaded;
    case SQLITE_FULL:
      return ErrorCode::kNoSpace;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return ErrorCode::kDiskFailed;
    default:
      return ErrorCode::kInternal;
  }
}

Error error_of(sqlite3* handle, int result, const std::string& path) {
  return {code_of(result), path + ": " + sqlite3_errmsg(handle) + " (SQLite code " +
                               std::to_string(sqlite3_extended_errcode(handle)) + ")"};
}

Error error_of(sqlite3_stmt* statement, int result) {
  sqlite3* const handle = sqlite3_db_handle(statement);
  const char* const path = sqlite3_db_filename(handle, "main");
  return error_of(handle, result, path == nullptr ? "" : path);
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }

void Statement::bind(int at, int64_t value) { sqlite3_bind_int64(handle_.get(), at, value); }

void Statement::bind_text(int at, std::string_view value) {
  sqlite3_bind_text64(handle_.get(), at, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::bind_blob(int at, std::string_view value) {
  sqlite3_bind_blob64(handle_.get(), at, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_STATIC);
}

void Statement::bind_null(int at) { sqlite3_bind_null(handle_.get(), at); }

Result<bool> Statement::step() {
  const int result = sqlite3_step(handle_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(handle_.get());
    return false;
  }
  Error error = error_of(handle_.get(), result);
  sqlite3_reset(handle_.get());
  return error;
}

Status Statement::run() {
  const Result<bool> stepped = step();
  if (!stepped.ok()) return stepped.error();
  return ok_status();
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }

std::string_view Statement::bytes(int column) const {
  const auto* const data = static_cast<const char*>(sqlite3_column_blob(handle_.get(), column));
  if (data == nullptr) return {};
  return {data, static_cast<size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Result<Database> Database::open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int access = mode == Mode::kModify ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  const int flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database(handle, path);
  if (result != SQLITE_OK) return error_of(handle, result, path);
  sqlite3_extended_result_codes(handle, 1);
  return database;
}

Status Database::run(const std::string& sql) {
  const int result = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(handle_.get(), result, path_);
  return ok_status();
}

Result<Statement> Database::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return error_of(handle_.get(), result, path_);
  return Statement(statement);
}

Result<int64_t> Database::integer(const std::string& sql) {
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.error();
  const auto row = statement->step();
  if (!row.ok()) return row.error();
  if (!*row) return Error{ErrorCode::kCorrupt, path_ + ": nothing answers " + sql};
  return statement->integer(0);
}

Result<std::string> Database::text(const std::string& sql) {
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.error();
  const auto row = statement->step();
  if (!row.ok()) return row.error();
  if (!*row) return Error{ErrorCode::kCorrupt, path_ + ": nothing answers " + sql};
  return std::string(statement->bytes(0));
}

}  // namespace holdfast::snapshot
