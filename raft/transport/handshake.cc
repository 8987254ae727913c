#include "raft/transport/handshake.h"

#include <map>

namespace holdfast::raft {

namespace {

using Reason = std::optional<std::string>;

std::string text(uint64_t value) { return std::to_string(value); }

Reason compare_cluster(const PeerIdentity& self, const PeerIdentity& other) {
  if (other.cluster == self.cluster) return {};
  return "cluster ids differ: " + text(self.cluster.value) + " on node " + text(self.node.value) +
         ", " + text(other.cluster.value) + " on node " + text(other.node.value);
}

/// Answers of a member count only from the store bound to it.
Reason compare_store(const PeerSpec& expected, const PeerIdentity& other) {
  if (!expected.store || expected.store == other.store) return {};
  return "node " + text(other.node.value) + " answers with store " + text(other.store.value) +
         ", the member's store is " + text(expected.store.value) +
         ": another data directory must join as a new member";
}

/// What comes next in the log may be more than it knows.
Reason compare_level(uint32_t level, const PeerIdentity& other) {
  if (other.feature_level >= level) return {};
  return "node " + text(other.node.value) + " knows feature level " + text(other.feature_level) +
         ", and " + text(level) + " is in force: upgrade it";
}

/// The first flag by name that the two do not have alike.
Reason compare_flags(const PeerIdentity& self, const std::vector<AgreedFlag>& ours,
                     const PeerIdentity& other, const std::vector<AgreedFlag>& theirs) {
  constexpr const char* kAbsent = "(absent)";
  std::map<std::string, std::pair<std::string, std::string>> both;
  for (const AgreedFlag& flag : ours) both[flag.name] = {flag.value, kAbsent};
  for (const AgreedFlag& flag : theirs) {
    both.try_emplace(flag.name, kAbsent, kAbsent).first->second.second = flag.value;
  }
  for (const auto& [name, values] : both) {
    if (values.first == values.second) continue;
    return name + " must be the same everywhere: " + values.first + " on node " +
           text(self.node.value) + ", " + values.second + " on node " + text(other.node.value);
  }
  return {};
}

/// What the dialler believes of this server.
Reason refuse_claims(const PeerIdentity& self, const Hello& hello) {
  if (!self.formed()) {
    const std::string empty = "node " + text(self.node.value) + " is empty: store " +
                              text(self.store.value) + " belongs to no cluster yet";
    if (!wiped(self, hello)) return empty;
    return empty + ", the member's store is " + text(hello.expected_store.value) +
           ": its disk was wiped or swapped";
  }
  if (Reason cluster = compare_cluster(self, hello.self)) return cluster;
  if (hello.expected_node != self.node) {
    return "this is node " + text(self.node.value) + ", node " + text(hello.self.node.value) +
           " meant to reach node " + text(hello.expected_node.value);
  }
  return compare_store({hello.expected_node, {}, hello.expected_store}, self);
}

HelloRefusal refuse_removed(const RemovedMember& removed, const PeerIdentity& dialler) {
  const std::string was = "node " + text(removed.id.value) + " (store " +
                          text(removed.store.value) + ") was removed from the cluster at entry " +
                          text(removed.index.value);
  if (removed.id == dialler.node && removed.store == dialler.store) {
    return {was +
                ": it takes no part any more; with an empty directory and a new id the server can "
                "join again",
            true};
  }
  return {was + ", and neither its id nor its store is used again: this is node " +
          text(dialler.node.value) + " with store " + text(dialler.store.value)};
}

/// Who the dialler says it is.
Reason refuse_dialler(const Acquaintance& known, const Hello& hello) {
  if (known.peer != nullptr) return compare_store(*known.peer, hello.self);
  if (known.owner == nullptr) return {};
  return "store " + text(hello.self.store.value) + " is that of node " +
         text(known.owner->id.value) + ", node " + text(hello.self.node.value) + " claims it";
}

}  // namespace

std::optional<HelloRefusal> refuse_hello(const PeerIdentity& self,
                                         const std::vector<AgreedFlag>& flags,
                                         const Acquaintance& known, const Hello& hello) {
  if (Reason wrong = refuse_claims(self, hello)) return HelloRefusal{*wrong};
  if (known.removed != nullptr) return refuse_removed(*known.removed, hello.self);
  if (Reason wrong = refuse_dialler(known, hello)) return HelloRefusal{*wrong};
  if (Reason wrong = compare_level(known.level, hello.self)) return HelloRefusal{*wrong};
  if (Reason wrong = compare_flags(self, flags, hello.self, hello.flags)) {
    return HelloRefusal{*wrong};
  }
  return {};
}

Reason refuse_reply(const PeerIdentity& self, const std::vector<AgreedFlag>& flags,
                    const PeerSpec& peer, uint32_t level, const HelloReply& reply) {
  if (!reply.accepted) return reply.reason;
  if (reply.self.node != peer.id) {
    return net::to_string(peer.address) + " is node " + text(reply.self.node.value) +
           ", expected node " + text(peer.id.value);
  }
  if (Reason cluster = compare_cluster(self, reply.self)) return cluster;
  if (Reason store = compare_store(peer, reply.self)) return store;
  if (Reason below = compare_level(level, reply.self)) return below;
  return compare_flags(self, flags, reply.self, reply.flags);
}

Reason refuse_genesis(const PeerIdentity& self, const Genesis& genesis, bool joins,
                      const std::optional<Hello>& claim) {
  const std::string cluster = "the genesis of cluster " + text(genesis.cluster.value);
  if (self.formed()) {
    return "node " + text(self.node.value) + " belongs to cluster " + text(self.cluster.value) +
           " already, cluster " + text(genesis.cluster.value) + " was offered";
  }
  if (Reason below = compare_level(genesis.configuration.level, self)) return below;
  const Member* const member = find_member(genesis.configuration, self.node);
  if (member != nullptr && member->store == self.store) return {};
  if (member != nullptr) {
    return cluster + " binds node " + text(self.node.value) + " to store " +
           text(member->store.value) + ", this is store " + text(self.store.value);
  }
  if (!joins) {
    return cluster + " names no node " + text(self.node.value) + ", and this server has no --join";
  }
  const bool named = claim && claim->self.cluster == genesis.cluster &&
                     claim->expected_node == self.node && claim->expected_store == self.store;
  if (named) return {};
  return cluster + " names no node " + text(self.node.value) +
         ", nor does the server that offers it with store " + text(self.store.value);
}

Reason wiped(const PeerIdentity& self, const Hello& hello) {
  if (self.formed() || hello.expected_node != self.node || !hello.expected_store ||
      hello.expected_store == self.store) {
    return {};
  }
  return describe(hello.self) + " belongs to cluster " + text(hello.self.cluster.value) +
         ", which has node " + text(self.node.value) + " under store " +
         text(hello.expected_store.value) + ", this is the empty store " + text(self.store.value) +
         ": the disk was wiped or swapped, or this is the wrong --data_dir; under this id only the "
         "old directory may come back";
}

std::string describe(const PeerIdentity& identity) {
  return "node " + text(identity.node.value) + " (store " + text(identity.store.value) + ", " +
         identity.peer_address + ")";
}

}  // namespace holdfast::raft
