// What operators ask for when they change the members, held against a configuration: what of it is
// left to do, and why it cannot be done, in one sentence with the values. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/server/host.h"
#include "gen/cpp/admin_types.h"
#include "raft/core/change.h"
#include "raft/core/raft.h"
#include "raft/transport/codec.h"

namespace holdfast::server {

/// Largest node id, as the flag --node_id has it.
inline constexpr int32_t kNodeIdMax = 1'000;

/// What is wrong with the request by itself, if anything.
std::optional<std::string> fault_of(const api::ChangeMembersRequest& request);

/// What of a request is not so yet.
struct MembersLeft {
  std::vector<api::NewMember> added;
  std::vector<NodeId> promoted;
  std::vector<NodeId> removed;
  uint32_t raise = 0;  ///< zero: no level is to be put in force
  bool empty() const { return added.empty() && promoted.empty() && removed.empty() && raise == 0; }
};
MembersLeft left_to_do(const raft::Configuration& configuration,
                       const api::ChangeMembersRequest& request);

/// Why nobody can be added as `wanted`, if so: its id is or was that of another server, or of one
/// that votes, or is to, and was to be a learner.
std::optional<Refusal> never_a_member(const api::NewMember& wanted,
                                      const raft::Configuration& configuration);
/// Why a request that adds and removes cannot be done any more, if so: those it removes were
/// removed by another one, which did not add those that it adds.
std::optional<Refusal> overtaken(const raft::Configuration& configuration,
                                 const api::ChangeMembersRequest& request);
/// Why the server that answered at the address of `wanted` cannot be added, if so.
std::optional<Refusal> obstacle(const api::NewMember& wanted, const raft::IdentityReply& answer,
                                ClusterId cluster, uint32_t feature_level);

/// How the core's refusal of `change` reads.
Refusal refusal_of(const raft::ChangeResult& result, const raft::ConfigurationChange& change,
                   const raft::Raft& core);

/// The configuration is committed, and no step of a change.
bool is_settled(const raft::Raft& core);
/// The members for people and programs; of their progress only the leader knows.
std::vector<api::Member> members_of(const raft::Raft& core);
/// "voters 1,2,4 outgoing 1,2,3 since entry 77, not committed yet".
std::string describe_members(const raft::Raft& core);

}  // namespace holdfast::server
