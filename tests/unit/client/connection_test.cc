// One connection, many calls: whose reply is whose.
#include "clients/cpp/connection.h"

#include "tests/unit/client/fake_server.h"

namespace holdfast::client {
namespace {

class ConnectionTest : public LoopTest, private ReplySink, private Connection::Owner {
 protected:
  void SetUp() override {
    connection_ = Connection::dial(loop_, *net::parse_address(server_.address()), {}, this);
    server_.on("checkToken", [this](Received& call) { calls_.push_back(call); });
  }

  void check(int64_t token, int64_t sequence = 0, const std::string& path = "/a") {
    api::RequestContext context;
    context.sequence = sequence;
    api::CheckTokenRequest request;
    request.path = path;
    request.token = token;
    seqids_.push_back(
        connection_->send<CheckToken>(context, request, *this, static_cast<uint64_t>(token)));
  }
  void answer(size_t call, int64_t latest) {
    api::CheckTokenResult result;
    result.latestToken = latest;
    server_.reply(calls_[call], result);
  }

  void on_reply(uint64_t tag, Connection&, Reply& reply) override {
    api::CheckTokenResult result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<CheckToken>(result, error, &failed)) {
      lost_.push_back(tag);
    } else if (failed) {
      refused_.emplace_back(tag, error.code);
    } else {
      answered_.emplace_back(tag, result.latestToken);
    }
  }
  void on_lost(uint64_t tag, Connection&) override { lost_.push_back(tag); }
  void on_connection_closed(Connection&, const std::string& why) override { closed_ = why; }

  using Answers = std::vector<std::pair<uint64_t, int64_t>>;
  FakeServer server_{loop_};
  std::shared_ptr<Connection> connection_;
  std::vector<Received> calls_;
  std::vector<int32_t> seqids_;
  Answers answered_;
  std::vector<std::pair<uint64_t, api::ErrorCode::type>> refused_;
  std::vector<uint64_t> lost_;
  std::string closed_;
};

TEST_F(ConnectionTest, RepliesInAnyOrderReachTheirOwnCalls) {
  for (const int64_t token : {1, 2, 3}) check(token);
  settle();
  ASSERT_EQ(calls_.size(), 3u);
  EXPECT_EQ(calls_[1].request<api::CheckTokenRequest>().token, 2);
  answer(2, 30);
  answer(0, 10);
  answer(1, 20);
  settle();
  EXPECT_EQ(answered_, (Answers{{3, 30}, {1, 10}, {2, 20}}));
  EXPECT_EQ(connection_->outstanding(), 0u);
}

TEST_F(ConnectionTest, SeqidsAreNotUsedTwiceInARow) {
  check(1);
  settle();
  answer(0, 0);
  settle();
  check(2);
  EXPECT_NE(seqids_[0], seqids_[1]);
}

TEST_F(ConnectionTest, ACallLongerThanAServerTakesIsNotSent) {
  check(1, 0, std::string(4 << 20, 'p'));
  EXPECT_EQ(seqids_, std::vector<int32_t>{0});
  EXPECT_EQ(connection_->outstanding(), 0u);
  const CallError error = connection_->too_long();
  EXPECT_EQ(error.code, ErrorCode::kTooLarge);
  EXPECT_NE(error.message.find("the limit is 4194304"), std::string::npos) << error.message;
  check(2);
  settle();
  answer(0, 20);
  settle();
  EXPECT_EQ(answered_, (Answers{{2, 20}}));
}

TEST_F(ConnectionTest, AnErrorReachesItsCall) {
  check(1);
  settle();
  server_.refuse(calls_[0], api::ErrorCode::OVERLOADED, true);
  settle();
  ASSERT_EQ(refused_.size(), 1u);
  EXPECT_EQ(refused_[0].second, api::ErrorCode::OVERLOADED);
  EXPECT_TRUE(closed_.empty());
}

TEST_F(ConnectionTest, AReplyThatEchoesAnotherSequenceLosesTheConnection) {
  check(1, 8);
  settle();
  api::CheckTokenResult result;
  result.header.sequence = 9;
  server_.reply(calls_[0], result);
  settle();
  EXPECT_TRUE(answered_.empty());
  EXPECT_EQ(lost_, std::vector<uint64_t>{1});
  EXPECT_TRUE(connection_->closed());
}

TEST_F(ConnectionTest, AReplyOfAnotherCallsNameLosesTheConnectionAndAllCallsOnIt) {
  check(1);
  check(2);
  settle();
  calls_[0].name = "poll";
  answer(0, 5);
  settle();
  EXPECT_TRUE(answered_.empty());
  EXPECT_EQ(lost_, (std::vector<uint64_t>{1, 2}));
  EXPECT_NE(closed_.find("poll"), std::string::npos) << closed_;
}

TEST_F(ConnectionTest, AReplyToNoCallLosesTheConnection) {
  check(1);
  settle();
  calls_[0].seqid += 1 << 20;
  answer(0, 5);
  settle();
  EXPECT_EQ(lost_, std::vector<uint64_t>{1});
  EXPECT_NE(closed_.find("not made"), std::string::npos) << closed_;
}

TEST_F(ConnectionTest, BytesThatAreNoReplyLoseTheConnection) {
  check(1);
  settle();
  server_.send_raw(calls_[0], "HTTP/1.1 400 Bad Request");
  settle();
  EXPECT_EQ(lost_, std::vector<uint64_t>{1});
  EXPECT_TRUE(connection_->closed());
}

TEST_F(ConnectionTest, ALateReplyToAForgottenCallIsDropped) {
  check(1);
  settle();
  connection_->forget(seqids_[0]);
  answer(0, 5);
  settle();
  EXPECT_TRUE(answered_.empty());
  EXPECT_TRUE(lost_.empty());
  EXPECT_FALSE(connection_->closed());
}

TEST_F(ConnectionTest, ACutConnectionTellsItsOwnerAndEveryCall) {
  check(1);
  check(2);
  settle();
  server_.cut();
  settle();
  EXPECT_EQ(lost_, (std::vector<uint64_t>{1, 2}));
  EXPECT_FALSE(closed_.empty());
}

TEST_F(ConnectionTest, ACallThatTheServerCannotReadWasNotApplied) {
  using apache::thrift::TApplicationException;
  const std::pair<int32_t, api::ErrorCode::type> cases[] = {
      {TApplicationException::UNKNOWN_METHOD, api::ErrorCode::UNSUPPORTED},
      {TApplicationException::PROTOCOL_ERROR, api::ErrorCode::BAD_ARGUMENT},
      {TApplicationException::INTERNAL_ERROR, api::ErrorCode::INTERNAL}};
  for (const auto& [type, code] : cases) {
    check(1);
    settle();
    std::string frame;
    auto writer = std::make_shared<FrameWriter>();
    writer->reset(frame);
    apache::thrift::protocol::TCompactProtocolT<FrameWriter> out(writer);
    out.writeMessageBegin("checkToken", apache::thrift::protocol::T_EXCEPTION, calls_.back().seqid);
    out.writeStructBegin("");
    out.writeFieldBegin("type", apache::thrift::protocol::T_I32, 2);
    out.writeI32(type);
    out.writeFieldEnd();
    out.writeFieldStop();
    server_.send_raw(calls_.back(), frame);
    settle();
    ASSERT_FALSE(refused_.empty());
    EXPECT_EQ(refused_.back().second, code);
  }
  EXPECT_EQ(refused_.size(), 3u);
}

}  // namespace
}  // namespace holdfast::client
