// The sending side of replication: Raft paper 5.3 and figure 2, rules for leaders; pipelining with
// probe, replicate and snapshot states per peer (dissertation 10.2.1).
#include <algorithm>

#include "base/check.h"
#include "raft/core/quorum.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

Peer* LeaderRole::find(NodeId id) {
  auto at = std::find_if(peers.begin(), peers.end(), [id](const Peer& p) { return p.id == id; });
  return at == peers.end() ? nullptr : &*at;
}

const Peer* LeaderRole::find(NodeId id) const { return const_cast<LeaderRole*>(this)->find(id); }

void Raft::tick_leader() {
  LeaderRole& lead = as<LeaderRole>();
  if (config_.check_quorum && lost_quorum()) {
    ++counters_.check_quorum_step_downs;
    become_follower(term(), NodeId());
    return;
  }
  const bool over = lead.transfer && now_ >= lead.transfer->deadline;
  if (lead.retiring && (over || !lead.transfer)) {  // its successor may have been removed
    become_follower(term(), NodeId());
    return;
  }
  if (over) abort_transfer();
  if (now_ >= lead.next_heartbeat) broadcast_heartbeat();
}

/// Dissertation 6.2: "a leader steps down if an election timeout elapses without a successful round
/// of heartbeats to a majority of its cluster".
bool Raft::lost_quorum() const {
  const LeaderRole& lead = as<LeaderRole>();
  const Instant heard = quorum_value(configuration(), [&](NodeId voter) {
    if (voter == id()) return now_;
    const Peer* peer = lead.find(voter);
    HF_CHECK(peer != nullptr, "every voter has its progress");
    return peer->heard;
  });
  return heard + config_.election_timeout_max <= now_;
}

ProposeResult Raft::propose(std::span<const Proposal> proposals, bool exempt, Instant now) {
  advance_clock(now);
  ProposeResult result;
  if (inert()) return result;
  result.leader = leader();
  if (!is<LeaderRole>()) return result;
  if (as<LeaderRole>().transfer) {
    result.outcome = ProposeResult::Outcome::kTransferring;
    result.leader = as<LeaderRole>().transfer->target;
    return result;
  }
  uint64_t bytes = 0;
  for (const Proposal& proposal : proposals) {
    if (proposal.type != EntryType::kCommand) {
      result.outcome = ProposeResult::Outcome::kUnsupported;
      return result;
    }
    bytes += proposal.data.size() + kEntryOverheadBytes;
  }
  // A batch larger than the cap is taken when nothing else is uncommitted, else it never could be.
  const uint64_t uncommitted = log_.window().bytes(commit_.next(), log_.last().next());
  if (!exempt && uncommitted > 0 && uncommitted + bytes > config_.max_uncommitted_bytes) {
    result.outcome = ProposeResult::Outcome::kOverCap;
    return result;
  }
  result.outcome = ProposeResult::Outcome::kAccepted;
  result.first = log_.last().next();
  result.term = term();
  for (const Proposal& proposal : proposals) append_own(proposal.type, proposal.data);
  return result;
}

/// Figure 3.2, leader append-only: a leader never overwrites or deletes entries of its log.
void Raft::append_own(EntryType type, Blob data) {
  Entry entry{term(), log_.last().next(), type, std::move(data)};
  LeaderRole& lead = as<LeaderRole>();
  lead.appended_bytes += entry_bytes(entry);
  lead.appended_at = now_;
  if (log_.durable() == log_.last()) lead.stored_at = now_;
  log_.append(std::move(entry));
}

/// Figure 2, leaders: "if there exists an N such that N > commitIndex, a majority of matchIndex[i]
/// >= N, and log[N].term == currentTerm: set commitIndex = N" (5.4.2: no counting for older terms).
/// This node counts with what is durable here, in parallel with the peers.
void Raft::maybe_commit() {
  const LeaderRole& lead = as<LeaderRole>();
  const LogIndex reached = quorum_value(configuration(), [&](NodeId voter) {
    return voter == id() ? log_.durable() : lead.find(voter)->match;
  });
  if (reached > commit_ && log_.term(reached) == term()) commit_ = reached;
}

void Raft::broadcast_heartbeat() {
  LeaderRole& lead = as<LeaderRole>();
  ++lead.round;
  lead.next_heartbeat = now_ + config_.heartbeat_interval;
  for (Peer& peer : lead.peers) {
    send_heartbeat(peer, lead.round);
    if (peer.state == ProgressState::kSnapshot) offer_snapshot(peer);
  }
  if (own_term_committed()) adopt_waiting_reads();
  confirm_reads();  // a lone voter is a quorum: nobody's answer would do it later
}

