// Changes of the configuration, as they are asked for, and what they make of a configuration. Pure
// arithmetic on member lists; whether a change may begin now is judged by Raft::propose_change.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Any number of additions, removals and moves, done in one step (dissertation 4.3). Each id is
/// named once. Ids and stores of removed members are refused.
struct ConfigurationChange {
  std::vector<Member> voters;  ///< new members that vote
  /// New members that only receive entries; with Member::promote only until they are caught up.
  std::vector<Member> learners;
  std::vector<NodeId> promote;  ///< learners that become voters
  std::vector<NodeId> demote;   ///< voters that become learners
  std::vector<NodeId> remove;
  /// New addresses or higher feature levels of members; the store stays.
  std::vector<Member> update;
  /// Puts this level in force, which all members must have, learners and outgoing voters among
  /// them; zero: leaves it as it is.
  uint32_t raise = 0;
  /// Begins although the new voters may have no quorum that is up to date and lives. Nothing is
  /// lost by it, but nothing may be committed any more.
  bool force = false;
};

enum class ChangeOutcome : uint8_t {
  kAccepted,
  kNotLeader,
  kTransferring,     ///< leadership is being handed over
  kUnderWay,         ///< the last change is not committed yet, or not left its joint configuration
  kOwnTermPending,   ///< no entry of this leader's term is committed yet
  kNothing,          ///< the change names nobody
  kUnknownMember,    ///< `member` is not there, or not in the role that the change moves it from
  kDuplicateMember,  ///< `member` is there already, or named twice
  kStoreInUse,       ///< the store of `member` is another member's, or an update changes it
  kMalformedMember,  ///< `member` has no id, no store, or too long an address
  kNoVoter,          ///< nobody would vote any more
  kTooManyMembers,   ///< the joint configuration would name more than kMaxMembers
  kNotCaughtUp,      ///< learner `member` lags; with `force` it is promoted all the same
  kWouldLoseQuorum,  ///< no quorum of the new voters has been heard of lately; or `force`
  kRemovedMember,    ///< the id of `member`, or its store, was another member's that is removed
  kTooManyRemoved,   ///< more than kMaxRemoved would have been removed since the cluster began
  kBelowLevel,       ///< `member` has a lower level than is in force, is wanted, or than it had
  kNoRaise,          ///< the level is not above that in force, or below kRecordedLevelMin
};
inline constexpr int kChangeOutcomes = 18;
/// "accepted", "not leader" and so on.
const char* change_outcome_name(ChangeOutcome outcome);

struct ChangeResult {
  ChangeOutcome outcome = ChangeOutcome::kNotLeader;
  LogIndex index;  ///< accepted: of the entry; the configuration is in force at once
  Term term;       ///< accepted: of the entry
  NodeId leader;   ///< who may know better; zero if unknown
  NodeId member;   ///< whom the refusal is about; zero if it is about none
  bool accepted() const { return outcome == ChangeOutcome::kAccepted; }
};

/// What a change leads to, or why it cannot.
struct ChangePlan {
  ChangeOutcome outcome = ChangeOutcome::kAccepted;
  NodeId member;
  /// The next configuration of the log: joint if the voters change, else the last one.
  Configuration next;
};
ChangePlan plan_change(const Configuration& current, const ConfigurationChange& change);

/// C_new of a joint configuration: what follows when that is committed. Whom it leaves out is among
/// its removed ones; those that are so from this step on have index 0, which its place in the log
/// fills in.
Configuration without_outgoing(const Configuration& joint);

inline bool is_joint(const Configuration& configuration) { return !configuration.outgoing.empty(); }

/// Whether a log may go from one to the other: by the same voters, into a joint configuration of
/// both, or out of it (dissertation 4.3), nobody who was removed is forgotten, and the level does
/// not fall. Any two quorums of such neighbours have a voter in common.
bool may_follow(const Configuration& before, const Configuration& after);

}  // namespace holdfast::raft
