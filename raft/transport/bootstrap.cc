#include "raft/transport/bootstrap.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/net/frame_connection.h"
#include "base/net/timer.h"
#include "raft/transport/handshake.h"

namespace holdfast::raft {

// ---- one question to one server

class IdentityCall::Impl final : net::FrameConnection::Handler {
 public:
  Impl(net::Loop& loop, const net::Address& address, Duration timeout, Done done)
      : done_(std::move(done)),
        connection_(net::FrameConnection::dial(loop, address,
                                               {.max_frame_bytes = 64 << 10,
                                                .connect_timeout = timeout,
                                                .frame_timeout = timeout,
                                                .idle_timeout = timeout},
                                               *this)) {
    connection_->send_with([](std::string& out) { encode(IdentityQuery{}, out); });
  }

 private:
  void on_frame(net::FrameConnection& connection, std::string_view payload) override {
    const Result<PeerFrame> frame = decode_frame(payload);
    connection.close();
    if (!frame) return finish(frame.error());
    const auto* const reply = std::get_if<IdentityReply>(&*frame);
    if (reply == nullptr) {
      return finish(
          Error{ErrorCode::kCorrupt, net::to_string(connection.peer()) + " did not say who it is"});
    }
    finish(reply->self);
  }

  void on_closed(net::FrameConnection&, const net::CloseReason& reason) override {
    finish(reason.error);
  }

  /// The last thing it does: `done_` may destroy the call.
  void finish(Result<PeerIdentity> result) {
    const Done done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  Done done_;
  std::unique_ptr<net::FrameConnection> connection_;
};

IdentityCall::IdentityCall(net::Loop& loop, const net::Address& address, Duration timeout,
                           Done done)
    : impl_(std::make_unique<Impl>(loop, address, timeout, std::move(done))) {}

IdentityCall::~IdentityCall() = default;

// ---- rounds of questions to all

class Bootstrapper::Impl {
 public:
  Impl(net::Loop& loop, Entropy& entropy, BootstrapOptions options, Done done)
      : loop_(loop),
        entropy_(entropy),
        options_(std::move(options)),
        done_(std::move(done)),
        started_(loop.clock().now()),
        next_round_(loop, [this] { begin_round(); }) {
    next_round_.arm_after(0s);  // the outcome never comes from inside the constructor
  }

 private:
  void begin_round();
  void answered(const PeerSpec& peer, const Result<PeerIdentity>& answer);
  void end_round();
  std::optional<Error> obstacle(const PeerSpec& peer, const PeerIdentity& identity) const;
  Genesis mint() const;
  void finish(Result<Genesis> result);

  net::Loop& loop_;
  Entropy& entropy_;
  const BootstrapOptions options_;
  Done done_;
  const Instant started_;
  net::Timer next_round_;
  std::vector<std::unique_ptr<IdentityCall>> calls_;
  std::map<NodeId, Result<PeerIdentity>> answers_;
};

void Bootstrapper::Impl::begin_round() {
  calls_.clear();
  answers_.clear();
  if (options_.others.empty()) return finish(mint());
  for (const PeerSpec& peer : options_.others) {
    calls_.push_back(std::make_unique<IdentityCall>(
        loop_, peer.address, options_.round,
        [this, &peer](const Result<PeerIdentity>& answer) { answered(peer, answer); }));
  }
}

void Bootstrapper::Impl::answered(const PeerSpec& peer, const Result<PeerIdentity>& answer) {
  if (!done_) return;  // decided already, by another answer of this round
  if (answer) {
    if (auto in_the_way = obstacle(peer, *answer)) return finish(*in_the_way);
  }
  answers_.emplace(peer.id, answer);
  if (answers_.size() == options_.others.size()) end_round();
}

/// What waiting will not change.
std::optional<Error> Bootstrapper::Impl::obstacle(const PeerSpec& peer,
                                                  const PeerIdentity& identity) const {
  const auto refuse = [](const std::string& why) {
    return Error{ErrorCode::kBadArgument, "bootstrap refused: " + why};
  };
  const std::string listed = std::to_string(peer.id.value) + "=" + net::to_string(peer.address);
  if (identity.formed()) {
    return refuse(listed + " belongs to cluster " + std::to_string(identity.cluster.value) +
                  " already (" + describe(identity) + ")");
  }
  if (identity.node != peer.id) {
    return refuse(listed + " says it is node " + std::to_string(identity.node.value));
  }
  const auto same_store = [&](const PeerIdentity& other) { return other.store == identity.store; };
  const auto twice = std::find_if(answers_.begin(), answers_.end(), [&](const auto& other) {
    return other.second.ok() && same_store(*other.second);
  });
  if (same_store(options_.self) || twice != answers_.end()) {
    return refuse(
        "store " + std::to_string(identity.store.value) + " answers for " + listed +
        " and for node " +
        std::to_string(same_store(options_.self) ? options_.self.node.value : twice->first.value));
  }
  return {};
}

void Bootstrapper::Impl::end_round() {
  std::string missing;
  for (const PeerSpec& peer : options_.others) {
    const Result<PeerIdentity>& answer = answers_.at(peer.id);
    if (answer) continue;
    missing += (missing.empty() ? "" : "; ") + std::to_string(peer.id.value) + ": " +
               answer.error().message;
  }
  if (missing.empty()) return finish(mint());
  const std::string line = "bootstrap waits for all of --initial_cluster: " + missing;
  const Duration limit = options_.give_up_after;
  if (limit > 0s && loop_.now() - started_ >= limit) {
    return finish(Error{ErrorCode::kTimeout, line});
  }
  if (options_.log) options_.log(line);
  next_round_.arm_after(options_.round);
}

Genesis Bootstrapper::Impl::mint() const {
  std::map<NodeId, PeerIdentity> all{{options_.self.node, options_.self}};
  for (const auto& [id, answer] : answers_) all.emplace(id, *answer);
  Genesis genesis;
  genesis.cluster = ClusterId(entropy_.next_id());
  for (const auto& [id, identity] : all) {
    genesis.configuration.voters.push_back(id);
    genesis.configuration.members.push_back({id, identity.store, identity.peer_address,
                                             identity.client_address, identity.feature_level});
  }
  return genesis;
}

void Bootstrapper::Impl::finish(Result<Genesis> result) {
  next_round_.cancel();
  const Done done = std::exchange(done_, nullptr);
  done(std::move(result));
}

Bootstrapper::Bootstrapper(net::Loop& loop, Entropy& entropy, BootstrapOptions options, Done done)
    : impl_(std::make_unique<Impl>(loop, entropy, std::move(options), std::move(done))) {}

Bootstrapper::~Bootstrapper() = default;

}  // namespace holdfast::raft
