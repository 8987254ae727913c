// A new cluster out of the state of another: what the directory holds, and what is refused.
#include "lockmgr/lock_table.h"
#include "session/session_table.h"
#include "tests/unit/founding/old_cluster.h"

namespace holdfast::founding {
namespace {

using testing::HasSubstr;
using testing::Not;

class FoundingTest : public testing::Test {
 protected:
  /// A database of a server that ran so many entries.
  std::string saved(int entries) {
    OldServer server(files_, 4);
    server.run(entries);
    server.snapshot();
    old_revision_ = server.machine().applied();
    sessions_ = server.machine().sessions().size();
    return server.database();
  }
  Founded restored() {
    Process process(files_);
    const auto founded = restore(process.ports(), saved(200));
    EXPECT_TRUE(founded.ok()) << founded.error().message;
    return *founded;
  }
  std::string refused(const Founder& founder, const std::string& directory, LogIndex index = {}) {
    Process process(files_);
    State state;
    state.machine = std::make_unique<rsm::StateMachine>();
    if (index) state.machine->skip(index);
    state.last_term = state.term = Term(1);
    const auto founded = found_cluster(process.ports(), std::move(state), founder, directory);
    EXPECT_FALSE(founded.ok());
    EXPECT_EQ(founded.error().code, ErrorCode::kBadArgument);
    return founded.error().message;
  }

