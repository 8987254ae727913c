// Faults of processes, disks and clients. Those of the network are in faults_net.cc.
#include "tests/simulation/faults.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "tests/simulation/operator.h"

namespace holdfast::sim {

Faults::Faults(World& world, Net& net, std::vector<SimNode*>& nodes,
               std::vector<SimClient*>& clients)
    : world_(world), net_(net), nodes_(nodes), clients_(clients) {
  operator_ = std::make_unique<Operator>(world, nodes, [this](const Fault& step) {
    Fault gone;
    gone.node = step.other + 1;
    wipe(gone);
  });
}

Faults::~Faults() = default;

void Faults::arm(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    if (fault.kind != FaultKind::kDieAtDisk) continue;
    SimNode& victim = node(fault);
    victim.disk().reseed(static_cast<uint64_t>(fault.seed));
    victim.crash_at(static_cast<uint64_t>(std::max<int64_t>(1, fault.amount)),
                    fault.other != 0 ? Death::kPower : Death::kProcess);
  }
}

/// It was armed before anything began.
void Faults::die_at_disk(const Fault& /*fault*/) {}

Faults::Doer Faults::doer_of(FaultKind kind) {
  static constexpr std::array<Doer, static_cast<size_t>(FaultKind::kCount)> kDoers = {
      &Faults::kill,          &Faults::kill,
      &Faults::power_all,     &Faults::kill_power,
      &Faults::crash_at_disk, &Faults::io_error,
      &Faults::io_error,      &Faults::disk_full,
      &Faults::slow_disk,     &Faults::flip_bit,
      &Faults::lying_write,   &Faults::lying_write,
      &Faults::wipe,          &Faults::old_image,
      &Faults::pause,         &Faults::wall_jump,
      &Faults::step_down,     &Faults::transfer,
      &Faults::unequal,       &Faults::hold_apply,
      &Faults::flip_snapshot, &Faults::alter_state,
      &Faults::hold_snapshot, &Faults::members,
      &Faults::upgrade,       &Faults::raise,
      &Faults::unmount,       &Faults::operate,
      &Faults::die_at_disk,   &Faults::small_disk,
      &Faults::lose_current,  &Faults::remove_snapshot,
      &Faults::cut,           &Faults::cut,
      &Faults::cut,           &Faults::cut,
      &Faults::cut,           &Faults::flap,
      &Faults::clog,          &Faults::swizzle,
      &Faults::reset,         &Faults::lie,
      &Faults::old_messages,  &Faults::client_cut,
      &Faults::client_pause,  &Faults::client_deaf,
      &Faults::client_dies};
  return kDoers[static_cast<size_t>(kind)];
}

void Faults::schedule(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    world_.after(from_ms(fault.at_ms), [this, fault] { begin(fault); });
  }
}

void Faults::begin(const Fault& fault) {
  // A node that was set back catches up while nothing else fails.
  const bool client_fault = fault.kind >= FaultKind::kClientCut;
  if (over_ || (!must_reach_.empty() && !client_fault)) return;
  if (world_.listens()) world_.tell("fault", describe(fault));
  (this->*doer_of(fault.kind))(fault);
}

void Faults::until(const Fault& fault, std::function<void()> undo) {
  const uint64_t number = ++next_undo_;
  undo_.emplace(number, std::move(undo));
  world_.after(from_ms(std::max<int64_t>(1, fault.for_ms)), [this, number] {
    const auto at = undo_.find(number);
    if (at == undo_.end()) return;
    const auto run = std::move(at->second);
    undo_.erase(at);
    run();
  });
}

void Faults::end() {
  over_ = true;
  while (!undo_.empty()) {
    const auto run = std::move(undo_.begin()->second);
    undo_.erase(undo_.begin());
    run();
  }
}

void Faults::turned(SimNode& node) {
  const auto at = must_reach_.find(node.number());
  if (at == must_reach_.end()) return;
  // An old log may be the longer one.
  const auto [index, term] = at->second;
  const raft::LogView& log = node.core().log();
  const bool whole = log.durable() >= index && (index < log.first() || log.matches(index, term));
  if (!whole && !node.retired()) return;
  node.caught_up();
  must_reach_.erase(at);
}

