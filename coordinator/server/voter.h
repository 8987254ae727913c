// A server whose state is being loaded (ARCHITECTURE, "Durability": Start). Others may need its
// vote and its disk to go on: so it votes, stores what a leader sends and acknowledges it, as the
// log is all that takes. It applies nothing, does not stand for election and answers no client. One
// thread.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "coordinator/server/append_gate.h"
#include "coordinator/server/log_budget.h"
#include "coordinator/server/member_changes.h"
#include "raft/node/node.h"

namespace holdfast::server {

struct VoterPorts {
  raft::NodePorts node;
  LogBudget::Limits room;                   ///< of the log (PROMISE 12)
  std::function<void(const Reach&)> reach;  ///< as the engine's (MemberPorts)
  std::function<void(const Error&)> fatal;
};

class Voter final : raft::Application {
 public:
  /// `initial` as of the engine's core, by what the snapshot says of itself.
  Voter(const raft::Config& config, raft::InitialState initial, VoterPorts ports);

  void receive(raft::Message&& message);
  void on_peer_event(NodeId peer, raft::PeerEvent event) { node_.on_peer_event(peer, event); }
  void on_pause(Duration gap) { node_.on_pause(gap); }
  /// Ends a turn; true: it wants to be called again soon.
  bool turn_end();
  Instant next_wakeup() const { return node_.next_wakeup(); }

  /// The state is loaded: what comes from now on is the engine's.
  void finish() { finished_ = true; }
  /// All that it has voted, taken and acknowledged, and that the engine's core goes on with, is on
  /// the disk. After finish() it comes to that; no write is under way then.
  bool at_rest() const;
  /// What a core starts with that goes on with this log behind a state. At rest only.
  raft::InitialState log_behind(LogIndex applied,
                                const raft::PlacedConfiguration& membership) const;
  /// What came after finish(), in order.
  std::vector<raft::Message> take_late() { return std::exchange(late_, {}); }

  const raft::Raft& core() const { return node_.core(); }

 private:
  // raft::Application
  void on_configuration(const raft::Configuration&) override {}  // publish() looks at the log
  Status apply(const raft::Entry& entry) override;
  void on_soft_state(const raft::SoftState&) override {}
  void on_read(uint64_t, LogIndex) override {}
  void on_read_failed(uint64_t) override {}
  /// It comes again and again, so the engine hears of it too.
  void on_snapshot_offer(const raft::SnapshotOffer&) override {}
  void on_fatal(const Error& error) override { ports_.fatal(error); }

  void publish();

  const VoterPorts ports_;
  LogBudget budget_;
  AppendGate gate_;
  raft::Node node_;
  bool finished_ = false;
  Reach told_;
  std::vector<raft::Message> late_;
};

}  // namespace holdfast::server
