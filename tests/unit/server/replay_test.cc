// A server that starts with a log which its snapshot does not cover works it off beside all else,
// and is not ready before it has.
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

/// One entry a turn.
EngineOptions entry_by_entry() {
  EngineOptions options;
  options.raft.max_committed_bytes = 1;
  return options;
}

class ReplayTest : public ThreeServersTest {
 protected:
  ReplayTest() : ThreeServersTest(entry_by_entry()) {
    for (int i = 0; i < 100; ++i) cluster.client(1, "session-" + std::to_string(i));
    last_ = follower.engine().host().applied;
    follower.crash();
    follower.start();
    follower.engine().hold_apply(true);
    EXPECT_TRUE(cluster.until([&] { return follower.engine().node().core().commit() == last_; }));
  }
  /// One turn's worth of the log, and then nothing for a while.
  void apply_a_part() {
    follower.engine().hold_apply(false);
    EXPECT_TRUE(follower.engine().turn_end(cluster.clock.now())) << "it wants to go on";
    follower.engine().hold_apply(true);
    cluster.advance(1s);
  }
  LogIndex applied() { return follower.engine().host().applied; }

  LogIndex last_;
};

TEST_F(ReplayTest, IsNotOverWhenTheLeadersTermIsMet) {
  // Past the first entry of the term, which is the leader's no-op.
  while (follower.engine().host().applied_term != follower.engine().host().soft.term) {
    apply_a_part();
  }
  ASSERT_LT(applied(), last_);
  EXPECT_TRUE(follower.engine().host().soft.leader);
  EXPECT_TRUE(follower.engine().replays());
  EXPECT_EQ(follower.engine().replay_through(), last_);
  EXPECT_FALSE(follower.engine().ready()) << "its local reads are of " << applied().value;
  follower.engine().hold_apply(false);
  cluster.advance(100ms);
  EXPECT_EQ(applied(), last_);
  EXPECT_FALSE(follower.engine().replays());
  EXPECT_TRUE(follower.engine().ready());
}

TEST_F(ReplayTest, LeavesEachTurnTimeForAllElse) {
  const LogIndex before = applied();
  apply_a_part();
  EXPECT_GT(applied(), before);
  EXPECT_LE(applied().value, before.value + 4);
}

TEST_F(ReplayTest, EndsThoughTheEndOfTheLogWasNeverCommitted) {
  follower.engine().hold_apply(false);
  cluster.advance(100ms);
  cluster.isolate(2);
  const Term term = follower.engine().host().soft.term;
  raft::Message unheard{.type = raft::MessageType::kAppendRequest,
                        .from = NodeId(1),
                        .to = NodeId(2),
                        .term = term,
                        .index = last_,
                        .log_term = term};
  for (uint64_t i = 1; i <= 5; ++i) {
    unheard.entries.push_back({term, LogIndex(last_.value + i), raft::EntryType::kNoop, {}});
  }
  follower.engine().on_message(std::move(unheard));
  cluster.settle();
  follower.crash();
  leader.crash();
  follower.start();
  EXPECT_EQ(follower.engine().replay_through().value, last_.value + 5);
  leader.start();
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != nullptr; }));
  cluster.heal();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().ready(); }));
  EXPECT_LT(applied().value, last_.value + 5);
}

}  // namespace
}  // namespace holdfast::server
