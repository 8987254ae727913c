// Faults of the network.
#include <algorithm>
#include <memory>

#include "tests/simulation/faults.h"

namespace holdfast::sim {

namespace {

bool in(int64_t mask, int node) { return (mask >> (node - 1) & 1) != 0; }

template <class Cut>
Pairs pairs_where(size_t nodes, const Cut& cut) {
  Pairs pairs;
  const int count = static_cast<int>(nodes);
  for (int from = 1; from <= count; ++from) {
    for (int to = 1; to <= count; ++to) {
      if (from != to && cut(from, to)) pairs.emplace_back(from, to);
    }
  }
  return pairs;
}

}  // namespace

Pairs Faults::both_ways(int64_t mask) const {
  return pairs_where(nodes_.size(), [&](int a, int b) { return in(mask, a) != in(mask, b); });
}

Pairs Faults::outwards(int64_t mask) const {
  return pairs_where(nodes_.size(), [&](int a, int b) { return in(mask, a) && !in(mask, b); });
}

Pairs Faults::ring() const {
  const int count = static_cast<int>(nodes_.size());
  return pairs_where(nodes_.size(), [&](int a, int b) {
    const int apart = std::abs(a - b);
    return apart != 1 && apart != count - 1;
  });
}

Pairs Faults::bridge() const {
  const int middle = static_cast<int>(nodes_.size()) / 2 + 1;
  return pairs_where(nodes_.size(), [&](int a, int b) {
    return a != middle && b != middle && (a < middle) != (b < middle);
  });
}

Pairs Faults::chain() const {
  return pairs_where(nodes_.size(), [](int a, int b) { return std::abs(a - b) != 1; });
}

Pairs Faults::pairs_of(const Fault& fault) const {
  switch (fault.kind) {
    case FaultKind::kOneWay:
      return outwards(fault.mask);
    case FaultKind::kRing:
      return ring();
    case FaultKind::kBridge:
      return bridge();
    case FaultKind::kChain:
      return chain();
    case FaultKind::kFlap:
      return both_ways(int64_t{1} << (std::max<int64_t>(fault.node, 1) - 1));
    default:
      return both_ways(fault.mask);
  }
}

void Faults::cut(const Fault& fault) {
  const Pairs pairs = pairs_of(fault);
  net_.cut(pairs);
  until(fault, [this, pairs] { net_.mend(pairs); });
}

void Faults::flap(const Fault& fault) {
  const Pairs pairs = pairs_of(fault);
  const auto cut_now = std::make_shared<bool>(false);
  const auto running = std::make_shared<bool>(true);
  const Duration period = from_ms(std::max<int64_t>(1, fault.amount));
  const auto turn = [this, pairs, cut_now, running, period](auto again) -> void {
    if (!*running) return;
    *cut_now ? net_.mend(pairs) : net_.cut(pairs);
    *cut_now = !*cut_now;
    world_.after(period, [again] { again(again); });
  };
  turn(turn);
  until(fault, [this, pairs, cut_now, running] {
    *running = false;
    if (*cut_now) net_.mend(pairs);
  });
}

void Faults::clog(const Fault& fault) {
  const Pairs pairs = both_ways(fault.mask);
  net_.clog(pairs);
  until(fault, [this, pairs] { net_.unclog(pairs); });
}

/// Nodes are clogged one after the other, and freed in another order.
void Faults::swizzle(const Fault& fault) {
  SplitMix draw(static_cast<uint64_t>(fault.seed));
  const int64_t half = std::max<int64_t>(1, fault.for_ms / 2);
  for (const SimNode* each : nodes_) {
    if (!in(fault.mask, each->number())) continue;
    Fault part = fault;
    part.mask = int64_t{1} << (each->number() - 1);
    const auto begin = static_cast<int64_t>(draw.below(static_cast<uint64_t>(half)));
    part.for_ms = half + static_cast<int64_t>(draw.below(static_cast<uint64_t>(half))) - begin;
    world_.after(from_ms(begin), [this, part] {
      if (!over_) clog(part);
    });
  }
}

void Faults::reset(const Fault& fault) {
  SimNode& one = node(fault);
  Fault other_end = fault;
  other_end.node = fault.other;
  SimNode& two = node(other_end);
  if (&one == &two) return;
  net_.reset(one.number(), two.number());
  one.peer_event(two.id(), raft::PeerEvent::kLost);
  two.peer_event(one.id(), raft::PeerEvent::kLost);
  world_.after(5ms, [this, &one, &two] {
    if (net_.is_cut(one.number(), two.number()) || !one.up() || !two.up()) return;
    one.peer_event(two.id(), raft::PeerEvent::kConnected);
    two.peer_event(one.id(), raft::PeerEvent::kConnected);
  });
}

/// A firewall answers for a host that lives: it may cost an election, never safety.
void Faults::lie(const Fault& fault) {
  SimNode& slandered = node(fault);
  const bool led = slandered.up() && slandered.engine().host().serving;
  for (SimNode* each : nodes_) {
    if (each == &slandered || !each->up()) continue;
    each->peer_event(slandered.id(), raft::PeerEvent::kLost);
    each->peer_event(slandered.id(), raft::PeerEvent::kRefused);
    world_.after(from_ms(std::max<int64_t>(1, fault.for_ms)), [&slandered, each] {
      if (each->up() && slandered.up()) {
        each->peer_event(slandered.id(), raft::PeerEvent::kConnected);
      }
    });
  }
  if (!led) return;
  world_.after(from_ms(world_.weather().election_max_ms), [this, &slandered] {
    const bool other = std::any_of(nodes_.begin(), nodes_.end(), [&](SimNode* each) {
      return each != &slandered && each->up() && each->engine().host().serving;
    });
    if (other) world_.mark(Mark::kLieCostElection);
  });
}

void Faults::old_messages(const Fault& fault) {
  const int number = node(fault).number();
  net_.repeat(number, from_ms(std::max<int64_t>(1, fault.amount)));
  until(fault, [this, number] { net_.repeat(number, 0ns); });
}

}  // namespace holdfast::sim
