#include "raft/core/invariants.h"

#include <algorithm>

#include "base/checksum.h"
#include "raft/core/configuration.h"
#include "raft/core/quorum.h"

namespace holdfast::raft {
namespace {

template <class... Parts>
Breach breach(const Raft& raft, Parts... parts) {
  std::string text = "node " + std::to_string(raft.id().value) + " term " +
                     std::to_string(raft.term().value) + ": ";
  (text.append(parts), ...);
  return text;
}

std::string num(LogIndex index) { return std::to_string(index.value); }
std::string num(Term term) { return std::to_string(term.value); }
std::string num(NodeId id) { return std::to_string(id.value); }

Breach check_positions(const Raft& raft) {
  const LogView& log = raft.log();
  if (raft.applied_index() > raft.handed_out()) return breach(raft, "applied what was not given");
  if (raft.handed_out() > raft.commit()) return breach(raft, "handed out uncommitted entries");
  if (raft.commit() > log.last()) return breach(raft, "commit index beyond the log");
  if (log.durable() > log.last()) return breach(raft, "durable index beyond the log");
  if (log.durable() >= log.unwritten()) return breach(raft, "durable before it was written");
  if (log.window().begin() > log.durable().next()) return breach(raft, "forgot undurable entries");
  if (log.last_term() > raft.term()) return breach(raft, "the log is ahead of the term");
  return std::nullopt;
}

/// Section 7: what is discarded is applied, so a snapshot can stand for it, and the term of the
/// last discarded entry stays known for consistency checks.
Breach check_compaction(const Raft& raft) {
  const LogView& log = raft.log();
  const LogIndex compacted = log.first().prev();
  if (compacted > raft.applied_index()) return breach(raft, "compacted what is not applied");
  if (compacted > log.durable()) return breach(raft, "compacted what is not durable");
  if (log.window().begin() < log.first()) return breach(raft, "keeps compacted entries");
  const std::vector<TermRun>& runs = log.term_runs();
  if (compacted && (runs.empty() || runs.front().first > compacted)) {
    return breach(raft, "forgot the term before its log");
  }
  if (runs.size() > 1 && runs[1].first <= compacted) return breach(raft, "keeps compacted terms");
  return std::nullopt;
}

Breach check_role(const Raft& raft) {
  const bool stands = raft.role() == Role::kCandidate || raft.is_leader();
  if (stands && raft.vote() != raft.id()) return breach(raft, "stands without its own vote");
  // Dissertation 4.2.2: until a configuration without it is committed, a server may be needed.
  const std::vector<PlacedConfiguration>& known = raft.configurations().all();
  const bool was_voter = known.size() > 1 && known.back().index > raft.commit() &&
                         is_voter(known[known.size() - 2].configuration, raft.id());
  const bool campaigns = raft.role() == Role::kCandidate || raft.role() == Role::kPreCandidate;
  if (campaigns && !was_voter && !is_voter(raft.configuration(), raft.id())) {
    return breach(raft, "campaigns without being a voter");
  }
  if (raft.is_leader() != (raft.leader() == raft.id())) return breach(raft, "leader is not itself");
  if (raft.is_leader() && raft.log().last_term() != raft.term()) {
    return breach(raft, "leads without an entry of its term");
  }
  return std::nullopt;
}

/// Dissertation 4.1: the latest configuration of the log is in force.
Breach check_configurations(const Raft& raft) {
  const ConfigurationLog& configurations = raft.configurations();
  if (configurations.latest_index() > raft.log().last()) {
    return breach(raft, "has a configuration beyond its log");
  }
  if (raft.peers() == nullptr) return std::nullopt;
  std::vector<NodeId> wanted = member_ids(raft.configuration());
  std::erase(wanted, raft.id());
  const std::vector<Peer>& peers = *raft.peers();
  const bool same = std::equal(wanted.begin(), wanted.end(), peers.begin(), peers.end(),
                               [](NodeId member, const Peer& peer) { return peer.id == member; });
  if (!same) return breach(raft, "replicates to others than the members");
  return std::nullopt;
}

Breach check_peer(const Raft& raft, const Peer& peer) {
  const Config& config = raft.config();
  if (peer.match >= peer.next) return breach(raft, "match is not below next of ", num(peer.id));
  if (peer.next > raft.log().last().next()) return breach(raft, "next beyond the log");
  const bool lacks = peer.match.next() < raft.log().first();
  if (peer.state == ProgressState::kSnapshot && !lacks) {
    return breach(raft, "offers a snapshot that is not needed to ", num(peer.id));
  }
  if (peer.state != ProgressState::kSnapshot && peer.next < raft.log().first()) {
    return breach(raft, "would send compacted entries to ", num(peer.id));
  }
  if (peer.inflights.count() > config.max_inflight_messages) {
    return breach(raft, "too many appends in flight to ", num(peer.id));
  }
  if (peer.inflights.bytes() >= config.max_inflight_bytes && peer.inflights.count() > 1) {
    // The last append may overshoot the cap by less than its first entry.
    const size_t slack = config.max_catchup_bytes + config.max_uncommitted_bytes;
    if (peer.inflights.bytes() > config.max_inflight_bytes + slack) {
      return breach(raft, "too many bytes in flight to ", num(peer.id));
    }
  }
  if (peer.state != ProgressState::kReplicate && !peer.inflights.empty()) {
    return breach(raft, "pipelines to a probed peer ", num(peer.id));
  }
  return std::nullopt;
}

/// How far a quorum has the log of one that has just committed `index`. In the same step the
/// configuration may have changed behind it: any that was in force from the entry on may have been
/// the one that was counted by.
template <class DurableOf>
LogIndex stored(const Raft& raft, LogIndex index, DurableOf&& durable_of) {
  const ConfigurationLog& log = raft.configurations();
  LogIndex most;
  for (const PlacedConfiguration& placed : log.all()) {
    if (placed.index < log.placed_at(index).index) continue;
    most = std::max(most, quorum_value(placed.configuration, durable_of));
  }
  return most;
}

}  // namespace

Breach NodeInvariants::check_state(const Raft& raft) {
  if (Breach b = check_positions(raft)) return b;
  if (Breach b = check_compaction(raft)) return b;
  if (Breach b = check_role(raft)) return b;
  if (Breach b = check_configurations(raft)) return b;
  if (raft.peers() == nullptr) return std::nullopt;
  for (const Peer& peer : *raft.peers()) {
    if (Breach b = check_peer(raft, peer)) return b;
  }
  return std::nullopt;
}

Breach NodeInvariants::check_step(const Raft& raft) const {
  const Seen& before = *seen_;
  if (raft.term() < before.term) return breach(raft, "term went back from ", num(before.term));
  if (raft.commit() < before.commit) return breach(raft, "commit went back");
  if (raft.handed_out() < before.handed_out) return breach(raft, "applies entries again");
  if (raft.applied_index() < before.applied) return breach(raft, "applied went back");
  if (raft.log().first() < before.first) return breach(raft, "the log's start went back");
  const bool same_term = raft.term() == before.term;
  if (same_term && before.vote && raft.vote() != before.vote) {
    return breach(raft, "changed its vote from ", num(before.vote));
  }
  if (raft.is_leader() && before.role != Role::kLeader &&
      !(same_term && before.role == Role::kCandidate)) {
    return breach(raft, "leads without having been a candidate");
  }
  if (!raft.is_leader() || before.role != Role::kLeader || !same_term) return std::nullopt;
  // Figure 3.2, leader append-only.
  if (raft.log().last() < before.last) return breach(raft, "a leader deleted entries");
  for (const Peer& peer : *raft.peers()) {
    const auto known = before.matches.find(peer.id);
    if (known != before.matches.end() && peer.match < known->second) {
      return breach(raft, "match index went back");
    }
  }
  return std::nullopt;
}

void NodeInvariants::remember(const Raft& raft) {
  seen_ = Seen{raft.term(),        raft.vote(),       raft.role(),
               raft.commit(),      raft.handed_out(), raft.applied_index(),
               raft.log().first(), raft.log().last(), {}};
  if (raft.peers() == nullptr) return;
  for (const Peer& peer : *raft.peers()) seen_->matches.emplace(peer.id, peer.match);
}

Breach NodeInvariants::check(const Raft& raft) {
  Breach found = check_state(raft);
  if (!found && seen_) found = check_step(raft);
  remember(raft);
  return found;
}

Breach ClusterInvariants::observe(const Raft& raft) {
  Node& node = nodes_[raft.id()];
  if (Breach b = election_safety(raft)) return b;
  if (Breach b = votes(raft)) return b;
  if (Breach b = log_matching(raft, node)) return b;
  if (Breach b = compaction(raft, node)) return b;
  if (Breach b = configurations(raft)) return b;
  if (Breach b = leader_completeness(raft, node)) return b;
  if (Breach b = state_machine_safety(raft, node)) return b;
  return std::nullopt;
}

void ClusterInvariants::crashed(NodeId node) {
  const LogIndex durable = nodes_[node].durable;
  nodes_[node] = Node{.durable = durable};
}

/// Figure 3.2, election safety: "at most one leader can be elected in a given term".
Breach ClusterInvariants::election_safety(const Raft& raft) {
  if (!raft.is_leader()) return std::nullopt;
  const auto [at, fresh] = leaders_.try_emplace(raft.term(), raft.id());
  if (at->second != raft.id()) return breach(raft, "second leader beside ", num(at->second));
  return std::nullopt;
}

/// Figure 2: "vote for at most one candidate in a given term", over restarts, once it is durable.
Breach ClusterInvariants::votes(const Raft& raft) {
  if (!raft.vote() || !raft.hard_state_durable()) return std::nullopt;
  const auto [at, fresh] = durable_votes_.try_emplace({raft.id(), raft.term()}, raft.vote());
  if (at->second != raft.vote()) return breach(raft, "voted before for ", num(at->second));
  return std::nullopt;
}

/// Figure 3.2, log matching: an index and a term name one entry, and one previous term; by
/// induction they name one prefix.
Breach ClusterInvariants::log_matching(const Raft& raft, Node& node) {
  const LogView& log = raft.log();
  const bool rewritten = node.truncations != raft.counters().truncations;
  if (rewritten || node.checked < log.window().begin()) node.checked = log.window().begin().prev();
  for (LogIndex i = node.checked.next(); i <= log.last(); ++i) {
    const Entry& entry = log.window().at(i);
    const Fingerprint print{checksum64(entry.data.view(), static_cast<uint64_t>(entry.type)),
                            log.term(i.prev())};
    if (entry.index != i || entry.term != log.term(i)) return breach(raft, "mislabelled entry");
    if (Breach b = in_force(raft, entry)) return b;
    const auto [at, fresh] = entries_.try_emplace({i, entry.term}, print);
    if (at->second != print) return breach(raft, "two entries ", num(i), " of one term");
  }
  node.checked = log.last();
  node.truncations = raft.counters().truncations;
  node.durable = log.durable();
  return std::nullopt;
}

/// Dissertation 4.1: "each server adopts Cnew as soon as the entry is added to its log".
Breach ClusterInvariants::in_force(const Raft& raft, const Entry& entry) {
  const std::vector<PlacedConfiguration>& known = raft.configurations().all();
  const auto at = std::find_if(known.begin(), known.end(), [&](const PlacedConfiguration& placed) {
    return placed.index == entry.index;
  });
  if (entry.type != EntryType::kConfiguration) {
    const bool replaced = at != known.end() && entry.index > raft.commit();
    return replaced ? breach(raft, "keeps a truncated configuration") : std::nullopt;
  }
  if (entry.index <= known.front().index) return std::nullopt;
  const Result<Configuration> held = decode_configuration(entry.data.view());
  if (!held.ok()) return breach(raft, "holds a configuration that cannot be read");
  if (at == known.end() || at->configuration != *held) {
    return breach(raft, "does not use the configuration at ", num(entry.index));
  }
  return std::nullopt;
}

/// Dissertation 4.3: from one configuration to the next any two quorums have a server in common,
/// and no log holds a second one that is not committed.
Breach ClusterInvariants::configurations(const Raft& raft) const {
  const std::vector<PlacedConfiguration>& known = raft.configurations().all();
  for (size_t i = 1; i < known.size(); ++i) {
    if (!may_follow(known[i - 1].configuration, known[i].configuration)) {
      return breach(raft, "goes to a configuration without common quorums at ",
                    num(known[i].index));
    }
    // What a leader has just committed is judged below.
    if (known[i - 1].index > std::max(committed(), raft.commit())) {
      return breach(raft, "holds a second uncommitted configuration at ", num(known[i].index));
    }
  }
  return std::nullopt;
}

/// A log begins after an entry that was committed, whether it was compacted to there or begun anew
/// behind a snapshot. Leaders are asked for committed entries from there on, this one included.
Breach ClusterInvariants::compaction(const Raft& raft, Node& node) const {
  const LogIndex compacted = raft.log().first().prev();
  if (compacted == node.compacted) return std::nullopt;
  node.compacted = compacted;
  if (compacted > committed()) return breach(raft, "begins behind uncommitted ", num(compacted));
  if (committed_[compacted.value - 1].term != raft.log().term(compacted)) {
    return breach(raft, "begins behind another entry ", num(compacted));
  }
  return std::nullopt;
}

/// Figure 3.2, leader completeness: "if a log entry is committed in a given term, then that entry
/// will be present in the logs of the leaders for all higher-numbered terms".
Breach ClusterInvariants::leader_completeness(const Raft& raft, Node& node) const {
  if (!raft.is_leader() || node.led == raft.term()) return std::nullopt;
  node.led = raft.term();
  for (LogIndex i = raft.log().first(); i <= committed(); ++i) {
    // Who wins an earlier term late, by votes that were long under way, need not have it.
    const Committed& entry = committed_[i.value - 1];
    if (entry.in < raft.term() && !raft.log().matches(i, entry.term)) {
      return breach(raft, "leads without committed entry ", num(i));
    }
  }
  return std::nullopt;
}

/// Figure 3.2, state machine safety: no two servers commit different entries at one index; and what
/// is committed first is durable on a quorum.
Breach ClusterInvariants::state_machine_safety(const Raft& raft, Node& node) {
  if (raft.commit() <= node.commit) return std::nullopt;
  const LogView& log = raft.log();
  for (LogIndex i = std::max(node.commit.next(), log.first()); i <= raft.commit(); ++i) {
    if (i > committed()) {
      committed_.resize(i.value - 1);
      committed_.push_back({log.term(i), raft.term()});
      const auto durable_of = [this](NodeId voter) { return nodes_[voter].durable; };
      if (stored(raft, i, durable_of) < i) {
        return breach(raft, "committed ", num(i), " without a durable quorum");
      }
    } else if (committed_[i.value - 1].term != log.term(i)) {
      return breach(raft, "committed another entry at ", num(i));
    }
  }
  node.commit = raft.commit();
  return std::nullopt;
}

}  // namespace holdfast::raft
