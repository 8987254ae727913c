// Administration: what operators see and do, and what of it is logged.
#include "coordinator/server/alarms.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;
using testing::ElementsAre;

class AdminTest : public ThreeServersTest {
 protected:
  Call transfer(TestServer& through, int to, int64_t deadline_ms = 0) {
    api::RequestContext context;
    context.deadlineMs = deadline_ms;
    api::TransferLeadershipRequest request;
    request.nodeId = to;
    return through.ask(&Engine::transfer_leadership, context, request);
  }
  api::StatusResult status(TestServer& of) {
    return of.ask(&Engine::status, api::RequestContext{}, api::StatusRequest{})
        .result<api::StatusResult>();
  }
  api::ListSessionsResult sessions(int64_t page = 0, int32_t size = 0) {
    api::ListSessionsRequest request;
    request.page = page;
    request.pageSize = size;
    const Call call = leader.ask(&Engine::list_sessions, api::RequestContext{}, request);
    cluster.settle();
    return call.result<api::ListSessionsResult>();
  }
};

// ---- status and members ----------------------------------------------------------------------

TEST_F(AdminTest, StatusIsAnsweredAtOnceByAnyServerEvenWithoutALeader) {
  const auto of_leader = status(leader);
  EXPECT_EQ(of_leader.role, api::RaftRole::LEADER);
  EXPECT_EQ(of_leader.leaderId, 1);
  EXPECT_EQ(of_leader.progress.size(), 2u);
  EXPECT_THAT(of_leader.voters, ElementsAre(1, 2, 3));
  EXPECT_EQ(of_leader.appliedIndex, of_leader.commitIndex);
  EXPECT_EQ(of_leader.storeId, 1001);
  EXPECT_EQ(of_leader.featureLevel, 1) << "nobody has raised it";
  EXPECT_EQ(of_leader.knownLevel, rsm::kFeatureLevel);
  EXPECT_EQ(of_leader.stateDigest.size(), 32u);
  EXPECT_EQ(of_leader.stateDigest, status(follower).stateDigest);
  EXPECT_EQ(status(follower).role, api::RaftRole::FOLLOWER);
  EXPECT_TRUE(status(follower).progress.empty());
  cluster.isolate(2);
  cluster.advance(3s);
  EXPECT_EQ(status(follower).leaderId, 0);
}

TEST_F(AdminTest, StatusCountsWhatThereIs) {
  Client a = cluster.client(1, "a");
  Client b = cluster.client(2, "b");
  leader.acquire(a.next(), acquire_of("/x"));
  cluster.settle();
  leader.acquire(b.next(), acquire_of("/x", -1, true));
  cluster.settle();
  const auto now = status(leader);
  EXPECT_EQ(now.sessions, 2);
  EXPECT_EQ(now.locks, 1);
  EXPECT_EQ(now.waiters, 1);
}

TEST_F(AdminTest, MembersAreThoseOfTheConfiguration) {
  const auto members = follower.ask(&Engine::members, api::RequestContext{}, api::MembersRequest{})
                           .result<api::MembersResult>()
                           .members;
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[2].nodeId, 3);
  EXPECT_EQ(members[2].peerAddress, "peer3:1");
  EXPECT_EQ(members[2].clientAddress, "client3:1");
  EXPECT_EQ(members[2].storeId, 1003);
  EXPECT_TRUE(members[2].voter);
}

// ---- transfers -------------------------------------------------------------------------------

TEST_F(AdminTest, ATransferIsAnsweredWhenTheNewLeaderIsKnown) {
  const Call call = transfer(leader, 3);
  EXPECT_FALSE(call.answered());
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(call.result<api::TransferLeadershipResult>().header.leaderId, 3);
  EXPECT_FALSE(call.result<api::TransferLeadershipResult>().ledAlready);
}

TEST_F(AdminTest, ATransferMayBeAskedOfAnyServerAndFindsTheMemberThatIsFurthest) {
  cluster.isolate(3);
  Client client = cluster.client(1, "a");
  cluster.advance(100ms);
  const Call call = transfer(follower, 0);
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(call.result<api::TransferLeadershipResult>().header.leaderId, 2);
}

TEST_F(AdminTest, ATransferToWhoCannotLeadIsRefusedAtOnce) {
  for (const int target : {9, -4}) {
    const Call call = transfer(follower, target);
    cluster.settle();
    EXPECT_THAT(call.error(),
                Refuses(ErrorCode::BAD_ARGUMENT,
                        "is not another voter of this cluster: the voters are 1, 2, 3"))
        << target;
    EXPECT_FALSE(call.error().retryable);
  }
  EXPECT_TRUE(leader.serving());
}

