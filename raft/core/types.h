// The vocabulary of the consensus core: entries, hard state, configurations and messages. Shared by
// the core, the log store, the transport and the node driver; no behaviour lives here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/ids.h"

namespace holdfast::raft {

enum class EntryType : uint8_t {
  kNoop = 0,           ///< appended by a new leader (dissertation 6.4)
  kCommand = 1,        ///< opaque to Raft: one command of the state machine
  kConfiguration = 2,  ///< an encoded Configuration
  kGenesis = 3,        ///< entry 1 of a cluster: encoded Genesis, term 1
};

struct Entry {
  Term term;
  LogIndex index;
  EntryType type = EntryType::kNoop;
  Blob data;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// Persistent state on all servers besides the log (paper, figure 2).
struct HardState {
  Term term;
  NodeId vote;  ///< candidate voted for in `term`; zero if none
  friend bool operator==(const HardState&, const HardState&) = default;
};

/// A server of the cluster as the log records it.
struct Member {
  NodeId id;
  StoreId store;               ///< the only data directory whose answers count
  std::string peer_address;    ///< host:port that other servers dial
  std::string client_address;  ///< host:port that clients dial
  uint32_t feature_level = 1;  ///< highest command feature level this member understands
  bool promote = false;        ///< a learner that leaders make a voter as soon as it is caught up
  friend bool operator==(const Member&, const Member&) = default;
};

/// A server that was one. Neither its id nor its store is ever a member's again: its log may hold
/// acknowledgements and votes of another configuration (ARCHITECTURE, "Identity").
struct RemovedMember {
  NodeId id;
  StoreId store;
  LogIndex index;  ///< of the configuration that is without it
  friend bool operator==(const RemovedMember&, const RemovedMember&) = default;
};

/// Who counts. In a joint configuration `outgoing` is not empty and every quorum means a majority
/// of `voters` and a majority of `outgoing` (dissertation 4.3). Ids ascend in each list.
struct Configuration {
  std::vector<NodeId> voters;
  std::vector<NodeId> outgoing;
  std::vector<NodeId> learners;
  std::vector<Member> members;         ///< one for each id named above
  std::vector<RemovedMember> removed;  ///< all that ever were; ids ascend, none is a member's
  /// Feature level that every member has and that entries may need from here on; never lowered.
  /// Zero: none was ever recorded (below kRecordedLevelMin).
  uint32_t level = 0;
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

enum class MessageType : uint8_t {
  kPreVoteRequest = 0,
  kPreVoteResponse,
  kVoteRequest,
  kVoteResponse,
  kAppendRequest,
  kAppendResponse,
  kHeartbeatRequest,
  kHeartbeatResponse,
  kReadIndexRequest,  ///< a follower asks the leader for a read index
  kReadIndexResponse,
  kTimeoutNow,       ///< leadership transfer: campaign at once (dissertation 3.10)
  kSnapshotRequest,  ///< the leader's log begins after `index`: have a snapshot of that or later
  kSnapshotResponse,
};
inline constexpr int kMessageTypes = 13;

/// One message between the cores of two servers. Which fields a type uses is said beside them;
/// unused ones are zero.
struct Message {
  MessageType type = MessageType::kHeartbeatRequest;
  GroupId group = kDefaultGroup;
  NodeId from;
  NodeId to;
  Term term;  ///< the sender's; of a pre-vote request the term that would be campaigned for

  /// Append: index of the entry before `entries`. Vote: the candidate's last index.
  /// Heartbeat: last index that the receiver acknowledged in this term.
  /// AppendResponse: last index known to match, or the rejected previous index.
  /// ReadIndexResponse: the read index.
  /// SnapshotRequest: the last index that the leader has compacted. SnapshotResponse: to here the
  /// sender has everything committed and durable.
  LogIndex index;
  /// Term of the entry at `index` (append, vote, snapshot request), of the hint (rejection).
  Term log_term;
  LogIndex commit;  ///< leader's commit index, for a heartbeat capped at the follower's match
  std::vector<Entry> entries;  ///< append only

  bool reject = false;    ///< responses only
  LogIndex hint;          ///< rejected append: where the leader should probe next
  bool transfer = false;  ///< vote request from a transfer: stickiness does not apply
  /// Heartbeat and its response: the leader's round, echoed unchanged. 0: tells a commit index
  /// only, no answer wanted.
  uint64_t round = 0;
  uint64_t context = 0;  ///< read index request and response: the asker's context; echoed
};

}  // namespace holdfast::raft
