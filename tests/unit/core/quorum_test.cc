#include "raft/core/quorum.h"

#include <gtest/gtest.h>

#include <map>

namespace holdfast::raft {
namespace {

std::vector<NodeId> ids(std::initializer_list<uint64_t> values) {
  std::vector<NodeId> all;
  for (uint64_t value : values) all.push_back(NodeId(value));
  return all;
}

Configuration simple(std::initializer_list<uint64_t> voters) { return {.voters = ids(voters)}; }

uint64_t reached(const Configuration& configuration, const std::map<uint64_t, uint64_t>& values) {
  return quorum_value(configuration, [&](NodeId id) { return values.at(id.value); });
}

TEST(Quorum, IsAMajorityOfTheVoters) {
  EXPECT_EQ(reached(simple({1}), {{1, 7}}), 7U);
  EXPECT_EQ(reached(simple({1, 2}), {{1, 7}, {2, 5}}), 5U);
  EXPECT_EQ(reached(simple({1, 2, 3}), {{1, 7}, {2, 5}, {3, 6}}), 6U);
  EXPECT_EQ(reached(simple({1, 2, 3, 4}), {{1, 7}, {2, 5}, {3, 6}, {4, 1}}), 5U);
  EXPECT_EQ(reached(simple({1, 2, 3, 4, 5}), {{1, 9}, {2, 5}, {3, 6}, {4, 1}, {5, 9}}), 6U);
}

TEST(Quorum, OfAJointConfigurationNeedsBothMajorities) {
  const Configuration joint{.voters = ids({1, 2, 3}), .outgoing = ids({3, 4, 5})};
  EXPECT_EQ(reached(joint, {{1, 9}, {2, 9}, {3, 1}, {4, 2}, {5, 3}}), 2U);
  EXPECT_EQ(reached(joint, {{1, 1}, {2, 1}, {3, 9}, {4, 9}, {5, 9}}), 1U);
  EXPECT_EQ(reached(joint, {{1, 4}, {2, 0}, {3, 4}, {4, 4}, {5, 0}}), 4U);
}

TEST(Quorum, TalliesVotesByBothMajorities) {
  const Configuration joint{.voters = ids({1, 2, 3}), .outgoing = ids({4, 5, 6})};
  Votes votes;
  votes.record(NodeId(1), true);
  votes.record(NodeId(2), true);
  EXPECT_EQ(tally(joint, votes), ElectionOutcome::kPending);
  votes.record(NodeId(4), true);
  EXPECT_EQ(tally(joint, votes), ElectionOutcome::kPending);
  Votes lost = votes;
  lost.record(NodeId(5), false);
  EXPECT_EQ(tally(joint, lost), ElectionOutcome::kPending);
  lost.record(NodeId(6), false);
  EXPECT_EQ(tally(joint, lost), ElectionOutcome::kLost);
  votes.record(NodeId(5), true);
  EXPECT_EQ(tally(joint, votes), ElectionOutcome::kWon);
}

TEST(Quorum, AVotersFirstAnswerCounts) {
  Votes votes;
  votes.record(NodeId(2), false);
  votes.record(NodeId(2), true);
  votes.record(NodeId(1), true);
  EXPECT_FALSE(votes.granted_by(NodeId(2)));
  EXPECT_EQ(tally(simple({1, 2}), votes), ElectionOutcome::kLost);
}

TEST(Quorum, LearnersAndStrangersDoNotCount) {
  Configuration configuration = simple({1, 2, 3});
  configuration.learners = ids({4});
  Votes votes;
  votes.record(NodeId(1), true);
  votes.record(NodeId(4), true);
  votes.record(NodeId(9), true);
  EXPECT_EQ(tally(configuration, votes), ElectionOutcome::kPending);
}

TEST(Configuration, IsWellFormedWithVotersInAscendingOrder) {
  EXPECT_TRUE(well_formed(simple({1, 2, 9})));
  EXPECT_FALSE(well_formed(simple({})));
  EXPECT_FALSE(well_formed(simple({2, 1})));
  EXPECT_FALSE(well_formed(simple({1, 1})));
  Configuration large;
  for (uint64_t i = 1; i <= kMaxMembers + 1; ++i) large.voters.push_back(NodeId(i));
  EXPECT_FALSE(well_formed(large));
}

TEST(Configuration, NamesItsMembersOnce) {
  const Configuration joint{.voters = ids({1, 2}), .outgoing = ids({2, 5}), .learners = ids({4})};
  EXPECT_EQ(member_ids(joint), ids({1, 2, 4, 5}));
  EXPECT_EQ(voter_ids(joint), ids({1, 2, 5}));
  EXPECT_TRUE(is_voter(joint, NodeId(5)));
  EXPECT_FALSE(is_voter(joint, NodeId(4)));
  EXPECT_TRUE(is_member(joint, NodeId(4)));
}

}  // namespace
}  // namespace holdfast::raft
