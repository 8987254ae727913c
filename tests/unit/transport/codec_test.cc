#include "raft/transport/codec.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/entropy.h"
#include "raft/transport/genesis.h"

namespace holdfast::raft {
namespace {

PeerIdentity some_identity() {
  return {.node = NodeId(2),
          .store = StoreId(77),
          .cluster = ClusterId(99),
          .incarnation = 1234,
          .peer_address = "10.0.0.2:7001",
          .client_address = "10.0.0.2:7000",
          .feature_level = 3};
}

Message some_append() {
  Message message;
  message.type = MessageType::kAppendRequest;
  message.group = GroupId(1);
  message.from = NodeId(1);
  message.to = NodeId(2);
  message.term = Term(7);
  message.index = LogIndex(41);
  message.log_term = Term(6);
  message.commit = LogIndex(40);
  const std::string data[] = {"", "one", std::string(1000, 'x')};
  const EntryType types[] = {EntryType::kNoop, EntryType::kCommand, EntryType::kConfiguration};
  for (size_t i = 0; i < 3; ++i) {
    message.entries.push_back({Term(7), LogIndex(42 + i), types[i], Blob(data[i])});
  }
  return message;
}

/// Every field of every type of message at once: none may be lost or mixed up.
Message full_response() {
  Message message;
  message.type = MessageType::kAppendResponse;
  message.group = GroupId(2);
  message.from = NodeId(3);
  message.to = NodeId(4);
  message.term = Term(5);
  message.index = LogIndex(6);
  message.log_term = Term(7);
  message.commit = LogIndex(8);
  message.reject = true;
  message.hint = LogIndex(9);
  message.transfer = true;
  message.round = 10;
  message.context = 11;
  return message;
}

void expect_equal(const Message& a, const Message& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.group, b.group);
  EXPECT_EQ(a.from, b.from);
  EXPECT_EQ(a.to, b.to);
  EXPECT_EQ(a.term, b.term);
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.log_term, b.log_term);
  EXPECT_EQ(a.commit, b.commit);
  EXPECT_EQ(a.entries, b.entries);
  EXPECT_EQ(a.reject, b.reject);
  EXPECT_EQ(a.hint, b.hint);
  EXPECT_EQ(a.transfer, b.transfer);
  EXPECT_EQ(a.round, b.round);
  EXPECT_EQ(a.context, b.context);
}

std::string bytes_of(const Message& message) {
  std::string out;
  encode_message(ClusterId(99), message, out);
  return out;
}

template <class Frame>
std::string bytes_of_frame(const Frame& frame) {
  std::string out;
  encode(frame, out);
  return out;
}

/// Puts a valid checksum on a body made by hand, so that the checks behind it are met.
std::string seal(FrameType type, const std::string& body) {
  std::string out;
  append_le(out, kPeerMagic);
  append_le(out, kPeerProtocolVersion);
  append_le(out, static_cast<uint8_t>(type));
  append_le(out, checksum64(body, static_cast<uint64_t>(type)));
  return out + body;
}

std::string error_of(const std::string& bytes) {
  const auto decoded = decode_frame(bytes);
  return decoded.ok() ? "decoded" : decoded.error().message;
}

TEST(Codec, CarriesEveryFieldOfAMessage) {
  for (const Message& message : {some_append(), full_response()}) {
    const auto decoded = decode_frame(bytes_of(message));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    const auto& frame = std::get<MessageFrame>(*decoded);
    EXPECT_EQ(frame.cluster, ClusterId(99));
    expect_equal(frame.message, message);
  }
}

TEST(Codec, KnowsTheSizeOfAMessageBeforeItIsEncoded) {
  EXPECT_EQ(encoded_size(some_append()), bytes_of(some_append()).size());
  EXPECT_EQ(encoded_size(full_response()), bytes_of(full_response()).size());
}

TEST(Codec, AppendsBehindWhatIsInTheBufferAlready) {
  std::string out = "before";
  encode_message(ClusterId(1), some_append(), out);
  EXPECT_EQ(out.substr(0, 6), "before");
  EXPECT_TRUE(decode_frame(std::string_view(out).substr(6)).ok());
}

