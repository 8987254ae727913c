// When an operator may have a server's state replaced by another's, and when that would leave the
// cluster without any.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "raft/storage/posix_file_system.h"
#include "tests/unit/server/host_fakes.h"
#include "tests/unit/server/test_cluster.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

/// Server 1 leads and has a disk for the state of another.
class RebuildTest : public ThreeServersTest {
 protected:
  RebuildTest() {
    store_ = std::move(*snapshot::SnapshotStore::open(files_, there_.path()));
    give_disk_to(leader);
    cluster.lead(1);
    cluster.advance(2s);
  }
  void give_disk_to(TestServer& server) {
    server.crash();
    server.snapshots = {.background = &work_,
                        .files = &files_,
                        .store = store_.get(),
                        .log = [](const std::string&) {}};
    server.start();
  }
  /// Their states are not to be believed, and this leader has heard so.
  void quarantine(std::initializer_list<int> ids) {
    for (const int id : ids) {
      cluster.server(id).crash();
      cluster.server(id).quarantine = "after entry 7 it had another state";
      cluster.server(id).start();
    }
    cluster.advance(2s);
    ASSERT_EQ(cluster.leader(), &leader);
  }
  static api::RebuildStateRequest by_force(int from = 0) {
    api::RebuildStateRequest request;
    request.fromNode = from;
    request.force = true;
    return request;
  }
  Call rebuild(TestServer& server, int from = 0) {
    const Call call = server.ask(&Engine::rebuild_state, {}, by_force(from));
    cluster.settle();
    return call;
  }
  void expect_kept(const Call& call, const std::string& why) {
    EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, why));
    EXPECT_THAT(call.error().message, testing::HasSubstr("holdfast recover"));
    EXPECT_EQ(leader.engine().quarantine(), "");
    EXPECT_NE(cluster.client(1, "still served").id.value, 0U);
  }

  snapshot::TemporaryDirectory there_;
  raft::PosixFileSystem files_;
  std::unique_ptr<snapshot::SnapshotStore> store_;
  TestBackground work_;
};

TEST_F(RebuildTest, ALeaderWhoseStateAnotherHasTooHandsOverAndIsRebuiltByForce) {
  cluster.hold([](const Parcel& parcel) { return parcel.is(raft::MessageType::kTimeoutNow); });
  const Call call = rebuild(leader);
  EXPECT_FALSE(call.answered());
  EXPECT_EQ(leader.engine().quarantine(), "") << "as long as it leads";
  cluster.release();
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(call.outcome(), "OK");
  EXPECT_NE(leader.engine().quarantine(), "");
  ASSERT_NE(cluster.leader(), nullptr);
  EXPECT_NE(cluster.leader(), &leader);
}

TEST_F(RebuildTest, ALeaderThatCannotHandOverIsNotRebuilt) {
  cluster.hold([](const Parcel& parcel) { return parcel.is(raft::MessageType::kTimeoutNow); });
  const Call call = rebuild(leader);
  cluster.advance(2s);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::TIMEOUT, "leadership was not handed over"));
  EXPECT_EQ(call.error().applied, api::Applied::NO);
  EXPECT_EQ(leader.engine().quarantine(), "");
  EXPECT_EQ(cluster.leader(), &leader);
}

TEST_F(RebuildTest, TheOnlyStateThatIsNotQuarantinedIsKeptInSpiteOfForce) {
  quarantine({2, 3});
  expect_kept(rebuild(leader), "node 2 is quarantined, node 3 is quarantined");
}

TEST_F(RebuildTest, SoIsTheOnlyOneThatIsHeardOf) {
  quarantine({3});
  follower.crash();
  cluster.advance(DigestWatch::kFresh);
  expect_kept(rebuild(leader), "node 2 is not heard from, node 3 is quarantined");
}

