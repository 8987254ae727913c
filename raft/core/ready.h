// The core's one output struct, and its contract.
//
// A driver calls inputs of Raft as it likes, and while has_ready() holds takes a Ready and deals
// with it as follows. The order of the fields is the order in which a simple driver handles them.
//
//  1. `violation`: stop the process with its text. The core is inert from then on: it accepts no
//     input and emits nothing more.
//  2. `soft_state`: the role or the leader as the core now knows it.
//  3. `configuration`: who counts from now on, committed or not; members to connect to are in it.
//     It stands for all that changed since the last Ready, and may be an earlier one again.
//  4. `write`: hand it to storage. Writes become durable in the order of their numbers. Entries
//     replace whatever storage holds from entries.front().index on. Every write must be synced
//     (fdatasync) before persisted(number) is called; one call may confirm many writes, which is
//     how they are grouped. Several writes may be outstanding.
//  5. `messages`: may leave at once, before or in parallel with any write. What promises
//     durability (a vote, an acknowledgement of entries, a vote request, which claims a log and
//     a vote for oneself) is held inside the core and comes out of a later Ready, after
//     persisted(). Messages may be lost, duplicated, delayed and reordered.
//  6. `committed`: apply in order, once. Entries may be applied before this node has them on its
//     own disk; a quorum has. applied(index) is called when the state machine has them.
//  7. `reads`: answer read `context` when the state machine has applied `index`.
//  8. `failed_reads`: the read could not be confirmed: no leader, or deposed. Nothing was read.
//  9. `snapshot_offer`: this node lacks entries that the leader's log no longer has. The driver
//     fetches a snapshot at `index` or later from `from`, by its own means; the offer is repeated
//     until then. To install one: let all writes handed out become durable, and with them a term
//     not below the snapshot's (raised without a vote if it is), drop the core, switch the stored
//     state, begin the log after the snapshot unless it has the snapshot's last entry, and build a
//     new core from what is on disk then. A snapshot at or below commit() is not installed.
//
// persisted() and applied() with numbers never handed out, or going back, are our own bugs and
// end the process (HF_CHECK).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/types.h"

namespace holdfast::raft {

enum class Role : uint8_t { kFollower = 0, kPreCandidate = 1, kCandidate = 2, kLeader = 3 };
inline constexpr int kRoles = 4;
/// "follower", "pre-candidate", "candidate", "leader".
const char* role_name(Role role);

struct SoftState {
  Role role = Role::kFollower;
  NodeId leader;  ///< zero if unknown
  Term term;
  friend bool operator==(const SoftState&, const SoftState&) = default;
};

/// One unit of durability; number 0 means there is none.
struct Write {
  uint64_t number = 0;
  std::optional<HardState> hard_state;
  std::vector<Entry> entries;  ///< contiguous; may start below what was written before
  explicit operator bool() const { return number != 0; }
};

struct ReadResult {
  uint64_t context = 0;
  LogIndex index;
  friend bool operator==(const ReadResult&, const ReadResult&) = default;
};

/// A contradiction of Raft's safety properties, seen in a message that passed all checks of form.
/// Either a server broke the protocol, a disk lost what it had synced, or a peer lies. The node
/// stops: going on could serve what is not committed. Never raised by malformed bytes, which are
/// counted and dropped.
struct Violation {
  enum class Kind : uint8_t {
    kTwoLeaders,         ///< two servers claim the same term (figure 3.2, election safety)
    kCommittedConflict,  ///< a leader's entry differs from one committed here (leader completeness)
    kLostEntries,        ///< the leader holds our acknowledgement of entries that we do not have
  };
  Kind kind = Kind::kTwoLeaders;
  NodeId from;
  Term term;
  LogIndex index;
  /// One sentence for the operator.
  std::string text() const;
};

/// What a follower must have before the leader can send it entries again.
struct SnapshotOffer {
  NodeId from;
  LogIndex index;  ///< the snapshot covers at least this
  Term term;       ///< of the entry there
  friend bool operator==(const SnapshotOffer&, const SnapshotOffer&) = default;
};

struct Ready {
  std::optional<Violation> violation;
  std::optional<SoftState> soft_state;
  std::optional<Configuration> configuration;
  Write write;
  std::vector<Message> messages;
  bool backlog = false;  ///< among them entries for a peer that lacks more than one append takes
  std::vector<Entry> committed;
  std::vector<ReadResult> reads;
  std::vector<uint64_t> failed_reads;
  std::optional<SnapshotOffer> snapshot_offer;

  /// Empties all fields, keeping capacity.
  void clear();
};

}  // namespace holdfast::raft
