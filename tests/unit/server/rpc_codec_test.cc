// Frames to messages and back: which protocol, what a reply looks like, which methods there are.
#include "coordinator/server/rpc_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "coordinator/server/rpc_methods.h"
#include "gen/cpp/Holdfast.h"
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/HoldfastAdmin.h"
#include "gen/cpp/HoldfastAdmin.tcc"
#include "gen/cpp/admin_types.tcc"
#include "gen/cpp/holdfast_types.tcc"

namespace holdfast::server {
namespace {

using apache::thrift::TException;
using apache::thrift::protocol::T_REPLY;
using apache::thrift::protocol::TMessageType;

TEST(DetectProtocol, TheFirstByteDecides) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = detect_protocol(std::string(1, static_cast<char>(byte)));
    EXPECT_EQ(found.has_value(), byte == 0x80 || byte == 0x82) << byte;
  }
  EXPECT_EQ(detect_protocol("\x80..."), WireProtocol::kBinary);
  EXPECT_EQ(detect_protocol("\x82..."), WireProtocol::kCompact);
  EXPECT_FALSE(detect_protocol(""));
}

/// What a generated client makes of a reply frame.
template <class Result>
Result decode(WireProtocol protocol, const std::string& frame, const std::string& method,
              int32_t seqid) {
  auto reader = std::make_shared<FrameReader>();
  reader->reset(frame);
  Result result;
  std::string name;
  TMessageType type{};
  int32_t number = 0;
  const auto read = [&](auto&& in) {
    in.readMessageBegin(name, type, number);
    result.read(&in);
    in.readMessageEnd();
  };
  if (protocol == WireProtocol::kBinary) {
    read(BinaryIn(reader));
  } else {
    read(CompactIn(reader));
  }
  EXPECT_EQ(name, method);
  EXPECT_EQ(type, T_REPLY);
  EXPECT_EQ(number, seqid);
  EXPECT_TRUE(reader->rest().empty());
  return result;
}

class RpcWriterTest : public testing::TestWithParam<WireProtocol> {};

TEST_P(RpcWriterTest, AResultIsWhatAGeneratedClientExpects) {
  api::AcquireResult value;
  value.status = api::AcquireStatus::WAITING;
  value.position = 3;
  value.header.leaderAddress = "one:1";
  value.holders.resize(2);
  RpcWriter writer;
  std::string out = "what is there stays";
  writer.write_reply(out, GetParam(), "acquire", -5, &value);
  ASSERT_EQ(out.rfind("what is there stays", 0), 0u);
  const auto result =
      decode<api::Holdfast_acquire_result>(GetParam(), out.substr(19), "acquire", -5);
  EXPECT_TRUE(result.__isset.success);
  EXPECT_FALSE(result.__isset.error);
  EXPECT_EQ(result.success, value);
}

TEST_P(RpcWriterTest, AnErrorIsWhatAGeneratedClientExpects) {
  api::HoldfastError error;
  error.code = api::ErrorCode::OVERLOADED;
  error.message = "full";
  error.retryAfterMs = 20;
  RpcWriter writer;
  std::string out;
  writer.write_error(out, GetParam(), "settings", 7, error);
  const auto result = decode<api::HoldfastAdmin_settings_result>(GetParam(), out, "settings", 7);
  EXPECT_FALSE(result.__isset.success);
  ASSERT_TRUE(result.__isset.error);
  EXPECT_EQ(result.error, error);
}

INSTANTIATE_TEST_SUITE_P(Protocols, RpcWriterTest,
                         testing::Values(WireProtocol::kBinary, WireProtocol::kCompact));

TEST(RpcReaderTest, AStringAboveItsLimitIsRefusedThoughTheFrameHoldsIt) {
  api::Holdfast_openSession_args args;
  args.request.name.assign(RpcReader::kStringBytesMax + 1, 'n');
  std::string frame;
  auto writer = std::make_shared<FrameWriter>();
  writer->reset(frame);
  BinaryOut out(writer);
  args.write(&out);
  RpcReader reader;
  reader.reset(frame, WireProtocol::kBinary);
  api::Holdfast_openSession_args read;
  EXPECT_THROW(reader.read_arguments(read), TException);
  args.request.name.pop_back();
  frame.clear();
  args.write(&out);
  reader.reset(frame, WireProtocol::kBinary);
  reader.read_arguments(read);
  EXPECT_EQ(read.request.name.size(), static_cast<size_t>(RpcReader::kStringBytesMax));
}

