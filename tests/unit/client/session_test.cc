// Sessions against scripted servers: kept alive, exactly once, and never relied on for too long.
#include <optional>

#include "clients/cpp/client_core.h"
#include "tests/unit/client/fake_server.h"

namespace holdfast::client {
namespace {

constexpr int64_t kTtlMs = 8'000;
constexpr int64_t kLeaseMs = 7'800;

class SessionTest : public LoopTest {
 protected:
  SessionTest() {
    for (FakeServer* server : {&a_, &b_}) {
      server->leader_id = a_.id();
      server->leader_address = a_.address();
      script(*server);
    }
    ClientOptions options;
    options.servers = {a_.address(), b_.address()};
    client_ = std::move(*ClientCore::create(loop_, entropy_, options));
  }

  /// Sessions are opened and renewed; polls park, except renewNow and the first; the rest is
  /// logged.
  void script(FakeServer& server) {
    server.on("openSession", [this, &server](Received& call) {
      opens_.push_back(call.request<api::OpenSessionRequest>());
      api::OpenSessionResult result;
      result.sessionId = 500;
      result.ttlMs = kTtlMs;
      result.leaseMs = kLeaseMs;
      server.reply(call, result);
    });
    server.on("poll", [this, &server](Received& call) { on_poll(server, call); });
    for (const char* name : {"acquire", "acquireAll", "release", "releaseAll", "setHolderValue",
                             "cancelAcquire", "closeSession"}) {
      server.on(name, [this, &server](Received& call) { commands_.push_back({&server, call}); });
    }
  }
  void on_poll(FakeServer& server, Received& call) {
    polls_.push_back({&server, call});
    if (mute_polls_) return;
    const auto request = call.request<api::PollRequest>();
    if (!request.renewNow && request.acknowledgedDelivery != 0) return;  // parked
    send_poll_reply(polls_.size() - 1, {});
  }
  void send_poll_reply(size_t poll, api::PollResult result) {
    if (result.leaseMs == 0) result.leaseMs = kLeaseMs;
    result.delivery = ++delivery_;
    polls_[poll].first->reply(polls_[poll].second, result);
  }
  void answer_poll(size_t poll, api::PollResult result = {}) {
    send_poll_reply(poll, std::move(result));
    settle();
  }
  void refuse_poll(size_t poll, api::ErrorCode::type code, bool retryable) {
    polls_[poll].first->refuse(polls_[poll].second, code, retryable);
    settle();
  }

  void open() {
    client_->open_session({.ttl = from_ms(kTtlMs), .name = "test"}, [this](auto outcome) {
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
      session_ = *outcome;
      session_->on_ended = [this](const CallError& error) { ended_ = error.code; };
    });
    settle();
    ASSERT_NE(session_, nullptr);
  }
  void acquire(int64_t wait_ms = -1) {
    ticket_ = session_->acquire("/a", {.wait_ms = wait_ms}, [this](Outcome<Acquired> outcome) {
      acquired_ = std::move(outcome);
      if (!acquired_->ok() || (*acquired_)->hold == nullptr) return;
      (*acquired_)->hold->on_lost = [this](LostReason reason) { lost_ = reason; };
    });
    settle();
  }
  std::shared_ptr<Hold> hold() {
    return acquired_ && acquired_->ok() ? (*acquired_)->hold : nullptr;
  }

  void answer_acquire(size_t command, api::AcquireStatus::type status) {
    api::AcquireResult result;
    result.status = status;
    result.holderId = 600;
    result.token = 601;
    if (status == api::AcquireStatus::NOT_GRANTED) result.reason = api::RefusalReason::TIMED_OUT;
    commands_[command].first->reply(commands_[command].second, result);
    settle();
  }
  void hold_lock() {
    open();
    acquire();
    answer_acquire(0, api::AcquireStatus::GRANTED);
    ASSERT_NE(hold(), nullptr);
    ASSERT_TRUE(hold()->held(clock_.now()));
  }
  api::RevocationNotice notice(const std::string& path, int64_t notice_ms) {
    api::RevocationNotice notice;
    notice.noticeId = 900;
    notice.path = path;
    notice.holderId = path.empty() ? 0 : 600;
    notice.noticeMs = notice_ms;
    return notice;
  }

