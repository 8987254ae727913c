#include "coordinator/snapshot/sqlite.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "coordinator/snapshot/paced_vfs.h"

namespace holdfast::snapshot {
namespace {

/// What the operating system said of an error of the disk, or zero.
int errno_of(sqlite3* handle, int result) {
  const int kind = result & 0xFF;
  if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN) return 0;
  // sqlite3_system_errno() does not know what a COMMIT met.
  sqlite3_vfs* vfs = nullptr;
  sqlite3_file_control(handle, "main", SQLITE_FCNTL_VFS_POINTER, static_cast<void*>(&vfs));
  return vfs == nullptr ? sqlite3_system_errno(handle) : vfs->xGetLastError(vfs, 0, nullptr);
}

/// SQLite calls a disk full only where a write met ENOSPC: not for a quota, nor if a new file or
/// the -shm found no room. A sync is another matter: after one that failed nobody knows what is on
/// the disk.
bool out_of_space(int result, int number) {
  const bool grows = result == SQLITE_IOERR_WRITE || result == SQLITE_IOERR_SHMSIZE ||
                     result == SQLITE_IOERR_SHMOPEN || (result & 0xFF) == SQLITE_CANTOPEN;
  return grows && (number == ENOSPC || number == EDQUOT);
}

/// `path` with the links on the way to its directory resolved. The file itself must be no link, and
/// to SQLite that forbids links anywhere; it would also take a name that begins with "file:" for an
/// address.
std::string with_real_directory(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  char* const real = ::realpath(directory.c_str(), nullptr);
  if (real == nullptr) return "./" + path;
  std::string resolved = std::string(real) + "/" + path.substr(slash + 1);
  std::free(real);
  return resolved;
}

/// `path` as an address that says that nobody changes the file.
std::string immutable_address(const std::string& path) {
  std::string address = "file:";
  for (const char c : path) {
    const bool special = c == '%' || c == '?' || c == '#';
    char escaped[4] = {c, '\0'};
    if (special) std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned char>(c));
    address += escaped;
  }
  return address + "?immutable=1";
}

/// File format write version, a byte of the header: above it a database may only be read.
constexpr sqlite3_int64 kWriteVersionAt = 18;
constexpr unsigned char kWriteVersionMax = 2;

/// Of a file that is empty, as all is in its "-wal" yet, the header says nothing.
bool header_allows_writing(sqlite3_file* file) {
  unsigned char version = 0;
  if (file == nullptr) return false;
  const int read = file->pMethods->xRead(file, &version, sizeof version, kWriteVersionAt);
  return (read == SQLITE_OK || read == SQLITE_IOERR_SHORT_READ) && version <= kWriteVersionMax;
}

/// SQLite's own VFS takes room in multiples of it, and without it takes none ahead.
constexpr int kGrowBytes = 4'096;

ErrorCode code_of(sqlite3* handle, int result) {
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
      return out_of_space(result, errno_of(handle, result)) ? ErrorCode::kNoSpace
                                                            : ErrorCode::kDiskFailed;
    default:
      return ErrorCode::kInternal;
  }
}

/// What is to be looked at, behind SQLite's own words.
const char* hint_for(int result, ErrorCode code) {
  if (code == ErrorCode::kOverloaded) return "; another program has it open";
  if (code != ErrorCode::kDiskFailed) return "";
  return (result & 0xFF) == SQLITE_CANTOPEN
             ? "; look whether it is there, and this user may open it and write to its directory"
             : "; look at its disk: the kernel's log (dmesg) may say more";
}

Error error_of(sqlite3* handle, const std::string& path) {
  const int result = sqlite3_extended_errcode(handle);
  std::string message =
      path + ": " + sqlite3_errmsg(handle) + " (SQLite code " + std::to_string(result) + ")";
  if (const int number = errno_of(handle, result)) {
    message +=
        ": " + std::generic_category().message(number) + " (errno " + std::to_string(number) + ")";
  }
  const ErrorCode code = code_of(handle, result);
  return {code, message + hint_for(result, code)};
}

Error error_of(sqlite3_stmt* statement) {
  sqlite3* const handle = sqlite3_db_handle(statement);
  const char* const path = sqlite3_db_filename(handle, "main");
  return error_of(handle, path == nullptr ? "" : path);
}

}  // namespace

std::optional<FileIdentity> identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileIdentity{status.st_dev, status.st_ino};
}

void Statement::Finalize::operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }

void Statement::note(int result) {
  if (bound_ == SQLITE_OK) bound_ = result;
}

