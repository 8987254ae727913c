#include "coordinator/server/voter.h"

#include <utility>

#include "base/check.h"

namespace holdfast::server {

// Barred as one in quarantine: a leader that can serve nobody would keep the cluster from one that
// can.
Voter::Voter(const raft::Config& config, raft::InitialState initial, VoterPorts ports)
    : ports_(std::move(ports)),
      budget_(ports_.room),
      gate_(budget_, {.bytes = config.max_inflight_bytes},
            [this](raft::Message&& message) { node_.receive(std::move(message)); }),
      node_(config, std::move(initial), ports_.node, *this) {
  node_.hold_apply(true);
  node_.bar(NodeId());
  publish();
}

void Voter::receive(raft::Message&& message) {
  if (finished_) {
    late_.push_back(std::move(message));
  } else {
    gate_.receive(std::move(message));
  }
}

bool Voter::turn_end() {
  if (!finished_) gate_.turn();
  const bool more = node_.pump();
  budget_.handed_over();
  publish();
  return more;
}

// A change that is not committed may be undone: nobody hears from here that it was removed.
void Voter::publish() {
  Reach reach = reach_of(core());
  if (reach == told_) return;
  told_ = std::move(reach);
  ports_.reach(told_);
}

bool Voter::at_rest() const {
  const raft::LogView& log = core().log();
  return finished_ && core().hard_state_durable() && log.durable() == log.last();
}

raft::InitialState Voter::log_behind(LogIndex applied,
                                     const raft::PlacedConfiguration& membership) const {
  const raft::LogView& log = core().log();
  raft::InitialState initial;
  initial.hard_state = {core().term(), core().vote()};
  initial.configuration = membership.configuration;
  initial.configuration_index = membership.index;
  for (const raft::PlacedConfiguration& placed : core().configurations().all()) {
    if (placed.index > membership.index) initial.changes.push_back(placed);
  }
  initial.first_index = log.first();
  initial.last_index = log.last();
  initial.term_runs = log.term_runs();
  initial.applied = applied;
  return initial;
}

Status Voter::apply(const raft::Entry&) {
  HF_CHECK(false, "applied before the state is loaded");
  return ok_status();
}

}  // namespace holdfast::server
