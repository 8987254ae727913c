// What a put makes the disk write, in rows and bytes: it follows what changes, not what exists.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "raft/storage/log_store.h"
#include "tests/support/counting_files.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/support/seeded_entropy.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

constexpr char kDirectory[] = "/data";
constexpr size_t kValue = 100;
constexpr uint64_t kFew = 2'000;
constexpr uint64_t kMany = 10 * kFew;
constexpr uint64_t kBusyKeys = 8;

std::string put_entry(uint64_t key) {
  command::CommandHeader header;
  header.level = rsm::kFeatureLevel;
  header.kind = command::CommandKind::PUT_KEY;
  command::PutKey body;
  body.path = "/k/" + std::to_string(1'000'000 + key);
  body.value = std::string(kValue, 'v');
  body.makeParents = true;
  rsm::CommandEncoder encoder;
  return std::string(encoder.entry_of(header, body).view());
}

/// Keys and their snapshot on a disk that counts.
class Keys {
 public:
  explicit Keys(uint64_t count) : count_(count) {
    EXPECT_TRUE(files_.create_directory(kDirectory));
    store_ = std::move(*SnapshotStore::open(files_, kDirectory, vfs_.name()));
    for (uint64_t key = 0; key < count; ++key) put(key);
    write_span();
  }
  void put(uint64_t key) {
    ++index_;
    effects_.clear();
    machine_.apply(LogIndex(index_), Term(2), put_entry(key), effects_);
    span_.add(machine_.row_changes(), machine_.applied());
  }
  struct Cost {
    uint64_t rows = 0;
    uint64_t bytes = 0;
  };
  Cost write_span() {
    const SnapshotHead head{.cluster = ClusterId(77),
                            .node = NodeId(3),
                            .applied = machine_.applied(),
                            .applied_term = Term(2),
                            .digest = machine_.digest(),
                            .genesis = "genesis"};
    const uint64_t before = files_.written_bytes();
    const auto written = store_->write({std::exchange(span_, RowSpan()), head});
    EXPECT_TRUE(written.ok() && written->durable);
    return {written->rows, files_.written_bytes() - before};
  }
  /// The most that a span of puts to a few keys costs, which lie far from each other.
  Cost trickle(int puts_to_each) {
    Cost most;
    for (int span = 0; span < 10; ++span) {
      for (int turn = 0; turn < puts_to_each; ++turn) {
        for (uint64_t key = 0; key < kBusyKeys; ++key) put(key * (count_ / kBusyKeys) + 7);
      }
      const Cost cost = write_span();
      most.rows = std::max(most.rows, cost.rows);
      most.bytes = std::max(most.bytes, cost.bytes);
    }
    return most;
  }

 private:
  const uint64_t count_;
  raft::FakeFileSystem disk_{1};
  raft::CountingFiles files_{disk_};
  FileSystemVfs vfs_{files_, 1};
  std::unique_ptr<SnapshotStore> store_;
  rsm::StateMachine machine_;
  rsm::Effects effects_;
  RowSpan span_;
  uint64_t index_ = 0;
};

/// Each row that changed, and the one that every entry changes.
constexpr uint64_t kRows = kBusyKeys + 1;

TEST(PutCosts, ASpanWritesEachRowThatChangedOnceHoweverManyKeysThereAre) {
  Keys few(kFew);
  Keys many(kMany);
  EXPECT_EQ(few.trickle(1).rows, kRows);
  EXPECT_EQ(many.trickle(1).rows, kRows);
  EXPECT_EQ(few.trickle(50).rows, kRows);
  EXPECT_EQ(many.trickle(50).rows, kRows);
}

// A row that is put in its place dirties the leaf that it lies on, and nothing above it: a B-tree's
// inner pages hold ids alone. So ten times the keys, which make the tree deeper, cost not one page
// more: a page each for the rows, and those of the head and the first of the file. Each goes to the
// "-wal", behind a head of its own, and from there to the database.
TEST(PutCosts, ASpanWritesAPageForEachRowThatChangedHoweverManyKeysThereAre) {
  constexpr uint64_t kPage = 4'096;
  constexpr uint64_t kFrameHead = 24;
  constexpr uint64_t kWalHead = 32;
  constexpr uint64_t kOthers = 2;
  constexpr uint64_t kMost = (kRows + kOthers) * (kPage + kFrameHead + kPage) + kWalHead;
  for (const int puts_to_each : {1, 50}) {
    Keys few(kFew);
    Keys many(kMany);
    const uint64_t bytes = few.trickle(puts_to_each).bytes;
    EXPECT_GT(bytes, kBusyKeys * 2 * kPage) << "else it is not counted";
    EXPECT_LE(bytes, kMost);
    EXPECT_LE(many.trickle(puts_to_each).bytes, kMost);
  }
}

// One put that comes alone: its own bytes, the command's and the record's fields, the head of the
// batch, and what fills it up to a sector.
TEST(PutCosts, TheLogTakesAPutsBytesAndAConstant) {
  constexpr uint64_t kCommand = 64, kRecord = 48 + 7, kBatchHead = 128, kSector = 512;
  constexpr uint64_t kConstant = kCommand + kRecord + kBatchHead + kSector;
  raft::FakeFileSystem disk(1);
  raft::CountingFiles files(disk);
  SeededEntropy entropy(1);
  ASSERT_TRUE(files.create_directory(kDirectory));
  raft::LogOptions options;
  options.directory = kDirectory;
  options.store = StoreId(77);
  options.segment_bytes = 1 << 20;
  auto log = raft::LogStore::open(files, entropy, options);
  ASSERT_TRUE(log.ok());
  const uint64_t before = files.written_bytes();
  constexpr uint64_t kPuts = 1'000;
  uint64_t payload = 0;
  for (uint64_t index = 1; index <= kPuts; ++index) {
    raft::Write write;
    write.number = index;
    write.entries.push_back(
        {Term(2), LogIndex(index), raft::EntryType::kCommand, Blob(put_entry(index))});
    payload += std::string("/k/1000000").size() + kValue;
    const auto appended = (*log)->append({&write, 1});
    ASSERT_TRUE(appended.ok());
    (*log)->publish(*appended);
  }
  const uint64_t bytes = files.written_bytes() - before;
  EXPECT_GE(bytes, payload);
  EXPECT_LE(bytes, payload + kPuts * kConstant);
}

}  // namespace
}  // namespace holdfast::snapshot
