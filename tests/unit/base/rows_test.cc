#include "base/rows.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(RowLog, YieldsChangesInTheOrderMade) {
  RowLog log;
  log.begin(RowTable::kLocks, 7);
  log.put32(5);
  log.put_bytes("abc");
  log.finish();
  log.erase(RowTable::kSessions, 9);
  log.begin(RowTable::kSessions, 10);
  log.finish();
  ASSERT_EQ(log.size(), 3u);

  EXPECT_EQ(log[0].table, RowTable::kLocks);
  EXPECT_EQ(log[0].id, 7u);
  ByteReader reader(log[0].row);
  EXPECT_EQ(reader.read<uint32_t>(), 5u);
  EXPECT_EQ(reader.read<uint32_t>(), 3u);
  EXPECT_EQ(reader.read_bytes(3), "abc");
  EXPECT_EQ(reader.remaining(), 0u);

  EXPECT_TRUE(log[1].erased);
  EXPECT_EQ(log[1].id, 9u);
  EXPECT_FALSE(log[2].erased);
  EXPECT_EQ(log[2].row, "") << "an empty row is not an erased one";
}

TEST(RowLog, HashesARowWithItsTableAndId) {
  RowLog log;
  log.begin(RowTable::kLocks, 7);
  log.put8(1);
  const Digest hash = log.finish();
  EXPECT_EQ(hash, row_hash(RowTable::kLocks, 7, log[0].row));
  EXPECT_NE(hash, row_hash(RowTable::kLocks, 8, log[0].row));
  EXPECT_NE(hash, row_hash(RowTable::kSessions, 7, log[0].row));
}

TEST(RowLog, IsEmptyOnceCleared) {
  RowLog log;
  log.erase(RowTable::kLocks, 7);
  EXPECT_FALSE(log.empty());
  log.clear();
  EXPECT_TRUE(log.empty());
}

}  // namespace
}  // namespace holdfast
