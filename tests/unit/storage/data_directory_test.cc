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
constexpr const char* kCluster = "/data/cluster";
constexpr ClusterId kOwn{4711};

Result<std::unique_ptr<DataDirectory>> open_directory(FileSystem& files, uint64_t node,
                                                      uint64_t seed = 7) {
  SeededEntropy entropy(seed);
  return DataDirectory::open(files, entropy, kDirectory, NodeId(node));
}

Status keep_genesis(DataDirectory& directory, ClusterId cluster = kOwn) {
  if (const auto made = directory.log_directory(kDefaultGroup); !made.ok()) return made.error();
  return directory.keep_genesis(kDefaultGroup, cluster, "entry 1");
}

/// Of a store that has entry 1: its files, and its group's directory without any.
void lose_group(FakeFileSystem& disk, FakeFileSystem& left) {
  auto directory = open_directory(disk, 1);
  ASSERT_TRUE(directory.ok()) << directory.error().message;
  const Status kept = keep_genesis(**directory);
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  ASSERT_TRUE(left.create_directory(kDirectory));
  for (const char* file : {kIdentity, kCluster}) left.put(file, disk.content(file));
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
  EXPECT_THAT(other.error().message, HasSubstr("belongs to node 1, this is node 2: check --data"));
  EXPECT_THAT(other.error().message, HasSubstr("of a first start that failed"));
}

TEST(DataDirectory, NobodyIsToldToRemoveOneThatBelongsToACluster) {
  FakeFileSystem disk;
  {
    auto own = open_directory(disk, 1);
    ASSERT_TRUE(own.ok() && keep_genesis(**own).ok());
  }
  const auto other = open_directory(disk, 2);
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message, HasSubstr("check --data_dir and --node_id"));
  EXPECT_THAT(other.error().message, testing::Not(HasSubstr("remove")));
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

/// Some directory has a file that begins as a group's does, /etc for one.
TEST(DataDirectory, NotEachNameThatBeginsAsAGroupsIsAServers) {
  for (const char* const name : {"/data/group-", "/data/group-photos.tar"}) {
    FakeFileSystem disk;
    ASSERT_TRUE(disk.create_directory(kDirectory));
    disk.put(name, "x");
    const auto before = disk.paths();
    const auto opened = open_directory(disk, 1);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kBadArgument);
    EXPECT_THAT(opened.error().message, HasSubstr("/data is no server's, and not empty"));
    EXPECT_EQ(disk.paths(), before);
  }
}

