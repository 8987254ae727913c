#include "base/net/address.h"

#include <gtest/gtest.h>

namespace holdfast::net {
namespace {

TEST(Address, ReadsNamesAndLiterals) {
  EXPECT_EQ(*parse_address("127.0.0.1:2181"), (Address{"127.0.0.1", 2181}));
  EXPECT_EQ(*parse_address("db-1.example.org:0"), (Address{"db-1.example.org", 0}));
  EXPECT_EQ(*parse_address("[::1]:65535"), (Address{"::1", 65535}));
}

TEST(Address, WritesBackWhatItRead) {
  for (const char* text : {"host:1", "10.0.0.1:65535", "[fe80::1]:7"}) {
    EXPECT_EQ(to_string(*parse_address(text)), text);
  }
}

TEST(Address, RefusesWhatIsNoAddressAndNamesIt) {
  for (const char* text : {"", "host", "host:", ":80", "host:65536", "host:-1", "host:8x", "::1:80",
                           "[::1:80", "[host]:80", "a b:80", "a,b:80", "1=host:80"}) {
    const auto parsed = parse_address(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kBadArgument);
    EXPECT_NE(parsed.error().message.find(text), std::string::npos) << parsed.error().message;
  }
}

TEST(Address, OfNothingBothAreMissing) {
  EXPECT_NE(parse_address("").error().message.find("host and port are missing"), std::string::npos);
}

TEST(Address, KnowsWhatStaysOnThisMachine) {
  for (const char* host : {"127.0.0.1", "127.8.9.10", "::1", "localhost"}) {
    EXPECT_TRUE(is_loopback({host, 1})) << host;
  }
  for (const char* host : {"0.0.0.0", "10.0.0.1", "*", "::", "localhost.example.org"}) {
    EXPECT_FALSE(is_loopback({host, 1})) << host;
  }
}

}  // namespace
}  // namespace holdfast::net
