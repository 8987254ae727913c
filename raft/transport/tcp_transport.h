// The transport over TCP. Every server dials every other one with two connections (Lane) and sends
// on those; what it receives comes on the connections the others dialled. It also owns the peer
// port from the first moment: an empty server answers identity queries and takes entry 1 there
// (ARCHITECTURE, Identity).
//
// Delivery of entry 1 is the transport's work too: a formed server that dials an empty one whose
// store its configuration names offers it the genesis, so a bootstrapper that dies half way is
// finished by whoever took entry 1.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/net/address.h"
#include "base/net/frame_connection.h"
#include "base/net/listener.h"
#include "base/net/loop.h"
#include "raft/transport/codec.h"
#include "raft/transport/genesis.h"
#include "raft/transport/transport.h"

namespace holdfast::raft {

/// Takes a line for the operator.
using LineSink = std::function<void(const std::string& line)>;

struct TransportOptions {
  net::Address listen;                 ///< port 0: the kernel chooses, see port()
  std::vector<AgreedFlag> must_agree;  ///< names ascending; compared at every handshake
  /// What an empty server tells whoever asks for its identity: whom it was told to form a cluster
  /// with (ascending), and whether it would form it itself.
  std::vector<NodeId> listed;
  bool bootstraps = false;
  /// An empty server takes entry 1 also from a cluster that has made it a member since.
  bool joins = false;
  uint32_t max_frame_bytes = kMaxPeerFrameBytes;
  /// Queued bytes beyond which the newest message is dropped and counted.
  size_t control_queue_bytes = 1 << 20;
  size_t bulk_queue_bytes = 32 << 20;
  Duration connect_timeout = 500ms;
  Duration handshake_timeout = 1s;
  /// Pause before a redial: doubles from min to max, with up to half of it random. The first redial
  /// after a loss is immediate, and so is one when the peer dials us.
  Duration backoff_min = 20ms;
  Duration backoff_max = 1s;
  Duration dead_after = 3s;   ///< half-open connections; also a peer that reads nothing
  size_t max_strangers = 64;  ///< inbound connections that have not shaken hands yet
  size_t max_guests = 64;     ///< servers that no configuration known here names
  /// Refusals and mismatches: somebody may have to act. Each text at most once in 10 s.
  LineSink log;
  LineSink note;  ///< what is worth to know and asks nothing of anybody; as often
};

/// A server to dial. `store` zero: any store is believed (before the membership is known).
struct PeerSpec {
  NodeId id;
  net::Address address;
  StoreId store;
  friend bool operator==(const PeerSpec&, const PeerSpec&) = default;
};

/// For the status call and metrics.
struct PeerLink {
  NodeId id;
  net::Address address;
  bool control_up = false;  ///< dialled and agreed
  bool bulk_up = false;
  bool inbound_up = false;   ///< its control connection to us stands
  uint64_t incarnation = 0;  ///< last seen; zero if never
  bool twice = false;        ///< two processes come as this server, by turns, with one store
  /// Why one side refuses the other (cluster, store, flags, ...): an operator has to act. Empty if
  /// neither does, or nothing listens there any more.
  std::string refusal;
  std::string last_problem;  ///< why the last attempt or handshake failed; empty when all is well
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t messages_dropped = 0;
  uint64_t connects = 0;  ///< dialled connections that came up, of both lanes
  size_t queued_bytes = 0;
  bool guest = false;  ///< not in set_peers(): it came by itself
};

/// How an empty server takes entry 1.
class GenesisTaker {
 public:
  /// `genesis` decodes, and it or the server that gives it names this node and store id. Sync it,
  /// adopt it, then call `done` on the loop's thread; with an error if it could not be taken.
  /// Called at most once successfully, and never again while one is pending. Until `done` the
  /// transport answers nothing else. Before calling `done(ok)` call form().
  virtual void take_genesis(Genesis genesis, std::string bytes,
                            std::function<void(Status)> done) = 0;

 protected:
  ~GenesisTaker() = default;
};

class TcpTransport final : public Transport {
 public:
  /// Listens. `self.cluster` is zero for an empty data directory; `self.incarnation` is minted
  /// here. Handler and taker must outlive the transport.
  static Result<std::unique_ptr<TcpTransport>> open(net::Loop& loop, Entropy& entropy,
                                                    TransportOptions options, PeerIdentity self,
                                                    TransportHandler& handler, GenesisTaker& taker);
  ~TcpTransport() override;

  /// This server now belongs to `cluster`. `genesis` is the encoded entry 1, offered to empty
  /// peers; may be empty when the log no longer holds it.
  void form(ClusterId cluster, std::string genesis);
  /// Whom to dial and believe from now on, this server itself left out. Connections to and from
  /// those who were in the last set and are not in this one end. Does nothing on the wire before
  /// form(). `removed` are members no more, for good: they are refused and told so. `level` is in
  /// force: whoever comes from now on and knows less is refused.
  ///
  /// A server of the same cluster that is in neither list is a guest: it is heard, and dialled
  /// under the address that it gives, for as long as its connections stand. It may have become a
  /// member while this server was away, and lead (docs/raft.md: requests are heard from anybody).
  void set_peers(std::vector<PeerSpec> peers, std::vector<RemovedMember> removed = {},
                 uint32_t level = 0);

  bool send(const Message& message) override;
  bool send_app(NodeId to, Lane lane, uint8_t kind, std::string_view payload) override;

  const PeerIdentity& self() const;
  uint16_t port() const;
  std::vector<PeerLink> peers() const;
  /// Feature level that the peer named when it was last connected to; zero: never.
  uint32_t level_of(NodeId peer) const;
  /// Closes every connection and the port; nothing is called back afterwards.
  void close();

 private:
  class Impl;
  explicit TcpTransport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::raft
