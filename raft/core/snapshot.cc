// Log compaction (paper, section 7; dissertation, chapter 5). The core forgets what a snapshot
// covers, and tells a peer that needs forgotten entries what it must have first; the snapshot
// itself travels outside of the core (docs/divergence.md).
#include <algorithm>

#include "base/check.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

void Raft::compact(LogIndex through) {
  HF_CHECK(through <= applied_, "compacts what the state machine does not have");
  if (inert() || through < log_.first()) return;
  log_.compact(through);
  configurations_.compact(through);
  ++counters_.compactions;
  if (!is<LeaderRole>()) return;
  for (Peer& peer : as<LeaderRole>().peers) {
    if (peer.state != ProgressState::kSnapshot && peer.next < log_.first()) probe(peer, peer.next);
  }
}

// On the leader.

/// Section 7: "the leader must occasionally send snapshots to followers that lag behind. This
/// happens when the leader has already discarded the next log entry that it needs to send".
void Raft::need_snapshot(Peer& peer) {
  peer.need_snapshot();
  ++counters_.snapshots_needed;
  offer_snapshot(peer);
}

/// Repeated with every heartbeat: no offer and no answer is missed for long.
void Raft::offer_snapshot(const Peer& peer) {
  Message m = make(MessageType::kSnapshotRequest, peer.id);
  m.index = log_.first().prev();
  m.log_term = log_.term(m.index);
  send(std::move(m));
}

/// The logs are known to meet at the peer's match. If entries follow it here they are pipelined
/// from there on; else it still needs the snapshot, or the answer to its probe is awaited.
void Raft::resume(Peer& peer) {
  if (peer.state == ProgressState::kReplicate || peer.match.next() < log_.first()) return;
  if (peer.state == ProgressState::kSnapshot) ++counters_.snapshots_reached;
  peer.replicate();
  peer.allowance.forgo(as<LeaderRole>().appended_bytes);
}

/// The peer has everything to `index` committed and durable. What is committed there is in this
/// log, too, with the same terms (figure 3.2, leader completeness and state machine safety), and a
/// commit index is never truncated: it matches to there, exactly as if it had acknowledged appends.
void Raft::on_snapshot_response(Message& m) {
  Peer& peer = *as<LeaderRole>().find(m.from);
  peer.hear(now_);
  if (m.index > log_.last()) {
    ++counters_.ignored_malformed;
    return;
  }
  if (peer.state != ProgressState::kSnapshot) {
    drop_stale(m);
    return;
  }
  if (!peer.acknowledge(m.index)) return;
  peer.rounds.acknowledged(peer.match, log_.last(), now_);
  resume(peer);
  maybe_commit();
  continue_transfer();
}

// On a follower.

/// The offer is a consistency check like an append's: its index is committed, so a log that has
/// that entry has, up to there, nothing but committed entries (figure 3.2, log matching).
void Raft::on_snapshot_offer(Message& m) {
  if (!hear_leader(m)) return;
  const bool matches = log_.matches(m.index, m.log_term);
  if (!matches && m.index <= commit_ && m.index.next() >= log_.first()) {
    raise(Violation::Kind::kCommittedConflict, m, m.index);
    return;
  }
  if (matches) follow_commit(m.index);
  if (m.index > commit_) {
    snapshot_offer_ = SnapshotOffer{m.from, m.index, m.log_term};
    ++counters_.snapshot_offers;
    return;
  }
  Message answer = make(MessageType::kSnapshotResponse, m.from);
  answer.index = std::max(m.index, std::min(commit_, log_.durable()));
  const LogIndex through = answer.index;
  send_when_durable(std::move(answer), through);
}

void Raft::concede_snapshot_offer(Message& m) {
  become_follower(term(), NodeId());
  on_snapshot_offer(m);
}

}  // namespace holdfast::raft
