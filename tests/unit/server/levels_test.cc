// Feature levels: how an upgraded server's comes into the membership, how the one in force is
// raised, and what it keeps out.
#include <algorithm>

#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int32_t kOld = 3;
constexpr int32_t kNew = 4;

/// Three servers of a program that knows kOld; 1 leads. A program that knows kNew comes along.
class LevelsTest : public ThreeServersTest {
 protected:
  LevelsTest() : ThreeServersTest({.feature_level = kOld}) {}

  /// Starts another program on what the server has.
  void exchange_silently(int id, int32_t feature_level) {
    TestServer& server = cluster.server(id);
    server.crash();
    cluster.advance(3s);
    server.feature_level = feature_level;
    server.start();
  }
  void exchange(int id, int32_t feature_level) {
    exchange_silently(id, feature_level);
    for (int other = 1; other <= 3; ++other) {
      if (other != id && cluster.server(other).up()) cluster.reconnect(id, other);
    }
    cluster.advance(3s);
  }
  void upgrade_all() {
    for (const int id : {2, 3, 1}) exchange(id, kNew);
  }
  TestServer& leads() {
    EXPECT_TRUE(cluster.until([&] { return cluster.leader() != nullptr; }));
    return *cluster.leader();
  }
  static std::vector<int32_t> levels_at(TestServer& server) {
    const auto members = server.ask(&Engine::members, api::RequestContext{}, api::MembersRequest{})
                             .result<api::MembersResult>();
    std::vector<int32_t> levels;
    for (const api::Member& member : members.members) levels.push_back(member.featureLevel);
    return levels;
  }
  static api::StatusResult status(TestServer& of) {
    return of.ask(&Engine::status, api::RequestContext{}, api::StatusRequest{})
        .result<api::StatusResult>();
  }
  static uint64_t changes_of(TestServer& server) {
    return server.engine().node().core().counters().configurations_appended;
  }
  Call change(TestServer& through, const api::ChangeMembersRequest& request) {
    const Call call = through.ask(&Engine::change_members, api::RequestContext{}, request);
    cluster.settle();
    return call;
  }
  Call raise(TestServer& through, int32_t level) {
    api::ChangeMembersRequest request;
    request.raiseLevel = level;
    return change(through, request);
  }
  /// To be added as number 4, by a server that knows this level.
  Call add(int32_t feature_level) {
    cluster.strangers["new4:1"].self = {.node = NodeId(4),
                                        .store = StoreId(1004),
                                        .client_address = "clients4:1",
                                        .feature_level = static_cast<uint32_t>(feature_level)};
    api::ChangeMembersRequest request;
    request.added.emplace_back();
    request.added[0].nodeId = 4;
    request.added[0].peerAddress = "new4:1";
    request.added[0].role = api::MemberRole::LEARNER;
    return change(leads(), request);
  }
};

// ---- the members' levels ---------------------------------------------------------------------

TEST_F(LevelsTest, TheLeaderBringsThatOfAnUpgradedServerUpToDate) {
  const raft::Member before = *leader.engine().host().member(NodeId(2));
  exchange(2, kNew);
  for (const int id : {1, 2, 3}) {
    EXPECT_THAT(levels_at(cluster.server(id)), ElementsAre(kOld, kNew, kOld)) << id;
  }
  raft::Member after = *leader.engine().host().member(NodeId(2));
  EXPECT_EQ(after.feature_level, static_cast<uint32_t>(kNew));
  after.feature_level = before.feature_level;
  EXPECT_EQ(after, before) << "nothing else has changed";
}

TEST_F(LevelsTest, ALeaderKnowsItsOwn) {
  exchange_silently(1, kNew);
  cluster.advance(1s);
  EXPECT_THAT(levels_at(follower), ElementsAre(kOld, kOld, kOld)) << "nobody was told";
  cluster.lead(1);
  cluster.advance(1s);
  EXPECT_THAT(levels_at(leader), ElementsAre(kNew, kOld, kOld));
}

TEST_F(LevelsTest, WhatIsSoAlreadyTakesNoEntry) {
  exchange(2, kNew);
  EXPECT_EQ(changes_of(leader), 1U);
  cluster.reconnect(1, 2);
  cluster.advance(5s);
  exchange(2, kNew);
  EXPECT_EQ(changes_of(leader), 1U);
}

TEST_F(LevelsTest, AnotherChangeIsWaitedFor) {
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kAppendResponse); });
  const Call call = add(kOld);
  cluster.server(2).feature_level = kNew;  // as if it had been exchanged in no time
  cluster.reconnect(1, 2);
  cluster.settle();
  EXPECT_EQ(changes_of(leader), 1U) << "the addition";
  cluster.release();
  cluster.advance(1s);
  EXPECT_TRUE(call.result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(levels_at(leader), ElementsAre(kOld, kNew, kOld, kOld));
}

