#include "base/scheduling.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

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

}  // namespace
}  // namespace holdfast
