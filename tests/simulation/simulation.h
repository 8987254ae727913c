// One run: servers, clients and faults of a plan, every invariant after every step, and in the end
// a healed quorum in which all must come right (liveness.cc).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/invariants.h"
#include "tests/simulation/dead_sessions.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/history.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/net.h"
#include "tests/simulation/recorder.h"
#include "tests/simulation/reigns.h"
#include "tests/simulation/sim_client.h"
#include "tests/simulation/sim_node.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

struct RunResult {
  std::optional<Rule> rule;  ///< that is broken
  std::string what;          ///< and how, beginning with its name
  uint64_t events = 0;
  uint64_t trace = 0;
  uint64_t grants = 0;
  uint64_t answers = 0;
  uint64_t entries = 0;
  uint64_t busiest_second = 0;
  Duration simulated{0};
  std::vector<uint64_t> disk_operations;  ///< of each node, until the world is healed
  MarkCounts marks;
  std::vector<Told> told;
};

/// How a run is looked at.
struct RunOptions {
  bool tell = false;
  bool verbose = false;
};

class Simulation final : NodeWatcher {
 public:
  /// Both outlive it.
  Simulation(const Plan& plan, Draws& draws, const RunOptions& options);
  ~Simulation();
  RunResult run();
  /// What the clients asked and were answered, if the plan wants it judged.
  const std::vector<history::Operation>& calls() const { return recorder_.calls(); }
  const History& history() const { return history_; }

 private:
  // NodeWatcher
  void turned(SimNode& node) override;
  void started(SimNode& node) override;
  void died(SimNode& node) override;
  void began_to_vote(SimNode& node) override;
  void voted(SimNode& node) override;
  void ended_voting(SimNode& node) override;
  bool differs(SimNode& node) override;
  void check_core(const raft::Raft& core);

  void begin();
  void run_until(Duration end);
  std::optional<raft::Entry> committed_entry(SimNode& node, LogIndex index);
  /// False if an entry that the node has committed cannot be had now.
  bool take_committed(SimNode& node);
  void check_bounds(SimNode& node);
  void note_reign(SimNode& node);
  void note_leadership(SimNode& node, bool alive);
  // members.cc
  void note_configuration(const raft::Entry& entry);
  void check_started_members(SimNode& node) const;
  void check_latest_of_log(SimNode& node) const;
  void check_members(SimNode& node);
  void check_levels(LogIndex index, const raft::Configuration& before,
                    const raft::Configuration& after);
  bool is_last_member(const SimNode& node) const;
  void mark_counters(SimNode& node);
  void mark_leaders(SimNode& node);
  std::optional<DeadSessions::Presence> presence_of(SessionId session) const;

  // liveness.cc
  void heal();
  void choose_core();
  void silence(SimNode& node);
  bool in_core(const SimNode& node) const;
  void await_leader();
  void await_members();
  void await_clients();
  void await_watches();
  Duration calm_bound() const;
  void judge_end();
  void judge_calls();
  std::string unfinished() const;
  std::string who_holds() const;
  std::string behind() const;
  std::string standings();
  void judge_lock(const rsm::StateMachine& machine, const std::string& path) const;

  const Plan& plan_;
  World world_;
  Net net_;
  Ledger ledger_;
  History history_;
  Recorder recorder_;
  DeadSessions dead_sessions_;
  Reigns reigns_;
  size_t expiries_ = 0;  ///< judged
  std::vector<std::unique_ptr<SimNode>> owned_nodes_;
  std::vector<SimNode*> nodes_;
  std::vector<std::unique_ptr<SimClient>> owned_clients_;
  std::vector<SimClient*> clients_;
  std::unique_ptr<Faults> faults_;
  raft::ClusterInvariants cluster_;
  std::map<NodeId, raft::NodeInvariants> cores_;
  std::map<NodeId, int> open_files_;
  std::map<NodeId, Term> serving_;     ///< who serves, in which term
  std::map<int, size_t> left_behind_;  ///< by client: sessions that dead_sessions_ knows of
  int64_t core_mask_ = 0;
  std::vector<uint64_t> disk_operations_;
  std::map<LogIndex, raft::Configuration> configurations_;  ///< committed, by index; 0: the first
  Term configuration_term_;                                 ///< of the last one's entry
};

}  // namespace holdfast::sim