void Raft::send_heartbeat(Peer& peer, uint64_t round) {
  Message m = make(MessageType::kHeartbeatRequest, peer.id);
  m.round = round;
  m.index = peer.match;
  if (m.index.next() >= log_.first()) m.log_term = log_.term(m.index);
  // Never beyond what the peer is known to have in common with this log.
  m.commit = std::min(commit_, peer.match);
  peer.sent_commit = std::max(peer.sent_commit, m.commit);
  send(std::move(m));
}

bool Raft::has_room(const Peer& peer) const {
  return peer.inflights.count() < config_.max_inflight_messages &&
         peer.inflights.bytes() < config_.max_inflight_bytes;
}

/// An append leaves at once when none is in flight to the peer; otherwise it gathers until an
/// acknowledgement comes or there is enough for a full one.
bool Raft::may_append(const Peer& peer) const {
  if (peer.reader_unavailable) return false;
  switch (peer.state) {
    case ProgressState::kSnapshot:
      return false;
    case ProgressState::kProbe:
      return !peer.probe_outstanding;
    case ProgressState::kReplicate:
      break;
  }
  if (peer.verify) return true;
  if (peer.next > log_.last() || !has_room(peer)) return false;
  if (is_paced(peer)) return has_allowance(peer);
  return peer.inflights.empty() || peer.acked_since_send || peer.next < log_.window().begin() ||
         log_.window().bytes(peer.next, log_.last().next()) >= config_.max_append_bytes;
}

/// A commit index reaches an idle peer at once, so that its watchers are not a heartbeat late.
/// While something is in flight or waits, the next append will carry it.
bool Raft::owes_commit(const Peer& peer) const {
  return peer.state == ProgressState::kReplicate && peer.inflights.empty() &&
         peer.next > log_.last() && peer.sent_commit < std::min(commit_, peer.match);
}

bool Raft::leader_has_output() const {
  for (const Peer& peer : as<LeaderRole>().peers) {
    if (may_append(peer) || owes_commit(peer)) return true;
  }
  return may_start_read_round() || owes_membership();
}

void Raft::replicate_to(Peer& peer) {
  if (may_append(peer)) {
    send_append(peer);
  } else if (owes_commit(peer)) {
    send_heartbeat(peer, 0);
  }
}

void Raft::send_append(Peer& peer) {
  HF_CHECK(peer.next >= log_.first(), "the entry before an append is known");
  Message m = make(MessageType::kAppendRequest, peer.id);
  m.index = peer.next.prev();
  m.log_term = log_.term(m.index);
  m.commit = commit_;
  const bool only_verify = peer.state == ProgressState::kReplicate && !has_room(peer);
  if (!only_verify && peer.next <= log_.last() &&
      !load_entries(peer, append_limit(peer), m.entries)) {
    return;
  }
  const LogIndex through = m.index + m.entries.size();
  if (!m.entries.empty()) peer.rounds.sent(log_.last(), now_);
  const bool backlog = !m.entries.empty() && is_behind(peer);
  const bool paced = backlog && is_paced(peer);
  sent_backlog_ |= backlog;
  peer.sent_commit = std::max(peer.sent_commit, std::min(commit_, through));
  peer.verify = false;
  if (peer.state == ProgressState::kProbe) {
    peer.probe_outstanding = true;
  } else if (!m.entries.empty()) {
    size_t bytes = 0;
    for (const Entry& entry : m.entries) bytes += entry_bytes(entry);
    if (paced) spend_allowance(peer, bytes);
    if (peer.inflights.empty()) peer.moved = now_;
    peer.inflights.add(through, bytes);
    peer.next = through.next();
    peer.acked_since_send = false;
    if (!has_room(peer)) ++counters_.inflight_full;
  }
  send(std::move(m));
}

/// Entries from `peer.next` on, at least one, from memory or through LogReader. False if they
/// cannot be had now.
bool Raft::load_entries(Peer& peer, size_t max_bytes, std::vector<Entry>& out) {
  const EntryWindow& window = log_.window();
  if (peer.next < window.begin()) {
    ++counters_.log_reads;
    const LogReader::Outcome outcome = reader_.entries(peer.next, window.begin(), max_bytes, out);
    peer.reader_unavailable = outcome == LogReader::Outcome::kUnavailable;
    if (peer.reader_unavailable) return false;
    HF_CHECK(!out.empty() && out.front().index == peer.next, "LogReader answered another question");
    return true;
  }
  uint64_t bytes = 0;
  for (LogIndex i = peer.next; i < window.end(); ++i) {
    const Entry& entry = window.at(i);
    bytes += entry_bytes(entry);
    if (bytes > max_bytes && !out.empty()) break;
    out.push_back(entry);
  }
  return true;
}

