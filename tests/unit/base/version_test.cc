#include "base/version.h"

#include <gmock/gmock.h>

namespace holdfast {
namespace {

TEST(Version, NamesTheReleaseAndTheFeatureLevel) {
  EXPECT_THAT(version_text(37), testing::StartsWith(std::string(kVersion) + ", feature level 37"));
}

}  // namespace
}  // namespace holdfast
