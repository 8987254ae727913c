// An empty server that was started with --join: asks the servers it names which cluster they are
// of, so that it takes entry 1 of no other, and says what is still missing until that comes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net/loop.h"
#include "base/net/timer.h"
#include "raft/transport/bootstrap.h"

namespace holdfast::server {

class Joiner {
 public:
  /// How long a round waits for answers, before all are asked again.
  static constexpr Duration kRound = 1s;

  struct Events {
    /// What is missing, as one sentence; each time that it changes.
    std::function<void(const std::string&)> waits;
    /// It can never join: BAD_ARGUMENT. Called once, last.
    std::function<void(const Error&)> refused;
  };

  /// Asks on the loop until it is destroyed.
  Joiner(net::Loop& loop, raft::PeerIdentity self, std::vector<net::Address> servers,
         Events events);

  /// Why entry 1 of this cluster is not taken, if so: the servers named by --join are of another
  /// one, or have not said yet.
  std::optional<std::string> contradiction(ClusterId offered) const;

 private:
  void begin_round();
  void answered(const net::Address& server, Result<raft::IdentityReply> answer);
  void end_round();
  /// Said once of all servers that wait for it.
  std::string how_to_add() const;
  /// What its answer tells; sets `refusal_` if there is no use in waiting. Empty: this server is to
  /// be added.
  std::string line_of(const std::string& server, const Result<raft::IdentityReply>& answer);

  net::Loop& loop_;
  const raft::PeerIdentity self_;
  const std::vector<net::Address> servers_;
  const Events events_;
  std::map<std::string, Result<raft::IdentityReply>> answers_;  ///< by address
  std::vector<std::unique_ptr<raft::IdentityCall>> calls_;
  ClusterId cluster_;  ///< of those servers; zero: not known yet
  std::optional<Error> refusal_;
  std::string told_;
  net::Timer next_round_;
};

}  // namespace holdfast::server
