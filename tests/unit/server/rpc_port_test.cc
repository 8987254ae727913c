// A port as its clients see it: frames in, frames out, whatever the frames hold and whenever the
// engine answers.
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/holdfast_types.tcc"
#include "tests/support/cpu_time.h"
#include "tests/unit/server/rpc_fixture.h"

namespace holdfast::server {
namespace {

using apache::thrift::TApplicationException;
using apache::thrift::protocol::T_CALL;
using apache::thrift::protocol::T_EXCEPTION;
using apache::thrift::protocol::T_ONEWAY;
using apache::thrift::protocol::T_REPLY;

TEST_F(RpcPortTest, EitherProtocolIsAnsweredInItsOwnOnOneConnection) {
  net::RawPeer peer(port->port());
  for (const WireProtocol protocol :
       {WireProtocol::kBinary, WireProtocol::kCompact, WireProtocol::kBinary}) {
    peer.write(net::frame_of(keep_alive(protocol, 5)));
    const Reply reply = next(peer);
    EXPECT_EQ(reply.protocol, protocol);
    EXPECT_EQ(reply.name, "keepAlive");
    EXPECT_EQ(reply.type, T_REPLY);
    EXPECT_EQ(reply.seqid, 5);
    const auto result = decode<api::Holdfast_keepAlive_result>(reply);
    EXPECT_TRUE(result.__isset.success);
    EXPECT_GT(result.success.leaseMs, 0);
  }
}

TEST_F(RpcPortTest, FramesThatArriveTogetherAreAllAnswered) {
  net::RawPeer peer(port->port());
  std::string bytes;
  for (int i = 1; i <= 50; ++i) bytes += net::frame_of(keep_alive(WireProtocol::kCompact, i));
  peer.write(bytes);
  std::set<int32_t> seqids;
  for (int i = 1; i <= 50; ++i) seqids.insert(next(peer).seqid);
  EXPECT_EQ(seqids.size(), 50u);
  EXPECT_EQ(port->outstanding(), 0u);
}

TEST_F(RpcPortTest, AFrameThatArrivesByteByByteIsAnswered) {
  net::RawPeer peer(port->port());
  for (const char byte : net::frame_of(keep_alive(WireProtocol::kBinary, 1))) {
    peer.write({&byte, 1});
    loop.turn(0ms);
  }
  EXPECT_EQ(next(peer).type, T_REPLY);
}

TEST_F(RpcPortTest, CallsOfOneNumberAreAnsweredInTheirOrderOthersOvertake) {
  take_lock();
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(acquire(0, 11)) + net::frame_of(keep_alive(WireProtocol::kBinary, 0)) +
             net::frame_of(keep_alive(WireProtocol::kBinary, 0)) +
             net::frame_of(keep_alive(WireProtocol::kBinary, 7)));
  EXPECT_EQ(next(peer).seqid, 7);
  settle();
  EXPECT_EQ(port->outstanding(), 3u) << "two answers wait behind the first";
  give_lock();
  const std::vector<std::string> names = {next(peer).name, next(peer).name, next(peer).name};
  EXPECT_EQ(names, (std::vector<std::string>{"acquire", "keepAlive", "keepAlive"}));
  EXPECT_EQ(port->outstanding(), 0u);
}

TEST_F(RpcPortTest, TheSameNumberOnTwoConnectionsIsTwoCalls) {
  take_lock();
  net::RawPeer first(port->port());
  net::RawPeer second(port->port());
  first.write(net::frame_of(acquire(0, 11)));
  settle();
  second.write(net::frame_of(keep_alive(WireProtocol::kBinary, 0)));
  EXPECT_EQ(next(second).name, "keepAlive");
}

TEST_F(RpcPortTest, AConnectionClosedWithCallsParkedLeavesNothingAndItsAnswersReachNobody) {
  take_lock();
  {
    net::RawPeer gone(port->port());
    gone.write(net::frame_of(acquire(0, 11)) + net::frame_of(acquire(0, 12)) +
               net::frame_of(acquire(1, 13)) + net::frame_of(keep_alive(WireProtocol::kBinary, 0)));
    settle();
    EXPECT_EQ(port->outstanding(), 4u);
  }
  ASSERT_TRUE(net::run_until(loop, [&] { return port->connections() == 0; }));
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 21)));
  EXPECT_EQ(next(peer).seqid, 21);
  give_lock();
  peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 22)));
  EXPECT_EQ(next(peer).seqid, 22) << "nothing of the other connection's comes here";
  cancel(12);
  cancel(13);
  settle();
  EXPECT_EQ(port->outstanding(), 0u);
  EXPECT_TRUE(nothing_more(peer));
}

