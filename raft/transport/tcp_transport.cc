#include "raft/transport/tcp_transport.h"

#include <algorithm>
#include <array>
#include <map>

#include "raft/transport/handshake.h"
#include "raft/transport/inbound_connection.h"
#include "raft/transport/outbound_lane.h"

namespace holdfast::raft {

namespace {

constexpr Duration kLogAgainAfter = 10s;
/// Two processes that go by one identity take each other's place every few seconds.
constexpr Duration kTwiceRemembered = 60s;
constexpr size_t kMaxRememberedLines = 256;
constexpr size_t kAppHeadBytes = 64;  // more than an app frame adds to its payload
constexpr size_t kMaxInbound = 1'024;
/// While fewer files may be opened than the log and others need, no more strangers than these are
/// let in: every peer begins as one.
constexpr size_t kStrangersWhenShort = 8;

size_t index_of(Lane lane) { return static_cast<size_t>(lane); }

/// One server we dial and believe.
struct Peer {
  PeerSpec spec;
  std::array<std::unique_ptr<OutboundLane>, kLanes> lanes;
  std::array<InboundConnection*, kLanes> inbound{};
  uint64_t incarnation = 0;
  uint64_t caller = 0;  ///< incarnation of the process that dialled us last, and of the one before
  uint64_t former_caller = 0;
  std::optional<Instant> twice_at;  ///< when the one before was last seen to live
  uint32_t level = 0;
  bool guest = false;
  bool refused_reported = false;  ///< since it was up last
  std::string refusal;            ///< why we refused its hello last
  std::string refused_by_it;      ///< why we and it do not agree on the lane we dialled
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t dropped = 0;
  uint64_t connects = 0;

  /// A process that another has followed does not come back: then both run.
  void called_by(uint64_t process, Instant now) {
    if (process == caller) return;
    if (process == former_caller) twice_at = now;
    former_caller = std::exchange(caller, process);
  }
  bool inbound_up() const {
    return std::any_of(inbound.begin(), inbound.end(), [](auto* one) { return one != nullptr; });
  }
  bool lane_up(Lane lane) const {
    const auto& outbound = lanes[index_of(lane)];
    return outbound != nullptr && outbound->up();
  }
};

}  // namespace

class TcpTransport::Impl final : public OutboundLane::Listener, public InboundConnection::Owner {
 public:
  Impl(net::Loop& loop, Entropy& entropy, TransportOptions options, PeerIdentity self,
       TransportHandler& handler, GenesisTaker& taker)
      : context_{loop, std::move(options), std::move(self), {}, SplitMix(entropy.next_u64())},
        handler_(handler),
        taker_(taker) {
    context_.self.incarnation = entropy.next_id();
  }

  Status listen();
  void form(ClusterId cluster, std::string genesis);
  void set_peers(std::vector<PeerSpec> peers, std::vector<RemovedMember> removed, uint32_t level);
  void close();
  std::vector<PeerLink> peers() const;
  uint32_t level_of(NodeId peer) const {
    const auto at = peers_.find(peer);
    return at == peers_.end() ? 0 : at->second.level;
  }
  template <class Fill>
  bool send(NodeId to, Lane lane, size_t size, Fill&& fill);

  const PeerIdentity& self() const { return context_.self; }
  uint16_t port() const { return listener_ == nullptr ? 0 : listener_->port(); }

 private:
  // OutboundLane::Listener
  void on_lane_up(OutboundLane& lane, const PeerIdentity& identity) override;
  void on_lane_lost(OutboundLane& lane, const std::string& detail) override;
  void on_lane_refused(OutboundLane& lane, const std::string& detail) override;
  void on_lane_mismatch(OutboundLane& lane, const std::string& detail) override;
  void on_removed(OutboundLane& lane, const std::string& detail) override;

