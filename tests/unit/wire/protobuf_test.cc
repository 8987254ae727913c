#include "bench/wire/protobuf.h"

#include <gtest/gtest.h>

namespace holdfast::bench {
namespace {

TEST(Protobuf, FieldsAreEncodedAsTheSpecificationShows) {
  std::string out;
  // The two examples of the encoding's specification, and the sign of a negative number.
  ProtoWriter(out).put(1, int64_t{150}).put(2, "testing").put(3, int64_t{-1});
  EXPECT_EQ(out,
            "\x08\x96\x01"
            "\x12\x07testing"
            "\x18\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
  EXPECT_EQ(proto_number(out, 1), 150);
  EXPECT_EQ(proto_bytes(out, 2), "testing");
  EXPECT_EQ(proto_number(out, 3), -1);
}

TEST(Protobuf, AbsentFieldsAreEmptyAndTheLastOfRepeatedOnesCounts) {
  std::string out;
  ProtoWriter(out).put(4, "a").put(4, "b");
  EXPECT_EQ(proto_bytes(out, 4), "b");
  EXPECT_EQ(proto_bytes(out, 5), "");
  EXPECT_EQ(proto_number(out, 5), 0);
}

TEST(Protobuf, UnknownKindsOfFieldsArePassedOver) {
  std::string out =
      "\x09"
      "12345678"
      "\x15"
      "1234";  // field 1 of 64 bits, field 2 of 32
  ProtoWriter(out).put(3, int64_t{9});
  EXPECT_EQ(proto_number(out, 3), 9);
}

TEST(Protobuf, MalformedBytesEndTheWalkAndAreNoted) {
  for (const std::string& bytes : {std::string("\x12\x64short"), std::string("\x08\xFF"),
                                   std::string("\x0B"), std::string(11, '\xFF')}) {
    ProtoReader reader(bytes);
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.ok());
    EXPECT_FALSE(reader.next());
  }
}

}  // namespace
}  // namespace holdfast::bench
