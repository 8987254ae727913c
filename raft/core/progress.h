// What a leader knows of one peer, and what it has in flight to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

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
  Instant heard;                    ///< last message from it in this term

  void probe_from(LogIndex index);
  void replicate();
  void need_snapshot();
  /// An acknowledgement of everything to `index`. False if it says nothing new.
  bool acknowledge(LogIndex index);
};

}  // namespace holdfast::raft