TEST(DataDirectory, ANewStoreDoesNotBeginAmongFilesOfOthers) {
  FakeFileSystem disk;
  ASSERT_TRUE(disk.create_directory(kDirectory));
  disk.put("/data/invoices.ods", "x");
  const auto opened = open_directory(disk, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(opened.error().message, HasSubstr("/data is no server's, and not empty: invoices"));
  auto names = disk.list(kDirectory);
  ASSERT_TRUE(names);
  EXPECT_THAT(*names, testing::ElementsAre("invoices.ods"));
}

TEST(DataDirectory, ANewStoreBeginsWhereOnlyTheFileSystemsOrTheServersOwnFilesAre) {
  FakeFileSystem disk;
  ASSERT_TRUE(disk.create_directory(kDirectory));
  ASSERT_TRUE(disk.create_directory("/data/lost+found"));
  for (const char* file : {"/data/.snapshot", "/data/holdfastd.flags", "/data/identity.new"}) {
    disk.put(file, "x");
  }
  const auto opened = open_directory(disk, 1);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
}

TEST(DataDirectory, FilesThatCameLaterDoNotKeepAStoreFromItsStart) {
  FakeFileSystem disk;
  ASSERT_TRUE(open_directory(disk, 1).ok());
  disk.put("/data/notes", "x");
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

TEST(DataDirectory, RemembersItsClusterOnceItHasEntry1) {
  FakeFileSystem disk;
  {
    auto first = open_directory(disk, 1);
    ASSERT_TRUE(first.ok());
    EXPECT_FALSE((*first)->identity().cluster);
    ASSERT_TRUE(keep_genesis(**first).ok());
    EXPECT_EQ((*first)->identity().cluster, kOwn);
  }
  disk.power_loss();
  const auto again = open_directory(disk, 1);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ((*again)->identity().cluster, kOwn);
  EXPECT_EQ((*again)->kept_genesis(kDefaultGroup).value(), "entry 1");
  EXPECT_EQ(read_identity(disk, kDirectory).value(), (*again)->identity());
}

TEST(DataDirectory, AnOlderOneWhoseEntry1IsThereRemembersItsClusterFromTheNextStart) {
  FakeFileSystem disk;
  ASSERT_TRUE(keep_genesis(**open_directory(disk, 1)).ok());
  const std::string identity = disk.content(kIdentity);
  ASSERT_TRUE(disk.unlink(kCluster).ok());
  ASSERT_TRUE(disk.sync_directory(kDirectory).ok());
  ASSERT_TRUE(keep_genesis(**open_directory(disk, 1)).ok());
  disk.power_loss();
  EXPECT_EQ(read_identity(disk, kDirectory)->cluster, kOwn);
  EXPECT_EQ(disk.content(kIdentity), identity) << "what an older program reads is as it was";
}

TEST(DataDirectory, ThatBelongedToAClusterDoesNotBeginAgainWithoutItsGroup) {
  const std::vector<std::vector<const char*>> left = {
      {}, {"/data/group-1"}, {"/data/group-1", "/data/group-1/lost+found"}};
  for (const auto& directories : left) {
    SCOPED_TRACE(directories.size());
    FakeFileSystem whole;
    FakeFileSystem disk;
    lose_group(whole, disk);
    for (const char* path : directories) ASSERT_TRUE(disk.create_directory(path).ok());
    const auto opened = open_directory(disk, 1);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(opened.error().message,
                AllOf(HasSubstr("belonged to a cluster (4711)"),
                      HasSubstr("/data/group-1 is missing or empty"), HasSubstr("votes"),
                      HasSubstr("mount it"), HasSubstr("holdfast member replace 1 NEW_ID")));
    EXPECT_THAT(disk.paths(), testing::UnorderedElementsAre(kIdentity, kCluster));
  }
}

TEST(DataDirectory, InspectionFindsThatTheLogWasLost) {
  FakeFileSystem whole;
  FakeFileSystem disk;
  lose_group(whole, disk);
  for (FakeFileSystem* looked_at : {&whole, &disk}) {
    const auto found = inspect_data_directory(*looked_at, kDirectory, InspectDetail::kSegments);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(found.error().message, HasSubstr("/data/group-1/log holds no entry"));
  }
}

/// A server that has entry 1, and has received a state: its log begins behind that, without an
/// entry.
class ReceivedState : public ::testing::Test {
 protected:
  ReceivedState() {
    auto directory = open_directory(disk_, 1);
    options_.directory = (*directory)->log_directory(kDefaultGroup).value();
    options_.store = (*directory)->store();
    options_.segment_bytes = 4096;
    EXPECT_TRUE(
        append(**open(disk_), {make_write(1, HardState{Term(1), NodeId()}, {make_entry(1, 1)})})
            .ok());
    EXPECT_TRUE(keep_genesis(**directory).ok());
    options_.snapshot = SnapshotPosition{{LogIndex(100), Term(4)}, true};
  }
  Result<std::unique_ptr<LogStore>> open(FakeFileSystem& disk) {
    SeededEntropy entropy(3);
    return LogStore::open(disk, entropy, options_);
  }
  static LogInspection inspected(FakeFileSystem& disk) {
    const auto found = inspect_data_directory(disk, kDirectory, InspectDetail::kSegments);
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() && found->size() == 1 ? found->front() : LogInspection();
  }

  FakeFileSystem disk_;
  LogOptions options_;
};

TEST_F(ReceivedState, AnEmptyLogBehindItIsNotLost) {
  ASSERT_TRUE(open(disk_).ok());
  disk_.power_loss();
  const LogInspection found = inspected(disk_);
  EXPECT_EQ(found.verdict, LogInspection::Verdict::kSound);
  EXPECT_EQ(found.first_index, 101U);
  EXPECT_EQ(found.record_count, 0U);
}

TEST_F(ReceivedState, NoCrashMakesItsLogLookLost) {
  auto whole = disk_.clone(1);
  const uint64_t before = whole->operations();
  {
    auto log = open(*whole);
    ASSERT_TRUE(log.ok()) << log.error().message;
    ASSERT_TRUE(append(**log, {make_write(1, {}, make_entries(5, 101, 103))}).ok());
  }
  const uint64_t operations = whole->operations() - before;
  int empty = 0;
  for (uint64_t at = 1; at <= operations; ++at) {
    for (const bool power : {false, true}) {
      SCOPED_TRACE(std::to_string(at) + (power ? ", power" : ", process"));
      auto disk = disk_.clone(at);
      disk->crash_at(disk->operations() + at);
      {
        auto log = open(*disk);
        if (log.ok()) (void)append(**log, {make_write(1, {}, make_entries(5, 101, 103))});
      }
      ASSERT_TRUE(disk->crashed());
      power ? disk->power_loss() : disk->process_crash();
      const LogInspection found = inspected(*disk);
      EXPECT_NE(found.verdict, LogInspection::Verdict::kDamaged) << found.message;
      EXPECT_NE(found.tail.last_index, LogIndex());
      if (found.first_index == 101 && found.tail.last_index == LogIndex(100)) ++empty;
      EXPECT_TRUE(open(*disk).ok()) << "and a server starts from it";
    }
  }
  EXPECT_GT(empty, 0) << "some crash left the log empty behind the state";
}

TEST(DataDirectory, OfOneClusterTakesNoEntry1OfAnother) {
  FakeFileSystem disk;
  auto directory = open_directory(disk, 1);
  ASSERT_TRUE(keep_genesis(**directory).ok());
  const uint64_t before = disk.operations();
  const Status other = (*directory)->keep_genesis(kDefaultGroup, ClusterId(4712), "entry 1");
  EXPECT_EQ(other.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(other.error().message,
              AllOf(HasSubstr("belongs to cluster 4711"), HasSubstr("of cluster 4712")));
  EXPECT_EQ(disk.operations(), before);
}

TEST(DataDirectory, RefusesEveryFlippedBitOfTheClusterAndWhatIsLeftOfIt) {
  FakeFileSystem disk;
  ASSERT_TRUE(keep_genesis(**open_directory(disk, 1)).ok());
  const std::string good = disk.content(kCluster);
  std::vector<std::string> all = {"", good.substr(0, good.size() - 1), good + "\n",
                                  std::string(5000, 'x')};
  for (size_t offset = 0; offset < 8 * good.size(); ++offset) {
    all.push_back(good);
    all.back()[offset / 8] = static_cast<char>(all.back()[offset / 8] ^ (1 << offset % 8));
  }
  for (const std::string& bad : all) {
    disk.put(kCluster, bad);
    const auto opened = open_directory(disk, 1);
    ASSERT_FALSE(opened.ok()) << bad;
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(opened.error().message, HasSubstr(kCluster));
  }
}

TEST(DataDirectory, DoesNotMakeUpAnIdentityForAClusterThatIsThere) {
  FakeFileSystem whole;
  FakeFileSystem disk;
  lose_group(whole, disk);
  ASSERT_TRUE(disk.unlink(kIdentity).ok());
  const auto opened = open_directory(disk, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().message, HasSubstr("identity file is missing, but cluster is there"));
}

TEST(DataDirectory, SaysWhatTheDiskSaid) {
  FakeFileSystem disk;
  disk.fail_at(3, ENOSPC);
  const auto opened = open_directory(disk, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kNoSpace);
}

TEST(DataDirectory, OfAnotherUserIsAMistakeAndNoFailedDisk) {
  FakeFileSystem disk;
  disk.refuse_locks(EACCES);
  const auto opened = open_directory(disk, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(opened.error().message, HasSubstr("the data directory /data cannot be used: open of "
                                                "/data/LOCK failed: Permission denied"));
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
