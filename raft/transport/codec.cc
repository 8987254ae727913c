#include "raft/transport/codec.h"

#include <algorithm>

#include "base/checksum.h"
#include "raft/core/configuration.h"
#include "raft/core/wire.h"

namespace holdfast::raft {

namespace {

// What stands first in a HelloReply; 0 is a refusal.
constexpr uint8_t kVerdictAccepted = 1;
constexpr uint8_t kVerdictRemoved = 2;
/// In the same byte: a program that knows the first mark alone asks a formed server for no mark.
constexpr uint8_t kMarkBootstraps = 1;
constexpr uint8_t kMarkAskerRemoved = 2;

constexpr size_t kPreambleBytes = 12;  // magic, version, type, checksum
constexpr size_t kChecksumAt = 4;
constexpr size_t kMessageFixedBytes = 94;  // after the preamble, entries left out
constexpr size_t kEntryHeadBytes = 13;     // term, type, length
constexpr size_t kMaxFlagBytes = 256;
constexpr uint8_t kRejectBit = 1;
constexpr uint8_t kTransferBit = 2;
/// Beyond any index that can be reached; keeps index arithmetic from wrapping.
constexpr uint64_t kMaxIndex = uint64_t{1} << 62;

uint64_t frame_checksum(FrameType type, std::string_view body) {
  return checksum64(body, static_cast<uint64_t>(type));
}

/// Writes the preamble, lets `body` append, then fills in the checksum.
template <class Body>
void append_frame(std::string& out, FrameType type, Body&& body) {
  const size_t start = out.size();
  append_le(out, kPeerMagic);
  append_le(out, kPeerProtocolVersion);
  append_le(out, static_cast<uint8_t>(type));
  append_le(out, uint64_t{0});
  body();
  const std::string_view written = std::string_view{out}.substr(start + kPreambleBytes);
  store_le(out.data() + start + kChecksumAt, frame_checksum(type, written));
}

void append_identity(std::string& out, const PeerIdentity& identity) {
  append_le(out, identity.node.value);
  append_le(out, identity.store.value);
  append_le(out, identity.cluster.value);
  append_le(out, identity.incarnation);
  append_le(out, identity.feature_level);
  append_text(out, identity.peer_address);
  append_text(out, identity.client_address);
}

PeerIdentity read_identity(ByteReader& reader) {
  PeerIdentity identity;
  identity.node = NodeId(reader.read<uint64_t>());
  identity.store = StoreId(reader.read<uint64_t>());
  identity.cluster = ClusterId(reader.read<uint64_t>());
  identity.incarnation = reader.read<uint64_t>();
  identity.feature_level = reader.read<uint32_t>();
  identity.peer_address = read_text(reader);
  identity.client_address = read_text(reader);
  return identity;
}

Status check_identity(const PeerIdentity& identity) {
  const size_t longest = std::max(identity.peer_address.size(), identity.client_address.size());
  if (longest > kMaxAddressBytes) {
    return above_limit("the length of an advertised address", longest, kMaxAddressBytes);
  }
  return ok_status();
}

void append_flags(std::string& out, const std::vector<AgreedFlag>& flags) {
  HF_CHECK(flags.size() <= kMaxAgreedFlags, "more agreed flags than the limit");
  append_le(out, static_cast<uint8_t>(flags.size()));
  for (const AgreedFlag& flag : flags) {
    append_text(out, flag.name);
    append_text(out, flag.value);
  }
}

Result<std::vector<AgreedFlag>> read_flags(ByteReader& reader) {
  const auto count = reader.read<uint8_t>();
  if (count > kMaxAgreedFlags) return above_limit("the number of flags", count, kMaxAgreedFlags);
  std::vector<AgreedFlag> flags;
  for (int i = 0; i < count && reader.ok(); ++i) {
    AgreedFlag flag{std::string(read_text(reader)), std::string(read_text(reader))};
    const size_t longest = std::max(flag.name.size(), flag.value.size());
    if (longest > kMaxFlagBytes) {
      return above_limit("the length of a flag", longest, kMaxFlagBytes);
    }
    flags.push_back(std::move(flag));
  }
  return flags;
}

void append_reason(std::string& out, std::string_view reason) {
  append_text(out, reason.substr(0, kMaxReasonBytes));
}

/// The frame, unless its bytes ran out or too many were there.
template <class Frame>
Result<PeerFrame> finish(const ByteReader& reader, Frame&& frame, const char* name) {
  if (!reader.ok()) return corrupt(std::string(name) + " frame ends too early");
  if (reader.remaining() > 0) {
    return corrupt(std::to_string(reader.remaining()) + " bytes follow a " + name + " frame");
  }
  return PeerFrame(std::forward<Frame>(frame));
}

Result<PeerFrame> decode_hello(ByteReader& reader) {
  Hello hello;
  const auto lane = reader.read<uint8_t>();
  if (lane >= kLanes) return above_limit("the lane", lane, kLanes - 1);
  hello.lane = static_cast<Lane>(lane);
  hello.self = read_identity(reader);
  hello.expected_node = NodeId(reader.read<uint64_t>());
  hello.expected_store = StoreId(reader.read<uint64_t>());
  Result<std::vector<AgreedFlag>> flags = read_flags(reader);
  if (!flags) return flags.error();
  hello.flags = std::move(*flags);
  if (const Status identity = check_identity(hello.self); !identity) return identity.error();
  return finish(reader, std::move(hello), "hello");
}

Result<PeerFrame> decode_hello_reply(ByteReader& reader) {
  HelloReply reply;
  const auto verdict = reader.read<uint8_t>();
  if (verdict > kVerdictRemoved) return above_limit("the verdict", verdict, kVerdictRemoved);
  reply.accepted = verdict == kVerdictAccepted;
  reply.removed = verdict == kVerdictRemoved;
  reply.reason = read_text(reader);
  reply.self = read_identity(reader);
  Result<std::vector<AgreedFlag>> flags = read_flags(reader);
  if (!flags) return flags.error();
  reply.flags = std::move(*flags);
  if (const Status identity = check_identity(reply.self); !identity) return identity.error();
  return finish(reader, std::move(reply), "hello reply");
}

Result<PeerFrame> decode_identity_query(ByteReader& reader) {
  const IdentityQuery query{NodeId(reader.read<uint64_t>())};
  return finish(reader, query, "identity query");
}

Result<PeerFrame> decode_identity_reply(ByteReader& reader) {
  IdentityReply reply{read_identity(reader)};
  reply.asker_store = StoreId(reader.read<uint64_t>());
  const auto marks = reader.read<uint8_t>();
  reply.bootstraps = (marks & kMarkBootstraps) != 0;
  reply.asker_removed = (marks & kMarkAskerRemoved) != 0;
  Result<std::vector<NodeId>> listed = read_ids(reader, "the listed servers");
  if (!listed) return listed.error();
  reply.listed = std::move(*listed);
  if (const Status identity = check_identity(reply.self); !identity) return identity.error();
  return finish(reader, std::move(reply), "identity reply");
}

Result<PeerFrame> decode_genesis_offer(ByteReader& reader) {
  GenesisOffer offer{reader.read_bytes(reader.read<uint32_t>())};
  return finish(reader, offer, "genesis offer");
}

Result<PeerFrame> decode_genesis_reply(ByteReader& reader) {
  GenesisReply reply;
  reply.accepted = reader.read<uint8_t>() != 0;
  reply.reason = read_text(reader);
  return finish(reader, std::move(reply), "genesis reply");
}

Result<PeerFrame> decode_app(ByteReader& reader) {
  AppFrame app;
  app.cluster = ClusterId(reader.read<uint64_t>());
  app.from = NodeId(reader.read<uint64_t>());
  app.to = NodeId(reader.read<uint64_t>());
  app.kind = reader.read<uint8_t>();
  app.payload = reader.read_bytes(reader.remaining());
  return finish(reader, app, "app");
}

Status read_entries(ByteReader& reader, Message& message) {
  const auto count = reader.read<uint32_t>();
  if (count == 0) return ok_status();
  if (message.type != MessageType::kAppendRequest) {
    return corrupt("a message of type " + std::to_string(static_cast<int>(message.type)) +
                   " carries " + std::to_string(count) + " entries");
  }
  // Room is made only for as many entries as the bytes can hold.
  const uint64_t most =
      std::min<uint64_t>(kMaxEntriesPerMessage, reader.remaining() / kEntryHeadBytes);
  if (count > most) return above_limit("the number of entries", count, most);
  if (message.index.value > kMaxIndex) {
    return above_limit("the index before the entries", message.index.value, kMaxIndex);
  }
  message.entries.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    Entry entry;
    entry.term = Term(reader.read<uint64_t>());
    entry.index = message.index + 1 + i;
    const auto type = reader.read<uint8_t>();
    const std::string_view data = reader.read_bytes(reader.read<uint32_t>());
    if (!reader.ok()) return corrupt("an entry ends too early");
    if (type > static_cast<uint8_t>(EntryType::kGenesis)) {
      return above_limit("the type of an entry", type, static_cast<int>(EntryType::kGenesis));
    }
    entry.type = static_cast<EntryType>(type);
    entry.data = Blob(data);
    message.entries.push_back(std::move(entry));
  }
  return ok_status();
}

Result<PeerFrame> decode_message(ByteReader& reader) {
  MessageFrame frame;
  Message& message = frame.message;
  frame.cluster = ClusterId(reader.read<uint64_t>());
  message.group = GroupId(reader.read<uint64_t>());
  message.from = NodeId(reader.read<uint64_t>());
  message.to = NodeId(reader.read<uint64_t>());
  message.term = Term(reader.read<uint64_t>());
  const auto type = reader.read<uint8_t>();
  if (type >= kMessageTypes) return above_limit("the type of a message", type, kMessageTypes - 1);
  message.type = static_cast<MessageType>(type);
  const auto bits = reader.read<uint8_t>();
  if (bits > (kRejectBit | kTransferBit)) return above_limit("the bits of a message", bits, 3);
  message.reject = (bits & kRejectBit) != 0;
  message.transfer = (bits & kTransferBit) != 0;
  message.index = LogIndex(reader.read<uint64_t>());
  message.log_term = Term(reader.read<uint64_t>());
  message.commit = LogIndex(reader.read<uint64_t>());
  message.hint = LogIndex(reader.read<uint64_t>());
  message.round = reader.read<uint64_t>();
  message.context = reader.read<uint64_t>();
  if (const Status entries = read_entries(reader, message); !entries) return entries.error();
  return finish(reader, std::move(frame), "message");
}

using Decode = Result<PeerFrame> (*)(ByteReader&);
constexpr Decode kDecoders[] = {nullptr,
                                decode_hello,
                                decode_hello_reply,
                                decode_identity_query,
                                decode_identity_reply,
                                decode_genesis_offer,
                                decode_genesis_reply,
                                decode_message,
                                decode_app};

}  // namespace

