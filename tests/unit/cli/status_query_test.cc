// Which servers `holdfast status` asks when, and in which order it has their answers.
#include "clients/cli/status_query.h"

#include <gmock/gmock.h>

#include "tests/unit/client/fake_server.h"

namespace holdfast::cli {
namespace {

using client::FakeServer;
using client::Received;

constexpr Duration kTimeout = 2s;

/// Three servers, which answer when the test says so.
class StatusQueryTest : public client::LoopTest {
 protected:
  StatusQueryTest() {
    for (FakeServer* server : {&a_, &b_, &c_}) {
      server->on("status", [this, server](Received& call) { asked_[server] = call; });
    }
  }
  void ask(const std::vector<std::string>& admins) {
    query_.emplace(loop_, entropy_, admins, kTimeout);
    settle();
  }
  void answer(FakeServer& server) {
    api::StatusResult result;
    result.nodeId = server.id();
    server.reply(asked_.at(&server), result);
    settle();
  }
  std::vector<StatusQuery::Answer> answers() {
    if (query_->done()) return query_->answers();
    ADD_FAILURE() << "it waits for an answer";
    return {};
  }

  FakeServer a_{loop_, 1}, b_{loop_, 2}, c_{loop_, 3};
  std::map<const FakeServer*, Received> asked_;
  std::optional<StatusQuery> query_;
};

TEST_F(StatusQueryTest, AllAreAskedBeforeAnyHasAnswered) {
  ask({a_.address(), b_.address(), c_.address()});
  EXPECT_EQ(a_.count("status"), 1);
  EXPECT_EQ(b_.count("status"), 1);
  EXPECT_EQ(c_.count("status"), 1);
  EXPECT_FALSE(query_->done());
}

TEST_F(StatusQueryTest, TheAnswersAreInTheOrderOfTheAddressesWhoeverIsFaster) {
  ask({b_.address(), a_.address(), c_.address()});
  for (FakeServer* server : {&c_, &a_, &b_}) answer(*server);
  const auto all = answers();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].value().nodeId, 2);
  EXPECT_EQ(all[1].value().nodeId, 1);
  EXPECT_EQ(all[2].value().nodeId, 3);
}

TEST_F(StatusQueryTest, SilentServersAreWaitedForAtTheSameTime) {
  ask({a_.address(), b_.address(), c_.address()});
  answer(c_);
  pass(kTimeout / 2);
  EXPECT_FALSE(query_->done()) << "a server has all of its time";
  pass(kTimeout / 2 + 100ms);
  const auto all = answers();
  ASSERT_EQ(all.size(), 3u);
  for (const int silent : {0, 1}) {
    ASSERT_FALSE(all[silent].ok());
    EXPECT_EQ(all[silent].error().code, ErrorCode::kTimeout);
  }
  EXPECT_EQ(all[2].value().nodeId, 3);
}

TEST_F(StatusQueryTest, AServerThatIsDownIsNotInTheWayOfTheOthers) {
  a_.down();
  ask({a_.address(), b_.address()});
  answer(b_);
  pass(kTimeout + 100ms);
  const auto all = answers();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_FALSE(all[0].ok());
  EXPECT_EQ(all[1].value().nodeId, 2);
}

TEST_F(StatusQueryTest, WhatIsNoAddressIsAnErrorAtOnce) {
  ask({"nonsense", b_.address()});
  answer(b_);
  const auto all = answers();
  ASSERT_EQ(all.size(), 2u);
  ASSERT_FALSE(all[0].ok());
  EXPECT_EQ(all[0].error().code, ErrorCode::kBadArgument);
  EXPECT_EQ(all[1].value().nodeId, 2);
}

}  // namespace
}  // namespace holdfast::cli