  raft::FakeFileSystem files_;
  LogIndex old_revision_;
  size_t sessions_ = 0;
};

TEST_F(FoundingTest, TheNewServerStandsAboveTheOldClusterAndItsFirstEntryEndsAllSessions) {
  const Founded founded = restored();
  ASSERT_GT(sessions_, 0U);
  EXPECT_EQ(founded.first, LogIndex(old_revision_.value + kIndexRaise + 1));
  EXPECT_EQ(founded.sessions, sessions_);
  EXPECT_NE(founded.cluster, kOldCluster);

  Process process(files_, 6);
  auto server = open_survivor(process.ports(), kNew, NodeId(1));
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_EQ(server->cluster, founded.cluster);
  EXPECT_EQ(server->snapshot, founded.first.prev());
  EXPECT_EQ(server->last, founded.first);
  EXPECT_EQ(server->self.store, server->directory->store());
  EXPECT_EQ(server->self.client_address, "new.example:2");
  EXPECT_EQ(server->state.last_term, OldServer::term().next()) << "a term in which nobody voted";
  EXPECT_EQ(server->state.term, OldServer::term().next());
  const rsm::StateMachine& machine = *server->state.machine;
  EXPECT_EQ(machine.applied(), founded.first);
  EXPECT_EQ(machine.sessions().size(), 0U);
  EXPECT_EQ(machine.locks().holder_count(), 0U);
  EXPECT_EQ(machine.settings().get(rsm::SettingId::kRestoreHoldUntilMs),
            machine.cluster_time_ms() + founded.hold_ms);
  EXPECT_EQ(machine.check_invariants(), "");
}

// The state's database says who the members of the old cluster were.
TEST_F(FoundingTest, TheMembersOfTheOldClusterAreNotThoseOfTheNew) {
  {
    OldServer server(files_, 4);
    server.run(20);
    server.change_members(server.moved());
    server.snapshot();
  }
  Process process(files_);
  auto old = open_survivor(process.ports(), kOld, kOldNode);
  ASSERT_TRUE(old.ok()) << old.error().message;
  const auto founded = found_cluster(process.ports(), std::move(old->state), founder(), kNew);
  ASSERT_TRUE(founded.ok()) << founded.error().message;
  auto store = snapshot::SnapshotStore::open(
      files_, raft::snapshot_directory_path(kNew, kDefaultGroup), process.ports().vfs);
  ASSERT_TRUE(store.ok()) << store.error().message;
  const auto head = (*store)->head();
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(head->membership, snapshot::SnapshotMembership());
  auto server = open_survivor(process.ports(), kNew, NodeId(1));
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_EQ(server->self.peer_address, "new.example:1");
}

TEST_F(FoundingTest, TheSameFileTwiceMakesTwoClusters) {
  const std::string database = saved(50);
  Process process(files_);
  const auto one = restore(process.ports(), database);
  auto state = state_of(process.ports(), database);
  ASSERT_TRUE(state.ok());
  const auto two = found_cluster(process.ports(), std::move(*state), founder(), "/second");
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(one->cluster, two->cluster);
}

TEST_F(FoundingTest, ARestoredStateCanBeSavedAndRestoredAgain) {
  const Founded first = restored();
  Process process(files_, 8);
  auto server = open_survivor(process.ports(), kNew, NodeId(1));
  ASSERT_TRUE(server.ok());
  const auto again = found_cluster(process.ports(), std::move(server->state), founder(), "/second");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->first, LogIndex(first.first.value + kIndexRaise + 1));
}

TEST_F(FoundingTest, ADirectoryThatIsNotEmptyIsRefusedAndNothingIsLost) {
  ASSERT_TRUE(files_.create_directory("/full"));
  files_.put("/full/notes", "mine");
  const auto before = files_.paths();
  EXPECT_THAT(refused(founder(), "/full"), HasSubstr("/full must be empty, but notes is there"));
  EXPECT_EQ(files_.paths(), before) << "not even a lock was made";
}

TEST_F(FoundingTest, WhatAFileSystemKeepsAtItsTopIsNoContent) {
  const std::string database = saved(20);
  ASSERT_TRUE(files_.create_directory(kNew));
  ASSERT_TRUE(files_.create_directory(std::string(kNew) + "/lost+found"));
  Process process(files_);
  const auto founded = restore(process.ports(), database);
  EXPECT_TRUE(founded.ok()) << founded.error().message;
}

TEST_F(FoundingTest, WhereALogIsNoOtherBegins) {
  OldServer(files_, 4).run(5);
  Process process(files_);
  raft::LogOptions options;
  options.directory = raft::log_directory_path(kOld, kDefaultGroup);
  options.store = raft::read_identity(files_, kOld)->store;
  options.segment_bytes = kSegmentBytes;
  options.snapshot = {.last = {LogIndex(6), OldServer::term()}};
  options.begins_here = true;
  const auto log = raft::LogStore::open(files_, process.ports().entropy, options);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(log.error().message, HasSubstr("none can begin here, as the log holds entries 1 to"));
}

TEST_F(FoundingTest, AServersDirectoryIsRefused) {
  restored();
  EXPECT_THAT(refused(founder(), kNew), HasSubstr("/new must be empty"));
}

TEST_F(FoundingTest, ADirectoryWithoutItsParentIsRefused) {
  EXPECT_THAT(refused(founder(), "/none/new"), HasSubstr("/none/new"));
}

TEST_F(FoundingTest, AMemberThatCouldNotBeOneIsRefusedBeforeAnythingIsWritten) {
  Founder nobody = founder();
  nobody.peer_address = std::string(1'000, 'x');
  const auto before = files_.paths();
  refused(nobody, kNew);
  EXPECT_EQ(files_.paths(), before);
}

TEST_F(FoundingTest, ARevisionThatWouldRunOutOfNumbersIsRefused) {
  EXPECT_THAT(refused(founder(), kNew, LogIndex(kIndexMax - kIndexRaise + 1)),
              HasSubstr("cannot begin above " + std::to_string(kIndexMax - kIndexRaise)));
}

TEST_F(FoundingTest, AFullDiskLeavesADirectoryFromWhichNoServerStarts) {
  const std::string database = saved(200);
  files_.set_capacity(files_.used() + 40'000);
  {
    Process process(files_);
    const auto founded = restore(process.ports(), database);
    ASSERT_FALSE(founded.ok());
    EXPECT_EQ(founded.error().code, ErrorCode::kNoSpace);
    EXPECT_THAT(founded.error().message, HasSubstr("no server starts from /new"));
  }
  files_.disarm();
  Process process(files_, 9);
  const auto started = raft::DataDirectory::open(files_, process.ports().entropy, kNew, NodeId(1));
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(started.error().message, HasSubstr("a restore or a recovery that was cut short"));
}

}  // namespace
}  // namespace holdfast::founding
