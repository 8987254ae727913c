// One node of three between a recording disk, network and application: what it does stands in one
// journal, in the order in which it was done. The test plays the other servers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/node/node.h"
#include "tests/support/core_messages.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_log_writer.h"

namespace holdfast::raft {

class DriverTest : public ::testing::Test, public Application, public Transport {
 protected:
  DriverTest() {
    disk.hard_state = {Term(1), NodeId{}};
    disk.log.push_back({Term(1), LogIndex(1), EntryType::kGenesis, Blob("g")});
  }

  /// Starts node 1 of `voters` from the disk.
  void start(int voters = 3) {
    config.id = NodeId(1);
    Configuration configuration;
    for (int id = 1; id <= voters; ++id) configuration.voters.push_back(NodeId(id));
    writer = std::make_unique<Writer>(*this);
    node = std::make_unique<Node>(config, disk.recover(configuration),
                                  NodePorts{clock, disk, *writer, *this}, *this);
  }
  /// Makes it the leader of its next term, its no-op committed and applied.
  void lead() {
    ASSERT_TRUE(elapse_until([&] { return sent(MessageType::kPreVoteRequest); }));
    answer(MessageType::kPreVoteResponse, node->core().term().next());
    ASSERT_TRUE(node->core().role() == Role::kCandidate);
    sync();
    answer(MessageType::kVoteResponse, node->core().term());
    ASSERT_TRUE(node->core().is_leader());
    sync();
    acknowledge(node->core().log().last().value);
    ASSERT_TRUE(node->core().own_term_committed());
    journal.clear();
  }
  /// Server 2 answers with this type.
  void answer(MessageType type, Term term) {
    node->receive(testing::message(type, 2, 1, term.value));
    pump();
  }
  /// Server 2 has everything to this index.
  void acknowledge(uint64_t index) {
    node->receive(testing::append_ack(2, 1, node->core().term().value, index));
    pump();
  }
  /// Server 2 answers the round of the latest heartbeat.
  void confirm_round() {
    Message m = testing::message(MessageType::kHeartbeatResponse, 2, 1, node->core().term().value);
    m.round = last_round;
    node->receive(std::move(m));
    pump();
  }
  void pump() {
    while (node->pump()) {
    }
  }
  /// What waits reaches the disk, and the node is told.
  void sync() {
    writer->disk.sync();
    pump();
  }
  template <class Done>
  bool elapse_until(Done&& done) {
    for (int i = 0; i < 500 && !done(); ++i) {
      clock.advance(10ms);
      pump();
    }
    return done();
  }
  ProposeResult propose(const std::string& data) {
    const Proposal proposal{EntryType::kCommand, Blob(std::string_view(data))};
    return node->propose({&proposal, 1}, false);
  }

  /// Where a line that begins so stands in the journal.
  std::optional<size_t> find(const std::string& begin) const {
    for (size_t i = 0; i < journal.size(); ++i) {
      if (journal[i].rfind(begin, 0) == 0) return i;
    }
    return std::nullopt;
  }
  bool did(const std::string& begin) const { return find(begin).has_value(); }
  bool sent(MessageType type) const { return did("send " + name(type)); }
  /// All of these stand in the journal, in this order.
  void expect_order(const std::vector<std::string>& lines) const {
    size_t last = 0;
    for (const std::string& line : lines) {
      const auto at = find(line);
      ASSERT_TRUE(at) << line << " is missing in\n" << ::testing::PrintToString(journal);
      EXPECT_GE(*at, last) << line << " comes too early in\n" << ::testing::PrintToString(journal);
      last = *at;
    }
  }
  static std::string name(MessageType type) { return std::to_string(static_cast<int>(type)); }

  // Application
  Status apply(const Entry& entry) override {
    journal.push_back("apply " + std::to_string(entry.index.value));
    if (entry.index == cannot_apply) return Error{ErrorCode::kUnsupported, "too new"};
    applied.push_back(entry.index);
    return ok_status();
  }
  void on_soft_state(const SoftState& state) override {
    journal.push_back(std::string("soft ") + role_name(state.role) + " leader " +
                      std::to_string(state.leader.value));
  }
  void on_configuration(const Configuration& configuration) override {
    journal.push_back("members " + describe(configuration));
  }
  void on_read(uint64_t context, LogIndex index) override {
    journal.push_back("read " + std::to_string(context) + " at " + std::to_string(index.value));
  }
  void on_read_failed(uint64_t context) override {
    journal.push_back("read failed " + std::to_string(context));
  }
  void on_snapshot_offer(const SnapshotOffer& offer) override {
    journal.push_back("snapshot of " + std::to_string(offer.index.value) + " at node " +
                      std::to_string(offer.from.value));
  }
  void on_fatal(const Error& error) override {
    journal.push_back("fatal " + std::string(error_code_name(error.code)) + " " + error.message);
  }
  // Transport
  bool send(const Message& message) override {
    journal.push_back("send " + name(message.type) + " to " + std::to_string(message.to.value));
    if (message.type == MessageType::kHeartbeatRequest) last_round = message.round;
    return transport_works;
  }
  bool send_app(NodeId, Lane, uint8_t, std::string_view) override { return false; }

  struct Writer final : LogWriter {
    explicit Writer(DriverTest& owner) : test(owner), disk(owner.disk) {}
    void submit(Write write) override {
      test.journal.push_back("write " + std::to_string(write.number));
      disk.submit(std::move(write));
    }
    std::optional<Result<uint64_t>> collect() override { return disk.collect(); }
    uint64_t waiting_bytes() const override { return 0; }
    DriverTest& test;
    testing::MemoryLogWriter disk;
  };

  ManualClock clock;
  Config config;
  testing::MemoryLog disk;
  std::unique_ptr<Writer> writer;
  std::unique_ptr<Node> node;
  std::vector<std::string> journal;
  std::vector<LogIndex> applied;
  LogIndex cannot_apply;
  bool transport_works = true;
  uint64_t last_round = 0;
};

}  // namespace holdfast::raft
