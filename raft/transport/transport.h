// The transport port: how the servers of a group reach each other. raft/node and the server use
// this interface; TcpTransport implements it over sockets and the simulator in memory.
//
// Nothing here blocks and nothing is certain: any message may be lost, at any time. Whoever needs
// an answer asks again. Messages from one server on one lane arrive in the order they were sent.
// All calls and callbacks happen on one loop's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "raft/core/types.h"

namespace holdfast::raft {

/// Each pair of servers has two connections a direction, so that a heartbeat never stands behind
/// bulk data.
enum class Lane : uint8_t {
  kControl = 0,  ///< elections, heartbeats, read indices, offers of snapshots, lease renewals
  kBulk = 1,     ///< appends and their responses, forwarded commands, snapshot chunks
};
inline constexpr int kLanes = 2;

/// Which lane a message of the core takes.
constexpr Lane lane_of(MessageType type) {
  switch (type) {
    case MessageType::kAppendRequest:
    case MessageType::kAppendResponse:
      return Lane::kBulk;
    default:
      return Lane::kControl;
  }
}

/// What becomes known of another server's process. Evidence, never proof: a firewall can lie, so
/// it may cost an election, never safety (ARCHITECTURE, fast failover).
enum class PeerEvent : uint8_t {
  kConnected,       ///< the control connection to it stands and the handshake agreed
  kLost,            ///< a connection that stood ended (reported once until kConnected)
  kRefused,         ///< its host answers that nothing listens on the port
  kNewIncarnation,  ///< it answered with another process than before; precedes kConnected
  kRemoved,         ///< it says that this server was removed from the cluster: it will talk no more
  kMismatch,        ///< one side refused the handshake: the detail says why, both values named
};

class TransportHandler {
 public:
  virtual void on_message(Message&& message) = 0;
  /// `payload` is valid during the call only.
  virtual void on_app(NodeId from, uint8_t kind, std::string_view payload) = 0;
  /// `detail` is one sentence for a person.
  virtual void on_peer_event(NodeId peer, PeerEvent event, const std::string& detail) = 0;

 protected:
  ~TransportHandler() = default;
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// Queues a message of the core to `message.to`. False if it was dropped at once: no connection,
  /// unknown server, or full queue. What is queued already stays, the newest is dropped: the older
  /// ones are what the other side can use first.
  virtual bool send(const Message& message) = 0;
  /// The same for the server's own messages (forwarded commands, renewals, replies); the meaning
  /// of `kind` and `payload` is the server's affair.
  virtual bool send_app(NodeId to, Lane lane, uint8_t kind, std::string_view payload) = 0;
};

}  // namespace holdfast::raft
