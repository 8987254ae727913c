// Which digests are kept to be compared: a matter of the index alone.
#include "coordinator/server/digest_points.h"

#include <gtest/gtest.h>

namespace holdfast::server {
namespace {

Digest digest_of(uint64_t index) { return {.low = index * 31, .high = index}; }

DigestPoints kept_to(uint64_t last, uint64_t first = 1) {
  DigestPoints points;
  for (uint64_t i = first; i <= last; ++i) points.add(LogIndex(i), digest_of(i));
  return points;
}

TEST(DigestPoints, TheLastOnesAreKeptWithoutAGap) {
  const DigestPoints points = kept_to(1'000);
  for (uint64_t i = 1'000 - 63; i <= 1'000; ++i) EXPECT_EQ(points.at(LogIndex(i)), digest_of(i));
  EXPECT_EQ(points.at(LogIndex(1'000 - 65)), std::nullopt);
  EXPECT_EQ(points.at(LogIndex(1'001)), std::nullopt);
  EXPECT_EQ(points.at(LogIndex(0)), std::nullopt);
}

TEST(DigestPoints, EarlierOnesAreKeptAtTheSameIndexesEverywhere) {
  const DigestPoints points = kept_to(300'000);
  const DigestPoints late = kept_to(300'000, 290'001);
  EXPECT_EQ(points.at(LogIndex(64 * 4'650)), digest_of(64 * 4'650));
  EXPECT_EQ(late.at(LogIndex(64 * 4'650)), digest_of(64 * 4'650));
  EXPECT_EQ(points.at(LogIndex(4'096 * 10)), digest_of(4'096 * 10));
  EXPECT_EQ(late.at(LogIndex(4'096 * 10)), std::nullopt) << "before its state was loaded";
  EXPECT_EQ(late.at(LogIndex(4'096 * 71)), digest_of(4'096 * 71));
}

TEST(DigestPoints, AReportHasTheNewestOfEachKind) {
  std::vector<DigestPoint> out;
  kept_to(20'000).newest(3, out);
  ASSERT_EQ(out.size(), 7U);
  EXPECT_EQ(out[0].index, LogIndex(20'000));
  EXPECT_EQ(out[1].index, LogIndex(19'968));
  EXPECT_EQ(out[3].index, LogIndex(19'840));
  EXPECT_EQ(out[4].index, LogIndex(16'384));
  EXPECT_EQ(out[6].index, LogIndex(8'192));
  for (const DigestPoint& point : out) EXPECT_EQ(point.digest, digest_of(point.index.value));
}

TEST(DigestPoints, ALoadedStateIsReportedWhereItStands) {
  DigestPoints points;
  points.add(LogIndex(77), digest_of(77));
  std::vector<DigestPoint> out;
  points.newest(16, out);
  EXPECT_EQ(out, (std::vector<DigestPoint>{{LogIndex(77), digest_of(77)}}));
}

}  // namespace
}  // namespace holdfast::server