  FakeServer a_{loop_, 1};
  FakeServer b_{loop_, 2};
  std::unique_ptr<ClientCore> client_;
  std::vector<api::OpenSessionRequest> opens_;
  std::vector<std::pair<FakeServer*, Received>> polls_;
  std::vector<std::pair<FakeServer*, Received>> commands_;
  bool mute_polls_ = false;
  int64_t delivery_ = 0;
  std::shared_ptr<SessionCore> session_;
  SessionCore::Ticket ticket_ = 0;
  std::optional<Outcome<Acquired>> acquired_;
  std::optional<LostReason> lost_;
  std::optional<ErrorCode> ended_;
};

// ------------------------------------------------------------------------------------ keeping

TEST_F(SessionTest, ASessionIsOpenedWithASecretOfSixteenBytes) {
  open();
  ASSERT_EQ(opens_.size(), 1u);
  EXPECT_EQ(opens_[0].secret.size(), 16u);
  EXPECT_EQ(opens_[0].ttlMs, kTtlMs);
  ASSERT_FALSE(polls_.empty());
  EXPECT_EQ(polls_[0].second.context.sessionId, 500);
  EXPECT_EQ(polls_[0].second.context.sessionSecret, opens_[0].secret);
}

TEST_F(SessionTest, AnOpenWhoseAnswerIsLostIsRepeatedWithTheSameSecret) {
  int opens = 0;
  for (FakeServer* server : {&a_, &b_}) {
    server->on("openSession", [&, server](Received& call) {
      opens_.push_back(call.request<api::OpenSessionRequest>());
      if (++opens == 1) return;
      api::OpenSessionResult result;
      result.sessionId = 500;
      result.ttlMs = kTtlMs;
      result.leaseMs = kLeaseMs;
      server->reply(call, result);
    });
  }
  client_->open_session({.ttl = from_ms(kTtlMs)}, [this](auto outcome) { session_ = *outcome; });
  settle();
  pass(600ms);
  ASSERT_NE(session_, nullptr);
  ASSERT_EQ(opens_.size(), 2u);
  EXPECT_EQ(opens_[0].secret, opens_[1].secret);
  // The lease counts from the attempt that was answered, not from the first or from the answer.
  EXPECT_LE(session_->lease().deadline(), clock_.now() + from_ms(kLeaseMs));
  EXPECT_GE(session_->lease().deadline(), clock_.now() + from_ms(kLeaseMs - 110));
}

TEST_F(SessionTest, APollParksAQuarterOfTheTtlAndAcknowledgesTheLastDelivery) {
  open();
  ASSERT_EQ(polls_.size(), 2u);
  const auto parked = polls_[1].second.request<api::PollRequest>();
  EXPECT_EQ(parked.maxWaitMs, kTtlMs / 4);
  EXPECT_EQ(parked.acknowledgedDelivery, 1);
  EXPECT_FALSE(parked.renewNow);
}

TEST_F(SessionTest, TheLeaseCountsFromWhenThePollWasSent) {
  open();
  const Instant sent = clock_.now();
  pass(1500ms);
  answer_poll(1);
  EXPECT_EQ(session_->lease().deadline(), sent + from_ms(kLeaseMs));
}

TEST_F(SessionTest, AnOverduePollIsBackedByARenewalOnAnotherServer) {
  open();
  mute_polls_ = true;
  pass(from_ms(kTtlMs / 4) - 20ms);
  EXPECT_EQ(polls_.size(), 2u);
  pass(from_ms(kTtlMs / 16) + 40ms);
  ASSERT_EQ(polls_.size(), 3u);
  EXPECT_NE(polls_[2].first, polls_[1].first);
  EXPECT_TRUE(polls_[2].second.request<api::PollRequest>().renewNow);
  EXPECT_EQ(polls_[2].second.request<api::PollRequest>().acknowledgedDelivery, 0)
      << "delivery numbers are each server's own";
}

TEST_F(SessionTest, ALatePollReplyStillCountsFromItsOwnSending) {
  open();
  const Instant sent = clock_.now();
  mute_polls_ = true;
  pass(from_ms(kTtlMs / 4 + kTtlMs / 16) + 20ms);
  ASSERT_EQ(polls_.size(), 3u);
  answer_poll(1);
  EXPECT_EQ(session_->lease().deadline(), sent + from_ms(kLeaseMs));
}

TEST_F(SessionTest, ACutConnectionIsRenewedElsewhereAtOnce) {
  open();
  ASSERT_EQ(polls_[1].first, &a_);
  a_.down();
  settle();
  ASSERT_GE(polls_.size(), 3u);
  EXPECT_EQ(polls_[2].first, &b_);
  EXPECT_TRUE(polls_[2].second.request<api::PollRequest>().renewNow);
}

TEST_F(SessionTest, SessionExpiredEndsTheSessionAndItsLocks) {
  hold_lock();
  refuse_poll(1, api::ErrorCode::SESSION_EXPIRED, false);
  EXPECT_EQ(ended_, ErrorCode::kSessionExpired);
  EXPECT_EQ(lost_, LostReason::kSessionEnded);
  EXPECT_FALSE(session_->open());
  const size_t polls = polls_.size();
  pass(10s, 100ms);
  EXPECT_EQ(polls_.size(), polls) << "it is still polled for";
}

TEST_F(SessionTest, NothingButAServersWordEndsASession) {
  open();
  a_.down();
  b_.down();
  pass(30s, 100ms);
  EXPECT_TRUE(session_->open());
  a_.up();
  pass(2s, 50ms);
  EXPECT_TRUE(session_->open());
  EXPECT_GT(session_->lease().deadline(), clock_.now());
}

// ------------------------------------------------------------------------------------ commands

TEST_F(SessionTest, ACommandIsRepeatedWithItsSequenceUntilItIsKnown) {
  hold_lock();
  std::optional<api::ReleaseStatus::type> released;
  session_->release(hold(), [&](const auto& outcome) { released = *outcome; });
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  a_.down();
  settle();
  ASSERT_EQ(commands_.size(), 3u);
  EXPECT_EQ(commands_[2].first, &b_);
  EXPECT_EQ(commands_[2].second.context.sequence, commands_[1].second.context.sequence);
  b_.refuse(commands_[2].second, api::ErrorCode::NO_LEADER, true, api::Applied::UNKNOWN);
  pass(100ms);
  ASSERT_EQ(commands_.size(), 4u);
  EXPECT_FALSE(released);
  api::ReleaseResult result;
  result.status = api::ReleaseStatus::RELEASED;
  b_.reply(commands_[3].second, result);
  settle();
  EXPECT_EQ(released, api::ReleaseStatus::RELEASED);
}

TEST_F(SessionTest, CommandsAcknowledgeEarlierResultsAndSkipWaitingAcquires) {
  open();
  for (int i = 0; i < 3; ++i) {
    session_->acquire("/l" + std::to_string(i), {}, [](const auto&) {});
  }
  settle();
  ASSERT_EQ(commands_.size(), 3u);
  answer_acquire(0, api::AcquireStatus::GRANTED);
  answer_acquire(1, api::AcquireStatus::WAITING);
  answer_acquire(2, api::AcquireStatus::GRANTED);
  session_->acquire("/next", {}, [](const auto&) {});
  settle();
  const auto& acknowledged = commands_.back().second.context.acknowledged;
  ASSERT_EQ(acknowledged.size(), 2u);
  EXPECT_EQ(acknowledged[0].first, 1);
  EXPECT_EQ(acknowledged[0].last, 1);
  EXPECT_EQ(acknowledged[1].first, 3);
  EXPECT_EQ(acknowledged[1].last, 3);
}

TEST_F(SessionTest, NoMoreCommandsAreInFlightThanServersKeepResultsFor) {
  open();
  for (int i = 0; i < 2'000; ++i) session_->acquire("/l", {}, [](const auto&) {});
  settle();
  EXPECT_EQ(commands_.size(), 512u);
  answer_acquire(0, api::AcquireStatus::WAITING);
  EXPECT_EQ(commands_.size(), 513u);
}

TEST_F(SessionTest, AnExpiredSessionAnswersEveryCommand) {
  open();
  int errors = 0;
  for (int i = 0; i < 600; ++i) {
    session_->acquire("/l", {.wait_ms = 0}, [&](const auto& outcome) { errors += !outcome.ok(); });
  }
  settle();
  a_.refuse(commands_[0].second, api::ErrorCode::SESSION_EXPIRED, false);
  settle();
  EXPECT_EQ(errors, 600);
  EXPECT_EQ(ended_, ErrorCode::kSessionExpired);
}

// --------------------------------------------------------------------------------------- locks

TEST_F(SessionTest, AQueuedAcquireIsSettledByRepeatingItAfterTheHint) {
  open();
  acquire();
  EXPECT_TRUE(commands_[0].second.request<api::AcquireRequest>().enqueue);
  answer_acquire(0, api::AcquireStatus::WAITING);
  EXPECT_FALSE(acquired_);
  api::PollResult poll;
  poll.grants.emplace_back().acquireSequence = ticket_;
  answer_poll(1, poll);
  EXPECT_FALSE(acquired_) << "the hint was taken for the truth";
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.context.sequence, ticket_);
  answer_acquire(1, api::AcquireStatus::GRANTED);
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(hold()->token, 601);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionTest, AHintThatOvertakesTheWaitingAnswerIsNotLost) {
  open();
  acquire();
  api::PollResult poll;
  poll.grants.emplace_back().acquireSequence = ticket_;
  answer_poll(1, poll);
  answer_acquire(0, api::AcquireStatus::WAITING);
  ASSERT_EQ(commands_.size(), 2u);
  answer_acquire(1, api::AcquireStatus::GRANTED);
  EXPECT_NE(hold(), nullptr);
}

TEST_F(SessionTest, PlacesAreAskedForAgainWhenAnotherServerAnswersThePolls) {
  open();
  acquire();
  answer_acquire(0, api::AcquireStatus::WAITING);
  a_.down();
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].first, &b_);
  EXPECT_EQ(commands_[1].second.context.sequence, ticket_);
}

