#include "coordinator/server/initial_cluster.h"

#include <algorithm>

#include "raft/core/quorum.h"

namespace holdfast::server {

namespace {

std::string list_of(const std::vector<NodeId>& ids) {
  std::string text;
  for (const NodeId id : ids) text += (text.empty() ? "" : ",") + std::to_string(id.value);
  return text;
}

}  // namespace

std::vector<NodeId> listed_ids(const ServerOptions& options) {
  if (!options.join.empty()) return {};
  if (options.initial_cluster.empty()) return {options.node_id};
  std::vector<NodeId> ids;
  for (const InitialMember& member : options.initial_cluster) ids.push_back(member.id);
  return ids;
}

std::optional<std::string> contradiction(const ServerOptions& options, const raft::Genesis& genesis,
                                         const raft::Configuration& latest) {
  std::vector<NodeId> listed = listed_ids(options);
  if (options.initial_cluster.empty()) listed.clear();
  const std::vector<NodeId> members = raft::member_ids(latest);
  const bool all_are_known = std::all_of(listed.begin(), listed.end(), [&](NodeId id) {
    return raft::find_member(genesis.configuration, id) != nullptr ||
           raft::find_member(latest, id) != nullptr || raft::find_removed(latest, id) != nullptr;
  });
  if (all_are_known) return {};
  return "cluster " + std::to_string(genesis.cluster.value) +
         (members.size() == 1 ? ", whose only member is node " : ", whose members are nodes ") +
         list_of(members) + "; --initial_cluster lists " + list_of(listed);
}

std::optional<std::string> level_above(const raft::Configuration& latest, int32_t known) {
  if (latest.level <= static_cast<uint32_t>(known)) return {};
  return "feature level " + std::to_string(latest.level) +
         " is in force, this program knows level " + std::to_string(known) +
         ": upgrade this server";
}

std::vector<raft::PeerSpec> peers_of(const ServerOptions& options,
                                     const std::vector<raft::Member>& members) {
  std::vector<raft::PeerSpec> peers;
  for (const raft::Member& member : members) {
    auto address = net::parse_address(member.peer_address);
    for (const InitialMember& named : options.initial_cluster) {
      if (named.id == member.id) address = named.peer;
    }
    if (address.ok()) peers.push_back({member.id, *address, member.store});
  }
  return peers;
}

}  // namespace holdfast::server
