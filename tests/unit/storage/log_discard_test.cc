// A start beside a snapshot: whether the log goes on from it, is refused, or is discarded because
// another server's snapshot has left it behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/storage/log_format.h"
#include "raft/storage/log_inspect.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr HardState kVoted{Term(5), NodeId(3)};

SnapshotPosition own(uint64_t index, uint64_t term) { return {{LogIndex(index), Term(term)}}; }
SnapshotPosition received(uint64_t index, uint64_t term) {
  return {{LogIndex(index), Term(term)}, true};
}

/// Entries 1 to 30 of term 2 in several segments, and a vote in term 5.
class LogDiscard : public ::testing::Test {
 protected:
  LogDiscard() : disk_(fake_disk()) {
    auto log = open_log(*disk_);
    write(**log, make_write(1, HardState{Term(2), NodeId()}, make_entries(2, 1, 10, 250)));
    write(**log, make_write(2, {}, make_entries(2, 11, 20, 250)));
    write(**log, make_write(3, {}, make_entries(2, 21, 30, 250)));
    write(**log, make_write(4, kVoted, {}));
  }

  void write(LogStore& log, const Write& write) {
    ASSERT_TRUE(append(log, {write}).ok());
    model_.apply(write);
  }

  static LogContent discarded(const LogPoint& snapshot, const HardState& state) {
    return {state, {}, snapshot};
  }

  void expect_refused(const SnapshotPosition& snapshot, const std::string& log,
                      const std::string& state) {
    const uint64_t before = disk_->operations();
    const auto opened = open_log(*disk_, snapshot);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr(log));
    EXPECT_THAT(opened.error().message, HasSubstr(state));
    EXPECT_EQ(disk_->operations(), before) << "a refused log is left as it is";
  }

  std::unique_ptr<FakeFileSystem> disk_;
  LogContent model_;
};

TEST_F(LogDiscard, ALogThatHoldsTheSnapshotsEntryIsKept) {
  for (const bool other : {false, true}) {
    for (const uint64_t index : {0, 1, 20, 30}) {
      auto log = open_log(*disk_, {{LogIndex(index), Term(index == 0 ? 0 : 2)}, other});
      ASSERT_TRUE(log.ok()) << log.error().message;
      EXPECT_EQ(content_of(**log), model_);
      EXPECT_EQ((*log)->recovered().discarded, "");
    }
  }
}

TEST_F(LogDiscard, AnOwnSnapshotThatTheLogHasNotReachedIsRefused) {
  expect_refused(own(31, 2), "entries 1 to entry 30 of term 2", "entry 31 of term 2");
  expect_refused(own(30, 3), "entries 1 to entry 30 of term 2", "entry 30 of term 3");
}

TEST_F(LogDiscard, AnEmptyLogBesideASnapshotHasLostItsVotes) {
  for (const SnapshotPosition& snapshot : {own(30, 2), received(30, 2)}) {
    const auto disk = fake_disk();
    const auto log = open_log(*disk, snapshot);
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(log.error().message, HasSubstr("the log is empty"));
    EXPECT_TRUE(disk->paths().empty());
  }
}

TEST_F(LogDiscard, ALogThatAReceivedSnapshotPassesIsDiscarded) {
  const SnapshotPosition snapshot = received(100, 4);
  auto log = open_log(*disk_, snapshot);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(content_of(**log), discarded(snapshot.last, kVoted)) << "term and vote are kept";
  EXPECT_EQ((*log)->recovered().first_index, LogIndex(101));
  EXPECT_EQ((*log)->recovered().last_index, LogIndex(100));
  EXPECT_EQ((*log)->recovered().term_runs, (std::vector<TermRun>{{LogIndex(100), Term(4)}}));
  EXPECT_TRUE((*log)->recovered().check_terms().ok());
  EXPECT_FALSE((*log)->recovered().genesis.has_value());
  EXPECT_FALSE((*log)->recovered().created);
  EXPECT_THAT((*log)->recovered().discarded, HasSubstr("entries 1 to entry 30 of term 2"));
  EXPECT_THAT((*log)->recovered().discarded, HasSubstr("entry 100 of term 4"));
}

TEST_F(LogDiscard, ALogOfAnotherTermThereIsDiscardedThoughItIsLonger) {
  const SnapshotPosition snapshot = received(20, 3);
  auto log = open_log(*disk_, snapshot);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(content_of(**log), discarded(snapshot.last, kVoted));
}

TEST_F(LogDiscard, AnEntryThatWasReplacedIsNotInTheLog) {
  {
    auto log = open_log(*disk_);
    write(**log, make_write(5, {}, make_entries(5, 15, 15)));
  }
  for (const uint64_t index : {16, 20}) expect_refused(own(index, 2), "to entry 15", "of term 2");
  auto log = open_log(*disk_, received(20, 2));
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ((*log)->first_index(), LogIndex(21));
}

TEST_F(LogDiscard, ALaterTermIsTakenUpWithoutAVote) {
  auto log = open_log(*disk_, received(100, 9));
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ((*log)->recovered().hard_state, (HardState{Term(9), NodeId()}));
  EXPECT_TRUE((*log)->recovered().check_terms().ok());
}

