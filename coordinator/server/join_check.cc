#include "coordinator/server/join_check.h"

#include <utility>

#include "raft/transport/handshake.h"

namespace holdfast::server {

JoinCheck::JoinCheck(net::Loop& loop, raft::PeerIdentity self, std::vector<net::Address> servers,
                     Done done)
    : loop_(loop),
      self_(std::move(self)),
      servers_(std::move(servers)),
      done_(std::move(done)),
      begin_(loop, [this] { ask(); }),
      end_(loop, [this] { decide(); }) {
  begin_.arm_after(0s);
  end_.arm_after(kWait);
}

void JoinCheck::ask() {
  for (const net::Address& server : servers_) {
    calls_.push_back(std::make_unique<raft::IdentityCall>(
        loop_, raft::IdentityQuery{self_.node}, server, kWait,
        [this, &server](const Result<raft::IdentityReply>& answer) { answered(server, answer); }));
  }
}

// A list that is the same on all servers names this one too: what it says of itself is no witness.
void JoinCheck::answered(const net::Address& server, const Result<raft::IdentityReply>& answer) {
  if (!done_) return;
  ++answers_;
  const bool counts = answer.ok() && answer->self.formed() && answer->self.store != self_.store;
  if (counts && answer->self.cluster == self_.cluster) {
    confirmed_ = true;
  } else if (counts && !other_) {
    other_ = net::to_string(server) + ", " + raft::describe(answer->self) + ", is of cluster " +
             std::to_string(answer->self.cluster.value);
  }
  if (confirmed_ || answers_ == servers_.size()) decide();
}

void JoinCheck::decide() {
  begin_.cancel();
  end_.cancel();
  const Done done = std::exchange(done_, nullptr);
  done(confirmed_ ? std::nullopt : other_);
}

}  // namespace holdfast::server
