// A cluster that was, on a fake disk: one of its servers, and a saved snapshot.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "coordinator/founding/survivor.h"
#include "coordinator/loading/loaded_state.h"
#include "coordinator/rsm/command_codec.h"
#include "coordinator/snapshot/store.h"
#include "raft/core/configuration.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/log_store.h"
#include "raft/transport/genesis.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/support/seeded_entropy.h"
#include "tests/unit/rsm/workload.h"

namespace holdfast::founding {

inline constexpr uint64_t kSegmentBytes = 64 << 10;
inline constexpr NodeId kOldNode{2};
inline constexpr ClusterId kOldCluster{77};
inline constexpr char kOld[] = "/old";
inline constexpr char kNew[] = "/new";
inline constexpr int64_t kNow = 1'700'000'000'000;

/// One life of a process on the disk.
class Process {
 public:
  explicit Process(raft::FakeFileSystem& files, uint64_t seed = 5)
      : vfs_(files, seed),
        entropy_(seed),
        ports_{files, entropy_, kNow, vfs_.name(), kSegmentBytes} {}
  const Ports& ports() const { return ports_; }

 private:
  snapshot::FileSystemVfs vfs_;
  SeededEntropy entropy_;
  Ports ports_;
};

/// Fills kOld as a server does that applies entries of the workload: entry 1 is the genesis.
class OldServer {
 public:
  OldServer(raft::FakeFileSystem& files, uint64_t seed)
      : process_(files, 3), workload_(seed), files_(files) {
    auto opened = raft::DataDirectory::open(files, process_.ports().entropy, kOld, kOldNode);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    directory_ = std::move(*opened);
    raft::LogOptions options;
    options.directory = *directory_->log_directory(kDefaultGroup);
    options.store = directory_->store();
    options.segment_bytes = kSegmentBytes;
    auto log = raft::LogStore::open(files, process_.ports().entropy, options);
    EXPECT_TRUE(log.ok()) << log.error().message;
    log_ = std::move(*log);
    append(raft::EntryType::kGenesis, raft::encode_genesis(genesis()));
    EXPECT_TRUE(
        directory_->keep_genesis(kDefaultGroup, kOldCluster, raft::encode_genesis(genesis())).ok());
  }

  void run(int entries) {
    for (int i = 0; i < entries; ++i) {
      append(raft::EntryType::kCommand, workload_.next(machine_.applied().value + 1, term().value));
    }
  }
  void open_session(int64_t ttl_ms) {
    command::OpenSession body;
    body.secretHash = std::string(32, 's');
    body.ttlMs = ttl_ms;
    last_session_ = machine_.applied().next();
    command(command::CommandKind::OPEN_SESSION, body);
  }
  void revoke_last_session() {
    command::RevokeSession body;
    body.sessionId = static_cast<int64_t>(last_session_.value);
    body.force = true;
    command(command::CommandKind::REVOKE_SESSION, body);
  }
  /// The next entry says who the members are from then on.
  void change_members(const raft::Configuration& members) {
    const std::string bytes = raft::encode_configuration(members);
    append(raft::EntryType::kConfiguration, bytes);
    membership_ = {machine_.applied(), bytes};
  }
  /// This server under another address, and node 5.
  raft::Configuration moved() const {
    raft::Configuration members = genesis().configuration;
    members.members[0].peer_address = "moved.example:1";
    members.members[0].client_address = "moved.example:2";
    members.voters.push_back(NodeId(5));
    members.members.push_back({NodeId(5), StoreId(5), "five.example:1", "five.example:2", 1});
    return members;
  }
  /// Node 5 alone is left.
  raft::Configuration without_it() const {
    raft::Configuration members = moved();
    members.removed = {{kOldNode, directory_->store(), machine_.applied().next()}};
    members.voters = {NodeId(5)};
    members.members.erase(members.members.begin());
    return members;
  }
  /// Writes what changed to its database; the head may be made that of another.
  void snapshot(const std::function<void(snapshot::SnapshotHead&)>& alter = nullptr) {
    snapshot::SnapshotHead head{.cluster = kOldCluster,
                                .node = kOldNode,
                                .applied = machine_.applied(),
                                .applied_term = term(),
                                .digest = machine_.digest(),
                                .written_unix_ms = kNow,
                                .genesis = raft::encode_genesis(genesis()),
                                .membership = membership_};
    if (alter) alter(head);
    auto store = snapshot::SnapshotStore::open(
        files_, *directory_->snapshot_directory(kDefaultGroup), process_.ports().vfs);
    ASSERT_TRUE(store.ok()) << store.error().message;
    const auto written = (*store)->write({std::exchange(rows_, snapshot::RowSpan()), head});
    ASSERT_TRUE(written.ok()) << written.error().message;
    database_ = (*store)->path();
  }
  const rsm::StateMachine& machine() const { return machine_; }
  const std::string& database() const { return database_; }
  static Term term() { return Term(3); }

