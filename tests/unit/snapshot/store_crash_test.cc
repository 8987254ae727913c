// Crashes, failures and damage at every operation of the snapshot's disk. What is on the disk after
// each is judged: the state of one span, whole, and never an older one than was called durable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>

#include "tests/support/file_system_vfs.h"
#include "tests/unit/snapshot/written_state.h"
#include "tests/unit/storage/crash_scene.h"

namespace holdfast::snapshot {
namespace {

constexpr char kDirectory[] = "/snapshot";
constexpr int kSpans = 5;
constexpr int kEntriesMax = 40;
/// Half of the database in the third span, removed in the fourth.
constexpr Bulk kBulk = {.first = 10, .last = 18, .gone = 40};

bool passes(const Error& error) {
  return error.code == ErrorCode::kNoSpace || error.code == ErrorCode::kOverloaded;
}

/// When what removed rows leave is given back.
enum class GivesBack { kToAFullDisk, kAtLeisure };

/// Writes spans of one history, and knows what the disk must hold.
class Client {
 public:
  explicit Client(GivesBack gives_back) : gives_back_(gives_back) {}
  /// One life of a process: opens the store, loads it, and goes on to `spans` spans; false if an
  /// error ended it before. What passes is tried again.
  bool run(raft::FakeFileSystem& files, int spans) {
    FileSystemVfs vfs(files, 1);
    auto store = SnapshotStore::open(files, kDirectory, vfs.name());
    bool done = store.ok() && load(**store) && write(**store, spans);
    if (!store.ok()) error_ = store.error();
    // Where the process ends by itself it ends as abruptly as the server: nothing is closed.
    if (!done) files.halt();
    before_close_ = files.operations();
    return done;
  }
  /// After a crash: opening and loading what is there must go well, and come to a state that is
  /// allowed.
  void check(raft::FakeFileSystem& files) {
    FileSystemVfs vfs(files, 1);
    auto store = SnapshotStore::open(files, kDirectory, vfs.name());
    ASSERT_TRUE(store.ok()) << store.error().message;
    ASSERT_TRUE(load(**store)) << error_.message;
    files.halt();
  }
  const Error& error() const { return error_; }
  uint64_t operations_before_close() const { return before_close_; }
  bool has_shrunk() const { return last_bytes_ < most_bytes_ * 3 / 4; }

 private:
  bool load(SnapshotStore& store) {
    loaded_ = LogIndex();
    if (!store.empty()) {
      rsm::StateMachine machine;
      const auto head =
          store.load([&](RowTable table, uint64_t id,
                         std::string_view row) { return machine.load(table, id, row); },
                     [](uint64_t) {});
      if (!head.ok()) return fail(head.error());
      EXPECT_TRUE(machine.finish_load().ok());
      EXPECT_TRUE(given_.contains(head->applied)) << "a state that nobody wrote";
      EXPECT_EQ(machine.digest(), given_[head->applied]);
      EXPECT_EQ(machine.applied(), head->applied);
      loaded_ = head->applied;
    }
    EXPECT_GE(loaded_, durable_) << "what was durable is gone";
    durable_ = std::max(durable_, loaded_);
    return true;
  }
  // The entries behind what was loaded are applied again, as from the log.
  bool write(SnapshotStore& store, int spans) {
    store.allow_slack(0);
    WrittenState state(4, kBulk);
    state.apply(static_cast<int>(loaded_.value));
    state.take_span();
    for (int span = 0; span < spans; ++span) {
      state.apply(1 + static_cast<int>(state.machine().applied().value * 7 % kEntriesMax));
      Span next = state.take_span();
      next.shrink = gives_back_ == GivesBack::kToAFullDisk;
      next.at_leisure = gives_back_ == GivesBack::kAtLeisure;
      given_[next.head.applied] = next.head.digest;
      auto written = store.write(next);
      if (!written.ok() && passes(written.error())) {
        EXPECT_THAT(written.error().message, testing::Not(testing::HasSubstr("sync of")));
        written = store.write(next);
      }
      if (!written.ok()) return fail(written.error());
      EXPECT_TRUE(written->durable);
      durable_ = written->applied;
      most_bytes_ = std::max(most_bytes_, written->database_bytes);
      last_bytes_ = written->database_bytes;
    }
    return true;
  }
  bool fail(const Error& error) {
    error_ = error;
    return false;
  }

