#include "base/net/frame_connection.h"

#include <malloc.h>
#include <poll.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

using Frames = std::vector<std::string>;

TEST(FrameConnection, ReassemblesFramesSplitAtEveryByte) {
  Server server;
  RawPeer peer(server.listener->port());
  const std::string bytes = frame_of("alpha") + frame_of("") + frame_of("omega!");
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    server.recorder.frames.clear();
    const uint64_t seen = server.loop.stats().receives;
    peer.write(bytes.substr(0, cut));
    if (cut > 0) {
      ASSERT_TRUE(run_until(server.loop, [&] { return server.loop.stats().receives > seen; }));
    }
    peer.write(bytes.substr(cut));
    ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() >= 3; }));
    EXPECT_EQ(server.recorder.frames, (Frames{"alpha", "", "omega!"})) << "cut at " << cut;
  }
}

TEST(FrameConnection, ReassemblesFramesThatComeByteByByte) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  for (const char byte : frame_of("abc") + frame_of("de")) {
    peer.write({&byte, 1});
    server.loop.turn(20ms);
  }
  ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == 2; }));
  EXPECT_EQ(server.recorder.frames, (Frames{"abc", "de"}));
}

TEST(FrameConnection, CarriesFramesLargerThanAnyBuffer) {
  Server server;
  RawPeer peer(server.listener->port());
  std::string large(3 << 20, '\0');
  std::iota(large.begin(), large.end(), '\1');
  std::thread writer([&] { peer.write(frame_of("before") + frame_of(large) + frame_of("after")); });
  const bool all = run_until(server.loop, [&] { return server.recorder.frames.size() == 3; });
  writer.join();
  ASSERT_TRUE(all);
  EXPECT_EQ(server.recorder.frames[0], "before");
  EXPECT_TRUE(server.recorder.frames[1] == large);
  EXPECT_EQ(server.recorder.frames[2], "after");
}

TEST(FrameConnection, EndsAConnectionThatAnnouncesTooLargeAFrameAndNamesSizeAndLimit) {
  Server server({.max_frame_bytes = 1000});
  RawPeer peer(server.listener->port());
  peer.write(frame_of(std::string(1000, 'x')));
  ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == 1; }))
      << "the limit itself is allowed";
  peer.write(frame_of(std::string(1001, 'x')).substr(0, 4));
  ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.closed.empty(); }));
  EXPECT_EQ(server.recorder.cause(), CloseCause::kFrameTooLarge);
  EXPECT_NE(server.recorder.message().find("1001"), std::string::npos);
  EXPECT_NE(server.recorder.message().find("1000"), std::string::npos);
  EXPECT_EQ(peer.read(1), "");
}

TEST(FrameConnection, AllocatesForWhatArrivedNotForWhatWasAnnounced) {
  Server server({.max_frame_bytes = 1 << 30});
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  const auto deliver = [&](const std::string& bytes) {
    const uint64_t seen = server.loop.stats().receives;
    peer.write(bytes);
    return run_until(server.loop, [&] { return server.loop.stats().receives > seen; });
  };
  ASSERT_TRUE(deliver(std::string("\x3f\xff\xff\xff", 4) + std::string(1000, 'x')));
  ASSERT_TRUE(deliver("more of it"));
  EXPECT_LT(mallinfo2().uordblks + mallinfo2().hblkhd, before + (1 << 20));
}

TEST(FrameConnection, CutsASlowSenderOff) {
  Server server({.frame_timeout = 5s});
  RawPeer peer(server.listener->port());
  peer.write(frame_of("slow").substr(0, 6));
  ASSERT_TRUE(server.accepted());
  const uint64_t seen = server.loop.stats().receives;
  ASSERT_TRUE(run_until(server.loop, [&] { return server.loop.stats().receives > seen; }));
  server.clock.advance(3s);
  peer.write("o");  // a trickle does not move the deadline
  ASSERT_TRUE(run_until(server.loop, [&] { return server.loop.stats().receives > seen + 1; }));
  EXPECT_TRUE(server.recorder.closed.empty());
  server.clock.advance(3s);
  server.loop.turn(0ms);
  ASSERT_EQ(server.recorder.closed.size(), 1u);
  EXPECT_EQ(server.recorder.cause(), CloseCause::kFrameTimeout);
  EXPECT_NE(server.recorder.message().find("5000 ms"), std::string::npos);
}

