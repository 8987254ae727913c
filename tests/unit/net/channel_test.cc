#include "base/net/channel.h"

#include <thread>

#include "tests/unit/net/net_test_util.h"

namespace holdfast::net {
namespace {

using Numbers = std::vector<uint64_t>;

/// Both loops on the test's thread: nothing happens between the lines.
struct ChannelTest : testing::Test {
  ShiftedClock clock;
  Loop from{clock};
  Loop to{clock};
  std::vector<Numbers> received;
  Channel<Numbers, 3> channel{from, to, [this](Numbers& batch) {
                                received.push_back(batch);
                                batch.clear();
                              }};

  bool send(Numbers numbers) {
    channel.open() = std::move(numbers);
    return channel.send();
  }
};

TEST_F(ChannelTest, ABatchIsReceivedInTheOtherLoopsTurnAndNotBefore) {
  ASSERT_TRUE(send({1, 2}));
  EXPECT_TRUE(received.empty());
  to.turn(0ms);
  EXPECT_EQ(received, (std::vector<Numbers>{{1, 2}}));
}

// As when a server goes on with another state, and its ports with it, on the same loop.
TEST_F(ChannelTest, WhatIsUnderWayWhenTheChannelGoesIsDroppedAndTheLoopTurnsOn) {
  auto own = std::make_unique<Channel<Numbers>>(
      from, to, [this](Numbers& batch) { received.push_back(batch); });
  own->open() = {1};
  ASSERT_TRUE(own->send());
  own.reset();
  const uint64_t posts = to.stats().posts;
  to.turn(0ms);
  EXPECT_EQ(to.stats().posts, posts + 1) << "it came";
  EXPECT_TRUE(received.empty());
}

TEST_F(ChannelTest, OneBatchATurnInOrderAndTheLoopDoesNotSleepMeanwhile) {
  ASSERT_TRUE(send({1}));
  ASSERT_TRUE(send({2}));
  const Instant start = clock.now();
  to.turn(30s);
  EXPECT_EQ(received, (std::vector<Numbers>{{1}}));
  to.turn(30s);
  EXPECT_EQ(received, (std::vector<Numbers>{{1}, {2}}));
  EXPECT_LT(clock.now() - start, 5s);
}

TEST_F(ChannelTest, ASenderWithoutRoomKeepsItsBatchAndIsWokenWhenThereIsSome) {
  ASSERT_TRUE(send({1}));
  ASSERT_TRUE(send({2}));
  EXPECT_FALSE(send({3}));
  EXPECT_FALSE(channel.send()) << "still none";
  from.turn(0ms);
  to.turn(0ms);
  const uint64_t posts = from.stats().posts;
  from.turn(0ms);
  EXPECT_EQ(from.stats().posts, posts + 1) << "it is told that a place came free";
  EXPECT_EQ(channel.open(), Numbers{3});
  EXPECT_TRUE(channel.send());
  to.turn(0ms);
  to.turn(0ms);
  EXPECT_EQ(received, (std::vector<Numbers>{{1}, {2}, {3}}));
}

TEST_F(ChannelTest, ASenderWithRoomIsNeverWoken) {
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(send({i}));
    to.turn(0ms);
  }
  from.turn(0ms);
  EXPECT_EQ(from.stats().posts, 0u);
}

TEST_F(ChannelTest, BatchesThatComeWhileOneIsAnnouncedAreNotAnnouncedAgain) {
  ASSERT_TRUE(send({1}));
  ASSERT_TRUE(send({2}));
  to.turn(0ms);
  EXPECT_EQ(to.stats().posts, 1u);
}

TEST_F(ChannelTest, PlacesAreUsedAgainWithWhatTheyHaveAllocated) {
  for (int i = 0; i < 3; ++i) {
    channel.open().reserve(100);
    ASSERT_TRUE(channel.send());
    to.turn(0ms);
  }
  EXPECT_GE(channel.open().capacity(), 100u);
}

// Two real threads that sleep whenever they can: a lost wake-up shows as a hang, a lost, doubled or
// reordered batch in the numbers. The receiver is slow at times, so that the sender starves.
TEST(ChannelThreads, NothingIsLostDoubledOrReorderedAndNobodySleepsForever) {
  constexpr uint64_t kLast = 20'000;
  SystemClock clock;
  Loop from(clock);
  Loop to(clock);
  uint64_t expected = 1;
  uint64_t refused = 0;
  Channel<Numbers> channel(from, to, [&](Numbers& batch) {
    for (const uint64_t number : batch) ASSERT_EQ(number, expected++);
    batch.clear();
    if (expected % 512 == 0) std::this_thread::yield();
    if (expected > kLast) to.stop();
  });
  uint64_t next = 1;
  const auto fill = from.on_turn_end(0, [&] {
    if (next <= kLast) channel.open().push_back(next++);
    if (channel.open().empty()) return from.stop();
    if (!channel.send()) return void(++refused);
    from.again();
  });
  std::thread receiver([&] { to.run(); });
  from.again();
  from.run();
  receiver.join();
  EXPECT_EQ(expected, kLast + 1);
  RecordProperty("refused", static_cast<int>(refused));
}

}  // namespace
}  // namespace holdfast::net
