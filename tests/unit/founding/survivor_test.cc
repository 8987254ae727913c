// What one server of a lost cluster still knows.
#include <map>

#include "coordinator/loading/quarantine_file.h"
#include "coordinator/tree/key_tree.h"
#include "session/session_table.h"
#include "tests/unit/founding/old_cluster.h"

namespace holdfast::founding {
namespace {

using testing::HasSubstr;

class SurvivorTest : public testing::Test {
 protected:
  Result<Survivor> open(NodeId node = kOldNode) {
    process_ = std::make_unique<Process>(files_, 11);
    return open_survivor(process_->ports(), kOld, node);
  }
  /// The server is gone; its directory is left.
  template <class Work>
  Digest leave(const Work& work) {
    OldServer server(files_, 12);
    work(server);
    return server.machine().digest();
  }

  /// Once the files of a folder have gone.
  void expect_lost_without(const std::string& folder) {
    for (const std::string& path : files_.paths()) {
      if (!path.starts_with(folder)) continue;
      ASSERT_TRUE(files_.unlink(path).ok());
    }
    const auto survivor = open();
    ASSERT_FALSE(survivor.ok());
    EXPECT_EQ(survivor.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(survivor.error().message, HasSubstr("belonged to a cluster (77), but its log"));
  }

  raft::FakeFileSystem files_;
  std::unique_ptr<Process> process_;
};

TEST_F(SurvivorTest, TheWholeLogIsAppliedOnTopOfTheSnapshot) {
  const Digest digest = leave([](OldServer& server) {
    server.run(120);
    server.snapshot();
    server.run(80);
  });
  auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_EQ(survivor->cluster, kOldCluster);
  EXPECT_EQ(survivor->snapshot, LogIndex(121));
  EXPECT_EQ(survivor->last, LogIndex(201));
  EXPECT_EQ(survivor->state.last_term, OldServer::term());
  EXPECT_EQ(survivor->state.machine->applied(), LogIndex(201));
  EXPECT_EQ(survivor->state.machine->digest(), digest);
  EXPECT_EQ(survivor->self.peer_address, "old.example:1");
}

// An operator looks at several servers before one is chosen, and perhaps as another user.
TEST_F(SurvivorTest, NothingOfTheDirectoryIsChanged) {
  leave([](OldServer& server) {
    server.run(120);
    server.snapshot();
    server.run(80);
  });
  files_.put("/old/group-1/snapshot/received-1-2-3-4-5.part", "what had come of a state");
  const auto all = [this] {
    std::map<std::string, std::string> contents;
    for (const std::string& path : files_.paths()) contents[path] = files_.content(path);
    return contents;
  };
  const auto before = all();
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(all(), before);
}

TEST_F(SurvivorTest, ALogWithoutASnapshotWillDo) {
  const Digest digest = leave([](OldServer& server) { server.run(50); });
  auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_EQ(survivor->snapshot, LogIndex(0));
  EXPECT_EQ(survivor->state.machine->digest(), digest);
  const auto founded =
      found_cluster(process_->ports(), std::move(survivor->state), founder(), kNew);
  ASSERT_TRUE(founded.ok()) << founded.error().message;
  EXPECT_EQ(founded->first, LogIndex(51 + kIndexRaise + 1));
}

TEST_F(SurvivorTest, OneThatWaitsForTheOthersStateIsRefused) {
  leave([](OldServer&) {});
  const auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_EQ(survivor.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(survivor.error().message,
              HasSubstr("nothing of the cluster's state but its first entry"));
}

TEST_F(SurvivorTest, ANewClusterOfSnapshotAndLogHoldsBoth) {
  leave([](OldServer& server) {
    server.run(120);
    server.snapshot();
    server.run(80);
  });
  auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  const uint64_t keys = survivor->state.machine->keys().key_count();
  const auto founded =
      found_cluster(process_->ports(), std::move(survivor->state), founder(), kNew);
  ASSERT_TRUE(founded.ok()) << founded.error().message;
  auto server = open_survivor(process_->ports(), kNew, NodeId(1));
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_EQ(server->snapshot, LogIndex(201 + kIndexRaise));
  EXPECT_LE(server->state.machine->keys().key_count(), keys) << "all but ephemerals";
  EXPECT_EQ(server->state.machine->check_invariants(), "");
}

// Its end was written, but perhaps never committed: then its client was never told, and holds on.
TEST_F(SurvivorTest, TheHoldCoversASessionWhoseEndIsInTheLog) {
  leave([](OldServer& server) {
    server.open_session(500'000);
    server.snapshot();
    server.revoke_last_session();
  });
  auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_EQ(survivor->state.machine->sessions().size(), 0U);
  const auto founded =
      found_cluster(process_->ports(), std::move(survivor->state), founder(), kNew);
  ASSERT_TRUE(founded.ok()) << founded.error().message;
  EXPECT_EQ(founded->hold_ms, 500'000);
  auto server = open_survivor(process_->ports(), kNew, NodeId(1));
  ASSERT_TRUE(server.ok()) << server.error().message;
  const rsm::StateMachine& machine = *server->state.machine;
  EXPECT_EQ(machine.settings().get(rsm::SettingId::kRestoreHoldUntilMs),
            machine.cluster_time_ms() + 500'000);
}

TEST_F(SurvivorTest, ItIsWhereTheLogLastSaid) {
  leave([](OldServer& server) {
    server.run(20);
    server.snapshot();
    server.change_members(server.moved());
  });
  const auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_EQ(survivor->self.peer_address, "moved.example:1");
  EXPECT_EQ(survivor->self.client_address, "moved.example:2");
  EXPECT_FALSE(survivor->removed.has_value());
}

TEST_F(SurvivorTest, ItIsWhereTheSnapshotLastSaid) {
  leave([](OldServer& server) {
    server.run(20);
    server.change_members(server.moved());
    server.run(20);
    server.snapshot();
  });
  const auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_EQ(survivor->self.peer_address, "moved.example:1");
}

TEST_F(SurvivorTest, OneThatWasRemovedSaysSo) {
  leave([](OldServer& server) {
    server.change_members(server.moved());
    server.run(20);
    server.change_members(server.without_it());
  });
  const auto survivor = open();
  ASSERT_TRUE(survivor.ok()) << survivor.error().message;
  EXPECT_FALSE(survivor->self.id);
  ASSERT_TRUE(survivor->removed.has_value());
  EXPECT_EQ(survivor->removed->index, LogIndex(23));
}

TEST_F(SurvivorTest, OneThatIsQuarantinedIsRefused) {
  leave([](OldServer& server) { server.run(5); });
  loading::QuarantineFile file(files_, kOld, kDefaultGroup);
  ASSERT_TRUE(file.write("it differs after entry 4").ok());
  const auto refused = open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("is quarantined: it differs after entry 4"));
  EXPECT_THAT(refused.error().message, HasSubstr("remove /old/group-1/quarantine"));
  ASSERT_TRUE(file.remove().ok());
  EXPECT_TRUE(open().ok()) << "the operator has decided";
}

// Behind a snapshot that another server wrote a log may be discarded: not for one of elsewhere.
TEST_F(SurvivorTest, TheSnapshotOfAnotherClusterCostsTheLogNothing) {
  leave([](OldServer& server) {
    server.run(50);
    server.snapshot([](snapshot::SnapshotHead& head) {
      head.cluster = ClusterId(78);
      head.node = NodeId(9);
      head.applied = LogIndex(1'000);
    });
  });
  const auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_EQ(survivor.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(survivor.error().message, HasSubstr("is of cluster 78"));
  raft::LogOptions options;
  options.directory = raft::log_directory_path(kOld, kDefaultGroup);
  options.store = raft::read_identity(files_, kOld)->store;
  options.segment_bytes = kSegmentBytes;
  const auto log = raft::LogStore::open(files_, process_->ports().entropy, options);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ((*log)->last_index(), LogIndex(51));
}

TEST_F(SurvivorTest, WhileItLivesNoServerStartsThere) {
  leave([](OldServer& server) { server.run(5); });
  auto survivor = open();
  ASSERT_TRUE(survivor.ok());
  const auto server = raft::DataDirectory::open(files_, process_->ports().entropy, kOld, kOldNode);
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(server.error().message, HasSubstr("is in use"));
}

TEST_F(SurvivorTest, ADirectoryInUseIsRefused) {
  OldServer server(files_, 12);
  server.run(5);
  const auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_THAT(survivor.error().message, HasSubstr("is in use"));
}

TEST_F(SurvivorTest, TheDirectoryOfAnotherNodeIsRefused) {
  leave([](OldServer& server) { server.run(5); });
  const auto survivor = open(NodeId(3));
  ASSERT_FALSE(survivor.ok());
  EXPECT_EQ(survivor.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(survivor.error().message, HasSubstr("belongs to node 2, this is node 3"));
}

TEST_F(SurvivorTest, WhatIsNoServersDirectoryIsRefusedAndStaysAsItIs) {
  ASSERT_TRUE(files_.create_directory(kOld));
  const auto before = files_.paths();
  auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_EQ(survivor.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(survivor.error().message, HasSubstr("/old is no data directory of a server"));
  EXPECT_EQ(files_.paths(), before);
}

TEST_F(SurvivorTest, AServerThatWasInNoClusterIsRefused) {
  {
    Process process(files_, 13);
    const auto made = raft::DataDirectory::open(files_, process.ports().entropy, kOld, kOldNode);
    ASSERT_TRUE(made.ok());
  }
  const auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_THAT(survivor.error().message, HasSubstr("was in no cluster"));
}

TEST_F(SurvivorTest, AServerThatHasLostItsLogIsNotTakenForOneThatWasInNoCluster) {
  leave([](OldServer& server) { server.run(5); });
  expect_lost_without("/old/group-1/");
}

TEST_F(SurvivorTest, AServerThatHasLostItsLogButEntry1IsNotTakenForOneWithoutState) {
  leave([](OldServer& server) { server.run(5); });
  expect_lost_without("/old/group-1/log/");
}

TEST_F(SurvivorTest, AServerWhoseLogIsOfAnotherClusterIsRefused) {
  leave([](OldServer& server) { server.run(5); });
  files_.put("/old/cluster", raft::encode_cluster(ClusterId(78)));
  const auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_EQ(survivor.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(survivor.error().message, HasSubstr("belongs to cluster 78"));
}

TEST_F(SurvivorTest, ADamagedSnapshotIsNamed) {
  std::string database;
  leave([&](OldServer& server) {
    server.run(120);
    server.snapshot();
    database = server.database();
  });
  files_.flip_bit(database, 0, 3);
  const auto survivor = open();
  ASSERT_FALSE(survivor.ok());
  EXPECT_EQ(survivor.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(survivor.error().message, HasSubstr(database));
}

}  // namespace
}  // namespace holdfast::founding