void Raft::on_append_response(Message& m) {
  Peer& peer = *as<LeaderRole>().find(m.from);
  peer.hear(now_);
  if (m.index > log_.last() || (m.reject && m.hint > m.index)) {
    ++counters_.ignored_malformed;
    return;
  }
  if (m.reject) {
    on_append_rejected(peer, m);
    return;
  }
  const bool moved = peer.moves(now_, config_.election_timeout_min);
  const bool news = peer.acknowledge(m.index);
  peer.rounds.acknowledged(peer.match, log_.last(), now_);
  if (news || m.index.next() == peer.next) resume(peer);
  if (!news) return;
  if (!moved) peer.allowance.forgo(as<LeaderRole>().appended_bytes);
  peer.moved = now_;
  maybe_commit();
  continue_transfer();
}

/// Paper 5.3: "the leader decrements nextIndex and retries", by a whole term at a time: it goes to
/// the last of its entries, at or below the follower's hint, whose term is not above the hint's.
/// A follower that refuses what lies right before the log's start, or was before it when it was
/// asked, needs a snapshot.
void Raft::on_append_rejected(Peer& peer, const Message& m) {
  const bool compacted = m.index < log_.first();
  const bool current =
      compacted || peer.state == ProgressState::kReplicate || m.index == peer.next.prev();
  if (!current || peer.state == ProgressState::kSnapshot || m.index <= peer.match) {
    ++counters_.ignored_stale;
    return;
  }
  if (compacted) {
    need_snapshot(peer);
    return;
  }
  const LogIndex meeting = log_.last_not_above(std::min(m.hint, m.index), m.log_term);
  probe(peer, std::min(meeting.next(), m.index));
}

/// Never from before the log's start: what the peer has of that is seen by asking for the last
/// compacted entry.
void Raft::probe(Peer& peer, LogIndex next) {
  peer.probe_from(std::max(next, log_.first()));
  ++counters_.probes;
}

void Raft::on_heartbeat_response(Message& m) {
  LeaderRole& lead = as<LeaderRole>();
  Peer& peer = *lead.find(m.from);
  peer.hear(now_);
  if (m.round > lead.round) {
    ++counters_.ignored_malformed;
    return;
  }
  peer.acked_round = std::max(peer.acked_round, m.round);
  peer.probe_outstanding = false;
  // What was in flight may be lost: ask where the peer's log ends. Not counted as in flight, so
  // that the caps hold however slow the peer is.
  if (peer.state == ProgressState::kReplicate && !peer.inflights.empty()) peer.verify = true;
  confirm_reads();
}

TransferResult Raft::transfer_leadership(NodeId target, Instant now) {
  advance_clock(now);
  if (inert() || !is<LeaderRole>()) return TransferResult::kNotLeader;
  if (target == id() || !is_voter(configuration(), target)) return TransferResult::kNotVoter;
  if (as<LeaderRole>().transfer) return TransferResult::kAlreadyRunning;
  as<LeaderRole>().transfer = Transfer{target, now_ + config_.election_timeout_max};
  ++counters_.transfers;
  continue_transfer();
  return TransferResult::kStarted;
}

/// Dissertation 3.10: bring the target's log up to date, then tell it to stand.
void Raft::continue_transfer() {
  LeaderRole& lead = as<LeaderRole>();
  if (!lead.transfer || lead.transfer->asked) return;
  if (lead.find(lead.transfer->target)->match != log_.last()) return;
  lead.transfer->asked = true;
  send(make(MessageType::kTimeoutNow, lead.transfer->target));
  if (lead.retiring) become_follower(term(), NodeId());
}

/// Of a leader that must not go on: it leaves as soon as it has told its successor to stand.
void Raft::hand_over_and_go(NodeId successor) {
  LeaderRole& lead = as<LeaderRole>();
  abort_transfer();
  lead.retiring = true;
  lead.transfer = Transfer{successor, now_ + config_.election_timeout_max};
  ++counters_.transfers;
  continue_transfer();
}

void Raft::bar(NodeId successor, Instant now) {
  advance_clock(now);
  barred_ = true;
  if (inert() || is<FollowerRole>()) return;
  if (is<LeaderRole>() && successor != id() && is_voter(configuration(), successor)) {
    hand_over_and_go(successor);
  } else {
    become_follower(term(), NodeId());
  }
}

/// Dissertation 3.10: "if leadership transfer does not complete after about an election timeout,
/// the prior leader aborts the transfer and resumes accepting client requests".
void Raft::abort_transfer() {
  LeaderRole& lead = as<LeaderRole>();
  if (!lead.transfer) return;
  lead.transfer.reset();
  ++counters_.transfers_aborted;
}

}  // namespace holdfast::raft
