// Commands that arrive at another server than the leader: how they get there, how often, and what
// the client is told when leadership moves meanwhile (PROMISE 4).
#include "session/session_table.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::Applied;
using api::ErrorCode;

/// The commands of all forwards among these parcels.
std::vector<peer::ForwardedCommand> forwarded(const std::vector<Parcel>& parcels) {
  std::vector<peer::ForwardedCommand> commands;
  PeerCodec codec;
  for (const Parcel& parcel : parcels) {
    if (!parcel.is(PeerKind::kForwardBatch)) continue;
    peer::ForwardBatch batch;
    EXPECT_TRUE(codec.decode(std::get<AppMessage>(parcel.content).bytes, batch));
    commands.insert(commands.end(), batch.commands.begin(), batch.commands.end());
  }
  return commands;
}

class ForwardingTest : public ThreeServersTest {
 protected:
  static bool is_forward(const Parcel& parcel) { return parcel.is(PeerKind::kForwardBatch); }
  /// A command of a session that asks for /job through the follower.
  Call acquire(int64_t deadline_ms = 0) {
    api::RequestContext context = client.next();
    context.deadlineMs = deadline_ms;
    return follower.acquire(context, acquire_of("/job"));
  }
  /// Lets `from` refuse the command with this number, as if it had not been proposed.
  void refuse(int from, int64_t request, ErrorCode::type code) {
    peer::ForwardRefusals refusals;
    refusals.refusals.emplace_back();
    refusals.refusals.back().originRequest = request;
    refusals.refusals.back().code = code;
    refusals.refusals.back().message = "refused by the test";
    refusals.refusals.back().retryAfterMs = 20;
    PeerCodec codec;
    follower.engine().on_app(cluster.server(from).id(),
                             static_cast<uint8_t>(PeerKind::kForwardRefusals),
                             codec.encode(refusals));
  }
  int holders() {
    const Call call = cluster.leader()->describe({}, "/job");
    cluster.settle();
    return call.result<api::DescribeLockResult>().lock.holderCount;
  }

  Client client = cluster.client(1, "a");
};

TEST_F(ForwardingTest, AFollowersClientIsAnsweredByTheFollowersOwnApply) {
  const Call call = acquire();
  cluster.settle();
  const auto result = call.result<api::AcquireResult>();
  EXPECT_EQ(result.status, api::AcquireStatus::GRANTED);
  EXPECT_EQ(result.header.serverId, 2);
  EXPECT_EQ(result.header.leaderId, 1);
  EXPECT_EQ(result.header.leaderAddress, "client1:1");
  EXPECT_GE(result.header.revision, result.holderId);
}

TEST_F(ForwardingTest, AllThatArriveInOneTurnTravelTogetherInTheirOrder) {
  cluster.hold(is_forward);
  for (int i = 0; i < 5; ++i) acquire();
  cluster.settle();
  ASSERT_EQ(cluster.held().size(), 1u);
  const auto commands = forwarded(cluster.held());
  ASSERT_EQ(commands.size(), 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(commands[static_cast<size_t>(i)].header.sequence, i + 1);
}

TEST_F(ForwardingTest, WhatTheTransportDropsAtOnceIsKeptAndSentWhenItTakesAgain) {
  follower.transport_full = true;
  const Call first = acquire();
  cluster.settle();
  const Call sessionless = follower.change_setting("sessions_max", 777);
  cluster.settle();
  EXPECT_FALSE(first.answered());
  follower.transport_full = false;
  cluster.settle();
  EXPECT_EQ(first.outcome(), "OK");
  EXPECT_EQ(sessionless.outcome(), "OK") << "it had gone nowhere, so it may go now";
}

TEST_F(ForwardingTest, WithoutALeaderACommandOfASessionWaitsForTheNext) {
  leader.crash();
  cluster.server(3).crash();
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  const Call call = acquire();
  cluster.settle();
  EXPECT_FALSE(call.answered());
  cluster.server(3).start();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(call.result<api::AcquireResult>().status, api::AcquireStatus::GRANTED);
}

TEST_F(ForwardingTest, ACommandLostOnItsWayIsSentAgainToTheNextLeader) {
  cluster.hold(is_forward);
  const Call call = acquire();
  cluster.settle();
  ASSERT_EQ(forwarded(cluster.held()).size(), 1u);
  cluster.drop_held();
  cluster.lead(3);
  EXPECT_EQ(call.result<api::AcquireResult>().status, api::AcquireStatus::GRANTED);
  EXPECT_EQ(holders(), 1);
}

TEST_F(ForwardingTest, ACommandLostWithItsConnectionIsSentAgainWhenThatIsBack) {
  cluster.hold(is_forward);
  const Call call = acquire();
  cluster.settle();
  cluster.drop_held();
  cluster.reconnect(1, 2);
  cluster.settle();
  EXPECT_EQ(call.outcome(), "OK");
}

TEST_F(ForwardingTest, ACommandThatBothLeadersCommitIsAppliedOnce) {
  const Call call = acquire();
  follower.turn();
  cluster.hold([](const Parcel& p) { return p.from == NodeId(1) && p.to == NodeId(2); });
  cluster.settle();  // 1 and 3 commit it; 2 does not hear of it
  ASSERT_FALSE(call.answered());
  const auto applied = cluster.server(3).engine().machine().lookup(client.id, Sequence(1));
  ASSERT_TRUE(applied);
  leader.crash();
  cluster.drop_held();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(call.result<api::AcquireResult>().holderId, static_cast<int64_t>(applied->id.value));
  EXPECT_EQ(holders(), 1);
}

TEST_F(ForwardingTest, ALeaderThatDoesNotLeadInTheSendersTermRefuses) {
  cluster.hold(is_forward);
  const Call call = follower.change_setting("sessions_max", 777);
  cluster.settle();
  const std::vector<Parcel> late = cluster.held();
  cluster.drop_held();
  cluster.lead(3);
  cluster.lead(1);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "leadership changed before"));
  EXPECT_EQ(call.error().applied, Applied::NO);
  EXPECT_TRUE(call.error().retryable);
  // The late copy reaches a server that leads again, in another term.
  leader.engine().on_app(follower.id(), static_cast<uint8_t>(PeerKind::kForwardBatch),
                         std::get<AppMessage>(late.at(0).content).bytes);
  cluster.settle();
  EXPECT_EQ(leader.setting("sessions_max"), 200'000) << "the client was told: not applied";
}