 private:
  raft::Genesis genesis() const {
    raft::Genesis genesis;
    genesis.cluster = kOldCluster;
    genesis.configuration.voters = {kOldNode};
    raft::Member self;
    self.id = kOldNode;
    self.store = directory_->store();
    self.peer_address = "old.example:1";
    self.client_address = "old.example:2";
    genesis.configuration.members = {self};
    return genesis;
  }
  template <class Body>
  void command(command::CommandKind::type kind, const Body& body) {
    command::CommandHeader header;
    header.level = rsm::level_of(kind);
    header.kind = kind;
    append(raft::EntryType::kCommand,
           std::string(rsm::CommandEncoder().entry_of(header, body).view()));
  }
  void append(raft::EntryType type, const std::string& payload) {
    const LogIndex index = machine_.applied().next();
    const Term written = type == raft::EntryType::kGenesis ? Term(1) : term();
    raft::Write write;
    write.number = index.value;
    write.hard_state = raft::HardState{written, NodeId{}};
    write.entries.push_back({written, index, type, Blob(payload)});
    const auto appended = log_->append(std::span(&write, 1));
    ASSERT_TRUE(appended.ok()) << appended.error().message;
    rsm::Effects effects;
    if (type == raft::EntryType::kCommand) {
      machine_.apply(index, written, payload, effects);
    } else {
      machine_.skip(index);
    }
    rows_.add(machine_.row_changes(), machine_.applied());
  }

  Process process_;
  rsm::Workload workload_;
  raft::FakeFileSystem& files_;
  std::unique_ptr<raft::DataDirectory> directory_;
  std::unique_ptr<raft::LogStore> log_;
  rsm::StateMachine machine_;
  snapshot::RowSpan rows_;
  snapshot::SnapshotMembership membership_;
  LogIndex last_session_;
  std::string database_;
};

inline Founder founder() {
  return {.node = NodeId(1),
          .peer_address = "new.example:1",
          .client_address = "new.example:2",
          .hold_ms = 20'000};
}

/// What `snapshot restore` does with its file.
inline Result<State> state_of(const Ports& ports, const std::string& database) {
  auto opened = snapshot::Database::open(database, snapshot::Database::Mode::kImmutable, ports.vfs);
  if (!opened.ok()) return opened.error();
  auto loaded = loading::load_state(*opened, {.hash_seed = 1}, [](uint64_t) {});
  if (!loaded.ok()) return loaded.error();
  State state;
  state.machine = std::move(loaded->machine);
  state.term = state.last_term = loaded->head.applied_term;
  state.database = database;
  return state;
}

inline Result<Founded> restore(const Ports& ports, const std::string& database) {
  auto state = state_of(ports, database);
  if (!state.ok()) return state.error();
  return found_cluster(ports, std::move(*state), founder(), kNew);
}

}  // namespace holdfast::founding
