// Changes of the members, from the operator's call to the answer.
#include <algorithm>

#include "coordinator/rsm/command_codec.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Role = api::MemberRole;

class MembersTest : public ThreeServersTest {
 protected:
  MembersTest() { newcomer(4); }
  /// Answers at "new4:1", and waits to be added.
  raft::IdentityReply& newcomer(uint64_t id) {
    raft::IdentityReply& answer = cluster.strangers["new" + std::to_string(id) + ":1"];
    answer.self = {.node = NodeId(id),
                   .store = StoreId(1000 + id),
                   .peer_address = "elsewhere:1",
                   .client_address = "clients" + std::to_string(id) + ":1",
                   .feature_level = static_cast<uint32_t>(rsm::kFeatureLevel)};
    return answer;
  }
  static api::NewMember member(int32_t id, Role::type role = Role::JOINING) {
    api::NewMember added;
    added.nodeId = id;
    added.peerAddress = "new" + std::to_string(id) + ":1";
    added.role = role;
    return added;
  }
  static api::ChangeMembersRequest adding(int32_t id, Role::type role = Role::JOINING) {
    api::ChangeMembersRequest request;
    request.added = {member(id, role)};
    return request;
  }
  static api::ChangeMembersRequest removing(int32_t id) {
    api::ChangeMembersRequest request;
    request.removed = {id};
    return request;
  }
  static api::ChangeMembersRequest replacing(int32_t old_id, int32_t new_id) {
    api::ChangeMembersRequest request = adding(new_id, Role::VOTER);
    request.removed = {old_id};
    return request;
  }
  Call change(TestServer& through, const api::ChangeMembersRequest& request,
              int64_t deadline_ms = 0) {
    api::RequestContext context;
    context.deadlineMs = deadline_ms;
    const Call call = through.ask(&Engine::change_members, context, request);
    cluster.settle();
    return call;
  }
  /// "1:VOTER" and so on.
  static std::vector<std::string> roles(const std::vector<api::Member>& members) {
    std::vector<std::string> all;
    for (const api::Member& m : members) {
      all.push_back(std::to_string(m.nodeId) + ":" + api::to_string(m.role));
    }
    return all;
  }
  std::vector<std::string> roles_at(TestServer& server) {
    return roles(members_at(server).members);
  }
  static api::MembersResult members_at(TestServer& server) {
    return server.ask(&Engine::members, api::RequestContext{}, api::MembersRequest{})
        .result<api::MembersResult>();
  }
  static std::vector<uint64_t> reached(const TestServer& server) {
    std::vector<uint64_t> ids;
    for (const raft::Member& m : server.reach.members) ids.push_back(m.id.value);
    return ids;
  }
};

// ---- what is made ----------------------------------------------------------------------------

TEST_F(MembersTest, AServerIsAddedAsWhatItSaysItIs) {
  const auto result = change(follower, adding(4)).result<api::ChangeMembersResult>();
  EXPECT_TRUE(result.changed);
  EXPECT_THAT(roles(result.members), ElementsAre("1:VOTER", "2:VOTER", "3:VOTER", "4:JOINING"));
  const api::Member& added = result.members.back();
  EXPECT_EQ(added.storeId, 1004);
  EXPECT_EQ(added.peerAddress, "new4:1") << "where it was reached";
  EXPECT_EQ(added.clientAddress, "clients4:1");
  EXPECT_TRUE(added.promote);
  for (const int id : {1, 2, 3}) {
    EXPECT_THAT(reached(cluster.server(id)), ElementsAre(1, 2, 3, 4)) << id;
    EXPECT_NE(cluster.server(id).engine().host().member(NodeId(4)), nullptr) << id;
  }
  EXPECT_THAT(follower.audits, testing::Contains(HasSubstr("changeMembers add=4@\"new4:1\"")));
}

TEST_F(MembersTest, SessionsAreToldOfServersThatCameLater) {
  change(leader, adding(4));
  const Call call = leader.open("late");
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  const auto opened = call.result<api::OpenSessionResult>();
  ASSERT_EQ(opened.servers.size(), 4U);
  EXPECT_EQ(opened.servers.back().address, "clients4:1");
}

