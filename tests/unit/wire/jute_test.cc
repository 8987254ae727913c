#include "bench/wire/jute.h"

#include <gtest/gtest.h>

namespace holdfast::bench {
namespace {

TEST(Jute, IntegersAreBigEndianAndTextsStandBehindTheirLength) {
  std::string out;
  JuteWriter(out).put(int32_t{0x01020304}).put(int64_t{-2}).put(int8_t{1}).put("ab");
  const std::string expected(
      "\x01\x02\x03\x04"
      "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE"
      "\x01"
      "\0\0\0\x02"
      "ab",
      19);
  EXPECT_EQ(out, expected);
}

TEST(Jute, WhatWasWrittenIsRead) {
  std::string out;
  JuteWriter(out).put(int32_t{-101}).put(int64_t{1} << 40).put("/lock/a").put(int8_t{0});
  JuteReader reader(out);
  EXPECT_EQ(reader.read<int32_t>(), -101);
  EXPECT_EQ(reader.read<int64_t>(), int64_t{1} << 40);
  EXPECT_EQ(reader.read_bytes(), "/lock/a");
  EXPECT_EQ(reader.read<int8_t>(), 0);
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.rest().empty());
}

TEST(Jute, ANullBufferIsEmpty) {
  std::string out;
  JuteWriter(out).put(int32_t{-1}).put(int32_t{7});
  JuteReader reader(out);
  EXPECT_TRUE(reader.read_bytes().empty());
  EXPECT_EQ(reader.read<int32_t>(), 7);
}

TEST(Jute, ReadingPastTheEndIsNotedAndYieldsNothing) {
  std::string out;
  JuteWriter(out).put(int32_t{100});
  out += "short";
  JuteReader reader(out);
  EXPECT_TRUE(reader.read_bytes().empty());
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.read<int64_t>(), 0);
}

}  // namespace
}  // namespace holdfast::bench
