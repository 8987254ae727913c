#include "base/scheduling.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <array>
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
