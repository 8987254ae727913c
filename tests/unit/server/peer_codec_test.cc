// Messages of other servers: what cannot be read leaves nothing behind for the next one.
#include "coordinator/server/peer_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::server {
namespace {

TEST(PeerCodecTest, MessagesNestedTooDeepDoNotMakeTheNextOneTooDeep) {
  PeerCodec codec;
  for (int i = 0; i < 100; ++i) {
    peer::LeaseQuery query;
    EXPECT_FALSE(codec.decode(std::string(100, '\x1c'), query)) << "unknown structs";
  }
  peer::RoomReport report;
  const std::string bytes(codec.encode(report));
  EXPECT_TRUE(codec.decode(bytes, report));
}

}  // namespace
}  // namespace holdfast::server
