#include "base/scheduling.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <thread>

namespace holdfast {
namespace {

int niceness() { return ::getpriority(PRIO_PROCESS, 0); }

/// In a thread of its own: what is nice once cannot take it back without privileges.
int niceness_after(void (*act)()) {
  int after = 0;
  std::thread([&] {
    act();
    after = niceness();
  }).join();
  return after;
}

TEST(SchedulingTest, ABackgroundThreadIsNice) {
  EXPECT_GT(niceness_after(schedule_in_background), niceness());
}

TEST(SchedulingTest, APromptThreadIsNoNicerThanBefore) {
  EXPECT_EQ(niceness_after(schedule_promptly), niceness());
}

TEST(SchedulingTest, AThreadOfAPromptOneCanBeInTheBackground) {
  const auto both = [] {
    schedule_promptly();
    schedule_in_background();
  };
  EXPECT_GT(niceness_after(both), niceness());
}

}  // namespace
}  // namespace holdfast
