// What model clients do with keys and watches, and how small the servers' room for that is.
#include <algorithm>
#include <array>

#include "tests/simulation/key_space.h"
#include "tests/simulation/swarm.h"

namespace holdfast::sim {

namespace {

constexpr int64_t kKeysPermille = 600;  ///< of the seeds
constexpr int64_t kClientPermille = 600;
constexpr int64_t kPaths = static_cast<int64_t>(kKeyPaths.size());

/// Small enough that watches fall behind, in most runs.
void draw_history(Stream& draw, Weather& w) {
  static constexpr std::array<int64_t, 4> kEvents = {10'000, 10, 30, 200};
  w.history_events = kEvents[draw.below(kEvents.size())];
  if (draw.chance(200)) w.history_bytes = draw.between(1'000, 20'000);
  if (draw.chance(500)) w.reply_entries = draw.between(1, 8);
  if (draw.chance(200)) w.watches_max = draw.between(1, 4);
  if (!draw.chance(100)) return;
  w.history_events = 10;
  w.reply_entries = draw.between(1, 2);
}

/// A resynchronisation takes many replies, and changes overtake it.
bool is_slow_to_tell(const Weather& w) { return w.history_events == 10 && w.reply_entries <= 2; }

Op draw_write(Stream& draw, OpKind kind) {
  Op op;
  op.kind = kind;
  op.path = draw.between(0, kPaths - 1);
  op.value = draw.between(0, draw.chance(50) ? 2'000 : 20);
  op.version = draw.chance(300) ? draw.between(1, 2) : 0;
  op.parents = draw.chance(600) ? 1 : 0;
  op.recursive = draw.chance(600) ? 1 : 0;
  op.give_up = draw.chance(200) ? 1 : 0;
  if (draw.chance(200)) op.guard = draw.between(1, 2);
  op.target = draw.between(0, 7);
  if (!draw.chance(200)) return op;
  op.sessionless = 1;
  op.copies = draw.between(0, 3);
  if (draw.chance(300)) op.version = 1;
  // Given up soon, so that the next copy meets what this one does.
  if (draw.chance(700)) op.cancel_ms = draw.between(1, draw.chance(700) ? 20 : 500);
  return op;
}

Op draw_create(Stream& draw, const Weather& w) {
  Op op = draw_write(draw, OpKind::kCreate);
  static constexpr std::array<int64_t, 6> kKinds = {2, 2, 1, 3, 3, 4};
  op.key_kind = kKinds[draw.below(kKinds.size())];
  op.ttl_ms = std::max<int64_t>(1'000, draw.between(0, 2 * w.ttl_ms));
  op.sequential = draw.chance(200) ? 1 : 0;
  return op;
}

Op draw_transaction(Stream& draw, const Weather& w) {
  Op op = draw_create(draw, w);
  op.kind = OpKind::kTransact;
  op.mask = draw.between(0, 31);
  op.permits = draw.between(0, kPaths - 1);
  op.scope = draw.between(1, 3);
  if (draw.chance(400)) op.step_guards = draw.between(1, 31);
  if (!draw.chance(600)) return op;
  op.compares = draw.between(1, 63);
  op.relation = draw.chance(250) ? draw.between(2, 4) : 1;
  op.wait_ms = draw.chance(500) ? draw.between(0, 200) : 0;
  return op;
}

Op draw_watch(Stream& draw, const Weather& w) {
  Op op;
  op.kind = OpKind::kWatch;
  op.path = draw.between(0, draw.chance(500) ? kPaths : 2);
  op.scope = 3 - draw.between(0, draw.chance(500) ? 2 : 0);
  op.space = draw.chance(400) ? draw.between(1, 3) : 3;
  op.value = draw.between(0, 1);
  if (draw.chance(150)) op.filter = draw.between(2, 62);
  op.since = draw.between(0, 3);
  op.hold_ms = draw.between(100, draw.chance(500) ? 60'000 : 5'000);
  if (draw.chance(400)) op.rest_ms = draw.between(1, 2 * w.ttl_ms);
  return op;
}

/// A lock whose holder writes a key as long as it holds it.
Op draw_guarded(Stream& draw, const Weather& w) {
  Op op;
  op.kind = OpKind::kLock;
  op.path = draw.between(0, w.paths - 1);
  op.wait_ms = draw.between(0, 2'000);
  op.hold_ms = draw.between(1, draw.chance(200) ? w.ttl_ms * 2 : 400);
  op.guard = 1;
  if (draw.chance(400)) op.step_guards = draw.between(1, 7);
  return op;
}

Op draw_read(Stream& draw, OpKind kind) {
  Op op;
  op.kind = kind;
  op.path = draw.between(0, kPaths - 1);
  op.local = draw.chance(500) ? 1 : 0;
  op.parents = draw.chance(300) ? 1 : 0;
  op.recursive = draw.chance(600) ? 1 : 0;
  op.page = draw.between(1, draw.chance(500) ? 4 : 100);
  op.since = draw.between(1, 2);
  op.wait_ms = draw.between(0, draw.chance(300) ? 10'000 : 500);
  return op;
}

Op draw_many(Stream& draw) {
  Op op = draw_read(draw, OpKind::kGetMany);
  op.mask = draw.between(1, (int64_t{1} << kPaths) - 1);
  return op;
}

/// A limit that keys may meet, given back some time later by another such.
Op draw_limit(Stream& draw) {
  Op op;
  op.kind = OpKind::kSetting;
  op.path = draw.between(3, 6);
  op.value = draw.chance(500) ? draw.between(0, 12) : 2'000;
  return op;
}

Op draw_key_op(Stream& draw, const Weather& w) {
  const uint64_t kind = draw.below(100);
  const bool slow = is_slow_to_tell(w);
  Op op = kind < 24            ? draw_write(draw, OpKind::kPut)
          : kind < 38          ? draw_create(draw, w)
          : kind < 48 && !slow ? draw_write(draw, OpKind::kRemove)
          : kind < 58          ? draw_transaction(draw, w)
          : kind < 65          ? draw_read(draw, OpKind::kGet)
          : kind < 68          ? draw_many(draw)
          : kind < 74          ? draw_read(draw, OpKind::kListKeys)
          : kind < 80          ? draw_read(draw, OpKind::kAwait)
          : kind < 93          ? draw_watch(draw, w)
          : kind < 99          ? draw_guarded(draw, w)
                               : draw_limit(draw);
  op.think_ms = draw.between(1, draw.chance(slow ? 10 : 100) ? 5'000 : slow ? 60 : 400);
  return op;
}

/// Clients that stand still for a moment while much changes: their walks are overtaken.
void draw_pauses(Stream& draw, Plan& plan) {
  const Weather& w = plan.weather;
  for (int64_t n = draw.between(10, 60); n > 0; --n) {
    Fault pause;
    pause.kind = FaultKind::kClientPause;
    pause.at_ms = draw.between(0, w.length_ms);
    pause.node = draw.between(1, w.clients);
    pause.for_ms = draw.between(w.ttl_ms / 8, w.ttl_ms * 3 / 4);
    plan.faults.push_back(pause);
  }
  std::stable_sort(plan.faults.begin(), plan.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at_ms < b.at_ms; });
}

}  // namespace

void draw_keys(Draws& draws, Plan& plan) {
  Stream& whole = draws.stream("keys");
  if (!whole.chance(kKeysPermille)) return;
  const Weather& w = plan.weather;
  draw_history(whole, plan.weather);
  if (is_slow_to_tell(w)) draw_pauses(whole, plan);
  for (int64_t client = 1; client <= w.clients; ++client) {
    Stream& draw = draws.stream("keys/" + std::to_string(client));
    if (!draw.chance(kClientPermille)) continue;
    const auto hands = std::count_if(plan.scripts.begin(), plan.scripts.end(),
                                     [&](const Script& each) { return each.client == client; });
    Script script{client, hands + 1, {}};
    for (int64_t spent = 0; spent < w.length_ms;) {
      script.ops.push_back(draw_key_op(draw, w));
      spent += script.ops.back().think_ms + 5;
    }
    plan.scripts.push_back(script);
  }
}

}  // namespace holdfast::sim
