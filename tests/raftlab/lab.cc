#include "tests/raftlab/lab.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "raft/core/configuration.h"
#include "raft/core/quorum.h"
#include "tests/raftlab/report.h"

namespace holdfast::raftlab {

using raft::ChangeOutcome;
using raft::Config;
using raft::Configuration;
using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::ProposeResult;
using raft::TransferResult;
using raft::testing::CoreCluster;
using raft::testing::CoreNode;

namespace {

constexpr uint64_t kIndexMax = uint64_t{1} << 53;
constexpr uint64_t kInflightOptionMax = 1'000'000;
constexpr uint64_t kBytesOptionMax = uint64_t{1} << 40;

std::string named(NodeId id) { return "node " + std::to_string(id.value); }

std::vector<NodeId> node_ids(Command& c) {
  std::vector<NodeId> ids;
  for (uint64_t id : c.numbers("node", 1, kNodeIdMax)) ids.emplace_back(id);
  return ids;
}

std::string refusal(int id, const raft::ChangeResult& result) {
  const std::string member = named(result.member);
  switch (result.outcome) {
    case ChangeOutcome::kAccepted:
      break;
    case ChangeOutcome::kNotLeader:
      return "node " + std::to_string(id) + " does not lead, it follows " +
             (result.leader ? named(result.leader) : "nobody");
    case ChangeOutcome::kTransferring:
      return "leadership is being transferred";
    case ChangeOutcome::kUnderWay:
      return "another change is under way";
    case ChangeOutcome::kOwnTermPending:
      return "no entry of this leader's term is committed yet";
    case ChangeOutcome::kNothing:
      return "nothing would change";
    case ChangeOutcome::kUnknownMember:
      return member + " is not a member in that role";
    case ChangeOutcome::kDuplicateMember:
      return member + " is a member already, or named twice";
    case ChangeOutcome::kStoreInUse:
      return member + " has the store of another member";
    case ChangeOutcome::kMalformedMember:
      return member + " is described in a way that no configuration can hold";
    case ChangeOutcome::kNoVoter:
      return "there would be no voter";
    case ChangeOutcome::kTooManyMembers:
      return "there would be more than " + std::to_string(raft::kMaxMembers) + " members";
    case ChangeOutcome::kNotCaughtUp:
      return member + " is not caught up; 'force' promotes it all the same";
    case ChangeOutcome::kWouldLoseQuorum:
      return "no quorum of the new voters has been heard of lately; 'force' does it all the same";
    case ChangeOutcome::kRemovedMember:
      return member + " was removed, and neither its id nor its store is used again";
    case ChangeOutcome::kTooManyRemoved:
      return "more than " + std::to_string(raft::kMaxRemoved) + " members would have been removed";
    case ChangeOutcome::kBelowLevel:
      return member + " has a lower feature level than it must";
    case ChangeOutcome::kNoRaise:
      return "the feature level would not rise";
  }
  return "accepted";
}

/// A running digest: equal for the same commands in the same order.
uint64_t add_to_digest(uint64_t digest, const Entry& command) {
  return checksum64(command.data.view(), digest);
}

}  // namespace

const std::map<std::string_view, Lab::Verb>& Lab::verbs() {
  static const std::map<std::string_view, Verb> table = {
      {"nodes", {&Lab::nodes, false, false}},     {"tick", {&Lab::tick, true, true}},
      {"campaign", {&Lab::campaign, true, true}}, {"propose", {&Lab::propose, true, true}},
      {"read", {&Lab::read, true, true}},         {"transfer", {&Lab::transfer, true, true}},
      {"conf", {&Lab::conf, true, true}},         {"deliver", {&Lab::deliver, true, false}},
      {"drop", {&Lab::drop, true, false}},        {"dup", {&Lab::dup, true, false}},
      {"hold", {&Lab::hold, true, false}},        {"persist", {&Lab::persist, true, true}},
      {"apply", {&Lab::apply, true, false}},      {"snapshot", {&Lab::snapshot, true, false}},
      {"compact", {&Lab::compact, true, true}},   {"crash", {&Lab::crash, true, false}},
      {"restart", {&Lab::restart, true, false}},  {"status", {&Lab::status, true, false}},
  };
  return table;
}

std::string Lab::run(std::string_view line) {
  out_.clear();
  Command command(line);
  const bool blank = command.verb().empty() || command.verb().front() == '#';
  if (blank || broken_) return out_;
  if (line.size() > kLineBytesMax) {
    command.fail("the line is longer than " + std::to_string(kLineBytesMax) + " bytes");
  } else {
    dispatch(command);
  }
  if (!command.fault().empty()) {
    out_ += "error " + printable(command.verb()) + ": " + command.fault() + "\n";
  }
  report_violation();
  return std::move(out_);
}

void Lab::dispatch(Command& c) {
  const auto at = verbs().find(c.verb());
  if (at == verbs().end()) {
    out_ += "error unknown " + printable(c.verb()) + "\n";
    return;
  }
  const Verb& verb = at->second;
  if (verb.needs_nodes && !cluster_) {
    c.fail("there are no nodes yet");
  } else if (!verb.sends || !crowded(c)) {
    (this->*verb.handler)(c);
  }
}

/// Hostile scripts may not fill the memory with messages that nobody takes.
bool Lab::crowded(Command& c, size_t more) {
  const size_t count = cluster_->network().size();
  if (count + more < kInFlightMax) return false;
  c.fail(std::to_string(count) + " messages are in flight, the limit is " +
         std::to_string(kInFlightMax));
  return true;
}

void Lab::report_violation() {
  if (!cluster_) return;
  for (int id : cluster_->ids()) {
    const CoreNode& n = cluster_->node(id);
    if (n.violation && !breach_) breach_ = named(n.id) + " stops: " + n.violation->text();
  }
  if (!breach_) return;
  out_ += "violation " + *breach_ + "\n";
  broken_ = true;
}

// Arguments.

int Lab::node(Command& c) {
  const int id = static_cast<int>(c.number("node", 1, kNodeIdMax));
  const std::vector<int> known = cluster_->ids();
  if (std::find(known.begin(), known.end(), id) == known.end() && added_.count(id) == 0) {
    c.fail("there is no node " + std::to_string(id));
  }
  return id;
}

int Lab::live_node(Command& c) {
  const int id = node(c);
  if (c.fault().empty() && !cluster_->is_up(id)) c.fail("node " + std::to_string(id) + " is down");
  return id;
}

Lab::Selection Lab::selection(Command& c, bool counted) {
  const int from = node(c);
  const int to = node(c);
  Selection s{CoreCluster::link(from, to), CoreCluster::link(from, to)};
  const bool typed = c.more() && (!counted || (c.peek()[0] >= 'a' && c.peek()[0] <= 'z'));
  if (typed) {
    const std::string_view name = c.word("type");
    const std::optional<raft::MessageType> type = message_type(name);
    if (!type) c.fail("no message has the type '" + printable(name) + "'");
    s.wanted = CoreCluster::link(from, to, type.value_or(raft::MessageType::kAppendRequest));
  }
  if (counted) s.k = c.count("count");
  return s;
}

// Verbs.

void Lab::nodes(Command& c) {
  if (cluster_) {
    c.fail("nodes are named once");
    return;
  }
  Configuration group;
  group.voters = node_ids(c);
  Config config;
  config.heartbeat_interval = kTick;
  config.election_timeout_min = kElectionTicksMin * kTick;
  config.election_timeout_max = kElectionTicksMax * kTick;
  config.pre_vote = false;
  config.check_quorum = false;
  config.fast_failover = false;
  parse_options(c, group, config);
  if (!c.complete()) return;
  if (!well_formed(group)) {
    c.fail("there are more than " + std::to_string(raft::kMaxMembers) + " nodes of a kind");
    return;
  }
  found(group, config);
}

void Lab::parse_options(Command& c, Configuration& group, Config& config) {
  while (c.more()) {
    if (c.take("learner")) {
      for (NodeId id : node_ids(c)) {
        if (is_member(group, id)) c.fail("node " + std::to_string(id.value) + " comes twice");
        group.learners.push_back(id);
      }
      std::sort(group.learners.begin(), group.learners.end());
    } else if (!parse_option(c, config)) {
      c.fail("no option is called '" + printable(c.peek()) + "'");
    }
  }
}

bool Lab::parse_option(Command& c, Config& config) {
  if (c.take("prevote")) {
    config.pre_vote = true;
  } else if (c.take("checkquorum")) {
    config.check_quorum = true;
  } else if (c.take("inflight")) {
    const uint64_t most = c.number("inflight", 1, kInflightOptionMax);
    config.max_inflight_messages = static_cast<uint32_t>(most);
  } else if (c.take("maxmsg")) {
    config.max_append_bytes = c.number("maxmsg", 1, kBytesOptionMax);
    config.max_catchup_bytes = config.max_append_bytes;
  } else if (c.take("uncommitted")) {
    config.max_uncommitted_bytes = c.number("uncommitted", 1, kBytesOptionMax);
  } else {
    return false;
  }
  return true;
}

void Lab::found(const Configuration& group, const Config& config) {
  cluster_.emplace(group, config);
  cluster_->auto_persist = false;
  cluster_->auto_apply = false;
  cluster_->on_breach = [this](const std::string& text) {
    if (!breach_) breach_ = text;
  };
  for (NodeId id : member_ids(group)) cluster_->start(static_cast<int>(id.value));
}

void Lab::tick(Command& c) {
  const int id = live_node(c);
  const uint64_t k = c.number("number of ticks", 1, kTicksMax);
  if (!c.complete()) return;
  for (uint64_t i = 0; i < k && !crowded(c); ++i) cluster_->tick_alone(id, kTick);
}

void Lab::campaign(Command& c) {
  const int id = live_node(c);
  if (!c.complete()) return;
  if (cluster_->core(id).is_leader()) {
    c.fail("node " + std::to_string(id) + " leads already");
  } else if (!cluster_->campaign(id)) {
    c.fail("node " + std::to_string(id) + " is no voter");
  }
}

void Lab::propose(Command& c) {
  const int id = live_node(c);
  const std::string data(c.rest("data"));
  if (!c.complete()) return;
  const ProposeResult result = cluster_->propose(id, data);
  switch (result.outcome) {
    case ProposeResult::Outcome::kAccepted:
      return;
    case ProposeResult::Outcome::kNotLeader:
      c.fail("node " + std::to_string(id) + " does not lead, it follows " +
             (result.leader ? named(result.leader) : "nobody"));
      return;
    case ProposeResult::Outcome::kOverCap:
      c.fail("too many bytes are uncommitted");
      return;
    case ProposeResult::Outcome::kTransferring:
      c.fail("leadership is being transferred to " + named(result.leader));
      return;
    case ProposeResult::Outcome::kUnsupported:
      c.fail("only commands can be proposed");
      return;
  }
}

void Lab::read(Command& c) {
  const int id = live_node(c);
  const std::string name(c.word("context"));
  if (!c.complete()) return;
  const uint64_t context = read_names_.size();
  read_names_.push_back(name);
  std::vector<uint64_t>& failed = cluster_->node(id).failed_reads;
  const NodeId leader = cluster_->core(id).leader();
  cluster_->read(id, context);
  if (failed.empty() || failed.back() != context) return;
  failed.pop_back();
  c.fail(leader ? "too many reads wait on node " + std::to_string(id)
                : "node " + std::to_string(id) + " knows no leader");
}

void Lab::transfer(Command& c) {
  const int id = live_node(c);
  const int target = node(c);
  if (!c.complete()) return;
  switch (cluster_->transfer(id, target)) {
    case TransferResult::kStarted:
      return;
    case TransferResult::kNotLeader:
      c.fail("node " + std::to_string(id) + " does not lead");
      return;
    case TransferResult::kNotVoter:
      c.fail("node " + std::to_string(target) + " is no other voter");
      return;
    case TransferResult::kAlreadyRunning:
      c.fail("another transfer is under way");
      return;
  }
}

/// add and learner take a new node, or move one that is there; join takes a new one as a learner
/// that is promoted when it is caught up.
void Lab::parse_change(Command& c, const Configuration& now, raft::ConfigurationChange& change) {
  const std::string_view step = c.word("change");
  const NodeId id(c.number("node", 1, kNodeIdMax));
  if (step == "remove") {
    change.remove.push_back(id);
  } else if (step == "add") {
    if (is_member(now, id)) return change.promote.push_back(id);
    change.voters.push_back(CoreCluster::member(id));
  } else if (step == "learner") {
    if (is_member(now, id)) return change.demote.push_back(id);
    change.learners.push_back(CoreCluster::member(id));
  } else if (step == "join") {
    change.learners.push_back(CoreCluster::member(id));
    change.learners.back().promote = true;
  } else {
    c.fail("no change is called '" + printable(step) + "'");
  }
}

void Lab::conf(Command& c) {
  const int id = live_node(c);
  raft::ConfigurationChange change;
  if (c.more() && c.peek() == "leave") {
    c.fail("a leader leaves a joint configuration by itself, as soon as it is committed");
    return;
  }
  if (!c.fault().empty()) return;
  const Configuration& now = cluster_->core(id).configuration();
  const bool joint = c.take("joint");
  do {
    parse_change(c, now, change);
  } while (joint && c.more() && c.peek() != "force");
  change.force = c.take("force");
  if (!c.complete()) return;
  const raft::ChangeResult result = cluster_->change(id, change);
  if (!result.accepted()) {
    c.fail(refusal(id, result));
    return;
  }
  for (const raft::Member& m : change.voters) added_.insert(static_cast<int>(m.id.value));
  for (const raft::Member& m : change.learners) added_.insert(static_cast<int>(m.id.value));
}

void Lab::deliver(Command& c) {
  const Selection s = selection(c, true);
  if (!c.complete()) return;
  std::optional<Message> offer;
  size_t left = s.k;
  for (const Message& m : cluster_->network()) {
    if (left == 0) break;
    if (!s.wanted(m)) continue;
    --left;
    if (m.type == raft::MessageType::kSnapshotRequest) offer = m;
  }
  cluster_->deliver(s.wanted, s.k);
  if (offer) fetch_snapshot(*offer);
}

/// What a driver does when its core is offered a snapshot: it fetches the leader's, starts anew
/// from it, and hears the offer once more.
void Lab::fetch_snapshot(const Message& offer) {
  const int id = static_cast<int>(offer.to.value);
  const int from = static_cast<int>(offer.from.value);
  if (!cluster_->is_up(id)) return;
  CoreNode& n = cluster_->node(id);
  const bool wanted = !std::exchange(n.offers, {}).empty();
  if (!wanted || !cluster_->is_up(from) || !cluster_->install(id, from)) return;
  forget_state(id);
  cluster_->step(id, offer);
}

/// The node starts anew, from the state that its snapshot holds.
void Lab::forget_state(int id) {
  CoreNode& n = cluster_->node(id);
  n.reads.clear();
  n.failed_reads.clear();
  digests_.erase(id);
  for (const Entry& entry : n.applied) {
    if (entry.type == EntryType::kCommand) digests_[id] = add_to_digest(digests_[id], entry);
  }
}

void Lab::drop(Command& c) {
  const Selection s = selection(c, true);
  if (c.complete()) cluster_->drop(s.wanted, s.k);
}

void Lab::dup(Command& c) {
  Selection s = selection(c, true);
  if (!c.complete() || crowded(c, std::min(s.k, cluster_->in_flight(s.wanted)))) return;
  std::vector<Message> doubled;
  for (Message& m : cluster_->network()) {
    if (s.k > 0 && s.wanted(m)) {
      --s.k;
      doubled.push_back(m);
    }
    doubled.push_back(std::move(m));
  }
  cluster_->network() = std::move(doubled);
}

void Lab::hold(Command& c) {
  const Selection s = selection(c, false);
  if (!c.complete()) return;
  std::vector<Message>& network = cluster_->network();
  const auto first = std::find_if(network.begin(), network.end(), s.wanted);
  if (first == network.end()) return;
  const auto last = std::find_if(network.rbegin(), network.rend(), s.link).base();
  std::rotate(first, first + 1, last);
}

void Lab::persist(Command& c) {
  const int id = live_node(c);
  const size_t k = c.count("count");
  if (c.complete()) cluster_->persist(id, k);
}

void Lab::apply(Command& c) {
  const int id = live_node(c);
  const size_t k = c.count("count");
  if (!c.complete()) return;
  const CoreNode& n = cluster_->node(id);
  const size_t before = n.applied.size();
  cluster_->apply(id, k);
  for (size_t i = before; i < n.applied.size(); ++i) {
    const Entry& entry = n.applied[i];
    if (entry.type != EntryType::kCommand) continue;
    digests_[id] = add_to_digest(digests_[id], entry);
    out_.append(entry.data.view()).push_back('\n');
  }
}

void Lab::snapshot(Command& c) {
  const int id = live_node(c);
  const LogIndex index(c.number("index", 1, kIndexMax));
  if (!c.complete()) return;
  const raft::Raft& core = cluster_->core(id);
  const LogIndex most = std::min(core.applied_index(), core.log().durable());
  const LogIndex least = cluster_->node(id).disk.snapshot.index();
  if (index > most || index < least) {
    c.fail("index " + std::to_string(index.value) + " is not from the last snapshot's " +
           std::to_string(least.value) + " to " + std::to_string(most.value) +
           ", the last that is applied and durable on node " + std::to_string(id));
    return;
  }
  cluster_->snapshot(id, index);
}

void Lab::compact(Command& c) {
  const int id = live_node(c);
  const LogIndex index(c.number("index", 1, kIndexMax));
  if (!c.complete()) return;
  const LogIndex most = cluster_->node(id).disk.snapshot.index();
  if (index > most) {
    c.fail("index " + std::to_string(index.value) + " is beyond node " + std::to_string(id) +
           "'s snapshot, which ends at " + std::to_string(most.value));
    return;
  }
  cluster_->compact(id, index);
}

void Lab::crash(Command& c) {
  const int id = live_node(c);
  if (!c.complete()) return;
  cluster_->crash(id);
  forget_state(id);
}

void Lab::restart(Command& c) {
  const int id = node(c);
  if (!c.complete()) return;
  if (cluster_->is_up(id)) {
    c.fail("node " + std::to_string(id) + " is up");
  } else {
    cluster_->start(id);
    forget_state(id);
  }
}

void Lab::status(Command& c) {
  if (!c.complete()) return;
  for (int id : cluster_->ids()) {
    const NodeView view{cluster_->node(id), digests_[id], read_names_};
    out_ += status_line(view, cluster_->configuration(), cluster_->network());
    out_.push_back('\n');
  }
}

}  // namespace holdfast::raftlab
