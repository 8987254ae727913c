// The same code on the machine's own disk, with its threads, in a temporary directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "raft/storage/data_directory.h"
#include "raft/storage/posix_file_system.h"
#include "raft/storage/threaded_log_writer.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;

class RealDisk : public ::testing::Test {
 protected:
  RealDisk() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~RealDisk() override { std::filesystem::remove_all(path_); }

  LogOptions options() const {
    LogOptions options;
    options.directory = path_;
    options.store = kStore;
    options.segment_bytes = 64 << 10;
    return options;
  }
  Result<std::unique_ptr<LogStore>> open() { return LogStore::open(files_, entropy_, options()); }

  PosixFileSystem files_;
  SystemEntropy entropy_;
  SystemClock clock_;
  std::string path_;
};

/// A driver's loop, reduced to waiting.
class Wakeup {
 public:
  void notify() {
    const std::lock_guard lock(mutex_);
    pending_ = true;
    arrived_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return pending_; });
    pending_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  bool pending_ = false;
};

TEST_F(RealDisk, ThreadsWriteEverythingInOrderAndAfterAReopenItIsThere) {
  constexpr uint64_t kWrites = 400;
  LogContent model;
  {
    auto log = open();
    ASSERT_TRUE(log.ok()) << log.error().message;
    Wakeup wakeup;
    ThreadedLogWriter writer(**log, clock_, [&wakeup] { wakeup.notify(); });
    for (uint64_t i = 1; i <= kWrites; ++i) {
      const std::optional<HardState> state =
          i == 1 ? std::optional<HardState>({Term(1), NodeId(1)}) : std::nullopt;
      Write write = make_write(i, state, make_entries(1, 2 * i - 1, 2 * i, 300));
      model.apply(write);
      writer.submit(std::move(write));
    }
    uint64_t durable = 0;
    while (durable < kWrites) {
      wakeup.wait();
      const auto done = writer.collect();
      if (!done) continue;
      ASSERT_TRUE(done->ok()) << done->error().message;
      EXPECT_GT(**done, durable);
      durable = **done;
      EXPECT_EQ((*log)->last_index(), LogIndex(2 * durable));
    }
    EXPECT_EQ(read_all(**log), model.entries);
    // What is durable is told first and counted then.
    while (writer.stats().bytes < 2 * kWrites * 300) std::this_thread::yield();
    const LogWriteStats stats = writer.stats();
    EXPECT_GE(stats.batches, 1u);
    EXPECT_LE(stats.batches, kWrites);
    EXPECT_GT(stats.durations.sum(), 0ns);
  }
  auto log = open();
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(content_of(**log), model);
}

TEST_F(RealDisk, ThreadsCutTheLogWhileTheyWriteIt) {
  constexpr uint64_t kWrites = 300;
  LogContent model;
  model.hard_state = {Term(1), NodeId(1)};
  LogPoint snapshot;
  {
    auto log = open();
    ASSERT_TRUE(log.ok()) << log.error().message;
    Wakeup wakeup;
    ThreadedLogWriter writer(**log, clock_, [&wakeup] { wakeup.notify(); });
    for (uint64_t i = 1; i <= kWrites; ++i) {
      Write write = make_write(i, model.hard_state, {make_entry(1, i, 3000)});
      model.apply(write);
      writer.submit(std::move(write));
      // Segments that have become ready wake it too.
      for (uint64_t written = 0; written < i;) {
        wakeup.wait();
        while (const auto done = writer.collect()) {
          ASSERT_TRUE(done->ok()) << done->error().message;
          written = **done;
        }
      }
      snapshot = {(*log)->last_index(), Term(1)};
      const LogIndex first = (*log)->cut(snapshot.index);
      std::vector<Entry> entries;
      ASSERT_TRUE((*log)->read(first, first.next(), 1, entries).ok());
      EXPECT_EQ(entries.front(), model.entries[first.value - 1]);
    }
    // A segment holds 21 entries: what is left is in the newest one.
    EXPECT_GT((*log)->first_index(), LogIndex(kWrites - 22));
  }
  LogOptions beside = options();
  beside.snapshot = {.last = snapshot};
  auto log = LogStore::open(files_, entropy_, beside);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(content_of(**log), model.behind((*log)->first_index().prev()));
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(path_)) bytes += file.file_size();
  EXPECT_LE(bytes, 8 * options().segment_bytes) << "300 entries fill 15 segments";
}

TEST_F(RealDisk, AWriterThatEndsHasWrittenWhatWasSubmitted) {
  {
    auto log = open();
    ThreadedLogWriter writer(**log, clock_, [] {});
    for (uint64_t i = 1; i <= 50; ++i) writer.submit(make_write(i, {}, {make_entry(1, i)}));
  }
  auto log = open();
  EXPECT_EQ((*log)->last_index(), LogIndex(50));
}

