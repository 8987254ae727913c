#include "base/scheduling.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <array>
#include <thread>

#include "base/clock.h"

namespace holdfast {
namespace {

int niceness() { return ::getpriority(PRIO_PROCESS, 0); }

TEST(SchedulingTest, ABackgroundThreadIsNicerThanTheOthers) {
  const int before = niceness();
  int after = before;
  std::thread([&] {
    schedule_in_background();
    after = niceness();
  }).join();
  EXPECT_GT(after, before);
  EXPECT_EQ(niceness(), before) << "the thread alone";
}

TEST(SchedulingTest, ABackgroundThreadGivesWayAgainAndAgain) {
  int times = 0;
  std::thread([&] {
    schedule_in_background();
    const Instant until = SystemClock().now() + 10s;
    while (times < 3 && SystemClock().now() < until) times += give_way() ? 1 : 0;
  }).join();
  EXPECT_EQ(times, 3);
}

TEST(SchedulingTest, OtherThreadsGiveNoWay) {
  const Instant until = SystemClock().now() + 2ms;
  while (SystemClock().now() < until) ASSERT_FALSE(give_way());
}

TEST(SchedulingTest, AThreadIsNamedAsFarAsTheKernelKeepsIt) {
  std::array<char, 64> name{};
  std::thread([&] {
    name_this_thread("a-longer-name");
    pthread_getname_np(pthread_self(), name.data(), name.size());
  }).join();
  EXPECT_STREQ(name.data(), "holdfast-a-long");
}

}  // namespace
}  // namespace holdfast
