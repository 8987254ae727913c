// The encoding of configurations, whatever bytes there are.
#include "raft/core/configuration.h"

#include <gtest/gtest.h>

#include <string>

#include "base/entropy.h"

namespace holdfast::raft {
namespace {

std::vector<NodeId> ids(std::initializer_list<uint64_t> list) {
  std::vector<NodeId> all;
  for (const uint64_t id : list) all.emplace_back(id);
  return all;
}

/// Voters 1, 2, 4, outgoing 1, 2, 3, learners 3 and 9: number 3 is on its way to be one.
Configuration joint() {
  Configuration c{.voters = ids({1, 2, 4}), .outgoing = ids({1, 2, 3}), .learners = ids({3, 9})};
  for (const uint64_t id : {1, 2, 3, 4, 9}) {
    const std::string n = std::to_string(id);
    c.members.push_back({NodeId(id), StoreId(100 + id), "peer" + n + ":1", "client" + n + ":2", 3});
  }
  return c;
}

std::string error_of(const Configuration& configuration) {
  const auto decoded = decode_configuration(encode_configuration(configuration));
  return decoded.ok() ? "decoded" : decoded.error().message;
}

TEST(ConfigurationCodec, ComesBackAsItWas) {
  const auto decoded = decode_configuration(encode_configuration(joint()));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, joint());
  EXPECT_EQ(describe(*decoded), "voters 1,2,4 outgoing 1,2,3 learners 3,9");
}

TEST(ConfigurationCodec, APromotionThatIsWaitedForTakesTheSecondFormat) {
  Configuration c = joint();
  EXPECT_EQ(encode_configuration(c)[0], 1);
  c.members[4].promote = true;
  std::string bytes = encode_configuration(c);
  EXPECT_EQ(bytes[0], 2);
  const auto decoded = decode_configuration(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, c);
  bytes.back() = 2;
  EXPECT_EQ(decode_configuration(bytes).error().message,
            "the promotion of a member is 2, the limit is 1");
  bytes.back() = 0;
  EXPECT_EQ(decode_configuration(bytes).error().message,
            "configuration format 2 in which no member waits for promotion");
}

TEST(ConfigurationCodec, RemovedMembersTakeTheThirdFormat) {
  Configuration c = joint();
  c.removed = {{NodeId(5), StoreId(105), LogIndex(70)}, {NodeId(6), StoreId(106), LogIndex(71)}};
  std::string bytes = encode_configuration(c);
  EXPECT_EQ(bytes[0], 3);
  const auto decoded = decode_configuration(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, c);
  EXPECT_FALSE(decode_configuration(bytes.substr(0, bytes.size() - 1)).ok());
  EXPECT_EQ(decode_configuration(bytes + "x").error().message, "1 bytes follow the configuration");
  std::swap(c.removed[0], c.removed[1]);
  EXPECT_EQ(error_of(c), "removed member 5 does not ascend from the one before");
}

TEST(ConfigurationCodec, ALevelThatIsInForceTakesTheFourthFormat) {
  Configuration c = joint();
  c.level = 3;
  const std::string bytes = encode_configuration(c);
  EXPECT_EQ(bytes[0], 4);
  const auto decoded = decode_configuration(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, c);
  EXPECT_EQ(describe(c), "voters 1,2,4 outgoing 1,2,3 learners 3,9 level 3");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_configuration(bytes.substr(0, size)).ok()) << size;
  }
  c.members[4].promote = true;
  c.removed = {{NodeId(5), StoreId(105), LogIndex(70)}};
  EXPECT_EQ(*decode_configuration(encode_configuration(c)), c);
}

TEST(ConfigurationCodec, ALevelIsOneThatAllMembersHave) {
  Configuration c = joint();
  c.level = 4;
  EXPECT_EQ(error_of(c), "member 1 has feature level 3, the configuration level 4");
  c.level = 2;
  EXPECT_EQ(error_of(c), "level 2 of the configuration: those below 3 are not recorded");
}

