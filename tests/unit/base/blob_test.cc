#include "base/blob.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/checksum.h"

namespace holdfast {
namespace {

TEST(Blob, SharesOneBlockAmongCopies) {
  const Blob first(std::string_view("payload"));
  const Blob second = first;  // NOLINT: the copy is what is tested
  EXPECT_EQ(first.data(), second.data());
  EXPECT_EQ(second.view(), "payload");
}

TEST(Blob, EmptyBytesNeedNoBlock) { EXPECT_EQ(Blob(std::string_view()).data(), nullptr); }

TEST(ByteReader, StopsAtTheFirstShortRead) {
  std::string bytes;
  append_le<uint16_t>(bytes, 7);
  ByteReader reader(bytes);
  EXPECT_EQ(reader.read<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.read<uint16_t>(), 0u) << "a failed reader yields nothing more";
}

TEST(Digest, IsASumWhoseOrderDoesNotMatter) {
  const Digest a = hash128("a"), b = hash128("b");
  Digest ab = a, ba = b;
  ab.add(b);
  ba.add(a);
  EXPECT_EQ(ab, ba);
  ab.subtract(a);
  EXPECT_EQ(ab, b);
}

TEST(Checksum, DependsOnTheSeed) { EXPECT_NE(checksum64("x", 1), checksum64("x", 2)); }

}  // namespace
}  // namespace holdfast
