// Elections: Raft paper 5.2 and 5.4.1, pre-vote (dissertation 9.6), leader stickiness (4.2.3),
// leadership transfer (3.10), and fast failover.
#include <algorithm>

#include "base/check.h"
#include "raft/core/quorum.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

Duration Raft::random_between(Duration low, Duration high) {
  return low + Duration(random_.below(static_cast<uint64_t>((high - low).count())));
}

/// Who may stand: a voter; and dissertation 4.2.2, "a server that is not part of its own latest
/// configuration should still start new elections, as it might still be needed until the Cnew entry
/// is committed": nobody with a shorter log can be elected by it. Its own vote does not count then.
bool Raft::promotable() const {
  if (barred_) return false;
  if (is_voter(configuration(), id())) return true;
  if (configurations_.latest_index() <= commit_) return false;
  return is_voter(configurations_.at(configurations_.latest_index().prev()), id());
}

/// Paper 5.2: a timeout drawn anew each time keeps votes from splitting again and again.
void Raft::reset_election_timer() {
  election_deadline_ =
      now_ + random_between(config_.election_timeout_min, config_.election_timeout_max);
}

/// A lone voter has nobody to wait for.
Instant Raft::election_due() const {
  const bool alone = !barred_ && !is_joint(configuration()) && configuration().voters.size() == 1 &&
                     configuration().voters.front() == id();
  return alone && is<FollowerRole>() ? now_ : election_deadline_;
}

void Raft::tick_election() {
  if (is<FollowerRole>()) retry_forwarded_reads();
  if (now_ < election_due()) return;
  if (promotable()) {
    start_campaign();
    return;
  }
  // Learners, removed and barred servers never campaign; they only stop believing in a silent
  // leader.
  if (leader()) become_follower(term(), NodeId());
  reset_election_timer();
}

bool Raft::campaign(Instant now) {
  if (inert() || !promotable() || is<LeaderRole>()) return false;
  advance_clock(now);
  start_campaign();
  return true;
}

void Raft::start_campaign() {
  if (fast_failover_active()) ++counters_.fast_campaigns;
  if (config_.pre_vote) {
    become_pre_candidate();
  } else {
    become_candidate(false);
  }
}

/// Dissertation 9.6: ask whether an election could be won before disturbing anybody with a term.
void Raft::become_pre_candidate() {
  leave_role();
  role_ = PreCandidateRole{};
  ++counters_.pre_elections;
  as<PreCandidateRole>().votes.record(id(), true);
  reset_election_timer();
  if (fast_failover_active()) {
    election_deadline_ = now_ + random_between(config_.fast_retry_min, config_.fast_retry_max);
  }
  ask_for_votes(MessageType::kPreVoteRequest, term().next(), false);
  settle_election();
}

/// Figure 2, candidates: "increment currentTerm, vote for self, reset election timer, send
/// RequestVote RPCs". The requests, and the own vote, wait until term, vote and the log they claim
/// are durable: a candidate that restarts must not collect votes for what it has lost.
void Raft::become_candidate(bool transfer) {
  leave_role();
  set_hard_state(term().next(), id());
  role_ = CandidateRole{};
  ++counters_.elections;
  reset_election_timer();
  ask_for_votes(MessageType::kVoteRequest, term(), transfer);
}

void Raft::ask_for_votes(MessageType type, Term for_term, bool transfer) {
  for (NodeId voter : voter_ids(configuration())) {
    if (voter == id()) continue;
    Message m = make(type, voter);
    m.term = for_term;
    m.index = log_.last();
    m.log_term = log_.last_term();
    m.transfer = transfer;
    if (type == MessageType::kPreVoteRequest) {
      send(std::move(m));
    } else {
      send_when_durable(std::move(m), log_.last());
    }
  }
}

void Raft::count_own_vote() {
  if (hard_state_write() > persisted_write_) return;
  as<CandidateRole>().votes.record(id(), true);
  settle_election();
}

void Raft::settle_election() {
  const Votes& votes =
      is<CandidateRole>() ? as<CandidateRole>().votes : as<PreCandidateRole>().votes;
  switch (tally(configuration(), votes)) {
    case ElectionOutcome::kPending:
      return;
    case ElectionOutcome::kLost:
      election_lost();
      return;
    case ElectionOutcome::kWon:
      break;
  }
  if (is<CandidateRole>()) {
    become_leader();
  } else {
    become_candidate(false);
  }
}