  GivesBack gives_back_;
  std::map<LogIndex, Digest> given_;  ///< by index: the state of a span that was handed over
  LogIndex loaded_;
  LogIndex durable_;
  uint64_t before_close_ = 0;
  uint64_t most_bytes_ = 0;
  uint64_t last_bytes_ = 0;
  Error error_{ErrorCode::kOk, {}};
};

using Scene = CrashScene<Client>;

Scene empty_scene(uint64_t seed, GivesBack gives_back = GivesBack::kToAFullDisk) {
  Scene scene{std::make_unique<raft::FakeFileSystem>(seed), Client(gives_back)};
  EXPECT_TRUE(scene.disk->create_directory(kDirectory));
  EXPECT_TRUE(scene.disk->sync_directory("/"));
  return scene;
}

uint64_t operations_of(int spans, GivesBack gives_back) {
  Scene scene = empty_scene(1, gives_back);
  const uint64_t before = scene.disk->operations();
  EXPECT_TRUE(scene.client.run(*scene.disk, spans));
  EXPECT_TRUE(scene.client.has_shrunk());
  return scene.disk->operations() - before;
}

/// The operation of that number, counted after the directory was made, crashes.
Scene run_until(uint64_t operation, GivesBack gives_back) {
  Scene scene = empty_scene(operation, gives_back);
  scene.disk->crash_at(scene.disk->operations() + operation);
  scene.client.run(*scene.disk, kSpans);
  return scene;
}

class SnapshotCrash : public testing::TestWithParam<GivesBack> {
 protected:
  /// Most operations of the one way are those of the other.
  static uint64_t every() { return GetParam() == GivesBack::kAtLeisure ? 5 : 1; }
};

TEST_P(SnapshotCrash, AtEveryOperationTheOldOrTheNewStateIsThere) {
  const uint64_t operations = operations_of(kSpans, GetParam());
  for (uint64_t at = 1; at <= operations; at += every()) {
    const Scene crashed = run_until(at, GetParam());
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      for (const Crash crash : kCrashes) {
        SCOPED_TRACE("operation " + std::to_string(at) + " seed " + std::to_string(seed));
        Scene scene = crashed.copy(seed);
        scene.strike(crash);
        scene.check();
        // What was loaded is durable without any further write.
        scene.strike(crash == Crash::kProcessThenPower ? Crash::kPower : crash);
        scene.check();
        scene.disk->process_crash();
        ASSERT_TRUE(scene.client.run(*scene.disk, 2)) << scene.client.error().message;
        scene.disk->power_loss();
        scene.check();
        ASSERT_FALSE(testing::Test::HasFailure());
      }
    }
  }
}

TEST_P(SnapshotCrash, ASecondCrashAtEveryOperationOfTheLoadLosesNothingEither) {
  const uint64_t operations = operations_of(kSpans, GetParam());
  for (uint64_t at = 1; at <= operations; at += 2 * every()) {
    crash_the_next_start(run_until(at, GetParam()), at, 2,
                         [](Scene& scene) { return scene.client.run(*scene.disk, 0); });
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

// The pages of a failed sync are readable, on no disk, and look clean; power may go at any moment
// of the start that follows.
TEST_P(SnapshotCrash, AfterAFailureAtEveryOperationTheOldOrTheNewStateIsThere) {
  const uint64_t operations = operations_of(kSpans, GetParam());
  for (uint64_t at = 1; at <= operations; at += every()) {
    Scene failed = empty_scene(at, GetParam());
    const uint64_t failing = failed.disk->operations() + at;
    failed.disk->fail_at(failing, EIO);
    if (failed.client.run(*failed.disk, kSpans)) {
      ASSERT_GT(failing, failed.client.operations_before_close()) << "a failure that nobody told";
    } else {
      ASSERT_EQ(failed.client.error().code, ErrorCode::kDiskFailed)
          << failed.client.error().message;
    }
    for (uint64_t second = 1; second <= 40; ++second) {
      SCOPED_TRACE("operations " + std::to_string(at) + ", " + std::to_string(second));
      Scene scene = failed.copy(second);
      scene.disk->process_crash();
      scene.disk->crash_at(scene.disk->operations() + second);
      const bool finished = scene.client.run(*scene.disk, 0);
      scene.disk->power_loss();
      scene.check();
      ASSERT_FALSE(testing::Test::HasFailure());
      if (finished) break;
    }
  }
}

TEST_P(SnapshotCrash, AtEveryOperationThatFindsNoRoomTheSpanIsTriedAgain) {
  const uint64_t operations = operations_of(kSpans, GetParam());
  uint64_t failed_syncs = 0;
  for (uint64_t at = 1; at <= operations; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at));
    Scene scene = empty_scene(at, GetParam());
    scene.disk->fail_at(scene.disk->operations() + at, ENOSPC);
    if (!scene.client.run(*scene.disk, kSpans)) {
      ASSERT_EQ(scene.client.error().code, ErrorCode::kDiskFailed) << scene.client.error().message;
      ++failed_syncs;
    }
    scene.disk->power_loss();
    scene.check();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  EXPECT_GT(failed_syncs, 0U) << "a sync that failed is never waited out";
  EXPECT_LT(failed_syncs, operations / 3);
}

INSTANTIATE_TEST_SUITE_P(Ways, SnapshotCrash,
                         testing::Values(GivesBack::kToAFullDisk, GivesBack::kAtLeisure));

/// A store whose disk has a given room for a span.
class FullDisk {
 public:
  explicit FullDisk(Bulk bulk = {}) : state_(12, bulk) {
    EXPECT_TRUE(files_.create_directory(kDirectory));
    store_ = std::move(*SnapshotStore::open(files_, kDirectory, vfs_.name()));
  }
  /// Applies entries and tries to write what changed with `room` bytes on the disk, some times;
  /// then with as much as it wants. True if the room was enough.
  bool write_with(uint64_t room, int entries) {
    state_.apply(entries);
    const Span span = state_.take_span();
    files_.set_capacity(files_.used() + room);
    for (int attempt = 1; attempt <= 4; ++attempt) {
      const auto written = store_->write(span);
      if (written.ok()) {
        EXPECT_LE(attempt, 2) << "the first has given the -wal back, those after it nothing";
        return attempt == 1;
      }
      EXPECT_EQ(written.error().code, ErrorCode::kNoSpace) << written.error().message;
      EXPECT_LE(files_.paths().size(), 3U);
    }
    files_.set_capacity(~uint64_t{0});
    const auto written = store_->write(span);
    EXPECT_TRUE(written.ok()) << written.error().message;
    EXPECT_TRUE(written->durable);
    EXPECT_EQ((*load(store_->path(), vfs_.name()))->digest(), state_.machine().digest());
    return false;
  }

  uint64_t used() const { return files_.used(); }

 private:
  raft::FakeFileSystem files_{1};
  FileSystemVfs vfs_{files_, 1};
  std::unique_ptr<SnapshotStore> store_;
  WrittenState state_;
};

// Without end it would keep the snapshot from all that follows, and the log from being cut.
TEST(FullDisks, ThatNeverHaveRoomForAnAttemptToShrinkAreNotWaitedFor) {
  raft::FakeFileSystem files{1};
  ASSERT_TRUE(files.create_directory(kDirectory));
  const FileSystemVfs vfs(files, 1);
  auto store = std::move(*SnapshotStore::open(files, kDirectory, vfs.name()));
  WrittenState state(12, {.first = 100, .last = 199, .gone = 1'000});
  uint64_t large = 0;
  for (const int entries : {900, 200}) {
    state.apply(entries);
    const auto written = store->write(state.take_span());
    ASSERT_TRUE(written.ok());
    large = written->database_bytes;
  }
  // What it has written ahead goes with the process.
  store.reset();
  store = std::move(*SnapshotStore::open(files, kDirectory, vfs.name()));
  state.apply(5);
  ASSERT_TRUE(store->write(state.take_span()).ok());
  state.apply(5);
  Span span = state.take_span();
  span.shrink = true;
  files.set_capacity(files.used() + 20'000);
  const uint64_t used = files.used();
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const auto refused = store->write(span);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace) << refused.error().message;
    EXPECT_LE(files.used(), used) << "an attempt takes nothing from others";
  }
  const auto written = store->write(span);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->durable);
  EXPECT_EQ(written->database_bytes, large);
  files.set_capacity(~uint64_t{0});
  const auto shrunk = store->write(span);
  ASSERT_TRUE(shrunk.ok());
  EXPECT_LT(shrunk->database_bytes, large / 2);
  EXPECT_EQ((*load(store->path(), vfs.name()))->digest(), state.machine().digest());
}

// It would be full for a while, and clients be refused for it; and it has room for what is written.
TEST(FullDisks, AreNotMadeOfThoseThatHaveALittleRoom) {
  constexpr uint64_t kLittle = uint64_t{250} << 20;
  raft::FakeFileSystem files{1};
  ASSERT_TRUE(files.create_directory(kDirectory));
  const FileSystemVfs vfs(files, 1);
  auto store = std::move(*SnapshotStore::open(files, kDirectory, vfs.name()));
  store->allow_slack(500'000);
  WrittenState state(12, {.first = 100, .last = 199, .gone = 250});
  const auto write = [&](int entries, uint64_t stays_free = 0) {
    state.apply(entries);
    Span span = state.take_span();
    span.at_leisure = true;
    span.stays_free = stays_free;
    const auto written = store->write(span);
    EXPECT_TRUE(written.ok()) << written.error().message;
    return *written;
  };
  write(200);
  files.set_capacity(files.used() + kLittle);
  const WrittenSpan kept = write(100);
  EXPECT_GT(kept.disk_bytes, 2'000'000U);
  EXPECT_TRUE(kept.excess);
  files.set_capacity(files.used() + 2 * kLittle);
  EXPECT_TRUE(write(0, /*stays_free=*/kLittle).excess) << "--min_free_mib may be more than little";
  const WrittenSpan small = write(0);
  EXPECT_LT(small.disk_bytes, 1'000'000U);
  EXPECT_FALSE(small.excess);
  EXPECT_EQ((*load(store->path(), vfs.name()))->digest(), state.machine().digest());
}

/// A store whose last span waits in the "-wal" for somebody who reads the one before it.
class ReadStore : public testing::Test {
 protected:
  explicit ReadStore(Bulk bulk = {}) : state_(12, bulk) {
    EXPECT_TRUE(files_.create_directory(kDirectory));
    open();
    state_.apply(1'500);
    EXPECT_TRUE(store_->write(state_.take_span()).ok());
    store_.reset();  // and with it the "-wal"
    open();
    auto reader = Database::open(store_->path(), Database::Mode::kRead, vfs_.name());
    EXPECT_TRUE(reader.ok() && reader->run("BEGIN; SELECT count(*) FROM key_rows").ok());
    reader_.emplace(std::move(*reader));
    state_.apply(1'500);
    store_path_ = store_->path();
    before_ = files_.content(store_->path()).size();
    const auto waits = store_->write(state_.take_span());
    EXPECT_TRUE(waits.ok() && !waits->durable);
    growth_ = waits->database_bytes - before_;
  }
  void open() { store_ = std::move(*SnapshotStore::open(files_, kDirectory, vfs_.name())); }
  void kill() {
    files_.halt();
    reader_.reset();
    store_.reset();
    files_.process_crash();
  }
  bool load_again() {
    open();
    rsm::StateMachine machine;
    const auto sink = [&](RowTable table, uint64_t id, std::string_view row) {
      return machine.load(table, id, row);
    };
    return store_->load(sink, [](uint64_t) {}).ok();
  }

  raft::FakeFileSystem files_{1};
  const FileSystemVfs vfs_{files_, 1};
  WrittenState state_;
  std::unique_ptr<SnapshotStore> store_;
  std::optional<Database> reader_;
  std::string store_path_;
  uint64_t before_ = 0;  ///< bytes that the database's file had before that span
  uint64_t growth_ = 0;  ///< and that were added for it
};

/// A store whose database grows with that span.
class GrownReadStore : public ReadStore {
 protected:
  GrownReadStore() : ReadStore({.first = 1'600, .last = 1'620}) {}
};

// When he is gone a span for which there is no room behind that takes its place, by itself.
TEST_F(ReadStore, MakesRoomForTheNextSpanOnceNobodyReadsIt) {
  state_.apply(300);
  const Span span = state_.take_span();
  files_.set_capacity(files_.used());
  for (int attempt = 1; attempt <= 3; ++attempt) {
    const auto refused = store_->write(span);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace) << refused.error().message;
  }
  ASSERT_TRUE(reader_->run("COMMIT").ok());
  const auto written = store_->write(span);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->durable);
  EXPECT_EQ((*load(store_->path(), vfs_.name()))->digest(), state_.machine().digest());
}

TEST_F(GrownReadStore, HasRoomInTheDatabaseForWhatWaitsInTheWal) {
  ASSERT_GT(growth_, 100'000U);
  kill();
  files_.set_capacity(files_.used());
  ASSERT_TRUE(load_again());
  EXPECT_EQ(store_->wal_bytes_left(), files_.content(store_->path() + "-wal").size());
}

// No file of ours is so, but some file systems promise no room.
TEST_F(GrownReadStore, HasNoWalToFillAfterAKillUntilThereIsRoomInTheDatabase) {
  ASSERT_GT(growth_, 100'000U);
  kill();
  ASSERT_TRUE((*files_.open(store_path_, raft::OpenMode::kModify))->truncate(before_));
  files_.set_capacity(files_.used() + growth_ / 2);
  ASSERT_TRUE(load_again());
  EXPECT_EQ(store_->wal_bytes_left(), 0U);
  kill();
  files_.set_capacity(~uint64_t{0});
  ASSERT_TRUE(load_again());
  EXPECT_EQ(store_->wal_bytes_left(), files_.content(store_->path() + "-wal").size());
  EXPECT_GT(store_->wal_bytes_left(), growth_);
}

constexpr uint64_t kMuch = 10'000'000;

TEST(FullDisks, AreWaitedOutByTheFirstSpan) {
  FullDisk roomy;
  ASSERT_TRUE(roomy.write_with(kMuch, 300));
  int refused = 0;
  for (bool enough = false; !enough; ++refused) {
    FullDisk disk;
    enough = disk.write_with(static_cast<uint64_t>(refused) * 16'384, 300);
    EXPECT_EQ(disk.used(), roomy.used());
  }
  EXPECT_GT(refused, 5);
}

TEST(FullDisks, AreWaitedOutByLaterSpansAndAttemptsTakeNoRoom) {
  constexpr Bulk kLarge{.first = 100, .last = 149, .gone = 10'000};
  FullDisk roomy(kLarge);
  ASSERT_TRUE(roomy.write_with(kMuch, 10) && roomy.write_with(kMuch, 2'000));
  int refused = 0;
  for (bool enough = false; !enough; ++refused) {
    FullDisk disk(kLarge);
    ASSERT_TRUE(disk.write_with(kMuch, 10));
    enough = disk.write_with(static_cast<uint64_t>(refused) * 65'536, 2'000);
    EXPECT_LE(disk.used(), roomy.used()) << "attempts have taken room";
    EXPECT_TRUE(disk.write_with(kMuch, 10));
  }
  EXPECT_GT(refused, 5);
}

/// Loads a database of which a bit has flipped, and goes on with it: true if it was found damaged.
bool found_damaged(raft::FakeFileSystem& files, WrittenState& state, const Span& next,
                   bool version) {
  FileSystemVfs vfs(files, 1);
  auto store = SnapshotStore::open(files, kDirectory, vfs.name());
  EXPECT_TRUE(store.ok());
  rsm::StateMachine machine;
  const SnapshotHead before = state.head();
  const auto head =
      (*store)->load([&](RowTable table, uint64_t id,
                         std::string_view row) { return machine.load(table, id, row); },
                     [](uint64_t) {});
  if (!head.ok()) {
    EXPECT_EQ(head.error().code, version ? ErrorCode::kUnsupported : ErrorCode::kCorrupt)
        << head.error().message;
    return true;
  }
  EXPECT_TRUE(machine.finish_load().ok());
  EXPECT_EQ(*head, before);
  if (machine.digest() != before.digest) return true;
  const auto written = (*store)->write(next);
  EXPECT_TRUE(written.ok() || written.error().code == ErrorCode::kCorrupt)
      << written.error().message;
  return !written.ok();
}

TEST(SnapshotDamage, OfAnyByteIsFoundOrHarmless) {
  Scene whole = empty_scene(1);
  WrittenState state(4);
  state.apply(300);
  {
    FileSystemVfs vfs(*whole.disk, 1);
    auto store = SnapshotStore::open(*whole.disk, kDirectory, vfs.name());
    ASSERT_TRUE((*store)->write(state.take_span()).ok());
  }
  WrittenState later(4);
  later.apply(300);
  later.take_span();
  later.apply(50);
  const Span next = later.take_span();
  const std::string path = std::string(kDirectory) + "/state-1.db";
  const uint64_t size = whole.disk->content(path).size();
  uint64_t found = 0;
  // Every bit of the file's head, then some of every few bytes.
  for (uint64_t n = 0, at = 0; at < size; ++n, at = n < 800 ? n / 8 : at + 41) {
    SCOPED_TRACE("byte " + std::to_string(at) + " bit " + std::to_string(n % 8));
    const auto disk = whole.disk->clone(1);
    disk->flip_bit(path, at, static_cast<int>(n % 8));
    found += found_damaged(*disk, state, next, at >= 60 && at < 64) ? 1 : 0;
  }
  EXPECT_GT(found, size / 41 / 8);
}

TEST(SnapshotDamage, IsSetAsideOrStillThereWhateverCrashesMeanwhile) {
  Scene whole = empty_scene(1);
  ASSERT_TRUE(whole.client.run(*whole.disk, 2));
  const auto set_aside = [](raft::FakeFileSystem& files) {
    FileSystemVfs vfs(files, 1);
    auto store = SnapshotStore::open(files, kDirectory, vfs.name());
    EXPECT_TRUE(store.ok()) << store.error().message;
    const bool done = store.ok() && ((*store)->empty() || (*store)->set_aside().ok());
    EXPECT_TRUE(!done || (*store)->anything_set_aside()) << "the evidence is gone";
    files.halt();
    return done;
  };
  bool done = false;
  for (uint64_t at = 1; !done; ++at) {
    for (uint64_t seed = 1; seed <= 16; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(at) + " seed " + std::to_string(seed));
      Scene scene = whole.copy(seed);
      scene.disk->process_crash();
      scene.disk->crash_at(scene.disk->operations() + at);
      done = set_aside(*scene.disk);
      scene.disk->power_loss();
      ASSERT_TRUE(set_aside(*scene.disk));
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

}  // namespace
}  // namespace holdfast::snapshot