SimNode& Faults::node(const Fault& fault) {
  const auto index = static_cast<size_t>(std::max<int64_t>(fault.node, 1) - 1);
  return *nodes_[index % nodes_.size()];
}

SimClient& Faults::client(const Fault& fault) {
  const auto index = static_cast<size_t>(std::max<int64_t>(fault.node, 1) - 1);
  return *clients_[index % clients_.size()];
}

// ---------------------------------------------------------------------------------- processes

void Faults::kill(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up()) return;
  const bool power = fault.kind == FaultKind::kPower;
  world_.mark(power ? Mark::kPowerLost : Mark::kKilled);
  victim.disk().reseed(static_cast<uint64_t>(fault.seed));
  victim.die(power ? Death::kPower : Death::kProcess);
  victim.start_after(from_ms(fault.for_ms));
}

void Faults::power_all(const Fault& fault) {
  world_.mark(Mark::kAllPowerLost);
  for (SimNode* each : nodes_) {
    each->disk().reseed(static_cast<uint64_t>(fault.seed) + each->id().value);
    each->die(Death::kPower);
    // Not all at once: the slowest machine takes twice as long.
    each->start_after(from_ms(fault.for_ms + fault.for_ms * each->number() / 8));
  }
}

/// What is readable after kill -9 need not be durable: a start has to make it so.
void Faults::kill_power(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up()) return;
  world_.mark(Mark::kKilledThenPower);
  victim.die(Death::kProcess);
  victim.start_after(1ms);
  world_.after(from_ms(fault.amount), [&victim, fault] {
    victim.disk().reseed(static_cast<uint64_t>(fault.seed));
    victim.die(Death::kPower);
    victim.start_after(from_ms(fault.for_ms));
  });
}

void Faults::crash_at_disk(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() && !victim.waits()) return;
  // A start with a snapshot has more to do. One that waits for entry 1 may die while it takes that.
  const bool in_recovery =
      victim.up() && fault.amount <= (world_.weather().snapshot_ms != 0 ? 12 : 4);
  if (in_recovery) {
    victim.die(Death::kProcess);
    victim.start_after(1ms);
  }
  victim.disk().reseed(static_cast<uint64_t>(fault.seed));
  victim.crash_at(static_cast<uint64_t>(std::max<int64_t>(1, fault.amount)),
                  fault.other != 0 ? Death::kPower : Death::kProcess);
}

void Faults::pause(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || victim.paused()) return;
  world_.mark(Mark::kPaused);
  victim.pause();
  until(fault, [&victim, life = victim.life()] {
    if (victim.life() == life) victim.resume();
  });
}

void Faults::wall_jump(const Fault& fault) { node(fault).clock().set_wall(from_ms(fault.amount)); }

void Faults::step_down(const Fault& fault) {
  node(fault).hiccup(from_ms(world_.weather().election_min_ms));
}

void Faults::transfer(const Fault& fault) {
  for (SimNode* each : nodes_) {
    if (!each->up() || !each->engine().host().serving) continue;
    api::TransferLeadershipRequest request;
    request.nodeId = static_cast<int32_t>(fault.other % static_cast<int64_t>(nodes_.size()) + 1);
    Call call;
    call.direct = [request](server::Engine& engine, server::CallId id) {
      engine.transfer_leadership(id, api::RequestContext{}, request);
    };
    each->call(call, [](const Answer&) {});
    return;
  }
}

void Faults::unequal(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || victim.unequal()) return;
  victim.die(Death::kProcess);
  victim.set_unequal(true);
  victim.start();
  until(fault, [&victim] {
    victim.die(Death::kProcess);
    victim.set_unequal(false);
    victim.start_after(10ms);
  });
}

/// Commits go on while the state lags behind: on a leader perhaps from its own first entry on.
void Faults::hold_apply(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up()) return;
  victim.hold_apply(true);
  until(fault, [&victim, life = victim.life()] {
    if (victim.life() == life) victim.hold_apply(false);
  });
}