void Raft::election_lost() {
  become_follower(term(), NodeId());
  if (fast_failover_active()) {
    election_deadline_ = now_ + random_between(config_.fast_retry_min, config_.fast_retry_max);
  }
}

void Raft::become_leader() {
  HF_CHECK(is<CandidateRole>(), "only a candidate can win an election");
  HF_CHECK(!term_leader_, "the term has a leader already");
  leave_role();
  LeaderRole lead;
  for (NodeId member : member_ids(configuration())) {
    if (member != id()) lead.peers.push_back(new_peer(member));
  }
  lead.next_heartbeat = now_ + config_.heartbeat_interval;
  lead.stored_at = now_;
  role_ = std::move(lead);
  term_leader_ = id();
  fast_.reset();
  ++counters_.elections_won;
  // Dissertation 6.4: an entry of the own term commits everything before it.
  append_own(EntryType::kNoop, Blob());
}

/// Dissertation 4.2.3 and 6.2: within the minimum election timeout after a leader's last word its
/// followers take part in no election. Part of check-quorum: without that, a leader cut off one way
/// would keep them for ever. A leader has just heard from itself.
bool Raft::refuses_elections() const {
  if (!config_.check_quorum) return false;
  if (is<LeaderRole>()) return true;
  if (!is<FollowerRole>() || !as<FollowerRole>().leader) return false;
  return now_ < as<FollowerRole>().heard + config_.election_timeout_min;
}

/// Fast failover: the leader's process is known to be gone, so nobody waits for it. Survivors stand
/// by rank, the lowest id at once. Only timing rests on the evidence, never safety.
void Raft::lose_leader(NodeId dead) {
  if (!config_.fast_failover || !is<FollowerRole>() || leader() != dead) return;
  become_follower(term(), NodeId());
  fast_ = FastFailover{dead, now_ + config_.election_timeout_max};
  int64_t rank = 0;
  for (NodeId voter : voter_ids(configuration())) {
    if (voter != dead && voter < id()) ++rank;
  }
  election_deadline_ = std::min(election_deadline_, now_ + rank * config_.fast_rank_stagger);
  if (rank == 0) tick_election();
}

void Raft::on_pre_vote_request(Message& m) {
  Message answer = make(MessageType::kPreVoteResponse, m.from);
  const bool sticky = refuses_elections();
  if (sticky) ++counters_.ignored_sticky;
  if (!sticky && m.term > term() && log_.is_up_to_date(m.index, m.log_term)) {
    answer.term = m.term;  // the term asked about; ours does not change
  } else {
    answer.reject = true;
  }
  send(std::move(answer));
}

void Raft::on_pre_vote_response(Message& m) {
  if (!m.reject && m.term != term().next()) {
    drop_stale(m);
    return;
  }
  as<PreCandidateRole>().votes.record(m.from, !m.reject);
  settle_election();
}

/// Figure 2, RequestVote: grant "if votedFor is null or candidateId, and candidate's log is at
/// least as up-to-date as receiver's log". The grant leaves when it is durable.
void Raft::on_vote_request(Message& m) {
  Message answer = make(MessageType::kVoteResponse, m.from);
  const bool free = !vote() && !term_leader_;
  if ((free || vote() == m.from) && log_.is_up_to_date(m.index, m.log_term)) {
    if (!vote()) set_hard_state(term(), m.from);
    reset_election_timer();
    send_when_durable(std::move(answer), LogIndex());
    return;
  }
  answer.reject = true;
  send(std::move(answer));
}

void Raft::on_vote_response(Message& m) {
  as<CandidateRole>().votes.record(m.from, !m.reject);
  if (m.reject && fast_failover_active()) {
    election_deadline_ = std::min(
        election_deadline_, now_ + random_between(config_.fast_retry_min, config_.fast_retry_max));
  }
  settle_election();
}

/// Dissertation 3.10: the leader asks its target to stand at once, past pre-vote and stickiness.
void Raft::on_timeout_now(Message& m) {
  if (!promotable() || leader() != m.from) {
    drop_stale(m);
    return;
  }
  become_candidate(true);
}

}  // namespace holdfast::raft
