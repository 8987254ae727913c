// Sessions against scripted servers: kept alive, and their commands applied exactly once.
#include <set>

#include "tests/unit/client/session_fixture.h"

namespace holdfast::client {
namespace {

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

TEST_F(SessionTest, ASessionWhoseOpeningWasGivenUpIsClosedWhenAServerAnswers) {
  bool answers = false;
  for (FakeServer* server : {&a_, &b_}) {
    server->on("openSession", [&, server](Received& call) {
      opens_.push_back(call.request<api::OpenSessionRequest>());
      if (!answers) return;
      api::OpenSessionResult result;
      result.sessionId = 500;
      result.ttlMs = kTtlMs;
      result.leaseMs = kLeaseMs;
      server->reply(call, result);
    });
    server->on("closeSession", [&, server](Received& call) {
      commands_.push_back({server, call});
      server->reply(call, api::CloseSessionResult());
    });
  }
  std::optional<ErrorCode> error;
  client_->open_session({.ttl = from_ms(kTtlMs)},
                        [&](auto outcome) { error = outcome.error().code; });
  settle();
  pass(10s + 20ms);
  ASSERT_EQ(error, ErrorCode::kTimeout);
  EXPECT_TRUE(commands_.empty());
  answers = true;
  pass(4'500ms);
  EXPECT_EQ(opens_.front().secret, opens_.back().secret);
  ASSERT_EQ(commands_.size(), 1u);
  EXPECT_EQ(commands_[0].second.context.sessionId, 500);
  EXPECT_EQ(commands_[0].second.context.sessionSecret, opens_[0].secret);
  const size_t polls = polls_.size();
  pass(from_ms(kTtlMs));
  EXPECT_EQ(polls_.size(), polls) << "nobody keeps it";
}

TEST_F(SessionTest, APollParksAQuarterOfTheTtlAndAcknowledgesTheLastDelivery) {
  open();
  ASSERT_EQ(polls_.size(), 2u);
  const auto parked = polls_[1].second.request<api::PollRequest>();
  EXPECT_EQ(parked.maxWaitMs, kTtlMs / 4);
  EXPECT_EQ(parked.acknowledgedDelivery, 1);
  EXPECT_FALSE(parked.renewNow);
}

TEST_F(SessionTest, AServerThatParksNothingIsNotAskedWithoutAPause) {
  // One that has all its parked calls answers a poll at once, though it has nothing to tell.
  const auto full = [this](FakeServer& server) {
    server.on("poll", [this, &server](Received& call) {
      polls_.push_back({&server, call});
      send_poll_reply(polls_.size() - 1, {});
    });
  };
  full(a_);
  full(b_);
  open();
  pass(1s);
  EXPECT_LE(polls_.size(), 22u);
  EXPECT_GE(polls_.size(), 10u);
  EXPECT_FALSE(ended_);
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

// Else the servers' window fills up with results that this client has had for long.
TEST_F(SessionTest, EveryResultIsAcknowledgedInTheEndHoweverManyGapsThereAre) {
  open();
  constexpr int64_t kPairs = 200;
  for (int64_t i = 0; i < kPairs; ++i) {
    for (const auto status : {api::AcquireStatus::WAITING, api::AcquireStatus::NOT_GRANTED}) {
      session_->acquire("/l", {}, [](const auto&) {});
      settle();
      answer_acquire(commands_.size() - 1, status);
    }
  }
  std::set<int64_t> told;
  for (int i = 0; i < 10; ++i) {
    session_->acquire("/next", {}, [](const auto&) {});
    settle();
    const auto& ranges = commands_.back().second.context.acknowledged;
    EXPECT_LE(ranges.size(), 64u);
    for (const auto& range : ranges) told.insert(range.first);
  }
  EXPECT_EQ(told.size(), static_cast<size_t>(kPairs));
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

// It was sent, and may have had its place, or even the lock, before the session was over.
TEST_F(SessionTest, AnAcquireThatIsOnItsWayIsNotToldAsUndoneByTheEndOfTheSession) {
  for (const bool waits : {true, false}) {
    acquired_.reset();
    open();
    acquire();
    if (waits) answer_acquire(commands_.size() - 1, api::AcquireStatus::WAITING);
    refuse_poll(polls_.size() - 1, api::ErrorCode::SESSION_EXPIRED, false);
    ASSERT_TRUE(acquired_ && !acquired_->ok());
    EXPECT_EQ(acquired_->error().code, ErrorCode::kSessionExpired);
    EXPECT_TRUE(acquired_->error().maybe_applied);
  }
}

TEST_F(SessionTest, NorByTheServerThatIsAskedForItAgain) {
  open();
  acquire();
  answer_acquire(0, api::AcquireStatus::WAITING);
  api::PollResult poll;
  poll.grants.emplace_back().acquireSequence = ticket_;
  answer_poll(1, poll);
  ASSERT_EQ(commands_.size(), 2u);
  a_.refuse(commands_[1].second, api::ErrorCode::SESSION_EXPIRED, false);
  settle();
  ASSERT_TRUE(acquired_ && !acquired_->ok());
  EXPECT_EQ(acquired_->error().code, ErrorCode::kSessionExpired);
  EXPECT_TRUE(acquired_->error().maybe_applied);
  EXPECT_EQ(commands_.size(), 2u) << "the end of the session has taken it back";
}

TEST_F(SessionTest, NorByItsClosing) {
  open();
  acquire();
  session_->close([](const auto&) {});
  settle();
  ASSERT_TRUE(acquired_ && !acquired_->ok());
  EXPECT_TRUE(acquired_->error().maybe_applied);
}

TEST_F(SessionTest, ASessionThatIsOverRefusesWhatComesAfterWithoutAServer) {
  open();
  refuse_poll(1, api::ErrorCode::SESSION_EXPIRED, false);
  a_.down();
  b_.down();
  acquire();
  ASSERT_TRUE(acquired_) << "it waits for a server to say what is known";
  EXPECT_EQ(acquired_->error().code, ErrorCode::kSessionExpired);
}

}  // namespace
}  // namespace holdfast::client
