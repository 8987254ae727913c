// Renewals from their arrival at any server to the leader's acknowledgement: what it rests on, what
// a change of leadership does to it, and whom a late answer may reach (PROMISES 5 and 6).
#include "session/session_table.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;
using api::KeepAliveResult;

class RenewalsTest : public ThreeServersTest {
 protected:
  static bool is_renewal(const Parcel& p) { return p.is(PeerKind::kRenewalBatch); }
  static bool is_reply(const Parcel& p) { return p.is(PeerKind::kRenewalReplies); }
  static int64_t lease(const Call& call) { return call.result<KeepAliveResult>().leaseMs; }
  bool alive(const Client& who) {
    return cluster.leader()->engine().machine().sessions().find(who.id) != nullptr;
  }

  /// To the leader, from node 2.
  void send_renewal_of(SessionId session) {
    PeerCodec codec;
    peer::RenewalBatch batch;
    batch.renewals.emplace_back();
    batch.renewals.back().request = 4711;
    batch.renewals.back().sessionId = static_cast<int64_t>(session.value);
    leader.engine().on_app(NodeId(2), static_cast<uint8_t>(PeerKind::kRenewalBatch),
                           codec.encode(batch));
    leader.turn();
  }
  /// The session that the last of so many further entries opens: its id is that entry's index.
  SessionId opened_after(uint64_t entries) {
    return SessionId(leader.engine().host().applied.value + entries);
  }

  Client client = cluster.client(1, "client");
};

TEST_F(RenewalsTest, TheLeaderAcknowledgesOnlyAfterAQuorumAnsweredARoundThatBeganLater) {
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kHeartbeatResponse); });
  const Call call = leader.keep_alive(client.context());
  cluster.advance(300ms);
  EXPECT_FALSE(call.answered());
  cluster.release();
  cluster.settle();
  EXPECT_EQ(lease(call), 9'900);
}

TEST_F(RenewalsTest, ALeaderCutOffFromTheOthersAcknowledgesNothing) {
  cluster.isolate(1);
  const Call call = leader.keep_alive(client.context());
  cluster.advance(4'900ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(200ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::NO_LEADER, "no leader acknowledged the renewal"));
  EXPECT_TRUE(call.error().retryable);
}

TEST_F(RenewalsTest, ManyRenewalsOfATurnShareOneRound) {
  const uint64_t before = leader.engine().node().core().counters().read_rounds;
  std::vector<Call> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(leader.keep_alive(client.context()));
  cluster.settle();
  for (const Call& call : calls) EXPECT_EQ(lease(call), 9'900);
  EXPECT_EQ(leader.engine().node().core().counters().read_rounds, before + 1);
}

// Which a full disk may make a server do for longer than any TTL.
class LaggingServerTest : public RenewalsTest {
 protected:
  LaggingServerTest() {
    cluster.hold([](const Parcel& p) {
      return p.to == NodeId(2) && p.is(raft::MessageType::kAppendRequest);
    });
    fresh = cluster.client(1, "fresh");
  }
  void renew_for(Duration time, bool polls) {
    for (Duration passed{}; passed < time; passed += 2s) {
      if (polls) {
        follower.poll(fresh.context(), {});
      } else {
        follower.keep_alive(fresh.context());
      }
      cluster.advance(2s);
    }
  }

  Client fresh;
};

TEST_F(LaggingServerTest, RenewsASessionWhoseOpeningItHasNotApplied) {
  for (const bool polls : {true, false}) {
    renew_for(30s, polls);
    EXPECT_TRUE(alive(fresh)) << (polls ? "poll" : "keepAlive");
  }
}

TEST_F(LaggingServerTest, DoesNotRenewWithAnotherSecret) {
  fresh.secret.assign(fresh.secret.size(), 'x');
  renew_for(30s, true);
  EXPECT_FALSE(alive(fresh));
}

class FewRenewalsTest : public ThreeServersTest {
 protected:
  static EngineOptions options() {
    EngineOptions few;
    few.max_pending_reads = 4;
    return few;
  }
  FewRenewalsTest() : ThreeServersTest(options()) {}
};

// Each call is answered at once, as overloaded: its client may send the next.
TEST_F(FewRenewalsTest, RenewalsOfSessionsThatMayNeverBeAreBounded) {
  cluster.hold([](const Parcel& p) { return p.is(PeerKind::kRenewalBatch); });
  Client nobody = cluster.client(1, "nobody");
  const RenewalStats before = follower.engine().renewal_stats();
  for (int i = 0; i < 1'000; ++i) {
    nobody.id = SessionId((uint64_t{1} << 40) + static_cast<uint64_t>(i));
    i % 2 == 0 ? follower.keep_alive(nobody.context()) : follower.poll(nobody.context(), {});
  }
  EXPECT_EQ(follower.engine().pending_renewals(), 4u);
  EXPECT_EQ(follower.engine().renewal_stats().refused - before.refused, 996u);
  EXPECT_EQ(follower.engine().renewal_stats().received - before.received, 1'000u);
}

// A client that polls as fast as it can, each time anew, is one that waits.
TEST_F(RenewalsTest, OfPollsThatTookEachOthersPlaceOneWaits) {
  const Client fast = cluster.client(2, "fast");
  const RenewalStats before = follower.engine().renewal_stats();
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }, 5s));
  std::optional<Call> last;
  for (int i = 0; i < 5'000; ++i) last = follower.poll(fast.context(), {});
  EXPECT_EQ(follower.engine().pending_renewals(), 1u);
  EXPECT_LT(follower.engine().queued_renewals(), 1'100u);
  EXPECT_EQ(follower.engine().renewal_stats().refused - before.refused, 4'999u);
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().pending_renewals() == 0; }, 5s));
  EXPECT_FALSE(last->answered() && last->outcome() != "OK") << last->outcome();
}

