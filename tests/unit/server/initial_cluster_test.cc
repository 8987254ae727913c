// What --initial_cluster may say to a server whose directory belongs to a cluster already.
#include "coordinator/server/initial_cluster.h"

#include <gtest/gtest.h>

namespace holdfast::server {
namespace {

raft::Genesis cluster_of(const std::vector<uint64_t>& ids) {
  raft::Genesis genesis;
  genesis.cluster = ClusterId(77);
  for (const uint64_t id : ids) {
    genesis.configuration.voters.push_back(NodeId(id));
    genesis.configuration.members.push_back(
        {NodeId(id), StoreId(100 + id), "stored:" + std::to_string(id), "client:1", 1});
  }
  return genesis;
}

ServerOptions node_3_that_lists(const std::vector<uint64_t>& ids) {
  ServerOptions options;
  options.node_id = NodeId(3);
  for (const uint64_t id : ids) {
    options.initial_cluster.push_back({NodeId(id), {"listed", static_cast<uint16_t>(id)}});
  }
  return options;
}

std::optional<std::string> contradicts(const std::vector<uint64_t>& listed,
                                       const raft::Genesis& genesis) {
  return contradiction(node_3_that_lists(listed), genesis, genesis.configuration);
}

TEST(InitialCluster, AListedServerThatIsNoMemberIsAContradiction) {
  EXPECT_EQ(contradicts({1, 2, 3}, cluster_of({3})),
            "cluster 77, whose only member is node 3; --initial_cluster lists 1,2,3");
  EXPECT_EQ(contradicts({1, 3, 4}, cluster_of({1, 2, 3})),
            "cluster 77, whose members are nodes 1,2,3; --initial_cluster lists 1,3,4");
}

TEST(InitialCluster, AMemberThatIsNotListedIsNone) {
  EXPECT_FALSE(contradicts({1, 2, 3}, cluster_of({1, 2, 3})).has_value());
  EXPECT_FALSE(contradicts({3}, cluster_of({1, 2, 3})).has_value());
  EXPECT_FALSE(contradicts({}, cluster_of({1, 2, 3})).has_value());
}

TEST(InitialCluster, AListedServerThatJoinedOrWasRemovedSinceIsNone) {
  raft::Configuration latest = cluster_of({3, 4}).configuration;
  latest.removed = {{NodeId(5), StoreId(105), LogIndex(9)}};
  EXPECT_FALSE(contradiction(node_3_that_lists({1, 3, 4, 5}), cluster_of({1, 2, 3}), latest));
  EXPECT_TRUE(contradiction(node_3_that_lists({1, 3, 6}), cluster_of({1, 2, 3}), latest));
}

TEST(InitialCluster, AServerThatJoinsListsNobody) {
  ServerOptions options = node_3_that_lists({});
  options.join = {{"there", 1}};
  EXPECT_TRUE(listed_ids(options).empty());
  EXPECT_FALSE(contradiction(options, cluster_of({1, 2}), cluster_of({1, 2}).configuration));
}

TEST(InitialCluster, AServerWithoutAListStandsForItself) {
  EXPECT_EQ(listed_ids(node_3_that_lists({})), std::vector<NodeId>{NodeId(3)});
  EXPECT_EQ(listed_ids(node_3_that_lists({2, 3})), (std::vector<NodeId>{NodeId(2), NodeId(3)}));
}

TEST(InitialCluster, AllMembersAreDialledUnderTheServersOwnAddressesWhereItHasThem) {
  const auto peers =
      peers_of(node_3_that_lists({2, 3}), cluster_of({1, 2, 3}).configuration.members);
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_EQ(net::to_string(peers[0].address), "stored:1");
  EXPECT_EQ(net::to_string(peers[1].address), "listed:2");
  EXPECT_EQ(peers[1].store, StoreId(102));
}

TEST(InitialCluster, AProgramBelowTheLevelInForceCannotServe) {
  raft::Configuration latest = cluster_of({1, 2, 3}).configuration;
  EXPECT_FALSE(level_above(latest, 3)) << "none was recorded";
  latest.level = 3;
  EXPECT_FALSE(level_above(latest, 3));
  latest.level = 4;
  EXPECT_EQ(level_above(latest, 3),
            "feature level 4 is in force, this program knows level 3: upgrade this server");
}

}  // namespace
}  // namespace holdfast::server
