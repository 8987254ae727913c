// A snapshot that lies by itself in a file, as `holdfast snapshot save` leaves it: is it whole, and
// what is in it. Blocks for the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/snapshot/loader.h"
#include "raft/core/types.h"
#include "raft/storage/file_system.h"

namespace holdfast::loading {

struct SnapshotFile {
  std::string path;
  uint64_t bytes = 0;
  snapshot::SnapshotHead head;
  std::vector<raft::Member> members;
  // As the status call counts them.
  uint64_t sessions = 0;
  uint64_t locks = 0;
  uint64_t waiters = 0;
  uint64_t keys = 0;
  std::vector<std::string> other_views;        ///< that this program does not make
  std::unique_ptr<rsm::StateMachine> machine;  ///< the state itself
};

/// Verifies the file as load_state() does, by loading all of it. It is not changed and nothing is
/// made beside it, also if neither may be written. BAD_ARGUMENT: it cannot be read, or it is the
/// database of a server, of which a part is in another file. CORRUPT and UNSUPPORTED as
/// load_state().
Result<SnapshotFile> examine(raft::FileSystem& files, const std::string& path, uint64_t hash_seed);

}  // namespace holdfast::loading