TEST_F(RebuildTest, AndTheStateOfAQuarantinedServerIsNotWaitedFor) {
  quarantine({3});
  EXPECT_THAT(rebuild(leader, 3).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 3 has no state to give: it is quarantined"));
  EXPECT_EQ(leader.engine().quarantine(), "");
  const Call other = rebuild(leader, 2);
  cluster.advance(1s);
  EXPECT_EQ(other.outcome(), "OK");
}

// A leader would know by its reports; who follows is told by the node itself.
TEST_F(RebuildTest, NorDoesAFollowerWaitForIt) {
  give_disk_to(follower);
  quarantine({3});
  EXPECT_THAT(rebuild(follower, 3).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 3 has no state to give: it is quarantined"));
  EXPECT_EQ(follower.engine().quarantine(), "");
  quarantine({2});
  EXPECT_THAT(rebuild(follower, 3).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 3 has no state to give: it is quarantined"));
  EXPECT_THAT(rebuild(follower, 2).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 2 is no other member"));
  EXPECT_THAT(rebuild(follower, 7).error(),
              Refuses(ErrorCode::BAD_ARGUMENT, "node 7 is no other member"));
  EXPECT_EQ(rebuild(follower, 1).outcome(), "OK");
}

TEST_F(RebuildTest, AFollowerForgetsThatANodeWasQuarantinedOnceThatSaysSoNoMore) {
  give_disk_to(follower);
  quarantine({3});
  cluster.server(3).crash();
  cluster.server(3).quarantine.reset();
  cluster.server(3).start();
  cluster.advance(DigestWatch::kFresh + 1s);
  EXPECT_EQ(rebuild(follower, 3).outcome(), "OK");
}

TEST_F(RebuildTest, AQuarantineThatWasAskedForIsNoError) {
  give_disk_to(follower);
  const auto asked = [this] {
    return std::ranges::count_if(follower.audits, [](const std::string& act) {
      return act.starts_with("QUARANTINED: an operator asked for it to be rebuilt");
    });
  };
  cluster.advance(1s);
  ASSERT_EQ(rebuild(follower).outcome(), "OK");
  EXPECT_EQ(asked(), 1);
  follower.crash();
  follower.start();
  cluster.advance(1s);
  EXPECT_EQ(asked(), 2);
  EXPECT_THAT(follower.quarantine_errors, testing::IsEmpty());
  quarantine({3});
  EXPECT_THAT(cluster.server(3).quarantine_errors,
              testing::ElementsAre(testing::HasSubstr("QUARANTINED: after entry 7")));
}

TEST_F(RebuildTest, ASecondOneIsKeptAsSoonAsTheFirstIsToBeRebuilt) {
  give_disk_to(follower);
  cluster.server(3).crash();
  cluster.advance(DigestWatch::kFresh);
  ASSERT_EQ(rebuild(follower).outcome(), "OK") << "the leader has a state";
  expect_kept(rebuild(leader), "node 2 is quarantined, node 3 is not heard from");
}

// Each knows that the other has a state, and has not heard that it is asked too.
TEST_F(RebuildTest, OfTwoThatAreAskedAtOnceOneIsKept) {
  give_disk_to(follower);
  cluster.server(3).crash();
  cluster.advance(DigestWatch::kFresh);
  const Call first = follower.ask(&Engine::rebuild_state, {}, by_force());
  const Call second = leader.ask(&Engine::rebuild_state, {}, by_force());
  cluster.advance(5s);
  EXPECT_EQ(first.outcome(), "OK");
  EXPECT_THAT(second.error(), Refuses(ErrorCode::TIMEOUT, "leadership was not handed over"));
  EXPECT_EQ(leader.engine().quarantine(), "");
  EXPECT_EQ(cluster.leader(), &leader);
}

TEST_F(RebuildTest, SoItIsIfTheLeaderHasBegunToHandOverToTheOther) {
  give_disk_to(follower);
  cluster.server(3).crash();
  cluster.advance(DigestWatch::kFresh);
  cluster.hold([](const Parcel& parcel) { return parcel.is(raft::MessageType::kTimeoutNow); });
  const Call handing_over = rebuild(leader);
  ASSERT_EQ(cluster.held().size(), 1u);
  EXPECT_EQ(rebuild(follower).outcome(), "OK") << "the leader leads as yet";
  cluster.release();
  cluster.advance(5s);
  EXPECT_EQ(handing_over.outcome(), "TIMEOUT");
  EXPECT_EQ(leader.engine().quarantine(), "");
  EXPECT_EQ(cluster.leader(), &leader);
}

TEST_F(RebuildTest, AndIfTheOtherLeadsThatOneIs) {
  give_disk_to(follower);
  cluster.server(3).crash();
  cluster.advance(DigestWatch::kFresh);
  const Call call = rebuild(leader);
  ASSERT_TRUE(cluster.until([&] { return call.answered(); }));
  EXPECT_EQ(call.outcome(), "OK");
  EXPECT_EQ(rebuild(follower).outcome(), "BAD_ARGUMENT");
  EXPECT_EQ(follower.engine().quarantine(), "");
  EXPECT_EQ(cluster.leader(), &follower);
}

TEST_F(RebuildTest, WhoWasRemovedIsNotRebuiltAndNotToldToBe) {
  quarantine({2});
  const auto advised = [this] {
    std::string all;
    for (const api::Alarm& alarm : follower.engine().alarms()) all += alarm.message;
    return all.find("run `holdfast rebuild`") != std::string::npos;
  };
  EXPECT_TRUE(advised());
  follower.engine().retire("node 2 was removed from the cluster at entry 9");
  EXPECT_FALSE(advised());
  EXPECT_THAT(rebuild(follower).error(), Refuses(ErrorCode::SHUTTING_DOWN, "was removed"));
}

TEST_F(RebuildTest, WhoKnowsNoLeaderKnowsOfNobodyWithAState) {
  give_disk_to(follower);
  cluster.isolate(2);
  cluster.advance(2s);
  EXPECT_THAT(rebuild(follower).error(), Refuses(ErrorCode::NO_LEADER, "no leader is known"));
  EXPECT_TRUE(follower.engine().quarantine().empty());
}

}  // namespace
}  // namespace holdfast::server
