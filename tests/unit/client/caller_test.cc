// Calls that go on over failing servers, and what they may say of their fate.
#include "clients/cpp/caller.h"

#include <optional>

#include "tests/unit/client/fake_server.h"

namespace holdfast::client {
namespace {

class CallerTest : public LoopTest {
 protected:
  CallerTest() {
    for (FakeServer* server : {&a_, &b_}) {
      EXPECT_TRUE(pool_.add(server->address()).ok());
      server->on("checkToken", [this, server](Received& call) {
        calls_.push_back({server, call});
      });
      server->on("revokeLock", [this, server](Received& call) {
        calls_.push_back({server, call});
      });
    }
  }

  void check(CallOptions options = {}, int64_t sequence = 0) {
    api::RequestContext context;
    context.sequence = sequence;
    caller_.call<CheckToken>(context, {}, options, [this](const auto& outcome, const auto& info) {
      EXPECT_FALSE(outcome_.has_value() || error_.has_value()) << "told twice";
      info_ = info;
      if (outcome) {
        outcome_ = outcome->latestToken;
      } else {
        error_ = outcome.error();
      }
    });
  }
  void revoke() {
    caller_.call<RevokeLock>({}, {}, {.resend = Resend::kOnlyOnce},
                             [this](const auto& outcome, const auto&) {
                               if (outcome) {
                                 outcome_ = outcome->noticeId;
                               } else {
                                 error_ = outcome.error();
                               }
                             });
  }
  FakeServer& other(FakeServer* server) { return server == &a_ ? b_ : a_; }
  void answer(size_t call, int64_t latest) {
    api::CheckTokenResult result;
    result.latestToken = latest;
    calls_[call].first->reply(calls_[call].second, result);
  }

  /// Both servers are alive and without a leader: each keeps a call until its deadline and says so
  /// then. Returns how long it took until the call was over.
  Duration pass_without_a_leader(Duration at_most) {
    const Instant begin = clock_.now();
    std::vector<Instant> refused_at;
    while (clock_.now() - begin < at_most && !error_) {
      pass(10ms);
      for (size_t i = refused_at.size(); i < calls_.size(); ++i) {
        refused_at.push_back(clock_.now() + from_ms(calls_[i].second.context.deadlineMs));
      }
      for (size_t i = 0; i < refused_at.size(); ++i) {
        if (refused_at[i] > clock_.now()) continue;
        calls_[i].first->refuse(calls_[i].second, api::ErrorCode::NO_LEADER, true);
        refused_at[i] = Instant::max();
      }
      settle();
    }
    return clock_.now() - begin;
  }

