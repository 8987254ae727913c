// The end of a run: a quorum is healed, the rest is left dead, cut off or noisy, and everything
// must come right within bounds (TESTING, liveness phase).
#include <algorithm>

#include "lockmgr/lock_table.h"
#include "tests/simulation/call_judge.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/watch_keeper.h"

namespace holdfast::sim {

namespace {

/// Elections that a healed quorum may need: 20 timeouts.
constexpr int kElections = 20;

}  // namespace

bool Simulation::in_core(const SimNode& node) const {
  return (core_mask_ >> (node.number() - 1) & 1) != 0;
}

/// The plan's core, without nodes that stay away, filled up to a quorum. One in quarantine does not
/// stand for election, even if it alone has the newest entries: a quorum of others is healed with
/// it.
void Simulation::choose_core() {
  if (plan_.weather.spares != 0) {
    // Whoever was not removed: no other quorum is sure to be one in the end.
    for (const SimNode* node : nodes_) {
      if (!node->retired()) core_mask_ |= int64_t{1} << (node->number() - 1);
    }
    return;
  }
  const auto quorum = static_cast<int>(nodes_.size() / 2 + 1);
  const int64_t wanted = plan_.weather.core_mask == 0 ? 127 : plan_.weather.core_mask;
  int size = 0;
  for (const bool filling : {false, true}) {
    for (const SimNode* node : nodes_) {
      const int64_t bit = int64_t{1} << (node->number() - 1);
      const bool take = filling ? size < quorum : (wanted & bit) != 0;
      const bool whole = !node->retired() && !node->behind_its_word() && !node->damaged() &&
                         !node->snapshot_damaged() && !node->odd();
      if (!take || (core_mask_ & bit) != 0 || !whole) continue;
      core_mask_ |= bit;
      if (!node->altered()) ++size;
    }
  }
  if (size < quorum) throw Broken(Rule::kLive, "more nodes were lost than a minority");
}

void Simulation::silence(SimNode& node) {
  const Weather& w = plan_.weather;
  const int64_t mask = int64_t{1} << (node.number() - 1);
  // Without these two a node that is heard and hears nobody may disturb for ever (4.2.3, 9.6). And
  // one with another state shows the difference for as long as it is heard: where no majority has a
  // state to tell which is right, those without one get none until an operator decides (PROMISE
  // 11).
  const bool noise_is_harmless = w.pre_vote != 0 && w.check_quorum != 0 && !node.altered();
  if (w.rest == 0) return node.retire("is left dead");
  const Pairs outwards = faults_->outwards(mask);
  Pairs pairs = faults_->both_ways(mask);
  if (w.rest == 2 && noise_is_harmless) {
    std::erase_if(pairs, [&](const auto& pair) {
      return std::find(outwards.begin(), outwards.end(), pair) != outwards.end();
    });
  }
  net_.cut(pairs);
  node.resume();
}

void Simulation::heal() {
  if (world_.listens()) world_.tell("fault", "the world is healed");
  faults_->end();
  for (const SimNode* node : nodes_) disk_operations_.push_back(node->disk_operations());
  net_.calm();
  choose_core();
  for (SimNode* node : nodes_) {
    if (!in_core(*node)) {
      if (!node->retired()) silence(*node);
      continue;
    }
    node->disk().disarm();
    node->set_unequal(false);
    node->enlarge_disk();
    node->empty_disk();
    node->resume();
    node->start();
  }
}

void Simulation::await_leader() {
  const Weather& w = plan_.weather;
  // Restarts that were under way come first, and a calm disk may still take its tail.
  run_until(world_.now() + kRestart + from_ms(2 * w.disk_tail_us / 1'000));
  run_until(world_.now() + from_ms(kElections * w.election_max_ms));
  // Without its state a server helps nobody to commit, and whom it asked for it may be gone. Or it
  // is withheld for as long as a difference counts that was shown until now: what was reported last
  // counts so long, and the doubt after it.
  const bool bare = std::ranges::any_of(nodes_, [this](SimNode* node) {
    return in_core(*node) && node->up() && node->engine().waits_for_state();
  });
  const bool doubted = std::ranges::any_of(
      nodes_, [this](SimNode* node) { return !in_core(*node) && node->altered(); });
  if (doubted) run_until(world_.now() + 2 * server::DigestWatch::kFresh);
  if (bare || doubted) run_until(world_.now() + server::SnapshotFetch::kTurnAway + 2s);
  const auto leaders = std::count_if(nodes_.begin(), nodes_.end(), [this](SimNode* node) {
    return node->up() && in_core(*node) && node->engine().host().serving;
  });
  if (leaders == 1) return;
  throw Broken(Rule::kLive, std::to_string(leaders) + " leaders that serve, " +
                                std::to_string(kElections) +
                                " election timeouts after a quorum was healed" + standings());
}

/// What stands in the way, for the reader of a failure.
std::string Simulation::who_holds() const {
  std::string text;
  for (const std::string& path : history_.locks().present(Revision(history_.last().value))) {
    const lockmgr::LockInfo lock = history_.machine().locks().describe(path);
    text += "; " + path + " held by";
    for (const auto& each : lock.holders) text += " " + std::string(each.owner);
    text += ", waited for by";
    for (const auto& each : lock.waiters) text += " " + std::string(each.owner);
  }
  return text;
}

/// Where every node stands, for the reader of a failure.
std::string Simulation::standings() {
  std::string text;
  for (SimNode* node : nodes_) {
    text += "\n" + node->name() + (in_core(*node) ? ", core: " : ": ");
    if (!node->up()) {
      text += node->seeks() ? "seeks its state" : node->loads() ? "loads" : "does not run";
      continue;
    }
    const raft::Raft& core = node->core();
    text += std::string(raft::role_name(core.role())) + " of term " +
            std::to_string(core.term().value) + ", log to " +
            std::to_string(core.log().last().value) + ", commits to " +
            std::to_string(core.commit().value) + ", applied to " +
            std::to_string(node->engine().host().applied.value);
    if (!node->engine().quarantine().empty()) text += ", in quarantine";
  }
  return text;
}

std::string Simulation::unfinished() const {
  for (const SimClient* client : clients_) {
    if (client->running() && !client->idle()) return client->busy_with() + who_holds();
  }
  for (const SimClient* client : clients_) {
    for (const SessionId session : client->left_behind()) {
      if (history_.machine().presence(session) == rsm::SessionPresence::kLive) {
        return "session " + std::to_string(session.value) + " of a process that died is there";
      }
    }
  }
  return {};
}

/// A silent holder costs up to two TTLs, one of them under notice, and a lock-delay; those who wait
/// for each other's locks may have to wait for several such.
Duration Simulation::calm_bound() const {
  const Weather& w = plan_.weather;
  return from_ms(8 * w.ttl_ms + 40 * w.election_max_ms + 130'000);
}

/// The operator's changes are all made, and come to what they say together.
void Simulation::await_members() {
  const auto left = [this] {
    return faults_->plan_of_members().unfinished(configurations_.rbegin()->second);
  };
  const Duration end = world_.now() + calm_bound();
  while (world_.now() < end && !left().empty()) run_until(world_.now() + 100ms);
  if (left().empty()) return;
  throw Broken(Rule::kLive, left() + standings());
}

void Simulation::await_clients() {
  const Duration bound = calm_bound();
  // Clients that stood still whenever there was a quorum do something first: else there is nothing
  // to judge.
  const Duration first = world_.now() + bound;
  while (recorder_.on() && !recorder_.anything_to_judge() && world_.now() < first) {
    run_until(world_.now() + 1s);
  }
  for (SimClient* client : clients_) client->quiesce();
  const Duration end = world_.now() + bound;
  while (world_.now() < end && !unfinished().empty()) run_until(world_.now() + 1s);
  const std::string left = unfinished();
  if (left.empty()) return;
  throw Broken(Rule::kLive, std::to_string(to_ms(bound)) + " ms after a quorum was healed " + left +
                                standings());
}

/// Every watch comes to what was committed by then.
void Simulation::await_watches() {
  const auto target = static_cast<int64_t>(history_.last().value);
  const auto behind = [&] {
    for (SimClient* client : clients_) {
      const std::string left = client->running() ? client->watches().behind(target) : "";
      if (!left.empty()) return left;
    }
    return std::string();
  };
  const Duration bound = calm_bound();
  const Duration end = world_.now() + bound;
  while (world_.now() < end && !behind().empty()) run_until(world_.now() + 1s);
  const std::string left = behind();
  if (left.empty()) return;
  throw Broken(Rule::kLive,
               std::to_string(to_ms(bound)) + " ms after all clients were done " + left);
}

void Simulation::judge_lock(const rsm::StateMachine& machine, const std::string& path) const {
  const lockmgr::LockInfo lock = machine.locks().describe(path);
  if (lock.waiter_count == 0) return;
  throw Broken(Rule::kLive, path + " has " + std::to_string(lock.waiter_count) +
                                " waiters when all clients are done");
}

/// The first node of the core that is not where the log ends.
std::string Simulation::behind() const {
  for (SimNode* node : nodes_) {
    if (!in_core(*node) || !is_last_member(*node)) continue;
    if (!node->up()) return node->name() + " of the core does not run";
    if (node->core().commit() == history_.last() &&
        node->engine().host().applied == history_.last()) {
      continue;
    }
    return node->name() + " knows commits to " + std::to_string(node->core().commit().value) +
           " of " + std::to_string(history_.last().value);
  }
  return {};
}

// Equal commit and state in the core, logs whole, nobody waits, and something was checked at all.
void Simulation::judge_end() {
  // Sessions that live on may still bring forth an entry: there is a moment when all are equal.
  const Duration end = world_.now() + 1s + from_ms(10 * plan_.weather.election_max_ms);
  while (world_.now() < end && !behind().empty()) run_until(world_.now() + 1ms);
  if (const std::string late = behind(); !late.empty()) throw Broken(Rule::kLive, late);
  const LogIndex last = history_.last();
  for (SimNode* node : nodes_) {
    if (!node->up()) continue;
    mark_counters(*node);
    node->check_log();
  }
  if (static_cast<int64_t>(last.value) < ledger_.newest()) {
    throw Broken(Rule::kDurable, "revision " + std::to_string(ledger_.newest()) +
                                     " was answered, the log ends at " +
                                     std::to_string(last.value));
  }
  for (const std::string& path : history_.locks().present(Revision(last.value))) {
    judge_lock(history_.machine(), path);
  }
  history_.recount();
  const bool nothing = ledger_.answers() == 0 || last.value < 3;
  if (nothing) throw Broken(Rule::kVacuous, "no call was ever answered");
}

/// Undecided is a failure too: the judge's budget is far above what a sound run takes.
void Simulation::judge_calls() {
  if (!recorder_.on()) return;
  const history::Verdict verdict = judge(recorder_.calls(), history_);
  world_.mark(Mark::kJudged);
  if (verdict.key_groups > 0) world_.mark(Mark::kKeysJudged);
  const bool closed =
      std::ranges::any_of(recorder_.calls(), [](const auto& call) { return call.answer.closed; });
  if (closed) world_.mark(Mark::kDelayJudged);
}

void Simulation::mark_counters(SimNode& node) {
  const raft::Counters& c = node.core().counters();
  const std::pair<uint64_t, Mark> kCounted[] = {
      {c.truncations, Mark::kTailTruncated},
      {c.appends_rejected, Mark::kAppendRejected},
      {c.ignored_sticky, Mark::kSticky},
      {c.check_quorum_step_downs, Mark::kCheckQuorum},
      {c.fast_campaigns, Mark::kFastFailover},
      {c.transfers - c.transfers_aborted, Mark::kTransferred},
      {c.transfers_aborted, Mark::kTransferAborted},
      {node.engine().room().stats().hand_overs, Mark::kFullHandedOver},
      {node.engine().gate().lost(), Mark::kEntriesNotTaken},
      {c.inflight_full, Mark::kInflightFull},
      {c.reads_failed, Mark::kReadsFailed},
  };
  for (const auto& [count, mark] : kCounted) {
    if (count > 0) world_.mark(mark);
  }
  if (c.pre_elections > c.elections) world_.mark(Mark::kPreVoteLost);
  if (c.elections > c.elections_won) world_.mark(Mark::kElectionLost);
  if (c.log_reads > 0 && c.probes > 0) world_.mark(Mark::kFarBehind);
  if (node.disk().paths().size() > 8 + 2) world_.mark(Mark::kManySegments);
}

}  // namespace holdfast::sim
