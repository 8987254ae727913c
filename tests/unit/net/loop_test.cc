#include "base/net/loop.h"

#include <signal.h>

#include <thread>

#include "base/net/signal_watcher.h"
#include "base/net/timer.h"
#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

struct LoopTest : testing::Test {
  ShiftedClock clock;
  Loop loop{clock, {.gap_threshold = 500ms}};  // a busy machine makes no gap of its own
};

TEST_F(LoopTest, HooksRunAtTheEndOfEveryTurnInTheirOrder) {
  std::string ran;
  const auto third = loop.on_turn_end(2, [&] { ran += 'c'; });
  const auto first = loop.on_turn_end(1, [&] { ran += 'a'; });
  const auto second = loop.on_turn_end(1, [&] { ran += 'b'; });
  loop.turn(0ms);
  loop.turn(0ms);
  EXPECT_EQ(ran, "abcabc");
}

TEST_F(LoopTest, ADroppedHookRunsNoMoreEvenIfItDropsItself) {
  int ran = 0;
  Loop::Hook hook;
  hook = loop.on_turn_end(0, [&] {
    ++ran;
    hook = {};
  });
  loop.turn(0ms);
  loop.turn(0ms);
  EXPECT_EQ(ran, 1);
}

TEST_F(LoopTest, PostedWorkRunsInOrderBeforeTheHooks) {
  std::string ran;
  const auto hook = loop.on_turn_end(0, [&] { ran += '|'; });
  loop.post([&] { ran += '1'; });
  loop.post([&] { ran += '2'; });
  loop.turn(1s);
  EXPECT_EQ(ran, "12|");
}

TEST_F(LoopTest, PostingToALoopThatDoesNotSleepSignalsNothing) {
  for (int i = 0; i < 100; ++i) loop.post([] {});
  loop.turn(1s);
  EXPECT_EQ(loop.stats().posts, 100u);
  EXPECT_EQ(loop.stats().wakeups, 0u);
}

