// Does to a running world what a plan's faults say, within the limits under which the promises are
// made (TESTING, faults with limits): disks that break their word stay a minority, and a disk that
// was set back is given time to catch up while nothing else fails.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "tests/simulation/net.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/sim_client.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

class Operator;

class Faults {
 public:
  Faults(World& world, Net& net, std::vector<SimNode*>& nodes, std::vector<SimClient*>& clients);

  ~Faults();
  /// Before anybody has taken entry 1: what counts from there on is set.
  void arm(const std::vector<Fault>& faults);
  const Operator& plan_of_members() const { return *operator_; }
  /// Sets all faults of the plan to their times.
  void schedule(const std::vector<Fault>& faults);
  /// No fault begins from now on, and what can be mended is.
  void end();
  /// After every turn of a node.
  void turned(SimNode& node);
  /// The nodes beside those of `mask`.
  Pairs both_ways(int64_t mask) const;
  Pairs outwards(int64_t mask) const;

 private:
  using Doer = void (Faults::*)(const Fault&);
  static Doer doer_of(FaultKind kind);
  void begin(const Fault& fault);
  /// `undo` runs after the fault's time, or at the end, once.
  void until(const Fault& fault, std::function<void()> undo);
  SimNode& node(const Fault& fault);
  SimClient& client(const Fault& fault);
  Pairs pairs_of(const Fault& fault) const;
  Pairs ring() const;
  Pairs bridge() const;
  Pairs chain() const;
  /// May this node's disk break its word?
  bool may_spoil(const SimNode& node);

  void kill(const Fault& fault);
  void power_all(const Fault& fault);
  void kill_power(const Fault& fault);
  void crash_at_disk(const Fault& fault);
  void io_error(const Fault& fault);
  void disk_full(const Fault& fault);
  void slow_disk(const Fault& fault);
  void flip_bit(const Fault& fault);
  void lying_write(const Fault& fault);
  void wipe(const Fault& fault);
  void old_image(const Fault& fault);
  bool all_others_whole(const SimNode& victim) const;
  void pause(const Fault& fault);
  void wall_jump(const Fault& fault);
  void step_down(const Fault& fault);
  void transfer(const Fault& fault);
  void unequal(const Fault& fault);
  void hold_apply(const Fault& fault);
  void flip_snapshot(const Fault& fault);
  void alter_state(const Fault& fault);
  void hold_snapshot(const Fault& fault);
  void members(const Fault& fault);
  void upgrade(const Fault& fault);
  void raise(const Fault& fault);
  void unmount(const Fault& fault);
  void operate(const Fault& fault);
  void die_at_disk(const Fault& fault);
  void small_disk(const Fault& fault);
  void lose_current(const Fault& fault);
  void remove_snapshot(const Fault& fault);
  void cut(const Fault& fault);
  void flap(const Fault& fault);
  void clog(const Fault& fault);
  void swizzle(const Fault& fault);
  void reset(const Fault& fault);
  void lie(const Fault& fault);
  void old_messages(const Fault& fault);
  void client_cut(const Fault& fault);
  void client_pause(const Fault& fault);
  void client_deaf(const Fault& fault);
  void client_dies(const Fault& fault);

  World& world_;
  Net& net_;
  std::vector<SimNode*>& nodes_;
  std::vector<SimClient*>& clients_;
  bool over_ = false;
  uint64_t next_undo_ = 0;
  std::map<uint64_t, std::function<void()>> undo_;
  std::set<int> spoiled_;
  std::unique_ptr<Operator> operator_;
  struct Position {
    LogIndex index;
    Term term;
  };
  std::map<int, Position> must_reach_;  ///< nodes on an old image
};

}  // namespace holdfast::sim
