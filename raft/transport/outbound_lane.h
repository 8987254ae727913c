// One dialled connection to one server: dials, shakes hands, sends, and dials again. Used inside
// this folder.
#pragma once

#include <memory>
#include <string>

#include "base/entropy.h"
#include "base/net/frame_connection.h"
#include "base/net/timer.h"
#include "raft/transport/tcp_transport.h"

namespace holdfast::raft {

/// What the lanes of one transport share; lives as long as the transport.
struct TransportContext {
  net::Loop& loop;
  TransportOptions options;
  PeerIdentity self;
  std::string genesis;  ///< encoded; empty if there is none to offer
  SplitMix random;      ///< jitter
  uint32_t level = 0;   ///< feature level in force; zero: none known
};

class OutboundLane final : net::FrameConnection::Handler {
 public:
  /// Told when something happens; must not destroy the lane from inside a call.
  class Listener {
   public:
    virtual void on_lane_up(OutboundLane& lane, const PeerIdentity& peer) = 0;
    virtual void on_lane_lost(OutboundLane& lane, const std::string& detail) = 0;
    virtual void on_lane_refused(OutboundLane& lane, const std::string& detail) = 0;
    virtual void on_lane_mismatch(OutboundLane& lane, const std::string& detail) = 0;
    /// The peer, which is who it should be, says that this server is no member any more.
    virtual void on_removed(OutboundLane& lane, const std::string& detail) = 0;

   protected:
    ~Listener() = default;
  };

  OutboundLane(TransportContext& context, const PeerSpec& peer, Lane lane, Listener& listener);

  /// Dials at once if it only waits to do so.
  void poke();
  bool up() const { return state_ == State::kUp; }
  Lane lane() const { return lane_; }
  NodeId peer() const { return peer_.id; }
  /// Why the last attempt failed; empty while up.
  const std::string& problem() const { return problem_; }
  size_t queued_bytes() const;

  /// Queues one frame of at most `size` bytes that `fill(std::string&)` appends; false if it does
  /// not fit or the lane is not up.
  template <class Fill>
  bool send(size_t size, Fill&& fill) {
    if (!up() || !has_room(size)) return false;
    connection_->send_with(std::forward<Fill>(fill));
    return true;
  }

 private:
  enum class State : uint8_t { kWaiting, kDialling, kShakingHands, kOfferingGenesis, kUp };

  void on_connected(net::FrameConnection& connection) override;
  void on_frame(net::FrameConnection& connection, std::string_view payload) override;
  void on_closed(net::FrameConnection& connection, const net::CloseReason& reason) override;

  void dial();
  void redial_after(Duration delay);
  Duration next_backoff();
  bool has_room(size_t size) const;
  net::FrameOptions frame_options() const;
  void handle_reply(const HelloReply& reply);
  void handle_genesis_reply(const GenesisReply& reply);
  /// It is who it should be, and only empty.
  bool lacks_genesis(const HelloReply& reply) const;
  void bring_genesis(const std::string& reason);
  bool says_removed(const HelloReply& reply) const;
  void give_up_on(const std::string& detail);

  TransportContext& context_;
  const PeerSpec peer_;
  const Lane lane_;
  Listener& listener_;
  State state_ = State::kWaiting;
  int failures_ = 0;  ///< attempts in a row that did not come up
  Instant up_since_;
  std::string problem_;
  net::Timer redial_;
  std::unique_ptr<net::FrameConnection> connection_;
};

}  // namespace holdfast::raft