  FakeServer a_{loop_, 1};
  FakeServer b_{loop_, 2};
  ServerPool pool_{loop_, entropy_, {}};
  Caller caller_{pool_};
  std::vector<std::pair<FakeServer*, Received>> calls_;
  std::optional<int64_t> outcome_;
  std::optional<CallError> error_;
  CallInfo info_;
};

TEST_F(CallerTest, AnswersComeBackAndNeverFromInsideTheCall) {
  check();
  EXPECT_FALSE(outcome_);
  settle();
  answer(0, 9);
  settle();
  EXPECT_EQ(outcome_, 9);
  EXPECT_EQ(info_.attempts, 1);
  EXPECT_EQ(caller_.pending(), 0u);
}

TEST_F(CallerTest, AReadWhoseConnectionIsCutGoesToTheOtherServerAtOnce) {
  check();
  settle();
  ASSERT_EQ(calls_.size(), 1u);
  calls_[0].first->cut();
  settle();
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_NE(calls_[1].first, calls_[0].first);
  answer(1, 4);
  settle();
  EXPECT_EQ(outcome_, 4);
}

TEST_F(CallerTest, CallsThatComeToMuchTogetherLeaveOneAfterTheOther) {
  constexpr size_t kCalls = 40;
  size_t answers = 0;
  api::CheckTokenRequest request;
  request.path = std::string(1'000'000, 'p');
  for (size_t i = 0; i < kCalls; ++i) {
    caller_.call<CheckToken>({}, request, {.timeout = kForever},
                             [&](const auto& outcome, const auto&) { answers += outcome.ok(); });
  }
  for (int i = 0; i < 1'000 && calls_.size() < kCalls; ++i) pass(2ms, 2ms);
  ASSERT_EQ(calls_.size(), kCalls);
  for (size_t i = 0; i < kCalls; ++i) answer(i, 1);
  settle();
  EXPECT_EQ(answers, kCalls);
  EXPECT_EQ(calls_.size(), kCalls) << "some were lost and sent again";
}

TEST_F(CallerTest, AServerThatRefusesConnectionsIsPassedOver) {
  a_.down();
  check();
  settle();
  ASSERT_EQ(calls_.size(), 1u);
  EXPECT_EQ(calls_[0].first, &b_);
}

TEST_F(CallerTest, AServerThatSaysNothingIsGivenUpAfterItsPatience) {
  check();
  settle();
  pass(490ms);
  EXPECT_EQ(calls_.size(), 1u);
  pass(20ms);
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_NE(calls_[1].first, calls_[0].first);
  EXPECT_EQ(calls_[0].first->connections(), 1u) << "the fake keeps closed ones";
}

TEST_F(CallerTest, AServerThatAnswersOthersKeepsASlowCall) {
  check();
  settle();
  pass(100ms);
  api::RequestContext context;
  bool second = false;
  caller_.call<CheckToken>(context, {}, {}, [&](const auto&, const auto&) { second = true; });
  settle();
  ASSERT_EQ(calls_.size(), 2u);
  ASSERT_EQ(calls_[1].first, calls_[0].first);
  answer(1, 1);
  pass(2s, 50ms);
  EXPECT_TRUE(second);
  EXPECT_EQ(calls_.size(), 2u) << "the slow call was sent again";
  answer(0, 7);
  settle();
  EXPECT_EQ(outcome_, 7);
}

TEST_F(CallerTest, ARetryAfterIsHonoured) {
  check();
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::OVERLOADED, true, api::Applied::NO,
                          300);
  settle();
  pass(290ms);
  EXPECT_EQ(calls_.size(), 1u);
  pass(20ms);
  EXPECT_EQ(calls_.size(), 2u);
}

TEST_F(CallerTest, WithoutALeaderTheOtherServerIsAsked) {
  check();
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::NO_LEADER, true);
  pass(20ms);
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_NE(calls_[1].first, calls_[0].first);
}

TEST_F(CallerTest, WhereNobodyLeadsItSaysWhatEveryServerAnswered) {
  b_.down();
  check({.timeout = 1s});
  settle();
  ASSERT_EQ(calls_.size(), 1u);
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::NO_LEADER, true, api::Applied::NO, 950);
  settle();
  pass(1s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoLeader);
  EXPECT_FALSE(error_->maybe_applied);
  EXPECT_NE(error_->message.find("no leader was found within 1000 ms ("), std::string::npos);
  EXPECT_NE(error_->message.find(a_.address() + ": scripted"), std::string::npos)
      << error_->message;
  EXPECT_NE(error_->message.find(b_.address() + " "), std::string::npos) << error_->message;
}

// It kept the call until its own deadline was over, in case a leader was elected.
TEST_F(CallerTest, WhereNobodyLeadsThatIsSaidAlsoOfAServerThatKeptTheCall) {
  b_.down();
  check({.timeout = 1s});
  settle();
  ASSERT_EQ(calls_.size(), 1u);
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::TIMEOUT, true, api::Applied::UNKNOWN,
                          950);
  settle();
  pass(1s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoLeader);
  EXPECT_TRUE(error_->maybe_applied);
  EXPECT_NE(error_->message.find(a_.address() + ": this server knows no leader;"),
            std::string::npos)
      << error_->message;
}

TEST_F(CallerTest, WhereNobodyLedThatIsSaidThoughACopyIsOnItsWay) {
  check({.timeout = 1s}, 5);
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::NO_LEADER, true);
  pass(1s);
  ASSERT_TRUE(error_);
  EXPECT_GT(info_.attempts, 1);
  EXPECT_EQ(error_->code, ErrorCode::kNoLeader);
  EXPECT_TRUE(error_->maybe_applied);
}

TEST_F(CallerTest, ThatThereWasNoRoomIsSaidBeforeThatNobodyLeads) {
  check({.timeout = 1s});
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::NO_SPACE, true, api::Applied::NO, 10);
  pass(20ms);
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_EQ(caller_.waits_for_room(), "scripted");
  calls_[1].first->refuse(calls_[1].second, api::ErrorCode::NO_LEADER, true, api::Applied::NO, 950);
  settle();
  EXPECT_EQ(caller_.waits_for_room(), "");
  pass(1s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoSpace);
  EXPECT_NE(error_->message.find("scripted; then no leader was found within 1000 ms ("),
            std::string::npos)
      << error_->message;
}

