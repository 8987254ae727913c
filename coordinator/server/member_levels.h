// The feature levels of the members. A server that was upgraded says its level when it connects,
// and the leader brings the membership up to date by itself, so that the level in force can be
// raised (docs/state-machine.md, "Feature levels"). One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "coordinator/server/host.h"
#include "gen/cpp/admin_types.h"
#include "raft/core/change.h"

namespace holdfast::server {

class MemberLevels {
 public:
  /// The level that a peer named when it was last talked to; zero: it was not.
  using LevelOf = std::function<uint32_t(NodeId)>;
  MemberLevels(Host& host, LevelOf level_of);

  /// A member may know more than the membership says.
  void look() { due_ = true; }
  /// Closes a turn: proposes what is due, if this server leads and no other change is under way.
  void turn_end();
  Instant next_deadline() const;

  /// Why the level in force is not to be raised to this one, as far as this server has seen the
  /// members: one may run an older program than the membership says.
  std::optional<Refusal> obstacle(uint32_t level) const;
  /// MEMBER_BELOW_LEVEL.
  void add_alarms(std::vector<api::Alarm>& alarms) const;

 private:
  uint32_t seen(NodeId member) const;
  bool may_propose() const;
  raft::ConfigurationChange risen() const;

  Host& host_;
  LevelOf level_of_;
  bool due_ = true;
  Instant again_at_ = Instant::max();  ///< not before, if a proposal was refused
};

}  // namespace holdfast::server
