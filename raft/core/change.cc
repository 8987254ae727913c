#include "raft/core/change.h"

#include <algorithm>
#include <array>
#include <utility>

#include "raft/core/configuration.h"
#include "raft/core/quorum.h"

namespace holdfast::raft {
namespace {

void insert(std::vector<NodeId>& ids, NodeId id) {
  ids.insert(std::lower_bound(ids.begin(), ids.end(), id), id);
}

/// Whether it was there.
bool erase(std::vector<NodeId>& ids, NodeId id) { return std::erase(ids, id) != 0; }

/// Who is in no list any more has been removed for good.
void remember_removed(const Configuration& before, Configuration& after) {
  for (const Member& member : before.members) {
    if (is_member(after, member.id)) continue;
    const auto place =
        std::lower_bound(after.removed.begin(), after.removed.end(), member.id,
                         [](const RemovedMember& removed, NodeId id) { return removed.id < id; });
    after.removed.insert(place, {member.id, member.store, LogIndex()});
  }
}

/// Works off a change, one member after the other; stops at the first that does not fit.
class Planner {
 public:
  explicit Planner(const Configuration& current) : current_(current), target_(current) {}

  ChangePlan plan(const ConfigurationChange& change) {
    for (const Member& member : change.voters) add(member, target_.voters);
    for (const Member& member : change.learners) add(member, target_.learners);
    for (const NodeId id : change.promote) move(id, target_.learners, target_.voters);
    for (const NodeId id : change.demote) move(id, target_.voters, target_.learners);
    for (const NodeId id : change.remove) remove(id);
    for (const Member& member : change.update) update(member);
    if (change.raise != 0) raise(change.raise);
    if (named_.empty() && change.raise == 0) refuse(ChangeOutcome::kNothing, NodeId());
    if (target_.voters.empty()) refuse(ChangeOutcome::kNoVoter, NodeId());
    if (target_.voters != current_.voters) target_.outgoing = current_.voters;
    keep_members_of_lists();
    if (const Member* below = find_below(target_, target_.level)) {
      refuse(ChangeOutcome::kBelowLevel, below->id);
    }
    remember_removed(current_, target_);
    if (target_.members.size() > kMaxMembers) refuse(ChangeOutcome::kTooManyMembers, NodeId());
    if (removed_in_the_end() > kMaxRemoved) refuse(ChangeOutcome::kTooManyRemoved, NodeId());
    plan_.next = std::move(target_);
    return std::move(plan_);
  }

 private:
  void refuse(ChangeOutcome outcome, NodeId member) {
    if (plan_.outcome != ChangeOutcome::kAccepted) return;
    plan_.outcome = outcome;
    plan_.member = member;
  }

  /// Each id is named once; true if it may go on.
  bool name(NodeId id) {
    if (contains(named_, id)) refuse(ChangeOutcome::kDuplicateMember, id);
    named_.push_back(id);
    return plan_.outcome == ChangeOutcome::kAccepted;
  }

  bool fits(const Member& member) {
    const size_t longest = std::max(member.peer_address.size(), member.client_address.size());
    if (!member.id || !member.store || longest > kMaxAddressBytes) {
      refuse(ChangeOutcome::kMalformedMember, member.id);
      return false;
    }
    const bool taken =
        std::any_of(target_.members.begin(), target_.members.end(),
                    [&](const Member& m) { return m.store == member.store && m.id != member.id; });
    if (taken) refuse(ChangeOutcome::kStoreInUse, member.id);
    const bool removed = find_removed(target_, member.id) != nullptr ||
                         find_removed_store(target_, member.store) != nullptr;
    if (removed) refuse(ChangeOutcome::kRemovedMember, member.id);
    return !taken && !removed;
  }

  void add(const Member& member, std::vector<NodeId>& list) {
    if (!name(member.id) || !fits(member)) return;
    if (find_member(target_, member.id) != nullptr) {
      return refuse(ChangeOutcome::kDuplicateMember, member.id);
    }
    insert(list, member.id);
    target_.members.push_back(member);
  }

  void move(NodeId id, std::vector<NodeId>& from, std::vector<NodeId>& to) {
    if (!name(id)) return;
    if (!erase(from, id)) return refuse(ChangeOutcome::kUnknownMember, id);
    insert(to, id);
  }

  void remove(NodeId id) {
    if (!name(id)) return;
    if (!erase(target_.voters, id) && !erase(target_.learners, id)) {
      refuse(ChangeOutcome::kUnknownMember, id);
    }
  }

  void update(const Member& member) {
    if (!name(member.id)) return;
    const auto at = std::find_if(target_.members.begin(), target_.members.end(),
                                 [&](const Member& m) { return m.id == member.id; });
    if (at == target_.members.end()) return refuse(ChangeOutcome::kUnknownMember, member.id);
    if (at->store != member.store) return refuse(ChangeOutcome::kStoreInUse, member.id);
    if (at->feature_level > member.feature_level) {
      return refuse(ChangeOutcome::kBelowLevel, member.id);
    }
    if (fits(member)) *at = member;
  }

  /// What is in force stays so: entries that need it may be in the log (ARCHITECTURE, "State
  /// machine").
  void raise(uint32_t level) {
    if (level <= current_.level || level < kRecordedLevelMin) {
      return refuse(ChangeOutcome::kNoRaise, NodeId());
    }
    target_.level = level;
  }

  /// Outgoing voters keep theirs until the joint configuration is left. Who votes waits for
  /// nothing.
  void keep_members_of_lists() {
    std::erase_if(target_.members, [&](const Member& m) { return !is_member(target_, m.id); });
    std::sort(target_.members.begin(), target_.members.end(),
              [](const Member& a, const Member& b) { return a.id < b.id; });
    for (Member& member : target_.members) {
      if (contains(target_.voters, member.id)) member.promote = false;
    }
  }

  /// When the joint configuration, if any, is left.
  size_t removed_in_the_end() const { return without_outgoing(target_).removed.size(); }

  const Configuration& current_;
  Configuration target_;
  std::vector<NodeId> named_;
  ChangePlan plan_;
};

}  // namespace

ChangePlan plan_change(const Configuration& current, const ConfigurationChange& change) {
  return Planner(current).plan(change);
}

Configuration without_outgoing(const Configuration& joint) {
  Configuration next = joint;
  next.outgoing.clear();
  std::erase_if(next.members, [&](const Member& m) { return !is_member(next, m.id); });
  remember_removed(joint, next);
  return next;
}

bool may_follow(const Configuration& before, const Configuration& after) {
  const bool forgets =
      std::any_of(before.removed.begin(), before.removed.end(), [&](const RemovedMember& removed) {
        const RemovedMember* const known = find_removed(after, removed.id);
        return known == nullptr || *known != removed;
      });
  if (forgets || after.level < before.level) return false;
  if (!is_joint(after)) return after.voters == before.voters;
  return !is_joint(before) && after.outgoing == before.voters;
}

const char* change_outcome_name(ChangeOutcome outcome) {
  static constexpr std::array<const char*, kChangeOutcomes> kNames = {
      "accepted",         "not leader",        "transferring",   "under way",
      "own term pending", "nothing",           "unknown member", "duplicate member",
      "store in use",     "malformed member",  "no voter",       "too many members",
      "not caught up",    "would lose quorum", "removed member", "too many removed",
      "below level",      "no raise"};
  return kNames.at(static_cast<size_t>(outcome));
}

}  // namespace holdfast::raft
