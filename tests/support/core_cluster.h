// Several Raft cores in one process, with memory storage and a network that moves nothing by
// itself: every delivery, write and apply is an explicit call, so that a test tells a story. All
// invariants are checked after every input. Used by the tests of the core and by raftlab.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "raft/core/configuration.h"
#include "raft/core/invariants.h"
#include "raft/core/raft.h"

namespace holdfast::raft::testing {

/// A state machine's state: what it has applied, in order.
struct MemorySnapshot {
  Term term;                    ///< of the last entry; 0 if there is none
  Configuration configuration;  ///< in force at the last entry
  std::vector<Entry> applied;
  LogIndex index() const { return LogIndex(applied.size()); }
};

/// A disk of one node: what is synced of its log, and its snapshot.
class MemoryLog final : public LogReader {
 public:
  Outcome entries(LogIndex low, LogIndex high, size_t max_bytes, std::vector<Entry>& out) override {
    if (!available) return Outcome::kUnavailable;
    size_t bytes = 0;
    for (LogIndex i = low; i < high; ++i) {
      const Entry& entry = at(i);
      bytes += entry_bytes(entry);
      if (bytes > max_bytes && i > low) break;
      out.push_back(entry);
    }
    return Outcome::kOk;
  }

  /// Makes `write` durable.
  void sync(const Write& write) {
    if (write.hard_state) hard_state = *write.hard_state;
    if (write.entries.empty()) return;
    log.resize(write.entries.front().index - first);
    log.insert(log.end(), write.entries.begin(), write.entries.end());
  }

  LogIndex last() const { return first.prev() + log.size(); }
  /// Ends the program outside the log: nobody asks for compacted entries.
  const Entry& at(LogIndex index) const { return log.at(index - first); }
  Term term(LogIndex index) const { return index < first ? term_before : at(index).term; }

  /// Removes the entries to `through`, which the snapshot covers.
  void compact(LogIndex through) {
    if (through < first || through > snapshot.index()) return;
    term_before = term(through);
    log.erase(log.begin(), log.begin() + static_cast<ptrdiff_t>(through.next() - first));
    first = through.next();
  }

  /// Replaces the state. A log that does not have the snapshot's last entry is no continuation of
  /// it: it begins anew behind it.
  void install(const MemorySnapshot& from) {
    snapshot = from;
    if (hard_state.term < snapshot.term) hard_state = {snapshot.term, NodeId()};
    const LogIndex index = snapshot.index();
    if (index.next() >= first && index <= last() && term(index) == snapshot.term) return;
    log.clear();
    first = index.next();
    term_before = snapshot.term;
  }

  /// `configuration` is the group's first.
  InitialState recover(const Configuration& configuration) const {
    InitialState state;
    state.hard_state = hard_state;
    state.configuration = snapshot.index() ? snapshot.configuration : configuration;
    state.configuration_index = snapshot.index();
    for (const Entry& entry : log) {
      if (entry.type != EntryType::kConfiguration || entry.index <= snapshot.index()) continue;
      state.changes.push_back({entry.index, *decode_configuration(entry.data.view())});
    }
    state.first_index = first;
    state.last_index = last();
    state.applied = snapshot.index();
    if (first > LogIndex(1)) state.term_runs.push_back({first.prev(), term_before});
    for (const Entry& entry : log) {
      if (state.term_runs.empty() || state.term_runs.back().term != entry.term) {
        state.term_runs.push_back({entry.index, entry.term});
      }
    }
    return state;
  }

