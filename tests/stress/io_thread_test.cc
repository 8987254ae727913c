// One real I/O thread; the test's thread is the engine's and decides when that loop turns.
#include "coordinator/server/io_thread.h"

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ctime>
#include <set>

#include "base/net/listener.h"
#include "tests/stress/stock_client.h"

namespace holdfast::server {
namespace {

using stress::BareSocket;
using stress::frame_of_call;

struct IoThreadTest : testing::Test {
  void SetUp() override {
    const auto hand_over = [this](net::Socket socket, const net::Address&) {
      thread->outbox().sockets.push_back(std::move(socket));
      ++handed;
    };
    listener = std::move(*net::Listener::open(loop, {"127.0.0.1", 0}, hand_over));
    thread = std::make_unique<IoThread>(loop, RpcPortOptions{}, client_methods(),
                                        [this](IoCalls& batch) { receive(batch); });
    hook = loop.on_turn_end(0, [this] { thread->flush(); });
    thread->outbox().serve = true;
  }

  void receive(IoCalls& batch) {
    batches.push_back(batch.calls.size());
    for (const IoCalls::Call& call : batch.calls.items()) calls.push_back(call.id);
    handled_until = batch.handled_until;
    adopted = batch.adopted;
    if (std::exchange(batch.reported, false)) connections = batch.connections;
    batch.calls.clear();
    batch.frame_bytes = 0;
  }

  bool run_until(const std::function<bool()>& done) {
    const Instant limit = clock.now() + 20s;
    while (!done()) {
      if (clock.now() > limit) return false;
      loop.turn(20ms);
    }
    return true;
  }

  std::unique_ptr<BareSocket> connect() {
    auto socket = std::make_unique<BareSocket>(listener->port());
    const uint64_t before = handed;
    EXPECT_TRUE(run_until([&] { return handed > before; }));
    return socket;
  }

  static std::string call() {
    return frame_of_call([](auto& client) { client.send_checkToken({}, {}); });
  }

  /// Until the other end's kernel has all of it.
  static void wait_for_arrival(const BareSocket& socket) {
    int unacknowledged = 1;
    while (unacknowledged > 0) ASSERT_EQ(ioctl(socket.fd(), SIOCOUTQ, &unacknowledged), 0);
  }

