// What --initial_cluster says, held against the cluster that this server belongs to or is offered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/server/options.h"
#include "raft/transport/genesis.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::server {

/// The ids that --initial_cluster lists, this server's own if it lists none; ascending. None at all
/// if it joins a cluster.
std::vector<NodeId> listed_ids(const ServerOptions& options);

/// Why a server with these options must not serve as a member of this cluster, or nothing: it lists
/// a server that neither is nor was a member, by entry 1 or by `latest`, so it was told of another
/// cluster (PROMISE 1: two clusters that both believe to be the one asked for would grant one lock
/// twice). A member it does not list is no contradiction, the list then has no address of its own
/// for it.
std::optional<std::string> contradiction(const ServerOptions& options, const raft::Genesis& genesis,
                                         const raft::Configuration& latest);

/// Why a program that knows this feature level cannot serve under `latest`, or nothing.
std::optional<std::string> level_above(const raft::Configuration& latest, int32_t known);

/// The peers to dial: these members, under the addresses of the server's own list where it has one.
std::vector<raft::PeerSpec> peers_of(const ServerOptions& options,
                                     const std::vector<raft::Member>& members);

}  // namespace holdfast::server