TEST(Codec, CarriesHandshakesAndBootstrap) {
  const Hello hello{
      Lane::kBulk, some_identity(), NodeId(3), StoreId(5), {{"drift", "1"}, {"h", ""}}};
  EXPECT_EQ(std::get<Hello>(*decode_frame(bytes_of_frame(hello))), hello);
  HelloReply reply{true, false, "because", some_identity(), {{"a", "b"}}};
  EXPECT_EQ(std::get<HelloReply>(*decode_frame(bytes_of_frame(reply))), reply);
  reply.accepted = false;
  EXPECT_EQ(std::get<HelloReply>(*decode_frame(bytes_of_frame(reply))), reply);
  reply.removed = true;
  EXPECT_EQ(std::get<HelloReply>(*decode_frame(bytes_of_frame(reply))), reply);
  const IdentityReply identity{some_identity(), StoreId(5), true, {NodeId(2), NodeId(3)}};
  EXPECT_EQ(std::get<IdentityReply>(*decode_frame(bytes_of_frame(identity))), identity);
  const IdentityReply removes{some_identity(), StoreId(), false, {}, true};
  EXPECT_EQ(std::get<IdentityReply>(*decode_frame(bytes_of_frame(removes))), removes);
  const IdentityQuery query{NodeId(7)};
  EXPECT_EQ(std::get<IdentityQuery>(*decode_frame(bytes_of_frame(query))), query);
  const GenesisReply taken{false, "no"};
  EXPECT_EQ(std::get<GenesisReply>(*decode_frame(bytes_of_frame(taken))), taken);
  const std::string offer = bytes_of_frame(GenesisOffer{"genesis bytes"});
  EXPECT_EQ(std::get<GenesisOffer>(*decode_frame(offer)).genesis, "genesis bytes");
  const std::string app = bytes_of_frame(AppFrame{ClusterId(9), NodeId(1), NodeId(2), 200, "load"});
  const auto decoded = decode_frame(app);
  const auto& app_frame = std::get<AppFrame>(*decoded);
  EXPECT_EQ(app_frame.cluster, ClusterId(9));
  EXPECT_EQ(app_frame.from, NodeId(1));
  EXPECT_EQ(app_frame.to, NodeId(2));
  EXPECT_EQ(app_frame.kind, 200);
  EXPECT_EQ(app_frame.payload, "load");
}

TEST(Codec, CutsAnOverlongReasonRatherThanSendIt) {
  const GenesisReply reply{false, std::string(100'000, 'r')};
  EXPECT_EQ(std::get<GenesisReply>(*decode_frame(bytes_of_frame(reply))).reason.size(),
            kMaxReasonBytes);
}

TEST(Codec, FindsEverySingleFlippedBit) {
  const std::string good = bytes_of(some_append());
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_frame(bad).ok()) << "bit " << bit;
  }
}

TEST(Codec, RefusesAFrameCutAnywhere) {
  const std::string good = bytes_of(some_append());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_frame(good.substr(0, size)).ok()) << size;
    if (size < 12) continue;
    // Even when somebody computes a checksum over the piece.
    EXPECT_FALSE(decode_frame(seal(FrameType::kMessage, good.substr(12, size - 12))).ok()) << size;
  }
}

TEST(Codec, NamesBothVersionsWhenTheOtherSideSpeaksAnother) {
  std::string frame = bytes_of_frame(IdentityQuery{});
  frame[2] = 9;
  const auto decoded = decode_frame(frame);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(decoded.error().message.find("version 9"), std::string::npos);
  EXPECT_NE(decoded.error().message.find("speaks 1"), std::string::npos);
}