TEST_F(LevelsTest, WhatALeaderCouldNotCommitTheNextOneDoes) {
  exchange_silently(3, kNew);
  cluster.hold([](const Parcel& p) {
    return p.from == NodeId(1) && p.is(raft::MessageType::kAppendRequest);
  });
  cluster.reconnect(1, 3);
  cluster.settle();
  EXPECT_EQ(changes_of(leader), 1U);
  cluster.drop_held();
  cluster.isolate(1);
  ASSERT_TRUE(
      cluster.until([&] { return cluster.server(2).serving() || cluster.server(3).serving(); }));
  cluster.advance(1s);
  EXPECT_THAT(levels_at(follower), ElementsAre(kOld, kOld, kNew));
}

// A server that waited to propose it again has nothing to wait for once another one leads: it would
// be woken for it without a pause.
TEST_F(LevelsTest, WhoHandsOverBeforeItCouldRecordOneDoesNotTryAgain) {
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kTimeoutNow); });
  api::TransferLeadershipRequest transfer;
  transfer.nodeId = 2;
  leader.ask(&Engine::transfer_leadership, api::RequestContext{}, transfer);
  cluster.settle();
  cluster.server(3).feature_level = kNew;  // as if it had been exchanged in no time
  cluster.reconnect(1, 3);
  cluster.settle();
  EXPECT_EQ(changes_of(leader), 0U) << "a leader that hands over proposes nothing";
  cluster.release();
  ASSERT_TRUE(cluster.until([&] { return cluster.server(2).serving(); }));
  cluster.advance(1s);
  EXPECT_THAT(levels_at(follower), ElementsAre(kOld, kOld, kNew));
  EXPECT_GT(leader.engine().next_wakeup(), cluster.clock.now());
}

TEST_F(LevelsTest, OneThatComesBackWithLessIsNotRecordedAndToldOf) {
  upgrade_all();
  exchange(3, kOld);
  EXPECT_THAT(levels_at(leads()), ElementsAre(kNew, kNew, kNew));
  const std::string says =
      "node 3 runs a program of feature level 3, and the membership has it "
      "with level 4";
  for (const int id : {1, 2, 3}) {
    EXPECT_THAT(status(cluster.server(id)).alarms,
                Contains(testing::AllOf(Field(&api::Alarm::name, "MEMBER_BELOW_LEVEL"),
                                        Field(&api::Alarm::message, HasSubstr(says)))))
        << id;
  }
  exchange(3, kNew);
  EXPECT_THAT(status(leads()).alarms, IsEmpty());
}

// ---- the level in force ----------------------------------------------------------------------

TEST_F(LevelsTest, ItIsRaisedWhenAllHaveIt) {
  upgrade_all();
  EXPECT_EQ(status(leader).featureLevel, 1);
  EXPECT_EQ(status(leader).knownLevel, kNew);
  EXPECT_TRUE(raise(follower, kNew).result<api::ChangeMembersResult>().changed);
  cluster.advance(1s);
  for (const int id : {1, 2, 3}) {
    EXPECT_EQ(status(cluster.server(id)).featureLevel, kNew) << id;
    EXPECT_EQ(cluster.server(id).reach.level, static_cast<uint32_t>(kNew)) << id;
  }
  EXPECT_THAT(follower.audits, Contains(HasSubstr("changeMembers raiseLevel=4")));
}

TEST_F(LevelsTest, WhatIsInForceAlreadyIsNoError) {
  raise(leader, kOld);
  EXPECT_FALSE(raise(follower, kOld).result<api::ChangeMembersResult>().changed);
}

TEST_F(LevelsTest, WhatIsBelowTheOneInForceIsNoErrorAndTheAnswerNamesThatOne) {
  upgrade_all();
  const auto raised = raise(leads(), kNew).result<api::ChangeMembersResult>();
  EXPECT_EQ(raised.featureLevel, kNew);
  const auto below = raise(leads(), kOld).result<api::ChangeMembersResult>();
  EXPECT_FALSE(below.changed);
  EXPECT_EQ(below.featureLevel, kNew);
}

TEST_F(LevelsTest, WhatNoProgramKnowsNeedsNoUpgradeOfOne) {
  exchange(1, kNew);
  EXPECT_THAT(raise(leads(), 9).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "feature level 9 is known to none of the servers' programs: the highest "
                      "that any of them knows is 4"));
}