void encode(const Hello& hello, std::string& out) {
  append_frame(out, FrameType::kHello, [&] {
    append_le(out, static_cast<uint8_t>(hello.lane));
    append_identity(out, hello.self);
    append_le(out, hello.expected_node.value);
    append_le(out, hello.expected_store.value);
    append_flags(out, hello.flags);
  });
}

void encode(const HelloReply& reply, std::string& out) {
  append_frame(out, FrameType::kHelloReply, [&] {
    append_le(out, reply.removed ? kVerdictRemoved
                                 : static_cast<uint8_t>(reply.accepted ? kVerdictAccepted : 0));
    append_reason(out, reply.reason);
    append_identity(out, reply.self);
    append_flags(out, reply.flags);
  });
}

void encode(const IdentityQuery& query, std::string& out) {
  append_frame(out, FrameType::kIdentityQuery, [&] { append_le(out, query.asker.value); });
}

void encode(const IdentityReply& reply, std::string& out) {
  append_frame(out, FrameType::kIdentityReply, [&] {
    append_identity(out, reply.self);
    append_le(out, reply.asker_store.value);
    const int marks =
        (reply.bootstraps ? kMarkBootstraps : 0) | (reply.asker_removed ? kMarkAskerRemoved : 0);
    append_le(out, static_cast<uint8_t>(marks));
    append_ids(out, reply.listed);
  });
}

