// The long poll: renewed on arrival, parked, answered early with what there is to tell.

#include "tests/support/cpu_time.h"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;
using api::PollResult;

class PollsTest : public OneServerTest {
 protected:
  PollsTest() {
    const Call first = poll(client, poll_of(10'000));
    known = first.result<PollResult>().delivery;
  }
  static api::PollRequest numbered_poll(int64_t number, int64_t max_wait_ms, int64_t acknowledged) {
    api::PollRequest request = poll_of(max_wait_ms, acknowledged);
    request.pollNumber = number;
    return request;
  }
  static int64_t delivery_of(const Call& call) { return call.result<PollResult>().delivery; }
  Call poll(const Client& who, const api::PollRequest& request) {
    const Call call = server.poll(who.context(), request);
    cluster.settle();
    return call;
  }
  /// The client waits for a lock that another session holds; what grants it is returned.
  std::function<void()> queue(const std::string& path) {
    const Call held = server.acquire(holder.next(), acquire_of(path));
    server.acquire(client.next(), acquire_of(path, -1, /*enqueue=*/true));
    cluster.settle();
    const int64_t id = held.result<api::AcquireResult>().holderId;
    return [this, path, id] {
      server.release(holder.next(), path, id);
      cluster.settle();
    };
  }
  void grant(const std::string& path) { queue(path)(); }
  Call ask_to_revoke(const std::string& path, int64_t notice_ms, bool force,
                     const std::string& reason) {
    api::RevokeLockRequest request;
    request.path = path;
    request.noticeMs = notice_ms;
    request.reason = reason;
    request.force = force;
    const Call call = server.ask(&Engine::revoke_lock, api::RequestContext{}, request);
    cluster.settle();
    return call;
  }
  int64_t revoke(const std::string& path, int64_t notice_ms, bool force = false,
                 const std::string& reason = "maintenance") {
    return ask_to_revoke(path, notice_ms, force, reason).result<api::RevokeLockResult>().noticeId;
  }
  void hold(const std::string& path) {
    server.acquire(client.next(), acquire_of(path));
    cluster.settle();
  }
  std::vector<api::RevocationNotice> renewal_notices() {
    const Call renewal = server.keep_alive(client.context());
    cluster.settle();
    return renewal.result<api::KeepAliveResult>().revocations;
  }

  void change(const std::string& setting, int64_t value) {
    const Call call = server.change_setting(setting, value);
    cluster.settle();
    EXPECT_EQ(call.outcome(), "OK");
  }
  static std::string numbered(int i) { return "/n/" + std::to_string(i); }

  Client holder = cluster.client(1, "holder", 86'400'000);
  Client client = cluster.client(1, "client", 40'000);
  int64_t known = 0;  ///< delivery of the last reply the client has dealt with
};

TEST_F(PollsTest, TheFirstPollOnAServerIsAnsweredAtOnceAndRenews) {
  Client fresh = cluster.client(1, "fresh");
  const auto result = poll(fresh, poll_of(10'000)).result<PollResult>();
  EXPECT_EQ(result.leaseMs, 9'900) << "the TTL less the drift of one percent";
  EXPECT_GT(result.delivery, 0);
  EXPECT_FALSE(result.more);
}

TEST_F(PollsTest, APollParksForAQuarterOfTheTtlAtMost) {
  const Call call = poll(client, poll_of(60'000));
  EXPECT_EQ(server.engine().parked_calls(), 1u);
  cluster.advance(9'900ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(200ms);
  EXPECT_EQ(call.result<PollResult>().leaseMs, 39'600) << "counted from when it was sent";
  EXPECT_EQ(server.engine().parked_calls(), 0u);
}

TEST_F(PollsTest, APollParksForAMinuteAtMost) {
  const Client patient = cluster.client(1, "patient", 86'400'000);
  poll(patient, poll_of(0));
  const Call call = poll(patient, poll_of(86'400'000));
  cluster.advance(59'900ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(200ms);
  EXPECT_EQ(call.outcome(), "OK");
}

TEST_F(PollsTest, APollParksNoLongerThanItsCallerWishes) {
  const Call call = poll(client, poll_of(1'000));
  cluster.advance(950ms);
  EXPECT_FALSE(call.answered());
  cluster.advance(100ms);
  EXPECT_EQ(call.outcome(), "OK");
  EXPECT_EQ(poll(client, poll_of(0)).outcome(), "OK");
}

TEST_F(PollsTest, RenewNowIsAnsweredAtOnce) {
  EXPECT_EQ(poll(client, poll_of(10'000, known, /*renew_now=*/true)).outcome(), "OK");
}

TEST_F(PollsTest, ANewerPollSupersedesTheOlder) {
  const Call parked = poll(client, poll_of(10'000));
  const Call renewing = server.poll(client.context(), poll_of(10'000));
  EXPECT_THAT(parked.error(), Refuses(ErrorCode::SUPERSEDED, "a newer poll"));
  const Call newest = server.poll(client.context(), poll_of(10'000));
  EXPECT_THAT(renewing.error(), Refuses(ErrorCode::SUPERSEDED, "a newer poll"))
      << "one that still waits for its renewal too";
  cluster.settle();
  EXPECT_FALSE(newest.answered());
  EXPECT_EQ(server.engine().parked_calls(), 1u);
}

TEST_F(PollsTest, WhatSupersedesTheFirstPollOnAServerIsAnsweredAtOnceInItsPlace) {
  const Client fresh = cluster.client(1, "fresh");
  server.poll(fresh.context(), poll_of(10'000));
  server.poll(fresh.context(), poll_of(10'000));
  const Call newest = server.poll(fresh.context(), poll_of(10'000));
  cluster.settle();
  EXPECT_EQ(newest.outcome(), "OK");
  EXPECT_FALSE(poll(fresh, poll_of(10'000)).answered());
}

TEST_F(PollsTest, AGrantWakesTheParkedPoll) {
  const auto release = queue("/job");
  const Call call = poll(client, poll_of(10'000, known));
  EXPECT_FALSE(call.answered());
  release();
  const auto result = call.result<PollResult>();
  ASSERT_EQ(result.grants.size(), 1u);
  EXPECT_EQ(result.grants[0].path, "/job");
  EXPECT_EQ(result.grants[0].acquireSequence, 1);
  EXPECT_GT(result.grants[0].token, result.grants[0].holderId);
}

TEST_F(PollsTest, AGrantInTheAcquiresOwnEntryIsToldByItsAnswerOnly) {
  const Call call = poll(client, poll_of(10'000, known));
  server.acquire(client.next(), acquire_of("/free"));
  cluster.settle();
  EXPECT_FALSE(call.answered());
}

TEST_F(PollsTest, AGrantWithoutAPollIsToldByTheNext) {
  grant("/job");
  EXPECT_EQ(poll(client, poll_of(10'000, known)).result<PollResult>().grants.size(), 1u);
}

TEST_F(PollsTest, ANoticeIsToldAgainUntilItsDeliveryIsAcknowledged) {
  grant("/job");
  const auto first = poll(client, poll_of(0, known)).result<PollResult>();
  ASSERT_EQ(first.grants.size(), 1u);
  const auto second = poll(client, poll_of(10'000, known)).result<PollResult>();
  EXPECT_EQ(second.grants.size(), 1u) << "the first reply may have been lost";
  EXPECT_GT(second.delivery, first.delivery);
  const Call third = poll(client, poll_of(10'000, second.delivery));
  EXPECT_FALSE(third.answered()) << "there is nothing left to tell";
}

TEST_F(PollsTest, AnAcknowledgementCoversWhatWasToldUpToItOnly) {
  grant("/one");
  const auto first = poll(client, poll_of(0, known)).result<PollResult>();
  grant("/two");
  const auto second = poll(client, poll_of(0, first.delivery)).result<PollResult>();
  ASSERT_EQ(second.grants.size(), 1u);
  EXPECT_EQ(second.grants[0].path, "/two");
}

TEST_F(PollsTest, AnAcknowledgementOfAnEarlierLifeOfTheServerCoversNothing) {
  for (int i = 0; i < 5; ++i) known = delivery_of(poll(client, poll_of(0, known)));
  grant("/job");
  server.crash();
  server.start();
  cluster.lead(1);
  const Call told = poll(client, poll_of(0, known));
  ASSERT_EQ(told.result<PollResult>().grants.size(), 1u);
  // That reply is lost, and the client names the last one it has seen.
  EXPECT_EQ(poll(client, poll_of(0, known)).result<PollResult>().grants.size(), 1u);
  EXPECT_EQ(poll(client, poll_of(0, 1)).result<PollResult>().grants.size(), 1u);
  EXPECT_EQ(poll(client, poll_of(0, (int64_t{1} << 53) - 1)).result<PollResult>().grants.size(),
            1u);
}

TEST_F(PollsTest, MoreIsSaidWhenAReplyCannotHoldAll) {
  change("result_window", 4'096);
  for (int i = 0; i < 1'020; ++i) grant("/all/" + std::to_string(i));
  const auto first = poll(client, poll_of(0, known)).result<PollResult>();
  EXPECT_EQ(first.grants.size(), 1'000u);
  EXPECT_TRUE(first.more);
  const auto second = poll(client, poll_of(10'000, first.delivery)).result<PollResult>();
  EXPECT_EQ(second.grants.size(), 20u);
  EXPECT_FALSE(second.more);
}

TEST_F(PollsTest, ARevocationWakesThePollAndIsInEveryRenewalUntilItIsOver) {
  server.acquire(client.next(), acquire_of("/job"));
  cluster.settle();
  const Call call = poll(client, poll_of(10'000, known));
  const int64_t notice = revoke("/job", 5'000);
  const auto told = call.result<PollResult>();
  ASSERT_EQ(told.revocations.size(), 1u);
  EXPECT_EQ(told.revocations[0].noticeId, notice);
  EXPECT_EQ(told.revocations[0].path, "/job");
  EXPECT_EQ(told.revocations[0].reason, "maintenance");
  const Call parked = poll(client, poll_of(10'000, told.delivery));
  EXPECT_FALSE(parked.answered()) << "it was told once; it is repeated, not news";
  const Call renewal = server.keep_alive(client.context());
  cluster.settle();
  EXPECT_EQ(renewal.result<api::KeepAliveResult>().revocations.size(), 1u);
}

TEST_F(PollsTest, TheTimeOfANoticeIsTheClientsToCountLikeALease) {
  // The servers count 5,000 ms, on a clock that may run faster than the client's by the bound.
  server.acquire(client.next(), acquire_of("/job"));
  cluster.settle();
  revoke("/job", 5'000);
  const Call renewal = server.keep_alive(client.context());
  cluster.settle();
  const auto told = renewal.result<api::KeepAliveResult>().revocations;
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].noticeMs, session::lease_ms(5'000));
  EXPECT_LT(told[0].noticeMs, 5'000);
}

// Clients keep them with the notice, and a notice that is not told any more is over to them.
TEST_F(PollsTest, TheWordsOfANoticeAreToldUntilItIsAcknowledgedTheNoticeUntilItIsOver) {
  hold("/job");
  api::PollRequest request = poll_of(10'000, known);
  request.acknowledgedNotices = {revoke("/job", 5'000)};
  EXPECT_EQ(renewal_notices().at(0).reason, "maintenance");
  poll(client, request);
  const auto told = renewal_notices();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].noticeId, request.acknowledgedNotices[0]);
  EXPECT_EQ(told[0].path, "/job");
  EXPECT_EQ(told[0].reason, "");
}

TEST_F(PollsTest, TheWordsOfManyNoticesTakeAMebibyteOfAReplyTheNoticesAreAllThere) {
  change("reason_bytes_max", 1'024);
  change("result_window", 65'536);
  for (int i = 0; i < 1'100; ++i) {
    hold(numbered(i));
    revoke(numbered(i), 60'000, false, std::string(1'024, 'r'));
  }
  const auto told = renewal_notices();
  EXPECT_EQ(told.size(), 1'100u);
  size_t words = 0;
  for (const api::RevocationNotice& notice : told) words += notice.reason.size();
  EXPECT_EQ(words, size_t{1} << 20);
}

// A client takes no frame that is larger than 8 MiB, and would never be renewed again.
TEST_F(PollsTest, OfOneSessionNoMoreIsRevokedThanAReplyHasRoomFor) {
  change("path_bytes_max", 8'192);
  change("result_window", 65'536);
  const auto path = [](int i) { return "/" + std::string(8'000, 'p') + std::to_string(1'000 + i); };
  for (int i = 0; i < 520; ++i) hold(path(i));
  for (int i = 0; i < 519; ++i) revoke(path(i), 60'000);
  EXPECT_THAT(ask_to_revoke(path(519), 60'000, false, "").error(),
              Refuses(ErrorCode::LIMIT_EXCEEDED, "has 519 revocations in force"));
  EXPECT_EQ(renewal_notices().size(), 519u);
  EXPECT_EQ(ask_to_revoke(path(518), 60'000, false, "").outcome(), "OK") << "it has a notice";
  EXPECT_EQ(ask_to_revoke(path(519), 0, true, "").outcome(), "OK");
}

TEST_F(PollsTest, ALockThatOneSessionHoldsManyTimesIsNotRevokedAltogetherIfAReplyHasNoRoom) {
  change("path_bytes_max", 8'192);
  change("result_window", 65'536);
  const std::string path = "/" + std::string(8'000, 'p');
  api::RevokeLockRequest one;
  one.path = path;
  one.noticeMs = 60'000;
  for (int i = 0; i < 530; ++i) {
    api::AcquireRequest request = acquire_of(path);
    request.mode = api::LockMode::SHARED;
    request.owner = std::to_string(i);
    const Call held = server.acquire(client.next(), request);
    cluster.settle();
    one.holderId = held.result<api::AcquireResult>().holderId;
  }
  EXPECT_THAT(ask_to_revoke(path, 60'000, false, "").error(),
              Refuses(ErrorCode::LIMIT_EXCEEDED, "name one holder"));
  const Call revoked = server.ask(&Engine::revoke_lock, api::RequestContext{}, one);
  cluster.settle();
  EXPECT_EQ(revoked.outcome(), "OK");
  EXPECT_EQ(renewal_notices().size(), 1u);
}

// An operator is shown a thousand holders at most; all of them would be told.
TEST_F(PollsTest, EveryHolderIsReckonedThatARevocationMeans) {
  change("path_bytes_max", 8'192);
  change("result_window", 65'536);
  const std::string path = "/" + std::string(4'000, 'p');
  for (int i = 0; i < 1'100; ++i) {
    api::AcquireRequest request = acquire_of(path);
    request.mode = api::LockMode::SHARED;
    request.owner = std::to_string(i);
    server.acquire(client.next(), request);
    cluster.settle();
  }
  EXPECT_THAT(ask_to_revoke(path, 60'000, false, "").error(),
              Refuses(ErrorCode::LIMIT_EXCEEDED, "name one holder"));
  EXPECT_TRUE(renewal_notices().empty());
}

TEST_F(PollsTest, AnAcknowledgedRevocationTakesTheLockAfterItsNoticeAndTellsTheLoss) {
  const Call held = server.acquire(client.next(), acquire_of("/job"));
  cluster.settle();
  const int64_t notice = revoke("/job", 2'000);
  api::PollRequest request = poll_of(10'000, known);
  request.acknowledgedNotices = {notice, notice, 4711, 1};
  const auto told = poll(client, request).result<PollResult>();
  const LogIndex before = server.engine().host().applied;
  const Call parked = poll(client, request);
  EXPECT_EQ(server.engine().host().applied, before) << "acknowledged once, it costs one entry";
  cluster.advance(1'900ms);
  EXPECT_FALSE(parked.answered());
  cluster.advance(200ms);
  const auto lost = parked.result<PollResult>();
  ASSERT_EQ(lost.losses.size(), 1u);
  EXPECT_EQ(lost.losses[0].path, "/job");
  EXPECT_EQ(lost.losses[0].reason, api::EndReason::REVOKED);
  EXPECT_EQ(lost.losses[0].token, held.result<api::AcquireResult>().token);
  EXPECT_EQ(told.revocations.size(), 1u);
}

// Looked through for each notice in force it would cost many times as much.
TEST_F(PollsTest, AHugeListOfAcknowledgedNoticesCostsNoMoreThanSortingIt) {
  change("result_window", 4'096);
  for (int i = 0; i < 2'000; ++i) server.acquire(client.next(), acquire_of(numbered(i)));
  cluster.settle();
  for (int i = 0; i < 2'000; ++i) revoke(numbered(i), 60'000);
  api::PollRequest request = poll_of(0, known);
  request.acknowledgedNotices.assign(100'000, 1);
  const auto cost_to = [&](const Client& who) {
    const double before = cpu_seconds();
    poll(who, request);
    return cpu_seconds() - before;
  };
  const Client without = cluster.client(1, "without", 40'000);
  const double of_none = least_of(5, [&] { return cost_to(without); });
  const double of_2000 = least_of(5, [&] { return cost_to(client); });
  EXPECT_LT(of_2000, 15 * of_none)
      << of_2000 << " s with 2,000 in force, " << of_none << " s with none";
}

TEST_F(PollsTest, TheEndOfTheSessionEndsItsPoll) {
  const Call call = poll(client, poll_of(10'000, known));
  server.close(client.next());
  cluster.settle();
  EXPECT_THAT(call.error(), Refuses(ErrorCode::SESSION_EXPIRED, "has ended"));
  EXPECT_EQ(server.engine().parked_calls(), 0u);
}

TEST_F(PollsTest, ASessionThatStopsPollingHereIsForgottenAfterAWhile) {
  const Client lasting = cluster.client(1, "lasting", 86'400'000);
  poll(lasting, poll_of(0));
  EXPECT_FALSE(poll(lasting, poll_of(1'000)).answered()) << "known: it parks";
  cluster.advance(100s, 100ms);
  EXPECT_FALSE(poll(lasting, poll_of(1'000)).answered()) << "still known";
  cluster.advance(182s, 100ms);
  EXPECT_EQ(poll(lasting, poll_of(1'000)).outcome(), "OK") << "it begins anew, answered at once";
}

TEST_F(PollsTest, OfASessionThatPollsFastOneDeadlineIsKept) {
  const size_t before = server.engine().queued_deadlines();
  for (int i = 0; i < 500; ++i) poll(client, poll_of(0));
  EXPECT_LT(server.engine().queued_deadlines(), before + 5);
}

class PollsOfThreeTest : public ThreeServersTest {};

TEST_F(PollsOfThreeTest, ASessionWhosePollFailedIsForgottenAfterAWhileToo) {
  const Client client = cluster.client(1, "client", 86'400'000);
  follower.poll(client.context(), poll_of(0));
  cluster.settle();
  cluster.advance(60s, 100ms);
  cluster.isolate(2);
  const Call failed = follower.poll(client.context(), poll_of(1'000));
  cluster.advance(6s, 100ms);
  EXPECT_THAT(failed.error(), Refuses(ErrorCode::NO_LEADER, "no leader acknowledged"));
  cluster.heal();
  cluster.advance(190s, 100ms);
  const Call again = follower.poll(client.context(), poll_of(1'000));
  cluster.settle();
  EXPECT_EQ(again.outcome(), "OK") << "it begins anew, answered at once";
}

TEST_F(PollsOfThreeTest, AServerTellsWhatWasGrantedBeforeTheClientCameToIt) {
  Client holder = cluster.client(1, "holder");
  Client client = cluster.client(1, "client");
  const Call held = leader.acquire(holder.next(), acquire_of("/job"));
  leader.acquire(client.next(), acquire_of("/job", -1, true));
  leader.acquire(client.next(), acquire_of("/own"));
  cluster.settle();
  leader.release(holder.next(), "/job", held.result<api::AcquireResult>().holderId);
  cluster.settle();
  const Call call = follower.poll(client.context(), poll_of(10'000));
  cluster.settle();
  const auto result = call.result<PollResult>();
  ASSERT_EQ(result.grants.size(), 1u) << "that in the acquire's own entry was told by its answer";
  EXPECT_EQ(result.grants[0].path, "/job");
}

// ---- numbers of polls (IDL, pollNumber; docs/watches.md) -------------------------------------

TEST_F(PollsTest, ALatePollOfAnOlderNumberEndsNoNewerOne) {
  const auto granting = queue("/a");
  const Call newer = poll(client, numbered_poll(7, 10'000, known));
  for (int copy = 0; copy < 2; ++copy) {
    const Call late = poll(client, numbered_poll(6, 10'000, known));
    EXPECT_THAT(late.error(), Refuses(ErrorCode::SUPERSEDED, "has been here"));
    EXPECT_FALSE(newer.answered());
  }
  EXPECT_EQ(server.engine().parked_calls(), 1u);
  granting();
  EXPECT_EQ(newer.result<PollResult>().grants.size(), 1u);
}

TEST_F(PollsTest, ALatePollOfAnOlderNumberAcknowledgesNothing) {
  grant("/a");
  const Call told = poll(client, numbered_poll(7, 0, known));
  ASSERT_EQ(told.result<PollResult>().grants.size(), 1u);
  poll(client, numbered_poll(6, 0, delivery_of(told)));
  // The client never saw that reply: it acknowledges the one before.
  EXPECT_EQ(poll(client, numbered_poll(8, 0, known)).result<PollResult>().grants.size(), 1u);
}

TEST_F(PollsTest, ALatePollOfAnOlderNumberTakesNoAcknowledgementBack) {
  grant("/a");
  const Call told = poll(client, numbered_poll(7, 0, known));
  const Call parked = poll(client, numbered_poll(8, 10'000, delivery_of(told)));
  EXPECT_FALSE(parked.answered());
  poll(client, numbered_poll(7, 10'000, known));
  EXPECT_FALSE(parked.answered()) << "a copy of what was answered changes nothing";
  grant("/b");
  const auto result = parked.result<PollResult>();
  ASSERT_EQ(result.grants.size(), 1u);
  EXPECT_EQ(result.grants[0].path, "/b");
}

// The first poll of a session, too: the server has nothing of it then.
TEST_F(PollsTest, ANegativeNumberIsRefusedAndLeavesNothing) {
  Client fresh = cluster.client(1, "fresh");
  const Call call = poll(fresh, numbered_poll(-1, 10'000, 0));
  EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, "pollNumber is -1, allowed are 0 to"));
  EXPECT_EQ(poll(fresh, numbered_poll(1, 0, 0)).outcome(), "OK");
  const Call closed = server.close(fresh.next());
  cluster.settle();
  EXPECT_EQ(closed.outcome(), "OK");
  EXPECT_EQ(server.engine().parked_calls(), 0u);
}

TEST_F(PollsTest, APollOfANewerNumberTakesThePlaceOfAnOlderOne) {
  const Call older = poll(client, numbered_poll(7, 10'000, known));
  const Call newer = poll(client, numbered_poll(9, 10'000, known));
  EXPECT_THAT(older.error(), Refuses(ErrorCode::SUPERSEDED, "a newer poll"));
  EXPECT_FALSE(newer.answered());
}

TEST_F(PollsTest, EachSessionNumbersItsOwnPolls) {
  Client fresh = cluster.client(1, "fresh");
  poll(client, numbered_poll(7, 10'000, known));
  EXPECT_EQ(poll(fresh, numbered_poll(1, 10'000, 0)).outcome(), "OK");
}

TEST_F(PollsTest, PollsWithoutNumbersCountInTheOrderOfArrival) {
  const Call first = poll(client, poll_of(10'000, known));
  const Call second = poll(client, poll_of(10'000, known));
  EXPECT_THAT(first.error(), Refuses(ErrorCode::SUPERSEDED, "a newer poll"));
  EXPECT_FALSE(second.answered());
}

}  // namespace
}  // namespace holdfast::server