TEST_F(ForwardingTest, WhatIsHeldForATermIsNeverProposedInALaterOne) {
  cluster.lead(3);
  cluster.hold([](const Parcel& p) {
    return p.to == NodeId(1) && p.is(raft::MessageType::kAppendResponse);
  });
  api::TransferLeadershipRequest to_one;
  to_one.nodeId = 1;
  cluster.server(3).ask(&Engine::transfer_leadership, api::RequestContext{}, to_one);
  ASSERT_TRUE(cluster.until([&] { return follower.engine().host().soft.leader == NodeId(1); }));
  ASSERT_FALSE(leader.serving()) << "its own no-op is not committed";
  const Call call = follower.change_setting("sessions_max", 777);
  cluster.settle();
  ASSERT_FALSE(call.answered());
  // It drops leadership and wins the next election itself.
  leader.engine().on_pause(5s);
  cluster.drop_held();
  cluster.hold([](const Parcel& p) {
    return p.from != NodeId(1) &&
           (p.is(raft::MessageType::kPreVoteRequest) || p.is(raft::MessageType::kVoteRequest));
  });
  ASSERT_TRUE(cluster.until([&] { return leader.serving(); }));
  cluster.advance(200ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "leadership changed before"));
  EXPECT_EQ(call.error().applied, Applied::NO);
  EXPECT_EQ(leader.setting("sessions_max"), 200'000) << "the client was told: not applied";
}

TEST_F(ForwardingTest, ASessionlessCommandIsNeverSentASecondTime) {
  int sent = 0;
  cluster.hold([&](const Parcel& p) {
    sent += is_forward(p);
    return is_forward(p);
  });
  const Call call = follower.change_setting("sessions_max", 777, 20'000);
  cluster.settle();
  cluster.reconnect(1, 2);
  cluster.advance(1s);
  cluster.lead(3);
  cluster.advance(1s);
  EXPECT_EQ(sent, 1);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, ""));
}

