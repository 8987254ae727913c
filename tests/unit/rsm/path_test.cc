#include "coordinator/rsm/path.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::rsm {
namespace {

bool good(std::string_view path) { return check_path(path, 1'024, 64).ok(); }

TEST(Path, AbsolutePathsOfPlainTextAreGood) {
  for (const char* path :
       {"/a", "/jobs/nightly", "/a/...", "/caf\xc3\xa9/\xf0\x9f\x94\x92", "/a b"}) {
    EXPECT_TRUE(good(path)) << path;
  }
}

TEST(Path, WhatIsNoPathIsRefused) {
  for (const char* path : {"", "a", "/", "//", "/a/", "/a//b", "/.", "/a/..", "/a/./b", "/a\tb",
                           "/a\x7f", "/a\xc2\x85"}) {
    EXPECT_EQ(check_path(path, 1'024, 64).error().code, ErrorCode::kBadArgument) << path;
  }
  EXPECT_FALSE(good(std::string_view("/a\0b", 4)));
}

TEST(Path, IllFormedUtf8IsRefused) {
  for (const char* path : {"/\xff", "/\xc0\xaf", "/\xe0\x80\x80", "/\xed\xa0\x80",
                           "/\xf4\x90\x80\x80", "/\xc3", "/\xe2\x82", "/\xf0\x9f\x94", "/\x80"}) {
    EXPECT_FALSE(good(path)) << testing::PrintToString(path);
  }
}

TEST(Path, TheLimitsAreInclusiveAndNamed) {
  EXPECT_TRUE(check_path("/" + std::string(15, 'a'), 16, 4).ok());
  const Status longer = check_path("/" + std::string(16, 'a'), 16, 4);
  EXPECT_EQ(longer.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(longer.error().message.find("17 bytes, the limit is 16"), std::string::npos);
  EXPECT_TRUE(check_path("/a/b/c/d", 16, 4).ok());
  const Status deeper = check_path("/a/b/c/d/e", 16, 4);
  EXPECT_NE(deeper.error().message.find("5 segments, the limit is 4"), std::string::npos);
}

TEST(Path, QuotesAreShortAndPlain) {
  EXPECT_EQ(quote("/a"), "\"/a\"");
  EXPECT_EQ(quote("/\xff\n"),
            "\"/?"
            "?\"");
  const std::string quoted = quote(std::string(5'000, 'x'));
  EXPECT_LT(quoted.size(), 100u);
  EXPECT_TRUE(is_plain_text(quote("/" + std::string(77, 'x') + "\xc3\xa9\xc3\xa9")));
}

}  // namespace
}  // namespace holdfast::rsm
