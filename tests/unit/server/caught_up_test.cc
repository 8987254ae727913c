// A server that lacks what its leader has is not ready, whatever it has applied; one that has no
// state at all shows none.
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

class CaughtUpTest : public ThreeServersTest {
 protected:
  void write(int entries) {
    for (int i = 0; i < entries; ++i) {
      api::PutRequest put;
      put.path = "/a";
      const Call call = leader.ask(&Engine::put, api::RequestContext{}, put);
      cluster.settle();
      ASSERT_EQ(call.outcome(), "OK");
    }
  }
  bool ready(TestServer& server) {
    cluster.settle();
    return server.engine().ready();
  }
};

TEST_F(CaughtUpTest, AServerThatWasAwayIsReadyOnceItHasWhatCameMeanwhile) {
  ASSERT_TRUE(ready(follower));
  const Term term = follower.engine().host().soft.term;
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  EXPECT_FALSE(ready(follower));
  write(20);
  follower.engine().hold_apply(true);
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().host().soft.leader == leader.id(); }));
  cluster.advance(1s);
  ASSERT_EQ(follower.engine().host().soft.term, term) << "nothing tells it apart from before";
  EXPECT_FALSE(ready(follower));
  follower.engine().hold_apply(false);
  EXPECT_TRUE(ready(follower));
  EXPECT_EQ(follower.engine().host().applied, leader.engine().host().applied);
}

TEST_F(CaughtUpTest, ALeaderThatWasNotAnsweredYetIsNotBelieved) {
  cluster.hold(
      [](const Parcel& parcel) { return parcel.is(raft::MessageType::kReadIndexResponse); });
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().host().soft.leader == leader.id(); }));
  cluster.advance(1s);
  EXPECT_FALSE(ready(follower));
  cluster.release();
  cluster.settle();
  EXPECT_TRUE(ready(follower));
}

/// A follower that has one question under way at most.
class OneQuestionTest : public ThreeServersTest {
 protected:
  OneQuestionTest() : ThreeServersTest(one_question()) {}
  static EngineOptions one_question() {
    EngineOptions options;
    options.raft.max_pending_reads = 1;
    return options;
  }
};

TEST_F(OneQuestionTest, AServerThatCouldNotAskAsksAgainAfterAPause) {
  cluster.isolate(2);
  ASSERT_TRUE(cluster.until([&] { return !follower.engine().host().soft.leader; }));
  const Call read = follower.describe({}, "/a");
  cluster.hold([](const Parcel& parcel) {
    return parcel.is(raft::MessageType::kReadIndexResponse) && parcel.to == NodeId(2);
  });
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().host().soft.leader == leader.id(); }));
  cluster.settle();
  ASSERT_FALSE(read.answered()) << "its question is the one";
  EXPECT_LE(follower.engine().next_wakeup(), cluster.clock.now() + 20ms);
  cluster.release();
  cluster.settle();
  EXPECT_EQ(read.outcome(), "OK");
  EXPECT_FALSE(follower.engine().ready()) << "it asks again after a pause";
  cluster.advance(40ms);
  EXPECT_TRUE(follower.engine().ready());
}

TEST_F(CaughtUpTest, AfterAChangeOfLeadersAllAreReadyAgain) {
  ASSERT_TRUE(ready(leader));
  leader.crash();
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != nullptr; }));
  for (int id = 2; id <= 3; ++id) {
    EXPECT_TRUE(cluster.until([&] { return cluster.server(id).engine().ready(); }, 1s)) << id;
  }
}

TEST(NoStateTest, IsNotShownAsAnEmptyOne) {
  TestCluster cluster(3);
  TestServer& server = cluster.server(2);
  ASSERT_EQ(server.engine().host().applied, LogIndex());
  const Call local = server.describe({}, "/a", api::Consistency::LOCAL);
  EXPECT_THAT(local.error(), Refuses(api::ErrorCode::NO_LEADER, "no state yet"));
  EXPECT_TRUE(local.error().retryable);
  api::RequestContext later;
  later.minRevision = 1;
  const Call waits = server.describe(later, "/a", api::Consistency::LOCAL);
  EXPECT_FALSE(waits.answered());
  cluster.lead(1);
  cluster.settle();
  EXPECT_EQ(waits.outcome(), "OK");
  EXPECT_EQ(server.describe({}, "/a", api::Consistency::LOCAL).outcome(), "OK");
}

}  // namespace
}  // namespace holdfast::server
