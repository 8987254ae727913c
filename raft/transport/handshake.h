// What two servers check about each other before a message counts. Both sides check, with the same
// rules; a refusal names both values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "raft/transport/codec.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::raft {

/// What this server knows of a dialler, by the node id and the store that it claims.
struct Acquaintance {
  const PeerSpec* peer = nullptr;          ///< has that node id
  const PeerSpec* owner = nullptr;         ///< has that store
  const RemovedMember* removed = nullptr;  ///< had one of them, and was removed
  uint32_t level = 0;                      ///< feature level in force; zero: none known
};

struct HelloRefusal {
  std::string reason;
  bool removed = false;  ///< the dialler was a member, with this store, and is none any more
};

/// Why the dialler of `hello` is refused, or nothing. One that is not known is not refused: it may
/// have become a member, and even lead, while this server was away.
std::optional<HelloRefusal> refuse_hello(const PeerIdentity& self,
                                         const std::vector<AgreedFlag>& flags,
                                         const Acquaintance& known, const Hello& hello);

/// Why the answer of a server that was dialled as `peer` is not good enough, or nothing. `level` is
/// the feature level in force.
std::optional<std::string> refuse_reply(const PeerIdentity& self,
                                        const std::vector<AgreedFlag>& flags, const PeerSpec& peer,
                                        uint32_t level, const HelloReply& reply);

/// Why this empty server does not take the genesis, or nothing. One that `joins` takes a genesis
/// that does not name it, from a server of that cluster whose configuration does: by `claim`, its
/// hello, with this node id and this very store. Any other takes only one that names its own store
/// id (ARCHITECTURE, Identity).
std::optional<std::string> refuse_genesis(const PeerIdentity& self, const Genesis& genesis,
                                          bool joins, const std::optional<Hello>& claim);

/// What is wrong with this empty server, if the dialler's cluster knows its node under another
/// store: its disk was wiped or swapped, and no genesis will come.
std::optional<std::string> wiped(const PeerIdentity& self, const Hello& hello);

/// "node 3 (store 5, 10.0.0.3:7001)"; for people.
std::string describe(const PeerIdentity& identity);

}  // namespace holdfast::raft
