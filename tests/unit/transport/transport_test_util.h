// What the transport tests share: servers of a cluster on one loop, and a peer whose behaviour the
// test dictates frame by frame.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/entropy.h"
#include "raft/transport/tcp_transport.h"
#include "tests/unit/net/net_test_util.h"

namespace holdfast::raft {

inline const ClusterId kCluster{4242};
inline constexpr uint64_t kStoreBase = 1000;

inline Message heartbeat(uint64_t from, uint64_t to, uint64_t round = 1) {
  Message message;
  message.type = MessageType::kHeartbeatRequest;
  message.from = NodeId(from);
  message.to = NodeId(to);
  message.term = Term(3);
  message.round = round;
  return message;
}

inline Message append(uint64_t from, uint64_t to, size_t bytes) {
  Message message = heartbeat(from, to);
  message.type = MessageType::kAppendRequest;
  message.entries.push_back(
      {Term(3), LogIndex(1), EntryType::kCommand, Blob(std::string(bytes, 'e'))});
  return message;
}

/// One server: its transport, and everything it was told.
struct Node final : TransportHandler, GenesisTaker {
  Node(net::Loop& on, uint64_t node, TransportOptions with = {}) : loop(on), options(with) {
    self.node = NodeId(node);
    self.store = StoreId(kStoreBase + node);
    self.cluster = kCluster;
    self.client_address = "client." + std::to_string(node) + ":1";
    options.listen = net::kLoopback;
    options.log = [this](const std::string& line) { log.push_back(line); };
    options.note = [this](const std::string& line) { notes.push_back(line); };
  }

  Node& open() {
    auto opened = TcpTransport::open(loop, entropy, options, self, *this, *this);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    transport = std::move(*opened);
    self.peer_address = net::to_string(address());
    return *this;
  }
  /// Ends the process, so to say, and starts it again on the same port.
  Node& restart() {
    const uint16_t port = transport->port();
    transport.reset();
    options.listen.port = port;
    return open();
  }
  net::Address address() const { return {"127.0.0.1", transport->port()}; }
  PeerSpec spec() const { return {self.node, address(), self.store}; }

  void on_message(Message&& message) override { messages.push_back(std::move(message)); }
  void on_app(NodeId from, uint8_t kind, std::string_view payload) override {
    apps.push_back({from, kind, std::string(payload)});
  }
  void on_peer_event(NodeId peer, PeerEvent event, const std::string& detail) override {
    events.push_back({peer, event});
    details.push_back(detail);
    if (react) react(peer, event);
  }
  void take_genesis(Genesis genesis, std::string bytes, std::function<void(Status)> done) override {
    offered.push_back(std::move(genesis));
    offered_bytes = std::move(bytes);
    genesis_done = std::move(done);
  }

  int count(PeerEvent event) const {
    int found = 0;
    for (const auto& each : events) found += each.second == event;
    return found;
  }
  bool saw(PeerEvent event) const { return count(event) > 0; }
  bool said(const std::string& part) const {
    for (const std::string& detail : details) {
      if (detail.find(part) != std::string::npos) return true;
    }
    return false;
  }
  bool logged(const std::string& part) const {
    for (const std::string& line : log) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  PeerLink status(uint64_t peer) const {
    for (const PeerLink& each : transport->peers()) {
      if (each.id == NodeId(peer)) return each;
    }
    return {};
  }
  bool up(uint64_t peer) const {
    const PeerLink to = status(peer);
    return to.control_up && to.bulk_up;
  }

  struct App {
    NodeId from;
    uint8_t kind;
    std::string payload;
    friend bool operator==(const App&, const App&) = default;
  };

  net::Loop& loop;
  SystemEntropy entropy;
  TransportOptions options;
  PeerIdentity self;
  std::unique_ptr<TcpTransport> transport;
  std::vector<Message> messages;
  std::vector<App> apps;
  std::vector<std::pair<NodeId, PeerEvent>> events;
  std::vector<std::string> details;
  std::vector<std::string> log;
  std::vector<std::string> notes;
  std::vector<Genesis> offered;
  std::string offered_bytes;
  std::function<void(Status)> genesis_done;
  std::function<void(NodeId, PeerEvent)> react;
};

/// Answers hellos as told and keeps what it is sent; lanes named in `deaf` are not read any more.
struct FakePeer final : net::FrameConnection::Handler {
  FakePeer(net::Loop& loop, uint64_t node) {
    reply.accepted = true;
    reply.self.node = NodeId(node);
    reply.self.store = StoreId(kStoreBase + node);
    reply.self.cluster = kCluster;
    reply.self.incarnation = 1;
    listener = std::move(*net::Listener::open(
        loop, net::kLoopback, [this, &loop](net::Socket socket, const net::Address&) {
          connections.push_back(std::make_unique<net::FrameConnection>(loop, std::move(socket),
                                                                       net::FrameOptions{}, *this));
        }));
  }
  PeerSpec spec() const { return {reply.self.node, listener->address(), reply.self.store}; }

  void on_frame(net::FrameConnection& connection, std::string_view payload) override {
    const Result<PeerFrame> frame = decode_frame(payload);
    ASSERT_TRUE(frame.ok()) << frame.error().message;
    if (const auto* hello = std::get_if<Hello>(&*frame)) {
      hellos.push_back(*hello);
      if (mute) return;
      if (deaf && hello->lane == Lane::kBulk) connection.pause_reading();
      connection.send_with([&](std::string& out) { encode(reply, out); });
    } else if (const auto* message = std::get_if<MessageFrame>(&*frame)) {
      messages.push_back(message->message);
    } else if (std::get_if<GenesisOffer>(&*frame) != nullptr) {
      ++offers;
    }
  }
  void on_closed(net::FrameConnection&, const net::CloseReason&) override { ++closed; }

  HelloReply reply;
  bool mute = false;
  bool deaf = false;
  std::unique_ptr<net::Listener> listener;
  std::vector<std::unique_ptr<net::FrameConnection>> connections;
  std::vector<Hello> hellos;
  std::vector<Message> messages;
  int offers = 0;
  int closed = 0;
};

/// A cluster's servers on one loop and one clock.
struct TransportTest : testing::Test {
  Node& node(uint64_t id, TransportOptions options = {}) {
    return *nodes.emplace(id, std::make_unique<Node>(loop, id, std::move(options))).first->second;
  }
  /// Opens nodes 1 to `count` and makes them known to each other.
  void connect(uint64_t count) {
    for (uint64_t id = 1; id <= count; ++id) {
      if (!nodes.contains(id)) node(id);
      if (nodes.at(id)->transport == nullptr) nodes.at(id)->open();
    }
    introduce();
  }
  void introduce() {
    std::vector<PeerSpec> all;
    for (const auto& [id, each] : nodes) all.push_back(each->spec());
    for (const auto& [id, each] : nodes) {
      each->transport->form(kCluster, "");
      each->transport->set_peers(all);
    }
  }
  bool until(const std::function<bool()>& done) { return net::run_until(loop, done); }
  bool all_up() {
    return until([&] {
      for (const auto& [id, each] : nodes) {
        for (const PeerLink& peer : each->transport->peers()) {
          if (!peer.control_up || !peer.bulk_up || !peer.inbound_up) return false;
        }
      }
      return true;
    });
  }

  net::ShiftedClock clock;
  net::Loop loop{clock};
  std::map<uint64_t, std::unique_ptr<Node>> nodes;
};

}  // namespace holdfast::raft