TEST(FrameConnection, CompleteFramesKeepAConnectionHoweverLongItLives) {
  Server server({.frame_timeout = 5s});
  RawPeer peer(server.listener->port());
  for (size_t i = 1; i <= 4; ++i) {
    peer.write(frame_of("ok"));
    ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == i; }));
    server.clock.advance(4s);
    server.loop.turn(0ms);
  }
  EXPECT_TRUE(server.recorder.closed.empty());
}

TEST(FrameConnection, EndsAnIdleConnectionUnlessIdlenessWasAllowed) {
  Server server({.idle_timeout = 30s});
  RawPeer quiet(server.listener->port());
  ASSERT_TRUE(server.accepted(1));
  RawPeer parked(server.listener->port());
  ASSERT_TRUE(server.accepted(2));
  server.connections[1]->set_idle_timeout(0s);
  server.clock.advance(31s);
  ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.closed.size() == 1; }));
  EXPECT_EQ(server.recorder.cause(), CloseCause::kIdle);
  EXPECT_TRUE(server.connections[0]->closed());
  EXPECT_FALSE(server.connections[1]->closed());
}

TEST(FrameConnection, HandlesManySmallFramesInOneTurnAndAnswersThemWithOneSend) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  server.recorder.react = [](FrameConnection& connection, std::string_view payload) {
    connection.send(payload);
  };
  std::string burst;
  for (int i = 0; i < 1'000; ++i) burst += frame_of("request " + std::to_string(i));
  peer.write(burst);
  const LoopStats before = server.loop.stats();
  ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == 1'000; }));
  const std::string answers = peer.read(burst.size());
  EXPECT_EQ(answers.size(), burst.size());
  EXPECT_TRUE(answers == burst) << "answers keep their order";
  // Loopback may hand the burst over in a few pieces; each piece is one turn with one send.
  EXPECT_LE(server.loop.stats().sends - before.sends, server.loop.stats().turns - before.turns);
  EXPECT_LE(server.loop.stats().sends - before.sends, 5u);
}

TEST(FrameConnection, ATurnStopsReadingWhenItsBudgetIsSpentAndLosesNothing) {
  ShiftedClock clock;
  Loop loop(clock, {.read_budget = 1ms});
  Recorder recorder;
  std::vector<std::unique_ptr<FrameConnection>> connections;
  auto listener = std::move(*Listener::open(loop, kLoopback, [&](Socket socket, const Address&) {
    connections.push_back(
        std::make_unique<FrameConnection>(loop, std::move(socket), FrameOptions{}, recorder));
  }));
  RawPeer one(listener->port()), two(listener->port());
  ASSERT_TRUE(run_until(loop, [&] { return connections.size() == 2; }));
  recorder.react = [&](FrameConnection&, std::string_view) { clock.advance(2ms); };
  bool left = false;
  std::vector<size_t> handled;
  const auto hook = loop.on_turn_end(0, [&] {
    left |= loop.input_left();
    handled.push_back(recorder.frames.size());
  });
  one.write(frame_of("1"));
  two.write(frame_of("2"));
  ASSERT_TRUE(run_until(loop, [&] { return recorder.frames.size() == 2; }));
  EXPECT_TRUE(left) << "the hooks are told that input waits";
  EXPECT_NE(std::find(handled.begin(), handled.end(), 1u), handled.end())
      << "the hooks ran between the two";
  EXPECT_FALSE(loop.input_left() && handled.back() != 2u);
}

// epoll is asked for 32 events at a time: the others must not pass for input that never came.
TEST(FrameConnection, NoTurnClaimsThatAllIsHandledWhileReadySocketsAreUnread) {
  constexpr size_t kPeers = 100;
  Server server;
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (size_t i = 0; i < kPeers; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server.listener->port()));
  }
  ASSERT_TRUE(server.accepted(kPeers));
  server.loop.turn(0ms);
  for (const auto& peer : peers) peer->write(frame_of("x"));
  size_t handled = 0;
  const auto hook = server.loop.on_turn_end(0, [&] {
    if (handled == 0 && !server.loop.input_left()) handled = server.recorder.frames.size();
  });
  ASSERT_TRUE(run_until(server.loop, [&] { return handled > 0; }));
  EXPECT_EQ(handled, kPeers);
}

TEST(FrameConnection, ATurnThatTakesAConnectionLeavesItsInputAndSaysSo) {
  Server server;
  RawPeer peer(server.listener->port());
  peer.write(frame_of("sent before it was accepted"));
  server.loop.turn(30s);
  ASSERT_EQ(server.connections.size(), 1u);
  EXPECT_TRUE(server.loop.input_left());
  server.loop.turn(0ms);
  EXPECT_EQ(server.recorder.frames.size(), 1u);
  EXPECT_FALSE(server.loop.input_left());
}

