// A member that starts again with --join: asks the servers it names which cluster they are of,
// before it serves. Its directory belongs to a cluster for good, so the flag adds nothing to that;
// but it says which cluster is meant, and the directory may be of another one.
//
// Why such a start ends, and is no mere alarm: a directory of the wrong cluster, say of one that
// `holdfastd` formed once by itself, would elect itself and grant to the clients of its addresses
// what the cluster that was meant has granted to others (PROMISE 1). The price is a member that
// does not come back if the addresses of --join went to another cluster since; so one server of its
// own cluster among them is enough to go on, whatever the others are, a server that runs is never
// ended, and to leave the flag out ends it. Nobody has to be up: silence, refused connections and
// servers without a cluster contradict nothing, and the start waits for them no longer than kWait.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net/loop.h"
#include "base/net/timer.h"
#include "raft/transport/bootstrap.h"

namespace holdfast::server {

class JoinCheck {
 public:
  static constexpr Duration kWait = 1s;
  /// Which server is of which other cluster; nothing: go on.
  using Done = std::function<void(std::optional<std::string> contradiction)>;

  /// `self` with its cluster. Asks on the loop, and calls `done` once, not from inside; that may
  /// destroy it.
  JoinCheck(net::Loop& loop, raft::PeerIdentity self, std::vector<net::Address> servers, Done done);

 private:
  void ask();
  void answered(const net::Address& server, const Result<raft::IdentityReply>& answer);
  /// The last thing it does.
  void decide();

  net::Loop& loop_;
  const raft::PeerIdentity self_;
  const std::vector<net::Address> servers_;
  Done done_;
  std::vector<std::unique_ptr<raft::IdentityCall>> calls_;
  size_t answers_ = 0;
  bool confirmed_ = false;  ///< one of them is of the own cluster
  std::optional<std::string> other_;
  net::Timer begin_;
  net::Timer end_;
};

}  // namespace holdfast::server
