// Gives the state to servers that are too far behind for the log, and to operators who save it: one
// copy of the snapshot that nobody changes, shared by all who ask, piece by piece and no faster
// than a rate. One thread.
#pragma once

#include <cstdint>
#include <deque>
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
  /// An administrative act, and its caller's trace.
  std::function<void(const std::string& trace, const std::string& act)> audit;
  /// Why the disk has no room for a copy of so many bytes, if so.
  std::function<std::optional<std::string>(uint64_t bytes)> no_room;
};

/// Who asks for a piece: a server, or an administrator's call.
struct SnapshotAsk {
  NodeId peer;           ///< zero: the call asks
  uint64_t request = 0;  ///< the peer's number for it
  CallId call;
  int64_t sequence = 0;
  std::string trace;
  LogIndex at_least;  ///< how old the state may be, if it is that of another copy
  uint64_t copy = 0;
  uint64_t offset = 0;
  Instant until;  ///< a peer's is forgotten then, a call is answered that it may ask again
};

class SnapshotSource {
 public:
  /// A copy that nobody asked for in so long is removed.
  static constexpr Duration kIdle = 30s;
  /// Calls that wait for their pieces at once.
  static constexpr size_t kCallsMax = 16;
  /// A peer's question that could not be answered in so long has been asked again, or its asker is
  /// gone.
  static constexpr Duration kForget = 5s;
  /// After a copy could not be made.
  static constexpr Duration kPause = 2s;

  SnapshotSource(Host& host, PeerCodec& codec, Snapshots& snapshots, SnapshotSourcePorts ports);

  /// PeerKind::kSnapshotAsk.
  void receive(NodeId from, std::string_view bytes);
  /// The copy that is there, if that is its number; else null.
  const snapshot::SnapshotCopy* copy(uint64_t id) const;
  /// Takes a call; it is answered in any case.
  void ask(SnapshotAsk ask);
  /// Closes a turn.
  void turn_end();
  Instant next_wakeup() const;

  /// The log must keep what follows this entry: a copy of the state there may be on its way.
  std::optional<LogIndex> pinned() const;
  const SnapshotSourceStats& stats() const { return stats_; }
  /// No server is given what it has asked for.
  void forget_servers();
  void shut_down();

 private:
  struct Copy {
    uint64_t id = 0;
    std::shared_ptr<const snapshot::SnapshotCopy> file;
    Instant asked_at;
  };

  size_t calls() const;
  bool serves(const SnapshotAsk& ask) const;
  void answer_asks(Instant now);
  void answer(SnapshotAsk ask);
  void piece_read(uint64_t number, const Copy& copy, uint64_t offset, Result<std::string> piece);
  void send(const SnapshotAsk& ask, const Copy& copy, uint64_t offset, std::string data);
  void complete(const SnapshotAsk& ask, const Copy& copy, uint64_t offset, std::string data);
  void want_copy(const SnapshotAsk& ask, Instant now);
  /// Somebody asked for a piece of it a short while ago, and the log goes on where it ends.
  bool copy_is_read(Instant now) const;
  bool waits_for_copy(const SnapshotAsk& ask) const;
  void tell_to_wait(const SnapshotAsk& ask);
  void make_copy();
  void copy_made(Result<snapshot::SnapshotCopy> made);
  void drop_copy();
  void drop_late(Instant now);
  void answer_late(Instant now);
  /// Of the calls whose copy is not there.
  void refuse_waiting(const Refusal& refusal);
  void refuse_held_up();
  void refuse_for_want_of_room();

  Host& host_;
  PeerCodec& codec_;
  Snapshots& snapshots_;
  const SnapshotSourcePorts ports_;
  Pace pace_;
  std::deque<SnapshotAsk> asks_;             ///< as they came; of a peer the last one
  std::map<uint64_t, SnapshotAsk> reading_;  ///< whose piece is being read
  uint64_t last_reading_ = 0;
  std::optional<Copy> copy_;
  /// A copy is being made, of this state or a later one.
  std::optional<LogIndex> making_;
  Instant not_before_;
  std::optional<std::string> no_room_;  ///< in this turn, for a copy that was wanted
  SnapshotSourceStats stats_;
};

}  // namespace holdfast::server
