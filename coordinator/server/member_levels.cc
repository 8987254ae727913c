#include "coordinator/server/member_levels.h"

#include <string>
#include <utility>

#include "coordinator/server/alarms.h"
#include "coordinator/server/member_request.h"

namespace holdfast::server {
namespace {

/// A leader that cannot make the change now tries again no sooner.
constexpr Duration kAgainAfter = 100ms;

std::string runs(NodeId member, uint32_t level) {
  return "node " + std::to_string(member.value) + " runs a program of feature level " +
         std::to_string(level);
}

}  // namespace

MemberLevels::MemberLevels(Host& host, LevelOf level_of)
    : host_(host), level_of_(std::move(level_of)) {}

uint32_t MemberLevels::seen(NodeId member) const {
  if (member == host_.options.self) return static_cast<uint32_t>(host_.options.feature_level);
  return level_of_ ? level_of_(member) : 0;
}

/// Never lowered: what is recorded may have been counted on already.
raft::ConfigurationChange MemberLevels::risen() const {
  raft::ConfigurationChange change;
  for (const raft::Member& member : host_.node->core().configuration().members) {
    const uint32_t level = seen(member.id);
    if (level <= member.feature_level) continue;
    change.update.push_back(member);
    change.update.back().feature_level = level;
  }
  return change;
}

void MemberLevels::turn_end() {
  if (!may_propose()) return;
  if (again_at_ != Instant::max() && host_.clock.now() < again_at_) return;
  due_ = false;
  again_at_ = Instant::max();
  const raft::ConfigurationChange change = risen();
  if (change.update.empty() || host_.node->propose_change(change).accepted()) return;
  due_ = true;
  again_at_ = host_.clock.now() + kAgainAfter;
}

// What waits for leadership, or for another change, does not wait for time.
Instant MemberLevels::next_deadline() const { return may_propose() ? again_at_ : Instant::max(); }

bool MemberLevels::may_propose() const {
  return due_ && host_.serving && is_settled(host_.node->core());
}

std::optional<Refusal> MemberLevels::obstacle(uint32_t level) const {
  for (const raft::Member& member : host_.node->core().configuration().members) {
    const uint32_t now = seen(member.id);
    if (now == 0 || now >= level || member.feature_level < level) continue;
    return Refusal{ErrorCode::kBadArgument,
                   runs(member.id, now) + " now, " + std::to_string(level) +
                       " is wanted: upgrade it again first",
                   false, false, 0};
  }
  return {};
}

void MemberLevels::add_alarms(std::vector<api::Alarm>& alarms) const {
  for (const raft::Member& member : host_.node->core().configuration().members) {
    const uint32_t now = seen(member.id);
    if (now == 0 || now >= member.feature_level) continue;
    alarms.push_back(make_alarm("MEMBER_BELOW_LEVEL", member.id,
                                runs(member.id, now) + ", and the membership has it with level " +
                                    std::to_string(member.feature_level) +
                                    ": if the cluster is raised above " + std::to_string(now) +
                                    ", it cannot start any more; upgrade it again"));
  }
}

}  // namespace holdfast::server