TEST_F(ForwardingTest, ASessionlessCommandOfUnknownFateIsOutcomeUnknownAndMayStillHappen) {
  cluster.hold(is_forward);
  const Call call = follower.change_setting("sessions_max", 777, 1'000);
  cluster.advance(900ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(150ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::OUTCOME_UNKNOWN, "may still be applied"));
  EXPECT_EQ(call.error().applied, Applied::UNKNOWN);
  EXPECT_FALSE(call.error().retryable);
  cluster.release();
  cluster.settle();
  EXPECT_EQ(leader.setting("sessions_max"), 777);
}

TEST_F(ForwardingTest, ASessionlessCommandThatNoLeaderTookIsKnownNotToBeApplied) {
  cluster.server(1).crash();
  cluster.server(3).crash();
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  const Call call = follower.change_setting("sessions_max", 777, 1'000);
  cluster.advance(1'100ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "no leader took the command for 1"));
  EXPECT_EQ(call.error().applied, Applied::NO);
  EXPECT_TRUE(call.error().retryable);
}

TEST_F(ForwardingTest, ACommandOfASessionWithoutOutcomeEndsAtItsDeadlineAsUnknown) {
  cluster.hold(is_forward);
  const Call short_one = acquire(300);
  const Call default_one = acquire();
  cluster.advance(280ms);
  EXPECT_FALSE(short_one.answered());
  cluster.advance(40ms);
  EXPECT_THAT(short_one.error(), Refuses(ErrorCode::TIMEOUT, "repeat with this sequence"));
  EXPECT_EQ(short_one.error().applied, Applied::UNKNOWN);
  EXPECT_TRUE(short_one.error().retryable);
  EXPECT_EQ(short_one.error().header.sequence, 1);
  cluster.advance(4'600ms);
  EXPECT_FALSE(default_one.answered());
  cluster.advance(200ms);
  EXPECT_THAT(default_one.error(), Refuses(ErrorCode::TIMEOUT, "no outcome after 5"));
}

TEST_F(ForwardingTest, ARefusalOfTheOnlyCopySaysNotApplied) {
  cluster.hold(is_forward);
  const Call call = acquire();
  cluster.settle();
  refuse(1, forwarded(cluster.held()).at(0).header.originRequest, ErrorCode::OVERLOADED);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::OVERLOADED, "refused by the test"));
  EXPECT_EQ(call.error().applied, Applied::NO);
  EXPECT_TRUE(call.error().retryable);
  EXPECT_EQ(call.error().retryAfterMs, 20);
}

TEST_F(ForwardingTest, ARefusalAfterAnEarlierCopyWasHandedOverSaysUnknown) {
  const Call call = acquire();
  follower.turn();
  cluster.hold([](const Parcel& p) { return p.from == NodeId(1) && p.to == NodeId(2); });
  cluster.settle();  // committed by 1 and 3
  ASSERT_FALSE(call.answered());
  cluster.hold(is_forward);
  cluster.reconnect(1, 2);
  follower.turn();
  cluster.settle();
  const auto again = forwarded(cluster.held());
  ASSERT_EQ(again.size(), 1u);
  refuse(1, again[0].header.originRequest, ErrorCode::OVERLOADED);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::OVERLOADED, "refused by the test"));
  EXPECT_EQ(call.error().applied, Applied::UNKNOWN) << "the first copy holds the lock";
  EXPECT_EQ(holders(), 1);
}

TEST_F(ForwardingTest, ARefusalForWantOfLeadershipIsWaitedOutByWhatCanBeRepeated) {
  cluster.hold(is_forward);
  const Call command = acquire();
  const Call sessionless = follower.change_setting("sessions_max", 777);
  cluster.settle();
  for (const auto& item : forwarded(cluster.held())) {
    refuse(1, item.header.originRequest, ErrorCode::NO_LEADER);
  }
  EXPECT_FALSE(command.answered());
  EXPECT_THAT(sessionless.error(), Refuses(ErrorCode::NO_LEADER, "refused by the test"));
  EXPECT_EQ(sessionless.error().applied, Applied::NO);
  cluster.drop_held();
  cluster.lead(3);
  EXPECT_EQ(command.outcome(), "OK");
}

TEST_F(ForwardingTest, ARefusalOfACommandThatIsNotUnderWayReachesNobody) {
  const Call call = acquire();
  cluster.settle();
  ASSERT_EQ(call.outcome(), "OK");
  for (const int64_t request : {int64_t{0}, int64_t{1}, int64_t{1} << 40}) {
    refuse(1, request, ErrorCode::OVERLOADED);
  }
  EXPECT_EQ(follower.outstanding(), 0u);
}

TEST_F(ForwardingTest, ACommandInAnotherServersNameIsNotTaken) {
  cluster.hold(is_forward);
  follower.change_setting("sessions_max", 777);
  cluster.settle();
  const std::string bytes = std::get<AppMessage>(cluster.held().at(0).content).bytes;
  cluster.drop_held();
  leader.engine().on_app(NodeId(3), static_cast<uint8_t>(PeerKind::kForwardBatch), bytes);
  cluster.settle();
  EXPECT_EQ(leader.setting("sessions_max"), 200'000);
}

TEST_F(ForwardingTest, BytesThatAreNoMessageOfAServerAreDropped) {
  const std::string nonsense(1'000, '\xff');
  for (uint8_t kind = 0; kind < 20; ++kind) {
    for (const std::string& bytes : {std::string(), nonsense, std::string("\x19\xfc\xff\xff")}) {
      leader.engine().on_app(NodeId(2), kind, bytes);
      follower.engine().on_app(NodeId(1), kind, bytes);
    }
  }
  cluster.settle();
  EXPECT_EQ(acquire().outcome(), "not answered");
  cluster.settle();
  EXPECT_TRUE(leader.fatal.empty());
  EXPECT_EQ(holders(), 1);
}

TEST_F(ForwardingTest, AnOpenedSessionIsFoundAgainByItsSecretNotOpenedTwice) {
  cluster.hold(is_forward);
  const Call call = follower.open("b");
  cluster.settle();
  cluster.reconnect(1, 2);
  cluster.settle();
  ASSERT_EQ(forwarded(cluster.held()).size(), 2u) << "two copies are on their way";
  const size_t before = leader.engine().machine().sessions().size();
  cluster.release();
  cluster.settle();
  EXPECT_GT(call.result<api::OpenSessionResult>().leaseMs, 0);
  EXPECT_EQ(leader.engine().machine().sessions().size(), before + 1);
}

}  // namespace
}  // namespace holdfast::server