TEST_F(CallerTest, OneThatIsOverloadedIsNotTakenForOneWithoutALeader) {
  check({.timeout = 1s});
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::OVERLOADED, true, api::Applied::NO,
                          950);
  settle();
  pass(1s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kOverloaded);
  EXPECT_NE(error_->message.find("scripted; tried for 1000 ms"), std::string::npos)
      << error_->message;
}

TEST_F(CallerTest, WhereAnotherMayHaveTheRoomNoSpaceIsTheAnswer) {
  check({.wait_for_room = false});
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::NO_SPACE, true, api::Applied::NO, 10);
  settle();
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoSpace);
  EXPECT_TRUE(error_->retryable);
}

/// Servers without a cluster, and a client that does not wait for one.
class UnformedTest : public CallerTest {
 protected:
  UnformedTest() {
    for (FakeServer* server : {&a_, &b_}) {
      server->cluster_id = 0;
      EXPECT_TRUE(impatient_.add(server->address()).ok());
    }
  }
  void write(Caller& caller) {
    caller.call<RevokeLock>({}, {}, {.resend = Resend::kOnlyOnce},
                            [this](const auto& outcome, const auto&) { error_ = outcome.error(); });
    settle();
  }
  void refuse(size_t call, bool retryable = true) {
    ASSERT_GT(calls_.size(), call);
    calls_[call].first->refuse(calls_[call].second, api::ErrorCode::NO_LEADER, retryable);
    pass(250ms);
  }

  ServerPool impatient_{loop_, entropy_, {.wait_for_a_cluster = false}};
  Caller asks_once_{impatient_};
};

TEST_F(UnformedTest, WhenEveryServerHasSaidSoThatIsTheAnswer) {
  write(asks_once_);
  refuse(0);
  EXPECT_FALSE(error_) << "the other one may know better";
  refuse(1);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoLeader);
  EXPECT_EQ(error_->message, "scripted");
  EXPECT_FALSE(error_->maybe_applied);
  EXPECT_EQ(calls_.size(), 2u);
}

TEST_F(UnformedTest, OneThatLoadsItsStateIsWaitedForWhereverItIsAsked) {
  a_.cluster_id = b_.cluster_id = 77;
  write(asks_once_);
  for (size_t i = 0; i < 4; ++i) refuse(i, i % 2 == 0);
  EXPECT_FALSE(error_);
  ServerPool looks(loop_, entropy_, {.wait_for_a_state = false});
  ASSERT_TRUE(looks.add(a_.address()).ok());
  Caller caller(looks);
  calls_.clear();
  write(caller);
  refuse(0, false);
  EXPECT_TRUE(error_) << "who asks how it stands is told at once";
}

TEST_F(UnformedTest, OneThatBidsNobodyWaitSpeaksForItselfAlone) {
  for (Caller* caller : {&asks_once_, &caller_}) {
    calls_.clear();
    error_.reset();
    a_.cluster_id = b_.cluster_id = 0;
    write(*caller);
    ASSERT_EQ(calls_.size(), 1u);
    FakeServer& unformed = *calls_[0].first;
    other(&unformed).cluster_id = 77;
    refuse(0, false);
    ASSERT_EQ(calls_.size(), 2u) << "the other one may know better";
    EXPECT_EQ(calls_[1].first, &other(&unformed));
    calls_[1].first->refuse(calls_[1].second, api::ErrorCode::BAD_ARGUMENT, false);
    pass(250ms);
    ASSERT_TRUE(error_) << "that one is in a cluster: its word is the answer";
  }
}

TEST_F(UnformedTest, WhoWaitsForAClusterAsksAgain) {
  write(caller_);
  for (size_t i = 0; i < 4; ++i) refuse(i);
  EXPECT_FALSE(error_);
}

TEST_F(UnformedTest, OneThatHasFormedMeanwhileIsAsked) {
  write(asks_once_);
  refuse(0);
  a_.cluster_id = b_.cluster_id = 77;
  refuse(1);
  refuse(2);
  refuse(3);
  EXPECT_FALSE(error_);
}