using RpcPortDeathTest = RpcPortTest;

TEST_F(RpcPortDeathTest, ALateAnswerNeverPassesForThatOfALaterCallInTheSamePlace) {
  take_lock();
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 1)));
  next(peer);
  peer.write(net::frame_of(acquire(2, 11)));
  settle();
  ASSERT_EQ(port->outstanding(), 1u);
  const CallId answered_before{1, 0, 0};
  EXPECT_DEATH(port->fail(answered_before, api::HoldfastError{}), "answered exactly once");
}

// ---- limits ----------------------------------------------------------------------------------

TEST_F(RpcPortTest, CallsBeyondTheLimitOfAConnectionAreRefusedAtOnce) {
  take_lock();
  net::RawPeer peer(port->port());
  for (int i = 1; i <= 4; ++i) peer.write(net::frame_of(acquire(i, 10 + i)));
  settle();
  peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 9)));
  const auto refused = decode<api::Holdfast_keepAlive_result>(next(peer));
  EXPECT_EQ(refused.error.code, api::ErrorCode::OVERLOADED);
  EXPECT_GT(refused.error.retryAfterMs, 0);
  EXPECT_EQ(port->stats().overloaded, 1u);
  net::RawPeer other(port->port());
  other.write(net::frame_of(keep_alive(WireProtocol::kBinary, 9)));
  EXPECT_TRUE(decode<api::Holdfast_keepAlive_result>(next(other)).__isset.success)
      << "the limit is each connection's own";
}

TEST_F(RpcPortTest, AClientThatGoesOnThoughItsRefusalsQueueUpIsCutOff) {
  take_lock();
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(acquire(0, 11)));
  std::string flood;
  for (int i = 0; i < 100; ++i) flood += net::frame_of(keep_alive(WireProtocol::kBinary, 0));
  peer.write(flood);
  ASSERT_TRUE(net::run_until(loop, [&] { return port->connections() == 0; }));
  EXPECT_LE(port->outstanding(), 9u) << "twice the limit of four, and the one too many";
  give_lock();
  settle();
  EXPECT_EQ(port->outstanding(), 0u);
}

/// Calls that the test answers when it likes.
class HeldCalls final : public CallTaker {
 public:
  RpcArguments& arguments_for(const RpcMethod&) override { return arguments_; }
  void take(const RpcMethod&, CallId call, size_t) override { calls.push_back(call); }
  void refuse_overloaded(CallId call, const std::string&) override { on_refused(call); }
  void abandon(CallId call) override { abandoned.push_back(call); }
  std::vector<CallId> calls;
  std::vector<CallId> abandoned;
  std::function<void(CallId)> on_refused = [](CallId) { ADD_FAILURE(); };

 private:
  RpcArguments arguments_;
};

// Of one connection: in whichever order they were answered, and though places are used again.
TEST_F(RpcPortTest, TheCallsThatAClosedConnectionLeavesBehindAreTold) {
  RpcPortOptions options;
  options.address = net::kLoopback;
  const auto own = std::move(*RpcPort::open(loop, options, client_methods()));
  HeldCalls taker;
  own->serve(taker);
  const api::KeepAliveResult result;
  const auto answer = [&](size_t call) { own->complete(taker.calls[call], &result); };
  net::RawPeer stays(own->port());
  net::RawPeer goes(own->port());
  const auto ask = [&](net::RawPeer& peer, int seqid) {
    const size_t before = taker.calls.size();
    peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, seqid)));
    ASSERT_TRUE(net::run_until(loop, [&] { return taker.calls.size() == before + 1; }));
  };
  for (int i = 0; i < 6; ++i) ask(i % 2 == 0 ? goes : stays, i);  // calls 0, 2 and 4 are of `goes`
  answer(2);
  answer(1);
  ask(goes, 6);
  ask(goes, 0);  // behind the first in line
  answer(7);     // and held for that
  ask(goes, 7);
  answer(8);
  ask(stays, 7);  // where that one was
  goes.close();
  ASSERT_TRUE(net::run_until(loop, [&] { return own->connections() == 1; }));
  std::set<size_t> left;
  for (size_t i = 0; i < taker.calls.size(); ++i) {
    if (std::ranges::count(taker.abandoned, taker.calls[i]) == 1) left.insert(i);
  }
  EXPECT_EQ(left, (std::set<size_t>{0, 4, 6}));
  EXPECT_EQ(taker.abandoned.size(), 3u);
  for (const size_t call : {0, 3, 4, 5, 6, 9}) answer(call);
  EXPECT_EQ(own->outstanding(), 0u);
}

