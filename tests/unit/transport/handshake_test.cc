#include "raft/transport/handshake.h"

#include <gtest/gtest.h>

namespace holdfast::raft {
namespace {

/// Node 2 of cluster 7, dialled by node 1: everything agrees until a test changes one thing.
struct HandshakeTest : testing::Test {
  HandshakeTest() {
    hello.self = {.node = NodeId(1), .store = StoreId(11), .cluster = ClusterId(7)};
    hello.expected_node = NodeId(2);
    hello.expected_store = StoreId(12);
    hello.flags = flags;
    reply.accepted = true;
    reply.self = self;
    reply.flags = flags;
  }
  std::string hello_refusal() {
    const Acquaintance acquaintance{known ? &dialler : nullptr, owner, removed, level};
    const auto refusal = refuse_hello(self, flags, acquaintance, hello);
    told_removed = refusal && refusal->removed;
    return refusal ? refusal->reason : "";
  }
  std::string reply_refusal() {
    return refuse_reply(hello.self, flags, dialled, level, reply).value_or("");
  }
  static void expect_all(const std::string& reason, std::vector<std::string> parts) {
    for (const std::string& part : parts) {
      EXPECT_NE(reason.find(part), std::string::npos) << reason << " lacks " << part;
    }
  }

  PeerIdentity self{.node = NodeId(2), .store = StoreId(12), .cluster = ClusterId(7)};
  std::vector<AgreedFlag> flags{{"election_timeout_ms", "500"}, {"heartbeat_ms", "100"}};
  PeerSpec dialler{NodeId(1), {"a", 1}, StoreId(11)};
  PeerSpec dialled{NodeId(2), {"b", 2}, StoreId(12)};
  bool known = true;
  const PeerSpec* owner = nullptr;
  const RemovedMember* removed = nullptr;
  uint32_t level = 0;
  bool told_removed = false;
  Hello hello;
  HelloReply reply;
};

TEST_F(HandshakeTest, AcceptsWhenEverythingAgrees) {
  EXPECT_EQ(hello_refusal(), "");
  EXPECT_EQ(reply_refusal(), "");
}

TEST_F(HandshakeTest, NamesBothClusters) {
  hello.self.cluster = ClusterId(8);
  expect_all(hello_refusal(), {"cluster", "7 on node 2", "8 on node 1"});
  expect_all(reply_refusal(), {"cluster", "7 on node 2", "8 on node 1"});
}

TEST_F(HandshakeTest, NamesBothNodesWhenTheWrongOneWasReached) {
  hello.expected_node = NodeId(3);
  expect_all(hello_refusal(), {"this is node 2", "meant to reach node 3"});
  reply.self.node = NodeId(3);
  expect_all(reply_refusal(), {"b:2", "is node 3", "expected node 2"});
}

TEST_F(HandshakeTest, BelievesOnlyTheStoreBoundToTheMember) {
  hello.expected_store = StoreId(99);
  expect_all(hello_refusal(), {"store 12", "store is 99", "join as a new member"});
  hello.expected_store = StoreId(12);
  hello.self.store = StoreId(98);
  expect_all(hello_refusal(), {"store 98", "store is 11", "join as a new member"});
  reply.self.store = StoreId(97);
  expect_all(reply_refusal(), {"store 97", "store is 12"});
}

TEST_F(HandshakeTest, RefusesWhoKnowsLessThanIsInForce) {
  hello.self.feature_level = self.feature_level = reply.self.feature_level = 3;
  level = 3;
  EXPECT_EQ(hello_refusal(), "");
  EXPECT_EQ(reply_refusal(), "");
  level = 4;
  expect_all(hello_refusal(), {"node 1 knows feature level 3", "4 is in force", "upgrade it"});
  expect_all(reply_refusal(), {"node 2 knows feature level 3", "4 is in force", "upgrade it"});
}

TEST_F(HandshakeTest, BelievesAnyStoreWhileTheMembershipIsUnknown) {
  hello.expected_store = StoreId();
  dialler.store = StoreId();
  dialled.store = StoreId();
  hello.self.store = StoreId(5);
  reply.self.store = StoreId(6);
  EXPECT_EQ(hello_refusal(), "");
  EXPECT_EQ(reply_refusal(), "");
}

TEST_F(HandshakeTest, HearsAServerThatItDoesNotKnowYet) {
  known = false;
  EXPECT_EQ(hello_refusal(), "");
  hello.self.cluster = ClusterId(8);
  expect_all(hello_refusal(), {"cluster ids differ"});
}

TEST_F(HandshakeTest, RefusesAStrangerWithTheStoreOfAMember) {
  known = false;
  const PeerSpec other{NodeId(3), {"c", 3}, StoreId(11)};
  owner = &other;
  expect_all(hello_refusal(), {"store 11 is that of node 3", "node 1 claims it"});
}

TEST_F(HandshakeTest, TellsARemovedMemberSo) {
  known = false;
  RemovedMember gone{NodeId(1), StoreId(11), LogIndex(77)};
  removed = &gone;
  expect_all(hello_refusal(), {"node 1 (store 11) was removed", "at entry 77"});
  EXPECT_TRUE(told_removed);
}

TEST_F(HandshakeTest, NeitherIdNorStoreOfARemovedMemberIsUsedAgain) {
  known = false;
  RemovedMember same_id{NodeId(1), StoreId(50), LogIndex(77)};
  removed = &same_id;
  expect_all(hello_refusal(), {"node 1 (store 50)", "neither its id nor its store"});
  EXPECT_FALSE(told_removed) << "this store never was a member";
  RemovedMember same_store{NodeId(4), StoreId(11), LogIndex(77)};
  removed = &same_store;
  expect_all(hello_refusal(), {"node 4 (store 11)", "this is node 1 with store 11"});
  EXPECT_FALSE(told_removed);
}

TEST_F(HandshakeTest, NamesTheFlagAndBothItsValues) {
  hello.flags[0].value = "1000";
  expect_all(hello_refusal(), {"election_timeout_ms", "500 on node 2", "1000 on node 1"});
  reply.flags[1].value = "7";
  expect_all(reply_refusal(), {"heartbeat_ms", "100 on node 1", "7 on node 2"});
}

TEST_F(HandshakeTest, AFlagThatOneSideDoesNotKnowIsADifference) {
  hello.flags.push_back({"drift_bound", "1"});
  expect_all(hello_refusal(), {"drift_bound", "(absent) on node 2", "1 on node 1"});
  hello.flags = {{"heartbeat_ms", "100"}};
  expect_all(hello_refusal(), {"election_timeout_ms", "500 on node 2", "(absent) on node 1"});
}

TEST_F(HandshakeTest, AnEmptyServerSaysSoWhateverElseDiffers) {
  self.cluster = ClusterId();
  expect_all(hello_refusal(), {"node 2 is empty", "store 12"});
}

TEST_F(HandshakeTest, PassesTheOtherSidesRefusalOn) {
  reply.accepted = false;
  reply.reason = "because of the weather";
  EXPECT_EQ(reply_refusal(), "because of the weather");
}

struct OfferedGenesis : HandshakeTest {
  OfferedGenesis() {
    self.cluster = ClusterId();
    genesis.cluster = ClusterId(7);
    genesis.configuration.voters = {NodeId(2)};
    genesis.configuration.members = {{NodeId(2), StoreId(12), "", "", 1}};
  }
  std::string refusal() { return refuse_genesis(self, genesis, joins, claim).value_or(""); }

