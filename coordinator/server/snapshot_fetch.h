// Gets the state from another server, when the others' logs no longer have the entries that this
// one lacks: asks for a snapshot piece by piece, writes it beside the one in force, verifies it as
// a start would and loads it. Whoever owns the server then puts it in force. The one who lacks
// something asks, so a lost message, a source that dies or a copy that is gone cost a question and
// nothing else; a process that is started anew goes on with what the one before it had got. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "coordinator/server/peer_codec.h"
#include "coordinator/server/stored_state.h"
#include "coordinator/snapshot/background.h"
#include "coordinator/snapshot/received_file.h"
#include "raft/transport/transport.h"

namespace holdfast::server {

/// All outlive the fetch, and no piece of `background` is delivered after it.
struct SnapshotFetchPorts {
  Clock& clock;
  Entropy& entropy;
  raft::Transport& transport;
  snapshot::Background& background;
  raft::FileSystem& files;
  std::string path;              ///< SnapshotStore::incoming_path()
  std::string vfs;               ///< SnapshotStore::writers_vfs()
  StoredStateQuestion question;  ///< of which cluster, for which node
  /// Why the disk has no room for a state of so many bytes, if so; may be empty.
  std::function<std::optional<std::string>(uint64_t bytes)> no_room;
};

struct SnapshotFetchStats {
  uint64_t pieces = 0;
  uint64_t bytes = 0;
  uint64_t started = 0;
  uint64_t resumed = 0;    ///< states that came in part to an earlier process
  uint64_t abandoned = 0;  ///< no answer, a full disk, or what came did not verify
};

/// How far the state has come that is under way.
struct SnapshotFetchProgress {
  NodeId from;
  uint64_t received_bytes = 0;
  uint64_t total_bytes = 0;  ///< zero: not known before the first piece
};

class SnapshotFetch {
 public:
  /// A question is repeated after this, if nothing came.
  static constexpr Duration kAskAgain = 1s;
  /// A source that says nothing for so long is given up.
  static constexpr Duration kGiveUp = 10s;
  /// And so is one that makes its copy for so long.
  static constexpr Duration kCopyMax = 600s;
  /// Another that offers its state is asked instead of one that sends none of its own for so long:
  /// it leads, and whom this server asked may be gone for good.
  static constexpr Duration kTurnAway = 3s;
  /// After so long without a first piece another that will do is asked besides. Nothing is begun
  /// anew: who sends first is the source.
  static constexpr Duration kAskBesides = 30s;
  /// After what came was not good, or found no room.
  static constexpr Duration kPause = 2s;
  /// What an earlier process had got is removed if no state is asked for so long: whoever sent it
  /// has no such copy any more (SnapshotSource::kIdle).
  static constexpr Duration kKeepPart = 30s;

  explicit SnapshotFetch(SnapshotFetchPorts ports);

  /// `from` has the state after `at_least`, or a later one. Nothing new if something is under way,
  /// unless it is with another that is silent.
  void begin(NodeId from, LogIndex at_least);
  /// Any of them will do: each attempt asks the next one first, and one more after each
  /// kAskBesides; but first of all whoever sent an earlier process what it had got.
  void begin_any(const std::vector<NodeId>& sources, LogIndex at_least);
  bool under_way() const { return run_.has_value(); }
  /// PeerKind::kSnapshotPiece.
  void receive(NodeId from, std::string_view bytes);
  /// Closes a turn.
  void turn_end();
  Instant next_wakeup() const;

  /// The state that came, once: verified, loaded and durable at the path, but not in force.
  std::optional<StoredState> take();
  /// Nobody wants what take() gave, or what has arrived: its file is to take no room.
  void discard();
  const SnapshotFetchStats& stats() const { return stats_; }
  /// None: nothing is under way.
  std::optional<SnapshotFetchProgress> how_far() const;
  /// The same as a sentence, "receiving ...: 12 MiB of 117 MiB", "verifying ..." when all has come,
  /// or empty.
  std::string progress() const;

 private:
  struct Run {
    NodeId from;                ///< the first that was asked, or the one that sends
    std::vector<NodeId> asked;  ///< until one sends; then that one
    LogIndex at_least;
    uint64_t number = 0;   ///< of this run
    uint64_t request = 0;  ///< the question that is open; zero: none is
    Instant asked_at;
    Instant heard_at;
    Instant piece_at;             ///< the last one came, or the run began
    snapshot::ArrivingCopy copy;  ///< which one it is that arrives; its id is zero: none yet
    bool sends = false;           ///< something has come in this run
    bool resumed = false;         ///< and something in an earlier process's
    uint64_t offset = 0;          ///< all before it is written
    std::shared_ptr<snapshot::ReceivedFile> file;
  };

  std::string directory() const { return ports_.path.substr(0, ports_.path.rfind('/')); }
  std::shared_ptr<snapshot::ReceivedFile> file_of(const snapshot::ArrivingCopy& copy) const;
  void find_part();
  void resume(const snapshot::ArrivingCopy& part);
  void reopened(uint64_t run, const Status& done);
  void ask();
  void ask_of(NodeId source);
  void ask_besides(const std::vector<NodeId>& sources);
  bool asks(NodeId node) const;
  std::optional<std::string> no_room(uint64_t bytes) const;
  bool fits(const peer::SnapshotPiece& piece) const;
  void begin_copy(const snapshot::ArrivingCopy& copy);
  void write(std::string data);
  void written(uint64_t run, const Status& done);
  void finish();
  void loaded(uint64_t run, Result<StoredState> state);
  void give_up(const std::string& why);
  void abandon(const std::string& why);

  SnapshotFetchPorts ports_;
  PeerCodec codec_;
  std::optional<Run> run_;
  std::optional<StoredState> staged_;
  Instant not_before_;
  /// What an earlier process had got, as long as no run has begun.
  std::optional<snapshot::ArrivingCopy> part_;
  Instant part_until_;
  uint64_t last_run_ = 0;
  SnapshotFetchStats stats_;
};

}  // namespace holdfast::server
