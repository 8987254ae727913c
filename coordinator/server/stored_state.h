// The state that a server starts with: what its snapshot holds, as far as its log agrees.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/snapshot/store.h"
#include "raft/storage/log_store.h"

namespace holdfast::server {

/// The machine stands at machine->applied(); entries behind that are replayed from the log.
struct StoredState {
  std::unique_ptr<rsm::StateMachine> machine;
  Term applied_term;            ///< of the entry at applied(); zero before the first
  uint64_t snapshot_bytes = 0;  ///< size of the database
};

struct StoredStateQuestion {
  ClusterId cluster;  ///< whose state is looked for, and which node's
  NodeId node;
  uint64_t hash_seed = 0;
  std::function<void(const std::string&)> log;  ///< progress and warnings, a line each
};

/// Loads the snapshot, if there is one, and verifies it: quick_check, the check of every row, the
/// digest of the whole. A damaged one is set aside, and the state begins before the first entry,
/// which the log still has. CORRUPT: the log does not hold the entry at which the snapshot stands,
/// which names both. BAD_ARGUMENT: it is of another cluster or node. UNSUPPORTED: of a newer
/// format.
Result<StoredState> load_stored_state(const StoredStateQuestion& question,
                                      snapshot::SnapshotStore& snapshots,
                                      const raft::LogStore& log);

}  // namespace holdfast::server
