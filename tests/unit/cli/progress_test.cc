// What `holdfast snapshot save` says while pieces come: elsewhere than on a terminal, a line a
// second.
#include "clients/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace holdfast::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

constexpr uint64_t kMiB = 1 << 20;

class ProgressTest : public testing::Test {
 protected:
  ProgressTest() {
    CaptureStderr();  // before it looks whether that is a terminal
    progress = std::make_unique<Progress>(clock);
  }
  ~ProgressTest() override { GetCapturedStderr(); }
  std::string said() {
    std::string text = GetCapturedStderr();
    CaptureStderr();
    return text;
  }

  ManualClock clock;
  std::unique_ptr<Progress> progress;
};

TEST_F(ProgressTest, TheRateIsThatOfTheTransferWithoutTheWaitBefore) {
  for (int second = 0; second < 60; ++second) {
    clock.advance(1s);
    progress->wait("waiting");
  }
  clock.advance(2s);
  progress->show(kMiB, 100 * kMiB);
  said();
  for (uint64_t done = 2; done <= 11; ++done) {
    clock.advance(500ms);
    progress->show(done * kMiB, 100 * kMiB);
  }
  EXPECT_THAT(said(), HasSubstr("11.0 MiB of 100.0 MiB, 2.0 MiB/s\n"));
}

TEST_F(ProgressTest, TheFirstPieceHasNoRate) {
  clock.advance(30s);
  progress->show(kMiB, 8 * kMiB);
  EXPECT_EQ(said(), "holdfast: 1.0 MiB of 8.0 MiB\n");
}

TEST_F(ProgressTest, ATransferThatBeginsAnewHasARateOfItsOwn) {
  progress->show(10 * kMiB, 20 * kMiB);
  clock.advance(100s);
  progress->show(kMiB, 20 * kMiB);
  clock.advance(1s);
  progress->show(5 * kMiB, 20 * kMiB);
  EXPECT_THAT(said(), HasSubstr("5.0 MiB of 20.0 MiB, 4.0 MiB/s\n"));
}

}  // namespace
}  // namespace holdfast::cli