void Statement::bind(int at, int64_t value) { note(sqlite3_bind_int64(handle_.get(), at, value)); }

void Statement::bind_text(int at, std::string_view value) {
  note(sqlite3_bind_text64(handle_.get(), at, value.data() == nullptr ? "" : value.data(),
                           value.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Statement::bind_blob(int at, std::string_view value) {
  note(sqlite3_bind_blob64(handle_.get(), at, value.data() == nullptr ? "" : value.data(),
                           value.size(), SQLITE_STATIC));
}

void Statement::bind_null(int at) { note(sqlite3_bind_null(handle_.get(), at)); }

Result<bool> Statement::step() {
  if (std::exchange(bound_, SQLITE_OK) != SQLITE_OK) return error_of(handle_.get());
  const int result = sqlite3_step(handle_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(handle_.get());
    return false;
  }
  Error error = error_of(handle_.get());
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

Result<Database> Database::open(const std::string& path, Mode mode, const std::string& vfs) {
  const bool on_disk = vfs.empty() || PacedVfs::is(vfs);
  std::string resolved = on_disk ? with_real_directory(path) : path;
  sqlite3* handle = nullptr;
  int access = mode == Mode::kModify ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  if (mode == Mode::kImmutable) {
    resolved = immutable_address(resolved);
    access |= SQLITE_OPEN_URI;
  }
  const int flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
  const int result =
      sqlite3_open_v2(resolved.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  Database database(handle, path, mode);
  if (result != SQLITE_OK) return error_of(handle, path);
  sqlite3_extended_result_codes(handle, 1);
  return database;
}

bool Database::writable() {
  if (mode_ != Mode::kModify) return header_allows_writing(file());
  return sqlite3_db_readonly(handle_.get(), "main") == 0;
}

Status Database::run(const std::string& sql) {
  const int result = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(handle_.get(), path_);
  return ok_status();
}

Result<Statement> Database::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return error_of(handle_.get(), path_);
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

Status Database::copy_from(Database& source) {
  sqlite3_backup* const backup =
      sqlite3_backup_init(handle_.get(), "main", source.handle_.get(), "main");
  if (backup == nullptr) return error_of(handle_.get(), path_);
  const int result = sqlite3_backup_step(backup, -1);
  sqlite3_backup_finish(backup);
  if (result == SQLITE_DONE) return ok_status();
  return Error{code_of(handle_.get(), result), path_ + ": cannot copy " + source.path_ + ": " +
                                                   sqlite3_errstr(result) + " (SQLite code " +
                                                   std::to_string(result) + ")"};
}

sqlite3_file* Database::file() const {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file));
  return file;
}

bool Database::has_moved() {
  int moved = 0;
  const int asked = sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_HAS_MOVED,
                                         static_cast<void*>(&moved));
  return asked == SQLITE_OK && moved != 0;
}

Result<uint64_t> Database::file_bytes() {
  sqlite3_file* const file = this->file();
  sqlite3_int64 bytes = 0;
  if (file->pMethods->xFileSize(file, &bytes) == SQLITE_OK) return static_cast<uint64_t>(bytes);
  return Error{ErrorCode::kDiskFailed, path_ + ": its size cannot be had"};
}

// SQLite does not tell what posix_fallocate() met: without a number it is taken for a want of room,
// which is tried again. Nothing was written yet that could be lost.
Status Database::grow_file(uint64_t bytes) {
  int chunk = kGrowBytes;
  sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  auto size = static_cast<sqlite3_int64>(bytes);
  errno = 0;
  const int result = sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_SIZE_HINT, &size);
  if (result == SQLITE_OK || result == SQLITE_NOTFOUND) return ok_status();
  const int number = errno_of(handle_.get(), result);
  const bool full = number == 0 || out_of_space(result, number);
  std::string message =
      path_ + ": no room to grow to " + std::to_string(bytes) + " bytes, or its disk fails";
  if (number != 0) {
    message +=
        ": " + std::generic_category().message(number) + " (errno " + std::to_string(number) + ")";
  }
  return Error{full ? ErrorCode::kNoSpace : ErrorCode::kDiskFailed, std::move(message)};
}

Status Database::cut_file(uint64_t bytes) {
  sqlite3_file* const file = this->file();
  const int result = file->pMethods->xTruncate(file, static_cast<sqlite3_int64>(bytes));
  if (result == SQLITE_OK) return ok_status();
  return Error{ErrorCode::kDiskFailed, path_ + ": cannot be cut: " + sqlite3_errstr(result)};
}

}  // namespace holdfast::snapshot