// As when a server has loaded its state: until then another writer has served the same log.
TEST_F(RealDisk, AWriterAfterAnotherHasSegmentsPreparedTooAndOldOnesRemoved) {
  auto log = open();
  uint64_t index = 0;
  for (int turn = 0; turn < 2; ++turn) {
    Wakeup wakeup;
    ThreadedLogWriter writer(**log, clock_, [&wakeup] { wakeup.notify(); });
    for (uint64_t i = 1; i <= 100; ++i) {
      writer.submit(make_write(i, {}, {make_entry(1, ++index, 3000)}));
      for (uint64_t written = 0; written < i;) {
        wakeup.wait();
        while (const auto done = writer.collect()) written = **done;
      }
      (*log)->cut(LogIndex(index));
    }
    SegmentPreparer& preparer = (*log)->preparer();
    const Instant until = clock_.now() + 10s;
    while (preparer.has_work() && clock_.now() < until) std::this_thread::yield();
    EXPECT_EQ(preparer.ready(), preparer.ahead());
  }
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(path_)) bytes += file.file_size();
  EXPECT_LE(bytes, 8 * options().segment_bytes) << "200 entries fill 10 segments";
}

TEST_F(RealDisk, AnotherProcessIsRefusedByPid) {
  auto mine = DataDirectory::open(files_, entropy_, path_ + "/data", NodeId(1));
  ASSERT_TRUE(mine.ok()) << mine.error().message;
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const std::string pid = std::to_string(::getpid());
  const pid_t child = ::fork();
  if (child == 0) {
    const auto theirs = DataDirectory::open(files_, entropy_, path_ + "/data", NodeId(1));
    const std::string said = theirs ? "opened" : theirs.error().message;
    const bool told = ::write(pipe[1], said.data(), said.size()) > 0;
    ::_exit(told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::string said(4096, '\0');
  said.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(pipe[0], said.data(), 4096))));
  ::close(pipe[0]);
  ::close(pipe[1]);
  EXPECT_THAT(said, HasSubstr("is in use"));
  EXPECT_THAT(said, HasSubstr("pid " + pid));
  mine->reset();
  EXPECT_TRUE(DataDirectory::open(files_, entropy_, path_ + "/data", NodeId(1)).ok());
}

TEST_F(RealDisk, ErrorsKeepTheirNumberAndNameThePath) {
  auto missing = files_.open(path_ + "/none", OpenMode::kRead);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().number, ENOENT);
  EXPECT_THAT(missing.error().to_error().message, HasSubstr(path_ + "/none"));
  EXPECT_THAT((IoError{EMFILE, "open", "f", ""}.to_error().message), HasSubstr("`ulimit -n`"));
  EXPECT_EQ(files_.list(path_ + "/none").error().number, ENOENT);
  EXPECT_EQ(files_.unlink(path_ + "/none").error().number, ENOENT);
  EXPECT_EQ(files_.rename(path_ + "/none", path_ + "/n").error().number, ENOENT);
  ASSERT_TRUE(replace_file(files_, path_, "file", "content").ok());
  EXPECT_EQ(files_.create_directory(path_ + "/file").error().number, ENOTDIR);
  EXPECT_EQ(read_file(files_, path_ + "/file", 3).error().number, EFBIG);
  EXPECT_EQ(*read_file(files_, path_ + "/file", 7), "content");
}

TEST_F(RealDisk, ADataDirectoryThatCannotBeMadeIsAMistakenPathNotAFailedDisk) {
  SeededEntropy entropy(7);
  const auto refused = [&](const std::string& path) {
    const auto opened = DataDirectory::open(files_, entropy, path, NodeId(1));
    EXPECT_FALSE(opened.ok());
    if (opened.ok()) return std::string();
    EXPECT_EQ(opened.error().code, ErrorCode::kBadArgument);
    return opened.error().message;
  };
  EXPECT_THAT(refused(path_ + "/no/parent"), HasSubstr("create its parent " + path_ + "/no first"));
  ASSERT_TRUE(files_.open(path_ + "/file", OpenMode::kCreate).ok());
  EXPECT_THAT(refused(path_ + "/file"), HasSubstr(path_ + "/file is no directory"));
  EXPECT_THAT(refused(path_ + "/file/data"), HasSubstr("is no directory, or its parent is none"));
}

TEST_F(RealDisk, AFullDeviceIsNoSpace) {
  auto full = files_.open("/dev/full", OpenMode::kModify);
  ASSERT_TRUE(full.ok()) << full.error().to_error().message;
  const IoStatus done = (*full)->write(0, "x");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().to_error().code, ErrorCode::kNoSpace);
}

TEST_F(RealDisk, FilesAreZeroFilledReadShortAtTheEndAndCut) {
  auto file = files_.open(path_ + "/file", OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->zero_fill(0, 200'000).ok());
  EXPECT_EQ(*(*file)->size(), 200'000u);
  ASSERT_TRUE((*file)->write(199'999, "end").ok());
  std::string bytes(10, 'x');
  EXPECT_EQ(*(*file)->read(199'998, bytes.data(), bytes.size()), 4u);
  EXPECT_EQ(bytes.substr(0, 4), std::string("\0end", 4));
  ASSERT_TRUE((*file)->truncate(5).ok());
  ASSERT_TRUE((*file)->sync().ok());
  EXPECT_EQ(*(*file)->size(), 5u);
}

}  // namespace
}  // namespace holdfast::raft
