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
  Impl(net::Loop& loop, const IdentityQuery& query, const net::Address& address, Duration timeout,
       Done done)
      : done_(std::move(done)),
        connection_(net::FrameConnection::dial(loop, address,
                                               {.max_frame_bytes = 64 << 10,
                                                .connect_timeout = timeout,
                                                .frame_timeout = timeout,
                                                .idle_timeout = timeout},
                                               *this)) {
    connection_->send_with([&](std::string& out) { encode(query, out); });
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
    finish(*reply);
  }

  void on_closed(net::FrameConnection&, const net::CloseReason& reason) override {
    finish(reason.error);
  }

  /// The last thing it does: `done_` may destroy the call.
  void finish(Result<IdentityReply> result) {
    const Done done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  Done done_;
  std::unique_ptr<net::FrameConnection> connection_;
};

IdentityCall::IdentityCall(net::Loop& loop, const IdentityQuery& query, const net::Address& address,
                           Duration timeout, Done done)
    : impl_(std::make_unique<Impl>(loop, query, address, timeout, std::move(done))) {}

IdentityCall::~IdentityCall() = default;

// ---- rounds of questions to all

namespace {

Error refused(ErrorCode code, const std::string& why) {
  return {code, "bootstrap refused: " + why};
}

std::string text(const std::vector<NodeId>& ids) {
  std::string out;
  for (const NodeId id : ids) out += (out.empty() ? "" : ",") + std::to_string(id.value);
  return out;
}

}  // namespace

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
  using Answer = Result<IdentityReply>;

  void begin_round();
  void answered(const PeerSpec& peer, const Answer& answer);
  void end_round();
  std::optional<Error> obstacle(const PeerSpec& peer, const IdentityReply& reply) const;
  std::optional<Error> obstacle_of_formed(const std::string& listed,
                                          const IdentityReply& reply) const;
  std::optional<Error> obstacle_of_store(const std::string& listed, StoreId store) const;
  std::string why_wait(const PeerSpec& peer) const;
  std::vector<NodeId> listed_here() const;
  Genesis mint() const;
  void finish(Result<Genesis> result);

  net::Loop& loop_;
  Entropy& entropy_;
  const BootstrapOptions options_;
  Done done_;
  const Instant started_;
  net::Timer next_round_;
  std::vector<std::unique_ptr<IdentityCall>> calls_;
  std::map<NodeId, Answer> answers_;
};

void Bootstrapper::Impl::begin_round() {
  calls_.clear();
  answers_.clear();
  if (options_.others.empty()) return finish(mint());
  for (const PeerSpec& peer : options_.others) {
    calls_.push_back(std::make_unique<IdentityCall>(
        loop_, IdentityQuery{options_.self.node}, peer.address, options_.round,
        [this, &peer](const Answer& answer) { answered(peer, answer); }));
  }
}

void Bootstrapper::Impl::answered(const PeerSpec& peer, const Answer& answer) {
  if (!done_) return;  // decided already, by another answer of this round
  if (answer) {
    if (auto in_the_way = obstacle(peer, *answer)) return finish(*in_the_way);
  }
  answers_.emplace(peer.id, answer);
  if (answers_.size() == options_.others.size()) end_round();
}

std::vector<NodeId> Bootstrapper::Impl::listed_here() const {
  std::vector<NodeId> ids{options_.self.node};
  for (const PeerSpec& peer : options_.others) ids.push_back(peer.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

/// What waiting will not change.
std::optional<Error> Bootstrapper::Impl::obstacle(const PeerSpec& peer,
                                                  const IdentityReply& reply) const {
  const std::string listed = std::to_string(peer.id.value) + "=" + net::to_string(peer.address);
  if (reply.self.formed()) return obstacle_of_formed(listed, reply);
  if (reply.self.node != peer.id) {
    return refused(ErrorCode::kBadArgument,
                   listed + " says it is node " + std::to_string(reply.self.node.value));
  }
  if (reply.listed != listed_here()) {
    return refused(ErrorCode::kBadArgument,
                   listed + " was told to form a cluster of nodes " + text(reply.listed) +
                       ", node " + std::to_string(options_.self.node.value) + " one of nodes " +
                       text(listed_here()) + ": --initial_cluster must list the same everywhere");
  }
  return obstacle_of_store(listed, reply.self.store);
}

std::optional<Error> Bootstrapper::Impl::obstacle_of_formed(const std::string& listed,
                                                            const IdentityReply& reply) const {
  if (reply.asker_store == options_.self.store) return {};  // it will deliver entry 1
  const std::string self = "node " + std::to_string(options_.self.node.value);
  const std::string why =
      reply.asker_store
          ? "has " + self + " under store " + std::to_string(reply.asker_store.value) +
                ", this is the empty store " + std::to_string(options_.self.store.value) +
                ": the disk was wiped or swapped, or this is the wrong --data_dir"
          : "has no " + self;
  return refused(ErrorCode::kNotEmpty, listed + " belongs to cluster " +
                                           std::to_string(reply.self.cluster.value) + " already (" +
                                           describe(reply.self) + "), which " + why);
}

std::optional<Error> Bootstrapper::Impl::obstacle_of_store(const std::string& listed,
                                                           StoreId store) const {
  std::map<NodeId, StoreId> known{{options_.self.node, options_.self.store}};
  for (const auto& [id, answer] : answers_) {
    if (answer) known.emplace(id, answer->self.store);
  }
  const auto twice = std::find_if(known.begin(), known.end(),
                                  [store](const auto& other) { return other.second == store; });
  if (twice == known.end()) return {};
  return refused(ErrorCode::kBadArgument, "store " + std::to_string(store.value) + " answers for " +
                                              listed + " and for node " +
                                              std::to_string(twice->first.value));
}

/// What keeps the round from being the last, as far as this server is concerned; empty: nothing.
std::string Bootstrapper::Impl::why_wait(const PeerSpec& peer) const {
  const Answer& answer = answers_.at(peer.id);
  if (!answer) return answer.error().message;
  if (answer->self.formed()) {
    return "formed cluster " + std::to_string(answer->self.cluster.value) +
           " with this server and will deliver its first entry";
  }
  // All lists are equal and all servers asked each other: one alone is the lowest.
  if (answer->bootstraps && peer.id < options_.self.node) return "has --bootstrap too, goes first";
  return {};
}

void Bootstrapper::Impl::end_round() {
  std::string waiting;
  for (const PeerSpec& peer : options_.others) {
    const std::string why = why_wait(peer);
    if (why.empty()) continue;
    waiting += (waiting.empty() ? "" : "; ") + std::to_string(peer.id.value) + ": " + why;
  }
  if (waiting.empty()) return finish(mint());
  const std::string line = "bootstrap waits for all of --initial_cluster: " + waiting;
  const Duration limit = options_.give_up_after;
  if (limit > 0s && loop_.now() - started_ >= limit) {
    return finish(Error{ErrorCode::kTimeout, line});
  }
  if (options_.log) options_.log(line);
  next_round_.arm_after(options_.round);
}

Genesis Bootstrapper::Impl::mint() const {
  std::map<NodeId, PeerIdentity> all{{options_.self.node, options_.self}};
  for (const auto& [id, answer] : answers_) all.emplace(id, answer->self);
  Genesis genesis;
  genesis.cluster = ClusterId(entropy_.next_id());
  for (const auto& [id, identity] : all) {
    genesis.configuration.voters.push_back(id);
    genesis.configuration.members.push_back({id, identity.store, identity.peer_address,
                                             identity.client_address, identity.feature_level});
  }
  genesis.configuration.level = first_level(genesis.configuration.members);
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
