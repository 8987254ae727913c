// A server whose state is being loaded: what it votes and acknowledges is in the log that the
// engine goes on with.
#include "coordinator/server/voter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/configuration.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_log_writer.h"

namespace holdfast::server {
namespace {

using raft::Message;
using raft::MessageType;

constexpr LogIndex kApplied{2};  ///< where the snapshot that is being loaded stands

raft::Configuration three() {
  raft::Configuration configuration;
  for (uint64_t id = 1; id <= 3; ++id) {
    configuration.members.push_back({NodeId(id), StoreId(1'000 + id), "peer", "client"});
    configuration.voters.push_back(NodeId(id));
  }
  return configuration;
}

raft::Entry entry_of(uint64_t term, uint64_t index) {
  return {Term(term), LogIndex(index), raft::EntryType::kCommand, Blob("x")};
}

class VoterTest : public testing::Test, raft::Transport {
 protected:
  VoterTest() {
    disk_.hard_state = {Term(3), NodeId()};
    disk_.log.push_back({Term(1), LogIndex(1), raft::EntryType::kGenesis, Blob("genesis")});
    for (uint64_t index = 2; index <= 5; ++index) disk_.log.push_back(entry_of(2, index));
    raft::Config config;
    config.id = NodeId(1);
    raft::InitialState initial = disk_.recover(three());
    initial.applied = kApplied;
    voter_.emplace(config, std::move(initial),
                   VoterPorts{{clock_, disk_, writer_, *this},
                              {},
                              [this](const Reach& known) { reach_ = known; },
                              [this](const Error& error) { fatal_ = error.message; }});
    turn();
  }
  void turn() {
    for (int i = 0; i < 3; ++i) voter_->turn_end();
  }
  void sync() {
    writer_.sync();
    turn();
  }
  Message from(uint64_t node, MessageType type, uint64_t term) {
    Message message;
    message.type = type;
    message.from = NodeId(node);
    message.to = NodeId(1);
    message.term = Term(term);
    return message;
  }
  Message append(uint64_t term, uint64_t behind, uint64_t behind_term,
                 std::vector<raft::Entry> entries) {
    Message message = from(2, MessageType::kAppendRequest, term);
    message.index = LogIndex(behind);
    message.log_term = Term(behind_term);
    message.entries = std::move(entries);
    return message;
  }
  void give(Message message) {
    voter_->receive(std::move(message));
    turn();
  }
  /// The last message of this type that was sent, once.
  std::optional<Message> sent(MessageType type) {
    std::optional<Message> found;
    for (const Message& message : sent_) {
      if (message.type == type) found = message;
    }
    sent_.clear();
    return found;
  }
  /// What the engine's core would begin with is what it would find on this disk.
  void expect_log_as_on_disk() {
    ASSERT_TRUE(voter_->at_rest());
    const raft::InitialState had = voter_->log_behind(kApplied, {LogIndex(), three()});
    const raft::InitialState found = disk_.recover(three());
    EXPECT_EQ(had.hard_state.term, found.hard_state.term);
    EXPECT_EQ(had.hard_state.vote, found.hard_state.vote);
    EXPECT_EQ(had.first_index, found.first_index);
    EXPECT_EQ(had.last_index, found.last_index);
    ASSERT_EQ(had.term_runs.size(), found.term_runs.size());
    for (size_t i = 0; i < had.term_runs.size(); ++i) {
      EXPECT_EQ(had.term_runs[i].first, found.term_runs[i].first) << i;
      EXPECT_EQ(had.term_runs[i].term, found.term_runs[i].term) << i;
    }
    EXPECT_EQ(had.configuration, found.configuration);
    EXPECT_EQ(had.configuration_index, found.configuration_index);
    EXPECT_EQ(had.changes, found.changes);
    EXPECT_EQ(had.applied, kApplied);
  }

  bool send(const Message& message) override {
    sent_.push_back(message);
    return true;
  }
  bool send_app(NodeId, raft::Lane, uint8_t, std::string_view) override { return true; }

  ManualClock clock_;
  raft::testing::MemoryLog disk_;
  raft::testing::MemoryLogWriter writer_{disk_};
  std::vector<Message> sent_;
  Reach reach_;
  std::string fatal_;
  std::optional<Voter> voter_;
};

TEST_F(VoterTest, StoresAndAcknowledgesWhatALeaderSendsOnceItIsOnTheDisk) {
  Message message = append(3, 5, 2, {entry_of(3, 6), entry_of(3, 7)});
  message.commit = LogIndex(7);
  give(std::move(message));
  EXPECT_FALSE(sent(MessageType::kAppendResponse)) << "nothing of it is durable";
  sync();
  const auto answer = sent(MessageType::kAppendResponse);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->reject);
  EXPECT_EQ(answer->index, LogIndex(7));
  EXPECT_EQ(voter_->core().commit(), LogIndex(7)) << "and applies none of it";
  voter_->finish();
  expect_log_as_on_disk();
}

TEST_F(VoterTest, VotesOnceItsVoteIsOnTheDisk) {
  Message message = from(3, MessageType::kVoteRequest, 4);
  message.index = LogIndex(5);
  message.log_term = Term(2);
  message.transfer = true;  // it has heard of no leader, and does not wait to be sure
  give(std::move(message));
  EXPECT_FALSE(sent(MessageType::kVoteResponse));
  sync();
  const auto answer = sent(MessageType::kVoteResponse);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->reject);
  EXPECT_EQ(disk_.hard_state.vote, NodeId(3));
  voter_->finish();
  expect_log_as_on_disk();
}

// None of it is handed out to be applied: what is on the disk need not be kept for that.
TEST_F(VoterTest, KeepsNoMoreOfTheLogInMemoryThanOthersDo) {
  constexpr uint64_t kBytes = 1 << 20;
  for (uint64_t index = 6; index < 6 + 48; ++index) {
    raft::Entry entry = entry_of(3, index);
    entry.data = Blob(std::string(kBytes, 'v'));
    Message message = append(3, index - 1, index == 6 ? 2 : 3, {std::move(entry)});
    message.commit = LogIndex(index);
    give(std::move(message));
    sync();
  }
  const raft::LogView& log = voter_->core().log();
  ASSERT_EQ(log.durable(), LogIndex(53));
  EXPECT_LE(log.window().bytes(log.window().begin(), log.window().end()),
            raft::Config{}.window_bytes + 2 * kBytes);
}

TEST_F(VoterTest, NeverStands) {
  for (int i = 0; i < 100; ++i) {
    clock_.advance(100ms);
    turn();
    sync();
  }
  EXPECT_FALSE(sent(MessageType::kPreVoteRequest));
  EXPECT_FALSE(sent(MessageType::kVoteRequest));
  EXPECT_EQ(voter_->core().role(), raft::Role::kFollower);
  EXPECT_EQ(voter_->core().term(), Term(3));
  EXPECT_EQ(fatal_, "");
}

TEST_F(VoterTest, WhatReplacesItsLogsEndIsGoneOnWith) {
  give(append(4, 4, 2, {entry_of(4, 5), entry_of(4, 6)}));
  sync();
  voter_->finish();
  expect_log_as_on_disk();
  EXPECT_EQ(disk_.term(LogIndex(5)), Term(4));
}

TEST_F(VoterTest, MembersThatChangeMeanwhileAreKnown) {
  raft::Configuration more = three();
  more.members.push_back({NodeId(4), StoreId(1'004), "peer", "client"});
  more.learners.push_back(NodeId(4));
  raft::Entry change{Term(3), LogIndex(6), raft::EntryType::kConfiguration,
                     Blob(raft::encode_configuration(more))};
  give(append(3, 5, 2, {std::move(change)}));
  EXPECT_EQ(reach_.members, more.members);
  sync();
  voter_->finish();
  expect_log_as_on_disk();
}

TEST_F(VoterTest, NobodyHearsOfARemovalThatIsNotCommitted) {
  ASSERT_EQ(reach_.members.size(), 3U);
  raft::Configuration fewer = three();
  fewer.members.pop_back();
  fewer.voters.pop_back();
  fewer.removed.push_back({NodeId(3), StoreId(1'003), LogIndex(6)});
  raft::Entry change{Term(3), LogIndex(6), raft::EntryType::kConfiguration,
                     Blob(raft::encode_configuration(fewer))};
  give(append(3, 5, 2, {std::move(change)}));
  sync();
  EXPECT_TRUE(reach_.removed.empty());
  EXPECT_EQ(reach_.members.size(), 3U);
  Message message = append(3, 6, 3, {entry_of(3, 7)});
  message.commit = LogIndex(6);
  give(std::move(message));
  EXPECT_EQ(reach_.removed, fewer.removed);
  EXPECT_EQ(reach_.members.size(), 2U);
}

TEST_F(VoterTest, IsAtRestOnlyWhenAllOfItIsOnTheDisk) {
  EXPECT_FALSE(voter_->at_rest()) << "more may come";
  give(append(3, 5, 2, {entry_of(3, 6)}));
  voter_->finish();
  turn();
  EXPECT_FALSE(voter_->at_rest());
  sync();
  EXPECT_TRUE(voter_->at_rest());
}

TEST_F(VoterTest, ATermWithoutEntriesIsWaitedForToo) {
  give(append(9, 5, 2, {}));
  voter_->finish();
  turn();
  EXPECT_FALSE(voter_->at_rest());
  sync();
  expect_log_as_on_disk();
}

TEST_F(VoterTest, WhatComesWhenItIsFinishedIsKeptForTheEngine) {
  voter_->finish();
  give(append(3, 5, 2, {entry_of(3, 6)}));
  give(from(3, MessageType::kVoteRequest, 8));
  EXPECT_TRUE(voter_->at_rest());
  expect_log_as_on_disk();
  const std::vector<Message> late = voter_->take_late();
  ASSERT_EQ(late.size(), 2U);
  EXPECT_EQ(late[0].type, MessageType::kAppendRequest);
  EXPECT_EQ(late[1].type, MessageType::kVoteRequest);
  EXPECT_TRUE(voter_->take_late().empty());
}

}  // namespace
}  // namespace holdfast::server