TEST_F(SessionTest, ATimedWaitIsAskedAboutWhenItShouldBeOver) {
  open();
  acquire(1'500);
  answer_acquire(0, api::AcquireStatus::WAITING);
  pass(1500ms);
  EXPECT_EQ(commands_.size(), 1u);
  pass(100ms);
  ASSERT_EQ(commands_.size(), 2u);
  answer_acquire(1, api::AcquireStatus::NOT_GRANTED);
  ASSERT_TRUE(acquired_ && acquired_->ok());
  EXPECT_EQ(hold(), nullptr);
  EXPECT_EQ((*acquired_)->result.reason, api::RefusalReason::TIMED_OUT);
}

TEST_F(SessionTest, ACancelThatComesTooLateYieldsTheLock) {
  open();
  acquire();
  answer_acquire(0, api::AcquireStatus::WAITING);
  session_->cancel(ticket_);
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.request<api::CancelAcquireRequest>().acquireSequence, ticket_);
  api::CancelAcquireResult result;
  result.status = api::AcquireStatus::GRANTED;
  result.holderId = 600;
  result.token = 601;
  a_.reply(commands_[1].second, result);
  settle();
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(hold()->holder_id, 600);
}

TEST_F(SessionTest, EveryPacketLostTheLockEndsAtItsDeadlineAndTheSessionGoesOn) {
  hold_lock();
  const Instant deadline = hold()->deadline();
  a_.down();
  b_.down();
  while (clock_.now() + 10ms < deadline) pass(10ms);
  EXPECT_TRUE(hold()->held(clock_.now()));
  EXPECT_FALSE(lost_);
  pass(10ms);
  EXPECT_EQ(lost_, LostReason::kLeaseRanOut);
  EXPECT_FALSE(hold()->held(clock_.now()));
  EXPECT_TRUE(session_->open());
}