TEST_F(LevelsTest, ItIsNotRaisedAboveWhatAMemberHas) {
  exchange(1, kNew);
  exchange(2, kNew);
  EXPECT_THAT(raise(leads(), kNew).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "node 3 has feature level 3, 4 is wanted: upgrade it first"));
  EXPECT_TRUE(raise(leads(), kOld).result<api::ChangeMembersResult>().changed);
  EXPECT_EQ(status(leads()).featureLevel, kOld);
}

TEST_F(LevelsTest, ItIsNotRaisedAboveWhatAMemberRuns) {
  upgrade_all();
  exchange(3, kOld);
  EXPECT_THAT(raise(leads(), kNew).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "node 3 runs a program of feature level 3 now, 4 is wanted"));
}

TEST_F(LevelsTest, ARaiseThatCannotBeIsRefusedByWhoeverIsAsked) {
  EXPECT_THAT(raise(follower, -1).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "raiseLevel is -1: it must not be negative"));
  EXPECT_THAT(raise(follower, 2).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "those below 3 are not recorded"));
  api::ChangeMembersRequest both;
  both.raiseLevel = kOld;
  both.removed = {3};
  EXPECT_THAT(change(follower, both).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "raiseLevel goes alone"));
}

TEST_F(LevelsTest, AServerThatKnowsLessStopsBeforeItAppliesTheRaise) {
  upgrade_all();
  cluster.server(3).crash();
  EXPECT_TRUE(raise(leads(), kNew).result<api::ChangeMembersResult>().changed);
  cluster.server(3).feature_level = kOld;
  cluster.server(3).start();
  cluster.advance(3s);
  ASSERT_EQ(cluster.server(3).fatal.size(), 1U);
  EXPECT_EQ(cluster.server(3).fatal[0].code, holdfast::ErrorCode::kUnsupported);
  EXPECT_THAT(cluster.server(3).fatal[0].message,
              HasSubstr("needs a feature level above 3, the highest that this program knows"));
  EXPECT_EQ(cluster.server(3).engine().machine().level(), 1);
}

// ---- what it keeps out -----------------------------------------------------------------------

TEST_F(LevelsTest, WhoKnowsLessIsNotAdded) {
  upgrade_all();
  EXPECT_TRUE(raise(leads(), kNew).result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(add(kOld).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "new4:1 is node 4, which knows feature level 3, the cluster is at 4: "
                      "upgrade it first"));
  EXPECT_TRUE(add(kNew).result<api::ChangeMembersResult>().changed);
}

TEST_F(LevelsTest, UntilTheRaiseAnOlderServerIsTaken) {
  upgrade_all();
  EXPECT_TRUE(add(kOld).result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(raise(leads(), kNew).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 4 has feature level 3"));
}

// A newer program may have forwarded it, and somebody may not know it.
TEST_F(LevelsTest, ACommandAboveItIsNotProposed) {
  peer::ForwardBatch batch;
  batch.term = static_cast<int64_t>(leader.engine().host().soft.term.value);
  peer::ForwardedCommand& forwarded = batch.commands.emplace_back();
  forwarded.header.kind = command::CommandKind::RESTORE;
  forwarded.header.level = rsm::level_of(command::CommandKind::RESTORE);
  forwarded.header.originNode = 2;
  forwarded.header.originRequest = 17;
  PeerCodec codec;
  const auto forward = [&] {
    cluster.hold([](const Parcel& p) { return p.is(PeerKind::kForwardRefusals); });
    leader.engine().on_app(NodeId(2), static_cast<uint8_t>(PeerKind::kForwardBatch),
                           codec.encode(batch));
    cluster.settle();
  };
  const uint64_t proposed = leader.engine().command_stats().proposed;
  forward();
  EXPECT_EQ(leader.engine().command_stats().proposed, proposed);
  ASSERT_EQ(cluster.held().size(), 1U);
  peer::ForwardRefusals refusals;
  ASSERT_TRUE(codec.decode(std::get<AppMessage>(cluster.held()[0].content).bytes, refusals));
  ASSERT_EQ(refusals.refusals.size(), 1U);
  EXPECT_EQ(refusals.refusals[0].originRequest, 17);
  EXPECT_EQ(refusals.refusals[0].code, ErrorCode::UNSUPPORTED);
  EXPECT_THAT(refusals.refusals[0].message,
              HasSubstr("this needs feature level 2, and 1 is in force: raise it"));
  cluster.drop_held();
  raise(leader, kOld);
  forward();
  EXPECT_THAT(cluster.held(), IsEmpty());
  EXPECT_EQ(leader.engine().command_stats().proposed, proposed + 1);
}

}  // namespace
}  // namespace holdfast::server