TEST_F(AdminTest, ATransferToWhoLeadsAlreadyIsDoneAtOnce) {
  for (TestServer* through : {&leader, &follower}) {
    const Call call = transfer(*through, 1);
    cluster.settle();
    ASSERT_TRUE(call.answered());
    EXPECT_TRUE(call.result<api::TransferLeadershipResult>().ledAlready);
    EXPECT_EQ(call.result<api::TransferLeadershipResult>().header.leaderId, 1);
  }
  EXPECT_FALSE(leader.engine().node().core().transferring());
}

TEST_F(AdminTest, ALeaderThatHandsOverDoesNotSayThatItLeads) {
  cluster.isolate(3);
  transfer(leader, 3);
  EXPECT_THAT(transfer(leader, 1).error(),
              Refuses(ErrorCode::OVERLOADED, "being handed over already"));
}

TEST(LoneAdminTest, WhoHasNobodyToHandOverToSaysSo) {
  TestCluster alone(1);
  const Call call = alone.lead(1).ask(&Engine::transfer_leadership, api::RequestContext{},
                                      api::TransferLeadershipRequest{});
  EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, "there is no other voter"));
}

TEST_F(AdminTest, ASecondTransferIsRefusedWhileOneIsUnderWay) {
  cluster.isolate(3);
  const Call first = transfer(leader, 3);
  const Call second = transfer(leader, 2);
  EXPECT_THAT(second.error(), Refuses(ErrorCode::OVERLOADED, "being handed over already"));
  EXPECT_TRUE(second.error().retryable);
  EXPECT_FALSE(first.answered());
}

TEST_F(AdminTest, ATransferThatDoesNotHappenInTimeSaysThatItStillMay) {
  cluster.isolate(3);
  const Call call = transfer(leader, 3, 500);
  cluster.advance(600ms);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::TIMEOUT, "not handed over in time"));
  EXPECT_EQ(call.error().applied, api::Applied::UNKNOWN);
}

TEST_F(AdminTest, WithoutALeaderThereIsNothingToHandOver) {
  cluster.isolate(2);
  cluster.advance(3s);
  EXPECT_THAT(transfer(follower, 3).error(), Refuses(ErrorCode::NO_LEADER, "no leader"));
}

TEST_F(AdminTest, CommandsOfSessionsWaitOutATransfer) {
  Client client = cluster.client(1, "a");
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kTimeoutNow); });
  transfer(leader, 3);
  cluster.settle();
  const Call command = leader.acquire(client.next(), acquire_of("/a"));
  const Call sessionless = leader.change_setting("sessions_max", 777);
  cluster.settle();
  EXPECT_FALSE(command.answered());
  EXPECT_THAT(sessionless.error(), Refuses(ErrorCode::OVERLOADED, "being handed over"));
  EXPECT_EQ(sessionless.error().applied, api::Applied::NO);
  cluster.release();
  cluster.advance(500ms);
  EXPECT_EQ(command.outcome(), "OK");
}

// ---- sessions --------------------------------------------------------------------------------

TEST_F(AdminTest, SessionsAreListedInPagesWithWhatTheyHoldAndWaitFor) {
  Client a = cluster.client(1, "a");
  Client b = cluster.client(1, "b");
  leader.acquire(a.next(), acquire_of("/x"));
  leader.acquire(a.next(), acquire_of("/y"));
  leader.acquire(b.next(), acquire_of("/free"));
  cluster.settle();
  leader.acquire(b.next(), acquire_of("/x", -1, true));
  api::AcquireAllRequest all;
  all.waitMs = -1;
  all.enqueue = true;
  for (const char* path : {"/x", "/y", "/z"}) {
    all.locks.emplace_back();
    all.locks.back().path = path;
  }
  leader.ask(&Engine::acquire_all, b.next(), all);
  cluster.settle();
  const auto first = sessions(0, 1);
  ASSERT_EQ(first.sessions.size(), 1u);
  EXPECT_EQ(first.sessions[0].name, "a");
  EXPECT_EQ(first.sessions[0].locks, 2);
  EXPECT_EQ(first.sessions[0].places, 0);
  EXPECT_FALSE(first.sessions[0].late);
  const auto second = sessions(first.nextPage, 5);
  ASSERT_EQ(second.sessions.size(), 1u);
  EXPECT_EQ(second.sessions[0].name, "b");
  EXPECT_EQ(second.sessions[0].locks, 1);
  EXPECT_EQ(second.sessions[0].places, 4) << "one of the acquire, three of the acquireAll";
  EXPECT_EQ(second.nextPage, 0);
}