TEST_F(SessionTest, ALockWhoseDeadlinePassedIsReleasedWhenAServerCanBeTold) {
  hold_lock();
  a_.down();
  b_.down();
  pass(8s, 50ms);
  ASSERT_EQ(lost_, LostReason::kLeaseRanOut);
  b_.up();
  pass(2s, 50ms);
  ASSERT_GE(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.name, "release");
  EXPECT_EQ(commands_[1].second.request<api::ReleaseRequest>().holderId, 600);
}

TEST_F(SessionTest, ARenewalThatComesAfterTheDeadlineDoesNotReviveTheLock) {
  hold_lock();
  const auto held = hold();
  mute_polls_ = true;
  // The process is stopped past its deadline; the reply to the parked poll has arrived meanwhile.
  api::PollResult late;
  late.leaseMs = kLeaseMs * 10;
  late.delivery = 99;
  polls_[1].first->reply(polls_[1].second, late);
  loop_.turn(Duration(0));
  clock_.advance(from_ms(kLeaseMs) + 1ms);
  EXPECT_FALSE(held->held(clock_.now())) << "check() reads the clock itself";
  settle();
  EXPECT_EQ(lost_, LostReason::kLeaseRanOut);
  EXPECT_FALSE(held->held(clock_.now()));
  EXPECT_GT(session_->lease().deadline(), clock_.now()) << "the session itself was renewed";
}