TEST_F(LoopTest, PostsFromOtherThreadsAllArriveAndWakeTheSleepingLoop) {
  constexpr int kEach = 2'000;
  int ran = 0;
  std::vector<std::thread> posters;
  for (int t = 0; t < 2; ++t) {
    posters.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        loop.post([&] {
          if (++ran == 2 * kEach) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (auto& poster : posters) poster.join();
  EXPECT_EQ(ran, 2 * kEach);
  EXPECT_LE(loop.stats().wakeups, loop.stats().turns);
}

TEST_F(LoopTest, AnotherTurnFollowsAtOnceWhenAHookHasMoreToDo) {
  int left = 3;
  const auto hook = loop.on_turn_end(0, [&] {
    if (--left > 0) loop.again();
  });
  const Instant start = clock.now();
  loop.turn(0ms);
  while (left > 0) loop.turn(30s);
  EXPECT_LT(clock.now() - start, 5s);
}

TEST_F(LoopTest, TimersFireInOrderOfDeadlineAndOnlyOnce) {
  std::string fired;
  Timer late(loop, [&] { fired += 'l'; });
  Timer early(loop, [&] { fired += 'e'; });
  Timer cancelled(loop, [&] { fired += 'x'; });
  late.arm_after(3s);
  early.arm_after(1s);
  cancelled.arm_after(2s);
  cancelled.cancel();
  loop.turn(0ms);
  EXPECT_EQ(fired, "");
  clock.advance(4s);
  loop.turn(0ms);
  EXPECT_EQ(fired, "el");
  clock.advance(4s);
  loop.turn(0ms);
  EXPECT_EQ(fired, "el");
  EXPECT_FALSE(early.armed());
}

TEST_F(LoopTest, ManyTimersKeepTheirOrderThroughRearmingAndCancelling) {
  std::vector<int> fired;
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 200; ++i) {
    timers.push_back(std::make_unique<Timer>(loop, [&fired, i] { fired.push_back(i); }));
    timers.back()->arm_after(from_ms((i * 7919) % 1000 + 1));
  }
  const Instant base = clock.now() + 60min;
  for (int i = 0; i < 200; ++i) {
    if (i % 3 == 0) timers[i].reset();
    if (i % 3 == 1) timers[i]->arm(base - from_ms(i));
  }
  clock.advance(120min);
  loop.turn(0ms);
  ASSERT_EQ(fired.size(), 133u);
  std::vector<int> expected;
  for (int ms = 1; ms <= 1000; ++ms) {
    for (int i = 2; i < 200; i += 3) {
      if ((i * 7919) % 1000 + 1 == ms) expected.push_back(i);
    }
  }
  for (int i = 199; i >= 0; --i) {
    if (i % 3 == 1) expected.push_back(i);
  }
  EXPECT_EQ(fired, expected);
}

TEST_F(LoopTest, APeriodicTimerSkipsWhatItMissedDuringAPause) {
  int fired = 0;
  Timer tick(loop, [&] { ++fired; });
  tick.arm_every(100ms);
  clock.advance(1050ms);
  loop.turn(0ms);
  EXPECT_EQ(fired, 1) << "ten periods passed unseen";
  clock.advance(100ms);
  loop.turn(0ms);
  EXPECT_EQ(fired, 2);
}

TEST_F(LoopTest, ATimerMayDestroyItselfWhenItFires) {
  auto timer = std::make_unique<Timer>(loop, [] {});
  timer = std::make_unique<Timer>(loop, [&] { timer.reset(); });
  timer->arm_after(0ms);
  loop.turn(0ms);
  EXPECT_EQ(timer, nullptr);
}

TEST_F(LoopTest, ASleepingLoopWakesForItsTimer) {
  bool fired = false;
  Timer timer(loop, [&] { fired = true; });
  timer.arm_after(20ms);
  const Instant start = clock.now();
  while (!fired) loop.turn(30s);
  EXPECT_GE(clock.now() - start, 20ms);
  EXPECT_LT(clock.now() - start, 5s);
}

TEST_F(LoopTest, AGapIsReportedBeforeTimersRunAndHooksAnswer) {
  std::vector<std::string> order;
  const auto gap = loop.on_gap([&](Duration length) {
    EXPECT_GE(length, 2s);
    EXPECT_LT(length, 3s);
    order.push_back("gap");
  });
  const auto hook = loop.on_turn_end(0, [&] { order.push_back("hook"); });
  Timer tick(loop, [&] { order.push_back("tick"); });
  tick.arm_after(1ms);
  loop.turn(0ms);
  order.clear();
  clock.advance(2s);  // as if the process had been stopped
  loop.turn(0ms);
  EXPECT_EQ(order, (std::vector<std::string>{"gap", "tick", "hook"}));
  EXPECT_EQ(loop.stats().gaps, 1u);
}

TEST_F(LoopTest, AGapInsideATurnIsReportedBeforeItsHooks) {
  std::vector<std::string> order;
  const auto gap = loop.on_gap([&](Duration) { order.push_back("gap"); });
  const auto hook = loop.on_turn_end(0, [&] { order.push_back("hook"); });
  loop.post([&] { clock.advance(600ms); });
  loop.turn(0ms);
  EXPECT_EQ(order, (std::vector<std::string>{"gap", "hook"}));
}

TEST_F(LoopTest, SleepingUntilATimerIsNoGap) {
  bool fired = false;
  Timer timer(loop, [&] { fired = true; });
  timer.arm_after(600ms);  // beyond the threshold
  while (!fired) loop.turn(30s);
  EXPECT_EQ(loop.stats().gaps, 0u);
}

TEST_F(LoopTest, ASleepThatOutlastsItsTimerIsAGap) {
  // The clock jumps while the loop sleeps: a suspended machine, a stopped process.
  Duration seen{0};
  const auto gap = loop.on_gap([&](Duration length) { seen = length; });
  Timer tick(loop, [] {});
  tick.arm_after(30s);
  std::thread waker([&] { loop.post([] {}); });
  clock.advance(0ms);
  loop.turn(0ms);
  waker.join();
  tick.arm_after(10ms);
  loop.turn(0ms);
  clock.advance(1s);
  loop.turn(30s);
  EXPECT_GE(seen, 900ms);
}

TEST_F(LoopTest, WhileInputIsHeldOnlyPostsAndTimersAreHandledAndTheLoopStillSleeps) {
  Recorder recorder;
  std::unique_ptr<FrameConnection> connection;
  const auto listener =
      std::move(*Listener::open(loop, kLoopback, [&](Socket socket, const Address&) {
        connection =
            std::make_unique<FrameConnection>(loop, std::move(socket), FrameOptions{}, recorder);
      }));
  RawPeer peer(listener->port());
  ASSERT_TRUE(run_until(loop, [&] { return connection != nullptr; }));
  loop.hold_input(true);
  peer.write(frame_of("unread"));
  bool fired = false;
  Timer timer(loop, [&] { fired = true; });
  timer.arm_after(20ms);
  const uint64_t turns = loop.stats().turns;
  while (!fired) loop.turn(30s);
  EXPECT_LE(loop.stats().turns - turns, 3u) << "input that is held keeps nobody awake";
  EXPECT_TRUE(loop.input_left());
  std::thread poster([&] { loop.post([&] { loop.hold_input(false); }); });
  loop.turn(30s);
  poster.join();
  EXPECT_TRUE(recorder.frames.empty());
  loop.turn(0ms);
  EXPECT_EQ(recorder.frames, std::vector<std::string>{"unread"});
  EXPECT_FALSE(loop.input_left());
}

TEST_F(LoopTest, SignalsArriveAsEvents) {
  std::vector<int> seen;
  const SignalWatcher watcher(loop, {SIGUSR1, SIGUSR2},
                              [&](int signal) { seen.push_back(signal); });
  raise(SIGUSR2);
  ASSERT_TRUE(run_until(loop, [&] { return seen.size() == 1; }));
  raise(SIGUSR1);
  ASSERT_TRUE(run_until(loop, [&] { return seen.size() == 2; }));
  EXPECT_EQ(seen, (std::vector<int>{SIGUSR2, SIGUSR1}));
}

TEST_F(LoopTest, WorkPostedToALoopThatIsGoneIsDropped) {
  bool ran = false;
  {
    Loop gone(clock);
    gone.post([&] { ran = true; });
  }
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace holdfast::net
