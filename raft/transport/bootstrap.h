// A server started with --bootstrap: asks everybody who they are, and goes on only if all answer in
// the same round and all are empty (ARCHITECTURE, Identity). If several have the flag, the one with
// the lowest id goes first and the others wait for its genesis: no two of them mint a cluster each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/error.h"
#include "base/net/loop.h"
#include "raft/transport/codec.h"
#include "raft/transport/genesis.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::raft {

struct BootstrapOptions {
  PeerIdentity self;             ///< of the bootstrapping server, which is empty
  std::vector<PeerSpec> others;  ///< the rest of --initial_cluster; ids ascending; may be empty
  Duration round = 1s;        ///< how long one round waits for answers before all are asked again
  Duration give_up_after{0};  ///< zero: never
  std::function<void(const std::string& line)> log;  ///< "waiting for 3 (host:port): refused"
};

/// Works on the loop until `done` is called once; destroying it gives up silently.
class Bootstrapper {
 public:
  /// On success: a genesis with a freshly minted cluster id. The caller syncs it as entry 1 and
  /// hands it to TcpTransport::form(), which delivers it. Errors name the servers and ids that
  /// stand in the way. BAD_ARGUMENT: the list does not fit (another node id than listed, another
  /// list over there, one store under two ids). NOT_EMPTY: a server belongs to a cluster that does
  /// not have this one. TIMEOUT: who did not answer within give_up_after.
  /// A server that is given another one's genesis meanwhile destroys its bootstrapper.
  using Done = std::function<void(Result<Genesis>)>;
  Bootstrapper(net::Loop& loop, Entropy& entropy, BootstrapOptions options, Done done);
  ~Bootstrapper();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Asks one server for its identity. `done` is called at most once, and not after destruction.
class IdentityCall {
 public:
  using Done = std::function<void(Result<IdentityReply>)>;
  IdentityCall(net::Loop& loop, const IdentityQuery& query, const net::Address& address,
               Duration timeout, Done done);
  ~IdentityCall();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::raft
