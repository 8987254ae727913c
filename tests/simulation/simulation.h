// One run: servers, clients and faults of a seed, every invariant after every step, and in the end
// a healed world in which all must come right.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/core/invariants.h"
#include "tests/simulation/sim_client.h"
#include "tests/simulation/sim_node.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

struct RunResult {
  std::string broken;  ///< empty: all held
  uint64_t events = 0;
  uint64_t trace = 0;
  uint64_t grants = 0;
  uint64_t acknowledged = 0;
  Duration simulated{0};
  std::map<std::string, uint64_t> sometimes;
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool verbose);
  ~Simulation();
  RunResult run(Duration length);

 private:
  void begin();
  void faults();
  void fault();
  void revoke();
  void watch(SimNode& node);
  void check_state(SimNode& node);
  void run_until(Duration end);
  void heal();
  void judge_end();
  int down() const;

  World world_;
  const uint64_t seed_;
  raft::Genesis genesis_;
  Ledger ledger_;
  std::vector<std::unique_ptr<SimNode>> owned_;
  std::vector<SimNode*> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  raft::ClusterInvariants cluster_;
  std::map<NodeId, std::pair<uint64_t, raft::NodeInvariants>> each_;
  std::map<uint64_t, Digest> digests_;  ///< state after each index that was seen
  bool storm_ = true;
};

}  // namespace holdfast::sim
