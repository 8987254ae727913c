// Changes of the configuration: joint consensus (dissertation 4.3), learners that catch up (4.2.1),
// leaders that remove themselves (4.2.2).
#include <algorithm>

#include "base/check.h"
#include "raft/core/configuration.h"
#include "raft/core/quorum.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

ChangeResult Raft::propose_change(const ConfigurationChange& change, Instant now) {
  advance_clock(now);
  ChangeResult result;
  result.leader = leader();
  ChangePlan plan;
  result.outcome = may_change();
  if (result.outcome == ChangeOutcome::kAccepted) {
    plan = plan_change(configuration(), change);
    if (plan.outcome == ChangeOutcome::kAccepted && !change.force) judge_voters(change, plan);
    result.outcome = plan.outcome;
    result.member = plan.member;
  }
  if (!result.accepted()) {
    ++counters_.changes_refused;
    return result;
  }
  append_configuration(std::move(plan.next));
  result.index = log_.last();
  result.term = term();
  return result;
}

/// One change at a time (4.1), from the last one's end to the next one's beginning; and not before
/// an entry of the own term is committed: else two leaders could each start from a configuration
/// that the other does not know (Ongaro, raft-dev, 2015, "bug in single-server membership
/// changes").
ChangeOutcome Raft::may_change() const {
  if (inert() || !is<LeaderRole>()) return ChangeOutcome::kNotLeader;
  if (as<LeaderRole>().transfer) return ChangeOutcome::kTransferring;
  if (!own_term_committed()) return ChangeOutcome::kOwnTermPending;
  if (configurations_.latest_index() > commit_ || is_joint(configuration())) {
    return ChangeOutcome::kUnderWay;
  }
  return ChangeOutcome::kAccepted;
}

/// What may be forced: learners that lag would make commits wait for them, and voters that do not
/// answer might leave no quorum to commit the change itself, or its reversal.
void Raft::judge_voters(const ConfigurationChange& change, ChangePlan& plan) const {
  for (const NodeId learner : change.promote) {
    if (caught_up(learner)) continue;
    plan.outcome = ChangeOutcome::kNotCaughtUp;
    plan.member = learner;
    return;
  }
  const bool quorum_lives = quorum_value(plan.next, [this](NodeId voter) { return lives(voter); });
  if (is_joint(plan.next) && !quorum_lives) plan.outcome = ChangeOutcome::kWouldLoseQuorum;
}

/// Heard of within an election timeout, and in this term.
bool Raft::lives(NodeId voter) const {
  if (voter == id()) return true;
  const Peer* peer = as<LeaderRole>().find(voter);
  return peer != nullptr && peer->answered && now_ < peer->heard + config_.election_timeout_max;
}

bool Raft::caught_up(NodeId peer) const {
  if (!is<LeaderRole>() || !lives(peer)) return false;
  const Peer* p = as<LeaderRole>().find(peer);
  return p != nullptr && p->rounds.caught_up(now_, config_.election_timeout_min);
}

/// Dissertation 4.1: a server uses the latest configuration in its log as soon as it is there.
void Raft::append_configuration(Configuration configuration) {
  for (RemovedMember& removed : configuration.removed) {
    if (!removed.index) removed.index = log_.last().next();
  }
  append_own(EntryType::kConfiguration, Blob(encode_configuration(configuration)));
  configurations_.append(log_.last(), std::move(configuration));
  ++counters_.configurations_appended;
  on_configuration_changed();
}

void Raft::on_configuration_changed() {
  configuration_news_ = true;
  if (is<LeaderRole>()) match_peers();
}

/// A peer for each other member: those that stay keep what is known of them, new ones are probed.
void Raft::match_peers() {
  LeaderRole& lead = as<LeaderRole>();
  std::vector<Peer> peers;
  for (const NodeId member : member_ids(configuration())) {
    if (member == id()) continue;
    Peer* known = lead.find(member);
    peers.push_back(known != nullptr ? std::move(*known) : new_peer(member));
  }
  lead.peers = std::move(peers);
  if (lead.transfer && lead.find(lead.transfer->target) == nullptr) abort_transfer();
}

/// Figure 2: nextIndex starts at the leader's last log index + 1, matchIndex at 0.
Peer Raft::new_peer(NodeId member) const {
  Peer peer;
  peer.id = member;
  peer.next = log_.last().next();
  peer.heard = now_;
  return peer;
}

/// The learners that wait for it and are caught up, if they may be promoted now.
ChangePlan Raft::due_promotion() const {
  ConfigurationChange change;
  for (const NodeId learner : configuration().learners) {
    const Member* member = find_member(configuration(), learner);
    const bool waits = member != nullptr && member->promote;
    if (waits && caught_up(learner)) change.promote.push_back(learner);
  }
  if (change.promote.empty()) return {.outcome = ChangeOutcome::kNothing};
  ChangePlan plan = plan_change(configuration(), change);
  judge_voters(change, plan);
  return plan;
}

bool Raft::owes_membership() const {
  if (configurations_.latest_index() > commit_ || !own_term_committed()) return false;
  if (is_joint(configuration())) return true;
  if (!is_voter(configuration(), id())) return !as<LeaderRole>().retiring;
  if (configuration().learners.empty() || as<LeaderRole>().transfer) return false;
  return due_promotion().outcome == ChangeOutcome::kAccepted;
}

/// Dissertation 4.3: "once C_old,new has been committed, it is safe for the leader to create a log
/// entry describing C_new". Every leader does that, whoever began the change.
void Raft::settle_membership() {
  if (!owes_membership()) return;
  if (is_joint(configuration())) {
    append_configuration(without_outgoing(configuration()));
  } else if (!is_voter(configuration(), id())) {
    retire();
  } else {
    append_configuration(due_promotion().next);
  }
}

/// Dissertation 4.2.2: a leader that is not in C_new steps down once C_new is committed; until then
/// it does not count itself. It hands over to the voter that has most of its log, and is gone after
/// an election timeout at the latest.
void Raft::retire() {
  LeaderRole& lead = as<LeaderRole>();
  NodeId best;
  for (const NodeId voter : configuration().voters) {
    if (!best || lead.find(voter)->match > lead.find(best)->match) best = voter;
  }
  ++counters_.retirements;
  hand_over_and_go(best);
}

}  // namespace holdfast::raft
