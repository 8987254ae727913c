// Work beside the loop: in order, and its ends are heard of on the loop's thread alone.
#include "coordinator/snapshot/background.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <semaphore>
#include <vector>

namespace holdfast::snapshot {
namespace {

using testing::ElementsAre;

TEST(Backgrounds, PiecesRunInOrderElsewhereAndEndHere) {
  std::counting_semaphore<> news(0);
  std::vector<int> worked, ended;
  const auto here = std::this_thread::get_id();
  BackgroundThread background([&] { news.release(); });
  for (int i = 1; i <= 3; ++i) {
    background.run(
        [&, i] {
          EXPECT_NE(std::this_thread::get_id(), here);
          worked.push_back(i);
        },
        [&, i] {
          EXPECT_EQ(std::this_thread::get_id(), here);
          ended.push_back(i);
        });
  }
  for (int i = 1; i <= 3; ++i) news.acquire();
  EXPECT_TRUE(ended.empty()) << "nobody has called deliver() yet";
  background.deliver();
  EXPECT_THAT(worked, ElementsAre(1, 2, 3));
  EXPECT_THAT(ended, ElementsAre(1, 2, 3));
  background.deliver();
  EXPECT_EQ(ended.size(), 3u);
}

TEST(Backgrounds, EndsAfterThePieceUnderWayAndDropsTheRest) {
  std::promise<void> begun, may_end;
  bool finished = false;
  bool second = false;
  std::future<void> released = may_end.get_future();
  {
    BackgroundThread background([] {});
    background.run(
        [&] {
          begun.set_value();
          released.wait();
          finished = true;
        },
        [] { ADD_FAILURE() << "nobody delivers any more"; });
    background.run([&] { second = true; }, [] {});
    begun.get_future().wait();
    std::thread closer([&] { may_end.set_value(); });
    closer.join();
  }
  EXPECT_TRUE(finished);
  // The second piece may have begun before the end was asked for, but nobody heard of it.
  (void)second;
}

}  // namespace
}  // namespace holdfast::snapshot
