#include "coordinator/server/lease_queries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tests/unit/server/host_fakes.h"

namespace holdfast::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kLeader{1}, kFollower{2};
constexpr SessionId kA{101}, kB{102};

/// One server, as far as these queries need it. While it leads it knows the leases in `leases`.
struct TestServer : HostFakes {
  explicit TestServer(NodeId self) {
    host.emplace(options_of(self), clock, entropy, transport, sink, machine);
    host->soft.leader = kLeader;
    if (self == kLeader) host->begin_leadership(clock.now());
    queries.emplace(*host, codec,
                    [this](SessionId id) { return leases.contains(id) ? leases.at(id) : -1; });
  }
  std::map<SessionId, int64_t> leases;
  std::optional<LeaseQueries> queries;
};

class LeaseQueriesTest : public ::testing::Test {
 protected:
  /// A view that wants to know of these sessions; what it learns is appended to answers_.
  void ask(std::vector<SessionId> sessions, Duration patience = 5s) {
    follower_.queries->ask(sessions, follower_.clock.now() + patience,
                           [this, sessions](const LeaderView& view) {
                             for (const SessionId id : sessions) {
                               answers_.push_back(view.lease_left(id));
                             }
                             cluster_time_ms_ = view.cluster_time_ms;
                           });
  }
  void deliver() {
    for (const auto& m : std::exchange(follower_.transport.sent, {})) {
      ASSERT_EQ(m.kind, static_cast<uint8_t>(PeerKind::kLeaseQuery));
      ASSERT_EQ(m.to, kLeader);
      leader_.queries->receive_query(kFollower, m.bytes);
    }
    for (const auto& m : std::exchange(leader_.transport.sent, {})) {
      ASSERT_EQ(m.kind, static_cast<uint8_t>(PeerKind::kLeaseReply));
      ASSERT_EQ(m.to, kFollower);
      follower_.queries->receive_reply(kLeader, m.bytes);
    }
  }
  void ask_and_flush(std::vector<SessionId> sessions) {
    ask(std::move(sessions));
    follower_.queries->flush();
  }

  TestServer leader_{kLeader}, follower_{kFollower};
  std::vector<int64_t> answers_;
  int64_t cluster_time_ms_ = -1;  ///< of the last answer
};