TEST_F(UnformedTest, WhatAServerSaidBeforeItHadFormedCountsNoLonger) {
  write(asks_once_);
  ASSERT_EQ(calls_.size(), 1u);
  FakeServer& first = *calls_[0].first;
  FakeServer& second = other(&first);
  refuse(0);
  second.cluster_id = 77;
  refuse(1);
  first.cluster_id = 77;
  refuse(2);
  ASSERT_EQ(calls_[2].first, &first);
  second.cluster_id = 0;  // an empty one has its address now
  refuse(3);
  ASSERT_EQ(calls_[3].first, &second);
  EXPECT_FALSE(error_);
}

TEST_F(CallerTest, TheLeaderNamedInAReplyGetsTheNextCalls) {
  check();
  settle();
  FakeServer& leader = other(calls_[0].first);
  calls_[0].first->leader_id = leader.id();
  calls_[0].first->leader_address = leader.address();
  answer(0, 1);
  settle();
  outcome_.reset();
  check();
  settle();
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_EQ(calls_[1].first, &leader);
}

TEST_F(CallerTest, WhatAServerOfAnOlderTermSaysOfTheLeaderIsIgnored) {
  check();
  settle();
  FakeServer* first = calls_[0].first;
  first->term = 9;
  first->leader_id = first->id();
  first->leader_address = first->address();
  answer(0, 1);
  settle();
  api::ResponseHeader stale;
  stale.term = 8;
  stale.leaderId = other(first).id();
  stale.leaderAddress = other(first).address();
  pool_.answered(*pool_.pick(), stale);
  EXPECT_EQ(pool_.leader()->name, first->address());
}

TEST_F(CallerTest, AWriteWithoutASessionWhoseAnswerIsLostIsOutcomeUnknown) {
  revoke();
  settle();
  ASSERT_EQ(calls_.size(), 1u);
  calls_[0].first->cut();
  settle();
  pass(1s, 50ms);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kOutcomeUnknown);
  EXPECT_TRUE(error_->maybe_applied);
  EXPECT_EQ(calls_.size(), 1u) << "it was sent twice";
}

TEST_F(CallerTest, AWriteWithoutASessionThatNeverLeftIsSentElsewhere) {
  a_.down();
  b_.down();
  revoke();
  settle();
  b_.up();
  pass(1s);
  ASSERT_EQ(calls_.size(), 1u);
  EXPECT_EQ(calls_[0].first, &b_);
}

TEST_F(CallerTest, AWriteWithoutASessionRefusedUnappliedIsSentAgain) {
  revoke();
  settle();
  calls_[0].first->refuse(calls_[0].second, api::ErrorCode::NO_LEADER, true);
  pass(50ms);
  EXPECT_EQ(calls_.size(), 2u);
  EXPECT_FALSE(error_);
}

TEST_F(CallerTest, AWriteWithoutASessionIsLeftWithAServerThatWaitsForALeader) {
  revoke();
  settle();
  pass(4900ms);
  ASSERT_EQ(calls_.size(), 1u) << "it was given up while the server kept it";
  ASSERT_FALSE(error_);
  api::RevokeLockResult result;
  result.noticeId = 3;
  calls_[0].first->reply(calls_[0].second, result);
  settle();
  EXPECT_EQ(outcome_, 3);
}

TEST_F(CallerTest, AWriteThatNoLeaderTookIsNotAppliedWhenItsTimeIsUp) {
  revoke();
  const Duration took = pass_without_a_leader(11s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoLeader);
  EXPECT_FALSE(error_->maybe_applied);
  EXPECT_GT(took, 9s) << "it gave up early";
  EXPECT_LE(took, 10s);
}

TEST_F(CallerTest, AReadThatNoServerCouldAnswerSaysWhatTheServersSaid) {
  check();
  pass_without_a_leader(11s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kNoLeader);
  EXPECT_NE(error_->message.find("scripted"), std::string::npos) << error_->message;
}

TEST_F(CallerTest, AWriteWhoseServerIsFrozenIsOfUnknownFate) {
  revoke();
  settle();
  pass(6s, 50ms);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(calls_.size(), 1u) << "it was sent twice";
}

TEST_F(CallerTest, ATimeoutNamesTheServersAndWhatIsWrongWithThem) {
  a_.down();
  b_.down();
  check({.timeout = 2s});
  pass(2100ms, 50ms);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kTimeout);
  EXPECT_FALSE(error_->maybe_applied);
  EXPECT_NE(error_->message.find(a_.address()), std::string::npos) << error_->message;
  EXPECT_EQ(error_->message.find("no server was reached within 2000 ms"), 0u) << error_->message;
}