// -------------------------------------------------------------------------------------- disks

/// The node keeps its word, but if its log was cut it takes no part until another has sent it the
/// state: it counts as down.
void Faults::flip_snapshot(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.snapshot_damaged() && !may_spoil(victim)) return;
  spoiled_.insert(victim.number());
  victim.damage_snapshot(static_cast<uint64_t>(fault.seed));
  // The process meets it while it runs, or at its next start.
  if (fault.seed % 2 == 0 || !victim.up()) return;
  victim.die(Death::kProcess);
  victim.start_after(from_ms(fault.for_ms));
}

/// It starts with a state that is good in all that it can see of it, and not the others'.
void Faults::alter_state(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || !may_spoil(victim)) return;
  spoiled_.insert(victim.number());
  victim.die(Death::kProcess);
  victim.alter_state(static_cast<uint64_t>(fault.seed));
  victim.start_after(from_ms(fault.for_ms));
}

void Faults::hold_snapshot(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up()) return;
  victim.read_snapshot(true);
  until(fault, [&victim, life = victim.life()] {
    if (victim.life() == life) victim.read_snapshot(false);
  });
}

/// Its machine went down, and came up without a disk: what is there says nothing of a log but that
/// there was one.
void Faults::unmount(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up()) return;
  world_.mark(Mark::kUnmounted);
  victim.disk().reseed(static_cast<uint64_t>(fault.seed));
  victim.die(Death::kPower);
  victim.unmount(/*with_directories=*/fault.seed % 2 == 0);
  victim.start();
  until(fault, [&victim] {
    victim.mount();
    victim.start();
  });
}

/// Its machine went down, and came up without a file that was there. An operator puts it back where
/// the server did not do without.
void Faults::lose_current(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || victim.snapshot_damaged() || victim.altered()) return;
  victim.disk().reseed(static_cast<uint64_t>(fault.seed));
  victim.die(Death::kPower);
  victim.lose_current();
  victim.start();
  until(fault, [&victim] { victim.give_current_back(); });
}

/// It goes on without losing anything, unless it ends before it has written the database anew: then
/// it does not start, and counts as down for good.
void Faults::remove_snapshot(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || victim.snapshot_damaged() || victim.altered() || !may_spoil(victim)) return;
  if (victim.remove_snapshot()) spoiled_.insert(victim.number());
}

bool Faults::may_spoil(const SimNode& node) {
  if (spoiled_.contains(node.number())) return false;
  return spoiled_.size() < (nodes_.size() - 1) / 2;
}

void Faults::io_error(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up()) return;
  victim.expect_io_errors();
  const auto ahead = static_cast<uint64_t>(std::max<int64_t>(1, fault.amount));
  raft::FakeFileSystem& disk = victim.disk();
  disk.reseed(static_cast<uint64_t>(fault.seed));
  if (fault.kind == FaultKind::kReadError) {
    disk.fail_read_at(disk.reads() + ahead, EIO);
  } else {
    disk.fail_at(disk.operations() + ahead, EIO);
  }
}

void Faults::disk_full(const Fault& fault) {
  SimNode& victim = node(fault);
  victim.fill_disk(static_cast<uint64_t>(std::max<int64_t>(0, fault.amount)));
  until(fault, [&victim] { victim.empty_disk(); });
}

void Faults::small_disk(const Fault& fault) {
  node(fault).make_disk_small(static_cast<uint64_t>(std::max<int64_t>(0, fault.amount)));
}

void Faults::slow_disk(const Fault& fault) {
  SimNode& victim = node(fault);
  victim.slow_disk(fault.amount);
  until(fault, [&victim] { victim.slow_disk(0); });
}

void Faults::flip_bit(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!may_spoil(victim)) return;
  SplitMix draw(static_cast<uint64_t>(fault.seed));
  std::vector<std::string> paths = victim.disk().paths();
  std::erase_if(paths, [](const std::string& path) { return path.find("/log/") == path.npos; });
  if (paths.empty()) return;
  const std::string& path = paths[draw.below(paths.size())];
  const size_t size = victim.disk().content(path).size();
  if (size == 0) return;
  spoiled_.insert(victim.number());
  victim.damage();
  victim.disk().flip_bit(path, draw.below(size), static_cast<int>(draw.below(8)));
}

