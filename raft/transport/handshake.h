// What two servers check about each other before a message counts. Both sides check, with the same
// rules; a refusal names both values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "raft/transport/codec.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::raft {

/// Why the dialler of `hello` is refused, or nothing. `peer` is what this server knows of the node
/// that the dialler says it is; null: not a member.
std::optional<std::string> refuse_hello(const PeerIdentity& self,
                                        const std::vector<AgreedFlag>& flags, const PeerSpec* peer,
                                        const Hello& hello);

/// Why the answer of a server that was dialled as `peer` is not good enough, or nothing.
std::optional<std::string> refuse_reply(const PeerIdentity& self,
                                        const std::vector<AgreedFlag>& flags, const PeerSpec& peer,
                                        const HelloReply& reply);

/// Why this empty server does not take the genesis, or nothing (ARCHITECTURE, Identity: only one
/// that names its own store id).
std::optional<std::string> refuse_genesis(const PeerIdentity& self, const Genesis& genesis);

/// What is wrong with this empty server, if the dialler's cluster knows its node under another
/// store: its disk was wiped or swapped, and no genesis will come.
std::optional<std::string> wiped(const PeerIdentity& self, const Hello& hello);

/// "node 3 (store 5, 10.0.0.3:7001)"; for people.
std::string describe(const PeerIdentity& identity);

}  // namespace holdfast::raft
