// The check of a database beside its loading, where the system gives no further thread or file: it
// is done all the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <system_error>

#include "coordinator/snapshot/check_thread.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using testing::HasSubstr;

/// No file can be opened while it lives.
class NoMoreFiles {
 public:
  NoMoreFiles() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = dup(STDERR_FILENO);
    close(next);
    const rlimit none{static_cast<rlim_t>(next), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    EXPECT_EQ(dup(STDERR_FILENO), -1);
  }
  ~NoMoreFiles() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

/// No thread can be made while it lives: none has room for its stack.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, size_t{1} << 47);
    EXPECT_EQ(pthread_setattr_default_np(&huge), 0);
    pthread_attr_destroy(&huge);
    EXPECT_THROW(std::thread([] {}), std::system_error);
  }
  ~NoMoreThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

class CheckBeside : public testing::Test {
 protected:
  CheckBeside() {
    raft::PosixFileSystem files;
    WrittenState state(4);
    auto writer = SnapshotWriter::create(files, path_);
    state.apply(800);
    EXPECT_TRUE(state.write(*writer).ok());
    EXPECT_TRUE(*writer->checkpoint());
    head_ = state.head();
  }
  /// Where no row shows it: the number of unused bytes between the rows of a page.
  void damage() {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 4096 + 7);
    file.put(5);
    std::filesystem::remove(path_ + "-wal");  // which has that page, too
  }
  template <class Shortage>
  Result<SnapshotHead> load() {
    auto database = Database::open(path_, Database::Mode::kModify, "");
    EXPECT_TRUE(read_head(*database).ok()) << "its own files are open";
    const Shortage shortage;
    return load_and_verify(
        *database, "",
        [this](RowTable, uint64_t, std::string_view) {
          ++rows_;
          return ok_status();
        },
        [](uint64_t) {});
  }
  template <class Shortage>
  void expect_checked() {
    const auto loaded = load<Shortage>();
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ(loaded->digest, head_.digest);
    EXPECT_GT(rows_, 0);
    damage();
    const auto damaged = load<Shortage>();
    ASSERT_FALSE(damaged.ok());
    EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(damaged.error().message, HasSubstr("Fragmentation"));
  }

  struct Nothing {
    Nothing() {}  // no unused variable then
  };

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.file("state.db");
  SnapshotHead head_;
  int rows_ = 0;
};

TEST_F(CheckBeside, IsDoneByAThread) { expect_checked<Nothing>(); }

TEST_F(CheckBeside, IsDoneByTheCallerIfNoThreadCanBeMade) { expect_checked<NoMoreThreads>(); }

TEST_F(CheckBeside, IsDoneByTheCallerIfNoFileCanBeOpened) { expect_checked<NoMoreFiles>(); }

}  // namespace
}  // namespace holdfast::snapshot
