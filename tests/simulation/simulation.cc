#include "tests/simulation/simulation.h"

#include <algorithm>

#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::sim {

namespace {
constexpr Duration kCalm = 20s;
}

Simulation::Simulation(uint64_t seed, bool verbose) : world_(seed), seed_(seed) {
  world_.verbose = verbose;
  genesis_.cluster = ClusterId(4711);
  for (int n = 1; n <= world_.weather.nodes; ++n) {
    const NodeId id(static_cast<uint64_t>(n));
    genesis_.configuration.voters.push_back(id);
    raft::Member member;
    member.id = id;
    member.store = StoreId(1000 + id.value);
    member.peer_address = member.client_address = "node-" + std::to_string(n) + ":1";
    genesis_.configuration.members.push_back(member);
  }
  for (int n = 1; n <= world_.weather.nodes; ++n) {
    owned_.push_back(std::make_unique<SimNode>(
        world_, NodeId(static_cast<uint64_t>(n)), genesis_, nodes_,
        [this](SimNode& node) { watch(node); }, world_.disk.next()));
    nodes_.push_back(owned_.back().get());
  }
  for (int n = 1; n <= world_.weather.clients; ++n) {
    clients_.push_back(std::make_unique<SimClient>(world_, n, nodes_, ledger_));
  }
  ledger_.other_holder = [this](int client, const std::string& path) -> std::optional<int> {
    for (const auto& other : clients_) {
      if (other->number() != client && other->holds(path)) return other->number();
    }
    return std::nullopt;
  };
}

Simulation::~Simulation() = default;

RunResult Simulation::run(Duration length) {
  RunResult result;
  try {
    begin();
    run_until(length);
    heal();
    run_until(length + kCalm);
    judge_end();
  } catch (const Broken& broken) {
    result.broken = broken.what();
  }
  result.events = world_.events();
  result.trace = world_.trace_hash();
  result.grants = ledger_.grants;
  result.acknowledged = ledger_.acknowledged;
  result.simulated = world_.now();
  result.sometimes = world_.sometimes;
  return result;
}

