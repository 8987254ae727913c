#include "raft/storage/data_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "raft/storage/log_inspect.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {
namespace {

using ::testing::HasSubstr;

constexpr const char* kDirectory = "/data";
constexpr const char* kIdentity = "/data/identity";

Result<std::unique_ptr<DataDirectory>> open_directory(FileSystem& files, uint64_t node,
                                                      uint64_t seed = 7) {
  SeededEntropy entropy(seed);
  return DataDirectory::open(files, entropy, kDirectory, NodeId(node));
}

TEST(DataDirectory, MintsAStoreIdOnFirstUseAndKeepsIt) {
  FakeFileSystem disk;
  StoreId store;
  {
    auto first = open_directory(disk, 1, 7);
    ASSERT_TRUE(first.ok()) << first.error().message;
    store = (*first)->store();
    EXPECT_GT(store.value, 0u);
    EXPECT_LT(store.value, uint64_t{1} << 53);
  }
  disk.power_loss();
  auto second = open_directory(disk, 1, 8);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ((*second)->store(), store);
}

TEST(DataDirectory, KeepsTheStoreIdThroughACrashAtEveryOperation) {
  for (uint64_t at = 1; at <= 12; ++at) {
    FakeFileSystem disk(at);
    disk.crash_at(at);
    StoreId given_out;
    if (auto opened = open_directory(disk, 1, 7)) {
      given_out = (*opened)->store();
      (void)(*opened)->log_directory(kDefaultGroup).ok();
    }
    disk.power_loss();
    auto again = open_directory(disk, 1, 8);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_TRUE(!given_out || (*again)->store() == given_out);
  }
}

TEST(DataDirectory, RefusesAnotherNodeNamingBoth) {
  FakeFileSystem disk;
  ASSERT_TRUE(open_directory(disk, 1).ok());
  const auto other = open_directory(disk, 2);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(other.error().message, HasSubstr("/data/identity"));
  EXPECT_THAT(other.error().message, HasSubstr("belongs to node 1, this is node 2"));
}

TEST(DataDirectory, RefusesASecondProcessUntilTheFirstHasGone) {
  FakeFileSystem disk;
  auto first = open_directory(disk, 1);
  const auto second = open_directory(disk, 1);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(second.error().message, HasSubstr("in use"));
  EXPECT_THAT(second.error().message, HasSubstr("pid"));
  first->reset();
  EXPECT_TRUE(open_directory(disk, 1).ok());
}

TEST(DataDirectory, RefusesEveryFlippedBitOfTheIdentity) {
  FakeFileSystem disk;
  ASSERT_TRUE(open_directory(disk, 1).ok());
  const uint64_t size = disk.content(kIdentity).size();
  for (uint64_t offset = 0; offset < size; ++offset) {
    for (int bit = 0; bit < 8; ++bit) {
      disk.flip_bit(kIdentity, offset, bit);
      const auto opened = open_directory(disk, 1);
      ASSERT_FALSE(opened.ok()) << "offset " << offset << " bit " << bit;
      EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(opened.error().message, HasSubstr(kIdentity));
      disk.flip_bit(kIdentity, offset, bit);
    }
  }
}

TEST(DataDirectory, RefusesTruncatedEmptyAndOverlongIdentities) {
  FakeFileSystem disk;
  ASSERT_TRUE(open_directory(disk, 1).ok());
  const std::string good = disk.content(kIdentity);
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() - 1), good + "\n", std::string(5000, 'x')}) {
    disk.put(kIdentity, bad);
    const auto opened = open_directory(disk, 1);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  }
}

TEST(DataDirectory, DoesNotMakeUpAnIdentityForALogThatIsThere) {
  FakeFileSystem disk;
  {
    auto first = open_directory(disk, 1);
    ASSERT_TRUE((*first)->log_directory(kDefaultGroup).ok());
  }
  ASSERT_TRUE(disk.unlink(kIdentity).ok());
  const auto opened = open_directory(disk, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().message, HasSubstr("group-1"));
}

TEST(DataDirectory, SaysWhatTheDiskSaid) {
  FakeFileSystem disk;
  disk.fail_at(3, ENOSPC);
  const auto opened = open_directory(disk, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kNoSpace);
}

TEST(DataDirectory, HoldsALogPerGroupThatInspectionFinds) {
  FakeFileSystem disk;
  auto directory = open_directory(disk, 1);
  ASSERT_TRUE(directory.ok());
  const auto path = (*directory)->log_directory(kDefaultGroup);
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(*path, "/data/group-1/log");
  LogOptions options;
  options.directory = *path;
  options.store = (*directory)->store();
  options.segment_bytes = 4096;
  SeededEntropy entropy(3);
  auto log = LogStore::open(disk, entropy, options);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(
      append(**log, {make_write(1, HardState{Term(1), NodeId(1)}, {make_entry(1, 1)})}).ok());
  const uint64_t before = disk.operations();
  const auto found = inspect_data_directory(disk, kDirectory, InspectDetail::kSegments);
  ASSERT_TRUE(found.ok()) << found.error().message;
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().verdict, LogInspection::Verdict::kSound);
  EXPECT_EQ(found->front().tail.last_index, LogIndex(1));
  EXPECT_EQ(disk.operations(), before) << "inspection never writes";
}

}  // namespace
}  // namespace holdfast::raft