TEST_F(LeaseQueriesTest, AViewLearnsWhatTheLeaderKnows) {
  leader_.leases = {{kA, 7'000}, {kB, 0}};
  ask({kB, kA, SessionId(999)});
  follower_.queries->flush();
  EXPECT_THAT(answers_, IsEmpty()) << "the leader has not spoken yet";
  deliver();
  EXPECT_THAT(answers_, ElementsAre(0, 7'000, -1));
  EXPECT_EQ(follower_.queries->size(), 0u);
}

TEST_F(LeaseQueriesTest, AllViewsOfATurnShareOneMessage) {
  leader_.leases = {{kA, 1}, {kB, 2}};
  ask({kA});
  ask({kB, kA, kB});
  follower_.queries->flush();
  EXPECT_EQ(follower_.transport.sent.size(), 1u);
  deliver();
  EXPECT_THAT(answers_, ElementsAre(1, 2, 1, 2));
}

TEST_F(LeaseQueriesTest, NoMessageNamesMoreSessionsThanItsLimit) {
  std::vector<SessionId> many;
  for (uint64_t i = 1; i <= LeaseQueries::kSessionsPerQuery; ++i) many.emplace_back(i);
  leader_.leases = {{SessionId(1), 11}};
  ask({SessionId(1)});
  ask(many);
  follower_.queries->flush();
  EXPECT_EQ(follower_.transport.sent.size(), 2u);
  deliver();
  ASSERT_EQ(answers_.size(), many.size() + 1);
  EXPECT_EQ(answers_[0], 11);
  EXPECT_EQ(answers_[1], 11);
}

TEST_F(LeaseQueriesTest, BeyondTheBoundAViewGoesWithoutAtOnce) {
  std::vector<SessionId> many;
  for (uint64_t i = 1; i <= LeaseQueries::kSessionsPerQuery; ++i) many.emplace_back(i);
  const size_t room = LeaseQueries::kSessionsWaiting / LeaseQueries::kSessionsPerQuery;
  for (size_t i = 1; i < room; ++i) ask(many);
  EXPECT_THAT(answers_, IsEmpty());
  ask(many);
  EXPECT_EQ(answers_.size(), many.size());
  EXPECT_EQ(answers_[0], -1);
  follower_.queries->shut_down();
  answers_.clear();
  leader_.leases = {{kA, 5}};
  ask_and_flush({kA});
  deliver();
  EXPECT_THAT(answers_, ElementsAre(5)) << "the room is given back";
}

TEST_F(LeaseQueriesTest, AViewWithoutSessionsLearnsTheTime) {
  leader_.clock.advance(1234ms);
  ask_and_flush({});
  deliver();
  EXPECT_EQ(cluster_time_ms_, 1234);
}

TEST_F(LeaseQueriesTest, TheLeaderIsNotAskedByItself) {
  leader_.leases = {{kA, 5}};
  leader_.clock.advance(70ms);
  LeaderView seen;
  leader_.queries->ask({kA}, leader_.clock.now() + 1s,
                       [&](const LeaderView& view) { seen = view; });
  EXPECT_EQ(seen.lease_left(kA), 5);
  EXPECT_EQ(seen.cluster_time_ms, 70);
  EXPECT_EQ(leader_.queries->size(), 0u);
}

TEST_F(LeaseQueriesTest, WithoutALeaderOrAConnectionAViewGoesWithout) {
  follower_.transport.broken = true;
  ask_and_flush({kA});
  EXPECT_THAT(answers_, ElementsAre(-1));
  follower_.transport.broken = false;
  follower_.host->soft.leader = NodeId{};
  ask_and_flush({kA});
  EXPECT_THAT(answers_, ElementsAre(-1, -1));
  EXPECT_THAT(follower_.transport.sent, IsEmpty());
}

TEST_F(LeaseQueriesTest, ALeaderThatDoesNotServeYetSaysNothing) {
  leader_.leases = {{kA, 5}};
  leader_.host->serving = false;
  ask_and_flush({kA});
  deliver();
  EXPECT_THAT(answers_, ElementsAre(-1));
}

TEST_F(LeaseQueriesTest, AChangeOfLeaderEndsTheWait) {
  ask_and_flush({kA});
  follower_.queries->on_leader_changed();
  EXPECT_THAT(answers_, ElementsAre(-1));
  deliver();
  EXPECT_THAT(answers_, ElementsAre(-1)) << "the late reply finds nobody";
}

TEST_F(LeaseQueriesTest, ASilentLeaderIsWaitedForToTheBoundAndNoLonger) {
  const Instant asked_at = follower_.clock.now();
  ask_and_flush({kA});
  follower_.clock.advance(LeaseQueries::kWait - 1ms);
  follower_.queries->sweep(follower_.clock.now());
  EXPECT_THAT(answers_, IsEmpty());
  EXPECT_LE(follower_.queries->next_deadline(), asked_at + LeaseQueries::kWait + 16ms);
  follower_.clock.advance(17ms);
  follower_.queries->sweep(follower_.clock.now());
  EXPECT_THAT(answers_, ElementsAre(-1));
  EXPECT_EQ(follower_.queries->size(), 0u);
}

TEST_F(LeaseQueriesTest, AnImpatientCallDoesNotHurryTheOthersOfItsQuery) {
  leader_.leases = {{kA, 1}, {kB, 2}};
  ask({kA}, 10ms);
  ask({kB});
  follower_.queries->flush();
  follower_.clock.advance(100ms);
  follower_.queries->sweep(follower_.clock.now());
  EXPECT_THAT(answers_, ElementsAre(-1));
  deliver();
  EXPECT_THAT(answers_, ElementsAre(-1, 2));
}

TEST_F(LeaseQueriesTest, BytesThatAreNoMessageAndAnswersOfOthersChangeNothing) {
  ask_and_flush({kA});
  leader_.queries->receive_query(kFollower, "\xff garbage");
  follower_.queries->receive_reply(kLeader, "\xff garbage");
  EXPECT_THAT(leader_.transport.sent, IsEmpty());
  leader_.queries->receive_query(kFollower, follower_.transport.sent.front().bytes);
  follower_.queries->receive_reply(NodeId(3), leader_.transport.sent.front().bytes);
  EXPECT_THAT(answers_, IsEmpty());
}

TEST_F(LeaseQueriesTest, AShutDownAnswersWhatIsSentAndWhatIsNot) {
  ask_and_flush({kA});
  ask({kB});
  follower_.queries->shut_down();
  EXPECT_THAT(answers_, ElementsAre(-1, -1));
}

}  // namespace
}  // namespace holdfast::server