TEST(Codec, RefusesAnAbsurdNumberOfEntriesBeforeMakingRoomForThem) {
  std::string frame = bytes_of(some_append());
  std::string body = frame.substr(12);
  store_le<uint32_t>(body.data() + 90, 0xffffffff);
  EXPECT_NE(error_of(seal(FrameType::kMessage, body)).find("4294967295"), std::string::npos);
  store_le<uint32_t>(body.data() + 90, kMaxEntriesPerMessage + 1);
  EXPECT_NE(error_of(seal(FrameType::kMessage, body)).find("65537"), std::string::npos);
}

TEST(Codec, RefusesEntriesInAMessageThatIsNoAppend) {
  std::string body = bytes_of(some_append()).substr(12);
  body[40] = static_cast<char>(MessageType::kHeartbeatRequest);
  EXPECT_NE(error_of(seal(FrameType::kMessage, body)).find("carries 3 entries"), std::string::npos);
}

TEST(Codec, RefusesUnknownTypesBitsAndIndicesThatWouldWrap) {
  const std::string good = bytes_of(some_append()).substr(12);
  const auto with = [&](size_t at, char value) {
    std::string body = good;
    body[at] = value;
    return seal(FrameType::kMessage, body);
  };
  EXPECT_NE(error_of(with(40, 13)).find("type of a message is 13"), std::string::npos);
  EXPECT_NE(error_of(with(41, 4)).find("bits of a message is 4"), std::string::npos);
  EXPECT_NE(error_of(with(49, '\x7f')).find("index before the entries"), std::string::npos);
  EXPECT_NE(error_of(with(94 + 8, 9)).find("type of an entry is 9"), std::string::npos);
  EXPECT_NE(error_of(seal(static_cast<FrameType>(42), "")).find("unknown type 42"),
            std::string::npos);
  EXPECT_NE(error_of(seal(FrameType::kHello, "\x02")).find("lane is 2"), std::string::npos);
}

TEST(Codec, RefusesBytesBehindTheFrame) {
  EXPECT_NE(error_of(seal(FrameType::kIdentityQuery, "12345678x")).find("1 bytes follow"),
            std::string::npos);
}

/// Mutates valid frames at random, with the checksum made right again: whatever comes out must be
/// an error or a frame that encodes to the same bytes, and never more memory than input.
TEST(Codec, SurvivesAnyBytes) {
  SplitMix random(2024);
  const Hello hello{Lane::kControl, some_identity(), NodeId(3), StoreId(5), {{"drift", "1"}}};
  const std::vector<std::string> seeds = {
      bytes_of(some_append()),
      bytes_of(full_response()),
      bytes_of_frame(hello),
      bytes_of_frame(HelloReply{false, true, "no", some_identity(), {{"a", "b"}}}),
      bytes_of_frame(GenesisOffer{"genesis"}),
      bytes_of_frame(IdentityReply{some_identity(), StoreId(5), true, {NodeId(2)}})};
  int decoded = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string& seed = seeds[random.below(seeds.size())];
    const auto type = static_cast<FrameType>(seed[3]);
    std::string body = seed.substr(12);
    for (uint64_t n = random.below(4); n > 0 && !body.empty(); --n) {
      const size_t at = random.below(body.size());
      switch (random.below(4)) {
        case 0:
          body[at] = static_cast<char>(random.next());
          break;
        case 1:
          body.erase(at, 1 + random.below(8));
          break;
        case 2:
          body.insert(at, random.below(8), static_cast<char>(random.next()));
          break;
        default:
          body[at] = static_cast<char>(0xff);
      }
    }
    const auto frame = decode_frame(seal(type, body));
    if (!frame.ok()) {
      EXPECT_FALSE(frame.error().message.empty());
      continue;
    }
    ++decoded;
    if (const auto* message = std::get_if<MessageFrame>(&*frame)) {
      std::string again;
      encode_message(message->cluster, message->message, again);
      EXPECT_EQ(again, seal(type, body));
    }
  }
  EXPECT_GT(decoded, 1'000) << "the loop must reach the code behind the checksum";
}

TEST(Codec, SurvivesRandomBytes) {
  SplitMix random(7);
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes(random.below(200), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    EXPECT_FALSE(decode_frame(bytes).ok());
  }
}

}  // namespace
}  // namespace holdfast::raft
