#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/server/commands.h"
#include "tests/unit/server/host_fakes.h"

namespace holdfast::server {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

struct NoOwner final : Commands::Owner {
  void on_outcome(const PendingCommand&, const rsm::CommandResult&) override {}
  void on_own_applied(uint64_t) override {}
  void on_own_refused(uint64_t) override {}
};

/// Room for one command, and no leader who would take it.
class CommandsAdmissionTest : public ::testing::Test, protected HostFakes {
 protected:
  CommandsAdmissionTest() {
    EngineOptions options = options_of(NodeId(1));
    options.max_pending_commands = 1;
    host.emplace(options, clock, entropy, transport, sink, machine);
    commands_.emplace(*host, codec, owner_);
    submit(CallId{0, 1, 1}, true);
  }
  void submit(CallId call, bool has_call) {
    PendingCommand pending;
    pending.call = call;
    pending.has_call = has_call;
    pending.deadline = clock.now() + 5s;
    commands_->submit(std::move(pending));
  }
  NoOwner owner_;
  std::optional<Commands> commands_;
};

TEST_F(CommandsAdmissionTest, ACallBeyondTheLimitIsRefusedAndCounted) {
  const CallId call{0, 2, 1};
  submit(call, true);
  ASSERT_THAT(sink.failed, SizeIs(1));
  EXPECT_EQ(sink.failed[0].first, call);
  EXPECT_EQ(sink.failed[0].second.code, api::ErrorCode::OVERLOADED);
  EXPECT_EQ(commands_->stats().refused[static_cast<size_t>(ErrorCode::kOverloaded)], 1u);
  EXPECT_EQ(commands_->stats().submitted, 1u);
}

TEST_F(CommandsAdmissionTest, ACommandThatNobodyWaitsForIsDroppedWithoutAnAnswer) {
  submit(CallId{}, false);
  EXPECT_THAT(sink.failed, IsEmpty()) << "its call id names nobody, or somebody else";
  EXPECT_EQ(commands_->size(), 1u);
}

TEST_F(CommandsAdmissionTest, ALeaderThatTakesOverHoldsNoMoreForwardsThanCommands) {
  host->soft = {.role = raft::Role::kLeader, .leader = NodeId(1), .term = Term(3)};
  peer::ForwardBatch batch;
  batch.term = 3;
  for (int64_t request = 1; request <= 2; ++request) {
    peer::ForwardedCommand item;
    item.header.originNode = 2;
    item.header.originRequest = request;
    batch.commands.push_back(item);
  }
  const std::string bytes(codec.encode(batch));
  commands_->receive_forwards(NodeId(2), bytes);
  commands_->flush();
  ASSERT_THAT(transport.sent, SizeIs(1));
  EXPECT_EQ(transport.sent[0].to, NodeId(2));
  peer::ForwardRefusals refusals;
  ASSERT_TRUE(codec.decode(transport.sent[0].bytes, refusals));
  ASSERT_THAT(refusals.refusals, SizeIs(1));
  EXPECT_EQ(refusals.refusals[0].originRequest, 2);
  EXPECT_EQ(refusals.refusals[0].code, api::ErrorCode::OVERLOADED);
}

}  // namespace
}  // namespace holdfast::server
