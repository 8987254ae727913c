// From a snapshot to the state machine that it holds: what a start does with its own, a server with
// one that it was sent, and an operator's command with a file. All of it may be damaged or forged.
// Blocks for the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/sqlite.h"

namespace holdfast::loading {

/// Gives the rows to an empty machine.
snapshot::RowSink sink_of(rsm::StateMachine& machine);

/// All rows are in: CORRUPT if they are not the state that the head names, by revision and digest.
Status check_whole(const std::string& path, const snapshot::SnapshotHead& head,
                   rsm::StateMachine& machine);

struct LoadedState {
  std::unique_ptr<rsm::StateMachine> machine;
  snapshot::SnapshotHead head;
};

/// Verifies and loads a database: format, schema, quick_check, the check of every row, the digest
/// of the whole. CORRUPT names what is wrong, UNSUPPORTED a newer format.
Result<LoadedState> load_state(snapshot::Database& database,
                               const rsm::StateMachine::Options& options,
                               const snapshot::LoadProgress& progress);

}  // namespace holdfast::loading
