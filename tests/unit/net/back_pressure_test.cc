#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

constexpr size_t kAnswerBytes = 64 << 10;
constexpr size_t kCalls = 200;

/// A server that answers each small frame with a large one, and a peer that sends many.
class BackPressureTest : public testing::Test {
 protected:
  BackPressureTest() {
    server.recorder.react = [this](FrameConnection& connection, std::string_view) {
      connection.send(answer);
      most = std::max(most, connection.output_bytes());
    };
  }
  void send_calls() {
    std::string calls;
    for (size_t i = 0; i < kCalls; ++i) calls += frame_of(std::to_string(i));
    peer.write(calls);
  }
  /// Turns until the server has stopped reading: nothing more comes of another hundred.
  void turn_until_held() {
    ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.frames.empty(); }));
    for (int turn = 0; turn < 100; ++turn) server.loop.turn(0ms);
  }
  size_t handled() const { return server.recorder.frames.size(); }

  const std::string answer = std::string(kAnswerBytes, 'a');
  size_t most = 0;  ///< output that waited
  Server server{{.max_output_bytes = 1 << 20, .waits_for_reader = true, .idle_timeout = 5s}};
  RawPeer peer{server.listener->port(), 64 << 10};
};

TEST_F(BackPressureTest, OneThatSendsFasterThanItReadsGetsAllAnswersAndNoMoreMemoryThanTheBound) {
  send_calls();
  turn_until_held();
  EXPECT_LT(handled(), kCalls);
  const std::string whole = frame_of(answer);
  for (size_t i = 0; i < kCalls; ++i) {
    std::string got;
    ASSERT_TRUE(run_until(server.loop, [&] {
      std::string bytes(whole.size() - got.size(), '\0');
      const ssize_t size = ::recv(peer.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size > 0) got.append(bytes, 0, static_cast<size_t>(size));
      return got.size() == whole.size();
    })) << i;
    ASSERT_TRUE(got == whole) << i;
  }
  EXPECT_EQ(handled(), kCalls);
  EXPECT_LE(most, (1u << 20) + whole.size()) << "one answer past the bound, and no other";
  EXPECT_TRUE(server.recorder.closed.empty());
}

TEST_F(BackPressureTest, WhoseInputIsHeldBackIsNotIdleAndHoldsUpNobody) {
  send_calls();
  turn_until_held();
  const size_t before = handled();
  server.clock.advance(6s);
  server.loop.turn(0ms);
  EXPECT_TRUE(server.recorder.closed.empty()) << "the idle timeout was 5 s";
  EXPECT_EQ(handled(), before);
  EXPECT_FALSE(server.loop.input_left());
}

TEST_F(BackPressureTest, WhoTakesNothingIsEndedInTime) {
  send_calls();
  turn_until_held();
  server.clock.advance(11s);
  server.loop.turn(0ms);
  ASSERT_EQ(server.recorder.closed.size(), 1u);
  EXPECT_EQ(server.recorder.cause(), CloseCause::kWriteTimeout);
}

TEST_F(BackPressureTest, WhatIsSentUnaskedIsBoundedToo) {
  ASSERT_TRUE(server.accepted());
  for (int i = 0; i < 1'000 && !server.only().closed(); ++i) {
    server.only().send(answer);
    most = std::max(most, server.only().output_bytes());
    server.loop.turn(0ms);
  }
  ASSERT_EQ(server.recorder.closed.size(), 1u);
  EXPECT_EQ(server.recorder.cause(), CloseCause::kOutputOverflow);
  EXPECT_NE(server.recorder.message().find("2097152"), std::string::npos);
  EXPECT_LE(most, (2u << 20) + kAnswerBytes + 4);
}

TEST_F(BackPressureTest, ThePauseOfItsOwnerOutlastsIt) {
  send_calls();
  turn_until_held();
  server.only().pause_reading();
  ASSERT_TRUE(run_until(server.loop, [&] {
    peer.read_all_there_is();
    return server.only().output_bytes() == 0;
  }));
  const size_t before = handled();
  for (int turn = 0; turn < 100; ++turn) server.loop.turn(0ms);
  EXPECT_EQ(handled(), before);
  server.only().resume_reading();
  EXPECT_TRUE(run_until(server.loop, [&] {
    peer.read_all_there_is();
    return handled() == kCalls;
  }));
}

}  // namespace
}  // namespace holdfast::net
