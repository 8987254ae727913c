// The state of a server whose cluster has lost its quorum for good: its snapshot, and all of its
// log behind that, whether it was committed or not. Blocks for the disk.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "coordinator/founding/founding.h"
#include "raft/core/types.h"
#include "raft/storage/data_directory.h"

namespace holdfast::founding {

struct Survivor {
  /// Keeps servers out of it while it lives.
  std::unique_ptr<raft::DataDirectory> directory;
  ClusterId cluster;
  /// As the newest configuration of snapshot and log knows it, committed or not; its id is zero if
  /// that does not.
  raft::Member self;
  std::optional<raft::RemovedMember> removed;  ///< that configuration says that it was removed
  LogIndex snapshot;  ///< committed for sure to here: its snapshot; zero: there is none
  LogIndex last;      ///< its last entry, in state.last_term
  State state;
};

/// Reads the directory as a start does, but changes nothing of it: what it reads need not be
/// durable there. Applies the whole log. BAD_ARGUMENT: no server's directory, another node's, in
/// use by a server, or of one that was in no cluster, or whose snapshot is of another one. CORRUPT:
/// snapshot or log is damaged, the one does not fit the other, the log was lost, or the state is
/// quarantined. UNSUPPORTED: a newer format, or a command that this program does not know.
Result<Survivor> open_survivor(const Ports& ports, const std::string& directory, NodeId node);

}  // namespace holdfast::founding