TEST_F(MembersTest, TheLeaderKnowsWhoFollows) {
  change(leader, adding(4, Role::LEARNER));
  cluster.advance(2s);
  const auto seen = members_at(leader).members;
  EXPECT_EQ(seen[0].progress, api::MemberProgress::CAUGHT_UP);
  EXPECT_EQ(seen[3].progress, api::MemberProgress::BEHIND);
  EXPECT_EQ(members_at(follower).members[0].progress, api::MemberProgress::UNSPECIFIED);
}

TEST_F(MembersTest, WhoIsRemovedIsRememberedAndNotDialledAnyMore) {
  EXPECT_TRUE(change(follower, removing(3)).result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(roles_at(leader), ElementsAre("1:VOTER", "2:VOTER"));
  EXPECT_THAT(reached(leader), ElementsAre(1, 2));
  const auto removed = members_at(leader).removed;
  ASSERT_EQ(removed.size(), 1U);
  EXPECT_EQ(removed[0].nodeId, 3);
  EXPECT_EQ(removed[0].storeId, 1003);
  EXPECT_GT(removed[0].index, 0);
  ASSERT_EQ(leader.reach.removed.size(), 1U);
  EXPECT_EQ(leader.reach.removed[0].store, StoreId(1003));
}

TEST_F(MembersTest, WhatIsSoAlreadyIsNoError) {
  change(leader, adding(4));
  EXPECT_FALSE(change(follower, adding(4)).result<api::ChangeMembersResult>().changed);
  change(leader, removing(4));
  EXPECT_FALSE(change(follower, removing(4)).result<api::ChangeMembersResult>().changed);
  api::ChangeMembersRequest promoting;
  promoting.promoted = {2};
  EXPECT_FALSE(change(leader, promoting).result<api::ChangeMembersResult>().changed);
}

TEST_F(MembersTest, ALeaderThatIsRemovedAnswersAndHandsOver) {
  EXPECT_TRUE(change(leader, removing(1)).result<api::ChangeMembersResult>().changed);
  ASSERT_TRUE(cluster.until([&] { return !leader.serving() && cluster.leader() != nullptr; }));
  EXPECT_THAT(roles_at(*cluster.leader()), ElementsAre("2:VOTER", "3:VOTER"));
}

TEST_F(MembersTest, ADeadServerIsReplacedInOneStep) {
  cluster.isolate(3);
  cluster.advance(2s);
  EXPECT_TRUE(change(follower, replacing(3, 4)).result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(roles_at(follower), ElementsAre("1:VOTER", "2:VOTER", "4:VOTER"));
}

// ---- what is refused -------------------------------------------------------------------------

TEST_F(MembersTest, ARequestThatCannotBeIsRefusedByWhoeverIsAsked) {
  const auto says = [&](const api::ChangeMembersRequest& request, const char* what) {
    EXPECT_THAT(change(follower, request).error(), Refuses(ErrorCode::BAD_ARGUMENT, what));
  };
  says({}, "names nobody");
  says(removing(0), "nodeId is 0: it must be from 1 to 1000");
  says(removing(1'001), "nodeId is 1001");
  says(replacing(4, 4), "node 4 is named twice");
  api::ChangeMembersRequest nowhere = adding(4);
  nowhere.added[0].peerAddress = "nowhere";
  says(nowhere, "nowhere");
  nowhere.added[0].peerAddress = "new4:0";
  says(nowhere, "names no port");
  says(adding(4, Role::LEAVING), "role 4 is none");
}

TEST_F(MembersTest, WhoAnswersThereMustBeTheServerThatIsMeant) {
  const auto says = [&](const std::string& what) {
    const auto error = change(follower, adding(4)).error();
    EXPECT_THAT(error.message, HasSubstr(what));
    EXPECT_EQ(error.applied, api::Applied::NO);
  };
  raft::IdentityReply& answer = newcomer(4);
  answer.self.node = NodeId(7);
  says("new4:1 is node 7, not node 4");
  newcomer(4).self.cluster = ClusterId(78);
  says("of cluster 78, this is cluster 77");
  newcomer(4).self.cluster = ClusterId();
  answer.listed = {NodeId(4)};
  says("started to form a cluster: start it with --join");
  answer.listed.clear();
  newcomer(4).self.store = StoreId(1002);
  says("store 1002 of node 4 is that of node 2");
  cluster.strangers.clear();
  says("node 4 does not answer at new4:1: nobody is there; start it with --join first");
}

TEST_F(MembersTest, AServerThatTookEntry1ForAnAdditionThatWasUndoneCanStillBeAdded) {
  newcomer(4).self.cluster = ClusterId(77);
  EXPECT_TRUE(change(leader, adding(4)).result<api::ChangeMembersResult>().changed);
}

TEST_F(MembersTest, IdsAndStoresAreNotUsedAgain) {
  newcomer(5).self.store = StoreId(1004);
  change(leader, adding(4));
  change(leader, removing(4));
  EXPECT_THAT(change(leader, adding(4)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 4 (store 1004) was removed at entry"));
  EXPECT_THAT(change(leader, adding(5)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 4 (store 1004) was removed at entry"));
  api::ChangeMembersRequest taken = adding(2);
  EXPECT_THAT(change(leader, taken).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 2 is a member already, with store 1002"));
}

TEST_F(MembersTest, WhoVotesOrIsToVoteIsNoLearnerByAskingForOne) {
  newcomer(5);
  change(leader, adding(4));
  change(leader, adding(5, Role::LEARNER));
  EXPECT_THAT(change(follower, adding(4, Role::LEARNER)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 4 is to vote once it has caught up"));
  EXPECT_FALSE(change(leader, adding(5, Role::LEARNER)).result<api::ChangeMembersResult>().changed);
  api::ChangeMembersRequest voter = adding(2, Role::LEARNER);
  voter.added[0].peerAddress = leader.engine().host().member(NodeId(2))->peer_address;
  EXPECT_THAT(change(leader, voter).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 2 votes already, and is no learner"));
}

TEST_F(MembersTest, ALearnerIsNotHandedLeadership) {
  change(leader, adding(4, Role::LEARNER));
  api::TransferLeadershipRequest request;
  request.nodeId = 4;
  const Call call = follower.ask(&Engine::transfer_leadership, api::RequestContext{}, request);
  cluster.settle();
  EXPECT_THAT(call.error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "node 4 is a learner, and only voters lead: `holdfast member promote 4`"));
}

TEST_F(MembersTest, TheLastVoterIsNamedWhenItIsToBeRemoved) {
  change(leader, removing(2));
  change(leader, removing(3));
  EXPECT_THAT(change(leader, removing(1)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "node 1 is the last voter: without it nobody would vote any more"));
}

TEST_F(MembersTest, WhatTheCoreRefusesIsSaidWithItsValues) {
  EXPECT_THAT(change(follower, removing(9)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 9 is not a member; the members are 1, 2, 3"));
  change(leader, adding(4, Role::LEARNER));
  api::ChangeMembersRequest promoting;
  promoting.promoted = {4};
  EXPECT_THAT(change(leader, promoting).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "node 4 has not caught up: it has said of no entry yet that it has it, and "
                      "the log goes to entry"));
  api::ChangeMembersRequest all;
  all.removed = {1, 2, 3};
  EXPECT_THAT(
      change(leader, all).error(),
      Refuses(ErrorCode::BAD_ARGUMENT, "nobody would vote any more: the voters are 1, 2, 3"));
  cluster.isolate(3);
  cluster.advance(2s);
  EXPECT_THAT(change(leader, removing(2)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT,
                      "with voters 1,3 outgoing 1,2,3 learners 4 there "
                      "would be no quorum"));
}

TEST_F(MembersTest, AReplacementThatAnotherOneOvertookIsRefused) {
  newcomer(5);
  change(leader, replacing(3, 4));
  EXPECT_THAT(change(leader, replacing(3, 5)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 3 was removed already"));
  EXPECT_FALSE(change(leader, replacing(3, 4)).result<api::ChangeMembersResult>().changed);
}

// Two operators replace two servers by the same one: a removal alone is not what the second wants.
TEST_F(MembersTest, ByWhoVotesAlreadyNobodyIsReplaced) {
  newcomer(4);
  change(leader, replacing(3, 4));
  EXPECT_THAT(change(leader, replacing(2, 4)).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 4 votes already and replaces nobody: node 2"));
  EXPECT_THAT(roles_at(leader), ElementsAre("1:VOTER", "2:VOTER", "4:VOTER"));
}

// ---- leaders that come and go ----------------------------------------------------------------

TEST_F(MembersTest, ARequestWhoseLeaderDiesIsRepeatedToTheNextOne) {
  cluster.hold([](const Parcel& p) { return p.is(PeerKind::kMemberChange); });
  const Call call = change(follower, adding(4, Role::LEARNER));
  EXPECT_FALSE(call.answered());
  ASSERT_EQ(cluster.held().size(), 1U);
  cluster.drop_held();
  cluster.isolate(1);
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_TRUE(call.result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(roles_at(follower), ElementsAre("1:VOTER", "2:VOTER", "3:VOTER", "4:LEARNER"));
}

// Else the operator hears that nothing was done, of a change that is made.
TEST_F(MembersTest, WhatAFormerLeaderRefusesIsNotTheAnswer) {
  cluster.strangers.clear();
  cluster.hold([](const Parcel& p) {
    return p.is(PeerKind::kMemberChangeReply) ||
           (p.is(PeerKind::kMemberChange) && p.to == NodeId(3));
  });
  const Call call = change(follower, adding(4, Role::LEARNER), 20'000);
  newcomer(4);
  cluster.lead(3);
  ASSERT_EQ(cluster.held().size(), 2U) << "a refusal of node 1, and the request to node 3";
  ASSERT_EQ(cluster.held()[0].from, NodeId(1));
  cluster.release();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_TRUE(call.result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(roles_at(follower), ElementsAre("1:VOTER", "2:VOTER", "3:VOTER", "4:LEARNER"));
}

// What is under way there may be this very change, begun by the leader before.
TEST_F(MembersTest, ALeaderThatCannotMakeARepeatedChangeNowIsAskedAgain) {
  cluster.hold([](const Parcel& p) { return p.is(PeerKind::kMemberChange); });
  const Call call = change(follower, adding(4, Role::LEARNER), 20'000);
  cluster.lead(3);
  ASSERT_EQ(cluster.held().size(), 2U) << "to node 1, and again to node 3";
  const auto& request = std::get<AppMessage>(cluster.held()[1].content);
  PeerCodec codec;
  peer::MemberChange asked;
  ASSERT_TRUE(codec.decode(request.bytes, asked));
  peer::MemberChangeReply refusal;
  refusal.request = asked.request;
  refusal.code = ErrorCode::OVERLOADED;
  refusal.message = "another change of the members is under way";
  refusal.retryable = true;
  cluster.drop_held();
  follower.engine().on_app(NodeId(3), static_cast<uint8_t>(PeerKind::kMemberChangeReply),
                           codec.encode(refusal));
  cluster.settle();
  EXPECT_FALSE(call.answered());
  cluster.advance(110ms);
  EXPECT_TRUE(call.result<api::ChangeMembersResult>().changed);
}

TEST_F(MembersTest, AChangeThatWasUndoneIsMadeByTheNextLeader) {
  // The leader appends it, and nobody else ever has it.
  cluster.hold([](const Parcel& p) {
    return p.from == NodeId(1) && p.is(raft::MessageType::kAppendRequest);
  });
  const Call call = change(leader, adding(4, Role::LEARNER), 20'000);
  EXPECT_THAT(reached(leader), ElementsAre(1, 2, 3, 4));
  cluster.drop_held();
  cluster.isolate(1);
  ASSERT_TRUE(
      cluster.until([&] { return cluster.server(2).serving() || cluster.server(3).serving(); }));
  Client client = cluster.client(cluster.server(2).serving() ? 2 : 3, "other");
  EXPECT_FALSE(call.answered());
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_TRUE(call.result<api::ChangeMembersResult>().changed);
}

// The log may need long to come that far again.
TEST_F(MembersTest, AChangeThatWasUndoneIsMadeByTheNextLeaderHoweverFarTheLastOneHadGot) {
  cluster.hold([](const Parcel& p) {
    return p.from == NodeId(1) && p.is(raft::MessageType::kAppendRequest);
  });
  for (int i = 0; i < 50; ++i) leader.open("lost-" + std::to_string(i));
  cluster.settle();
  const Call call = change(leader, adding(4, Role::LEARNER), 20'000);
  EXPECT_THAT(reached(leader), ElementsAre(1, 2, 3, 4));
  cluster.drop_held();
  cluster.isolate(1);
  ASSERT_TRUE(
      cluster.until([&] { return cluster.server(2).serving() || cluster.server(3).serving(); }));
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }, 10s));
  EXPECT_TRUE(call.result<api::ChangeMembersResult>().changed);
}

// Who asked has heard of nobody in between.
TEST_F(MembersTest, AChangeThatWasUndoneIsAskedForAgainOfALeaderThatIsBack) {
  cluster.hold([](const Parcel& p) {
    return p.from == NodeId(1) && p.is(raft::MessageType::kAppendRequest);
  });
  const Call call = change(follower, adding(4, Role::LEARNER), 20'000);
  EXPECT_THAT(reached(leader), ElementsAre(1, 2, 3, 4));
  cluster.drop_held();
  cluster.isolate(1);
  cluster.hold([](const Parcel& p) {
    const bool stands =
        p.is(raft::MessageType::kPreVoteRequest) || p.is(raft::MessageType::kVoteRequest);
    const bool leads =
        p.is(raft::MessageType::kAppendRequest) || p.is(raft::MessageType::kHeartbeatRequest);
    return (p.from == NodeId(2) && stands) || (p.from == NodeId(3) && p.to == NodeId(2) && leads);
  });
  TestServer& other = cluster.server(3);
  ASSERT_TRUE(
      cluster.until([&] { return other.engine().node().core().role() == raft::Role::kLeader; }));
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return other.serving(); }));
  EXPECT_THAT(reached(leader), ElementsAre(1, 2, 3)) << "undone";
  EXPECT_FALSE(call.answered());
  cluster.lead(1);
  cluster.drop_held();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }, 5s));
  EXPECT_THAT(roles(call.result<api::ChangeMembersResult>().members),
              ElementsAre("1:VOTER", "2:VOTER", "3:VOTER", "4:LEARNER"));
}

TEST_F(MembersTest, AnUndoneChangeIsFollowedByTheTransport) {
  cluster.hold([](const Parcel& p) {
    return p.from == NodeId(1) && p.is(raft::MessageType::kAppendRequest);
  });
  change(leader, adding(4, Role::LEARNER), 500);
  EXPECT_THAT(reached(leader), ElementsAre(1, 2, 3, 4));
  cluster.drop_held();
  cluster.isolate(1);
  cluster.advance(5s);
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return reached(leader).size() == 3; }));
}

TEST_F(MembersTest, AChangeThatIsNotMadeInTimeSaysHowThingsStand) {
  cluster.hold([](const Parcel& p) {
    return p.from == NodeId(1) && p.is(raft::MessageType::kAppendRequest);
  });
  const Call call = change(leader, removing(3), 300);
  cluster.advance(400ms);
  EXPECT_THAT(call.error(),
              Refuses(ErrorCode::TIMEOUT, "the members are voters 1,2 outgoing 1,2,3 since entry"));
  EXPECT_THAT(call.error().message, HasSubstr("not committed yet"));
  EXPECT_EQ(call.error().applied, api::Applied::UNKNOWN);
  EXPECT_THAT(change(leader, adding(4)).error(),
              Refuses(ErrorCode::OVERLOADED, "another change of the members is under way"));
}

TEST_F(MembersTest, WithoutALeaderNothingIsChanged) {
  cluster.isolate(2);
  cluster.advance(3s);
  const Call call = change(follower, removing(3), 500);
  cluster.advance(600ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "there is no leader"));
  EXPECT_EQ(call.error().applied, api::Applied::NO);
}

TEST_F(MembersTest, ForceDoesNotMakeUpForALeader) {
  cluster.isolate(1);
  cluster.server(3).crash();
  cluster.advance(3s);
  auto request = removing(3);
  request.force = true;
  const Call call = change(leader, request, 500);
  cluster.advance(600ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "holdfast recover"));
}

// The way back would have to be committed by them, too. Here the leader stepped down before it had
// told anybody of the change, so that it is undone.
TEST_F(MembersTest, AForcedChangeThatWaitsForTheDeadSaysSoAndTheMembersSettleWhenTheyAreBack) {
  cluster.server(3).crash();
  cluster.advance(2s);
  auto request = removing(2);
  request.force = true;
  const Call call = change(leader, request, 1'000);
  cluster.advance(3s);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::TIMEOUT,
                                    "once a majority of the voters, and one of "
                                    "those that are outgoing, have it"));
  EXPECT_THAT(call.error().message, HasSubstr("voters 1,3 outgoing 1,2,3"));
  EXPECT_EQ(cluster.leader(), nullptr);
  EXPECT_FALSE(members_at(leader).settled);
  cluster.server(3).start();
  ASSERT_TRUE(cluster.until([&] { return members_at(leader).settled; }));
  const Call again = change(leader, removing(2), 10'000);
  ASSERT_TRUE(cluster.until([&] { return again.answered(); }));
  EXPECT_EQ(again.outcome(), "OK");
  EXPECT_THAT(roles_at(leader), ElementsAre("1:VOTER", "3:VOTER"));
}

TEST_F(MembersTest, ARemovedServerAnswersWhatIsOpenAndNothingMore) {
  cluster.isolate(3);
  const Call own = change(cluster.server(3), removing(3));
  const Call other = change(cluster.server(3), adding(4));
  const Call more = change(cluster.server(3), replacing(3, 4));
  cluster.server(3).engine().retire("node 3 was removed at entry 7");
  EXPECT_TRUE(own.result<api::ChangeMembersResult>().members.size() == 3U);
  EXPECT_THAT(other.error(), Refuses(ErrorCode::OUTCOME_UNKNOWN, "was removed"));
  EXPECT_THAT(more.error(), Refuses(ErrorCode::OUTCOME_UNKNOWN, "was removed"))
      << "by whoever it was; whether node 4 is in its place is not known here";
  EXPECT_THAT(cluster.server(3).open("late").error(),
              Refuses(ErrorCode::SHUTTING_DOWN, "node 3 was removed at entry 7; use another"));
  EXPECT_EQ(cluster.server(3).outstanding(), 0U);
}

// The entry by which it has left may never come to it.
TEST_F(MembersTest, ARemovedServerThatSawItsLeavingBegunIsNotAmongTheMembers) {
  int configurations = 0;
  cluster.hold([&](const Parcel& p) {
    if (p.to != NodeId(3) || !p.is(raft::MessageType::kAppendRequest)) return false;
    for (const raft::Entry& entry : std::get<raft::Message>(p.content).entries) {
      configurations += entry.type == raft::EntryType::kConfiguration ? 1 : 0;
    }
    return configurations > 1;
  });
  const Call own = change(cluster.server(3), removing(3));
  ASSERT_FALSE(own.answered());
  ASSERT_THAT(roles_at(cluster.server(3)), ElementsAre("1:VOTER", "2:VOTER", "3:LEAVING"));
  cluster.server(3).engine().retire("node 3 was removed at entry 7");
  EXPECT_THAT(roles(own.result<api::ChangeMembersResult>().members),
              ElementsAre("1:VOTER", "2:VOTER"));
}

// Nobody tells it of the newer term: the others refuse it, and it does not check its quorum.
class UncheckedLeaderTest : public ThreeServersTest {
 protected:
  UncheckedLeaderTest() : ThreeServersTest(unchecked()) {}
  static EngineOptions unchecked() {
    EngineOptions options;
    options.raft.check_quorum = false;
    return options;
  }
};

TEST_F(UncheckedLeaderTest, ItLeadsNoLongerOnceItIsToldThatItWasRemoved) {
  cluster.isolate(1);
  cluster.advance(10s);
  ASSERT_EQ(leader.engine().host().soft.role, raft::Role::kLeader);
  leader.engine().stand_aside();
  cluster.advance(leader.engine().node().core().config().election_timeout_max + 20ms);
  EXPECT_NE(leader.engine().host().soft.role, raft::Role::kLeader);
}

}  // namespace
}  // namespace holdfast::server