void Simulation::begin() {
  for (SimNode* node : nodes_) node->start();
  for (const auto& client : clients_) {
    world_.after(from_ms(world_.clients.between(0, 2'000)), [c = client.get()] { c->start(); });
  }
  faults();
}

void Simulation::run_until(Duration end) {
  while (world_.step(end)) {
  }
}

// ------------------------------------------------------------------------------------- faults

int Simulation::down() const {
  return static_cast<int>(
      std::count_if(nodes_.begin(), nodes_.end(), [](const SimNode* n) { return !n->up(); }));
}

void Simulation::faults() {
  world_.after(from_ms(world_.faults.between(100, 4'000)), [this] {
    if (!storm_) return;
    fault();
    faults();
  });
}

void Simulation::fault() {
  const Weather& w = world_.weather;
  SimNode& node = *nodes_[world_.faults.below(nodes_.size())];
  const uint64_t kind = world_.faults.below(6);
  if (kind == 0 && (w.crashes || w.power_losses) && node.up()) {
    const bool power = w.power_losses && (!w.crashes || world_.faults.chance(500));
    node.crash(power);
    ++world_.sometimes[power ? "a node lost power" : "a node was killed"];
    world_.after(from_ms(world_.faults.between(1, 6'000)), [&node] {
      if (!node.up()) node.start();
    });
  } else if (kind == 1 && w.partitions) {
    // Either way at first, then sometimes only one: half-dead links.
    const int a = node.number();
    const auto b = static_cast<int>(1 + world_.faults.below(nodes_.size()));
    const bool one_way = world_.faults.chance(400);
    const bool alone = world_.faults.chance(500);
    for (const SimNode* other : nodes_) {
      if (other->number() == a || (!alone && other->number() != b)) continue;
      world_.cut(a, other->number());
      if (!one_way) world_.cut(other->number(), a);
    }
    ++world_.sometimes["a partition"];
    world_.log("partition around node " + std::to_string(a));
    world_.after(from_ms(world_.faults.between(50, 5'000)), [this] { world_.heal(); });
  } else if (kind == 2 && w.pauses) {
    node.pause();
    ++world_.sometimes["a node was paused"];
    world_.after(from_ms(world_.faults.between(1, 8'000)), [&node] { node.resume(); });
  } else if (kind == 3 && w.client_faults) {
    SimClient& client = *clients_[world_.faults.below(clients_.size())];
    if (world_.faults.chance(300) && client.number() % 3 == 0) {
      client.die();
    } else {
      client.pause(from_ms(world_.faults.between(10, 9'000)));
    }
  } else if (kind == 4 && w.client_faults) {
    // A client cut off from everybody: its packets are lost, its clock runs.
    const int client = -static_cast<int>(1 + world_.faults.below(clients_.size()));
    world_.log("client " + std::to_string(-client) + " is cut off");
    for (const SimNode* other : nodes_) {
      world_.cut(client, other->number());
      world_.cut(other->number(), client);
    }
    world_.after(from_ms(world_.faults.between(100, 9'000)), [this] { world_.heal(); });
  } else if (kind == 5 && w.revocations) {
    revoke();
  }
}

void Simulation::revoke() {
  SimNode& node = *nodes_[world_.faults.below(nodes_.size())];
  api::RevokeLockRequest request;
  request.path =
      "/lock/" + std::to_string(world_.faults.below(static_cast<uint64_t>(world_.weather.paths)));
  request.noticeMs = world_.faults.between(0, 3'000);
  request.reason = "drill";
  node.call(
      [request](server::Engine& engine, server::CallId call) {
        engine.revoke_lock(call, api::RequestContext{}, request);
      },
      [this, path = request.path](const server::ReplyView* view, const api::HoldfastError*) {
        if (view != nullptr) ++world_.sometimes["a revocation was announced"];
        world_.log("revocation of " + path);
      });
}

void Simulation::heal() {
  storm_ = false;
  world_.log("calm");
  world_.heal();
  world_.weather.loss_permille = world_.weather.duplicate_permille = 0;
  for (SimNode* node : nodes_) {
    if (!node->up()) node->start();
    node->resume();
  }
}

// --------------------------------------------------------------------------------- invariants

void Simulation::watch(SimNode& node) {
  const raft::Raft& core = node.engine().node().core();
  auto& [life, invariants] = each_[node.id()];
  if (life != node.life()) {
    if (life != 0) cluster_.crashed(node.id());
    life = node.life();
    invariants = raft::NodeInvariants{};
  }
  const std::string who = "node " + std::to_string(node.number()) + ": ";
  if (const auto breach = invariants.check(core)) throw Broken(who + *breach);
  if (const auto breach = cluster_.observe(core)) throw Broken(who + *breach);
  check_state(node);
}

// I5: one state after each index, on every node, for ever: what was acknowledged is never replaced.
void Simulation::check_state(SimNode& node) {
  const rsm::StateMachine& machine = node.engine().machine();
  const Digest digest = machine.digest();
  const auto [at, fresh] = digests_.emplace(node.engine().host().applied.value, digest);
  if (!fresh && !(at->second == digest)) {
    throw Broken("I5: node " + std::to_string(node.number()) +
                 " has another state than others at index " + std::to_string(at->first));
  }
  if (!fresh) return;
  world_.trace(digest.low);
  const std::string breach = machine.check_invariants();
  if (!breach.empty()) throw Broken("node " + std::to_string(node.number()) + ": " + breach);
}

// Calm for long: one leader, equal states, dead sessions gone, nobody waits for a free lock.
void Simulation::judge_end() {
  std::vector<const server::Engine*> leaders;
  for (SimNode* node : nodes_) {
    if (node->engine().host().serving) leaders.push_back(&node->engine());
  }
  if (leaders.size() != 1) {
    throw Broken("liveness: " + std::to_string(leaders.size()) + " leaders after " +
                 std::to_string(to_ms(kCalm)) + " ms of calm");
  }
  const rsm::StateMachine& machine = leaders.front()->machine();
  if (static_cast<int64_t>(machine.applied().value) < ledger_.last_revision) {
    throw Broken("durability: revision " + std::to_string(ledger_.last_revision) +
                 " was answered, the cluster has " + std::to_string(machine.applied().value));
  }
  for (const auto& client : clients_) {
    if (client->alive() || client->session() == 0) continue;
    if (machine.presence(SessionId(static_cast<uint64_t>(client->session()))) ==
        rsm::SessionPresence::kLive) {
      throw Broken("liveness: the session of dead client " + std::to_string(client->number()) +
                   " is still there");
    }
  }
  if (ledger_.acknowledged == 0) throw Broken("the run checked nothing: no call was ever answered");
}

}  // namespace holdfast::sim
