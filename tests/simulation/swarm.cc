#include "tests/simulation/swarm.h"

#include <algorithm>
#include <array>
#include <string>

namespace holdfast::sim {

namespace {

constexpr int64_t kUs = 1'000;  ///< in a millisecond
constexpr int64_t kJudgedPermille = 250;
constexpr int64_t kElectionsPermille = 80;
constexpr int64_t kSnapshotsPermille = 333;
constexpr int64_t kRoomPermille = 250;
constexpr int64_t kFillsWithKeysPermille = 150;
constexpr int64_t kLargeKey = 4'000;  ///< bytes of a value
constexpr size_t kRemoves = 8;
constexpr int64_t kSparesPermille = 250;
constexpr int64_t kLevelsPermille = 150;
constexpr int64_t kWishes = 8;  ///< of an operator (faults_members.cc)

void draw_timing(Stream& draw, Weather& w) {
  static constexpr std::array<int64_t, 5> kElections = {500, 50, 150, 250, 1'000};
  w.election_min_ms = kElections[draw.below(kElections.size())];
  w.election_max_ms = w.election_min_ms * (draw.chance(200) ? 3 : 2);
  w.heartbeat_ms = std::max<int64_t>(1, w.election_min_ms / draw.between(5, 10));
  w.pre_vote = draw.chance(150) ? 0 : 1;
  w.check_quorum = draw.chance(150) ? 0 : 1;
  w.fast_failover = draw.chance(300) ? 0 : 1;
  w.ttl_ms = w.election_max_ms * draw.between(4, 12);
  static constexpr std::array<int64_t, 4> kDrift = {10'000, 0, 50'000, 200'000};
  w.drift_ppm = kDrift[draw.below(kDrift.size())];
  w.clock_ppm = draw.chance(500) ? w.drift_ppm : 0;
}

void draw_storage(Stream& draw, Weather& w) {
  w.segment_bytes = int64_t{4'096} << draw.below(9);
  w.inflight = int64_t{1} << draw.below(7);
  static constexpr std::array<int64_t, 4> kAppend = {64 << 10, 1, 1'000, 8 << 10};
  w.append_bytes = kAppend[draw.below(kAppend.size())];
  w.catchup_bytes = draw.chance(300) ? w.append_bytes : 1 << 20;
  w.committed_bytes = draw.chance(300) ? 1 : 1 << 20;
  w.window_bytes = draw.chance(500) ? draw.between(1, 20'000) : 16 << 20;
  w.uncommitted_bytes = draw.chance(100) ? draw.between(2'000, 20'000) : 64 << 20;
  w.pending_commands = draw.chance(100) ? draw.between(1, 8) : 65'536;
  w.unequal = draw.chance(200) ? 1 : 0;
}

void draw_net_and_disk(Stream& draw, Weather& w) {
  const int64_t calm_us = w.election_min_ms * kUs / 20;
  w.delay_us = draw.between(100, std::min<int64_t>(3'000, calm_us));
  if (draw.chance(200)) w.delay_us = calm_us;
  if (draw.chance(400)) w.loss_permille = draw.between(1, 100);
  if (draw.chance(300)) w.duplicate_permille = draw.between(1, 100);
  if (draw.chance(300)) w.reorder_permille = draw.between(1, 200);
  if (draw.chance(300)) {
    w.tail_permille = draw.between(1, 50);
    w.tail_us = w.election_max_ms * kUs * draw.between(1, 4) / 2;
  }
  w.disk_us = draw.between(100, std::min<int64_t>(2'000, calm_us));
  if (draw.chance(200)) w.disk_us = calm_us;
  if (draw.chance(300)) {
    w.disk_tail_permille = draw.between(1, 50);
    w.disk_tail_us = w.election_max_ms * kUs * draw.between(1, 4) / 2;
  }
  if (draw.chance(300)) w.turn_us = draw.between(10, 1'000);
}

int64_t any_mask(Stream& draw, int64_t nodes) {
  return draw.between(1, std::max<int64_t>(1, (int64_t{1} << nodes) - 2));
}

/// In the end a quorum is healed; the rest is dead, cut off, or heard but deaf.
void draw_core(Stream& draw, Weather& w) {
  if (!draw.chance(400)) return;
  const int64_t quorum = w.nodes / 2 + 1;
  int64_t mask = 0;
  for (int64_t left = quorum, node = 1; node <= w.nodes; ++node) {
    const bool must = w.nodes - node < left;
    if (left > 0 && (must || draw.chance(500))) {
      mask |= int64_t{1} << (node - 1);
      --left;
    }
  }
  w.core_mask = mask;
  w.rest = draw.between(0, 2);
}

Weather draw_weather(Stream& draw, const SwarmOptions& options) {
  Weather w;
  w.entropy = static_cast<int64_t>(draw.below(uint64_t{1} << 40));
  w.thrift = options.thrift ? 1 : 0;
  w.length_ms = options.length_ms;
  static constexpr std::array<int64_t, 10> kNodes = {3, 3, 3, 5, 5, 1, 2, 4, 6, 7};
  w.nodes = kNodes[draw.below(kNodes.size())];
  w.clients = draw.between(2, 8);
  w.paths = draw.between(1, 3);
  w.semaphores = draw.between(0, 2);
  draw_timing(draw, w);
  draw_storage(draw, w);
  draw_net_and_disk(draw, w);
  draw_core(draw, w);
  return w;
}

/// An operator has servers to spare in a fourth of the runs. Disks that break their word are left
/// out of them: what a minority is changes with the members.
void draw_spares(Stream& draw, Weather& w) {
  if (!draw.chance(kSparesPermille) || w.nodes > 5) return;
  w.spares = draw.between(1, std::min<int64_t>(4, 7 - w.nodes));
  w.core_mask = w.rest = 0;
}

/// A third of the runs: SQLite takes time.
void draw_snapshots(Stream& draw, Weather& w) {
  if (!draw.chance(kSnapshotsPermille)) return;
  w.snapshot_ms = draw.between(20, draw.chance(500) ? 1'000 : 10'000);
  w.snapshot_bytes = draw.chance(500) ? draw.between(1, 1 << 20) : 64 << 20;
  if (!draw.chance(500)) return;
  // A log so short that whoever is away for a moment is sent the state.
  w.snapshot_ms = draw.between(20, 500);
  w.snapshot_bytes = draw.between(1, 4'000);
  w.segment_bytes = 4096;
}

/// Half of these load it for a time in which others are elected.
void draw_loading(Stream& draw, Weather& w) {
  if (w.snapshot_ms == 0 || w.room_bytes != 0 || w.elections != 0 || !draw.chance(500)) return;
  w.load_ms = draw.between(1, 3 * w.election_max_ms);
}

// ------------------------------------------------------------------------------------- faults

/// How long faults of a kind last and how strong they are, in the run's own scale.
Fault draw_fault(Stream& draw, const Weather& w, FaultKind kind) {
  Fault fault;
  fault.kind = kind;
  fault.at_ms = draw.between(0, w.length_ms);
  fault.node = draw.between(1, w.nodes);
  fault.other = draw.between(1, w.nodes);
  fault.mask = any_mask(draw, w.nodes);
  fault.seed = static_cast<int64_t>(draw.below(uint64_t{1} << 32));
  fault.for_ms = draw.between(1, w.election_max_ms * (draw.chance(300) ? 20 : 4));
  switch (kind) {
    case FaultKind::kCrashAtDisk:
      fault.amount = draw.between(1, draw.chance(500) ? 4 : 60);
      fault.other = draw.chance(500) ? 1 : 0;
      break;
    case FaultKind::kKillPower:
      fault.amount = draw.between(0, draw.chance(500) ? 3 : 500);
      break;
    case FaultKind::kIoError:
    case FaultKind::kReadError:
    case FaultKind::kLostWrite:
    case FaultKind::kStrayWrite:
      fault.amount = draw.between(1, 40);
      break;
    case FaultKind::kDiskFull:
      fault.amount = draw.between(0, 3 * w.segment_bytes);
      break;
    case FaultKind::kSlowDisk:
      fault.amount = draw.between(1, w.election_max_ms * 2) * kUs;
      break;
    case FaultKind::kOldImage:
      fault.amount = draw.between(10, 5'000);
      break;
    case FaultKind::kPause:
      if (draw.chance(100)) fault.for_ms = draw.between(1, 60'000);
      break;
    case FaultKind::kWallJump:
      fault.amount = draw.between(0, 7'200'000) - 3'600'000;
      break;
    case FaultKind::kFlap:
      fault.amount = draw.between(1, w.election_max_ms);
      break;
    case FaultKind::kOldMessages:
      fault.amount = draw.between(1, w.election_max_ms * 6);
      break;
    default:
      break;
  }
  return fault;
}

Fault draw_client_fault(Stream& draw, const Weather& w, FaultKind kind) {
  Fault fault;
  fault.kind = kind;
  fault.at_ms = draw.between(0, w.length_ms);
  fault.node = draw.between(1, w.clients);
  fault.for_ms = draw.between(1, w.ttl_ms * (draw.chance(300) ? 3 : 1));
  if (kind == FaultKind::kClientCut && draw.chance(300)) fault.mask = any_mask(draw, w.nodes);
  if (kind == FaultKind::kClientCut && draw.chance(300)) fault.other = 1;
  if (kind == FaultKind::kClientDies && draw.chance(200)) fault.for_ms = 0;
  return fault;
}

/// `w.nodes` are all, the last `spares` of them no members at first. Whom a change names is mostly
/// one of those: the members get fewer otherwise until nothing is left to do.
void draw_member_changes(Stream& draw, const Weather& w, int64_t spares,
                         std::vector<Fault>& faults) {
  const int64_t every_ms = draw.between(200, 6'000);
  for (int64_t at = draw.between(0, every_ms); at < w.length_ms; at += every_ms) {
    Fault fault;
    fault.kind = FaultKind::kMembers;
    fault.at_ms = at + draw.between(0, every_ms / 2);
    fault.node = draw.between(1, w.nodes);
    fault.amount = draw.between(0, kWishes - 1);
    const int64_t first = draw.chance(700) ? w.nodes - spares : 0;
    fault.other = draw.between(first, w.nodes - 1);
    fault.mask = draw.between(w.nodes - spares, w.nodes - 1);
    faults.push_back(fault);
  }
}

/// Disks that lie break promises by their nature; few runs have any.
bool is_damage(FaultKind kind) {
  return kind == FaultKind::kFlipBit || kind == FaultKind::kLostWrite ||
         kind == FaultKind::kStrayWrite || kind == FaultKind::kWipe || kind == FaultKind::kOldImage;
}

void draw_faults_of(FaultKind kind, Stream& draw, const Weather& w, int64_t share,
                    std::vector<Fault>& faults) {
  if (!draw.chance(is_damage(kind) ? share / 3 : share)) return;
  const bool once = is_damage(kind) || kind == FaultKind::kUnequal;
  const int64_t every_ms = draw.between(2'000, 20'000);
  const int64_t times = once ? draw.between(1, 2) : 1 + w.length_ms / every_ms;
  for (int64_t n = 0; n < times; ++n) {
    faults.push_back(kind >= FaultKind::kClientCut ? draw_client_fault(draw, w, kind)
                                                   : draw_fault(draw, w, kind));
  }
}

void sort_by_time(std::vector<Fault>& faults) {
  std::stable_sort(faults.begin(), faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at_ms < b.at_ms; });
}

/// Then they have a stream of their own, so that seeds keep the faults they had.
bool came_later(FaultKind kind) {
  return kind == FaultKind::kHoldApply || kind == FaultKind::kFlipSnapshot ||
         kind == FaultKind::kAlterState || kind == FaultKind::kHoldSnapshot ||
         kind == FaultKind::kMembers || kind == FaultKind::kUpgrade || kind == FaultKind::kRaise ||
         kind == FaultKind::kUnmount || kind == FaultKind::kOperate ||
         kind == FaultKind::kDieAtDisk || kind == FaultKind::kSmallDisk ||
         kind == FaultKind::kLoseCurrent || kind == FaultKind::kRemoveSnapshot;
}

/// What may take a quorum's word away for good.
bool spoils(FaultKind kind) {
  return is_damage(kind) || kind == FaultKind::kFlipSnapshot || kind == FaultKind::kAlterState ||
         kind == FaultKind::kRemoveSnapshot;
}

std::vector<Fault> draw_faults(Draws& draws, Weather w) {
  const int64_t spares = w.spares;
  w.nodes += spares;  // they fail as all do
  std::vector<Fault> faults;
  Stream& draw = draws.stream("faults");
  const int64_t share = draw.between(50, 500);
  for (size_t i = 0; i < static_cast<size_t>(FaultKind::kCount); ++i) {
    const auto kind = static_cast<FaultKind>(i);
    if (!came_later(kind)) draw_faults_of(kind, draw, w, share, faults);
  }
  draw_faults_of(FaultKind::kHoldApply, draws.stream("faults/hold_apply"), w, share, faults);
  draw_faults_of(FaultKind::kUnmount, draws.stream("faults/unmount"), w, share, faults);
  if (w.snapshot_ms != 0) {
    Stream& snapshots = draws.stream("faults/snapshots");
    draw_faults_of(FaultKind::kFlipSnapshot, snapshots, w, share, faults);
    draw_faults_of(FaultKind::kHoldSnapshot, snapshots, w, share, faults);
    draw_faults_of(FaultKind::kAlterState, draws.stream("faults/alter_state"), w, share, faults);
    draw_faults_of(FaultKind::kLoseCurrent, draws.stream("faults/lose_current"), w, share, faults);
    draw_faults_of(FaultKind::kRemoveSnapshot, draws.stream("faults/remove_snapshot"), w, share,
                   faults);
  }
  if (spares != 0) {
    std::erase_if(faults, [](const Fault& fault) { return spoils(fault.kind); });
    draw_member_changes(draws.stream("faults/members"), w, spares, faults);
  }
  sort_by_time(faults);
  return faults;
}

// ------------------------------------------------------------------------------------ clients

Op draw_lock(Stream& draw, const Weather& w) {
  Op op;
  op.path = draw.between(0, w.paths - 1);
  const uint64_t mode = draw.below(10);
  if (mode >= 6) op.mode = 2;
  if (w.semaphores > 0 && mode >= 8) {
    op.mode = 3;
    op.path = draw.between(0, w.semaphores - 1);
    op.permits = draw.between(0, 3);
  }
  const uint64_t wait = draw.below(4);
  op.wait_ms = wait == 0 ? 0 : wait == 1 ? draw.between(10, 3'000) : -1;
  op.hold_ms = draw.between(1, draw.chance(200) ? w.ttl_ms * 2 : 400);
  if (draw.chance(200)) op.delay_ms = draw.between(1, 2'000);
  if (draw.chance(100)) op.max_queue = draw.between(1, 2);
  op.enqueue = draw.chance(500) ? 1 : 0;
  if (draw.chance(200)) op.value = draw.between(1, draw.chance(300) ? 3'000 : 100);
  if (draw.chance(150)) op.cancel_ms = draw.between(1, 1'000);
  if (draw.chance(150)) op.handover = 1;
  if (draw.chance(150)) op.give_up = 1;
  return op;
}

Op draw_lock_all(Stream& draw, const Weather& w) {
  Op op = draw_lock(draw, w);
  op.kind = OpKind::kLockAll;
  op.mode = draw.chance(200) ? 2 : 1;
  op.path = draw.between(0, w.paths - 1);
  op.mask = draw.between(0, 7);
  op.handover = op.value = op.max_queue = 0;
  return op;
}

Op draw_op(Stream& draw, const Weather& w, bool operators) {
  const uint64_t kind = draw.below(100);
  Op op = kind < 60 ? draw_lock(draw, w) : kind < 70 ? draw_lock_all(draw, w) : Op{};
  if (kind >= 70) {
    op.path = draw.between(0, w.paths - 1);
    op.local = draw.chance(400) ? 1 : 0;
    op.permits = draw.between(0, 30);
    op.kind = kind < 78   ? OpKind::kDescribe
              : kind < 84 ? OpKind::kCheck
              : kind < 88 ? OpKind::kList
              : kind < 92 ? OpKind::kStray
                          : OpKind::kClose;
  }
  if (kind >= 92 && operators) {
    op.kind = kind < 97 ? OpKind::kRevoke : kind < 99 ? OpKind::kExpire : OpKind::kSetting;
    op.notice_ms = draw.between(0, 3'000);
    op.force = draw.chance(200) ? 1 : 0;
    op.target = draw.between(1, w.clients);
    op.value = draw.between(0, 20);
  } else if (kind >= 93) {
    op.kind = OpKind::kDescribe;
  }
  if (op.kind == OpKind::kStray) op.force = draw.chance(300) ? 1 : 0;
  op.think_ms = draw.between(1, draw.chance(100) ? 5'000 : 300);
  return op;
}

Script draw_script(Stream& draw, const Weather& w, int64_t client, int64_t hand, bool operators) {
  Script script{client, hand, {}};
  // Most operations take longer than they think; what is left over is not done.
  for (int64_t spent = 0; spent < w.length_ms;) {
    script.ops.push_back(draw_op(draw, w, operators));
    const Op& op = script.ops.back();
    const bool lock = op.kind == OpKind::kLock || op.kind == OpKind::kLockAll;
    spent += op.think_ms + 5 + (lock ? op.hold_ms / 2 : 0);
  }
  return script;
}

/// Some acquires are taken back at once: by a call of its own, which may be the first to arrive.
void draw_early_cancels(Stream& draw, Script& script) {
  for (Op& op : script.ops) {
    const bool lock = op.kind == OpKind::kLock || op.kind == OpKind::kLockAll;
    if (!lock || !draw.chance(30)) continue;
    op.early = 1;
    op.cancel_ms = draw.between(1, draw.chance(500) ? 3 : 50);
  }
}

bool fails_leaders_or_clients(FaultKind kind) {
  return kind == FaultKind::kWallJump || kind >= FaultKind::kClientCut;
}

/// Leaders come and go, within less than a TTL each, and clients die; all else works.
void only_elections(Stream& draw, Plan& plan) {
  Weather& w = plan.weather;
  w.elections = 1;
  w.loss_permille = w.duplicate_permille = w.reorder_permille = 0;
  w.tail_permille = w.disk_tail_permille = w.unequal = 0;
  w.delay_us = std::min<int64_t>(w.delay_us, w.election_min_ms * kUs / 50);
  w.disk_us = std::min<int64_t>(w.disk_us, w.election_min_ms * kUs / 50);
  w.inflight = 64;
  w.append_bytes = 64 << 10;
  w.committed_bytes = 1 << 20;
  w.pending_commands = 65'536;
  std::erase_if(plan.faults, [](const Fault& f) { return !fails_leaders_or_clients(f.kind); });
  static constexpr std::array<FaultKind, 4> kKinds = {FaultKind::kTransfer, FaultKind::kTransfer,
                                                      FaultKind::kStepDown, FaultKind::kKill};
  for (int64_t at = 1'000; at < w.length_ms; at += draw.between(w.ttl_ms / 4, w.ttl_ms)) {
    Fault fault = draw_fault(draw, w, kKinds[draw.below(kKinds.size())]);
    fault.at_ms = at;
    plan.faults.push_back(fault);
  }
  for (int64_t n = draw.between(1, 8); n > 0; --n) {
    plan.faults.push_back(draw_client_fault(draw, w, FaultKind::kClientDies));
  }
  sort_by_time(plan.faults);
}

/// Disks run full one by one, or all at once for a while, with room for a few segments or for none.
void fill_disks(Stream& draw, Plan& plan) {
  const Weather& w = plan.weather;
  for (int64_t at = draw.between(1'000, 5'000); at < w.length_ms;
       at += draw.between(3'000, 20'000)) {
    const bool all = draw.chance(500);
    const int64_t for_ms = draw.between(1'000, 15'000);
    for (int64_t node = 1; node <= w.nodes; ++node) {
      if (!all && !draw.chance(500)) continue;
      Fault fault;
      fault.kind = FaultKind::kDiskFull;
      fault.node = node;
      fault.at_ms = at + draw.between(0, 2'000);
      fault.for_ms = for_ms;
      fault.amount = draw.chance(500) ? 0 : draw.between(0, 4 * w.segment_bytes);
      plan.faults.push_back(fault);
    }
  }
  sort_by_time(plan.faults);
}

Op large_key(int64_t number) {
  Op op;
  op.kind = OpKind::kCreate;
  op.path = 1 + number % 2;
  op.sequential = op.parents = 1;
  op.value = kLargeKey;
  op.think_ms = 5;
  return op;
}

/// Disks without room for all the keys that two hands create; a third removes what there is, again
/// and again, and the next ones have room.
void fill_with_keys(Stream& draw, Plan& plan) {
  Weather& w = plan.weather;
  w.length_ms = std::max<int64_t>(w.length_ms, 120'000);
  w.snapshot_ms = draw.between(200, 120'000);
  w.snapshot_bytes = draw.between(100'000, 400'000);
  w.segment_bytes = 64 << 10;
  w.room_bytes = draw.between(2, 6) * w.segment_bytes;
  w.unequal = 0;
  plan.scripts.clear();
  const int64_t keys = draw.between(500, 800);
  const int64_t room = draw.between(2'000'000, 3'000'000);  // a reserve is counted in MiB
  for (int64_t node = 1; node <= w.nodes; ++node) {
    Fault fault;
    fault.kind = FaultKind::kSmallDisk;
    fault.node = node;
    fault.at_ms = 4'000;
    fault.amount = room;
    plan.faults.push_back(fault);
  }
  for (int64_t hand = 1; hand <= 2; ++hand) {
    Script& script = plan.scripts.emplace_back(Script{1, hand, {}});
    for (int64_t number = 0; number < keys / 2; ++number) script.ops.push_back(large_key(number));
    script.ops.front().think_ms = 5'000;
  }
  Op remove;
  remove.kind = OpKind::kRemove;
  remove.recursive = 1;
  remove.think_ms = draw.between(10'000, 14'000);
  plan.scripts.push_back(Script{1, 3, std::vector<Op>(kRemoves, remove)});
}

/// Disks are watched. In some of these runs nothing fails but them.
void draw_room(Stream& draw, Plan& plan) {
  if (!draw.chance(kRoomPermille)) return;
  Weather& w = plan.weather;
  w.segment_bytes = int64_t{4} << (10 + draw.below(6));
  w.room_bytes = draw.between(1, 8) * w.segment_bytes;
  if (draw.chance(400)) {
    plan.faults.clear();
    w.only_full = 1;
    w.core_mask = w.rest = w.spares = 0;
    w.loss_permille = w.tail_permille = w.disk_tail_permille = 0;
    w.delay_us = std::min<int64_t>(w.delay_us, w.election_min_ms * kUs / 50);
    w.disk_us = std::min<int64_t>(w.disk_us, w.election_min_ms * kUs / 50);
  }
  if (w.only_full != 0 && draw.chance(kFillsWithKeysPermille)) return fill_with_keys(draw, plan);
  fill_disks(draw, plan);
}

/// Servers are upgraded one after the other, most of them, and an operator raises the level, mostly
/// too early. Level 2 is that of programs that do not record one.
void draw_levels(Stream& draw, Plan& plan) {
  Weather& w = plan.weather;
  if (!draw.chance(kLevelsPermille) || w.only_full != 0 || w.elections != 0) return;
  w.old_level = draw.chance(500) ? 2 : 3;
  const int64_t all = w.nodes + w.spares;
  const bool forgets = draw.chance(300);
  for (int64_t node = 1; node <= all; ++node) {
    Fault fault;
    fault.kind = FaultKind::kUpgrade;
    fault.node = node;
    fault.at_ms = draw.between(0, w.length_ms / 2);
    fault.for_ms = draw.between(1, w.election_max_ms * 4);
    if (!forgets || !draw.chance(300)) plan.faults.push_back(fault);
  }
  for (int64_t at = draw.between(0, 5'000); at < w.length_ms; at += draw.between(200, 5'000)) {
    Fault fault;
    fault.kind = FaultKind::kRaise;
    fault.node = draw.between(1, all);
    fault.at_ms = at;
    plan.faults.push_back(fault);
  }
  sort_by_time(plan.faults);
}

}  // namespace

Plan draw_plan(Draws& draws, const SwarmOptions& options) {
  Plan plan;
  plan.weather = draw_weather(draws.stream("weather"), options);
  draw_snapshots(draws.stream("snapshots"), plan.weather);
  draw_spares(draws.stream("spares"), plan.weather);
  Stream& faults = draws.stream("faults");
  const bool operators = faults.chance(400);
  if (!faults.chance(50)) plan.faults = draw_faults(draws, plan.weather);
  for (int64_t client = 1; client <= plan.weather.clients; ++client) {
    Stream& draw = draws.stream("plan/" + std::to_string(client));
    const int64_t hands = draw.chance(300) ? draw.between(2, 3) : 1;
    for (int64_t hand = 1; hand <= hands; ++hand) {
      plan.scripts.push_back(draw_script(draw, plan.weather, client, hand, operators));
      draw_early_cancels(draws.stream("early/" + std::to_string(client)), plan.scripts.back());
    }
  }
  draw_keys(draws, plan);
  draw_room(draws.stream("room"), plan);
  Stream& elections = draws.stream("elections");
  const bool full = plan.weather.only_full != 0;
  const bool only = elections.chance(kElectionsPermille);
  if (only && !full && plan.weather.spares == 0) only_elections(elections, plan);
  draw_levels(draws.stream("levels"), plan);
  if (draws.stream("judged").chance(kJudgedPermille)) plan.weather.judged = 1;
  draw_loading(draws.stream("loading"), plan.weather);
  return plan;
}

}  // namespace holdfast::sim