TEST(FrameConnection, ResumedReadingCountsAsInputLeft) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  server.only().pause_reading();
  peer.write(frame_of("waits"));
  server.loop.turn(0ms);
  server.loop.post([&] { server.only().resume_reading(); });
  server.loop.turn(0ms);
  EXPECT_TRUE(server.loop.input_left());
  server.loop.turn(0ms);
  EXPECT_EQ(server.recorder.frames.size(), 1u);
  EXPECT_FALSE(server.loop.input_left());
}

TEST(FrameConnection, ArmsForWritingOnlyWhenTheKernelTakesNoMoreAndThenDeliversEverything) {
  Server server;
  RawPeer peer(server.listener->port(), 4096);
  ASSERT_TRUE(server.accepted());
  const std::string payload(4 << 20, 'p');
  server.only().send(payload);
  server.loop.turn(0ms);
  EXPECT_GT(server.only().output_bytes(), 0u);
  std::string got;
  std::thread reader([&] { got = peer.read(payload.size() + 4); });
  const bool drained = run_until(server.loop, [&] { return server.only().output_bytes() == 0; });
  reader.join();
  EXPECT_TRUE(drained);
  EXPECT_TRUE(got == frame_of(payload));
}

TEST(FrameConnection, EndsAConnectionWhoseOutputPassesTheBoundAndNamesBoth) {
  Server server({.max_output_bytes = 1 << 20});
  RawPeer peer(server.listener->port(), 4096);
  ASSERT_TRUE(server.accepted());
  const std::string payload(64 << 10, 'p');
  for (int i = 0; i < 1'000 && !server.only().closed(); ++i) {
    server.only().send(payload);
    server.loop.turn(0ms);
  }
  ASSERT_EQ(server.recorder.closed.size(), 1u);
  EXPECT_EQ(server.recorder.cause(), CloseCause::kOutputOverflow);
  EXPECT_NE(server.recorder.message().find("1048576"), std::string::npos);
  server.only().send("ignored");
  EXPECT_EQ(server.only().output_bytes(), 0u);
}

TEST(FrameConnection, OutputOfOneTurnIsBoundedToo) {
  Server server({.max_output_bytes = 1 << 20});
  RawPeer peer(server.listener->port(), 4096);
  ASSERT_TRUE(server.accepted());
  const std::string frame(256 << 10, 'p');
  size_t most = 0;
  for (int i = 0; i < 100; ++i) {
    server.only().send(frame);
    most = std::max(most, server.only().output_bytes());
  }
  EXPECT_LE(most, (2u << 20) + frame.size() + 4);
  server.loop.turn(0ms);
  ASSERT_EQ(server.recorder.closed.size(), 1u);
  EXPECT_EQ(server.recorder.cause(), CloseCause::kOutputOverflow);
}

/// A server and so many peers of it.
struct Crowd {
  explicit Crowd(size_t size) {
    for (size_t i = 0; i < size; ++i) {
      peers.push_back(std::make_unique<RawPeer>(server.listener->port()));
    }
    EXPECT_TRUE(server.accepted(size));
  }
  void send(const std::string& payload) {
    for (const auto& connection : server.connections) connection->send(payload);
  }
  /// How often something is sent in a turn in which each reading of the clock is 2 ms later.
  uint64_t sends_of_a_slow_turn() {
    const uint64_t before = server.loop.stats().sends;
    server.clock.each_reading = 2ms;
    server.loop.turn(0ms);
    server.clock.each_reading = 0ms;
    return server.loop.stats().sends - before;
  }
  Server server;
  std::vector<std::unique_ptr<RawPeer>> peers;
};

TEST(FrameConnection, SendingToManyLeavesATurnBeforeItTakesLong) {
  Crowd crowd(20);
  crowd.send("news");
  const uint64_t sends = crowd.sends_of_a_slow_turn();
  EXPECT_GE(sends, 1u);
  EXPECT_LE(sends, 6u);
  for (int turns = 0; turns < 20; ++turns) crowd.server.loop.turn(0ms);
  for (const auto& peer : crowd.peers) EXPECT_EQ(peer->read(8), frame_of("news"));
}

