// How a simulated server's directory becomes that of a cluster, and how a start finds it to be one:
// what coordinator/server does with the same calls.
#include <utility>

#include "coordinator/server/first_entry.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

void SimNode::form(const raft::Genesis& genesis) {
  genesis_ = genesis;
  formed_ = true;
  ++life_;
  const Status written = server::write_genesis(*log_, raft::encode_genesis(genesis_));
  if (died_at_disk(Mark::kCrashInForming)) return start_after(kRestart);
  if (!written.ok()) throw Broken(Rule::kStops, written.error().message);
  model_.adopt({Term(1), NodeId{}}, *log_);
  if (keep_genesis()) run_engine(std::nullopt);
}

bool SimNode::keep_genesis() {
  const Status kept =
      directory_->keep_genesis(kDefaultGroup, genesis_.cluster, raft::encode_genesis(genesis_));
  if (!kept.ok() && !disk_->crashed()) {
    start_failed(kept.error());
    return false;
  }
  if (!died_at_disk(Mark::kCrashInForming)) return true;
  start_after(kRestart);
  return false;
}

bool SimNode::find_genesis() {
  const bool has_snapshot = snapshots_ != nullptr && !snapshots_->empty();
  const auto found = server::find_genesis(*directory_, has_snapshot, *log_);
  if (!found.ok()) {
    start_failed(found.error());
    return false;
  }
  if (*found) {
    // It took the entry, and died before it could say so.
    if (!served_) model_.adopt(log_->recovered().hard_state, *log_);
    return true;
  }
  model_.found_nothing();
  log_line("has nothing of a cluster");
  formed_ = false;
  return false;
}

void SimNode::unmount(bool with_directories) {
  if (unmounted_ != nullptr || retired_) return;
  auto bare = disk_->clone(life_);
  bare->remove_below(std::string(kDataDirectory) + "/group-1", with_directories);
  unmounted_ = std::exchange(disk_, std::move(bare));
}

void SimNode::mount() {
  if (unmounted_ == nullptr) return;
  die(Death::kProcess);
  disk_ = std::exchange(unmounted_, nullptr);
  disk_->process_crash();
  if (disk_full_) return fill_disk(0);
  disk_->set_capacity(~uint64_t{0});
}

}  // namespace holdfast::sim