// And what clients send again as often as it is refused.
TEST_F(RenewalsTest, WhatWaitedInVainForALeaderLeavesNothingBehind) {
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }, 5s));
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 200; ++i) follower.keep_alive(client.context());
    cluster.advance(6s);
    EXPECT_EQ(follower.engine().pending_renewals(), 0u);
  }
  EXPECT_LT(follower.engine().queued_renewals(), 1'500u);
}

TEST_F(RenewalsTest, AFollowersRenewalsTravelTogetherOnTheControlLane) {
  cluster.hold(is_renewal);
  std::vector<Call> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(follower.keep_alive(client.context()));
  cluster.settle();
  ASSERT_EQ(cluster.held().size(), 1u);
  EXPECT_EQ(std::get<AppMessage>(cluster.held()[0].content).lane, raft::Lane::kControl);
  cluster.release();
  cluster.settle();
  for (const Call& call : calls) EXPECT_EQ(lease(call), 9'900);
  EXPECT_EQ(follower.engine().pending_renewals(), 0u);
}

TEST_F(RenewalsTest, ARenewalThroughAFollowerKeepsTheSessionAlive) {
  for (int i = 0; i < 15; ++i) {
    cluster.advance(2s);
    const Call call = follower.keep_alive(client.context());
    cluster.settle();
    ASSERT_EQ(lease(call), 9'900);
  }
  EXPECT_TRUE(alive(client));
  cluster.advance(12s);
  EXPECT_FALSE(alive(client)) << "silent for longer than its TTL";
}

TEST_F(RenewalsTest, ARenewalUnderWayWhenLeadershipMovesIsAcknowledgedByTheNextLeader) {
  cluster.hold([](const Parcel& p) { return is_renewal(p) && p.to == NodeId(1); });
  const Call through_follower = follower.keep_alive(client.context());
  const Call through_leader = leader.keep_alive(client.context());
  leader.turn();
  cluster.hold([](const Parcel& p) {
    return p.to == NodeId(1) && (is_renewal(p) || p.is(raft::MessageType::kHeartbeatResponse));
  });
  cluster.isolate(1);
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != &leader; }));
  cluster.advance(200ms);
  EXPECT_EQ(lease(through_follower), 9'900);
  EXPECT_FALSE(through_leader.answered());
  cluster.heal();
  cluster.drop_held();
  cluster.advance(1s);
  EXPECT_EQ(lease(through_leader), 9'900) << "handed on to the leader that it follows now";
}

TEST_F(RenewalsTest, ARenewalLostWithItsConnectionGoesAgainWhenThatIsBack) {
  cluster.hold(is_renewal);
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  cluster.drop_held();
  cluster.advance(100ms);
  EXPECT_FALSE(call.answered());
  cluster.reconnect(1, 2);
  cluster.settle();
  EXPECT_EQ(lease(call), 9'900);
}

TEST_F(RenewalsTest, WhatTheTransportDropsAtOnceIsSentWhenItTakesAgain) {
  follower.transport_full = true;
  const Call call = follower.keep_alive(client.context());
  cluster.advance(100ms);
  EXPECT_FALSE(call.answered());
  follower.transport_full = false;
  cluster.settle();
  EXPECT_EQ(lease(call), 9'900);
}

TEST_F(RenewalsTest, AFollowersAnswerWaitsForWhatTheLeaderHadAppliedSoThatNoNoticeIsMissed) {
  leader.acquire(client.next(), acquire_of("/job"));
  cluster.settle();
  cluster.hold(
      [](const Parcel& p) { return p.to == NodeId(2) && p.is(raft::MessageType::kAppendRequest); });
  api::RevokeLockRequest revoke;
  revoke.path = "/job";
  revoke.noticeMs = 60'000;
  leader.ask(&Engine::revoke_lock, api::RequestContext{}, revoke);
  cluster.settle();
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  EXPECT_FALSE(call.answered()) << "this copy does not know of the revocation yet";
  cluster.release();
  cluster.advance(200ms);
  EXPECT_EQ(call.result<KeepAliveResult>().revocations.size(), 1u);
}

// As when the leader changes while a server has not applied what the former one had.
TEST_F(RenewalsTest, OfTwoAnswersThatWaitForTheirRevisionsTheLaterOneCounts) {
  cluster.hold([](const Parcel& p) {
    return is_reply(p) || (p.to == NodeId(2) && p.is(raft::MessageType::kAppendRequest));
  });
  const auto applied = static_cast<int64_t>(follower.engine().host().applied.value);
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  PeerCodec codec;
  peer::RenewalReplies replies;
  for (const Parcel& parcel : cluster.held()) {
    if (is_reply(parcel)) codec.decode(std::get<AppMessage>(parcel.content).bytes, replies);
  }
  ASSERT_EQ(replies.replies.size(), 1u);
  for (const int64_t further : {1, 3}) {
    replies.replies[0].revision = applied + further;
    follower.engine().on_app(NodeId(1), static_cast<uint8_t>(PeerKind::kRenewalReplies),
                             codec.encode(replies));
    cluster.settle();
  }
  for (const char* const path : {"/a", "/b", "/c"}) {
    EXPECT_FALSE(call.answered());
    leader.acquire(client.next(), acquire_of(path));
    cluster.settle();
  }
  cluster.release();
  cluster.advance(500ms);
  EXPECT_EQ(lease(call), 9'900);
}

TEST_F(RenewalsTest, AnAnswerTwiceOrLateReachesNobodyElse) {
  cluster.hold(is_reply);
  const Call first = follower.keep_alive(client.context());
  cluster.settle();
  ASSERT_EQ(cluster.held().size(), 1u);
  const std::string reply = std::get<AppMessage>(cluster.held()[0].content).bytes;
  cluster.release();
  cluster.settle();
  EXPECT_EQ(lease(first), 9'900);
  // The same slot serves the next renewal; an old answer must not pass for its own.
  cluster.hold(is_renewal);
  const Call second = follower.keep_alive(client.context());
  cluster.settle();
  follower.engine().on_app(NodeId(1), static_cast<uint8_t>(PeerKind::kRenewalReplies), reply);
  cluster.settle();
  EXPECT_FALSE(second.answered());
}

TEST_F(RenewalsTest, AnAnswerToAnEarlierProcessAcknowledgesNothingOfThisOne) {
  const Client patient = cluster.client(1, "patient", 86'400'000);
  cluster.hold(is_reply);
  for (int i = 0; i < 64; ++i) follower.keep_alive(patient.context());
  cluster.settle();
  ASSERT_EQ(cluster.held().size(), 1u);
  const std::string replies = std::get<AppMessage>(cluster.held()[0].content).bytes;
  cluster.drop_held();
  follower.crash();
  follower.start();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().ready(); }));
  cluster.hold(is_renewal);
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  follower.engine().on_app(NodeId(1), static_cast<uint8_t>(PeerKind::kRenewalReplies), replies);
  cluster.settle();
  EXPECT_FALSE(call.answered()) << "the leader has not heard of this session's renewal";
}

TEST_F(RenewalsTest, ASessionThatTheLeaderHasNotAppliedYetIsNotEnded) {
  // What the follower knows before the leader has applied it, as when the leader works off a
  // backlog: a renewal of a session above the leader's applied index.
  const SessionId session = opened_after(1);
  cluster.hold(is_reply);
  send_renewal_of(session);
  const Client opened = cluster.client(1, "opened");
  ASSERT_EQ(opened.id, session);
  cluster.settle();
  ASSERT_EQ(cluster.held().size(), 1u);
  peer::RenewalReplies answer;
  PeerCodec codec;
  ASSERT_TRUE(codec.decode(std::get<AppMessage>(cluster.held()[0].content).bytes, answer));
  ASSERT_EQ(answer.replies.size(), 1u);
  EXPECT_EQ(answer.replies[0].code, api::ErrorCode::UNSPECIFIED);
  EXPECT_EQ(answer.replies[0].leaseMs, 9'900);
}

TEST_F(RenewalsTest, WhatOthersSentToAFormerLeaderItDoesNotHandOn) {
  send_renewal_of(opened_after(99));
  ASSERT_EQ(leader.engine().pending_renewals(), 1u) << "it waits for the session's opening";
  cluster.isolate(1);
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != &leader; }));
  cluster.hold(is_renewal);
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return leader.engine().host().other_leader() != NodeId(); }));
  cluster.settle();
  EXPECT_TRUE(cluster.held().empty()) << "server 2 sends it to its new leader itself";
  EXPECT_EQ(leader.engine().pending_renewals(), 0u);
}

