#include "raft/core/raft.h"

#include <algorithm>

#include "base/check.h"
#include "raft/core/message_form.h"
#include "raft/core/quorum.h"

namespace holdfast::raft {
namespace {

/// Dissertation 4.1: "servers process incoming RPC requests without consulting their current
/// configurations": a leader or candidate may be in one that this server has not received yet. Who
/// may speak at all is the transport's to know. Answers, and questions to a leader, count from
/// members only.
bool asks(MessageType type) {
  switch (type) {
    case MessageType::kPreVoteRequest:
    case MessageType::kVoteRequest:
    case MessageType::kAppendRequest:
    case MessageType::kHeartbeatRequest:
    case MessageType::kSnapshotRequest:
    case MessageType::kTimeoutNow:
      return true;
    default:
      return false;
  }
}

}  // namespace

// What each role does with each type of message of its own term. Every cell is filled: what cannot
// matter is dropped and counted, what a correct cluster cannot send is a rival's claim.
// clang-format off
const Raft::Handler Raft::kHandlers[kRoles][kMessageTypes] = {
    // Follower
    {&Raft::on_pre_vote_request, &Raft::drop_stale,
     &Raft::on_vote_request,     &Raft::drop_stale,
     &Raft::on_append_request,   &Raft::drop_stale,
     &Raft::on_heartbeat_request, &Raft::drop_stale,
     &Raft::refuse_read_request, &Raft::on_read_response,
     &Raft::on_timeout_now,
     &Raft::on_snapshot_offer,   &Raft::drop_stale},
    // PreCandidate
    {&Raft::on_pre_vote_request, &Raft::on_pre_vote_response,
     &Raft::on_vote_request,     &Raft::drop_stale,
     &Raft::concede_append,      &Raft::drop_stale,
     &Raft::concede_heartbeat,   &Raft::drop_stale,
     &Raft::refuse_read_request, &Raft::drop_stale,
     &Raft::drop_stale,
     &Raft::concede_snapshot_offer, &Raft::drop_stale},
    // Candidate
    {&Raft::on_pre_vote_request, &Raft::drop_stale,
     &Raft::on_vote_request,     &Raft::on_vote_response,
     &Raft::concede_append,      &Raft::drop_stale,
     &Raft::concede_heartbeat,   &Raft::drop_stale,
     &Raft::refuse_read_request, &Raft::drop_stale,
     &Raft::drop_stale,
     &Raft::concede_snapshot_offer, &Raft::drop_stale},
    // Leader
    {&Raft::on_pre_vote_request, &Raft::drop_stale,
     &Raft::on_vote_request,     &Raft::drop_stale,
     &Raft::rival_claim,         &Raft::on_append_response,
     &Raft::rival_claim,         &Raft::on_heartbeat_response,
     &Raft::on_read_request,     &Raft::drop_stale,
     &Raft::rival_claim,
     &Raft::rival_claim,         &Raft::on_snapshot_response},
};
// clang-format on

Raft::Raft(const Config& config, InitialState initial, LogReader& reader, Instant now)
    : config_(config),
      reader_(reader),
      configurations_({initial.configuration_index, std::move(initial.configuration)},
                      std::move(initial.changes)),
      random_(config.seed),
      now_(now),
      hard_state_(initial.hard_state),
      log_(initial.first_index, initial.last_index, std::move(initial.term_runs)),
      commit_(initial.applied),
      handed_out_(initial.applied),
      applied_(initial.applied) {
  HF_CHECK(validate(config).ok(), "settings are validated before a core is built");
  HF_CHECK(configurations_.all().front().index <= initial.applied,
           "the first configuration is in force at the applied index");
  HF_CHECK(configurations_.latest_index() <= log_.last(), "a configuration beyond the log");
  HF_CHECK(initial.applied <= log_.last(), "applied index beyond the log");
  HF_CHECK(initial.applied.next() >= log_.first(), "applied index before the log");
  HF_CHECK(log_.last_term() <= hard_state_.term,
           "the log ends in a later term than the hard state");
  reset_election_timer();
  reported_ = soft_state();
}

void Raft::advance_clock(Instant now) { now_ = std::max(now_, now); }

void Raft::tick(Instant now) {
  if (inert()) return;
  advance_clock(now);
  entries_available();
  if (is<LeaderRole>()) {
    tick_leader();
  } else {
    tick_election();
  }
}

void Raft::step(Message&& message, Instant now) {
  if (inert()) return;
  advance_clock(now);
  if (!admissible(message) || !settle_term(message)) return;
  const Handler handler = kHandlers[static_cast<int>(role())][static_cast<int>(message.type)];
  (this->*handler)(message);
}

bool Raft::admissible(const Message& m) {
  if (m.to != id() || m.group != config_.group || m.from == id()) {
    ++counters_.ignored_misaddressed;
    return false;
  }
  if (!asks(m.type) && !is_member(configuration(), m.from)) {
    ++counters_.ignored_unknown_sender;
    return false;
  }
  if (!well_formed(m)) {
    ++counters_.ignored_malformed;
    return false;
  }
  return true;
}

/// Figure 2, rules for servers: a higher term makes a follower, a lower one is refused. True if
/// the message is to be handled.
bool Raft::settle_term(Message& m) {
  // A pre-vote asks and answers about a term that nobody has entered (dissertation 9.6).
  const bool pre_vote_grant = m.type == MessageType::kPreVoteResponse && !m.reject;
  if (m.type == MessageType::kPreVoteRequest || pre_vote_grant) return true;
  if (m.term > term()) return settle_higher_term(m);
  if (m.term < term()) {
    answer_stale(m);
    return false;
  }
  return true;
}

bool Raft::settle_higher_term(const Message& m) {
  // Dissertation 4.2.3: who has heard from a leader lately neither votes nor takes the term, unless
  // that leader itself asked for the election.
  if (m.type == MessageType::kVoteRequest && !m.transfer && refuses_elections()) {
    ++counters_.ignored_sticky;
    return false;
  }
  become_follower(m.term, NodeId());
  return true;
}

/// Figure 2: "reply false if term < currentTerm". The answer carries our term, so that a deposed
/// leader steps down, and one whose voters have been pushed to a later term by a returning node
/// lets that node back in (etcd raft: "stuck candidate").
void Raft::answer_stale(const Message& m) {
  ++counters_.ignored_stale;
  MessageType type;
  switch (m.type) {
    case MessageType::kVoteRequest:
      type = MessageType::kVoteResponse;
      break;
    case MessageType::kAppendRequest:
      type = MessageType::kAppendResponse;
      break;
    case MessageType::kHeartbeatRequest:
      type = MessageType::kHeartbeatResponse;
      break;
    default:
      return;
  }
  Message answer = make(type, m.from);
  answer.reject = true;
  send(std::move(answer));
}

void Raft::drop_stale(Message&) { ++counters_.ignored_stale; }

/// Figure 3.2, election safety: at most one leader a term, and this node is it.
void Raft::rival_claim(Message& m) { raise(Violation::Kind::kTwoLeaders, m, LogIndex()); }

void Raft::raise(Violation::Kind kind, const Message& m, LogIndex index) {
  violation_ = Violation{kind, m.from, m.term, index};
}

void Raft::set_hard_state(Term term, NodeId vote) {
  HF_CHECK(term > hard_state_.term || (term == hard_state_.term && !hard_state_.vote),
           "terms never go back, a vote never changes within its term");
  if (term > hard_state_.term) {
    held_.clear();  // promises of a past term interest nobody
    term_leader_ = NodeId();
  }
  hard_state_ = {term, vote};
  hard_state_dirty_ = true;
}

void Raft::leave_role() {
  switch (role()) {
    case Role::kFollower:
      fail_follower_reads();
      break;
    case Role::kCandidate:
      std::erase_if(held_, [](const HeldMessage& held) {
        return held.message.type == MessageType::kVoteRequest;
      });
      break;
    case Role::kLeader:
      fail_leader_reads();
      abort_transfer();
      break;
    case Role::kPreCandidate:
      break;
  }
}

/// `new_term` is this term, or a later one.
void Raft::become_follower(Term new_term, NodeId leader) {
  const bool was_follower = is<FollowerRole>();
  leave_role();
  if (new_term > term()) set_hard_state(new_term, NodeId());
  role_ = FollowerRole{.leader = leader, .heard = now_};
  // A follower's timer runs on when it only learns a term: who asks for votes that it does not get
  // must not keep better candidates from standing.
  if (!was_follower) reset_election_timer();
}

void Raft::step_down(Instant now) {
  if (inert()) return;
  advance_clock(now);
  if (!is<FollowerRole>()) become_follower(term(), NodeId());
  reset_election_timer();
}

NodeId Raft::leader() const {
  if (is<LeaderRole>()) return id();
  return is<FollowerRole>() ? as<FollowerRole>().leader : NodeId();
}

void Raft::peer_unreachable(NodeId peer, Evidence evidence, Instant now) {
  if (inert()) return;
  advance_clock(now);
  if (is<LeaderRole>()) {
    Peer* p = as<LeaderRole>().find(peer);
    if (p != nullptr && p->state == ProgressState::kReplicate) probe(*p, p->match.next());
  } else if (evidence != Evidence::kDisconnected) {
    lose_leader(peer);
  }
}

Instant Raft::next_wakeup() const {
  if (inert()) return Instant::max();
  if (is<LeaderRole>()) return std::min(as<LeaderRole>().next_heartbeat, next_paced_append());
  Instant at = election_due();
  if (is<FollowerRole>() && as<FollowerRole>().reads.id != 0) {
    at = std::min(at, as<FollowerRole>().reads.sent_at + config_.election_timeout_min);
  }
  return at;
}

RaftStatus Raft::status() const {
  RaftStatus s;
  s.id = id();
  s.term = term();
  s.vote = vote();
  s.role = role();
  s.leader = leader();
  s.commit = commit_;
  s.applied = applied_;
  s.first = log_.first();
  s.last = log_.last();
  s.last_term = log_.last_term();
  s.durable = log_.durable();
  s.configuration = configuration();
  s.configuration_index = configurations_.latest_index();
  s.pending_reads = pending_reads();
  s.uncommitted_bytes = log_.window().bytes(commit_.next(), log_.last().next());
  if (is<LeaderRole>()) {
    const LeaderRole& lead = as<LeaderRole>();
    s.transferring = lead.transfer.has_value();
    for (const Peer& peer : lead.peers) {
      s.peers.push_back({peer.id, peer.match, peer.next, peer.state,
                         static_cast<uint32_t>(peer.inflights.count()), peer.inflights.bytes(),
                         caught_up(peer.id)});
    }
  }
  return s;
}

}  // namespace holdfast::raft