  // InboundConnection::Owner
  std::optional<HelloRefusal> judge_hello(const Hello& hello) override;
  StoreId store_of(NodeId node) const override;
  bool has_removed(NodeId node) const override;
  void on_inbound_agreed(InboundConnection& inbound, const Hello& hello) override;
  void on_genesis_offer(InboundConnection& inbound, std::string_view genesis) override;
  void on_inbound_message(InboundConnection& inbound, Message&& message) override;
  void on_inbound_app(InboundConnection& inbound, const AppFrame& app) override;
  void on_inbound_closed(InboundConnection& inbound, const std::string& complaint) override;
  bool silent() const override { return taking_genesis_; }
  bool knows_no_members() const override { return context_.self.formed() && !told_members_; }

  void accept(net::Socket socket, const net::Address& from);
  bool make_place(const net::Address& from, size_t limit, const std::string& why);
  Peer* find(NodeId id);
  Acquaintance acquaintance(const PeerIdentity& other) const;
  std::optional<HelloRefusal> admit_guest(const PeerIdentity& guest);
  void prune_guests();
  void start_lanes(Peer& peer);
  void drop_inbound(InboundConnection* inbound);
  Status take_genesis(const std::optional<Hello>& claim, std::string_view bytes);
  void genesis_taken(const Status& status);
  void emit(NodeId peer, PeerEvent event, const std::string& detail);
  void log(const std::string& line) { say(context_.options.log, line); }
  void say(const LineSink& sink, const std::string& line);

