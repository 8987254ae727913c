// The driver: turns what the core hands out into durable writes, sends and applies, in the order of
// its contract (raft/core/ready.h), and feeds it with what comes back. It has no thread and no
// socket of its own: the real server and the simulator both call it, one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "raft/core/raft.h"
#include "raft/storage/log_writer.h"
#include "raft/transport/transport.h"

namespace holdfast::raft {

/// What stands above the log. Called from Node::pump() only, never reentrantly.
class Application {
 public:
  /// Who counts from now on, committed or not: connect to its members before messages to them are
  /// handed out. It may be an earlier one again.
  virtual void on_configuration(const Configuration& configuration) = 0;
  /// A committed entry, of any type, each index once and in order. An error stops the node: the
  /// entry cannot be applied here (written at a feature level that this build does not know).
  virtual Status apply(const Entry& entry) = 0;
  /// Role, leader or term changed. Comes before the entries applied under the new state.
  virtual void on_soft_state(const SoftState& state) = 0;
  /// read_index(context) was confirmed: answer from the state at `index` or later.
  virtual void on_read(uint64_t context, LogIndex index) = 0;
  /// read_index(context) could not be confirmed.
  virtual void on_read_failed(uint64_t context) = 0;
  /// This node lacks what the leader's log no longer has: fetch a snapshot (raft/core/ready.h).
  /// Repeated, about every heartbeat, for as long as that is so.
  virtual void on_snapshot_offer(const SnapshotOffer& offer) = 0;
  /// The node must stop: its log could not be written, or a peer contradicted Raft. Called once;
  /// nothing is sent or applied afterwards.
  virtual void on_fatal(const Error& error) = 0;

 protected:
  ~Application() = default;
};

/// What one group needs of the world. All references outlive the node.
struct NodePorts {
  Clock& clock;
  LogReader& reader;
  LogWriter& writer;
  Transport& transport;
};

class Node {
 public:
  Node(const Config& config, InitialState initial, NodePorts ports, Application& application);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// A message from a peer whose identity the transport has checked.
  void receive(Message&& message);
  /// The transport's news of a peer; evidence of a dead leader starts a fast failover.
  void on_peer_event(NodeId peer, PeerEvent event);
  /// Boot time in which this process did not run. Beyond the shortest election timeout others may
  /// lead by now, so leadership is dropped before anything is answered (ARCHITECTURE, "Time").
  void on_pause(Duration gap);

  ProposeResult propose(std::span<const Proposal> proposals, bool exempt);
  ChangeResult propose_change(const ConfigurationChange& change);
  void read_index(uint64_t context);
  TransferResult transfer_leadership(NodeId target);
  /// This node does not lead from now on (Raft::bar).
  void bar(NodeId successor);
  /// A snapshot on disk covers the log to `through`, at most what is applied and durable here. Call
  /// it before the log store removes the entries.
  void compact(LogIndex through);

  /// While held, nothing is applied and all else goes on: for the simulator.
  void hold_apply(bool held) { core_.hold_apply(held); }

  /// Ends a turn: collects what the disk finished, lets time pass, and hands out everything the
  /// core has ready, but max_committed_bytes of what is to be applied at most. Returns true if it
  /// stopped at its bound and wants to be called again soon.
  bool pump();
  /// When pump() next has something to do of itself.
  Instant next_wakeup() const { return core_.next_wakeup(); }

  const Raft& core() const { return core_; }
  bool stopped() const { return stopped_; }

 private:
  /// Rounds of one pump(): what one turn may do before sockets are looked at again.
  static constexpr int kMaxRounds = 16;

  void collect_writes(Instant now);
  void hand_out();
  void apply_committed();
  void fail(const Error& error);

  const Config config_;
  NodePorts ports_;
  Application& application_;
  Raft core_;
  Ready ready_;
  bool stopped_ = false;
};

}  // namespace holdfast::raft
