// Catching up: how much a peer that is behind is sent at a time, and how soon. A peer far behind,
// without which the others are a quorum, is brought up at a pace. At full speed the leader reads,
// and the peer stores and applies, tens of thousands of entries in a row: on processors and disks
// that others share, their clients wait for it, while nobody waits for the peer.
#include <algorithm>

#include "raft/core/quorum.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

bool Raft::lacks_more_than(const Peer& peer, size_t bytes) const {
  const EntryWindow& window = log_.window();
  return peer.next < window.begin() || window.bytes(peer.next, window.end()) > bytes;
}

/// It lacks more than one append takes.
bool Raft::is_behind(const Peer& peer) const {
  return lacks_more_than(peer, config_.max_append_bytes);
}

/// Voters that keep up are a quorum. Without that an entry would wait for the peer to be brought
/// up, and with it all clients. Heartbeats are answered whatever a disk does: who has stored
/// nothing for an election timeout, though there is something to store, does not keep up.
bool Raft::is_quorum_without(const Peer& peer) const {
  const LeaderRole& lead = as<LeaderRole>();
  return quorum_value(configuration(), [&](NodeId voter) {
    if (voter == peer.id) return false;
    if (voter == id()) {
      return log_.durable() == log_.last() || now_ < lead.stored_at + config_.election_timeout_min;
    }
    const Peer& other = *lead.find(voter);
    return other.state == ProgressState::kReplicate &&
           !lacks_more_than(other, config_.far_behind_bytes) &&
           now_ < other.heard + config_.election_timeout_min &&
           other.moves(now_, config_.election_timeout_min);
  });
}

/// One that is to lead next is waited for; and where nothing is written nobody waits for anything.
bool Raft::is_paced(const Peer& peer) const {
  const LeaderRole& lead = as<LeaderRole>();
  return peer.state == ProgressState::kReplicate &&
         lacks_more_than(peer, config_.far_behind_bytes) &&
         now_ < lead.appended_at + config_.heartbeat_interval &&
         !(lead.transfer && lead.transfer->target == peer.id) && is_quorum_without(peer);
}

Allowance::Pace Raft::pace() const {
  constexpr size_t kAppendsAtOnce = 8;  ///< after a rest
  return {config_.catchup_bytes_per_second, kAppendsAtOnce * config_.paced_append_bytes,
          config_.max_inflight_bytes};
}

bool Raft::has_allowance(const Peer& peer) const {
  return peer.allowance.left(now_, as<LeaderRole>().appended_bytes, pace()) > 0;
}

void Raft::spend_allowance(Peer& peer, size_t bytes) {
  peer.allowance.spend(bytes, now_, as<LeaderRole>().appended_bytes, pace());
}

/// When a paced peer may be sent more: nothing else might happen until then.
Instant Raft::next_paced_append() const {
  Instant at = Instant::max();
  for (const Peer& peer : as<LeaderRole>().peers) {
    if (!peer.reader_unavailable && has_room(peer) && is_paced(peer)) {
      at = std::min(at, peer.allowance.due(pace()));
    }
  }
  return at;
}

/// One append in a turn: where more than `paced_append_bytes` is written in a turn, appends of that
/// size would never do. What was written meanwhile goes in larger ones.
size_t Raft::paced_limit(const Peer& peer) const {
  const Allowance::Pace pace = this->pace();
  const int64_t left = peer.allowance.left(now_, as<LeaderRole>().appended_bytes, pace);
  const auto written = std::max<int64_t>(0, left - static_cast<int64_t>(pace.most_bytes));
  return std::max(config_.paced_append_bytes,
                  std::min(static_cast<size_t>(written), config_.max_catchup_bytes));
}

size_t Raft::append_limit(const Peer& peer) const {
  size_t limit = config_.max_append_bytes;
  if (peer.state == ProgressState::kReplicate && is_behind(peer)) {
    limit = is_paced(peer) ? paced_limit(peer) : config_.max_catchup_bytes;
  }
  return std::min(limit, config_.max_inflight_bytes - peer.inflights.bytes());
}

}  // namespace holdfast::raft