  HardState hard_state;
  LogIndex first{1};
  Term term_before;  ///< of the entry before `first`
  std::vector<Entry> log;
  MemorySnapshot snapshot;
  bool available = true;
};

/// One server: its disk survives crashes, everything else does not.
struct CoreNode {
  NodeId id;
  Config config;
  MemoryLog disk;
  std::unique_ptr<Raft> core;  ///< null while down
  Instant clock;               ///< this node's own; only differences matter
  NodeInvariants invariants;
  std::deque<Write> writes;    ///< handed out, not persisted
  std::deque<Entry> to_apply;  ///< handed out, not applied
  std::vector<Entry> applied;
  std::vector<ReadResult> reads;
  std::vector<uint64_t> failed_reads;
  std::vector<SnapshotOffer> offers;
  std::optional<Violation> violation;
  std::vector<SoftState> soft_states;
};

class CoreCluster {
 public:
  /// Called with the broken property; the default prints it and aborts.
  std::function<void(const std::string&)> on_breach = [](const std::string& text) {
    std::fprintf(stderr, "invariant broken: %s\n", text.c_str());
    std::abort();
  };
  /// Writes become durable, and committed entries are applied, as soon as they are handed out.
  bool auto_persist = true;
  bool auto_apply = true;
  /// Off for tests that play the peers of one core themselves, so that no cluster agrees on it.
  bool check_cluster = true;

  explicit CoreCluster(Configuration configuration, Config config = {}, uint64_t seed = 1)
      : configuration_(std::move(configuration)), template_(config), seed_(seed) {
    if (!configuration_.members.empty()) return;
    for (NodeId id : member_ids(configuration_)) configuration_.members.push_back(member(id));
  }

  /// A member with a store of its own.
  static Member member(NodeId id) {
    const std::string name = "node" + std::to_string(id.value);
    return {id, StoreId(1000 + id.value), name + ":1", name + ":2", 1};
  }

  /// A cluster of voters 1 to n, all up.
  static CoreCluster of(int n, Config config = {}, uint64_t seed = 1) {
    Configuration c;
    for (int i = 1; i <= n; ++i) c.voters.push_back(NodeId(i));
    CoreCluster cluster(std::move(c), config, seed);
    for (int i = 1; i <= n; ++i) cluster.start(i);
    return cluster;
  }

  std::vector<Message>& network() { return network_; }
  const Configuration& configuration() const { return configuration_; }
  CoreNode& node(int id) { return *nodes_.at(id); }
  Raft& core(int id) {
    if (!is_up(id)) std::abort();
    return *node(id).core;
  }
  bool is_up(int id) { return nodes_.count(id) != 0 && nodes_.at(id)->core != nullptr; }
  std::vector<int> ids() const {
    std::vector<int> all;
    for (const auto& [id, node] : nodes_) all.push_back(id);
    return all;
  }

  /// Brings a node to life from its disk, empty the first time.
  void start(int id) {
    std::unique_ptr<CoreNode>& slot = nodes_[id];
    if (slot == nullptr) {
      slot = std::make_unique<CoreNode>();
      slot->clock = now_;
    }
    CoreNode& n = *slot;
    n.id = NodeId(id);
    n.config = template_;
    n.config.id = n.id;
    n.config.seed = (++seed_) * 0xD1342543DE82EF95U;
    n.invariants = NodeInvariants();
    n.applied = n.disk.snapshot.applied;
    n.core = std::make_unique<Raft>(n.config, n.disk.recover(configuration_), n.disk, n.clock);
    pump(id);
  }

  /// What was not persisted is lost, and so is the state machine.
  void crash(int id) {
    CoreNode& n = node(id);
    n.core.reset();
    n.writes.clear();
    n.to_apply.clear();
    n.applied.clear();
    cluster_invariants_.crashed(n.id);
  }

  // What a driver does with snapshots.

  /// Puts the state at `index`, which is applied and durable, on the node's disk.
  void snapshot(int id, LogIndex index) {
    CoreNode& n = node(id);
    const auto end = n.applied.begin() + static_cast<ptrdiff_t>(index.value);
    n.disk.snapshot = {end == n.applied.begin() ? Term() : std::prev(end)->term,
                       core(id).configuration_at(index),
                       std::vector<Entry>(n.applied.begin(), end)};
  }
  /// Removes the log to `index`, which the snapshot covers and which is durable.
  void compact(int id, LogIndex index) {
    core(id).compact(index);
    node(id).disk.compact(index);
    pump(id);
  }
  /// Snapshot and compaction at once, as far as both may go.
  void shorten(int id) {
    const LogIndex through = std::min(core(id).applied_index(), core(id).log().durable());
    snapshot(id, through);
    compact(id, through);
  }
  /// Node `id` fetches the snapshot of `from` and starts anew from it, unless it has as much.
  bool install(int id, int from) {
    const MemorySnapshot fetched = node(from).disk.snapshot;
    if (!is_up(id) || fetched.index() <= core(id).commit()) return false;
    persist(id);
    crash(id);
    node(id).disk.install(fetched);
    start(id);
    return true;
  }

