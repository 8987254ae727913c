#include "base/byte_text.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ByteText, NoSizeButNoneIsZero) {
  EXPECT_EQ(byte_text(0), "0 bytes");
  EXPECT_EQ(byte_text(1), "1 byte");
  EXPECT_EQ(byte_text(1'023), "1023 bytes");
  EXPECT_EQ(byte_text(1'024), "1 KiB");
  EXPECT_EQ(byte_text((1 << 20) - 1), "1023 KiB");
}

TEST(ByteText, SmallNumbersHaveTenths) {
  EXPECT_EQ(byte_text(1'536), "1.5 KiB");
  EXPECT_EQ(byte_text(5 << 19), "2.5 MiB");
  EXPECT_EQ(byte_text(3 << 20), "3 MiB");
  EXPECT_EQ(byte_text((10 << 20) + (1 << 19)), "10 MiB");
}

TEST(ByteText, IsRoundedDown) {
  EXPECT_EQ(byte_text((3 << 20) - 1), "2.9 MiB");
  EXPECT_EQ(byte_text((117 << 20) + 1'000'000), "117 MiB");
}

TEST(ByteText, TheLargestHasNoOverflow) {
  EXPECT_EQ(byte_text(~uint64_t{0}), "17592186044415 MiB");
}

}  // namespace
}  // namespace holdfast
