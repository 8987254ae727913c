#include "coordinator/server/member_request.h"

#include <algorithm>
#include <set>

#include "base/list_text.h"
#include "base/net/address.h"
#include "raft/core/configuration.h"

namespace holdfast::server {
namespace {

using raft::ChangeOutcome;

NodeId id_of(int32_t node) { return NodeId(static_cast<uint64_t>(node)); }

std::string node(NodeId id) { return "node " + std::to_string(id.value); }

Refusal refused(const std::string& why) { return {ErrorCode::kBadArgument, why, false, false, 0}; }

Refusal later(ErrorCode code, const std::string& why) { return {code, why, false, true, 100}; }

std::optional<std::string> fault_of_address(const api::NewMember& added) {
  const auto address = net::parse_address(added.peerAddress);
  const std::string who = "node " + std::to_string(added.nodeId) + ": ";
  if (!address.ok()) return who + address.error().message;
  if (address->port == 0) return who + added.peerAddress + " names no port that could be dialled";
  if (added.peerAddress.size() <= raft::kMaxAddressBytes) return {};
  return who + "the length of its address is " + std::to_string(added.peerAddress.size()) +
         ", the limit is " + std::to_string(raft::kMaxAddressBytes);
}

/// The member that `change` adds or updates under this id, or null.
const raft::Member* named(const raft::ConfigurationChange& change, NodeId id) {
  for (const auto* list : {&change.voters, &change.learners, &change.update}) {
    for (const raft::Member& member : *list) {
      if (member.id == id) return &member;
    }
  }
  return nullptr;
}

std::string why_unknown(NodeId id, const raft::Configuration& configuration) {
  if (raft::find_member(configuration, id) == nullptr) {
    std::vector<NodeId> members;
    for (const raft::Member& member : configuration.members) members.push_back(member.id);
    return node(id) + " is not a member; the members are " + list_text(members);
  }
  return node(id) + " is not a learner that could be promoted";
}

std::string why_duplicate(NodeId id, const raft::Configuration& configuration) {
  const raft::Member* const member = raft::find_member(configuration, id);
  if (member == nullptr) return node(id) + " is named twice";
  return node(id) + " is a member already, with store " + std::to_string(member->store.value) +
         " at " + member->peer_address + ": a new server needs an id that was never used";
}

/// Of a member that was to be a learner: that it votes, or will. Only a removal makes it stop.
std::optional<std::string> why_no_learner(const raft::Member& member,
                                          const raft::Configuration& configuration) {
  const bool votes = raft::contains(configuration.voters, member.id);
  if (!votes && !member.promote) return {};
  return node(member.id) +
         (votes ? " votes already, and is no learner" : " is to vote once it has caught up") +
         "; to have a learner in its place, remove it and add a new server";
}

std::string why_store(NodeId id, const raft::ConfigurationChange& change,
                      const raft::Configuration& configuration) {
  const raft::Member* const wanted = named(change, id);
  const StoreId store = wanted == nullptr ? StoreId() : wanted->store;
  for (const raft::Member& member : configuration.members) {
    if (member.store != store) continue;
    return "store " + std::to_string(store.value) + " of " + node(id) + " is that of " +
           node(member.id);
  }
  return "the store of " + node(id) + " is another member's";
}

std::string why_removed(NodeId id, const raft::ConfigurationChange& change,
                        const raft::Configuration& configuration) {
  const raft::Member* const wanted = named(change, id);
  const raft::RemovedMember* removed = raft::find_removed(configuration, id);
  if (removed == nullptr && wanted != nullptr) {
    removed = raft::find_removed_store(configuration, wanted->store);
  }
  if (removed == nullptr) return node(id) + " was removed";
  return node(removed->id) + " (store " + std::to_string(removed->store.value) +
         ") was removed at entry " + std::to_string(removed->index.value) +
         ", and neither its id nor its store is used again: start the server with an empty "
         "directory and an id that was never used";
}

uint32_t highest_known(const raft::Configuration& configuration) {
  uint32_t known = 0;
  for (const raft::Member& member : configuration.members) {
    known = std::max(known, member.feature_level);
  }
  return known;
}

/// Whether what is wanted of a member or of all is the level in force, or more than that.
std::string why_below(NodeId id, const raft::ConfigurationChange& change,
                      const raft::Configuration& configuration) {
  const raft::Member* member = named(change, id);
  if (member == nullptr) member = raft::find_member(configuration, id);
  const uint32_t has = member == nullptr ? 0 : member->feature_level;
  const uint32_t known = highest_known(configuration);
  if (change.raise > known) {
    return "feature level " + std::to_string(change.raise) +
           " is known to none of the servers' programs: the highest that any of them knows is " +
           std::to_string(known);
  }
  const uint32_t wanted = std::max(change.raise, configuration.level);
  return node(id) + " has feature level " + std::to_string(has) + ", " + std::to_string(wanted) +
         (change.raise != 0 ? " is wanted" : " is in force") + ": upgrade it first";
}

std::string why_no_raise(const raft::ConfigurationChange& change,
                         const raft::Configuration& configuration) {
  const std::string level = "level " + std::to_string(change.raise);
  if (change.raise < raft::kRecordedLevelMin) {
    return level + " is not put in force by itself: those below " +
           std::to_string(raft::kRecordedLevelMin) + " are not recorded";
  }
  return level + " is below " + std::to_string(configuration.level) +
         ", which is in force and stays so";
}

std::string why_not_caught_up(NodeId id, const raft::Raft& core) {
  const raft::RaftStatus status = core.status();
  const auto peer = std::ranges::find(status.peers, id, &raft::PeerStatus::id);
  const std::string has = peer == status.peers.end() || !peer->match
                              ? "has said of no entry yet that it has it"
                              : "has the log to entry " + std::to_string(peer->match.value);
  return node(id) + " has not caught up: it " + has + ", and the log goes to entry " +
         std::to_string(status.last.value) +
         "; as a voter it would hold up what is to be committed";
}

std::string why_no_voter(const raft::Configuration& configuration) {
  if (configuration.voters.size() == 1) {
    return node(configuration.voters.front()) +
           " is the last voter: without it nobody would vote any more";
  }
  return "nobody would vote any more: the voters are " + list_text(configuration.voters);
}

std::string why_no_quorum(const raft::ConfigurationChange& change, const raft::Raft& core) {
  const raft::ChangePlan plan = raft::plan_change(core.configuration(), change);
  return "with " + raft::describe(plan.next) + " there would be no quorum of servers that have " +
         "answered within the last " + std::to_string(to_ms(core.config().election_timeout_max)) +
         " ms: nothing might be committed any more";
}

}  // namespace

std::optional<std::string> fault_of(const api::ChangeMembersRequest& request) {
  std::vector<int32_t> all = request.promoted;
  all.insert(all.end(), request.removed.begin(), request.removed.end());
  for (const api::NewMember& added : request.added) all.push_back(added.nodeId);
  if (request.raiseLevel < 0) {
    return "raiseLevel is " + std::to_string(request.raiseLevel) + ": it must not be negative";
  }
  if (request.raiseLevel != 0 && !all.empty()) {
    return "raiseLevel goes alone: members are changed before or after";
  }
  if (all.empty() && request.raiseLevel == 0) return "the change names nobody";
  if (all.size() > raft::kMaxMembers) {
    return "the change names " + std::to_string(all.size()) + " servers, the limit is " +
           std::to_string(raft::kMaxMembers);
  }
  std::set<int32_t> once;
  for (const int32_t id : all) {
    if (id < 1 || id > kNodeIdMax) {
      return "nodeId is " + std::to_string(id) + ": it must be from 1 to " +
             std::to_string(kNodeIdMax);
    }
    if (!once.insert(id).second) return "node " + std::to_string(id) + " is named twice";
  }
  for (const api::NewMember& added : request.added) {
    if (auto fault = fault_of_address(added)) return fault;
    if (added.role < api::MemberRole::UNSPECIFIED || added.role > api::MemberRole::JOINING) {
      return "role " + std::to_string(static_cast<int>(added.role)) +
             " is none that a server can be added in";
    }
  }
  return {};
}

MembersLeft left_to_do(const raft::Configuration& configuration,
                       const api::ChangeMembersRequest& request) {
  MembersLeft left;
  for (const api::NewMember& added : request.added) {
    const raft::Member* const member = raft::find_member(configuration, id_of(added.nodeId));
    if (member != nullptr && member->peer_address == added.peerAddress) continue;
    left.added.push_back(added);
  }
  for (const int32_t promoted : request.promoted) {
    if (!raft::contains(configuration.voters, id_of(promoted))) {
      left.promoted.push_back(id_of(promoted));
    }
  }
  for (const int32_t removed : request.removed) {
    if (raft::find_removed(configuration, id_of(removed)) == nullptr) {
      left.removed.push_back(id_of(removed));
    }
  }
  const auto level = static_cast<uint32_t>(request.raiseLevel);
  if (level > configuration.level) left.raise = level;
  return left;
}

std::optional<Refusal> never_a_member(const api::NewMember& wanted,
                                      const raft::Configuration& configuration) {
  const NodeId id = id_of(wanted.nodeId);
  const raft::Member* const member = raft::find_member(configuration, id);
  if (member != nullptr && member->peer_address != wanted.peerAddress) {
    return refused(why_duplicate(id, configuration));
  }
  if (member != nullptr && wanted.role == api::MemberRole::LEARNER) {
    if (const auto why = why_no_learner(*member, configuration)) return refused(*why);
  }
  if (raft::find_removed(configuration, id) == nullptr) return {};
  return refused(why_removed(id, {}, configuration));
}

namespace {

/// All that are to come vote already, and who is to go for them does so too. A change that is under
/// way is being carried out.
std::optional<std::string> replaces_nobody(const raft::Configuration& configuration,
                                           const api::ChangeMembersRequest& request,
                                           const MembersLeft& left) {
  std::vector<int32_t> come = request.promoted;
  for (const api::NewMember& added : request.added) come.push_back(added.nodeId);
  const auto votes = [&](int32_t id) { return raft::contains(configuration.voters, id_of(id)); };
  if (come.empty() || left.removed.empty() || raft::is_joint(configuration) ||
      !std::ranges::all_of(come, votes)) {
    return {};
  }
  return node(id_of(come.front())) +
         " votes already and replaces nobody: " + node(left.removed.front()) +
         " can still be removed by itself";
}

}  // namespace

std::optional<Refusal> overtaken(const raft::Configuration& configuration,
                                 const api::ChangeMembersRequest& request) {
  const MembersLeft left = left_to_do(configuration, request);
  if (const auto why = replaces_nobody(configuration, request, left)) return refused(*why);
  if (left.added.empty() || left.removed.size() == request.removed.size()) return {};
  for (const int32_t id : request.removed) {
    const raft::RemovedMember* const removed = raft::find_removed(configuration, id_of(id));
    if (removed == nullptr) continue;
    return refused(node(removed->id) + " was removed already, at entry " +
                   std::to_string(removed->index.value) + ", and nobody was added for it: node " +
                   std::to_string(left.added.front().nodeId) + " can still be added by itself");
  }
  return {};
}

// A server that took entry 1 of this very cluster for an addition that was undone, or that lost its
// answer, is not empty and can still be added: its log and its votes are this cluster's.
std::optional<Refusal> obstacle(const api::NewMember& wanted, const raft::IdentityReply& answer,
                                ClusterId cluster, uint32_t feature_level) {
  const raft::PeerIdentity& self = answer.self;
  const std::string at = wanted.peerAddress + " is node " + std::to_string(self.node.value);
  if (self.node != id_of(wanted.nodeId)) {
    return refused(at + ", not node " + std::to_string(wanted.nodeId));
  }
  if (self.formed() && self.cluster != cluster) {
    return refused(at + " of cluster " + std::to_string(self.cluster.value) + ", this is cluster " +
                   std::to_string(cluster.value) + ": it must start with an empty directory");
  }
  if (!self.formed() && !answer.listed.empty()) {
    return refused(at + ", which was started to form a cluster: start it with --join");
  }
  if (self.feature_level < feature_level) {
    return refused(at + ", which knows feature level " + std::to_string(self.feature_level) +
                   ", the cluster is at " + std::to_string(feature_level) + ": upgrade it first");
  }
  return {};
}

Refusal refusal_of(const raft::ChangeResult& result, const raft::ConfigurationChange& change,
                   const raft::Raft& core) {
  const raft::Configuration& configuration = core.configuration();
  const NodeId id = result.member;
  switch (result.outcome) {
    case ChangeOutcome::kNotLeader:
    case ChangeOutcome::kAccepted:
      return later(ErrorCode::kNoLeader, "this server does not lead any more");
    case ChangeOutcome::kTransferring:
      return later(ErrorCode::kOverloaded, "leadership is being handed over");
    case ChangeOutcome::kUnderWay:
      return later(ErrorCode::kOverloaded,
                   "another change of the members is under way: " + describe_members(core));
    case ChangeOutcome::kOwnTermPending:
      return later(ErrorCode::kNoLeader, "the leader has committed no entry of term " +
                                             std::to_string(core.term().value) + " yet");
    case ChangeOutcome::kNothing:
      return refused("the change names nobody");
    case ChangeOutcome::kUnknownMember:
      return refused(why_unknown(id, configuration));
    case ChangeOutcome::kDuplicateMember:
      return refused(why_duplicate(id, configuration));
    case ChangeOutcome::kStoreInUse:
      return refused(why_store(id, change, configuration));
    case ChangeOutcome::kMalformedMember:
      return refused(node(id) + " has no id, no store, or an address that is too long");
    case ChangeOutcome::kNoVoter:
      return refused(why_no_voter(configuration));
    case ChangeOutcome::kTooManyMembers:
      return {ErrorCode::kLimitExceeded,
              "there would be more than " + std::to_string(raft::kMaxMembers) +
                  " members, which is the limit",
              false, false, 0};
    case ChangeOutcome::kNotCaughtUp:
      return refused(why_not_caught_up(id, core));
    case ChangeOutcome::kWouldLoseQuorum:
      return refused(why_no_quorum(change, core));
    case ChangeOutcome::kRemovedMember:
      return refused(why_removed(id, change, configuration));
    case ChangeOutcome::kTooManyRemoved:
      return {ErrorCode::kLimitExceeded,
              "more than " + std::to_string(raft::kMaxRemoved) +
                  " members would have been removed since the cluster began, which is the limit",
              false, false, 0};
    case ChangeOutcome::kBelowLevel:
      return refused(why_below(id, change, configuration));
    case ChangeOutcome::kNoRaise:
      return refused(why_no_raise(change, configuration));
  }
  return refused(raft::change_outcome_name(result.outcome));
}

bool is_settled(const raft::Raft& core) {
  return core.configurations().latest_index() <= core.commit() &&
         !raft::is_joint(core.configuration());
}

namespace {

api::MemberRole::type role_of(const raft::Configuration& configuration,
                              const raft::Member& member) {
  const bool leaves = raft::contains(configuration.outgoing, member.id);
  if (raft::contains(configuration.voters, member.id)) {
    const bool joins = raft::is_joint(configuration) && !leaves;
    return joins ? api::MemberRole::JOINING : api::MemberRole::VOTER;
  }
  if (!raft::contains(configuration.learners, member.id)) return api::MemberRole::LEAVING;
  return member.promote ? api::MemberRole::JOINING : api::MemberRole::LEARNER;
}

api::MemberProgress::type progress_of(const raft::Raft& core, NodeId id) {
  if (!core.is_leader()) return api::MemberProgress::UNSPECIFIED;
  const bool follows = id == core.id() || core.caught_up(id);
  return follows ? api::MemberProgress::CAUGHT_UP : api::MemberProgress::BEHIND;
}

}  // namespace

std::vector<api::Member> members_of(const raft::Raft& core) {
  std::vector<api::Member> all;
  const raft::Configuration& configuration = core.configuration();
  for (const raft::Member& m : configuration.members) {
    api::Member member;
    member.nodeId = static_cast<int32_t>(m.id.value);
    member.peerAddress = m.peer_address;
    member.clientAddress = m.client_address;
    member.storeId = static_cast<int64_t>(m.store.value);
    member.voter = raft::contains(configuration.voters, m.id);
    member.featureLevel = static_cast<int32_t>(m.feature_level);
    member.role = role_of(configuration, m);
    member.progress = progress_of(core, m.id);
    member.promote = m.promote;
    all.push_back(std::move(member));
  }
  return all;
}

std::string describe_members(const raft::Raft& core) {
  const LogIndex index = core.configurations().latest_index();
  std::string text = raft::describe(core.configuration());
  if (index) text += " since entry " + std::to_string(index.value);
  if (index > core.commit()) text += ", not committed yet";
  return text;
}

}  // namespace holdfast::server