  // Inputs. Each is followed by taking all output.

  /// Lets time pass for one node only.
  void tick_alone(int id, Duration time) {
    node(id).clock += time;
    tick(id);
  }
  void tick(int id) {
    if (!is_up(id)) return;
    core(id).tick(node(id).clock);
    pump(id);
    // A driver sleeps until then: it would spin.
    if (core(id).next_wakeup() <= node(id).clock) on_breach("would wake at once, for nothing");
  }
  bool campaign(int id) {
    const bool stands = core(id).campaign(node(id).clock);
    pump(id);
    return stands;
  }
  ProposeResult propose(int id, const std::string& data, bool exempt = false) {
    const Proposal proposal{EntryType::kCommand, Blob(std::string_view{data})};
    return propose_all(id, {proposal}, exempt);
  }
  ProposeResult propose_all(int id, const std::vector<Proposal>& proposals, bool exempt = false) {
    const ProposeResult result = core(id).propose(proposals, exempt, node(id).clock);
    pump(id);
    return result;
  }
  ChangeResult change(int id, const ConfigurationChange& change) {
    const ChangeResult result = core(id).propose_change(change, node(id).clock);
    pump(id);
    return result;
  }
  void read(int id, uint64_t context) {
    core(id).read_index(context, node(id).clock);
    pump(id);
  }
  TransferResult transfer(int id, int target) {
    const TransferResult result = core(id).transfer_leadership(NodeId(target), node(id).clock);
    pump(id);
    return result;
  }
  void bar(int id, int successor = 0) {
    core(id).bar(NodeId(static_cast<uint64_t>(successor)), node(id).clock);
    pump(id);
  }

  void step_down(int id) {
    core(id).step_down(node(id).clock);
    pump(id);
  }
  void unreachable(int id, int peer, Evidence evidence) {
    core(id).peer_unreachable(NodeId(peer), evidence, node(id).clock);
    pump(id);
  }
  void step(int id, Message m) {
    core(id).step(std::move(m), node(id).clock);
    pump(id);
  }
  /// The k oldest outstanding writes become durable, one at a time.
  void persist(int id, size_t k = SIZE_MAX) {
    CoreNode& n = node(id);
    for (; k > 0 && n.core != nullptr && !n.writes.empty(); --k) {
      const Write write = std::move(n.writes.front());
      n.writes.pop_front();
      n.disk.sync(write);
      n.core->persisted(write.number, n.clock);
      pump(id);
    }
  }
  void apply(int id, size_t k = SIZE_MAX) {
    CoreNode& n = node(id);
    for (; k > 0 && !n.to_apply.empty(); --k) {
      n.applied.push_back(std::move(n.to_apply.front()));
      n.to_apply.pop_front();
      n.core->applied(n.applied.back().index);
    }
    check(id);
  }

  /// Takes everything that the core has to hand out.
  void pump(int id) {
    check(id);
    CoreNode& n = node(id);
    Ready ready;
    while (n.core != nullptr && n.core->has_ready()) {
      n.core->take_ready(ready);
      absorb(n, ready);
      check(id);
    }
    if (auto_apply) apply(id);
    if (auto_persist && !n.writes.empty()) persist(id);
  }

  // The network.

