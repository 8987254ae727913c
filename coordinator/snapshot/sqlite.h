// SQLite behind two small classes: errors as values, handles closed by destructors. One thread at a
// time for a database and its statements.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace holdfast::snapshot {

/// What SQLite keeps beside a database has its name, and one of these behind it.
inline constexpr const char* kWal = "-wal";
inline constexpr const char* kJournal = "-journal";
inline constexpr const char* kCompanions[] = {kWal, "-shm", kJournal};

/// Which file a path names, whatever its content is.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t number = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
/// Absent if there is none that can be looked at.
std::optional<FileIdentity> identity_of(const std::string& path);

class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}

  // Parameters and columns are counted from 1 and from 0, as SQLite does. Bound bytes must live
  // until the statement is stepped. What cannot be bound is the error of the next step().
  void bind(int at, int64_t value);
  void bind_text(int at, std::string_view value);
  void bind_blob(int at, std::string_view value);
  void bind_null(int at);

  /// True: a row is there to be read. False: done; the statement can be bound and run again.
  Result<bool> step();
  /// For one that yields no rows.
  Status run();

  int64_t integer(int column) const;
  /// Text or blob; valid until the next step. Empty for NULL.
  std::string_view bytes(int column) const;
  bool is_null(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  void note(int result);

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int bound_ = 0;  ///< SQLite's first error since the last step
};

class Database {
 public:
  /// The file must exist; an empty one is an empty database. kImmutable: nobody changes the file.
  /// It is read without locks, nothing beside it is read, and nothing is made beside it.
  enum class Mode { kModify, kRead, kImmutable };
  /// `vfs` names the way to the disk that SQLite takes; empty: its own. CORRUPT, NO_SPACE,
  /// DISK_FAILED, OVERLOADED (somebody else has it locked) or INTERNAL; each names the file and
  /// what SQLite said.
  static Result<Database> open(const std::string& path, Mode mode, const std::string& vfs = {});

  /// One or more statements without parameters; rows are dropped.
  Status run(const std::string& sql);
  Result<Statement> prepare(const std::string& sql);
  /// The first column of the first row.
  Result<int64_t> integer(const std::string& sql);
  Result<std::string> text(const std::string& sql);
  /// May it be written, once its header is read? Of one that is only read: does the header allow
  /// it?
  bool writable();
  /// Takes over the whole content of `source`, as one read transaction sees it.
  Status copy_from(Database& source);
  const std::string& path() const { return path_; }
  /// Does its path name another file by now, or none? What is written goes to the old one.
  bool has_moved();

  // Of the file alone, not of what waits in the "-wal". By SQLite's own descriptor: to close
  // another of the same file would end all locks that this process has on it (fcntl(2)), and a
  // stranger's sqlite3 would take itself for the last that has it open.
  Result<uint64_t> file_bytes();
  /// Takes the room for so many bytes, if there are fewer; NO_SPACE. Nobody reads beyond the pages
  /// that are committed.
  Status grow_file(uint64_t bytes);
  /// Gives back what grow_file() took. No page beyond has been committed since.
  Status cut_file(uint64_t bytes);

 private:
  sqlite3_file* file() const;
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  Database(sqlite3* handle, std::string path, Mode mode)
      : handle_(handle), path_(std::move(path)), mode_(mode) {}

  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
  Mode mode_;
};

}  // namespace holdfast::snapshot