void encode(const GenesisOffer& offer, std::string& out) {
  append_frame(out, FrameType::kGenesisOffer, [&] {
    append_le(out, static_cast<uint32_t>(offer.genesis.size()));
    out.append(offer.genesis);
  });
}

void encode(const GenesisReply& reply, std::string& out) {
  append_frame(out, FrameType::kGenesisReply, [&] {
    append_le(out, static_cast<uint8_t>(reply.accepted));
    append_reason(out, reply.reason);
  });
}

void encode(const AppFrame& app, std::string& out) {
  append_frame(out, FrameType::kApp, [&] {
    append_le(out, app.cluster.value);
    append_le(out, app.from.value);
    append_le(out, app.to.value);
    append_le(out, app.kind);
    out.append(app.payload);
  });
}

void encode_message(ClusterId cluster, const Message& message, std::string& out) {
  append_frame(out, FrameType::kMessage, [&] {
    const int bits = (message.reject ? kRejectBit : 0) | (message.transfer ? kTransferBit : 0);
    for (const uint64_t field : {cluster.value, message.group.value, message.from.value,
                                 message.to.value, message.term.value}) {
      append_le(out, field);
    }
    append_le(out, static_cast<uint8_t>(message.type));
    append_le(out, static_cast<uint8_t>(bits));
    for (const uint64_t field : {message.index.value, message.log_term.value, message.commit.value,
                                 message.hint.value, message.round, message.context}) {
      append_le(out, field);
    }
    append_le(out, static_cast<uint32_t>(message.entries.size()));
    LogIndex expected = message.index;
    for (const Entry& entry : message.entries) {
      HF_CHECK(entry.index == ++expected, "entries of a message leave a gap");
      char head[kEntryHeadBytes];
      store_le(head, entry.term.value);
      store_le(head + 8, static_cast<uint8_t>(entry.type));
      store_le(head + 9, static_cast<uint32_t>(entry.data.size()));
      out.append(head, sizeof head);
      out.append(entry.data.view());
    }
  });
}

