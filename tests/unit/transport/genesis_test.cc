#include "raft/transport/genesis.h"

#include <gtest/gtest.h>

#include "base/entropy.h"

namespace holdfast::raft {
namespace {

Member member(uint64_t id) {
  const std::string n = std::to_string(id);
  return {NodeId(id), StoreId(100 + id), "10.0.0." + n + ":7001", "10.0.0." + n + ":7000", 1};
}

Genesis three_servers() {
  Genesis genesis;
  genesis.cluster = ClusterId(0x1f2e3d4c5b);
  for (const uint64_t id : {1, 2, 3}) {
    genesis.configuration.voters.push_back(NodeId(id));
    genesis.configuration.members.push_back(member(id));
  }
  return genesis;
}

std::string error_of(const Genesis& genesis) {
  const auto decoded = decode_genesis(encode_genesis(genesis));
  return decoded.ok() ? "decoded" : decoded.error().message;
}

TEST(Genesis, ComesBackAsItWas) {
  const auto decoded = decode_genesis(encode_genesis(three_servers()));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, three_servers());
}

TEST(Genesis, AJointConfigurationWithLearnersComesBackAsItWas) {
  Configuration joint;
  joint.voters = {NodeId(1), NodeId(2), NodeId(4)};
  joint.outgoing = {NodeId(1), NodeId(3)};
  joint.learners = {NodeId(9)};
  for (const uint64_t id : {1, 2, 3, 4, 9}) joint.members.push_back(member(id));
  const auto decoded = decode_configuration(encode_configuration(joint));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, joint);
}

TEST(Genesis, FindsMembersById) {
  const Genesis genesis = three_servers();
  EXPECT_EQ(find_member(genesis.configuration, NodeId(2))->store, StoreId(102));
  EXPECT_EQ(find_member(genesis.configuration, NodeId(4)), nullptr);
}

TEST(Genesis, RefusesWhatCannotBeginACluster) {
  Genesis genesis = three_servers();
  genesis.cluster = ClusterId();
  EXPECT_NE(error_of(genesis).find("cluster 0"), std::string::npos);

  genesis = three_servers();
  genesis.configuration.members[2].store = StoreId(101);
  EXPECT_NE(error_of(genesis).find("store 101 of member 3"), std::string::npos);

  genesis = three_servers();
  genesis.configuration.learners = {NodeId(4)};
  genesis.configuration.members.push_back(member(4));
  EXPECT_NE(error_of(genesis).find("learners"), std::string::npos);

  genesis.configuration = {};
  EXPECT_NE(error_of(genesis).find("no voter"), std::string::npos);
}

TEST(Genesis, RefusesIdsAndMembersThatDoNotMatch) {
  Genesis genesis = three_servers();
  genesis.configuration.members.pop_back();
  EXPECT_NE(error_of(genesis).find("id 3"), std::string::npos);

  genesis = three_servers();
  genesis.configuration.members.push_back(member(2));
  EXPECT_NE(error_of(genesis).find("member 2 stands twice"), std::string::npos);

  genesis = three_servers();
  genesis.configuration.voters = {NodeId(1), NodeId(3), NodeId(2)};
  EXPECT_NE(error_of(genesis).find("id 2 does not ascend"), std::string::npos);

  genesis = three_servers();
  genesis.configuration.members[0].peer_address.assign(kMaxAddressBytes + 1, 'a');
  EXPECT_NE(error_of(genesis).find("513"), std::string::npos);
}

TEST(Genesis, RefusesBytesThatAreCutOrTooMany) {
  const std::string good = encode_genesis(three_servers());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_genesis(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(decode_genesis(good + "x").ok());
}

TEST(Genesis, SurvivesAnyBytes) {
  SplitMix random(99);
  const std::string good = encode_genesis(three_servers());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (uint64_t n = 1 + random.below(4); n > 0; --n) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const auto decoded = decode_genesis(bytes);
    if (!decoded.ok()) continue;
    EXPECT_EQ(encode_genesis(*decoded), bytes);
  }
}

}  // namespace
}  // namespace holdfast::raft