void Faults::lying_write(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || !may_spoil(victim)) return;
  spoiled_.insert(victim.number());
  victim.damage();
  raft::FakeFileSystem& disk = victim.disk();
  disk.reseed(static_cast<uint64_t>(fault.seed));
  disk.lie_at(disk.operations() + static_cast<uint64_t>(std::max<int64_t>(1, fault.amount)),
              fault.kind == FaultKind::kStrayWrite);
}

void Faults::wipe(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!may_spoil(victim)) return;
  spoiled_.insert(victim.number());
  victim.die(Death::kProcess);
  victim.replace_disk(std::make_unique<raft::FakeFileSystem>(static_cast<uint64_t>(fault.seed)),
                      true);
  victim.start();
}

/// The others have all that is committed, lead nobody else and are in one term: then the vote and
/// the acknowledgements that the victim forgets decide nothing any more.
bool Faults::all_others_whole(const SimNode& victim) const {
  const SimNode* leader = nullptr;
  for (const SimNode* each : nodes_) {
    if (each == &victim) continue;
    if (!each->up() || each->paused()) return false;
    if (each->core().is_leader()) leader = each;
  }
  if (leader == nullptr || !undo_.empty()) return false;
  const raft::Raft& core = leader->core();
  if (core.commit() != core.log().last()) return false;
  // A vote of the victim in a term that the others have yet to enter would be given twice.
  if (victim.durable_term() > core.term()) return false;
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const SimNode* each) {
    if (each == &victim) return true;
    const raft::Raft& other = each->core();
    return other.term() == core.term() && other.hard_state_durable() &&
           other.log().last() == core.log().last() && other.log().durable() == core.log().last();
  });
}

void Faults::old_image(const Fault& fault) {
  SimNode& victim = node(fault);
  if (!victim.up() || !may_spoil(victim)) return;
  spoiled_.insert(victim.number());
  std::shared_ptr<raft::FakeFileSystem> image = victim.image(static_cast<uint64_t>(fault.seed));
  const auto set_back = [this, &victim, image, fault](auto again, int tries) -> void {
    if (over_ || victim.retired() || tries == 0) return;
    if (!all_others_whole(victim)) {
      world_.after(7ms, [again, tries] { again(again, tries - 1); });
      return;
    }
    Position last{};
    for (const SimNode* each : nodes_) {
      const raft::LogView& log = each->core().log();
      if (each != &victim && log.last() > last.index) last = {log.last(), log.last_term()};
    }
    victim.die(Death::kProcess);
    victim.replace_disk(image->clone(static_cast<uint64_t>(fault.seed)), false);
    must_reach_[victim.number()] = last;
    victim.start();
  };
  world_.after(from_ms(fault.amount), [set_back] { set_back(set_back, 300); });
}

// ------------------------------------------------------------------------------------ clients

void Faults::client_cut(const Fault& fault) {
  const int number = client(fault).number();
  Pairs pairs;
  for (const SimNode* each : nodes_) {
    if (fault.mask != 0 && (fault.mask >> (each->number() - 1) & 1) == 0) continue;
    pairs.emplace_back(-number, each->number());
    if (fault.other == 0) pairs.emplace_back(each->number(), -number);
  }
  net_.cut(pairs);
  until(fault, [this, pairs] { net_.mend(pairs); });
}

void Faults::client_pause(const Fault& fault) { client(fault).pause(from_ms(fault.for_ms)); }

void Faults::client_deaf(const Fault& fault) { client(fault).stop_reading(from_ms(fault.for_ms)); }

/// The first client always comes back: somebody has to be there who checks.
void Faults::client_dies(const Fault& fault) {
  SimClient& victim = client(fault);
  const bool for_good = fault.for_ms == 0 && &victim != clients_.front();
  victim.die(for_good ? 0ns : from_ms(std::max<int64_t>(1, fault.for_ms)));
}

}  // namespace holdfast::sim