TEST_F(LogDiscard, AVoteThatMayBeOnNoDiskYetIsKeptToo) {
  // A kill left the vote readable, but its sync never returned.
  {
    auto log = open_log(*disk_);
    disk_->crash_at(disk_->operations() + 2);
    EXPECT_FALSE(append(**log, {make_write(5, HardState{Term(7), NodeId(1)}, {})}).ok());
  }
  disk_->process_crash();
  const HardState read = {Term(7), NodeId(1)};
  {
    auto log = open_log(*disk_, received(100, 7));
    ASSERT_TRUE(log.ok()) << log.error().message;
    EXPECT_EQ((*log)->recovered().hard_state, read);
  }
  disk_->power_loss();
  EXPECT_EQ((*open_log(*disk_, received(100, 7)))->recovered().hard_state, read);
}

TEST_F(LogDiscard, TheLogGoesOnBehindTheSnapshot) {
  LogContent expected = discarded({LogIndex(100), Term(4)}, kVoted);
  for (uint64_t life = 0; life < 4; ++life) {
    auto log = open_log(*disk_, received(100, 4));
    ASSERT_TRUE(log.ok()) << log.error().message;
    EXPECT_EQ(content_of(**log), expected);
    EXPECT_EQ((*log)->recovered().discarded.empty(), life > 0) << "once";
    const uint64_t next = expected.last().index.value + 1;
    const Write write = make_write(1, {}, make_entries(5, next, next + 20, 200));
    expected.apply(write);
    ASSERT_TRUE(append(**log, {write}).ok());
    prepare(**log);
    disk_->power_loss();
  }
}

TEST_F(LogDiscard, NothingOfTheOldLogIsLeftForSure) {
  ASSERT_TRUE(open_log(*disk_, received(100, 4)).ok());
  disk_->power_loss();
  const auto found =
      inspect_log(*disk_, kLogDirectory, kDefaultGroup, kStore, InspectDetail::kSegments);
  EXPECT_EQ(found.verdict, LogInspection::Verdict::kSound);
  EXPECT_EQ(found.first_index, 101U);
  for (const InspectedSegment& segment : found.segments) {
    EXPECT_THAT(segment.role, AnyOf(Eq("log"), Eq("temporary"))) << segment.file;
  }
}

TEST_F(LogDiscard, ADamagedHeadOfTheNewLogDoesNotBringTheOldOneBack) {
  // The new segment is in force, the files of the old log are still there.
  auto first = disk_->clone(1);
  const uint64_t before = first->operations();
  ASSERT_TRUE(open_log(*first, received(100, 4)).ok());
  bool left = false;
  for (uint64_t at = 1; at <= first->operations() - before; ++at) {
    auto disk = disk_->clone(at);
    disk->crash_at(disk->operations() + at);
    EXPECT_FALSE(open_log(*disk, received(100, 4)).ok());
    disk->process_crash();
    const auto found =
        inspect_log(*disk, kLogDirectory, kDefaultGroup, kStore, InspectDetail::kSegments);
    if (found.first_index != 101) continue;
    left = left || found.segments.size() > 2;
    std::string newest;
    for (const InspectedSegment& each : found.segments) {
      if (each.role == "log") newest = std::string(kLogDirectory) + "/" + each.file;
    }
    disk->flip_bit(newest, 100, 1);
    const auto log = open_log(*disk, received(100, 4));
    ASSERT_FALSE(log.ok()) << "operation " << at;
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  }
  EXPECT_TRUE(left) << "some crash left files of the old log beside the new one";
}

enum class Crash { kPower, kProcess, kProcessThenPower };

void strike(FakeFileSystem& disk, Crash crash) {
  if (crash != Crash::kPower) disk.process_crash();
  if (crash != Crash::kProcess) disk.power_loss();
}

TEST_F(LogDiscard, ACrashAtEveryOperationLeavesTheOldLogOrTheNewOne) {
  const SnapshotPosition snapshot = received(100, 9);
  const LogContent fresh = discarded(snapshot.last, {Term(9), NodeId()});
  int old_logs = 0;
  int new_logs = 0;
  for (uint64_t at = 1; at <= 40; ++at) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      for (const Crash crash : {Crash::kPower, Crash::kProcess, Crash::kProcessThenPower}) {
        SCOPED_TRACE("operation " + std::to_string(at) + " seed " + std::to_string(seed));
        auto disk = disk_->clone(seed);
        disk->crash_at(disk->operations() + at);
        const bool finished = open_log(*disk, snapshot).ok();
        strike(*disk, crash);
        // Without the snapshot the old log, if that is what is in force, is seen as it was.
        auto other = disk->clone(seed);
        if (auto old = open_log(*other); old.ok()) {
          ++old_logs;
          ASSERT_FALSE(finished) << "what was handed out is durable";
          ASSERT_EQ(content_of(**old), model_);
        } else {
          ++new_logs;
          ASSERT_THAT(old.error().message, HasSubstr("with entry 101"));
        }
        auto log = open_log(*disk, snapshot);
        ASSERT_TRUE(log.ok()) << log.error().message;
        ASSERT_EQ(content_of(**log), fresh);
        disk->power_loss();
        ASSERT_EQ(content_of(**open_log(*disk, snapshot)), fresh);
      }
    }
  }
  EXPECT_GT(old_logs, 50);
  EXPECT_GT(new_logs, 50);
}

}  // namespace
}  // namespace holdfast::raft