// Stock clients number all their calls 0: one that is parked holds back the answers to all others.
TEST_F(RpcPortTest, AnswersThatWaitForAnEarlierOneAreBoundedAsWhatIsSentIs) {
  RpcPortOptions options;
  options.address = net::kLoopback;
  options.frames.max_output_bytes = 64 << 10;
  const auto own = std::move(*RpcPort::open(loop, options, client_methods()));
  HeldCalls taker;
  own->serve(taker);
  net::RawPeer peer(own->port());
  for (int i = 0; i < 100; ++i) peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 0)));
  ASSERT_TRUE(net::run_until(loop, [&] { return taker.calls.size() == 100; }));
  api::GetResult large;
  large.found = true;
  large.key.value.assign(10 << 10, 'x');
  const auto answer = [&](size_t call) { own->complete(taker.calls[call], &large); };
  for (size_t call = 1; call <= 12; ++call) answer(call);
  EXPECT_EQ(own->connections(), 1u);
  for (size_t call = 13; call < 100; ++call) answer(call);
  EXPECT_EQ(own->connections(), 0u) << "twice the bound, as for what is sent in one turn";
  EXPECT_EQ(own->stats().closed[static_cast<size_t>(net::CloseCause::kOutputOverflow)], 1u);
  EXPECT_LT(own->bytes_sent(), 200u << 10);
  answer(0);
  EXPECT_EQ(own->outstanding(), 0u);
}

// Stock clients come and go with answers that wait, while other clients' polls are parked.
TEST_F(RpcPortTest, AConnectionGoesAsFastHoweverManyCallsOthersHaveOutstanding) {
  RpcPortOptions options;
  options.address = net::kLoopback;
  options.max_calls_per_connection = 1'000'000;
  const auto own = std::move(*RpcPort::open(loop, options, client_methods()));
  HeldCalls taker;
  own->serve(taker);
  net::RawPeer parked(own->port());
  const auto call = [&](net::RawPeer& peer, int count) {
    const size_t all = taker.calls.size() + static_cast<size_t>(count);
    std::string frames;
    for (int i = 0; i < count; ++i) frames += net::frame_of(keep_alive(WireProtocol::kBinary, 0));
    peer.write(frames);
    ASSERT_TRUE(net::run_until(loop, [&] { return taker.calls.size() == all; }));
  };
  const api::KeepAliveResult done;
  const auto cost = [&] {
    std::vector<std::unique_ptr<net::RawPeer>> peers(200);
    std::vector<CallId> calls;
    for (auto& peer : peers) {
      peer = std::make_unique<net::RawPeer>(own->port());
      call(*peer, 2);
      own->complete(taker.calls.back(), &done);
      calls.push_back(taker.calls[taker.calls.size() - 2]);
    }
    const double before = cpu_seconds();
    for (const CallId each : calls) own->cut_off(each);
    const double taken = cpu_seconds() - before;
    for (const CallId each : calls) own->complete(each, &done);
    return taken;
  };
  call(parked, 100);
  const double few = least_of(3, cost);
  for (int i = 0; i < 200; ++i) call(parked, 1'000);
  const double many = least_of(3, cost);
  EXPECT_LT(many, 10 * few) << few << " s with 100 parked, " << many << " s with 200,100";
}

TEST_F(RpcPortTest, ARefusalThatFindsNoRoomEndsItsConnectionToo) {
  RpcPortOptions options;
  options.address = net::kLoopback;
  options.frames.max_output_bytes = 64 << 10;
  options.max_calls_per_connection = 4;
  const auto own = std::move(*RpcPort::open(loop, options, client_methods()));
  HeldCalls taker;
  api::GetResult large;
  large.found = true;
  large.key.value.assign(200 << 10, 'x');
  taker.on_refused = [&](CallId call) { own->complete(call, &large); };
  own->serve(taker);
  net::RawPeer peer(own->port());
  for (int i = 0; i < 6; ++i) peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 0)));
  EXPECT_TRUE(net::run_until(loop, [&] { return own->connections() == 0; }));
  for (const CallId call : taker.calls) own->complete(call, &large);
  EXPECT_EQ(own->outstanding(), 0u);
}