TEST(ConfigurationCodec, AClusterBeginsAtTheHighestLevelThatAllKnow) {
  std::vector<Member> members = joint().members;
  EXPECT_EQ(first_level(members), 3U);
  for (Member& member : members) member.feature_level = 5;
  members[2].feature_level = 4;
  EXPECT_EQ(first_level(members), 4U);
  members[3].feature_level = 2;
  EXPECT_EQ(first_level(members), 0U) << "that program does not know the encoding of a level";
  EXPECT_EQ(first_level({}), 0U);
}

TEST(ConfigurationCodec, ARemovedMemberIsNone) {
  Configuration c = joint();
  c.removed = {{NodeId(9), StoreId(500), LogIndex(70)}};
  EXPECT_EQ(error_of(c), "id or store of member 9 is that of a removed member");
  c.removed = {{NodeId(10), StoreId(109), LogIndex(70)}};
  EXPECT_EQ(error_of(c), "id or store of member 9 is that of a removed member");
}

TEST(ConfigurationCodec, RefusesListsThatNoClusterCanHave) {
  Configuration c = joint();
  c.voters.clear();
  c.members.erase(c.members.begin() + 3);
  EXPECT_EQ(error_of(c), "the configuration names no voter");
  c = joint();
  c.learners = ids({3, 4, 9});
  EXPECT_EQ(error_of(c), "id 4 is a voter and a learner");
  c = joint();
  c.voters = ids({1, 4, 2});
  EXPECT_NE(error_of(c).find("id 2 does not ascend"), std::string::npos);
  c = joint();
  c.outgoing = ids({1, 1, 3});
  EXPECT_NE(error_of(c).find("id 1 does not ascend"), std::string::npos);
  c = joint();
  c.learners = ids({0, 3, 9});
  EXPECT_NE(error_of(c).find("id 0"), std::string::npos);
}

TEST(ConfigurationCodec, RefusesMembersThatDoNotFitTheLists) {
  Configuration c = joint();
  c.members.pop_back();
  EXPECT_EQ(error_of(c), "id 9 of the configuration has no member");
  c = joint();
  c.members.push_back(c.members.front());
  EXPECT_NE(error_of(c).find("member 1 stands twice"), std::string::npos);
  c = joint();
  c.members[1].client_address.assign(kMaxAddressBytes + 1, 'a');
  EXPECT_NE(error_of(c).find("513, the limit is 512"), std::string::npos);
}

TEST(ConfigurationCodec, RefusesOtherFormatsAndLengths) {
  const std::string good = encode_configuration(joint());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_configuration(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(decode_configuration(good + "x").ok());
  std::string newer = good;
  newer[0] = 5;
  EXPECT_EQ(decode_configuration(newer).error().message,
            "configuration format 5, this server knows 1 to 4");
  EXPECT_EQ(decode_configuration(newer).error().code, ErrorCode::kCorrupt);
}

TEST(ConfigurationCodec, SurvivesAnyBytes) {
  SplitMix random(7);
  Configuration promoting = joint();
  promoting.members[4].promote = true;
  Configuration raised = promoting;
  raised.level = 3;
  const std::string good[] = {encode_configuration(joint()), encode_configuration(promoting),
                              encode_configuration(raised)};
  for (int i = 0; i < 60'000; ++i) {
    std::string bytes = good[i % 3];
    for (uint64_t n = 1 + random.below(4); n > 0; --n) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const auto decoded = decode_configuration(bytes);
    if (!decoded.ok()) continue;
    EXPECT_EQ(encode_configuration(*decoded), bytes);
    EXPECT_TRUE(well_formed(*decoded));
  }
}

TEST(ConfigurationCodec, FindsMembersById) {
  EXPECT_EQ(find_member(joint(), NodeId(4))->store, StoreId(104));
  EXPECT_EQ(find_member(joint(), NodeId(5)), nullptr);
}

}  // namespace
}  // namespace holdfast::raft
