// A read of a revision that no server has shown: a server is silent until it has come to it, and
// that is not taken for the silence of one that has failed.
#include <optional>

#include "clients/cpp/caller.h"
#include "tests/unit/client/fake_server.h"

namespace holdfast::client {
namespace {

constexpr int64_t kUnseen = 2'000;  // servers here show 1000

class UnseenRevisionTest : public LoopTest {
 protected:
  UnseenRevisionTest() {
    for (FakeServer* server : {&a_, &b_}) {
      EXPECT_TRUE(pool_.add(server->address()).ok());
      server->leader_id = a_.id();
      server->leader_address = a_.address();
      for (const char* name : {"checkToken", "revokeLock"}) {
        server->on(name, [this, server](Received& call) { calls_.push_back({server, call}); });
      }
    }
    start({});
    answer(0);
    EXPECT_EQ(pool_.newest_revision(), 1'000);
    EXPECT_EQ(told_, 1);
    calls_.clear();
  }

  void start(const CallOptions& options, int64_t min_revision = 0) {
    api::RequestContext context;
    context.minRevision = min_revision;
    caller_.call<CheckToken>(context, {}, options, [this](const auto& outcome, const auto&) {
      EXPECT_TRUE(outcome.ok());
      ++told_;
    });
    settle();
  }
  /// What is on the leader's connection besides: a call that is parked, and a write that cannot be
  /// sent again.
  void start_others() {
    start({.timeout = kForever, .parked = 60s});
    caller_.call<RevokeLock>({}, {}, {.timeout = 60s, .resend = Resend::kOnlyOnce},
                             [this](const auto& outcome, const auto&) { written_ = outcome.ok(); });
    settle();
    ASSERT_EQ(calls_.size(), 2u);
    ASSERT_EQ(calls_[0].first, &a_);
    ASSERT_EQ(calls_[1].first, &a_);
  }
  void answer(size_t call) {
    ASSERT_LT(call, calls_.size());
    calls_[call].first->reply(calls_[call].second, api::CheckTokenResult());
    settle();
  }

  FakeServer a_{loop_, 1};
  FakeServer b_{loop_, 2};
  ServerPool pool_{loop_, entropy_, {}};
  Caller caller_{pool_};
  std::vector<std::pair<FakeServer*, Received>> calls_;
  int told_ = 0;
  std::optional<bool> written_;
};

TEST_F(UnseenRevisionTest, ItGoesElsewhereAndNothingElseDoes) {
  start_others();
  start({}, kUnseen);
  ASSERT_EQ(calls_.size(), 3u);
  ASSERT_EQ(calls_[2].first, &a_);
  pass(510ms);
  ASSERT_EQ(calls_.size(), 4u) << "what is parked was thrown off";
  EXPECT_EQ(calls_[3].first, &b_);
  EXPECT_EQ(calls_[3].second.context.minRevision, kUnseen);
  EXPECT_FALSE(written_) << "of unknown fate by now";
  answer(3);
  EXPECT_EQ(told_, 2);
  answer(0);
  EXPECT_EQ(told_, 3);
  calls_[1].first->reply(calls_[1].second, api::RevokeLockResult());
  settle();
  EXPECT_EQ(written_, true);
  EXPECT_TRUE(pool_.servers()[0]->last_error.empty()) << pool_.describe();
}

TEST_F(UnseenRevisionTest, ASilentServerThatOwesOneThatWasShownHasFailed) {
  start_others();
  start({}, 1'000);
  pass(510ms);
  ASSERT_EQ(calls_.size(), 5u) << "what was on that connection is not elsewhere";
  EXPECT_EQ(calls_[3].first, &b_);
  EXPECT_EQ(calls_[4].first, &b_);
  EXPECT_EQ(written_, false);
}

}  // namespace
}  // namespace holdfast::client