TEST_F(AdminTest, AttributesComeBackAsTheyWereGiven) {
  api::OpenSessionRequest request;
  request.secret = secret_of("a");
  request.ttlMs = 10'000;
  request.attributes = {{"pid", "17"}, {"version", "1.2"}};
  leader.ask(&Engine::open_session, api::RequestContext{}, request);
  cluster.settle();
  EXPECT_EQ(sessions().sessions.at(0).attributes, request.attributes);
}

TEST_F(AdminTest, AForcedExpiryEndsASessionAtOnceAnAnnouncedOneAfterItsNotice) {
  const Client a = cluster.client(1, "a", 40'000);
  const Client b = cluster.client(1, "b", 40'000);
  const auto expire = [&](const Client& client, bool force) {
    api::ExpireSessionRequest request;
    request.sessionId = static_cast<int64_t>(client.id.value);
    request.noticeMs = 1'000;
    request.force = force;
    request.reason = "decommissioned";
    const Call call = follower.ask(&Engine::expire_session, api::RequestContext{}, request);
    cluster.settle();
    return call;
  };
  EXPECT_EQ(expire(a, true).outcome(), "OK");
  EXPECT_EQ(expire(b, false).outcome(), "OK");
  EXPECT_EQ(sessions().sessions.size(), 1u);
  const Call renewal = leader.keep_alive(b.context());
  cluster.settle();
  ASSERT_EQ(renewal.result<api::KeepAliveResult>().revocations.size(), 1u);
  EXPECT_EQ(renewal.result<api::KeepAliveResult>().revocations[0].path, "") << "all of it";
  for (int i = 0; i < 41; ++i) {
    leader.keep_alive(b.context());
    cluster.advance(1s);
  }
  EXPECT_TRUE(sessions().sessions.empty()) << "a TTL after the announcement, acknowledged or not";
  EXPECT_THAT(expire(a, true).error(), Refuses(ErrorCode::SESSION_EXPIRED, "there is no session"));
}

// ---- settings --------------------------------------------------------------------------------

TEST_F(AdminTest, SettingsAreChangedAllOrNoneAndReadBack) {
  api::SettingsRequest request;
  request.changes = {{"sessions_max", 777}, {"lock_delay_ms_max", -1}};
  const Call refused = follower.ask(&Engine::settings, api::RequestContext{}, request);
  cluster.settle();
  EXPECT_THAT(refused.error(), Refuses(ErrorCode::BAD_ARGUMENT, "lock_delay_ms_max cannot be -1"));
  EXPECT_EQ(leader.setting("sessions_max"), 200'000);
  request.changes = {{"sessions_max", 777}};
  const Call changed = follower.ask(&Engine::settings, api::RequestContext{}, request);
  cluster.settle();
  const auto settings = changed.result<api::SettingsResult>().settings;
  EXPECT_EQ(settings.size(), rsm::kSettings);
  const auto named = std::find_if(settings.begin(), settings.end(),
                                  [](const api::Setting& s) { return s.name == "sessions_max"; });
  ASSERT_NE(named, settings.end());
  EXPECT_EQ(named->value, 777);
  EXPECT_EQ(named->initial, 200'000);
  const Call read = leader.ask(&Engine::settings, api::RequestContext{}, api::SettingsRequest{});
  cluster.settle();
  EXPECT_EQ(read.result<api::SettingsResult>().settings.size(), rsm::kSettings);
}

TEST_F(AdminTest, AnUnknownSettingIsRefusedByItsNameCutToALengthOfAMessage) {
  const Call call = leader.change_setting(std::string(10'000, 'n'), 1);
  cluster.settle();
  EXPECT_EQ(call.error().code, ErrorCode::BAD_ARGUMENT);
  EXPECT_LT(call.error().message.size(), 200u);
}

TEST(TtlFlagTest, ASmallerTtlThanTheDefaultBecomesTheReplicatedLimit) {
  EngineOptions options;
  options.session_ttl_min_ms = 500;
  TestCluster cluster(3, options);
  cluster.lead(2);
  cluster.advance(100ms);
  EXPECT_EQ(cluster.server(3).setting("session_ttl_ms_min"), 500);
  EXPECT_GT(cluster.client(3, "short", 500).id.value, 0u);
}

// ---- the audit log ---------------------------------------------------------------------------

TEST_F(AdminTest, EveryActIsAudited) {
  api::RevokeLockRequest revoke;
  revoke.path = "/a";
  revoke.holderId = 4;
  revoke.noticeMs = 5;
  revoke.force = true;
  revoke.reason = "why";
  leader.ask(&Engine::revoke_lock, api::RequestContext{}, revoke);
  api::ExpireSessionRequest expire;
  expire.sessionId = 6;
  leader.ask(&Engine::expire_session, api::RequestContext{}, expire);
  leader.change_setting("sessions_max", 777);
  transfer(leader, 1);
  EXPECT_THAT(leader.audits,
              ElementsAre("revokeLock path=\"/a\" holder=4 noticeMs=5 force reason=\"why\"",
                          "expireSession session=6 noticeMs=0 reason=\"\"",
                          "settings \"sessions_max\"=777", "transferLeadership to=1"));
  cluster.settle();
}

TEST_F(AdminTest, AnAuditLineIsOneLineWhateverTheCallerWrites) {
  const std::string forged = "x\"\nI1125 00:00:00 audit: transferLeadership to=3\x1b[2J";
  api::RevokeLockRequest revoke;
  revoke.path = forged;
  revoke.reason = std::string(100'000, 'r');
  leader.ask(&Engine::revoke_lock, api::RequestContext{}, revoke);
  api::ExpireSessionRequest expire;
  expire.reason = forged;
  leader.ask(&Engine::expire_session, api::RequestContext{}, expire);
  leader.change_setting(forged, 1);
  api::SettingsRequest many;
  for (int i = 0; i < 10'000; ++i) many.changes["setting_" + std::to_string(i)] = i;
  leader.ask(&Engine::settings, api::RequestContext{}, many);
  ASSERT_EQ(leader.audits.size(), 4u);
  for (const std::string& line : leader.audits) {
    EXPECT_LT(line.size(), 1'500u);
    EXPECT_EQ(line.find_first_of("\n\r\x1b"), std::string::npos) << line;
  }
  cluster.settle();
}

TEST_F(AdminTest, APieceOfTheSnapshotIsAskedForWithinTheLimits) {
  const auto ask = [&](int64_t copy, int64_t offset, int64_t wait_ms) {
    api::SnapshotPieceRequest request;
    request.copy = copy;
    request.offset = offset;
    request.maxWaitMs = wait_ms;
    const Call call = follower.ask(&Engine::snapshot_piece, api::RequestContext{}, request);
    cluster.settle();
    return call.error();
  };
  for (const int64_t offset : {int64_t{-262'144}, int64_t{1}, INT64_MAX, INT64_MIN + 1}) {
    EXPECT_THAT(ask(0, offset, 0),
                Refuses(ErrorCode::BAD_ARGUMENT, "offset is " + std::to_string(offset) +
                                                     ": it must be a multiple of 262144"));
  }
  for (const int64_t wait_ms : {int64_t{-1}, int64_t{60'001}, INT64_MAX}) {
    EXPECT_THAT(ask(7, 0, wait_ms),
                Refuses(ErrorCode::BAD_ARGUMENT, "maxWaitMs is " + std::to_string(wait_ms) +
                                                     ": it must be from 0 to 60000"));
  }
  EXPECT_THAT(ask(-1, 0, 0), Refuses(ErrorCode::BAD_ARGUMENT, "copy is -1, allowed are 0 to"));
  EXPECT_THAT(ask(7, 262'144, 60'000),
              Refuses(ErrorCode::UNSUPPORTED, "this server writes no snapshot"));
}

TEST_F(AdminTest, AnAuditLineShowsTheCallersTrace) {
  api::RequestContext context;
  context.trace = "ticket 4711";
  leader.ask(&Engine::expire_session, context, api::ExpireSessionRequest{});
  EXPECT_THAT(leader.audits.at(0), testing::EndsWith(" trace=\"ticket 4711\""));
  cluster.settle();
}

std::vector<std::string> alarm_names(TestServer& server) {
  std::vector<std::string> names;
  for (const api::Alarm& alarm : server.engine().alarms()) names.push_back(alarm.name);
  return names;
}

TEST_F(AdminTest, NoLeaderForAWhileIsAnAlarmUntilOneIsKnown) {
  cluster.advance(kNoLeaderAlarm + 5s, 50ms);
  EXPECT_THAT(alarm_names(follower), testing::IsEmpty());
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  cluster.advance(kNoLeaderAlarm - 1s, 50ms);
  EXPECT_THAT(alarm_names(follower), testing::IsEmpty());
  cluster.advance(2s, 50ms);
  EXPECT_THAT(alarm_names(follower), testing::ElementsAre("NO_LEADER"));
  EXPECT_THAT(alarm_names(leader), testing::IsEmpty());
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return bool(follower.engine().host().soft.leader); }));
  EXPECT_THAT(alarm_names(follower), testing::IsEmpty());
}

}  // namespace
}  // namespace holdfast::server
