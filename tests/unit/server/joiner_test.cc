// What an empty server that was started with --join makes of the answers.
#include "coordinator/server/joiner.h"

#include <gmock/gmock.h>

#include <optional>

#include "tests/unit/transport/transport_test_util.h"

namespace holdfast::server {
namespace {

using raft::kCluster;
using ::testing::HasSubstr;

constexpr NodeId kSelf{3};
constexpr StoreId kStore{1003};

struct JoinerTest : raft::TransportTest {
  /// The server `id`, of this cluster; zero: empty.
  raft::Node& server(uint64_t id, ClusterId cluster = kCluster) {
    raft::Node& each = node(id);
    each.self.cluster = cluster;
    each.open().transport->set_peers({});
    return each;
  }
  /// Its cluster has the asker's node, under this store.
  static void add(raft::Node& server, StoreId store) {
    server.transport->set_peers({{kSelf, {"127.0.0.1", 1}, store}});
  }
  void join(std::vector<net::Address> servers) {
    joiner.emplace(loop,
                   raft::PeerIdentity{.node = kSelf, .store = kStore, .peer_address = "here:7412"},
                   std::move(servers),
                   Joiner::Events{[this](const std::string& line) { waits = line; },
                                  [this](const Error& error) { refusal = error; }});
  }
  /// Until it has said something else than before.
  void hear() {
    const std::string before = waits;
    ASSERT_TRUE(until([&] { return refusal.has_value() || waits != before; }));
  }

  std::optional<Joiner> joiner;
  std::string waits;
  std::optional<Error> refusal;
};

TEST_F(JoinerTest, WhoIsNotAddedYetIsToldHowThatIsDone) {
  const net::Address one = server(1).address();
  join({one});
  hear();
  EXPECT_THAT(waits, HasSubstr(net::to_string(one) +
                               " is of cluster 4242, which has no node 3 yet: run `holdfast member "
                               "add 3 here:7412`"));
  EXPECT_FALSE(refusal);
}

TEST_F(JoinerTest, WhatAllServersSayAlikeIsSaidOnce) {
  const net::Address one = server(1).address();
  const net::Address two = server(2).address();
  join({one, two});
  hear();
  EXPECT_THAT(waits, HasSubstr(net::to_string(one)));
  EXPECT_THAT(waits, HasSubstr(net::to_string(two)));
  EXPECT_THAT(waits, HasSubstr(" are of cluster 4242, which has no node 3 yet"));
  const size_t first = waits.find("holdfast member add");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(waits.find("holdfast member add", first + 1), std::string::npos) << waits;
}

TEST_F(JoinerTest, WhoIsAddedMeanwhileIsTold) {
  raft::Node& other = server(1);
  join({other.address()});
  hear();
  add(other, kStore);
  clock.advance(Joiner::kRound);
  hear();
  EXPECT_THAT(waits, HasSubstr("of cluster 4242 has this server and will give it entry 1"));
}

TEST_F(JoinerTest, NoEntry1OfAnotherClusterIsTaken) {
  join({server(1).address()});
  EXPECT_THAT(joiner->contradiction(kCluster).value_or(""), HasSubstr("has said yet"));
  hear();
  EXPECT_EQ(joiner->contradiction(kCluster), std::nullopt);
  EXPECT_THAT(joiner->contradiction(ClusterId(8)).value_or(""), HasSubstr("are of cluster 4242"));
}

TEST_F(JoinerTest, OneThatBelongsToNoClusterSaysNothingOfAny) {
  join({server(1, ClusterId()).address()});
  hear();
  EXPECT_THAT(waits, HasSubstr("belongs to no cluster yet"));
  EXPECT_THAT(joiner->contradiction(kCluster).value_or(""), HasSubstr("has said yet"));
}

TEST_F(JoinerTest, AListThatNamesTwoClustersIsRefused) {
  join({server(1).address(), server(2, ClusterId(8)).address()});
  hear();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, ErrorCode::kBadArgument);
  EXPECT_THAT(refusal->message, HasSubstr("--join names servers of two clusters"));
}

TEST_F(JoinerTest, AnIdThatWasRemovedIsRefused) {
  raft::Node& other = server(1);
  other.transport->set_peers({}, {{kSelf, kStore, LogIndex(77)}});
  join({other.address()});
  hear();
  ASSERT_TRUE(refusal) << waits;
  EXPECT_EQ(refusal->code, ErrorCode::kBadArgument);
  EXPECT_THAT(refusal->message, HasSubstr("has removed node 3 for good"));
}

TEST_F(JoinerTest, AnotherStoreUnderItsIdIsRefused) {
  raft::Node& other = server(1);
  add(other, StoreId(5555));
  join({other.address()});
  hear();
  ASSERT_TRUE(refusal) << waits;
  EXPECT_THAT(refusal->message, HasSubstr("has node 3 under store 5555"));
}

}  // namespace
}  // namespace holdfast::server
