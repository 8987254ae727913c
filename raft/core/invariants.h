// The safety properties of Raft as code: paper figure 3.2, and what must hold of every state and
// every step of one core. Run after every input in tests and simulation. Pure; costs no more than
// what changed since the last look (plus the log's few term runs).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/core/raft.h"

namespace holdfast::raft {

/// A broken property in one sentence, or nothing.
using Breach = std::optional<std::string>;

/// Watches one incarnation of one core. Build a new one after a restart.
class NodeInvariants {
 public:
  /// Call after every input and every take_ready().
  Breach check(const Raft& raft);

 private:
  struct Seen {
    Term term;
    NodeId vote;
    Role role = Role::kFollower;
    LogIndex commit;
    LogIndex handed_out;
    LogIndex applied;
    LogIndex first;
    LogIndex last;
    std::map<NodeId, LogIndex> matches;
  };
  static Breach check_state(const Raft& raft);
  Breach check_step(const Raft& raft) const;
  void remember(const Raft& raft);

  std::optional<Seen> seen_;
};

/// Watches all cores of a group over a whole run, restarts included.
class ClusterInvariants {
 public:
  /// Call after every input and every take_ready() of `raft`.
  Breach observe(const Raft& raft);
  /// The node was stopped; its next incarnation is a new core.
  void crashed(NodeId node);
  /// Entries that some node knew to be committed, from index 1 on.
  LogIndex committed() const { return LogIndex(committed_.size()); }

 private:
  struct Fingerprint {
    uint64_t content = 0;
    Term previous_term;
    friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
  };
  struct Node {
    LogIndex durable;    ///< kept over a crash
    LogIndex compacted;  ///< what lies before its log was checked to here
    LogIndex checked;    ///< log matching was checked to here
    uint64_t truncations = 0;
    LogIndex commit;
    Term led;  ///< last term in which it was seen to lead
  };
  Breach election_safety(const Raft& raft);
  Breach log_matching(const Raft& raft, Node& node);
  Breach compaction(const Raft& raft, Node& node) const;
  Breach configurations(const Raft& raft) const;
  static Breach in_force(const Raft& raft, const Entry& entry);
  Breach state_machine_safety(const Raft& raft, Node& node);
  Breach leader_completeness(const Raft& raft, Node& node) const;
  Breach votes(const Raft& raft);

  std::map<Term, NodeId> leaders_;
  std::map<std::pair<NodeId, Term>, NodeId> durable_votes_;
  std::map<std::pair<LogIndex, Term>, Fingerprint> entries_;
  struct Committed {
    Term term;  ///< of the entry; content follows from log matching
    Term in;    ///< in which it was committed, or a later one
  };
  std::vector<Committed> committed_;
  std::map<NodeId, Node> nodes_;
};

}  // namespace holdfast::raft