TEST_F(SessionTest, AGrantWithoutALeaseWaitsForARenewal) {
  open();
  acquire();
  mute_polls_ = true;
  clock_.advance(from_ms(kLeaseMs) + 1ms);
  settle();
  answer_acquire(commands_.size() - 1, api::AcquireStatus::GRANTED);
  EXPECT_FALSE(acquired_) << "granted, but not to be relied on";
  ASSERT_TRUE(polls_.back().second.request<api::PollRequest>().renewNow);
  answer_poll(polls_.size() - 1);
  ASSERT_NE(hold(), nullptr);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionTest, ARevokedLockIsNotExtendedAndTheNoticeIsAcknowledged) {
  hold_lock();
  pass(1s, 100ms);
  api::PollResult poll;
  poll.revocations.push_back(notice("/a", 1'000));
  answer_poll(1, poll);
  const auto next = polls_.back().second.request<api::PollRequest>();
  EXPECT_EQ(next.acknowledgedNotices, std::vector<int64_t>{900});
  EXPECT_TRUE(hold()->held(clock_.now()));
  pass(980ms);
  EXPECT_TRUE(hold()->held(clock_.now()));
  pass(20ms);
  EXPECT_EQ(lost_, LostReason::kRevoked);
  EXPECT_TRUE(session_->open());
}

TEST_F(SessionTest, ALossToldByTheServerEndsTheLockAtOnce) {
  hold_lock();
  api::PollResult poll;
  auto& loss = poll.losses.emplace_back();
  loss.path = "/a";
  loss.holderId = 600;
  loss.reason = api::EndReason::REVOKED;
  answer_poll(1, poll);
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

TEST_F(SessionTest, AnotherClusterEndsTheLocksAtOnce) {
  hold_lock();
  a_.cluster_id = 78;
  answer_poll(1);
  EXPECT_EQ(lost_, LostReason::kOtherCluster);
}

TEST_F(SessionTest, AReleasedLockIsNotReliedOnFromTheSendingOn) {
  hold_lock();
  session_->release(hold(), [](const auto&) {});
  EXPECT_FALSE(hold()->held(clock_.now()));
  settle();
  EXPECT_FALSE(lost_) << "on_lost is for what we did not do ourselves";
}

TEST_F(SessionTest, ARefusedHandoverKeepsTheLock) {
  hold_lock();
  std::optional<api::ReleaseStatus::type> status;
  session_->hand_over(hold(), 700, [&](const auto& outcome) { status = *outcome; });
  EXPECT_FALSE(hold()->held(clock_.now()));
  settle();
  EXPECT_EQ(commands_[1].second.request<api::ReleaseRequest>().to, 700);
  api::ReleaseResult result;
  result.status = api::ReleaseStatus::TARGET_GONE;
  a_.reply(commands_[1].second, result);
  settle();
  EXPECT_EQ(status, api::ReleaseStatus::TARGET_GONE);
  EXPECT_TRUE(hold()->held(clock_.now()));
}

TEST_F(SessionTest, AllLocksOfAnAcquireAllAreOneHold) {
  open();
  std::vector<api::LockWanted> wanted(2);
  wanted[0].path = "/x";
  wanted[1].path = "/y";
  session_->acquire_all(wanted, {}, [this](auto outcome) { acquired_ = std::move(outcome); });
  settle();
  ASSERT_EQ(commands_[0].second.name, "acquireAll");
  answer_acquire(0, api::AcquireStatus::GRANTED);
  ASSERT_NE(hold(), nullptr);
  EXPECT_EQ(hold()->paths, (std::vector<std::string>{"/x", "/y"}));
  session_->release(hold(), [](const auto&) {});
  settle();
  EXPECT_EQ(commands_[1].second.name, "releaseAll");
}

TEST_F(SessionTest, ClosingEndsItsLocksAndAnswersWhatWaits) {
  hold_lock();
  const auto held = hold();
  acquired_.reset();
  acquire();
  std::optional<bool> closed;
  session_->close([&](const auto& outcome) { closed = outcome.ok(); });
  EXPECT_FALSE(held->held(clock_.now()));
  ASSERT_TRUE(acquired_);
  EXPECT_EQ(acquired_->error().code, ErrorCode::kSessionExpired);
  settle();
  ASSERT_EQ(commands_.back().second.name, "closeSession");
  a_.reply(commands_.back().second, api::CloseSessionResult());
  settle();
  EXPECT_EQ(closed, true);
}

TEST_F(SessionTest, AHoldersValueIsPublishedUnderItsHolderId) {
  hold_lock();
  std::optional<ErrorCode> failed;
  session_->set_value(hold(), "10.0.0.1:80", [&](const auto& outcome) {
    if (!outcome) failed = outcome.error().code;
  });
  settle();
  const auto request = commands_[1].second.request<api::SetHolderValueRequest>();
  EXPECT_EQ(request.holderId, 600);
  EXPECT_EQ(request.value, "10.0.0.1:80");
  a_.refuse(commands_[1].second, api::ErrorCode::NOT_HELD, false);
  settle();
  EXPECT_EQ(failed, ErrorCode::kNotHeld);
  EXPECT_EQ(lost_, LostReason::kRevoked);
}

}  // namespace
}  // namespace holdfast::client
