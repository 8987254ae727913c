// What a leader knows of one peer, and what it has in flight to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/time.h"
#include "raft/core/status.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Appends with entries that were sent and not acknowledged, oldest first.
class Inflights {
 public:
  void add(LogIndex last, size_t bytes);
  /// Everything to `match` is acknowledged.
  void free_to(LogIndex match);
  void clear();
  bool empty() const { return appends_.empty(); }
  size_t count() const { return appends_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Append {
    LogIndex last;
    size_t bytes;
  };
  std::deque<Append> appends_;
  size_t bytes_ = 0;
};

/// Replication in rounds (dissertation 4.2.1): a round begins with the first entries sent when the
/// peer lacked none, goes to what was then the log's end, and the next one follows at once if there
/// is more. Who needs less than an election timeout for a round is close enough to vote. So is who
/// lacked nothing for so long: there may be no more rounds, after a long one or after a snapshot.
class CatchUp {
 public:
  /// Entries are sent; the log ends at `last`.
  void sent(LogIndex last, Instant now);
  /// Everything to `match` is acknowledged; the log ends at `last`.
  void acknowledged(LogIndex match, LogIndex last, Instant now);
  /// The last complete round took less than `limit`, and so has the running one so far; or the peer
  /// has lacked nothing for `limit`.
  bool caught_up(Instant now, Duration limit) const;

 private:
  LogIndex goal_;  ///< of the running round; 0 if the peer lacks nothing
  Instant began_;
  std::optional<Duration> last_round_;
  std::optional<Instant> level_since_;  ///< it has all that was sent, and that is all there is
};

/// What a peer far behind may be sent now: it grows with time, and by all that the leader appends,
/// so that the peer comes nearer however much is written. What is not used is kept up to a little:
/// of what is appended up to more, or bursts of it would be lost.
class Allowance {
 public:
  struct Pace {
    uint64_t bytes_per_second;
    size_t most_bytes;  ///< by time alone
    size_t most_kept_up;
  };

  /// Bytes; it may be sent an append while there are any. `appended`: all that the leader has
  /// appended so far.
  int64_t left(Instant now, uint64_t appended, const Pace& pace) const;
  void spend(size_t bytes, Instant now, uint64_t appended, const Pace& pace);
  /// What was appended until now does not count: the peer was not there.
  void forgo(uint64_t appended);
  /// When there will be some, if nothing is appended.
  Instant due(const Pace& pace) const;

 private:
  int64_t left_ = 0;  ///< at `since_`
  Instant since_;
  uint64_t appended_ = 0;
};

/// Invariant: match < next, and in kReplicate everything in [match + 1, next) is in flight or
/// waits for its acknowledgement. In kSnapshot match + 1 is below the first index of the log, else
/// next is not.
struct Peer {
  NodeId id;
  LogIndex match;  ///< paper, figure 2: matchIndex
  LogIndex next;   ///< paper, figure 2: nextIndex
  ProgressState state = ProgressState::kProbe;
  Inflights inflights;
  bool probe_outstanding = false;   ///< probing: wait for the answer or the next heartbeat's
  bool acked_since_send = false;    ///< replicating: an acknowledgement came after the last append
  bool verify = false;              ///< replicating: ask whether everything sent has arrived
  bool reader_unavailable = false;  ///< LogReader had nothing; ask again later
  LogIndex sent_commit;             ///< highest commit index that an append or heartbeat told it
  uint64_t acked_round = 0;         ///< last heartbeat round that it answered
  Instant heard;                    ///< last message from it in this term, or when it became a peer
  bool answered = false;            ///< there was one
  Instant moved;  ///< the last news of what it stores, or since when such news is due
  CatchUp rounds;
  Allowance allowance;  ///< spent while it is far behind

  void hear(Instant now);
  /// It stores what it is sent: nothing is in flight for longer than `limit` without any news.
  bool moves(Instant now, Duration limit) const;
  void probe_from(LogIndex index);
  void replicate();
  void need_snapshot();
  /// An acknowledgement of everything to `index`. False if it says nothing new.
  bool acknowledge(LogIndex index);
};

}  // namespace holdfast::raft