TEST(FrameConnection, ManyThatCanTakeMoreAtOnceAreSentToOverSeveralTurns) {
  Crowd crowd(10);
  crowd.send(std::string(15 << 20, 'p'));
  for (int turns = 0; turns < 10; ++turns) crowd.server.loop.turn(0ms);
  for (const auto& connection : crowd.server.connections) {
    ASSERT_GT(connection->output_bytes(), 0u) << "it has to wait";
  }
  std::vector<size_t> before;
  for (const auto& connection : crowd.server.connections) {
    before.push_back(connection->output_bytes());
  }
  const auto moved = [&] {
    size_t count = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      count += crowd.server.connections[i]->output_bytes() < before[i];
    }
    return count;
  };
  uint64_t most = 0;
  SystemClock clock;
  for (const Instant until = clock.now() + 10s; moved() < before.size() && clock.now() < until;) {
    for (const auto& peer : crowd.peers) peer->read_all_there_is();
    most = std::max(most, crowd.sends_of_a_slow_turn());
  }
  EXPECT_EQ(moved(), before.size()) << "each had its turn";
  EXPECT_LE(most, 6u);
}

TEST(FrameConnection, AnEndSeenWhileSendingBringsAnotherTurnAtOnce) {
  Server server({.max_output_bytes = 1 << 20});
  RawPeer peer(server.listener->port(), 4096);
  ASSERT_TRUE(server.accepted());
  int turns_after = 0;
  const auto hook =
      server.loop.on_turn_end(0, [&] { turns_after += server.recorder.closed.empty() ? 0 : 1; });
  server.only().send(std::string(64 << 20, 'p'));
  server.loop.turn(0ms);
  ASSERT_EQ(server.recorder.closed.size(), 1u);
  EXPECT_EQ(turns_after, 0) << "the hooks had run";
  const Instant before = server.loop.clock().now();
  server.loop.turn(10s);
  EXPECT_LT(server.loop.clock().now() - before, 5s);
  EXPECT_EQ(turns_after, 1);
}

TEST(FrameConnection, EndsAConnectionThatTakesNothingForTooLong) {
  Server server({.write_timeout = 5s});
  RawPeer peer(server.listener->port(), 4096);
  ASSERT_TRUE(server.accepted());
  server.only().send(std::string(8 << 20, 'p'));
  server.loop.turn(0ms);
  server.clock.advance(6s);
  ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.closed.empty(); }));
  EXPECT_EQ(server.recorder.cause(), CloseCause::kWriteTimeout);
}

TEST(FrameConnection, TellsAnOrderlyEndInsideAFrame) {
  Server server;
  RawPeer peer(server.listener->port());
  peer.write(frame_of("whole") + frame_of("torn").substr(0, 5));
  peer.close();
  ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.closed.empty(); }));
  EXPECT_EQ(server.recorder.frames, Frames{"whole"});
  EXPECT_EQ(server.recorder.cause(), CloseCause::kPeerClosed);
  EXPECT_NE(server.recorder.message().find("within a frame"), std::string::npos);
}

TEST(FrameConnection, SurvivesAReset) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  peer.reset();
  ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.closed.empty(); }));
  EXPECT_EQ(server.recorder.cause(), CloseCause::kPeerClosed);
}

TEST(FrameConnection, MayBeDestroyedByItsOwnHandler) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  server.recorder.react = [&](FrameConnection& connection, std::string_view payload) {
    connection.send("never leaves");
    if (payload == "die") server.connections.clear();
  };
  peer.write(frame_of("live") + frame_of("die") + frame_of("unseen"));
  ASSERT_TRUE(run_until(server.loop, [&] { return server.connections.empty(); }));
  server.loop.turn(0ms);
  EXPECT_EQ(server.recorder.frames, (Frames{"live", "die"}));
  EXPECT_TRUE(server.recorder.closed.empty()) << "no callback after destruction";
}

TEST(FrameConnection, MayBeDestroyedWhenItIsToldOfTheEnd) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  server.recorder.react_closed = [&](FrameConnection&) { server.connections.clear(); };
  peer.close();
  EXPECT_TRUE(run_until(server.loop, [&] { return server.connections.empty(); }));
}

TEST(FrameConnection, SendsWhatIsQueuedBeforeItCloses) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  peer.write(frame_of("unread"));
  server.only().send("goodbye");
  server.only().close_after_flush();
  EXPECT_TRUE(server.recorder.closed.empty()) << "not from inside the call";
  ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.closed.empty(); }));
  EXPECT_EQ(server.recorder.cause(), CloseCause::kLocal);
  EXPECT_EQ(peer.read(11), frame_of("goodbye"));
  EXPECT_EQ(peer.read(1), "");
}

