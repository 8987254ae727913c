// What tests of the judge expect of a verdict.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/history/history.h"

namespace holdfast::history {

inline void expect_good(const Verdict& verdict) {
  EXPECT_TRUE(verdict.good()) << verdict.explanation;
}

inline void expect_broken(const Verdict& verdict, const std::string& why) {
  EXPECT_EQ(verdict.kind, Verdict::Kind::kBroken);
  EXPECT_THAT(verdict.explanation, testing::HasSubstr(why));
}

}  // namespace holdfast::history
