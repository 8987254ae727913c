// Gives the state to servers that are too far behind for the log: one copy of the snapshot that
// nobody changes, shared by all who ask, piece by piece and no faster than a rate. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/server/host.h"
#include "coordinator/server/pace.h"
#include "coordinator/server/peer_codec.h"
#include "coordinator/server/snapshots.h"
#include "coordinator/snapshot/background.h"
#include "coordinator/snapshot/copy.h"
#include "coordinator/snapshot/store.h"

namespace holdfast::server {

struct SnapshotSourceStats {
  uint64_t copies = 0;  ///< made
  uint64_t pieces = 0;  ///< sent
  uint64_t bytes = 0;
};

/// All outlive the source, and no piece of `background` is delivered after it.
struct SnapshotSourcePorts {
  snapshot::Background* background = nullptr;  ///< null: nothing is given
  raft::FileSystem* files = nullptr;
  const snapshot::SnapshotStore* store = nullptr;
  std::function<LogIndex()> first_in_log;       ///< where this server's log begins
  std::function<void(const std::string&)> log;  ///< a line for the operator
};

class SnapshotSource {
 public:
  /// A copy that nobody asked for in so long is removed.
  static constexpr Duration kIdle = 30s;
  /// A question that could not be answered in so long has been asked again, or its asker is gone.
  static constexpr Duration kForget = 5s;
  /// After a copy could not be made.
  static constexpr Duration kPause = 2s;

  SnapshotSource(Host& host, PeerCodec& codec, Snapshots& snapshots, SnapshotSourcePorts ports);

  /// PeerKind::kSnapshotAsk.
  void receive(NodeId from, std::string_view bytes);
  /// Closes a turn.
  void turn_end();
  Instant next_wakeup() const;

  /// The log must keep what follows this entry: a copy of the state there may be on its way.
  std::optional<LogIndex> pinned() const;
  const SnapshotSourceStats& stats() const { return stats_; }

 private:
  struct Ask {
    uint64_t request = 0;
    LogIndex at_least;
    uint64_t copy = 0;
    uint64_t offset = 0;
    Instant at;
  };
  struct Copy {
    uint64_t id = 0;
    std::shared_ptr<const snapshot::SnapshotCopy> file;
    Instant asked_at;
  };

  bool serves(const Ask& ask) const;
  void answer_asks(Instant now);
  void answer(NodeId to, const Ask& ask);
  void send(NodeId to, const Ask& ask, const Copy& copy, uint64_t offset, std::string data);
  void want_copy(const Ask& ask, Instant now);
  void make_copy();
  void copy_made(Result<snapshot::SnapshotCopy> made);
  void drop_copy();
  void drop_late(Instant now);

  Host& host_;
  PeerCodec& codec_;
  Snapshots& snapshots_;
  const SnapshotSourcePorts ports_;
  Pace pace_;
  std::map<NodeId, Ask> asks_;  ///< the last one of each
  std::optional<Copy> copy_;
  /// A copy is being made, of this state or a later one.
  std::optional<LogIndex> making_;
  Instant not_before_;
  SnapshotSourceStats stats_;
};

}  // namespace holdfast::server
