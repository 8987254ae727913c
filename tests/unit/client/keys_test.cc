// Keys against scripted servers: with a session and without.
#include "tests/unit/client/session_fixture.h"

namespace holdfast::client {
namespace {

api::PutRequest put_of(const std::string& path) {
  api::PutRequest request;
  request.path = path;
  request.value = "v";
  return request;
}

class KeysTest : public SessionTest {
 protected:
  void put(bool in_session) {
    const Caller::Done<PutKey> done = [this](const auto& outcome, const auto&) {
      if (outcome) version_ = outcome->version;
      if (!outcome) error_ = outcome.error();
    };
    if (in_session) {
      session_->command<PutKey>(put_of("/k"), done);
    } else {
      client_->write<PutKey>(put_of("/k"), done);
    }
    settle();
  }
  void answer_put(size_t command, int64_t revision = 0) {
    api::PutResult result;
    result.version = 3;
    result.header.revision = revision;
    commands_[command].first->reply(commands_[command].second, result);
    settle();
  }
  int64_t revision_asked_for() {
    client_->read<GetKey>({}, [](const auto&, const auto&) {});
    settle();
    return commands_.back().second.context.minRevision;
  }

  int64_t version_ = 0;
  std::optional<CallError> error_;
};

// What changes something is for the leader, whom every other server would have to ask.
TEST_F(KeysTest, AServerThatIsOverloadedIsLeftByReadsAlone) {
  open();
  for (const bool reads : {true, false}) {
    const size_t first = commands_.size();
    if (reads) {
      client_->read<GetKey>({}, [](const auto&, const auto&) {});
    } else {
      put(true);
    }
    settle();
    ASSERT_EQ(commands_.size(), first + 1);
    commands_[first].first->refuse(commands_[first].second, api::ErrorCode::OVERLOADED, true);
    pass(50ms);
    ASSERT_EQ(commands_.size(), first + 2);
    EXPECT_EQ(commands_[first].first, &a_) << "it leads";
    EXPECT_EQ(commands_[first + 1].first, reads ? &b_ : &a_);
  }
}

TEST_F(KeysTest, AWriteOfASessionIsSentWithOneSequenceUntilItsOutcomeIsKnown) {
  open();
  put(true);
  ASSERT_EQ(commands_.size(), 1u);
  a_.down();
  pass(200ms);
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].first, &b_);
  EXPECT_EQ(commands_[0].second.context.sequence, 1);
  EXPECT_EQ(commands_[1].second.context.sequence, 1);
  EXPECT_EQ(commands_[1].second.request<api::PutRequest>().value, "v");
  answer_put(1);
  EXPECT_EQ(version_, 3);
  a_.up();
  put(true);
  ASSERT_EQ(commands_.back().second.context.acknowledged.size(), 1u) << "its result is known";
}

TEST_F(KeysTest, AValueThatNoServerTakesIsRefusedHereAndHarmsNothingElse) {
  open();
  const size_t connections = a_.connections() + b_.connections();
  api::PutRequest request = put_of("/k");
  request.value = std::string(5 << 20, 'v');
  const Caller::Done<PutKey> done = [this](const auto& outcome, const auto&) {
    if (!outcome) error_ = outcome.error();
  };
  for (const bool in_session : {true, false}) {
    error_.reset();
    in_session ? session_->command<PutKey>(request, done) : client_->write<PutKey>(request, done);
    settle();
    ASSERT_TRUE(error_);
    EXPECT_EQ(error_->code, ErrorCode::kTooLarge);
    EXPECT_FALSE(error_->maybe_applied);
  }
  EXPECT_TRUE(commands_.empty());
  put(true);
  answer_put(0);
  EXPECT_EQ(version_, 3);
  EXPECT_EQ(a_.connections() + b_.connections(), connections) << "one was lost";
}

TEST_F(KeysTest, AWriteWithoutASessionIsSentOnceAndItsFateMayBeUnknown) {
  put(false);
  ASSERT_EQ(commands_.size(), 1u);
  EXPECT_EQ(commands_[0].second.context.sessionId, 0);
  commands_[0].first->cut();
  pass(100ms);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(commands_.size(), 1u);
}

TEST_F(KeysTest, AReadAsksForTheNewestRevisionThatAnyServerHasShown) {
  EXPECT_EQ(revision_asked_for(), 0);
  put(false);
  answer_put(commands_.size() - 1, 4'321);
  EXPECT_EQ(revision_asked_for(), 4'321);
  open();
  session_->read<GetKey>({}, [](const auto&, const auto&) {});
  settle();
  EXPECT_EQ(commands_.back().second.context.minRevision, 4'321);
}

TEST_F(KeysTest, ARestoredClusterIsNotAskedForRevisionsOfTheOldOne) {
  put(false);
  answer_put(0, 4'321);
  put(false);
  a_.cluster_id = 78;
  answer_put(1, 12);
  EXPECT_EQ(revision_asked_for(), 12);
}

TEST_F(KeysTest, AWaitForAChangeIsNotTakenForASilentServer) {
  api::WaitForChangeRequest request;
  request.path = "/k";
  request.maxWaitMs = 30'000;
  bool answered = false;
  client_->wait_for_change(request, [&](const auto& outcome, const auto&) {
    answered = outcome.ok() && outcome->changed;
  });
  settle();
  pass(29s, 100ms);
  ASSERT_EQ(commands_.size(), 1u) << "it was asked for again";
  api::WaitForChangeResult result;
  result.changed = true;
  commands_[0].first->reply(commands_[0].second, result);
  settle();
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace holdfast::client
