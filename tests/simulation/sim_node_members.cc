// A simulated server among members that change: whom it dials and hears, how it gets entry 1, and
// how it learns that it is removed. What raft/transport and the server do over sockets.
#include <algorithm>
#include <utility>

#include "raft/core/configuration.h"
#include "raft/transport/handshake.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

namespace {

/// A server that is refused, or finds nobody, dials again after so long.
constexpr Duration kDialEvery = 400ms;
constexpr Duration kIdentityTimeout = 2s;

bool names(const std::vector<raft::Member>& members, NodeId id) {
  return std::any_of(members.begin(), members.end(),
                     [id](const raft::Member& member) { return member.id == id; });
}

}  // namespace

server::MemberPorts SimNode::member_ports() {
  return {[this](const std::string& address, server::MemberPorts::Identified done) {
            identify(address, done);
          },
          [this](const server::Reach& reach) {
            reach_ = reach;
            for (const raft::RemovedMember& removed : reach_.removed) {
              if (removed.id != id_ || removed.store != member_store_) continue;
              world_.mark(Mark::kRemovedByLog);
              if (up() && core().is_leader()) world_.mark(Mark::kLeaderRemoved);
              removed_ = "its own log has its removal";
            }
          },
          [this](NodeId peer) {
            const auto at = told_levels_.find(peer);
            return at == told_levels_.end() ? 0 : at->second;
          }};
}

raft::IdentityReply SimNode::identity() const {
  raft::IdentityReply reply;
  reply.self = {.node = id_,
                .store = member_store_,
                .cluster = formed_ ? genesis_.cluster : ClusterId(),
                .incarnation = life_,
                .peer_address = address(),
                .client_address = address(),
                .feature_level = static_cast<uint32_t>(feature_level_)};
  return reply;
}

void SimNode::identify(const std::string& address, const server::MemberPorts::Identified& done) {
  const auto at = std::find_if(nodes_.begin(), nodes_.end(),
                               [&](const SimNode* node) { return node->address() == address; });
  const bool there = at != nodes_.end() && !(*at)->retired_ && ((*at)->up() || (*at)->waits()) &&
                     !net_.is_cut(number(), (*at)->number()) &&
                     !net_.is_cut((*at)->number(), number());
  Result<raft::IdentityReply> answer = Error{ErrorCode::kTimeout, "no answer"};
  if (there) answer = (*at)->identity();
  world_.after(there ? 1ms : kIdentityTimeout, [this, answer, done, life = life_] {
    if (life != life_ || !up()) return;
    act([answer, done] { done(answer); });
  });
}

// ------------------------------------------------------------------------------- connections

/// A connection to it stands or could: this one dials it, or is dialled by it and dials it back.
bool SimNode::talks_to(const SimNode& target) const {
  if (refuses(target) || target.refuses(*this)) return false;
  if (names(reach_.members, target.id_)) return true;
  return target.up() && names(target.reach_.members, id_);
}

bool SimNode::refuses(const SimNode& dialler) const {
  return std::any_of(reach_.removed.begin(), reach_.removed.end(),
                     [&](const raft::RemovedMember& removed) {
                       return removed.id == dialler.id_ || removed.store == dialler.member_store_;
                     });
}

void SimNode::dial_round() {
  world_.after(kDialEvery, [this, life = life_] {
    world_.uncount();
    if (life != life_ || !up()) return;
    // What it is told may end it.
    const std::vector<raft::Member> members =
        paused_ ? std::vector<raft::Member>() : reach_.members;
    for (const raft::Member& member : members) {
      if (life != life_ || !up()) return;
      if (member.id != id_) dial(*nodes_[static_cast<size_t>(member.id.value - 1)]);
    }
    if (life == life_ && up()) dial_round();
  });
}

void SimNode::dial(SimNode& target) {
  if (net_.is_cut(number(), target.number()) || net_.is_cut(target.number(), number())) return;
  if (target.paused_ || target.retired_) return;
  if (target.waits()) {
    return target.offered(genesis_, raft::find_member(core().configuration(), target.id_));
  }
  if (!target.up()) return;
  if (target.refuses(*this)) {
    world_.mark(Mark::kRemovedTold);
    return told_removed(target.name_ + " says that it was removed");
  }
  if (!names(target.reach_.members, id_)) world_.mark(Mark::kGuestHeard);
}

/// What the transport and the server make of an offer; `named` is what the server that makes it has
/// this one for.
void SimNode::offered(const raft::Genesis& genesis, const raft::Member* named) {
  if (disk_full_) return;
  raft::Hello claim;
  claim.self.cluster = genesis.cluster;
  if (named != nullptr) {
    claim.expected_node = named->id;
    claim.expected_store = named->store;
  }
  if (raft::refuse_genesis(identity().self, genesis, /*joins=*/true, claim)) return;
  log_line("is given entry 1");
  world_.mark(Mark::kNewcomerFormed);
  form(genesis);
}

void SimNode::told_removed(const std::string& how) {
  if (!removed_.empty()) return;
  removed_ = how;
  act([this] {
    if (up()) engine().stand_aside();
  });
}

}  // namespace holdfast::sim
