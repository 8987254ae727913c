// What must hold of the members while they change (I8), and who is left in the end.
#include <algorithm>

#include "raft/core/configuration.h"
#include "raft/core/quorum.h"
#include "tests/simulation/simulation.h"

namespace holdfast::sim {

void Simulation::note_configuration(const raft::Entry& entry) {
  if (entry.type != raft::EntryType::kConfiguration) return;
  auto configuration = raft::decode_configuration(entry.data.view());
  if (!configuration.ok()) throw Broken(Rule::kI8, configuration.error().message);
  const raft::Configuration& before = configurations_.rbegin()->second;
  if (!raft::may_follow(before, *configuration)) {
    throw Broken(Rule::kI8, "entry " + std::to_string(entry.index.value) + " goes from " +
                                raft::describe(before) + " to " + raft::describe(*configuration));
  }
  for (const raft::Member& member : configuration->members) {
    if (raft::find_removed(before, member.id) == nullptr) continue;
    throw Broken(Rule::kI8, "entry " + std::to_string(entry.index.value) + " takes back node " +
                                std::to_string(member.id.value) + ", which was removed");
  }
  check_levels(entry.index, before, *configuration);
  if (configuration->learners.size() < before.learners.size() &&
      configuration->voters.size() > before.voters.size()) {
    world_.mark(Mark::kLearnerPromoted);
  }
  if (raft::is_joint(before) && entry.term != configuration_term_) {
    world_.mark(Mark::kJointLeftByAnother);
  }
  configuration_term_ = entry.term;
  configurations_[entry.index] = std::move(*configuration);
}

/// No member meets what it does not know: it has the level that is put in force, and the membership
/// does not promise more of it.
void Simulation::check_levels(LogIndex index, const raft::Configuration& before,
                              const raft::Configuration& after) {
  for (const raft::Member& member : after.members) {
    const auto known =
        static_cast<uint32_t>(nodes_[static_cast<size_t>(member.id.value - 1)]->feature_level());
    if (known >= member.feature_level && known >= after.level) continue;
    throw Broken(Rule::kI8, "entry " + std::to_string(index.value) + " counts on more than level " +
                                std::to_string(known) + " of node " +
                                std::to_string(member.id.value) + ": " + raft::describe(after));
  }
  for (const raft::Member& member : before.members) {
    const raft::Member* const now = raft::find_member(after, member.id);
    if (now == nullptr || now->feature_level == member.feature_level) continue;
    world_.mark(Mark::kLevelRecorded);
  }
  if (after.level > before.level) world_.mark(Mark::kLevelRaised);
}

/// A start has the members that were committed where its state stands: its snapshot brought them,
/// or the log that is replayed will.
void Simulation::check_started_members(SimNode& node) const {
  const LogIndex applied = node.engine().host().applied;
  const auto& placed = node.core().configurations().placed_at(applied);
  const auto wanted = std::prev(configurations_.upper_bound(applied));
  if (placed.index == wanted->first && placed.configuration == wanted->second) return;
  throw Broken(Rule::kI8, node.name() + " starts at " + std::to_string(applied.value) + " with " +
                              raft::describe(placed.configuration) + " of entry " +
                              std::to_string(placed.index.value) + ", and " +
                              raft::describe(wanted->second) + " of entry " +
                              std::to_string(wanted->first.value) + " was committed");
}

/// Dissertation 4.1: the latest configuration of the log is in force, committed or not, and only if
/// there is none that of the state behind which the log begins.
void Simulation::check_latest_of_log(SimNode& node) const {
  if (plan_.weather.spares == 0) return;
  const raft::ConfigurationLog& known = node.core().configurations();
  LogIndex index = node.durable_to();
  const LogIndex first = node.core().log().first();
  for (; index >= first && index > LogIndex(1); index = index.prev()) {
    const raft::Entry entry = node.read_back(index);
    if (entry.type != raft::EntryType::kConfiguration) continue;
    const auto latest = raft::decode_configuration(entry.data.view());
    const bool same = latest.ok() && node.core().configuration() == *latest;
    if (same && known.latest_index() == index) return;
    throw Broken(Rule::kI8, node.name() + " starts with " +
                                raft::describe(node.core().configuration()) +
                                ", and its log has another one at " + std::to_string(index.value));
  }
  if (known.latest_index() < first || known.latest_index() <= LogIndex(1)) return;
  throw Broken(Rule::kI8, node.name() + " starts with a configuration of entry " +
                              std::to_string(known.latest_index().value) +
                              ", where its log has none");
}

void Simulation::check_members(SimNode& node) {
  const raft::Raft& core = node.core();
  const raft::Counters& counters = core.counters();
  if (counters.configurations_truncated > 0) world_.mark(Mark::kChangeTruncated);
  const int32_t in_force = node.engine().machine().level();
  if (in_force > node.feature_level()) {
    throw Broken(Rule::kI8, node.name() + " knows feature level " +
                                std::to_string(node.feature_level()) + " and applied level " +
                                std::to_string(in_force));
  }
  if (plan_.weather.spares == 0) return;
  for (const raft::Member& member : core.configuration().members) {
    const auto& dialled = node.reach().members;
    const bool known = std::any_of(dialled.begin(), dialled.end(),
                                   [&](const raft::Member& each) { return each.id == member.id; });
    if (known) continue;
    throw Broken(Rule::kI8, node.name() + " goes by " + raft::describe(core.configuration()) +
                                " and does not dial node " + std::to_string(member.id.value));
  }
}

bool Simulation::is_last_member(const SimNode& node) const {
  return raft::is_member(configurations_.rbegin()->second, node.id());
}

}  // namespace holdfast::sim
