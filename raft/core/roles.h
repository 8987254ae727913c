// What a core remembers only while it has a role. Leaving the role forgets it.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/time.h"
#include "raft/core/progress.h"
#include "raft/core/quorum.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Reads that a follower sent to the leader under one id. One request is in flight at a time.
struct ForwardedReads {
  std::vector<uint64_t> waiting;  ///< contexts that no request carries yet
  std::vector<uint64_t> sent;     ///< contexts of the request in flight
  uint64_t id = 0;                ///< of that request; 0 if none is in flight
  Instant sent_at;
};

struct FollowerRole {
  NodeId leader;  ///< zero if unknown, or believed dead
  Instant heard;  ///< last append or heartbeat of `leader`
  ForwardedReads reads;
};

struct PreCandidateRole {
  Votes votes;
};

struct CandidateRole {
  Votes votes;
};

/// One who asked for a read index: this node, or a follower for itself.
struct WaitingRead {
  uint64_t context = 0;
  NodeId from;  ///< zero: this node
};

/// Reads that a quorum's answers to heartbeat round `round` will confirm.
struct ReadRound {
  uint64_t round = 0;
  LogIndex index;  ///< commit index when the round began
  std::vector<WaitingRead> reads;
};

struct Transfer {
  NodeId target;
  Instant deadline;
  bool asked = false;  ///< kTimeoutNow was sent
};

struct LeaderRole {
  std::vector<Peer> peers;  ///< without this node; ascending by id
  Instant next_heartbeat;
  uint64_t round = 0;           ///< last heartbeat round sent
  uint64_t appended_bytes = 0;  ///< in this term
  Instant appended_at;          ///< the last of them
  Instant stored_at;            ///< when its own disk last stored some, or since when it is to
  std::vector<WaitingRead> waiting_reads;
  std::vector<ReadRound> read_rounds;  ///< ascending by round
  std::optional<Transfer> transfer;
  bool retiring = false;  ///< no longer a voter of the committed configuration, or barred:
                          ///< `transfer` ends it

  Peer* find(NodeId id);
  const Peer* find(NodeId id) const;
};

/// In the order of Role.
using RoleData = std::variant<FollowerRole, PreCandidateRole, CandidateRole, LeaderRole>;

}  // namespace holdfast::raft
