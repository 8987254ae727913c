#include "base/count_text.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(CountText, OneAloneIsSingular) {
  EXPECT_EQ(count_text(0, "entry", "entries"), "0 entries");
  EXPECT_EQ(count_text(1, "entry", "entries"), "1 entry");
  EXPECT_EQ(count_text(2, "entry", "entries"), "2 entries");
  EXPECT_EQ(count_text(11, "batch", "batches"), "11 batches");
}

}  // namespace
}  // namespace holdfast