  TransportContext context_;
  TransportHandler& handler_;
  GenesisTaker& taker_;
  std::unique_ptr<net::Listener> listener_;
  std::map<NodeId, Peer> peers_;
  std::vector<RemovedMember> removed_;
  std::map<InboundConnection*, std::unique_ptr<InboundConnection>> inbound_;
  std::vector<InboundConnection*> strangers_;  ///< in the order in which they came
  bool taking_genesis_ = false;
  bool told_members_ = false;
  InboundConnection* genesis_giver_ = nullptr;  ///< waits for the answer; null if it went away
  std::map<std::string, Instant> logged_;
  std::shared_ptr<Impl*> alive_ = std::make_shared<Impl*>(this);  ///< for what comes back late
};

// ---- the port, and who may use it

Status TcpTransport::Impl::listen() {
  auto opened = net::Listener::open(
      context_.loop, context_.options.listen,
      [this](net::Socket socket, const net::Address& from) { accept(std::move(socket), from); },
      {.backlog = 128, .max_connections = kMaxInbound});
  if (!opened) return opened.error();
  listener_ = std::move(*opened);
  return ok_status();
}

void TcpTransport::Impl::accept(net::Socket socket, const net::Address& from) {
  const bool room = net::leaves_descriptors(socket.fd(), net::kDescriptorsKept);
  const size_t limit = room ? context_.options.max_strangers
                            : std::min(context_.options.max_strangers, kStrangersWhenShort);
  if (!make_place(from, limit, room ? "" : ", as few open files are left")) return;
  auto inbound = std::make_unique<InboundConnection>(context_, std::move(socket), *this);
  InboundConnection* const key = inbound.get();
  inbound_.emplace(key, std::move(inbound));
  strangers_.push_back(key);
}

// A server says its hello at once. So of those who have said nothing the oldest goes for one that
// comes: they can win each place that falls free by coming again, and keep none of them so. More
// than one goes when the limit has become lower.
bool TcpTransport::Impl::make_place(const net::Address& from, size_t limit,
                                    const std::string& why) {
  while (strangers_.size() >= limit) {
    const std::string full = std::to_string(strangers_.size()) +
                             " connections have not shaken hands yet and the limit is " +
                             std::to_string(limit) + why;
    const auto silent = std::ranges::find_if(
        strangers_, [](const InboundConnection* each) { return !each->has_spoken(); });
    if (silent == strangers_.end()) {
      log("peer port: " + from.host + " refused, " + full);
      return false;
    }
    log("peer port: " + (*silent)->address().host + ", which says nothing, gives way: " + full);
    drop_inbound(*silent);
  }
  return true;
}

std::optional<HelloRefusal> TcpTransport::Impl::judge_hello(const Hello& hello) {
  Peer* const peer = find(hello.self.node);
  auto refusal =
      refuse_hello(context_.self, context_.options.must_agree, acquaintance(hello.self), hello);
  if (peer != nullptr) peer->refusal = refusal ? refusal->reason : "";
  if (const auto problem = wiped(context_.self, hello)) {
    log(*problem);
    emit(hello.self.node, PeerEvent::kMismatch, *problem);
  }
  if (!refusal && peer == nullptr) refusal = admit_guest(hello.self);
  if (refusal && context_.self.formed()) {
    log("refused " + describe(hello.self) + ": " + refusal->reason);
    if (peer != nullptr) emit(peer->spec.id, PeerEvent::kMismatch, refusal->reason);
  }
  return refusal;
}

Acquaintance TcpTransport::Impl::acquaintance(const PeerIdentity& other) const {
  Acquaintance known{.level = context_.level};
  for (const auto& [id, peer] : peers_) {
    if (id == other.node) known.peer = &peer.spec;
    if (peer.spec.store == other.store) known.owner = &peer.spec;
  }
  for (const RemovedMember& removed : removed_) {
    if (removed.id == other.node || removed.store == other.store) known.removed = &removed;
  }
  return known;
}

std::optional<HelloRefusal> TcpTransport::Impl::admit_guest(const PeerIdentity& guest) {
  const auto address = net::parse_address(guest.peer_address);
  if (!address.ok()) return HelloRefusal{describe(guest) + " cannot be dialled at that address"};
  const auto guests =
      std::count_if(peers_.begin(), peers_.end(), [](const auto& at) { return at.second.guest; });
  if (static_cast<size_t>(guests) >= context_.options.max_guests) {
    return HelloRefusal{std::to_string(guests) +
                        " servers that are not known as members are here "
                        "already, and the limit is " +
                        std::to_string(context_.options.max_guests)};
  }
  Peer& peer = peers_[guest.node];
  peer.spec = {guest.node, *address, guest.store};
  peer.guest = true;
  say(context_.options.note, describe(guest) + " is not a member as far as node " +
                                 std::to_string(context_.self.node.value) + " knows, and is heard");
  start_lanes(peer);
  return {};
}

// Later in the same turn: whoever lost its last connection may be in the middle of being called.
void TcpTransport::Impl::prune_guests() {
  context_.loop.post([alive = std::weak_ptr<Impl*>(alive_)] {
    const auto impl = alive.lock();
    if (!impl) return;
    std::erase_if((*impl)->peers_,
                  [](const auto& at) { return at.second.guest && !at.second.inbound_up(); });
  });
}

// A guest is no member: its id may be given to another server.
StoreId TcpTransport::Impl::store_of(NodeId node) const {
  if (!context_.self.formed()) return {};
  if (node == context_.self.node) return context_.self.store;
  const auto found = peers_.find(node);
  const bool member = found != peers_.end() && !found->second.guest;
  return member ? found->second.spec.store : StoreId();
}

bool TcpTransport::Impl::has_removed(NodeId node) const {
  return std::ranges::find(removed_, node, &RemovedMember::id) != removed_.end();
}

void TcpTransport::Impl::on_inbound_agreed(InboundConnection& inbound, const Hello& hello) {
  Peer* const peer = find(hello.self.node);
  std::erase(strangers_, &inbound);
  if (hello.lane == Lane::kControl) {
    peer->called_by(hello.self.incarnation, context_.loop.now());
  }
  // The peer lost the older connection, or will: it dials a lane again only then.
  InboundConnection*& place = peer->inbound[index_of(hello.lane)];
  if (place != nullptr) drop_inbound(place);
  place = &inbound;
  for (const auto& lane : peer->lanes) {
    if (lane != nullptr) lane->poke();
  }
}

void TcpTransport::Impl::on_inbound_closed(InboundConnection& inbound,
                                           const std::string& complaint) {
  if (!complaint.empty()) log("peer port: " + complaint);
  drop_inbound(&inbound);
}

void TcpTransport::Impl::drop_inbound(InboundConnection* inbound) {
  const auto found = inbound_.find(inbound);
  if (found == inbound_.end()) return;
  if (genesis_giver_ == inbound) genesis_giver_ = nullptr;
  std::erase(strangers_, inbound);
  for (auto& [id, peer] : peers_) {
    for (InboundConnection*& place : peer.inbound) {
      if (place == inbound) place = nullptr;
    }
  }
  inbound_.erase(found);
  prune_guests();
}

// ---- entry 1

void TcpTransport::Impl::on_genesis_offer(InboundConnection& inbound, std::string_view bytes) {
  genesis_giver_ = &inbound;
  const Status begun = take_genesis(inbound.hello(), bytes);
  if (begun || genesis_giver_ == nullptr) return;
  log("entry 1 offered by " + net::to_string(inbound.address()) +
      " refused: " + begun.error().message);
  std::exchange(genesis_giver_, nullptr)->answer_genesis(begun);
}

Status TcpTransport::Impl::take_genesis(const std::optional<Hello>& claim, std::string_view bytes) {
  Result<Genesis> genesis = decode_genesis(bytes);
  if (!genesis) return genesis.error();
  // Every member offers it to the one that is to join: all but the first find it taken.
  if (genesis->cluster == context_.self.cluster) {
    std::exchange(genesis_giver_, nullptr)->answer_genesis(ok_status());
    return ok_status();
  }
  if (const auto refusal = refuse_genesis(context_.self, *genesis, context_.options.joins, claim)) {
    return Error{ErrorCode::kBadArgument, *refusal};
  }
  taking_genesis_ = true;
  taker_.take_genesis(std::move(*genesis), std::string(bytes),
                      [alive = std::weak_ptr<Impl*>(alive_)](const Status& taken) {
                        if (const auto impl = alive.lock()) (*impl)->genesis_taken(taken);
                      });
  return ok_status();
}

void TcpTransport::Impl::genesis_taken(const Status& status) {
  HF_CHECK(taking_genesis_, "a genesis was answered twice");
  HF_CHECK(!status || context_.self.formed(), "a genesis was taken without form()");
  taking_genesis_ = false;
  if (genesis_giver_ != nullptr) std::exchange(genesis_giver_, nullptr)->answer_genesis(status);
}

void TcpTransport::Impl::form(ClusterId cluster, std::string genesis) {
  HF_CHECK(!context_.self.formed() || context_.self.cluster == cluster,
           "a server cannot change its cluster");
  context_.self.cluster = cluster;
  context_.genesis = std::move(genesis);
  for (auto& [id, peer] : peers_) start_lanes(peer);
}

// ---- whom we dial

void TcpTransport::Impl::set_peers(std::vector<PeerSpec> specs, std::vector<RemovedMember> removed,
                                   uint32_t level) {
  told_members_ = true;
  removed_ = std::move(removed);
  context_.level = level;
  const auto keeps = [&specs, this](Peer& peer) {
    const bool named = std::find(specs.begin(), specs.end(), peer.spec) != specs.end();
    const bool contradicted =
        std::any_of(specs.begin(), specs.end(),
                    [&](const PeerSpec& spec) { return spec.id == peer.spec.id; }) ||
        acquaintance({.node = peer.spec.id, .store = peer.spec.store}).removed != nullptr;
    peer.guest = peer.guest && !named;
    return named || (peer.guest && !contradicted);
  };
  for (auto it = peers_.begin(); it != peers_.end();) {
    if (keeps(it->second)) {
      ++it;
      continue;
    }
    for (InboundConnection* const inbound : it->second.inbound) drop_inbound(inbound);
    it = peers_.erase(it);
  }
  for (PeerSpec& spec : specs) {
    if (spec.id == context_.self.node) continue;
    const auto [place, added] = peers_.try_emplace(spec.id);
    if (!added) continue;
    place->second.spec = std::move(spec);
    if (context_.self.formed()) start_lanes(place->second);
  }
}

void TcpTransport::Impl::start_lanes(Peer& peer) {
  for (const Lane lane : {Lane::kControl, Lane::kBulk}) {
    auto& outbound = peer.lanes[index_of(lane)];
    if (outbound != nullptr) continue;
    outbound = std::make_unique<OutboundLane>(context_, peer.spec, lane, *this);
  }
}

void TcpTransport::Impl::on_lane_up(OutboundLane& lane, const PeerIdentity& identity) {
  Peer* const peer = find(lane.peer());
  ++peer->connects;
  if (lane.lane() != Lane::kControl) return;
  peer->refused_reported = false;
  peer->refused_by_it.clear();
  peer->level = identity.feature_level;
  const uint64_t before = std::exchange(peer->incarnation, identity.incarnation);
  if (before != 0 && before != identity.incarnation) {
    emit(lane.peer(), PeerEvent::kNewIncarnation,
         describe(identity) + " is another process than before");
  }
  emit(lane.peer(), PeerEvent::kConnected, "connected to " + describe(identity));
}

void TcpTransport::Impl::on_lane_lost(OutboundLane& lane, const std::string& detail) {
  if (lane.lane() == Lane::kControl) emit(lane.peer(), PeerEvent::kLost, detail);
}

void TcpTransport::Impl::on_lane_refused(OutboundLane& lane, const std::string& detail) {
  Peer* const peer = find(lane.peer());
  if (lane.lane() != Lane::kControl) return;
  peer->refusal.clear();
  peer->refused_by_it.clear();
  if (std::exchange(peer->refused_reported, true)) return;
  emit(lane.peer(), PeerEvent::kRefused, detail);
}

void TcpTransport::Impl::on_lane_mismatch(OutboundLane& lane, const std::string& detail) {
  log("node " + std::to_string(lane.peer().value) + " is not talked to: " + detail);
  if (lane.lane() != Lane::kControl) return;
  find(lane.peer())->refused_by_it = detail;
  emit(lane.peer(), PeerEvent::kMismatch, detail);
}

void TcpTransport::Impl::on_removed(OutboundLane& lane, const std::string& detail) {
  if (lane.lane() == Lane::kControl) emit(lane.peer(), PeerEvent::kRemoved, detail);
}

// ---- messages

template <class Fill>
bool TcpTransport::Impl::send(NodeId to, Lane lane, size_t size, Fill&& fill) {
  Peer* const peer = find(to);
  if (peer == nullptr) return false;
  const auto& outbound = peer->lanes[index_of(lane)];
  const bool sent = outbound != nullptr && outbound->send(size, std::forward<Fill>(fill));
  ++(sent ? peer->sent : peer->dropped);
  return sent;
}

void TcpTransport::Impl::on_inbound_message(InboundConnection& inbound, Message&& message) {
  if (Peer* const peer = find(inbound.peer())) ++peer->received;
  handler_.on_message(std::move(message));
}

void TcpTransport::Impl::on_inbound_app(InboundConnection& inbound, const AppFrame& app) {
  if (Peer* const peer = find(inbound.peer())) ++peer->received;
  handler_.on_app(app.from, app.kind, app.payload);
}

// ---- what people and the node learn

void TcpTransport::Impl::emit(NodeId peer, PeerEvent event, const std::string& detail) {
  // Later in the same turn: the handler is free to change the peers.
  context_.loop.post([alive = std::weak_ptr<Impl*>(alive_), peer, event, detail] {
    if (const auto impl = alive.lock()) (*impl)->handler_.on_peer_event(peer, event, detail);
  });
}

void TcpTransport::Impl::say(const LineSink& sink, const std::string& line) {
  if (!sink) return;
  const Instant now = context_.loop.now();
  if (logged_.size() >= kMaxRememberedLines) {
    std::erase_if(logged_, [now](const auto& old) { return now - old.second >= kLogAgainAfter; });
  }
  if (logged_.size() >= kMaxRememberedLines) return;
  const auto [place, first] = logged_.try_emplace(line, now);
  if (!first && now - place->second < kLogAgainAfter) return;
  place->second = now;
  sink(line);
}

std::vector<PeerLink> TcpTransport::Impl::peers() const {
  std::vector<PeerLink> all;
  for (const auto& [id, peer] : peers_) {
    PeerLink status{.id = id, .address = peer.spec.address};
    status.control_up = peer.lane_up(Lane::kControl);
    status.bulk_up = peer.lane_up(Lane::kBulk);
    status.inbound_up = peer.inbound[index_of(Lane::kControl)] != nullptr;
    status.incarnation = peer.incarnation;
    status.twice = peer.twice_at && context_.loop.now() - *peer.twice_at < kTwiceRemembered;
    status.refusal = peer.refusal.empty() ? peer.refused_by_it : peer.refusal;
    status.last_problem = peer.refusal;
    for (const auto& lane : peer.lanes) {
      if (lane == nullptr) continue;
      if (status.last_problem.empty()) status.last_problem = lane->problem();
      status.queued_bytes += lane->queued_bytes();
    }
    status.messages_sent = peer.sent;
    status.messages_received = peer.received;
    status.messages_dropped = peer.dropped;
    status.connects = peer.connects;
    status.guest = peer.guest;
    all.push_back(std::move(status));
  }
  return all;
}

Peer* TcpTransport::Impl::find(NodeId id) {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

void TcpTransport::Impl::close() {
  alive_.reset();
  listener_.reset();
  peers_.clear();
  inbound_.clear();
}

// ---- the public face

Result<std::unique_ptr<TcpTransport>> TcpTransport::open(net::Loop& loop, Entropy& entropy,
                                                         TransportOptions options,
                                                         PeerIdentity self,
                                                         TransportHandler& handler,
                                                         GenesisTaker& taker) {
  auto impl =
      std::make_unique<Impl>(loop, entropy, std::move(options), std::move(self), handler, taker);
  const Status listening = impl->listen();
  if (!listening) return listening.error();
  return std::unique_ptr<TcpTransport>(new TcpTransport(std::move(impl)));
}

TcpTransport::TcpTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpTransport::~TcpTransport() = default;

void TcpTransport::form(ClusterId cluster, std::string genesis) {
  impl_->form(cluster, std::move(genesis));
}

void TcpTransport::set_peers(std::vector<PeerSpec> peers, std::vector<RemovedMember> removed,
                             uint32_t level) {
  impl_->set_peers(std::move(peers), std::move(removed), level);
}

bool TcpTransport::send(const Message& message) {
  return impl_->send(
      message.to, lane_of(message.type), encoded_size(message),
      [&](std::string& out) { encode_message(impl_->self().cluster, message, out); });
}

bool TcpTransport::send_app(NodeId to, Lane lane, uint8_t kind, std::string_view payload) {
  const PeerIdentity& self = impl_->self();
  return impl_->send(to, lane, payload.size() + kAppHeadBytes, [&](std::string& out) {
    encode(AppFrame{self.cluster, self.node, to, kind, payload}, out);
  });
}

const PeerIdentity& TcpTransport::self() const { return impl_->self(); }
uint16_t TcpTransport::port() const { return impl_->port(); }
std::vector<PeerLink> TcpTransport::peers() const { return impl_->peers(); }
uint32_t TcpTransport::level_of(NodeId peer) const { return impl_->level_of(peer); }
void TcpTransport::close() { impl_->close(); }

}  // namespace holdfast::raft
