#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

using Frames = std::vector<std::string>;

constexpr size_t kAnswerBytes = 64 << 10;
constexpr size_t kCalls = 500;
constexpr size_t kBound = 1 << 20;

/// A server that answers each small frame with a large one, and a peer that sends many.
class BackPressureTest : public testing::Test {
 protected:
  explicit BackPressureTest(int receive_buffer = 0)
      : peer(server.listener->port(), receive_buffer) {
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
  Server server{{.max_output_bytes = kBound, .waits_for_reader = true, .idle_timeout = 400ms}};
  RawPeer peer;
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
  EXPECT_LE(most, kBound + whole.size()) << "one answer past the bound, and no other";
  EXPECT_TRUE(server.recorder.closed.empty());
}

TEST_F(BackPressureTest, WhoseInputIsHeldBackIsNotIdleAndHoldsUpNobody) {
  send_calls();
  turn_until_held();
  const size_t before = handled();
  server.clock.advance(900ms);
  server.loop.turn(0ms);
  EXPECT_TRUE(server.recorder.closed.empty()) << "the idle timeout was 400 ms";
  EXPECT_EQ(handled(), before);
  EXPECT_FALSE(server.loop.input_left());
}

/// One whose kernel takes little for it, so that what it reads is soon acknowledged.
class SlowReaderTest : public BackPressureTest {
 protected:
  SlowReaderTest() : BackPressureTest(64 << 10) {
    send_calls();
    turn_until_held();
    server.clock.stop();
  }
  /// Its system says at once what it has read.
  void read_some() {
    peer.read(64 << 10);
    for (int turn = 0; turn < 100; ++turn) server.loop.turn(0ms);
  }
  void pass(Duration time) {
    server.clock.advance(time);
    server.loop.turn(0ms);
  }
  bool ended() const { return !server.recorder.closed.empty(); }
};

// A renewal may be among what is not read: its client should be able to dial again in time.
TEST_F(SlowReaderTest, WhoReadsNothingIsEndedAfterASecond) {
  pass(500ms);
  EXPECT_FALSE(ended());
  pass(500ms);  // what its system had taken by itself may be seen now
  if (!ended()) pass(1'000ms);
  ASSERT_TRUE(ended());
  EXPECT_EQ(server.recorder.cause(), CloseCause::kOutputOverflow);
  EXPECT_NE(server.recorder.message().find("it took nothing for 1000 ms"), std::string::npos);
}

TEST_F(SlowReaderTest, WhoReadsSlowlyIsEndedInTimeAndNotBefore) {
  for (int i = 0; i < 3; ++i) {
    read_some();
    pass(600ms);
    EXPECT_FALSE(ended()) << i;
  }
  read_some();
  pass(200ms);
  ASSERT_TRUE(ended());
  EXPECT_EQ(server.recorder.cause(), CloseCause::kOutputOverflow);
  EXPECT_NE(server.recorder.message().find("524288 bytes may after 2000 ms"), std::string::npos);
}

TEST_F(SlowReaderTest, APauseOfItsOwnerIsNotItsFault) {
  server.only().pause_reading();
  for (int i = 0; i < 5; ++i) pass(1'000ms);
  EXPECT_FALSE(ended());
  server.only().resume_reading();
  pass(999ms);
  EXPECT_FALSE(ended());
  pass(1'001ms);
  EXPECT_TRUE(ended());
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
  EXPECT_LE(most, 2 * kBound + kAnswerBytes + 4);
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

// Its frames wait in the socket, where nobody looks.
TEST_F(BackPressureTest, WhoseOwnerHasPausedIsNotIdle) {
  ASSERT_TRUE(server.accepted());
  server.only().pause_reading();
  peer.write(frame_of("call"));
  server.clock.advance(900ms);
  for (int turn = 0; turn < 10; ++turn) server.loop.turn(0ms);
  EXPECT_TRUE(server.recorder.closed.empty());
  server.only().resume_reading();
  EXPECT_TRUE(run_until(server.loop, [&] { return handled() == 1; }));
  server.clock.advance(401ms);
  EXPECT_TRUE(run_until(server.loop, [&] { return !server.recorder.closed.empty(); }));
}

// Frames that wait here must not be taken for the piece of one that is read on. Each answer holds
// back what came behind its call.
TEST_F(BackPressureTest, WhatIsHeldBackIsHandledInOrderWhateverItsSizes) {
  const std::string large(kBound + 1, 'a');
  server.recorder.react = [&](FrameConnection& connection, std::string_view) {
    connection.send(large);
  };
  const std::vector<std::vector<size_t>> held = {
      {70'000, 5, 70'000}, {70'000},
      {5, 70'000, 5, 5},   {262'140},
      {5, 262'135},        {70'000, 300'000},
      {65'533, 70},        {200'000, 200'000},
      {5, 66'000, 5, 5},   {262'136, 4},
      {5, 65'532, 65'532}, {5, 70'000, 5, 70'000, 5, 70'000, 5, 70'000}};
  Frames sent;
  std::string bytes;
  for (const std::vector<size_t>& sizes : held) {
    for (const size_t size : sizes) {
      sent.emplace_back(size, static_cast<char>('a' + sent.size() % 26));
      bytes += frame_of(sent.back());
    }
  }
  std::thread writer([&] { peer.write(bytes); });
  const bool all = run_until(server.loop, [&] {
    peer.read_all_there_is();
    return handled() == sent.size() || !server.recorder.closed.empty();
  });
  if (!all || !server.recorder.closed.empty()) peer.reset();
  writer.join();
  ASSERT_TRUE(server.recorder.closed.empty()) << server.recorder.message();
  EXPECT_TRUE(server.recorder.frames == sent);
}

// As an owner may stop in the middle of what one read brought, and more comes.
TEST(PausedConnection, HandlesWhatItHadBeforeItReadsOn) {
  for (const size_t size : {size_t{5}, size_t{70'000}, size_t{131'068}, size_t{262'140}}) {
    Server server({.idle_timeout = 5s});
    server.recorder.react = [](FrameConnection& connection, std::string_view payload) {
      if (payload == "stop") connection.pause_reading();
    };
    RawPeer peer(server.listener->port());
    const std::string large(size, 'x');
    const Frames sent{"stop", large, large, large, large, "stop", "stop", large, "last"};
    std::string bytes;
    for (const std::string& frame : sent) bytes += frame_of(frame);
    std::thread writer([&] { peer.write(bytes); });
    const bool all = run_until(server.loop, [&] {
      if (!server.connections.empty()) server.only().resume_reading();
      return server.recorder.frames.size() == sent.size() || !server.recorder.closed.empty();
    });
    writer.join();
    ASSERT_TRUE(all);
    ASSERT_TRUE(server.recorder.closed.empty()) << server.recorder.message();
    EXPECT_TRUE(server.recorder.frames == sent) << size;
  }
}

// A large frame has pieces of any size, and the loop's buffer may have room for less.
TEST(FrameConnection, ABufferThatIsSmallerThanAFrameIsLargeEnough) {
  for (const Duration budget : {Duration(0ms), Duration(1ms)}) {
    ShiftedClock clock;
    Loop loop(clock, {.read_budget = budget, .read_buffer_bytes = 16 << 10});
    Recorder recorder;
    std::unique_ptr<FrameConnection> connection;
    const auto listener =
        std::move(*Listener::open(loop, kLoopback,
                                  [&](Socket socket, const Address&) {
                                    connection = std::make_unique<FrameConnection>(
                                        loop, std::move(socket), FrameOptions{}, recorder);
                                  },
                                  {}));
    RawPeer peer(listener->port());
    Frames sent;
    for (const size_t size : {16'379, 16'380, 16'381, 20'000, 40'000, 65'532, 65'536, 5, 70'000}) {
      sent.emplace_back(size, static_cast<char>('a' + sent.size()));
      const std::string bytes = frame_of(sent.back());
      for (size_t at = 0; at < bytes.size(); at += 10'000) {
        peer.write(bytes.substr(at, 10'000));
        for (int turn = 0; turn < 3; ++turn) loop.turn(1ms);
      }
    }
    ASSERT_TRUE(run_until(loop, [&] { return recorder.frames.size() == sent.size(); }));
    EXPECT_TRUE(recorder.frames == sent);
  }
}

TEST(FrameConnection, ReadsSoMuchAtOnceBeforeItLooksAtTheTime) {
  ShiftedClock clock;
  Loop loop(clock, {.read_budget = 0ms});
  Recorder recorder;
  std::vector<std::unique_ptr<FrameConnection>> connections;
  const auto listener = std::move(*Listener::open(
      loop, kLoopback,
      [&](Socket socket, const Address&) {
        connections.push_back(std::make_unique<FrameConnection>(
            loop, std::move(socket), FrameOptions{.max_read_bytes = 1000}, recorder));
      },
      {}));
  RawPeer peer(listener->port());
  ASSERT_TRUE(run_until(loop, [&] { return !connections.empty(); }));
  std::string frames;
  for (int i = 0; i < 2'000; ++i) frames += frame_of("");
  peer.write(frames);
  size_t before = 0;
  while (recorder.frames.size() < 2'000) {
    loop.turn(20ms);
    ASSERT_LE(recorder.frames.size() - before, 250u) << "1,000 bytes of frames of 4";
    before = recorder.frames.size();
  }
  const std::string large(40'000, 'x');
  peer.write(frame_of(large));
  const uint64_t receives = loop.stats().receives;
  ASSERT_TRUE(run_until(loop, [&] { return recorder.frames.size() == 2'001; }));
  EXPECT_LE(loop.stats().receives - receives, 4u) << "a large frame is read on as a whole";
  EXPECT_TRUE(recorder.frames.back() == large);
}

}  // namespace
}  // namespace holdfast::net