TEST(RpcReaderTest, NestingWithoutEndIsRefused) {
  std::string frame;
  for (int i = 0; i < 100'000; ++i) frame += std::string("\x0c\x00\x63", 3);  // unknown structs
  RpcReader reader;
  reader.reset(frame, WireProtocol::kBinary);
  api::Holdfast_keepAlive_args args;
  EXPECT_THROW(reader.read_arguments(args), TException);
}

/// Unknown structs within each other, more than Thrift follows.
std::string nested_too_deep(WireProtocol protocol) {
  std::string frame;
  for (int i = 0; i < 100; ++i) {
    frame += protocol == WireProtocol::kBinary ? std::string("\x0c\x00\x63", 3) : "\x1c";
  }
  return frame;
}

class RpcReaderFramesTest : public testing::TestWithParam<WireProtocol> {};

TEST_P(RpcReaderFramesTest, FramesNestedTooDeepDoNotMakeTheNextOneTooDeep) {
  RpcReader reader;
  for (int i = 0; i < 100; ++i) {
    const std::string deep = nested_too_deep(GetParam());
    reader.reset(deep, GetParam());
    api::Holdfast_keepAlive_args args;
    EXPECT_THROW(reader.read_arguments(args), TException);
  }
  api::Holdfast_keepAlive_args args;
  args.context.sessionId = 5;
  std::string frame;
  auto writer = std::make_shared<FrameWriter>();
  writer->reset(frame);
  if (GetParam() == WireProtocol::kBinary) {
    BinaryOut out(writer);
    args.write(&out);
  } else {
    CompactOut out(writer);
    args.write(&out);
  }
  reader.reset(frame, GetParam());
  api::Holdfast_keepAlive_args read;
  EXPECT_NO_THROW(reader.read_arguments(read));
  EXPECT_EQ(read.context.sessionId, 5);
}

INSTANTIATE_TEST_SUITE_P(Protocols, RpcReaderFramesTest,
                         testing::Values(WireProtocol::kBinary, WireProtocol::kCompact));

TEST(RpcReaderTest, AFieldOfALaterVersionIsSkipped) {
  std::string frame;
  auto writer = std::make_shared<FrameWriter>();
  writer->reset(frame);
  BinaryOut out(writer);
  out.writeFieldBegin("later", apache::thrift::protocol::T_STRING, 99);
  out.writeString(std::string("of a later version"));
  api::Holdfast_keepAlive_args args;
  args.context.sessionId = 5;
  args.write(&out);
  RpcReader reader;
  reader.reset(frame, WireProtocol::kBinary);
  api::Holdfast_keepAlive_args read;
  reader.read_arguments(read);
  EXPECT_EQ(read.context.sessionId, 5);
}

TEST(RpcMethods, TheTablesAreInOrderAndEveryNameIsFound) {
  for (const auto methods : {client_methods(), admin_methods()}) {
    EXPECT_TRUE(std::is_sorted(methods.begin(), methods.end(),
                               [](const auto& a, const auto& b) { return a.name < b.name; }));
    for (const RpcMethod& method : methods) {
      EXPECT_EQ(find_method(methods, method.name), &method);
      EXPECT_EQ(find_method(methods, method.name + "x"), nullptr);
    }
    for (const char* none : {"", "zzz", "a", "OpenSession"}) {
      EXPECT_EQ(find_method(methods, none), nullptr) << none;
    }
  }
  EXPECT_EQ(client_methods().size(), 24u) << "every call of Holdfast and of HoldfastKeys";
  EXPECT_EQ(admin_methods().size(), 10u) << "every call of service HoldfastAdmin";
}

}  // namespace
}  // namespace holdfast::server
