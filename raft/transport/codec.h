// Peer frames <-> bytes. Little-endian, versioned, checksummed; docs/peer-protocol.md gives the
// layout to the byte. Decoding takes any bytes whatever: it answers an Error naming value and
// limit, and never allocates more than the bytes present justify.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "raft/core/types.h"
#include "raft/transport/transport.h"

namespace holdfast::raft {

inline constexpr uint16_t kPeerMagic = 0x4648;  ///< "HF"
inline constexpr uint8_t kPeerProtocolVersion = 1;
inline constexpr uint32_t kMaxPeerFrameBytes = 8 << 20;
inline constexpr uint32_t kMaxEntriesPerMessage = 65'536;
inline constexpr size_t kMaxAgreedFlags = 64;
inline constexpr size_t kMaxReasonBytes = 4'096;

enum class FrameType : uint8_t {
  kHello = 1,          ///< dialler's first frame on a lane
  kHelloReply = 2,     ///< and its answer; after a refusal the connection ends
  kIdentityQuery = 3,  ///< "who are you": answered by empty and formed servers alike
  kIdentityReply = 4,
  kGenesisOffer = 5,  ///< entry 1 for an empty server
  kGenesisReply = 6,
  kMessage = 7,  ///< one Message of the core
  kApp = 8,      ///< one message of the server
};

/// A setting that all servers of a cluster must have alike, e.g. {"election_timeout_ms", "500"}.
struct AgreedFlag {
  std::string name;
  std::string value;
  friend bool operator==(const AgreedFlag&, const AgreedFlag&) = default;
};

/// Who a server says it is.
struct PeerIdentity {
  NodeId node;
  StoreId store;
  ClusterId cluster;           ///< zero: empty, not formed yet
  uint64_t incarnation = 0;    ///< random per process
  std::string peer_address;    ///< advertised
  std::string client_address;  ///< advertised
  uint32_t feature_level = 1;
  bool formed() const { return static_cast<bool>(cluster); }
  friend bool operator==(const PeerIdentity&, const PeerIdentity&) = default;
};

struct Hello {
  Lane lane = Lane::kControl;
  PeerIdentity self;
  NodeId expected_node;    ///< whom the dialler believes to reach
  StoreId expected_store;  ///< zero: not known yet
  std::vector<AgreedFlag> flags;
  friend bool operator==(const Hello&, const Hello&) = default;
};

struct HelloReply {
  bool accepted = false;
  bool removed = false;  ///< refused because the dialler was a member and is removed
  std::string reason;    ///< of a refusal, one sentence naming both values
  PeerIdentity self;
  std::vector<AgreedFlag> flags;
  friend bool operator==(const HelloReply&, const HelloReply&) = default;
};

struct IdentityQuery {
  NodeId asker;
  friend bool operator==(const IdentityQuery&, const IdentityQuery&) = default;
};

struct IdentityReply {
  PeerIdentity self;
  /// The store that its cluster binds the asker's node to; zero: the asker is no member.
  StoreId asker_store;
  bool bootstraps = false;     ///< empty, and would form the cluster itself
  std::vector<NodeId> listed;  ///< whom it was told to form a cluster with; ascending
  bool asker_removed = false;  ///< its cluster had the asker's node, and never takes the id again
  friend bool operator==(const IdentityReply&, const IdentityReply&) = default;
};

struct GenesisOffer {
  std::string_view genesis;  ///< points into the decoded frame
};

struct GenesisReply {
  bool accepted = false;
  std::string reason;
  friend bool operator==(const GenesisReply&, const GenesisReply&) = default;
};

struct AppFrame {
  ClusterId cluster;
  NodeId from;
  NodeId to;
  uint8_t kind = 0;
  std::string_view payload;  ///< points into the decoded frame
};

struct MessageFrame {
  ClusterId cluster;
  Message message;
};

using PeerFrame = std::variant<Hello, HelloReply, IdentityQuery, IdentityReply, GenesisOffer,
                               GenesisReply, MessageFrame, AppFrame>;

// Each appends one frame to `out`.
void encode(const Hello& hello, std::string& out);
void encode(const HelloReply& reply, std::string& out);
void encode(const IdentityQuery& query, std::string& out);
void encode(const IdentityReply& reply, std::string& out);
void encode(const GenesisOffer& offer, std::string& out);
void encode(const GenesisReply& reply, std::string& out);
void encode(const AppFrame& app, std::string& out);
/// Entries must follow each other from message.index + 1 on: their indices are not sent.
void encode_message(ClusterId cluster, const Message& message, std::string& out);
/// Upper bound of what encode_message will append.
size_t encoded_size(const Message& message);

/// Errors: UNSUPPORTED for another protocol version (both named), CORRUPT for anything else.
/// Entry payloads are copied once, into their Blobs.
Result<PeerFrame> decode_frame(std::string_view bytes);

}  // namespace holdfast::raft
