#include "tests/simulation/simulation.h"

#include <algorithm>

#include "session/session_table.h"

namespace holdfast::sim {

namespace {

/// I21: far above what the strongest storm needs, far below what a loop makes.
constexpr uint64_t kMessagesPerSecondMax = 150'000;
constexpr size_t kWaitingEventsMax = 500'000;
constexpr size_t kWaitingCallsMax = 2'000;

}  // namespace

Simulation::Simulation(const Plan& plan, Draws& draws, const RunOptions& options)
    : plan_(plan),
      world_(plan.weather, draws),
      net_(world_),
      ledger_(world_),
      history_(world_, ledger_),
      recorder_(world_, plan.weather.judged != 0),
      dead_sessions_(world_, [this](SessionId session) { return presence_of(session); }),
      reigns_(world_) {
  world_.telling = options.tell;
  world_.verbose = options.verbose;
  NodeWatcher& watcher = *this;
  for (int64_t n = 1; n <= plan.weather.nodes + plan.weather.spares; ++n) {
    owned_nodes_.push_back(
        std::make_unique<SimNode>(world_, net_, NodeId(static_cast<uint64_t>(n)), nodes_, watcher));
    nodes_.push_back(owned_nodes_.back().get());
  }
  for (int64_t n = 1; n <= plan.weather.clients; ++n) {
    std::vector<Script> scripts;
    std::copy_if(plan.scripts.begin(), plan.scripts.end(), std::back_inserter(scripts),
                 [n](const Script& script) { return script.client == n; });
    if (scripts.empty()) continue;
    owned_clients_.push_back(
        std::make_unique<SimClient>(Cluster{world_, net_, nodes_, history_, ledger_, recorder_},
                                    static_cast<int>(n), std::move(scripts)));
    clients_.push_back(owned_clients_.back().get());
  }
  for (SimClient* client : clients_) client->introduce(&clients_);
  faults_ = std::make_unique<Faults>(world_, net_, nodes_, clients_);
}

Simulation::~Simulation() = default;

RunResult Simulation::run() {
  RunResult result;
  try {
    begin();
    run_until(from_ms(plan_.weather.length_ms));
    heal();
    await_leader();
    await_members();
    await_clients();
    await_watches();
    judge_end();
    judge_calls();
  } catch (const Broken& broken) {
    result.rule = broken.rule;
    result.what = broken.what();
  }
  result.events = world_.events();
  result.trace = world_.trace_hash();
  result.grants = ledger_.grants();
  result.answers = ledger_.answers();
  result.entries = history_.last().value;
  result.busiest_second = net_.busiest_second();
  result.simulated = world_.now();
  result.marks = world_.marks();
  result.disk_operations = disk_operations_;
  result.told = world_.told();
  return result;
}

void Simulation::begin() {
  raft::Genesis genesis;
  genesis.cluster = ClusterId(4711);
  for (SimNode* node : nodes_) {
    const raft::Member member = node->introduce();
    if (node->number() > plan_.weather.nodes) continue;
    genesis.configuration.voters.push_back(node->id());
    genesis.configuration.members.push_back(member);
  }
  // Else it is as in clusters that began before levels were recorded.
  if (plan_.weather.old_level != 0) {
    genesis.configuration.level = raft::first_level(genesis.configuration.members);
  }
  faults_->arm(plan_.faults);
  configurations_[LogIndex()] = genesis.configuration;
  for (SimNode* node : nodes_) {
    if (node->number() <= plan_.weather.nodes) node->form(genesis);
  }
  for (SimClient* client : clients_) {
    world_.after(from_ms(plan_.weather.election_max_ms * client->number() / 4),
                 [client] { client->start(); });
  }
  if (!clients_.empty()) faults_->schedule(plan_.faults);
}

void Simulation::run_until(Duration end) {
  while (world_.step(end)) {
  }
}

// ------------------------------------------------------------------------------ after each step

void Simulation::started(SimNode& node) {
  cores_[node.id()] = raft::NodeInvariants{};
  check_started_members(node);
  check_latest_of_log(node);
  if (node.altered()) return;
  history_.check_snapshot(node.number(), node.engine().host().applied,
                          node.engine().machine().digest());
}

// A turn in which the process stops itself has sent what it had to send and answered what it had
// applied: what became durable and committed in it counts, though turned() has not been told.
void Simulation::died(SimNode& node) {
  if (const auto breach = cluster_.observe(node.core())) {
    throw Broken(rule_of_core(*breach), *breach);
  }
  static_cast<void>(take_committed(node));
  mark_counters(node);
  cluster_.crashed(node.id());
  note_leadership(node, /*alive=*/false);
}

void Simulation::began_to_vote(SimNode& node) { cores_[node.id()] = raft::NodeInvariants{}; }

void Simulation::voted(SimNode& node) { check_core(node.core()); }

void Simulation::ended_voting(SimNode& node) {
  if (const auto breach = cluster_.observe(node.core())) {
    throw Broken(rule_of_core(*breach), *breach);
  }
  cluster_.crashed(node.id());
}

/// What it has applied in this very turn may not be known yet.
bool Simulation::differs(SimNode& node) {
  const LogIndex applied = node.engine().host().applied;
  return applied <= history_.last() &&
         !history_.is_state(applied, node.engine().machine().digest());
}

void Simulation::check_core(const raft::Raft& core) {
  auto breach = cores_[core.id()].check(core);
  if (!breach) breach = cluster_.observe(core);
  if (breach) throw Broken(rule_of_core(*breach), *breach);
}

void Simulation::turned(SimNode& node) {
  check_core(node.core());
  note_reign(node);
  if (take_committed(node) && !node.altered()) {
    history_.check_state(node.number(), node.engine().host().applied,
                         node.engine().machine().digest());
  }
  check_bounds(node);
  check_members(node);
  note_leadership(node, /*alive=*/true);
  mark_leaders(node);
  faults_->turned(node);
}

/// The committed entry, as `node` has it: from its memory, or from the disk of any node that has
/// it too. A damaged disk is left alone: its own node is to find out. None if no other has it
/// now.
std::optional<raft::Entry> Simulation::committed_entry(SimNode& node, LogIndex index) {
  const raft::EntryWindow& window = node.core().log().window();
  if (window.contains(index)) return window.at(index);
  const bool cut = index < node.core().log().first();
  if (!cut && !node.damaged()) return node.read_back(index);
  for (SimNode* other : nodes_) {
    if (!other->up() || other->damaged() || other->durable_to() < index) continue;
    const raft::LogView& log = other->core().log();
    if (index < log.first()) continue;
    const bool same =
        cut ? index <= other->core().commit() : log.term(index) == node.core().log().term(index);
    if (same) return other->read_back(index);
  }
  return std::nullopt;
}

bool Simulation::take_committed(SimNode& node) {
  while (history_.last() < node.core().commit()) {
    const auto entry = committed_entry(node, history_.last().next());
    if (!entry) return false;
    history_.commit(*entry);
    note_configuration(*entry);
    for (; expiries_ < history_.expiries().size(); ++expiries_) {
      const History::Expiry& expiry = history_.expiries()[expiries_];
      reigns_.expired(expiry.term, expiry.session);
    }
  }
  return true;
}

/// A state that is not the others' may have other sessions.
void Simulation::note_reign(SimNode& node) {
  if (!node.core().is_leader()) return;
  const Term term = node.core().term();
  reigns_.leads(term);
  if (!node.engine().host().serving || node.altered() || reigns_.serves(term)) return;
  const session::SessionTable& sessions = node.engine().machine().sessions();
  std::vector<const session::Session*> found;
  sessions.list(SessionId(), sessions.size(), found);
  std::vector<session::LeaseSeed> seeds;
  for (const session::Session* each : found) {
    seeds.push_back({each->id, each->ttl_ms, each->late, each->silent_ms});
  }
  reigns_.begins_to_serve(term, node.clock(), seeds);
}

void Simulation::check_bounds(SimNode& node) {
  const auto refuse = [&](const std::string& what) { throw Broken(Rule::kI21, what); };
  if (net_.busiest_second() > kMessagesPerSecondMax) refuse("a storm of messages");
  if (world_.waiting() > kWaitingEventsMax) refuse("events pile up");
  const server::Engine& engine = node.engine();
  const std::pair<size_t, const char*> kWaiting[] = {{engine.parked_calls(), " parked calls"},
                                                     {engine.pending_renewals(), " renewals"},
                                                     {engine.pending_reads(), " reads"}};
  for (const auto& [count, what] : kWaiting) {
    if (count > kWaitingCallsMax)
      refuse(node.name() + " has too many" + what + ": " + std::to_string(count));
  }
  if (engine.pending_commands() > static_cast<size_t>(plan_.weather.pending_commands) + 64) {
    refuse(node.name() + " has too many commands under way");
  }
  int& most = open_files_[node.id()];
  const int open = node.disk().open_files();
  // Of a log's files each is opened once, however often it is read.
  if (open > most && static_cast<size_t>(open) > node.disk().paths().size()) {
    refuse(node.name() + " has " + std::to_string(open) + " files open, more than there are");
  }
  most = open;
}

std::optional<DeadSessions::Presence> Simulation::presence_of(SessionId id) const {
  const session::Session* session = history_.machine().sessions().find(id);
  if (session == nullptr) return std::nullopt;
  return DeadSessions::Presence{session->ttl_ms, session->late};
}

/// What the bound on dead sessions counts: leaderships that end, and time in which none serves.
void Simulation::note_leadership(SimNode& node, bool alive) {
  if (plan_.weather.elections == 0 || core_mask_ != 0) return;
  const bool serves = alive && node.engine().host().serving;
  const auto before = serving_.find(node.id());
  const bool same = before != serving_.end() && serves && before->second == node.core().term();
  if (before != serving_.end() && !same) {
    serving_.erase(before);
    dead_sessions_.leadership_ended();
  }
  if (serves) serving_[node.id()] = node.core().term();
  const auto up = static_cast<size_t>(
      std::count_if(nodes_.begin(), nodes_.end(), [](const SimNode* each) { return each->up(); }));
  // A node that dies is still up here.
  const bool quorum = 2 * (up - (alive ? 0 : 1)) > nodes_.size();
  dead_sessions_.observe(quorum && !serving_.empty());
  for (const SimClient* client : clients_) {
    size_t& known = left_behind_[client->number()];
    while (known < client->left_behind().size()) {
      dead_sessions_.died(client->left_behind()[known++]);
    }
  }
}

void Simulation::mark_leaders(SimNode& node) {
  if (!node.core().is_leader()) return;
  if (nodes_.size() % 2 == 0) world_.mark(Mark::kEvenQuorum);
  if (nodes_.size() == 1 && node.core().own_term_committed()) world_.mark(Mark::kLoneNode);
  for (SimNode* other : nodes_) {
    if (other == &node || !other->up() || !other->core().is_leader()) continue;
    world_.mark(Mark::kTwoLeaders);
  }
}

}  // namespace holdfast::sim
