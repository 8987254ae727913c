// What a member that starts again with --join makes of the answers.
#include "coordinator/server/join_check.h"

#include <optional>

#include "tests/unit/transport/transport_test_util.h"

namespace holdfast::server {
namespace {

using raft::Node;

struct JoinCheckTest : raft::TransportTest {
  /// The server `id`, of this cluster; 0: empty.
  net::Address server(uint64_t id, uint64_t cluster) {
    Node& each = node(id);
    each.self.cluster = ClusterId(cluster);
    each.open().transport->set_peers({});
    return each.address();
  }
  /// It accepts, and says nothing.
  net::Address silent() {
    auto opened = net::Listener::open(
        loop, net::kLoopback,
        [this](net::Socket socket, const net::Address&) { held.push_back(std::move(socket)); }, {});
    EXPECT_TRUE(opened.ok());
    listener = std::move(*opened);
    return {"127.0.0.1", listener->port()};
  }
  /// Of node 1, a member of cluster 7.
  void check(std::vector<net::Address> servers) {
    raft::PeerIdentity self = node(1).self;
    self.cluster = ClusterId(7);
    began = loop.clock().now();
    checks.push_back(std::make_unique<JoinCheck>(loop, std::move(self), std::move(servers),
                                                 [this](std::optional<std::string> contradiction) {
                                                   outcome.emplace(std::move(contradiction));
                                                   took = loop.clock().now() - began;
                                                 }));
    EXPECT_FALSE(outcome) << "never from inside";
    ASSERT_TRUE(until([this] { return outcome.has_value(); }));
  }
  void expect_to_go_on() { EXPECT_EQ(*outcome, std::nullopt); }

  std::vector<std::unique_ptr<JoinCheck>> checks;
  std::unique_ptr<net::Listener> listener;
  std::vector<net::Socket> held;
  std::optional<std::optional<std::string>> outcome;
  Instant began;
  Duration took{0};
};

TEST_F(JoinCheckTest, AServerOfAnotherClusterIsNamedWithItsAddress) {
  const net::Address other = server(2, 8);
  check({other});
  ASSERT_TRUE(*outcome);
  EXPECT_NE((*outcome)->find(net::to_string(other) + ", node 2 "), std::string::npos) << **outcome;
  EXPECT_NE((*outcome)->find("of cluster 8"), std::string::npos) << **outcome;
}

TEST_F(JoinCheckTest, OneOfTheOwnClusterIsEnough) {
  check({server(2, 8), server(3, 7), server(4, 8)});
  expect_to_go_on();
}

TEST_F(JoinCheckTest, OneThatBelongsToNoClusterContradictsNothing) {
  check({server(2, 0)});
  expect_to_go_on();
}

TEST_F(JoinCheckTest, OneThatBelongsToNoClusterDoesNotOutweighAnother) {
  check({server(2, 0), server(3, 8)});
  EXPECT_TRUE(*outcome);
}

TEST_F(JoinCheckTest, WhatItSaysOfItselfIsNoWitness) {
  check({server(1, 7), server(2, 8)});
  EXPECT_TRUE(*outcome);
}

TEST_F(JoinCheckTest, ARefusedConnectionIsNotWaitedFor) {
  const net::Address gone = server(2, 7);
  nodes.at(2)->transport.reset();
  check({gone});
  expect_to_go_on();
  EXPECT_LT(took, JoinCheck::kWait);
}

TEST_F(JoinCheckTest, SilenceIsWaitedForNoLongerThanSaid) {
  check({silent(), server(2, 0)});
  expect_to_go_on();
  EXPECT_GE(took, JoinCheck::kWait);
}

TEST_F(JoinCheckTest, SilenceOfOneDoesNotHideAnother) {
  check({silent(), server(2, 8)});
  EXPECT_TRUE(*outcome);
}

}  // namespace
}  // namespace holdfast::server
