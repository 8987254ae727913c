// A server that stops hands leadership over and leaves no call unanswered.
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

class DrainTest : public ThreeServersTest {
 protected:
  void expect_stopping(const Call& call, api::Applied::type applied = api::Applied::NO) {
    EXPECT_THAT(call.error(), Refuses(ErrorCode::SHUTTING_DOWN, "stopping"));
    EXPECT_TRUE(call.error().retryable);
    EXPECT_EQ(call.error().applied, applied);
  }
  Client client = cluster.client(1, "a");
};

TEST_F(DrainTest, ALeaderHandsOverAndIsDrainedOnceAnotherLeads) {
  EXPECT_FALSE(leader.engine().drained()) << "it leads others";
  leader.engine().begin_drain();
  ASSERT_TRUE(cluster.until([&] { return leader.engine().drained(); }));
  EXPECT_NE(cluster.leader(), &leader);
  EXPECT_FALSE(leader.engine().ready());
}

TEST_F(DrainTest, WhatIsUnderWayIsAnsweredByTheNextLeader) {
  std::vector<Call> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(leader.release(client.next(), "/a", 1));
  leader.engine().begin_drain();
  calls.push_back(leader.describe({}, "/a"));
  ASSERT_TRUE(cluster.until([&] { return leader.engine().drained(); }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(calls[static_cast<size_t>(i)].outcome(), "OK");
}

TEST_F(DrainTest, NewCallsAreRefusedStatusAndMembersAreNot) {
  follower.engine().begin_drain();
  expect_stopping(follower.acquire(client.next(), acquire_of("/a")));
  expect_stopping(follower.poll(client.context(), poll_of(0)));
  expect_stopping(follower.keep_alive(client.context()));
  expect_stopping(follower.open("b"));
  expect_stopping(follower.describe({}, "/a"));
  expect_stopping(follower.describe({}, "/a", api::Consistency::LOCAL));
  expect_stopping(follower.change_setting("sessions_max", 777));
  expect_stopping(follower.ask(&Engine::settings, api::RequestContext{}, api::SettingsRequest{}));
  expect_stopping(
      follower.ask(&Engine::revoke_lock, api::RequestContext{}, api::RevokeLockRequest{}));
  expect_stopping(follower.ask(&Engine::transfer_leadership, api::RequestContext{},
                               api::TransferLeadershipRequest{}));
  EXPECT_EQ(follower.ask(&Engine::status, api::RequestContext{}, api::StatusRequest{}).outcome(),
            "OK");
  EXPECT_EQ(follower.ask(&Engine::members, api::RequestContext{}, api::MembersRequest{}).outcome(),
            "OK");
  EXPECT_TRUE(follower.engine().drained());
}

TEST_F(DrainTest, AtTheEndNoCallIsLeftWithoutAnAnswer) {
  Client holder = cluster.client(1, "holder");
  follower.acquire(holder.next(), acquire_of("/a"));
  cluster.settle();
  follower.poll(client.context(), poll_of(0));
  cluster.settle();
  const Call waiting = follower.acquire(client.next(), acquire_of("/a"));
  const Call parked = follower.poll(client.context(), poll_of(2'000));
  cluster.settle();
  cluster.hold([](const Parcel& p) { return p.from == NodeId(2); });
  const Call sent = follower.release(client.next(), "/a", 1);
  const Call renewal = follower.keep_alive(client.context());
  const Call asked = follower.describe({}, "/a");
  api::RequestContext future;
  future.minRevision = 1'000'000;
  const Call later = follower.describe(future, "/a", api::Consistency::LOCAL);
  api::TransferLeadershipRequest to_three;
  to_three.nodeId = 3;
  const Call transfer = follower.ask(&Engine::transfer_leadership, api::RequestContext{}, to_three);
  follower.turn();
  const Call unsent = follower.release(client.next(), "/a", 1);
  follower.engine().begin_drain();
  EXPECT_FALSE(follower.engine().drained());
  follower.engine().finish_drain();
  expect_stopping(waiting, api::Applied::UNKNOWN);
  EXPECT_GT(parked.result<api::PollResult>().leaseMs, 0) << "it was renewed, and is told so";
  expect_stopping(sent, api::Applied::UNKNOWN);
  expect_stopping(unsent);
  expect_stopping(renewal);
  expect_stopping(asked);
  expect_stopping(later);
  expect_stopping(transfer, api::Applied::UNKNOWN);
  EXPECT_EQ(follower.outstanding(), 0u);
  EXPECT_EQ(follower.engine().parked_calls(), 0u);
  cluster.drop_held();
  cluster.advance(2s);  // nothing is answered a second time
}

// Another server knows no more of a command without a session, and to repeat it may do it twice.
TEST_F(DrainTest, OfWhatHasNoSessionItSaysThatTheOutcomeIsLost) {
  cluster.hold([](const Parcel& p) { return p.is(PeerKind::kForwardBatch); });
  const Call sent = follower.change_setting("sessions_max", 777, 20'000);
  follower.turn();
  follower.engine().begin_drain();
  follower.engine().finish_drain();
  EXPECT_THAT(sent.error(), Refuses(api::ErrorCode::OUTCOME_UNKNOWN, "may still be applied"));
  EXPECT_EQ(sent.error().applied, api::Applied::UNKNOWN);
  EXPECT_FALSE(sent.error().retryable);
  cluster.drop_held();
}

TEST_F(DrainTest, ACopyThatWentOutBeforeIsNotDeniedAtTheEnd) {
  const Call call = follower.release(client.next(), "/a", 1);
  follower.turn();
  cluster.hold([](const Parcel& p) { return p.to == NodeId(2); });
  cluster.settle();
  cluster.reconnect(1, 2);  // it is to be sent again, and has not been
  follower.engine().begin_drain();
  follower.engine().finish_drain();
  expect_stopping(call, api::Applied::UNKNOWN);
  cluster.drop_held();
}

TEST_F(DrainTest, AServerAloneIsDrainedWhenItsCommandsAre) {
  TestCluster alone(1);
  TestServer& one = alone.lead(1);
  Client local = alone.client(1, "a");
  one.disk_works = false;
  const Call call = one.release(local.next(), "/a", 1);
  alone.settle();
  one.engine().begin_drain();
  EXPECT_FALSE(one.engine().drained());
  one.disk_works = true;
  alone.settle();
  EXPECT_TRUE(one.engine().drained());
  EXPECT_EQ(call.outcome(), "OK");
}

TEST_F(DrainTest, BeginningTwiceIsBeginningOnce) {
  leader.engine().begin_drain();
  leader.engine().begin_drain();
  EXPECT_TRUE(cluster.until([&] { return leader.engine().drained(); }));
}

}  // namespace
}  // namespace holdfast::server