  using Filter = std::function<bool(const Message&)>;
  static Filter link(int from, int to) {
    return [=](const Message& m) { return m.from == NodeId(from) && m.to == NodeId(to); };
  }
  static Filter link(int from, int to, MessageType type) {
    return [=](const Message& m) { return link(from, to)(m) && m.type == type; };
  }
  /// Delivers the first k messages in flight that match; says how many there were.
  size_t deliver(const Filter& wanted, size_t k = SIZE_MAX) {
    size_t count = 0;
    for (Message& m : take(wanted, k)) {
      ++count;
      const int to = static_cast<int>(m.to.value);
      if (is_up(to)) step(to, std::move(m));
    }
    return count;
  }
  size_t deliver(int from, int to, size_t k = SIZE_MAX) { return deliver(link(from, to), k); }
  /// Removes matching messages and returns them.
  std::vector<Message> take(const Filter& wanted, size_t k = SIZE_MAX) {
    std::vector<Message> taken;
    std::vector<Message> kept;
    for (Message& m : network_) {
      const bool matches = taken.size() < k && wanted(m);
      (matches ? taken : kept).push_back(std::move(m));
    }
    network_ = std::move(kept);
    return taken;
  }
  size_t drop(const Filter& wanted, size_t k = SIZE_MAX) { return take(wanted, k).size(); }
  size_t in_flight(const Filter& wanted) const {
    return static_cast<size_t>(std::count_if(network_.begin(), network_.end(), wanted));
  }
  /// Messages between two nodes are lost from now on, both ways or one.
  void cut_one_way(int from, int to) { cuts_.insert({from, to}); }
  void cut(int a, int b) {
    cut_one_way(a, b);
    cut_one_way(b, a);
  }
  void isolate(int id) {
    for (int other : ids()) {
      if (other != id) cut(id, other);
    }
  }
  void heal() { cuts_.clear(); }

  /// Delivers until nothing is in flight; messages over cut links vanish.
  void settle() {
    for (int round = 0; !network_.empty(); ++round) {
      if (round > 1000) on_breach("messages never settle");
      deliver([](const Message&) { return true; });
    }
  }
  /// Lets time pass in steps, ticking all nodes and settling the network at each.
  void advance(Duration time, Duration step_size = 10ms) {
    for (const Instant end = now_ + time; now_ < end;) {
      pass(step_size);
      for (int id : ids()) tick(id);
      settle();
    }
  }
  /// Moves the clock without telling anybody.
  void pass(Duration time) {
    now_ += time;
    for (auto& [id, node] : nodes_) node->clock += time;
  }

  /// Who leads in the highest term; 0 if nobody.
  int leader() {
    int found = 0;
    for (int id : ids()) {
      const bool leads = is_up(id) && core(id).is_leader();
      if (leads && (found == 0 || core(id).term() > core(found).term())) found = id;
    }
    return found;
  }
  /// Elects `id` at once and settles.
  void elect(int id) {
    campaign(id);
    settle();
  }
  /// Data of the commands applied by a node.
  std::vector<std::string> commands(int id) {
    std::vector<std::string> data;
    for (const Entry& entry : node(id).applied) {
      if (entry.type == EntryType::kCommand) data.emplace_back(entry.data.view());
    }
    return data;
  }
  ClusterInvariants& cluster_invariants() { return cluster_invariants_; }

 private:
  void absorb(CoreNode& n, Ready& ready) {
    if (ready.violation) n.violation = ready.violation;
    if (ready.soft_state) n.soft_states.push_back(*ready.soft_state);
    if (ready.write) n.writes.push_back(ready.write);
    for (Message& m : ready.messages) {
      const std::pair<int, int> at(m.from.value, m.to.value);
      if (cuts_.count(at) == 0) network_.push_back(std::move(m));
    }
    n.to_apply.insert(n.to_apply.end(), ready.committed.begin(), ready.committed.end());
    n.reads.insert(n.reads.end(), ready.reads.begin(), ready.reads.end());
    n.failed_reads.insert(n.failed_reads.end(), ready.failed_reads.begin(),
                          ready.failed_reads.end());
    if (ready.snapshot_offer) n.offers.push_back(*ready.snapshot_offer);
  }

  void check(int id) {
    CoreNode& n = node(id);
    if (n.core == nullptr) return;
    if (Breach b = n.invariants.check(*n.core)) on_breach(*b);
    if (!check_cluster) return;
    if (Breach b = cluster_invariants_.observe(*n.core)) on_breach(*b);
  }

  Configuration configuration_;
  Config template_;
  uint64_t seed_;
  Instant now_{1s};
  std::map<int, std::unique_ptr<CoreNode>> nodes_;
  std::vector<Message> network_;
  std::set<std::pair<int, int>> cuts_;
  ClusterInvariants cluster_invariants_;
};

}  // namespace holdfast::raft::testing
