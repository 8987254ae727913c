#include "raft/node/node.h"

#include <utility>

namespace holdfast::raft {

Node::Node(const Config& config, InitialState initial, NodePorts ports, Application& application)
    : config_(config),
      ports_(ports),
      application_(application),
      core_(config, std::move(initial), ports.reader, ports.clock.now()) {}

void Node::receive(Message&& message) {
  if (!stopped_) core_.step(std::move(message), ports_.clock.now());
}

void Node::on_peer_event(NodeId peer, PeerEvent event) {
  if (stopped_) return;
  const Instant now = ports_.clock.now();
  switch (event) {
    case PeerEvent::kLost:
      core_.peer_unreachable(peer, Evidence::kDisconnected, now);
      break;
    case PeerEvent::kRefused:
      core_.peer_unreachable(peer, Evidence::kRefused, now);
      break;
    case PeerEvent::kNewIncarnation:
      core_.peer_unreachable(peer, Evidence::kNewIncarnation, now);
      break;
    case PeerEvent::kConnected:
    case PeerEvent::kRemoved:
    case PeerEvent::kMismatch:
      break;
  }
}

void Node::on_pause(Duration gap) {
  if (!stopped_ && gap >= config_.election_timeout_min) core_.step_down(ports_.clock.now());
}

ProposeResult Node::propose(std::span<const Proposal> proposals, bool exempt) {
  if (stopped_) return {};
  return core_.propose(proposals, exempt, ports_.clock.now());
}

ChangeResult Node::propose_change(const ConfigurationChange& change) {
  if (stopped_) return {};
  return core_.propose_change(change, ports_.clock.now());
}

void Node::read_index(uint64_t context) {
  if (!stopped_) core_.read_index(context, ports_.clock.now());
}

TransferResult Node::transfer_leadership(NodeId target) {
  if (stopped_) return TransferResult::kNotLeader;
  return core_.transfer_leadership(target, ports_.clock.now());
}

void Node::bar(NodeId successor) {
  if (!stopped_) core_.bar(successor, ports_.clock.now());
}

void Node::compact(LogIndex through) {
  if (!stopped_) core_.compact(through);
}

bool Node::pump() {
  if (stopped_) return false;
  const Instant now = ports_.clock.now();
  collect_writes(now);
  if (!stopped_) core_.tick(now);
  for (int round = 0; !stopped_ && core_.has_ready(); ++round) {
    if (round == kMaxRounds) return true;
    core_.take_ready(ready_);
    hand_out();
    // What is left of a backlog waits until sockets were looked at: a start may have to apply half
    // the state from its log, and meanwhile votes, acknowledges and answers. So does what a peer
    // that is far behind has still to be sent: those who are not would wait for it.
    if (ready_.backlog) return true;
    if (!ready_.committed.empty() && core_.applied_index() < core_.commit()) return true;
  }
  return false;
}

void Node::collect_writes(Instant now) {
  const auto news = ports_.writer.collect();
  if (!news) return;
  if (!news->ok()) return fail(news->error());
  core_.persisted(**news, now);
}

// The order is that of raft/core/ready.h: the write is on its way to the disk before the messages
// leave, and both run in parallel with apply.
void Node::hand_out() {
  if (ready_.violation) {
    return fail({ErrorCode::kInternal, ready_.violation->text()});
  }
  if (ready_.soft_state) application_.on_soft_state(*ready_.soft_state);
  if (ready_.configuration) application_.on_configuration(*ready_.configuration);
  if (ready_.write) ports_.writer.submit(std::move(ready_.write));
  for (const Message& message : ready_.messages) ports_.transport.send(message);
  apply_committed();
  if (stopped_) return;
  for (const ReadResult& read : ready_.reads) application_.on_read(read.context, read.index);
  for (const uint64_t context : ready_.failed_reads) application_.on_read_failed(context);
  if (ready_.snapshot_offer) application_.on_snapshot_offer(*ready_.snapshot_offer);
}

void Node::apply_committed() {
  for (const Entry& entry : ready_.committed) {
    const Status applied = application_.apply(entry);
    if (!applied.ok()) return fail(applied.error());
  }
  if (!ready_.committed.empty()) core_.applied(ready_.committed.back().index);
}

void Node::fail(const Error& error) {
  stopped_ = true;
  application_.on_fatal(error);
}

}  // namespace holdfast::raft
