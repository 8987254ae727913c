// What the notices of one session may take of a reply: no more however many revocations are asked
// for at once, wherever, and no less because of some that came to nothing.
#include <gtest/gtest.h>

#include <algorithm>

#include "coordinator/server/notice_bound.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

/// A client whose locks have such long names that a reply has room for some of them only.
class NoticeBoundTest : public ThreeServersTest {
 protected:
  static constexpr int kMost = 519;
  static constexpr int kHeld = 600;

  NoticeBoundTest() {
    change("path_bytes_max", 8'192);
    change("result_window", 65'536);
    const Call first = leader.acquire(client.next(), acquire_of(path(0)));
    for (int i = 1; i < kHeld; ++i) leader.acquire(client.next(), acquire_of(path(i)));
    cluster.settle();
    first_holder = first.result<api::AcquireResult>().holderId;
    const size_t each = path(0).size() + NoticeBound::kBytesOfEach;
    EXPECT_EQ(NoticeBound::kBytesMax / each, size_t{kMost});
  }
  void change(const std::string& setting, int64_t value) {
    const Call call = leader.change_setting(setting, value);
    cluster.settle();
    EXPECT_EQ(call.outcome(), "OK");
  }
  static std::string path(int i) {
    return "/" + std::string(8'000, 'p') + std::to_string(1'000 + i);
  }
  static Call revoke(TestServer& through, int i, const api::RequestContext& context = {}) {
    api::RevokeLockRequest request;
    request.path = path(i);
    request.noticeMs = 60'000;
    return through.ask(&Engine::revoke_lock, context, request);
  }
  void revoke_all(TestServer& through, int first, int end) {
    for (int i = first; i < end; ++i) calls.push_back(revoke(through, i));
  }
  auto revoked() const {
    return std::ranges::count_if(calls, [](const Call& call) { return call.outcome() == "OK"; });
  }
  size_t told() {
    const Call renewal = cluster.leader()->keep_alive(client.context());
    cluster.settle();
    return renewal.result<api::KeepAliveResult>().revocations.size();
  }

  Client client = cluster.client(1, "client", 86'400'000);
  Client operating = cluster.client(1, "operator", 86'400'000);
  int64_t first_holder = 0;  ///< of path(0)
  std::vector<Call> calls;
};

TEST_F(NoticeBoundTest, RevocationsThatAreUnderWayAreReckonedToo) {
  revoke_all(leader, 0, kHeld);
  cluster.settle();
  EXPECT_EQ(told(), size_t{kMost});
  for (int i = 0; i < kHeld; ++i) EXPECT_EQ(calls[size_t(i)].outcome() == "OK", i < kMost) << i;
  EXPECT_THAT(calls.back().error(), Refuses(ErrorCode::LIMIT_EXCEEDED, "519 under way"));
}

TEST_F(NoticeBoundTest, EachLockOfAnAcquireAllHasItsOwnNotice) {
  for (int first = 0; first < kHeld; first += 50) {
    api::AcquireAllRequest all;
    for (int i = first; i < first + 50; ++i) {
      all.locks.emplace_back();
      all.locks.back().path = path(kHeld + i);
      all.locks.back().mode = api::LockMode::EXCLUSIVE;
    }
    const Call held = leader.ask(&Engine::acquire_all, client.next(), all);
    cluster.settle();
    ASSERT_EQ(held.outcome(), "OK");
  }
  revoke_all(leader, kHeld, 2 * kHeld);
  cluster.settle();
  EXPECT_EQ(told(), size_t{kMost});
  EXPECT_EQ(revoked(), kMost);
}

TEST_F(NoticeBoundTest, ThroughWhicheverServersTheyCome) {
  revoke_all(leader, 0, kHeld / 2);
  revoke_all(follower, kHeld / 2, kHeld);
  cluster.settle();
  EXPECT_EQ(told(), size_t{kMost});
  EXPECT_EQ(revoked(), kMost);
  EXPECT_THAT(calls.back().error(), Refuses(ErrorCode::LIMIT_EXCEEDED, "revocations in force"));
  EXPECT_FALSE(calls.back().error().retryable);
  EXPECT_EQ(calls.back().error().applied, api::Applied::NO);
}

TEST_F(NoticeBoundTest, WhatAllServersWereAskedForTogetherIsReckonedOnce) {
  for (int i = 0; i < kMost; ++i) {
    calls.push_back(revoke(leader, i));
    calls.push_back(revoke(follower, i));
  }
  cluster.settle();
  EXPECT_EQ(revoked(), 2 * kMost);
  EXPECT_EQ(told(), size_t{kMost});
}

TEST_F(NoticeBoundTest, ARetryIsAnsweredAsItsFirstCopyWasHoweverFullTheReplyIsNow) {
  cluster.hold([](const Parcel& parcel) {
    return parcel.is(raft::MessageType::kAppendRequest) && parcel.to == NodeId(2);
  });
  const Call first = revoke(leader, 0, operating.next());
  cluster.settle();
  const auto answered = first.result<api::RevokeLockResult>();
  EXPECT_EQ(answered.holders, 1);
  const Call freed = leader.release(client.next(), path(0), first_holder);
  const Call held_again = leader.acquire(client.next(), acquire_of(path(0)));
  cluster.settle();
  ASSERT_EQ(freed.outcome(), "OK");
  ASSERT_EQ(held_again.result<api::AcquireResult>().status, api::AcquireStatus::GRANTED);
  revoke_all(leader, 1, kHeld);
  cluster.settle();
  ASSERT_EQ(revoked(), kMost);
  const Call here = revoke(leader, 0, operating.context(operating.sequence));
  const Call behind = revoke(follower, 0, operating.context(operating.sequence));
  cluster.settle();
  EXPECT_FALSE(behind.answered()) << "the follower does not know the first copy";
  cluster.release();
  cluster.advance(1s);
  for (const Call& again : {here, behind}) {
    EXPECT_EQ(again.result<api::RevokeLockResult>().noticeId, answered.noticeId);
  }
  const Call other = revoke(leader, 0, operating.next());
  EXPECT_EQ(told(), size_t{kMost});
  EXPECT_THAT(other.error(), Refuses(ErrorCode::LIMIT_EXCEEDED, "519 revocations in force"));
}

TEST_F(NoticeBoundTest, AndWhileThatOneIsUnderWay) {
  revoke_all(leader, 1, kMost);
  const Call first = revoke(leader, 0, operating.next());
  const Call again = revoke(follower, 0, operating.context(operating.sequence));
  cluster.settle();
  EXPECT_EQ(first.outcome(), "OK");
  EXPECT_EQ(again.result<api::RevokeLockResult>().noticeId,
            first.result<api::RevokeLockResult>().noticeId);
}

TEST_F(NoticeBoundTest, WhatWasLostWithTheLeadershipIsUnderWayNoMore) {
  cluster.isolate(1);
  revoke_all(leader, 0, kMost);
  ASSERT_TRUE(cluster.until([&] { return cluster.leader() != nullptr && !leader.serving(); }));
  cluster.heal();
  cluster.lead(1);
  EXPECT_EQ(told(), 0u);
  EXPECT_EQ(revoked(), 0);
  calls.clear();
  revoke_all(leader, kHeld - kMost, kHeld);
  cluster.settle();
  EXPECT_EQ(revoked(), kMost);
}

TEST_F(NoticeBoundTest, NorWhatWasNotProposedBecauseLeadershipIsHandedOver) {
  cluster.hold([](const Parcel& parcel) { return parcel.is(raft::MessageType::kTimeoutNow); });
  api::TransferLeadershipRequest transfer;
  transfer.nodeId = 2;
  leader.ask(&Engine::transfer_leadership, api::RequestContext{}, transfer);
  cluster.settle();
  revoke_all(leader, 0, kMost);
  cluster.settle();
  EXPECT_EQ(revoked(), 0);
  for (const Call& call : calls) EXPECT_EQ(call.outcome(), "OVERLOADED");
  cluster.drop_held();
  cluster.advance(2s);
  cluster.lead(1);
  calls.clear();
  revoke_all(leader, kHeld - kMost, kHeld);
  cluster.settle();
  EXPECT_EQ(revoked(), kMost);
}

}  // namespace
}  // namespace holdfast::server
