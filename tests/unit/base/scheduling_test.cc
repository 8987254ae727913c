#include "base/scheduling.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

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

/// This thread's, and of those that it starts, one of the processors that they have.
void stay_on_one_processor() {
  cpu_set_t allowed;
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int at = 0; at < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++at) {
    if (CPU_ISSET(at, &allowed)) CPU_SET(at, &one);
  }
  ASSERT_EQ(pthread_setaffinity_np(pthread_self(), sizeof one, &one), 0);
}

std::chrono::microseconds worked() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int64_t times_off_the_processor() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw + usage.ru_nivcsw;
}

TEST(SchedulingTest, ABackgroundThreadGivesWayAfterAFractionOfAMillisecond) {
  constexpr auto kWork = std::chrono::milliseconds(20);
  int64_t gave_way = 0;
  std::thread([&] {
    stay_on_one_processor();
    std::atomic<bool> over = false;
    std::thread another([&] {
      while (!over) {
      }
    });
    std::thread([&] {
      schedule_in_background();
      const int64_t before = times_off_the_processor();
      while (worked() < kWork) give_way();
      gave_way = times_off_the_processor() - before;
    }).join();
    over = true;
    another.join();
  }).join();
  // Once each fifth of a millisecond. By its slices alone it would have been 50 times at most.
  EXPECT_GT(gave_way, 75);
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
