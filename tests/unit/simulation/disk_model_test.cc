// The model of a disk catches promises that are not on it, and disks that do not keep them.
#include "tests/simulation/disk_model.h"

#include "base/entropy.h"
#include "tests/simulation/world.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

using raft::MessageType;

raft::Write write_of(uint64_t number, uint64_t term, uint64_t vote, uint64_t first, uint64_t last) {
  raft::Write write;
  write.number = number;
  write.hard_state = raft::HardState{Term(term), NodeId(vote)};
  for (uint64_t i = first; i <= last; ++i) {
    write.entries.push_back({Term(term), LogIndex(i), raft::EntryType::kCommand, Blob("x")});
  }
  return write;
}

raft::Message message_of(MessageType type, uint64_t term, uint64_t to, uint64_t index) {
  raft::Message message;
  message.type = type;
  message.from = NodeId(1);
  message.to = NodeId(to);
  message.term = Term(term);
  message.index = LogIndex(index);
  return message;
}

class DiskModelTest : public testing::Test {
 protected:
  DiskModelTest() { static_cast<void>(disk_.create_directory("/log")); }
  std::unique_ptr<raft::LogStore> open() {
    raft::LogOptions options;
    options.directory = "/log";
    options.store = StoreId(7);
    auto log = raft::LogStore::open(disk_, entropy_, options);
    EXPECT_TRUE(log.ok());
    return std::move(*log);
  }
  std::string sends(const raft::Message& message) {
    return broken_by([&] { model_.check_promise(message); });
  }
  raft::FakeFileSystem disk_;
  SimEntropy entropy_{1};
  DiskModel model_;
};

TEST_F(DiskModelTest, AStoreThatBeginsAgainBreaksI24) {
  EXPECT_EQ(broken_by([&] { model_.found_nothing(); }), "");
  model_.submitted(write_of(1, 1, 0, 1, 1));
  model_.durable(1);
  EXPECT_EQ(broken_by([&] { model_.found_nothing(); }), "I24");
}

TEST_F(DiskModelTest, AVoteOrAcknowledgementBeforeItIsDurableBreaksI7) {
  model_.submitted(write_of(1, 2, 3, 1, 2));
  EXPECT_EQ(sends(message_of(MessageType::kVoteResponse, 2, 3, 0)), "I7");
  EXPECT_EQ(sends(message_of(MessageType::kAppendResponse, 2, 3, 2)), "I7");
  model_.durable(1);
  EXPECT_EQ(sends(message_of(MessageType::kVoteResponse, 2, 3, 0)), "");
  EXPECT_EQ(sends(message_of(MessageType::kAppendResponse, 2, 3, 2)), "");
  EXPECT_EQ(sends(message_of(MessageType::kAppendResponse, 2, 3, 3)), "I7");
}

TEST_F(DiskModelTest, AVoteForAnotherThanIsOnDiskBreaksI7) {
  model_.submitted(write_of(1, 2, 3, 1, 1));
  model_.durable(1);
  EXPECT_EQ(sends(message_of(MessageType::kVoteResponse, 2, 2, 0)), "I7");
  EXPECT_EQ(sends(message_of(MessageType::kVoteRequest, 2, 2, 1)), "I7");
}

TEST_F(DiskModelTest, ADiskWithoutWhatWasAcknowledgedBreaksI10) {
  model_.submitted(write_of(1, 1, 0, 1, 3));
  model_.durable(1);
  auto log = open();
  EXPECT_EQ(broken_by([&] { model_.restarted(log->recovered().hard_state, *log); }), "I10");
}

TEST_F(DiskModelTest, ADiskWithAnyFirstPartOfWhatWasUnderWayIsSound) {
  auto log = open();
  const raft::Write first = write_of(1, 1, 2, 1, 2);
  model_.submitted(first);
  ASSERT_TRUE(log->append(std::span(&first, 1)).ok());
  model_.submitted(write_of(2, 1, 2, 3, 5));
  log.reset();
  disk_.process_crash();
  log = open();
  DiskModel::Recovered outcome;
  EXPECT_EQ(broken_by([&] { outcome = model_.restarted(log->recovered().hard_state, *log); }), "");
  EXPECT_TRUE(outcome.unsynced_kept);
  EXPECT_TRUE(outcome.unsynced_lost);
  EXPECT_EQ(model_.last(), LogIndex(2));
}

TEST_F(DiskModelTest, ALogThatReadsBackAsSomethingElseBreaksI10) {
  auto log = open();
  model_.submitted(write_of(1, 1, 0, 1, 1));
  model_.durable(1);
  EXPECT_EQ(broken_by([&] { model_.check_whole(*log); }), "I10");
}

}  // namespace
}  // namespace holdfast::sim
