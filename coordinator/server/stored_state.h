// The state that a server starts with: what its snapshot holds, as far as its log agrees.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/snapshot/store.h"
#include "raft/core/config.h"
#include "raft/storage/log_store.h"
#include "raft/transport/genesis.h"

namespace holdfast::server {

/// The machine stands at machine->applied(); entries behind that are replayed from the log.
struct StoredState {
  std::unique_ptr<rsm::StateMachine> machine;
  Term applied_term;            ///< of the entry at applied(); zero before the first
  uint64_t snapshot_bytes = 0;  ///< size of the database
  /// Nothing is left of it: the snapshot was damaged, and the log no longer begins with entry 1.
  /// The machine stands before the first entry and must not be used; another server has the state.
  bool lost = false;
  /// In force at applied(); its index is zero as long as entry 1's is.
  raft::PlacedConfiguration membership = {};
  /// Of the database's "-wal", which the next span fills before it takes more room.
  uint64_t wal_bytes = 0;

  /// What a span without rows would take at most, as Snapshots::room_wanted() says of it.
  uint64_t snapshot_room() const { return snapshot_bytes - std::min(snapshot_bytes, wal_bytes); }
};

struct StoredStateQuestion {
  ClusterId cluster;  ///< whose state is looked for, and which node's
  NodeId node;
  uint64_t hash_seed = 0;
  std::function<void(const std::string&)> log;   ///< progress, a line each; any thread
  std::function<void(const std::string&)> warn;  ///< that a state was set aside, likewise
  int32_t feature_level = rsm::kFeatureLevel;    ///< highest that the state may need
  /// Called between parts of the loading, by who loads; false: he gives it up. Empty: he has no
  /// other work.
  std::function<bool()> meanwhile = {};
};

/// Loads and verifies the database at `path`, which another server of the cluster may have written:
/// quick_check, the check of every row, the digest of the whole. CORRUPT names what is wrong,
/// BAD_ARGUMENT another cluster, UNSUPPORTED a newer format. `vfs` as in Database::open().
Result<StoredState> load_received_state(const StoredStateQuestion& question,
                                        const std::string& path, const std::string& vfs);

/// Tells the log, before it is opened, where the snapshot beside it stands. `cluster` is zero if
/// that is not known yet: then the log is never discarded. BAD_ARGUMENT: it is of another cluster.
/// What cannot be read for now is an error and no damage: on that ground nothing is given up.
Status place_snapshot(const snapshot::SnapshotStore& snapshots, const StoredStateQuestion& question,
                      raft::LogOptions& options);

/// CORRUPT if the log does not go on where the state stands: the snapshot was damaged between its
/// loading and the opening of the log.
Status check_log_goes_on(const StoredState& state, const raft::LogStore& log);

/// What the core starts with: this state, and the log that goes on behind it. `genesis` is entry
/// 1's configuration. CORRUPT: a configuration of the log cannot be read.
Result<raft::InitialState> initial_state_of(const StoredState& state,
                                            const raft::Configuration& genesis,
                                            const raft::RecoveredLog& log);

/// Where a state stands, and by which members.
struct StatePlace {
  LogIndex applied;
  raft::PlacedConfiguration membership;  ///< as in StoredState
};

/// The same of a state that is not loaded yet.
Result<raft::InitialState> initial_state_at(const StatePlace& place,
                                            const raft::Configuration& genesis,
                                            const raft::RecoveredLog& log);

/// Where the snapshot says that it stands: there must be one. An error: it cannot be gone by, and
/// the loading finds out what is wrong with it.
Result<StatePlace> place_said(const StoredStateQuestion& question,
                              const snapshot::SnapshotStore& snapshots, const raft::LogStore& log);

/// The members as far as is known without the state: those of the log's last configuration, else
/// those that the snapshot names, or one that was set aside, else entry 1's. For whom to ask.
raft::Configuration last_known_members(const raft::Genesis& genesis,
                                       const snapshot::SnapshotStore& snapshots,
                                       const raft::RecoveredLog& log);

/// Loads the snapshot, if there is one, and verifies it likewise. A damaged one is set aside; then
/// the state begins before the first entry if the log still has that, and is lost otherwise.
/// CORRUPT: the log does not hold the entry at which the snapshot stands, which names both.
Result<StoredState> load_stored_state(const StoredStateQuestion& question,
                                      snapshot::SnapshotStore& snapshots,
                                      const raft::LogStore& log);

}  // namespace holdfast::server