TEST(FrameConnection, HoldsBackWhatIsReadWhilePaused) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  server.recorder.react = [](FrameConnection& connection, std::string_view payload) {
    if (payload == "pause") connection.pause_reading();
  };
  peer.write(frame_of("pause") + frame_of("a") + frame_of("b"));
  ASSERT_TRUE(run_until(server.loop, [&] { return !server.recorder.frames.empty(); }));
  peer.write(frame_of("c"));
  for (int i = 0; i < 3; ++i) server.loop.turn(1ms);
  EXPECT_EQ(server.recorder.frames, Frames{"pause"});
  server.only().resume_reading();
  ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == 4; }));
  EXPECT_EQ(server.recorder.frames, (Frames{"pause", "a", "b", "c"}));
}

TEST(FrameConnection, AFrameWhoseWriterFailsLeavesNoTrace) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  const auto broken = [](std::string& out) {
    out += "half";
    throw std::runtime_error("cannot encode");
  };
  EXPECT_THROW(server.only().send_with(broken), std::runtime_error);
  server.only().send("whole");
  server.loop.turn(0ms);
  EXPECT_EQ(peer.read(9), frame_of("whole"));
}

TEST(FrameConnection, AFrameThatComesOutTooLongIsNotSentAndLeavesNoTrace) {
  Server server;
  RawPeer peer(server.listener->port());
  ASSERT_TRUE(server.accepted());
  const auto five = [](std::string& out) { out += "fives"; };
  EXPECT_EQ(server.only().send_up_to(4, five), 5u);
  EXPECT_EQ(server.only().output_bytes(), 0u);
  server.only().send("whole");
  EXPECT_EQ(server.only().send_up_to(4, five), 5u);
  EXPECT_EQ(server.only().send_up_to(5, five), 5u);
  server.loop.turn(0ms);
  EXPECT_EQ(peer.read(18), frame_of("whole") + frame_of("fives"));
}

TEST(FrameConnection, AParkedConnectionCostsLessThanTwoKibibytes) {
  Server server;
  constexpr size_t kCount = 400;
  std::vector<std::unique_ptr<RawPeer>> peers;
  const size_t before = mallinfo2().uordblks;
  for (size_t i = 0; i < kCount; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server.listener->port()));
    peers.back()->write(frame_of(std::string(2'000, 'x')));
  }
  server.recorder.react = [&](FrameConnection& connection, std::string_view) {
    connection.send(std::string(3'000, 'y'));
  };
  ASSERT_TRUE(run_until(server.loop, [&] { return server.recorder.frames.size() == kCount; }));
  ASSERT_TRUE(run_until(server.loop, [&] {
    return std::ranges::all_of(server.connections,
                               [](const auto& each) { return each->output_bytes() == 0; });
  })) << "answered";
  server.recorder.frames = {};
  const size_t after = mallinfo2().uordblks;
  EXPECT_LT((after - before) / kCount, 2'048u) << "the raw peers included";
}

/// Connections of one loop, and their other ends.
struct ManyConnections {
  ManyConnections(Loop& loop, size_t count, const FrameOptions& options) {
    for (size_t i = 0; i < count; ++i) {
      int ends[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
      connections.push_back(
          std::make_unique<FrameConnection>(loop, Socket(ends[0]), options, recorder));
      others.emplace_back(ends[1]);
    }
  }
  void send_to_all() {
    for (const auto& connection : connections) connection->send("news");
  }
  size_t arrived() const {
    return static_cast<size_t>(std::count_if(others.begin(), others.end(), [](const Socket& other) {
      pollfd asked{other.fd(), POLLIN, 0};
      return ::poll(&asked, 1, 0) == 1;
    }));
  }

  Recorder recorder;
  std::vector<std::unique_ptr<FrameConnection>> connections;
  std::vector<Socket> others;
};

/// However long it takes to send, no time passes.
class StillClock final : public Clock {
 public:
  Instant now() override { return Instant(1000s); }
  int64_t wall_unix_ms() override { return 0; }
};

TEST(FrameConnection, NewsForManyLeavesOverSeveralTurnsAndWhatGoesFirstBeforeAllOfIt) {
  constexpr size_t kMany = 300;
  StillClock clock;
  Loop loop(clock);
  ManyConnections many(loop, kMany, {});
  ManyConnections first(loop, 2, {.goes_first = true});
  many.send_to_all();
  loop.turn(0s);
  const size_t in_a_turn = many.arrived();
  EXPECT_GT(in_a_turn, 0u);
  EXPECT_LT(in_a_turn, kMany / 2);
  first.send_to_all();
  loop.turn(1s);  // and it does not sleep
  EXPECT_EQ(first.arrived(), 2u);
  EXPECT_EQ(many.arrived(), 2 * in_a_turn);
  ASSERT_TRUE(run_until(loop, [&] { return many.arrived() == kMany; }));
}

}  // namespace
}  // namespace holdfast::net