TEST_F(CallerTest, ARefusalAtTheEndIsToldWithTheServersThatWereNotReached) {
  a_.leader_id = a_.id();
  a_.leader_address = a_.address();
  b_.down();
  check({.timeout = 1s});
  for (int i = 0; i < 200 && !error_; ++i) {
    pass(10ms);
    for (const auto& [server, call] : std::exchange(calls_, {})) {
      server->refuse(call, api::ErrorCode::OVERLOADED, true);
    }
  }
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kOverloaded);
  EXPECT_NE(error_->message.find("tried for"), std::string::npos) << error_->message;
  EXPECT_NE(error_->message.find(b_.address()), std::string::npos) << error_->message;
}

TEST_F(CallerTest, ATimeoutOfServersThatWereReachedSaysThatTheyDidNotAnswer) {
  b_.down();
  check({.timeout = 2s});
  pass(2100ms, 50ms);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kTimeout);
  EXPECT_EQ(error_->message.find("no answer within 2000 ms"), 0u) << error_->message;
}

TEST_F(CallerTest, ARefusalOfACopyDoesNotSettleAnEarlierCopyWhoseFateIsUnknown) {
  check({.timeout = kForever}, 5);
  settle();
  calls_[0].first->cut();
  settle();
  ASSERT_EQ(calls_.size(), 2u);
  calls_[1].first->refuse(calls_[1].second, api::ErrorCode::PERMISSION_DENIED, false);
  settle();
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(error_->maybe_applied);
}

// A restored cluster may have given the session's id to another one; and of a result that is gone
// nobody knows what it was.
TEST_F(CallerTest, NorDoesOneThatKnowsTheSessionOrTheResultNoMore) {
  for (const auto code : {api::ErrorCode::SESSION_UNKNOWN, api::ErrorCode::RESULT_FORGOTTEN}) {
    for (const bool sent_before : {true, false}) {
      calls_.clear();
      error_.reset();
      check({.timeout = kForever}, 5);
      settle();
      if (sent_before) calls_[0].first->cut();
      pass(50ms);
      calls_.back().first->refuse(calls_.back().second, code, false);
      settle();
      ASSERT_TRUE(error_);
      EXPECT_EQ(error_->maybe_applied, sent_before) << code;
    }
  }
}

// While the window is full nothing is recorded; a limit of another kind is the command's outcome.
TEST_F(CallerTest, ThatThereWasNoRoomForItsResultDoesNotSettleAnEarlierCopy) {
  for (const bool no_room_yet : {true, false}) {
    calls_.clear();
    error_.reset();
    check({.timeout = kForever, .retry_refusals = false}, 5);
    settle();
    calls_[0].first->cut();
    pass(50ms);
    ASSERT_EQ(calls_.size(), 2u);
    calls_[1].first->refuse(calls_[1].second, api::ErrorCode::LIMIT_EXCEEDED, no_room_yet);
    settle();
    ASSERT_TRUE(error_);
    EXPECT_EQ(error_->maybe_applied, no_room_yet);
  }
}

TEST_F(CallerTest, ARetriedCommandKeepsItsSequence) {
  check({.timeout = kForever}, 5);
  settle();
  calls_[0].first->cut();
  settle();
  ASSERT_EQ(calls_.size(), 2u);
  EXPECT_EQ(calls_[0].second.context.sequence, 5);
  EXPECT_EQ(calls_[1].second.context.sequence, 5);
}

TEST_F(CallerTest, AFailedServerIsLeftAloneLongerEachTime) {
  b_.down();
  a_.down();
  check({.timeout = kForever});
  settle();
  pass(3s);
  // Doubling from 20 ms to 1 s, half of it random: far fewer attempts than one each 20 ms.
  EXPECT_LT(pool_.next_try() - clock_.now(), 1s + 10ms);
  EXPECT_GT(pool_.servers()[0]->backoff, 500ms);
  a_.up();
  pass(1100ms);
  EXPECT_EQ(calls_.size(), 1u);
}

TEST_F(CallerTest, ACancelledCallIsNeverTold) {
  const auto id = caller_.call<CheckToken>({}, {}, {}, [](const auto&, const auto&) { FAIL(); });
  settle();
  caller_.cancel(id);
  answer(0, 1);
  settle();
  EXPECT_EQ(caller_.pending(), 0u);
}

}  // namespace
}  // namespace holdfast::client
