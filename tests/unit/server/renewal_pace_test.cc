// How often renewals make the servers talk to each other: at once while they are few, paced under
// load, and never held back when somebody's news wait for them.
#include <vector>

#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

constexpr Duration kStep = 500us;

/// Messages of one kind that servers send, counted by looking at each.
class Counter {
 public:
  template <class Kind>
  Counter(TestCluster& cluster, Kind kind) {
    cluster.hold([this, kind](const Parcel& parcel) {
      if (parcel.is(kind)) ++count_;
      return false;
    });
  }
  int take() { return std::exchange(count_, 0); }

 private:
  int count_ = 0;
};

class RenewalPaceTest : public ThreeServersTest {
 protected:
  struct Sent {
    Call call;
    Instant at;
    Duration took{-1};
  };

  /// Renews one session through `through` once every kStep.
  std::vector<Sent> renew_for(Duration time, TestServer& through, const Client& client) {
    std::vector<Sent> sent;
    for (Duration passed{0}; passed < time; passed += kStep) {
      sent.push_back({through.keep_alive(client.context()), cluster.clock.now()});
      cluster.settle();
      note_answers(sent);
      cluster.clock.advance(kStep);
    }
    return sent;
  }
  void note_answers(std::vector<Sent>& sent) {
    for (Sent& each : sent) {
      if (each.took < 0ms && each.call.answered()) each.took = cluster.clock.now() - each.at;
    }
  }
  /// Load until nothing may begin at once any more, here nor at the leader.
  void load(TestServer& through, const Client& client) {
    renew_for(300ms, through, client);
    for (int i = 0; i < 10; ++i) through.keep_alive(client.context()), cluster.settle();
    const Call last = through.keep_alive(client.context());
    cluster.settle();
    ASSERT_FALSE(last.answered()) << "renewals are never held back";
  }
  uint64_t rounds() { return leader.engine().node().core().counters().read_rounds; }
};

TEST_F(RenewalPaceTest, ARenewalNowAndThenIsAnsweredWithoutAnyWait) {
  const Client client = cluster.client(1, "now and then");
  for (int i = 0; i < 100; ++i) {
    TestServer& through = i % 2 == 0 ? leader : follower;
    const Call call = through.keep_alive(client.context());
    cluster.settle();
    ASSERT_GT(call.result<api::KeepAliveResult>().leaseMs, 0);
    cluster.advance(20ms);
  }
}

TEST_F(RenewalPaceTest, UnderLoadRoundsAreFiveMillisecondsApartAndNobodyWaitsLonger) {
  const Client client = cluster.client(1, "loaded");
  load(leader, client);
  const uint64_t before = rounds();
  const auto sent = renew_for(1s, leader, client);
  EXPECT_LE(rounds() - before, 202u);
  EXPECT_GE(rounds() - before, 198u);
  for (size_t i = 0; i + 10 < sent.size(); ++i) {
    ASSERT_GE(sent[i].took, 0ms);
    ASSERT_LE(sent[i].took, 5ms);
  }
}

TEST_F(RenewalPaceTest, UnderLoadAFollowerPassesRenewalsOnEveryTwoMilliseconds) {
  const Client client = cluster.client(1, "forwarded");
  load(follower, client);
  Counter batches(cluster, PeerKind::kRenewalBatch);
  const auto sent = renew_for(1s, follower, client);
  const int passed_on = batches.take();
  EXPECT_LE(passed_on, 502);
  EXPECT_GE(passed_on, 498);
  for (size_t i = 0; i + 20 < sent.size(); ++i) {
    ASSERT_GE(sent[i].took, 0ms);
    ASSERT_LE(sent[i].took, 7ms);
  }
}

TEST_F(RenewalPaceTest, UnderLoadARoundBegunBeforeARenewalCameDoesNotAnswerIt) {
  const Client client = cluster.client(1, "in flight");
  load(leader, client);
  cluster.hold([](const Parcel& p) { return p.is(raft::MessageType::kHeartbeatResponse); });
  const Call early = leader.keep_alive(client.context());
  cluster.advance(5ms);
  ASSERT_FALSE(cluster.held().empty()) << "the round of the early one has begun";
  const Call late = leader.keep_alive(client.context());
  cluster.settle();
  cluster.release();
  cluster.settle();
  EXPECT_TRUE(early.answered());
  EXPECT_FALSE(late.answered());
  cluster.advance(5ms);
  EXPECT_TRUE(late.answered());
}

TEST_F(RenewalPaceTest, WhatIsPacedWakesItsServerAndWhatCannotBeSentDoesNotKeepItAwake) {
  const Client client = cluster.client(1, "wake-up");
  load(leader, client);
  EXPECT_GT(leader.engine().next_wakeup(), cluster.clock.now());
  EXPECT_LE(leader.engine().next_wakeup(), cluster.clock.now() + 5ms);
  load(follower, client);
  EXPECT_GT(follower.engine().next_wakeup(), cluster.clock.now());
  EXPECT_LE(follower.engine().next_wakeup(), cluster.clock.now() + 2ms);
  follower.transport_full = true;
  cluster.advance(3ms);
  EXPECT_GT(follower.engine().next_wakeup(), cluster.clock.now() + 2ms);
}

/// A session that polls through `through` waits for a lock that another session holds.
class WaitingPollTest : public RenewalPaceTest {
 protected:
  void queue(TestServer& through) {
    waiter = cluster.client(1, "waiter");
    holder = cluster.client(1, "holder");
    const Call held = leader.acquire(holder.next(), acquire_of("/lock"));
    cluster.settle();
    holder_id = held.result<api::AcquireResult>().holderId;
    const Call first = through.poll(waiter.context(), poll_of(2'000));
    through.acquire(waiter.next(), acquire_of("/lock", -1, true));
    cluster.settle();
    delivery = first.result<api::PollResult>().delivery;
  }
  /// A poll that is still waiting for its renewal when the grant comes.
  Call poll_and_grant(TestServer& through) {
    load(through, waiter);
    const size_t pending = through.engine().pending_renewals();
    const Call poll = through.poll(waiter.context(), poll_of(2'000, delivery));
    cluster.settle();
    EXPECT_EQ(through.engine().pending_renewals(), pending + 1) << "the poll's";
    leader.release(holder.next(), "/lock", holder_id);
    cluster.settle();
    return poll;
  }

  Client waiter;
  Client holder;
  int64_t holder_id = 0;
  int64_t delivery = 0;
};

TEST_F(WaitingPollTest, UnderLoadAGrantIsToldWithoutWaitingForThePace) {
  queue(leader);
  const auto told = poll_and_grant(leader).result<api::PollResult>();
  EXPECT_EQ(told.grants.size(), 1u);
  EXPECT_GT(told.leaseMs, 0);
}

TEST_F(WaitingPollTest, UnderLoadAFollowerTellsAGrantWithoutWaitingForAnyPace) {
  queue(follower);
  const auto told = poll_and_grant(follower).result<api::PollResult>();
  EXPECT_EQ(told.grants.size(), 1u);
  EXPECT_GT(told.leaseMs, 0);
}

TEST_F(WaitingPollTest, UnderLoadAPollThatFindsNewsWaitingBringsThemBackAtOnce) {
  queue(leader);
  leader.release(holder.next(), "/lock", holder_id);
  cluster.settle();
  load(leader, waiter);
  const Call poll = leader.poll(waiter.context(), poll_of(2'000, delivery));
  cluster.settle();
  EXPECT_EQ(poll.result<api::PollResult>().grants.size(), 1u);
}

}  // namespace
}  // namespace holdfast::server
