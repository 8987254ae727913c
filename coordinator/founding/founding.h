// Makes the data directory of the first server of a new cluster out of the state of another
// cluster: of a saved snapshot (restore), or of a server that survived (survivor.h). Blocks for the
// disk.
//
// Nothing that the old cluster may have given may be given again (PROMISES 1, 2): the new one has
// another cluster id, its log goes on 2^40 indexes above the state, and its first entry ends all
// sessions and holds all locks back (command.thrift, Restore).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/entropy.h"
#include "base/error.h"
#include "base/ids.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/snapshot/row_span.h"
#include "coordinator/snapshot/sqlite.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_store.h"

namespace holdfast::founding {

/// By how much the log's next index is raised. No cluster writes as many entries between a backup
/// and its loss: at 100,000 a second it would take 127 days.
inline constexpr uint64_t kIndexRaise = uint64_t{1} << 40;
/// A state at a higher index is refused: row ids are multiples of revisions (docs/snapshots.md) and
/// must stay below 2^63, and this leaves the new cluster its own 2^50 entries.
inline constexpr uint64_t kIndexMax = uint64_t{1} << 50;

/// Where it is done.
struct Ports {
  raft::FileSystem& files;
  Entropy& entropy;
  int64_t now_unix_ms = 0;
  std::string vfs;  ///< as in Database::open()
  uint64_t segment_bytes = raft::LogOptions::kSegmentBytes;
};

/// What the new cluster begins with.
struct State {
  std::unique_ptr<rsm::StateMachine> machine;
  Term last_term;  ///< of the entry at machine->applied()
  Term term;       ///< the highest that was ever seen; not below last_term
  /// A database that holds the state but for `rows`, and how it may be read; empty: there is none,
  /// and `rows` are all.
  std::string database;
  snapshot::Database::Mode mode = snapshot::Database::Mode::kImmutable;
  snapshot::RowSpan rows;
  /// Largest TTL of any session that may have been alive when the old cluster was lost, whatever
  /// the state says of it: an entry that ended it need not have been committed.
  int64_t ttl_max_ms = 0;
};

/// The one member.
struct Founder {
  NodeId node;
  std::string peer_address;    ///< told to other servers
  std::string client_address;  ///< told to clients
  int64_t hold_ms = 0;         ///< no lock is granted for as long, or for the largest session TTL
};

struct Founded {
  ClusterId cluster;
  LogIndex first;         ///< index of the first entry
  int64_t hold_ms = 0;    ///< by that entry
  uint64_t sessions = 0;  ///< that it ends
};

/// Fills `directory`, which is absent or empty; a server started from it is the new cluster. The
/// identity, without which no server starts there, is written last, when all else is durable and
/// was read back. BAD_ARGUMENT: the directory cannot be used, or an address or the index.
Result<Founded> found_cluster(const Ports& ports, State state, const Founder& founder,
                              const std::string& directory);

}  // namespace holdfast::founding