  SystemClock clock;
  net::Loop loop{clock};
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<IoThread> thread;
  net::Loop::Hook hook;
  uint64_t handed = 0;
  std::vector<size_t> batches;
  std::vector<CallId> calls;
  Instant handled_until;
  uint64_t adopted = 0;
  size_t connections = 0;  ///< as it last reported
};

TEST_F(IoThreadTest, AnIdleThreadReportsWhenAskedAndNotBefore) {
  loop.turn(0ms);
  const Instant asked = clock.now();
  thread->outbox().report_until = asked;
  EXPECT_TRUE(run_until([&] { return !batches.empty(); }));
  EXPECT_GE(handled_until, asked);
  EXPECT_TRUE(calls.empty());
}

// A server that is not part of a cluster yet is asked too, every second, for its metrics.
TEST_F(IoThreadTest, AThreadThatReadsNothingYetIsAskedInVainAndSleeps) {
  thread->outbox().serve = false;
  thread->outbox().report_until = clock.now();
  loop.turn(0ms);
  const auto cpu_ms = [] { return std::clock() * 1'000 / CLOCKS_PER_SEC; };
  const auto before = cpu_ms();
  net::Loop(clock).turn(300ms);
  EXPECT_LT(cpu_ms() - before, 100);
  EXPECT_TRUE(batches.empty());
}

// The rule that expiry stands on: once a thread says that it has handled all input up to a moment,
// every call that had arrived by then is in the batches before.
TEST_F(IoThreadTest, WhatHadArrivedByTheMomentReportedHasBeenHandedOver) {
  const auto socket = connect();
  for (size_t round = 1; round <= 50; ++round) {
    ASSERT_TRUE(socket->write(call()));
    wait_for_arrival(*socket);
    const Instant moment = clock.now();
    thread->outbox().report_until = moment;
    ASSERT_TRUE(run_until([&] { return handled_until >= moment; }));
    EXPECT_EQ(calls.size(), round);
  }
}

// A connection is vouched for only from when it is read, though the thread has had it before.
TEST_F(IoThreadTest, AConnectionCountsAsAdoptedOnlyWhenItsInputIsHandled) {
  for (uint64_t round = 1; round <= 20; ++round) {
    BareSocket socket(listener->port());
    ASSERT_TRUE(socket.write(call()));
    wait_for_arrival(socket);
    ASSERT_TRUE(run_until([&] { return adopted == round; }));
    EXPECT_EQ(calls.size(), round) << "the call was there when the connection was taken";
  }
}

TEST_F(IoThreadTest, AnAnswerFindsItsCallAndAClosedConnectionsIsDropped) {
  auto gone = connect();
  const auto there = connect();
  ASSERT_TRUE(gone->write(call()));
  ASSERT_TRUE(run_until([&] { return calls.size() == 1; }));
  ASSERT_TRUE(there->write(call()));
  ASSERT_TRUE(run_until([&] { return calls.size() == 2; }));
  gone.reset();
  for (const CallId id : calls) thread->answer(id, api::CheckTokenResult());
  loop.turn(0ms);
  EXPECT_NE(there->read_frame().find("checkToken"), std::string::npos);
}

// Nobody takes the calls: the thread keeps what a few turns read and leaves the rest to TCP.
TEST_F(IoThreadTest, AThreadWhoseCallsAreNotTakenStopsReadingAndLosesNothing) {
  constexpr size_t kCalls = 60'000;
  const auto socket = connect();
  ASSERT_TRUE(run_until([&] { return adopted == 1; }));
  batches.clear();
  const std::string frame = call();
  std::thread sender([&] {
    for (size_t i = 0; i < kCalls; i += 100) {
      std::string bytes;
      for (int j = 0; j < 100; ++j) bytes += frame;
      ASSERT_TRUE(socket->write(bytes));
    }
  });
  net::Loop(clock).turn(300ms);  // more than the thread needs for all that it will take
  ASSERT_TRUE(run_until([&] { return calls.size() == kCalls; }));
  sender.join();
  // A turn ends with the read in which it has enough: at most one read buffer more than the bound.
  const size_t most = IoThread::kCallsATurn + (256 << 10) / frame.size();
  for (const size_t size : batches) EXPECT_LE(size, most);
  std::set<uint32_t> slots;
  for (const CallId id : calls) slots.insert(id.slot);
  EXPECT_EQ(slots.size(), kCalls) << "each once";
}

// All of them come in one turn, before the thread could look at a socket.
TEST_F(IoThreadTest, AnswersToAClientThatReadsNothingAreBoundedOnTheirWayAndItIsCutOff) {
  constexpr size_t kCalls = 200;
  const auto reads_nothing = connect();
  const auto reads = connect();
  ASSERT_TRUE(reads->write(call()));
  ASSERT_TRUE(run_until([&] { return calls.size() == 1; }));
  std::string bytes;
  for (size_t i = 0; i < kCalls; ++i) bytes += call();
  ASSERT_TRUE(reads_nothing->write(bytes));
  ASSERT_TRUE(run_until([&] { return calls.size() == 1 + kCalls; }));
  api::GetResult large;
  large.key.value.assign(1 << 20, 'x');
  size_t most = 0;
  for (size_t i = 1; i <= kCalls; ++i) {
    thread->answer(calls[i], large);
    size_t waiting = 0;
    for (const IoAnswers::Answer& answer : thread->outbox().answers.items()) {
      const auto* result = std::get_if<api::GetResult>(&answer.value);
      waiting += result == nullptr ? 0 : result->key.value.size();
    }
    most = std::max(most, waiting);
  }
  EXPECT_LE(most, net::FrameOptions{}.max_output_bytes);
  thread->answer(calls[0], api::CheckTokenResult());
  loop.turn(0ms);
  EXPECT_NE(reads->read_frame().find("checkToken"), std::string::npos);
  EXPECT_TRUE(run_until([&] {
    thread->outbox().report_until = clock.now();
    return connections == 1;
  }));
}

// They tell of the holders, whose values may be large.
TEST_F(IoThreadTest, SoAreRefusalsOfALockThatOthersHold) {
  constexpr size_t kCalls = 200;
  const auto reads_nothing = connect();
  std::string bytes;
  for (size_t i = 0; i < kCalls; ++i) bytes += call();
  ASSERT_TRUE(reads_nothing->write(bytes));
  ASSERT_TRUE(run_until([&] { return calls.size() == kCalls; }));
  api::LockHolder holder;
  holder.value.assign(64 << 10, 'x');
  api::AcquireResult refused;
  refused.holders.assign(16, holder);
  for (const CallId id : calls) thread->answer(id, refused);
  size_t waiting = 0;
  for (const IoAnswers::Answer& answer : thread->outbox().answers.items()) {
    const auto* result = std::get_if<api::AcquireResult>(&answer.value);
    waiting += result == nullptr ? 0 : result->holders.size() * holder.value.size();
  }
  EXPECT_GT(waiting, 0u);
  EXPECT_LE(waiting, net::FrameOptions{}.max_output_bytes);
}

TEST_F(IoThreadTest, TheLastBatchAnswersClosesAndEndsTheThread) {
  const auto socket = connect();
  ASSERT_TRUE(socket->write(call()));
  ASSERT_TRUE(run_until([&] { return calls.size() == 1; }));
  thread->answer(calls[0], api::CheckTokenResult());
  thread->outbox().last = true;
  loop.turn(0ms);
  EXPECT_TRUE(thread->last_sent());
  EXPECT_NE(socket->read_frame().find("checkToken"), std::string::npos);
  EXPECT_TRUE(socket->read_to_end());
  thread.reset();
}

TEST_F(IoThreadTest, AThreadEndsAtOnceWithCallsUnderWay) {
  const auto socket = connect();
  ASSERT_TRUE(socket->write(call()));
  thread.reset();
  EXPECT_TRUE(socket->read_to_end());
}

}  // namespace
}  // namespace holdfast::server
