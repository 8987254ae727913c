// What somebody may have meant who mistyped a word.
#include "clients/cli/nearest.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(NearestTest, ALetterTooManyOneTooFewAWrongOneAndTwoExchangedAreOneMistakeEach) {
  EXPECT_EQ(typing_distance("status", "status"), 0u);
  EXPECT_EQ(typing_distance("sttatus", "status"), 1u);
  EXPECT_EQ(typing_distance("statu", "status"), 1u);
  EXPECT_EQ(typing_distance("stayus", "status"), 1u);
  EXPECT_EQ(typing_distance("statsu", "status"), 1u);
  EXPECT_EQ(typing_distance("", "rm"), 2u);
}

TEST(NearestTest, TheNearestIsNamedAndOfTwoTheFirst) {
  EXPECT_EQ(nearest("exprie", {"revoke", "expire", "expires"}), "expire");
  EXPECT_EQ(nearest("pet", {"get", "put"}), "get");
}

TEST(NearestTest, WhatIsNotNearIsNotNamed) {
  EXPECT_EQ(nearest("foo", {"get", "put"}), "");
  EXPECT_EQ(nearest("nonsense", {"sessions", "settings"}), "");
  EXPECT_EQ(nearest(std::string(1'000'000, 'x'), {std::string(999'999, 'x')}), "");
  EXPECT_EQ(nearest("get", {}), "");
}

}  // namespace
}  // namespace holdfast::cli
