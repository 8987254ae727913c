// What a loop knows of its input though somebody floods it.
#include <sys/ioctl.h>

#include <algorithm>
#include <span>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

/// Sends frames without end.
class Flooder : public RawPeer {
 public:
  using RawPeer::RawPeer;
  /// As much as the kernel takes.
  void flood() {
    static const std::string kMany = [] {
      std::string many;
      while (many.size() < (1 << 16)) many += frame_of("flood");
      return many;
    }();
    while (true) {
      const size_t at = sent_ % kMany.size();
      const ssize_t sent =
          ::send(fd(), kMany.data() + at, kMany.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent <= 0) return;
      sent_ += static_cast<size_t>(sent);
    }
  }
  /// How many bytes have come to the other side.
  size_t arrived() const {
    int waiting = 0;
    EXPECT_EQ(ioctl(fd(), TIOCOUTQ, &waiting), 0);
    return sent_ - static_cast<size_t>(waiting);
  }

 private:
  size_t sent_ = 0;
};

/// A turn reads once. The flood is more than it reads in one turn, in every turn.
class FloodedLoopTest : public testing::Test {
 protected:
  FloodedLoopTest() {
    listener_ = std::move(*Listener::open(loop, kLoopback, [this](Socket socket, const Address&) {
      connections.push_back(
          std::make_unique<FrameConnection>(loop, std::move(socket), options, recorder));
    }));
  }
  std::unique_ptr<Flooder> connect() {
    auto peer = std::make_unique<Flooder>(listener_->port());
    EXPECT_TRUE(peer->connected());
    return peer;
  }
  std::unique_ptr<Flooder> connect_and_accept() {
    const size_t before = connections.size();
    auto peer = connect();
    EXPECT_TRUE(run_until(loop, [&] { return connections.size() > before; }));
    return peer;
  }
  /// Of the peers that do not flood.
  bool heard(const std::string& frame) const {
    return std::ranges::find(recorder.frames, frame) != recorder.frames.end();
  }
  /// Turns under the flood until what had come by now is known to be handled.
  void turn_until_handled(
      Flooder& flooder, const std::function<void()>& each = [] {}) {
    const Instant asked = clock.now();
    loop.ask_handled_until(asked);
    constexpr int kTurnsMax = 5'000;
    for (int turns = 0; loop.handled_until() < asked; ++turns) {
      ASSERT_LT(turns, kTurnsMax);
      flooder.flood();
      loop.turn(0ms);
      ASSERT_TRUE(loop.input_left());
      each();
    }
  }

  ShiftedClock clock;
  Loop loop{clock, {.read_budget = 0ms, .gap_threshold = 500ms, .read_buffer_bytes = 16 << 10}};
  FrameOptions options;  ///< of those accepted from now on
  Recorder recorder;
  std::vector<std::unique_ptr<FrameConnection>> connections;

 private:
  std::unique_ptr<Listener> listener_;
};

TEST_F(FloodedLoopTest, WhatHadComeIsKnownToBeHandledThoughThereIsAlwaysMore) {
  const auto flooder = connect_and_accept();
  const auto other = connect_and_accept();
  flooder->flood();
  other->write(frame_of("renewal"));
  turn_until_handled(*flooder);
  EXPECT_TRUE(heard("renewal"));
}

TEST_F(FloodedLoopTest, SoIsWhatHadComeOnTheFloodedConnectionItself) {
  const auto flooder = connect_and_accept();
  flooder->flood();
  const size_t arrived = flooder->arrived();
  turn_until_handled(*flooder);
  EXPECT_GE((recorder.frames.size() + 1) * frame_of("flood").size(), arrived);
}

TEST_F(FloodedLoopTest, AConnectionThatWaitsToBeAcceptedCounts) {
  const auto flooder = connect_and_accept();
  flooder->flood();
  const auto other = connect();
  other->write(frame_of("renewal"));
  turn_until_handled(*flooder);
  EXPECT_TRUE(heard("renewal"));
}

TEST_F(FloodedLoopTest, OneThatIsPausedOrClosedIsNotWaitedFor) {
  const auto flooder = connect_and_accept();
  const auto paused = connect_and_accept();
  const auto closed = connect_and_accept();
  flooder->flood();
  for (Flooder* peer : {paused.get(), closed.get()}) peer->flood();
  bool done = false;
  turn_until_handled(*flooder, [&] {
    if (std::exchange(done, true)) return;
    connections[1]->pause_reading();
    connections[2].reset();
  });
}

