// One accepted connection on the peer port: a stranger until its hello is answered, then the lane
// on which one server sends to us. Used inside this folder.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/net/frame_connection.h"
#include "raft/transport/codec.h"
#include "raft/transport/handshake.h"
#include "raft/transport/outbound_lane.h"

namespace holdfast::raft {

class InboundConnection final : net::FrameConnection::Handler {
 public:
  /// Decides and receives. Every call may destroy the connection, except where it returns a value.
  class Owner {
   public:
    /// Why the hello is refused, or nothing.
    virtual std::optional<HelloRefusal> judge_hello(const Hello& hello) = 0;
    /// The store that the configuration binds this node to; zero if none, or if this server is
    /// empty.
    virtual StoreId store_of(NodeId node) const = 0;
    virtual bool has_removed(NodeId node) const = 0;
    virtual void on_inbound_agreed(InboundConnection& inbound, const Hello& hello) = 0;
    virtual void on_genesis_offer(InboundConnection& inbound, std::string_view genesis) = 0;
    virtual void on_inbound_message(InboundConnection& inbound, Message&& message) = 0;
    virtual void on_inbound_app(InboundConnection& inbound, const AppFrame& app) = 0;
    /// It ended or was ended; `complaint` says what it did wrong, empty if nothing.
    virtual void on_inbound_closed(InboundConnection& inbound, const std::string& complaint) = 0;
    /// While entry 1 is being synced nothing is answered.
    virtual bool silent() const = 0;
    /// This server has entry 1 and was not told yet who the members are: it would deny those that
    /// are.
    virtual bool knows_no_members() const = 0;

   protected:
    ~Owner() = default;
  };

  InboundConnection(TransportContext& context, net::Socket socket, Owner& owner);

  bool agreed() const { return static_cast<bool>(peer_); }
  /// A whole frame has come.
  bool has_spoken() const { return has_spoken_; }
  NodeId peer() const { return peer_; }
  Lane lane() const { return lane_; }
  const net::Address& address() const { return connection_.peer(); }
  /// What came on it first, accepted or not.
  const std::optional<Hello>& hello() const { return hello_; }
  void answer_genesis(const Status& taken);

 private:
  void on_frame(net::FrameConnection& connection, std::string_view payload) override;
  void on_closed(net::FrameConnection& connection, const net::CloseReason& reason) override;

  void handle(const Hello& hello);
  void handle(const IdentityQuery& query);
  void handle(const GenesisOffer& offer);
  void handle(const AppFrame& app);
  template <class Other>
  void handle(const Other& unexpected);
  void handle_of_peer(MessageFrame&& frame);
  std::optional<std::string> wrong_route(ClusterId cluster, NodeId from, NodeId to) const;
  void end(const std::string& complaint);
  template <class Frame>
  void reply(const Frame& frame) {
    connection_.send_with([&](std::string& out) { encode(frame, out); });
  }

  TransportContext& context_;
  Owner& owner_;
  bool has_spoken_ = false;
  std::optional<Hello> hello_;
  NodeId peer_;  ///< zero: a stranger
  Lane lane_ = Lane::kControl;
  net::FrameConnection connection_;
};

}  // namespace holdfast::raft