  Genesis genesis;
  bool joins = false;
  std::optional<Hello> claim;
};

TEST_F(OfferedGenesis, IsTakenIfItNamesTheStore) {
  EXPECT_EQ(refusal(), "");
  self.cluster = ClusterId(7);
  expect_all(refusal(), {"belongs to cluster 7 already"});
  self.cluster = ClusterId();
  genesis.configuration.members[0].store = StoreId(13);
  expect_all(refusal(), {"store 13", "this is store 12"});
  genesis.configuration.members[0].id = NodeId(3);
  expect_all(refusal(), {"names no node 2", "no --join"});
}

TEST_F(OfferedGenesis, OfAHigherLevelIsRefused) {
  genesis.configuration.members[0].feature_level = genesis.configuration.level = 4;
  self.feature_level = 3;
  expect_all(refusal(), {"node 2 knows feature level 3", "4 is in force"});
  self.feature_level = 4;
  EXPECT_EQ(refusal(), "");
}

TEST_F(OfferedGenesis, OfAClusterThatIsJoinedIsTakenFromAServerThatNamesTheStore) {
  genesis.configuration.members[0].id = NodeId(3);
  claim = hello;
  expect_all(refusal(), {"no --join"});
  joins = true;
  EXPECT_EQ(refusal(), "");
  claim->expected_store = StoreId(13);
  expect_all(refusal(), {"names no node 2", "nor does the server"});
  claim->expected_store = StoreId();
  expect_all(refusal(), {"nor does the server"});
  claim = hello;
  claim->expected_node = NodeId(4);
  expect_all(refusal(), {"nor does the server"});
  claim = hello;
  claim->self.cluster = ClusterId(8);
  expect_all(refusal(), {"nor does the server"});
  claim.reset();
  expect_all(refusal(), {"nor does the server"});
}

TEST_F(OfferedGenesis, ThatBindsTheJoiningNodeToAnotherStoreIsRefused) {
  genesis.configuration.members[0].store = StoreId(13);
  joins = true;
  claim = hello;
  expect_all(refusal(), {"store 13", "this is store 12"});
}

}  // namespace
}  // namespace holdfast::raft