TEST_F(RpcPortTest, AnOversizedFrameEndsTheConnectionBeforeItIsRead) {
  net::RawPeer peer(port->port());
  peer.write(std::string("\x00\x01\x00\x01", 4));  // one byte above 64 KiB
  EXPECT_TRUE(net::run_until(loop, [&] { return peer.at_end(); }));
  EXPECT_EQ(port->connections(), 0u);
}

TEST_F(RpcPortTest, ASlowSenderIsCutOff) {
  net::RawPeer peer(port->port());
  const std::string frame = net::frame_of(keep_alive(WireProtocol::kBinary, 1));
  peer.write(frame.substr(0, frame.size() - 1));
  settle();
  clock.advance(900ms);
  settle();
  EXPECT_EQ(port->connections(), 1u);
  clock.advance(200ms);
  EXPECT_TRUE(net::run_until(loop, [&] { return port->connections() == 0; }));
}

TEST_F(RpcPortTest, AConnectionWithACallOutstandingIsNotIdle) {
  take_lock();
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(acquire(0, 11)));
  settle();
  clock.advance(5s);
  settle();
  EXPECT_EQ(port->connections(), 1u) << "it waits for its answer";
  give_lock();
  EXPECT_EQ(next(peer).name, "acquire");
  clock.advance(1'900ms);
  settle();
  EXPECT_EQ(port->connections(), 1u) << "idle counts from the answer on";
  clock.advance(200ms);
  EXPECT_TRUE(net::run_until(loop, [&] { return port->connections() == 0; }));
}

// ---- malformed calls -------------------------------------------------------------------------

TEST_F(RpcPortTest, BytesThatAreNoThriftEndTheConnection) {
  for (const std::string& bytes :
       {std::string(), std::string("GET / HTTP/1.1"), std::string(1, '\x80'),
        std::string("\x82\x41", 2), std::string("\x80\x02\x00\x01\x00\x00\x00\x01x", 9)}) {
    net::RawPeer peer(port->port());
    const uint64_t before = port->stats().malformed;
    peer.write(net::frame_of(bytes));
    EXPECT_TRUE(net::run_until(loop, [&] { return peer.at_end(); })) << bytes.size();
    EXPECT_EQ(port->stats().malformed, before + 1);
  }
  EXPECT_EQ(port->outstanding(), 0u);
}