size_t encoded_size(const Message& message) {
  size_t size = kPreambleBytes + kMessageFixedBytes;
  for (const Entry& entry : message.entries) size += kEntryHeadBytes + entry.data.size();
  return size;
}

Result<PeerFrame> decode_frame(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto magic = reader.read<uint16_t>();
  const auto version = reader.read<uint8_t>();
  const auto type = reader.read<uint8_t>();
  const auto checksum = reader.read<uint64_t>();
  if (!reader.ok()) {
    return corrupt("a peer frame of " + std::to_string(bytes.size()) + " bytes, the least is " +
                   std::to_string(kPreambleBytes));
  }
  if (magic != kPeerMagic) return corrupt("not a frame of the peer protocol");
  if (version != kPeerProtocolVersion) {
    return Error{ErrorCode::kUnsupported, "peer protocol version " + std::to_string(version) +
                                              ", this server speaks " +
                                              std::to_string(kPeerProtocolVersion)};
  }
  if (type == 0 || type >= std::size(kDecoders)) {
    return corrupt("peer frame of unknown type " + std::to_string(type));
  }
  if (checksum != frame_checksum(static_cast<FrameType>(type), bytes.substr(kPreambleBytes))) {
    return corrupt("checksum mismatch in a peer frame of " + std::to_string(bytes.size()) +
                   " bytes");
  }
  return kDecoders[type](reader);
}

}  // namespace holdfast::raft