// It owes what had come when the mark was set until it is held back, and nothing for that mark
// again.
TEST_F(FloodedLoopTest, OnesThatAreHeldBackAgainAndAgainAreNotWaitedFor) {
  const auto flooder = connect_and_accept();
  options = {.max_output_bytes = 64 << 10, .waits_for_reader = true};
  const auto one = connect_and_accept();
  const auto other = connect_and_accept();
  const std::string answer(4 << 10, 'a');
  recorder.react = [&](FrameConnection& connection, std::string_view) {
    if (&connection != connections[0].get()) connection.send(answer);
  };
  turn_until_handled(*flooder, [&, turn = 0]() mutable {
    one->flood();
    other->flood();
    (++turn % 2 == 0 ? one : other)->read_all_there_is();
  });
}

TEST_F(FloodedLoopTest, WhoGoesFirstIsReadInEachTurn) {
  std::vector<std::unique_ptr<Flooder>> flooders(8);
  for (auto& flooder : flooders) flooder = connect_and_accept();
  options = {.goes_first = true};
  const auto first = connect_and_accept();
  for (int turn = 0; turn < 100; ++turn) {
    for (auto& flooder : flooders) flooder->flood();
    const std::string frame = "turn " + std::to_string(turn);
    first->write(frame_of(frame));
    loop.turn(0ms);
    ASSERT_TRUE(heard(frame));
    recorder.frames.clear();
  }
  connections.back()->pause_reading();
  first->write(frame_of("not now"));
  loop.turn(0ms);
  EXPECT_FALSE(heard("not now"));
  connections.back()->resume_reading();
  loop.turn(0ms);
  loop.turn(0ms);
  EXPECT_TRUE(heard("not now"));
  connections.pop_back();
  loop.turn(0ms);
}

class PausedConnectionsTest : public FloodedLoopTest {
 protected:
  /// So many whose frame waits behind one that paused them.
  void pause(size_t count) {
    recorder.react = [](FrameConnection& connection, std::string_view payload) {
      if (payload == "stop") connection.pause_reading();
    };
    const size_t first = connections.size();
    for (size_t i = 0; i < count; ++i) {
      peers_.push_back(connect_and_accept());
      peers_.back()->write(frame_of("stop") + frame_of("renewal"));
    }
    ASSERT_TRUE(run_until(loop, [&] { return count_of("stop") == count; }));
    paused_ = std::span(connections).subspan(first);
  }
  void resume() {
    for (const auto& connection : paused_) connection->resume_reading();
  }
  size_t count_of(const char* frame) const {
    return static_cast<size_t>(std::ranges::count(recorder.frames, frame));
  }

 private:
  std::vector<std::unique_ptr<Flooder>> peers_;
  std::span<std::unique_ptr<FrameConnection>> paused_;
};

// Frames that came before their connections were paused are worth a turn's time too.
TEST_F(PausedConnectionsTest, OfThoseThatAreReadAgainOneATurnIsHandledWhenThereIsNoTime) {
  constexpr size_t kPaused = 5;
  pause(kPaused);
  resume();
  for (size_t turn = 1; turn <= kPaused; ++turn) {
    loop.turn(0ms);
    EXPECT_EQ(count_of("renewal"), turn);
    EXPECT_TRUE(loop.input_left());
  }
}

// What was read before a connection was held back may be a renewal, and waits for nobody any more.
TEST_F(PausedConnectionsTest, WhatWaitsForItsTurnAfterThatIsNotHandledYet) {
  constexpr size_t kPaused = 50;
  const auto busy = connect_and_accept();
  pause(kPaused);
  const Instant asked = clock.now();
  loop.ask_handled_until(asked);
  resume();
  for (int turns = 0; loop.handled_until() < asked; ++turns) {
    ASSERT_LT(turns, 5'000);
    busy->write(frame_of("busy"));  // no turn has time for more than one of those that wait
    loop.turn(0ms);
  }
  EXPECT_EQ(count_of("renewal"), kPaused);
}

TEST_F(FloodedLoopTest, UnlessItIsAskedForNothingIsKnown) {
  const auto flooder = connect_and_accept();
  const Instant began = clock.now();
  for (int turn = 0; turn < 100; ++turn) {
    flooder->flood();
    loop.turn(0ms);
  }
  EXPECT_TRUE(loop.input_left());
  EXPECT_LT(loop.handled_until(), began);
}

TEST_F(FloodedLoopTest, WithoutAFloodATurnHandlesWhatHadComeBeforeItsPoll) {
  const auto other = connect_and_accept();
  ASSERT_TRUE(run_until(loop, [&] { return !loop.input_left(); }));
  EXPECT_EQ(loop.handled_until(), loop.polled_at());
}

}  // namespace
}  // namespace holdfast::net