TEST_F(RpcPortTest, AnUnknownMethodIsAnExceptionThatNamesIt) {
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(message("status", T_CALL, 3, "")));
  const auto exception = exception_of(next(peer));
  EXPECT_EQ(exception.getType(), TApplicationException::UNKNOWN_METHOD);
  EXPECT_THAT(exception.what(), testing::HasSubstr("no method 'status'"));
  peer.write(net::frame_of(message(std::string(5'000, 'm'), T_CALL, 3, "")));
  EXPECT_LT(std::string(exception_of(next(peer)).what()).size(), 120u) << "cut, not repeated";
  expect_usable(peer);
}

TEST_F(RpcPortTest, AMessageThatIsNoCallIsAnException) {
  net::RawPeer peer(port->port());
  for (const auto type : {T_REPLY, T_EXCEPTION, T_ONEWAY}) {
    peer.write(net::frame_of(message("keepAlive", type, 3, "")));
    EXPECT_EQ(exception_of(next(peer)).getType(), TApplicationException::INVALID_MESSAGE_TYPE);
  }
  expect_usable(peer);
}

TEST_F(RpcPortTest, ArgumentsCutOffAnywhereAreAnExceptionAndTheConnectionGoesOn) {
  net::RawPeer peer(port->port());
  for (const WireProtocol protocol : {WireProtocol::kBinary, WireProtocol::kCompact}) {
    const std::string whole = keep_alive(protocol, 4);
    const size_t head = whole.size() - arguments_size(protocol);
    for (size_t size = head; size < whole.size(); ++size) {
      peer.write(net::frame_of(whole.substr(0, size)));
      const Reply reply = next(peer);
      EXPECT_EQ(exception_of(reply).getType(), TApplicationException::PROTOCOL_ERROR) << size;
      EXPECT_EQ(reply.seqid, 4);
    }
  }
  expect_usable(peer);
}

TEST_F(RpcPortTest, BytesBehindTheMessageAreAnException) {
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 4) + std::string(3, '\0')));
  const auto exception = exception_of(next(peer));
  EXPECT_EQ(exception.getType(), TApplicationException::PROTOCOL_ERROR);
  EXPECT_THAT(exception.what(), testing::HasSubstr("3 bytes follow the message"));
  expect_usable(peer);
}

TEST_F(RpcPortTest, AbsurdLengthsInsideAFrameAreRefusedWithoutTheirMemory) {
  net::RawPeer peer(port->port());
  const std::string context_acknowledged("\x0c\x00\x01\x0f\x00\x04\x0c", 7);  // list of structs
  const std::string context_secret("\x0c\x00\x01\x0b\x00\x02", 6);            // a string
  for (const std::string& field : {context_acknowledged, context_secret}) {
    for (const std::string& length :
         {std::string("\x7f\xff\xff\xff", 4), std::string("\xff\xff\xff\xff", 4),
          std::string("\x00\x0f\x42\x40", 4)}) {
      peer.write(net::frame_of(message("keepAlive", T_CALL, 4, field + length)));
      EXPECT_EQ(exception_of(next(peer)).getType(), TApplicationException::PROTOCOL_ERROR);
    }
  }
  expect_usable(peer);
}

TEST_F(RpcPortTest, WhatOneCallLeavesOutIsNotTakenFromTheCallBefore) {
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(acquire(1, 31, "/free", /*enqueue=*/true)));
  next(peer);
  // All of the second call's context is absent: nothing of the first one's session is left.
  peer.write(net::frame_of(message("acquire", T_CALL, 2, std::string(1, '\0'))));
  const auto result = decode<api::Holdfast_acquire_result>(next(peer));
  EXPECT_EQ(result.error.code, api::ErrorCode::BAD_ARGUMENT);
  EXPECT_EQ(result.error.message, "context.sessionId is 0: this call belongs to a session");
}

// ---- the life of a port ----------------------------------------------------------------------

TEST_F(RpcPortTest, CallsMadeBeforeTheEngineIsThereWaitForIt) {
  auto early = open_port();
  net::RawPeer peer(early->port());
  peer.write(net::frame_of(keep_alive(WireProtocol::kBinary, 1)));
  ASSERT_TRUE(net::run_until(loop, [&] { return early->connections() == 1; }));
  loop.turn(20ms);
  EXPECT_EQ(early->stats().calls, 0u);
  port = std::move(early);
  port->serve(server.engine());
  server.ports = port.get();
  EXPECT_EQ(next(peer).name, "keepAlive");
}

TEST_F(RpcPortTest, AtTheEndWhatIsOutstandingIsAnsweredAndThenTheConnectionsClose) {
  take_lock();
  net::RawPeer peer(port->port());
  peer.write(net::frame_of(acquire(0, 11)));
  settle();
  port->stop_accepting();
  server.engine().begin_drain();
  server.engine().finish_drain();
  port->close_all_after_flush();
  EXPECT_EQ(decode<api::Holdfast_acquire_result>(next(peer)).error.code,
            api::ErrorCode::SHUTTING_DOWN);
  EXPECT_TRUE(net::run_until(loop, [&] { return peer.at_end(); }));
  EXPECT_EQ(port->outstanding(), 0u);
}

}  // namespace
}  // namespace holdfast::server