TEST_F(RenewalsTest, ARenewalOfAnEndedSessionIsToldSo) {
  cluster.hold(
      [](const Parcel& p) { return p.to == NodeId(2) && p.is(raft::MessageType::kAppendRequest); });
  const Call closed = leader.close(client.next());
  cluster.settle();
  ASSERT_EQ(closed.outcome(), "OK");
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  EXPECT_FALSE(call.answered()) << "the follower believes that the session lives";
  cluster.release();
  cluster.advance(200ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::SESSION_EXPIRED, "has ended"));
}

TEST_F(RenewalsTest, ALeaderRenewsNoSessionThatACommittedEntryEndedWhichItHasYetToApply) {
  leader.engine().hold_apply(true);
  const Call closed = follower.close(client.next());
  cluster.advance(200ms);
  ASSERT_EQ(closed.outcome(), "OK");
  const Call call = leader.keep_alive(client.context());
  cluster.advance(200ms);
  EXPECT_FALSE(call.answered());
  leader.engine().hold_apply(false);
  cluster.advance(200ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::SESSION_EXPIRED, "has ended"));
}

TEST_F(RenewalsTest, ANewLeaderGivesEverySessionAFullTtlFromItsElection) {
  cluster.advance(4s);  // late by now, or nearly
  cluster.lead(3);
  const int64_t left = [&] {
    const Call call = cluster.server(3).ask(&Engine::list_sessions, api::RequestContext{},
                                            api::ListSessionsRequest{});
    cluster.settle();
    return call.result<api::ListSessionsResult>().sessions.at(0).leaseLeftMs;
  }();
  EXPECT_GT(left, 9'000);
}

// What was committed before may take longer to be applied than a session lives.
TEST_F(RenewalsTest, TheTimeInWhichANewLeaderCouldAnswerNobodyIsNoSilence) {
  cluster.hold([](const Parcel& parcel) { return parcel.is(raft::MessageType::kAppendRequest); });
  leader.crash();
  cluster.advance(14s);
  const NodeId elected = follower.engine().host().soft.leader;
  ASSERT_TRUE(elected == NodeId(2) || elected == NodeId(3));
  ASSERT_FALSE(follower.serving() || cluster.server(3).serving());
  cluster.release();
  cluster.advance(8s);
  ASSERT_EQ(follower.engine().host().soft.leader, elected);
  EXPECT_TRUE(alive(client));
  cluster.advance(4s);
  EXPECT_FALSE(alive(client));
}

TEST_F(RenewalsTest, ASessionMarkedLateIsAcknowledgedByAnEntryOnly) {
  cluster.advance(5'500ms);
  ASSERT_TRUE(leader.engine().machine().sessions().find(client.id)->late);
  leader.disk_works = cluster.server(2).disk_works = cluster.server(3).disk_works = false;
  const Call call = leader.keep_alive(client.context());
  cluster.advance(300ms);
  EXPECT_FALSE(call.answered()) << "rounds are answered, but no entry is committed";
  leader.disk_works = cluster.server(2).disk_works = cluster.server(3).disk_works = true;
  cluster.advance(50ms);
  EXPECT_EQ(lease(call), 9'900);
  EXPECT_FALSE(leader.engine().machine().sessions().find(client.id)->late);
}

TEST_F(RenewalsTest, NothingExpiresWhileInputMayBeUnread) {
  cluster.isolate(3);  // less traffic; 1 and 2 are a quorum
  cluster.advance(9'900ms);
  ASSERT_TRUE(alive(client));
  cluster.clock.advance(2s);
  for (int i = 0; i < 10; ++i) {
    leader.turn(/*all_input_handled=*/false);
    follower.turn();
  }
  const Call call = leader.keep_alive(client.context());
  cluster.heal();
  cluster.advance(100ms);
  EXPECT_EQ(lease(call), 9'900) << "the renewal was in a socket all the time";
}

TEST_F(RenewalsTest, APauseOfTheLeaderCostsNoSessionAndAcknowledgesNothing) {
  const Call before = leader.keep_alive(client.context());
  leader.turn();
  cluster.clock.advance(1s);
  leader.engine().on_pause(1s);
  cluster.settle();
  EXPECT_FALSE(leader.serving()) << "others may lead by now";
  EXPECT_FALSE(before.answered());
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != nullptr; }));
  cluster.advance(1s);
  EXPECT_TRUE(alive(client));
  EXPECT_EQ(lease(before), 9'900);
}

TEST_F(RenewalsTest, ALeaderThatStopsTellsFollowersNothingOfItself) {
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kHeartbeatResponse); });
  const Call call = follower.keep_alive(client.context());
  cluster.settle();
  leader.engine().finish_drain();
  cluster.drop_held();
  cluster.settle();
  EXPECT_FALSE(call.answered()) << "this server does not stop";
  leader.crash();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(lease(call), 9'900);
}

TEST_F(RenewalsTest, AnOpenRepeatedWithItsSecretRenewsTheSessionItHasOpened) {
  cluster.advance(6s);
  const Call again = follower.open("client");
  cluster.settle();
  EXPECT_EQ(again.result<api::OpenSessionResult>().sessionId,
            static_cast<int64_t>(client.id.value));
  EXPECT_EQ(again.result<api::OpenSessionResult>().leaseMs, 9'900);
  EXPECT_EQ(again.result<api::OpenSessionResult>().servers.size(), 3u);
  cluster.advance(9s);
  EXPECT_TRUE(alive(client));
}

}  // namespace
}  // namespace holdfast::server
