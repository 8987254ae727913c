// Those who change the members. Some ask once, of any server, and take what they are answered
// (FaultKind::kMembers). One has a list of changes, and asks for each again and again, of one
// server after the other, until it is made (kOperate): what docs/operations.md tells people to do.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gen/cpp/admin_types.h"
#include "raft/core/configuration.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

/// What Fault::amount asks for.
enum class Wish : uint8_t {
  kAdd,
  kAddLearner,
  kAddVoter,
  kPromote,
  kPromoteByForce,
  kRemove,
  kRemoveByForce,
  kReplace,
  kRemoveLeader,  ///< whoever leads when that is first asked for; from here on of kOperate only
  kLose,          ///< no change: the machine is gone for good
  kCount
};

api::ChangeMembersRequest request_of(Wish wish, const SimNode& whom, const SimNode& in_place);

/// Asks a server that is up. What was answered is made: it goes by a committed configuration that
/// has it, or Broken (I8) is thrown before `then` is told.
void ask_members(SimNode& asked, const api::ChangeMembersRequest& request, const AnswerTaker& then);

class Operator {
 public:
  /// `lose`: takes a machine away. All outlive it.
  Operator(World& world, std::vector<SimNode*>& nodes, std::function<void(const Fault&)> lose);
  /// A further step, behind all others.
  void want(const Fault& step);
  /// What is not so yet, if `committed` is the latest configuration; empty: all is made.
  std::string unfinished(const raft::Configuration& committed) const;

 private:
  SimNode& node(int64_t number) { return *nodes_[static_cast<size_t>(number) % nodes_.size()]; }
  void next_step();
  void again(Duration wait);
  void begin(Wish wish, const SimNode& whom, const SimNode& in_place);
  void ask();
  SimNode* choose();
  SimNode* leader();

  World& world_;
  std::vector<SimNode*>& nodes_;
  const std::function<void(const Fault&)> lose_;
  std::deque<Fault> steps_;
  std::optional<api::ChangeMembersRequest> request_;  ///< of the first step
  std::string answered_;                              ///< last, if that was a refusal
  size_t next_asked_ = 0;
  uint64_t question_ = 0;
  std::optional<std::set<NodeId>>
      voters_;  ///< that there are to be; none: members are as they were
  std::set<NodeId> learners_;
};

}  // namespace holdfast::sim
