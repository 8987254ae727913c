// What a change makes of a configuration, and the list of configurations that a log holds.
#include "raft/core/change.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "raft/core/configuration.h"
#include "raft/core/configuration_log.h"
#include "raft/core/quorum.h"

namespace holdfast::raft {
namespace {

using Outcome = ChangeOutcome;

std::vector<NodeId> ids(std::initializer_list<uint64_t> list) {
  std::vector<NodeId> all;
  for (const uint64_t id : list) all.emplace_back(id);
  return all;
}

Member member(uint64_t id) {
  return {NodeId(id), StoreId(100 + id), "h" + std::to_string(id) + ":1", "c:1", 1};
}

Configuration of(std::initializer_list<uint64_t> voters,
                 std::initializer_list<uint64_t> learners = {}) {
  Configuration c{.voters = ids(voters), .learners = ids(learners)};
  for (const NodeId id : member_ids(c)) c.members.push_back(member(id.value));
  return c;
}

std::string planned(const Configuration& current, const ConfigurationChange& change) {
  const ChangePlan plan = plan_change(current, change);
  if (plan.outcome == Outcome::kAccepted) return describe(plan.next);
  return change_outcome_name(plan.outcome) +
         (plan.member ? " " + std::to_string(plan.member.value) : std::string());
}

TEST(Change, OfVotersLeadsIntoAJointConfiguration) {
  const Configuration three = of({1, 2, 3});
  EXPECT_EQ(planned(three, {.voters = {member(4)}}), "voters 1,2,3,4 outgoing 1,2,3");
  EXPECT_EQ(planned(three, {.remove = ids({2})}), "voters 1,3 outgoing 1,2,3");
  EXPECT_EQ(planned(three, {.voters = {member(4)}, .remove = ids({2})}),
            "voters 1,3,4 outgoing 1,2,3");
  EXPECT_EQ(planned(three, {.voters = {member(4), member(5), member(6)}, .remove = ids({1, 2, 3})}),
            "voters 4,5,6 outgoing 1,2,3");
}

TEST(Change, OfLearnersAloneTakesOneStep) {
  const Configuration four = of({1, 2, 3}, {4});
  EXPECT_EQ(planned(four, {.learners = {member(5)}}), "voters 1,2,3 learners 4,5");
  EXPECT_EQ(planned(four, {.remove = ids({4})}), "voters 1,2,3");
}

TEST(Change, RemembersWhomItRemovesWhenTheyAreOut) {
  const ChangePlan plan = plan_change(of({1, 2, 3}, {4}), {.remove = ids({2, 4})});
  ASSERT_EQ(plan.outcome, Outcome::kAccepted);
  EXPECT_EQ(plan.next.removed, (std::vector<RemovedMember>{{NodeId(4), StoreId(104), LogIndex()}}))
      << "2 still votes among the outgoing";
  const Configuration left = without_outgoing(plan.next);
  EXPECT_EQ(left.removed, (std::vector<RemovedMember>{{NodeId(2), StoreId(102), LogIndex()},
                                                      {NodeId(4), StoreId(104), LogIndex()}}));
  EXPECT_TRUE(may_follow(plan.next, left));
  Configuration forgetful = left;
  forgetful.removed.pop_back();
  EXPECT_FALSE(may_follow(left, forgetful));
  EXPECT_TRUE(may_follow(forgetful, left));
}

TEST(Change, NeitherIdNorStoreOfARemovedMemberIsUsedAgain) {
  Configuration two = of({1, 3});
  two.removed = {{NodeId(2), StoreId(102), LogIndex(9)}};
  EXPECT_EQ(planned(two, {.voters = {member(2)}}), "removed member 2");
  Member same_id = member(2);
  same_id.store = StoreId(200);
  EXPECT_EQ(planned(two, {.learners = {same_id}}), "removed member 2");
  Member same_store = member(4);
  same_store.store = StoreId(102);
  EXPECT_EQ(planned(two, {.learners = {same_store}}), "removed member 4");
  EXPECT_EQ(planned(two, {.learners = {member(4)}}), "voters 1,3 learners 4");
}

TEST(Change, MoreThanCanBeRememberedAreNotRemoved) {
  Configuration many = of({1, 2, 3});
  for (uint64_t id = 10; id < 10 + kMaxRemoved - 1; ++id) {
    many.removed.push_back({NodeId(id), StoreId(10'000 + id), LogIndex(9)});
  }
  EXPECT_EQ(planned(many, {.remove = ids({3})}), "voters 1,2 outgoing 1,2,3");
  EXPECT_EQ(planned(many, {.remove = ids({2, 3})}), "too many removed");
}

TEST(Change, MovesBetweenVotersAndLearners) {
  const Configuration four = of({1, 2, 3}, {4});
  EXPECT_EQ(planned(four, {.promote = ids({4})}), "voters 1,2,3,4 outgoing 1,2,3");
  EXPECT_EQ(planned(four, {.demote = ids({3})}), "voters 1,2 outgoing 1,2,3 learners 3,4");
  EXPECT_EQ(planned(four, {.promote = ids({4}), .remove = ids({3})}),
            "voters 1,2,4 outgoing 1,2,3");
}

TEST(Change, KeepsTheMemberDataOfThoseWhoAreNamed) {
  const ChangePlan plan = plan_change(of({1, 2, 3}), {.voters = {member(4)}, .remove = ids({2})});
  ASSERT_EQ(plan.next.members.size(), 4U);
  for (const uint64_t id : {1, 2, 3, 4}) {
    ASSERT_NE(find_member(plan.next, NodeId(id)), nullptr);
    EXPECT_EQ(*find_member(plan.next, NodeId(id)), member(id));
  }
  const Configuration left = without_outgoing(plan.next);
  EXPECT_EQ(describe(left), "voters 1,3,4");
  EXPECT_EQ(left.members.size(), 3U);
  EXPECT_TRUE(decode_configuration(encode_configuration(plan.next)).ok());
  EXPECT_TRUE(decode_configuration(encode_configuration(left)).ok());
}

TEST(Change, UpdatesAddressesAndLevelsButNotStores) {
  Member moved = member(2);
  moved.peer_address = "elsewhere:9";
  moved.feature_level = 7;
  const ChangePlan plan = plan_change(of({1, 2, 3}), {.update = {moved}});
  ASSERT_EQ(plan.outcome, Outcome::kAccepted);
  EXPECT_EQ(describe(plan.next), "voters 1,2,3");
  EXPECT_EQ(*find_member(plan.next, NodeId(2)), moved);
  moved.store = StoreId(9);
  EXPECT_EQ(planned(of({1, 2, 3}), {.update = {moved}}), "store in use 2");
  EXPECT_EQ(planned(of({1, 2, 3}), {.update = {member(8)}}), "unknown member 8");
}

/// Members of level 3, and nothing recorded yet.
Configuration upgraded() {
  Configuration c = of({1, 2, 3}, {4});
  for (Member& m : c.members) m.feature_level = 3;
  return c;
}

TEST(Change, RaisesTheLevelInOneStep) {
  const Configuration before = upgraded();
  const ChangePlan plan = plan_change(before, {.raise = 3});
  ASSERT_EQ(plan.outcome, Outcome::kAccepted);
  EXPECT_EQ(describe(plan.next), "voters 1,2,3 learners 4 level 3");
  EXPECT_EQ(plan.next.members, before.members);
  EXPECT_TRUE(may_follow(before, plan.next));
  EXPECT_FALSE(may_follow(plan.next, before)) << "it is never lowered";
}

TEST(Change, RaisesNothingThatAMemberDoesNotHave) {
  EXPECT_EQ(planned(of({1, 2, 3}), {.raise = 3}), "below level 1");
  EXPECT_EQ(planned(upgraded(), {.raise = 4}), "below level 1");
  Configuration learner_behind = upgraded();
  learner_behind.members[3].feature_level = 2;
  EXPECT_EQ(planned(learner_behind, {.raise = 3}), "below level 4");
  Configuration outgoing_behind = upgraded();
  outgoing_behind.members[2].feature_level = 1;
  EXPECT_EQ(planned(outgoing_behind, {.remove = ids({3}), .raise = 3}), "below level 3")
      << "it receives what comes until the joint configuration is left";
}

TEST(Change, PutsTheLevelUpOnly) {
  Configuration raised = upgraded();
  for (Member& m : raised.members) m.feature_level = 4;
  raised.level = 4;
  EXPECT_EQ(planned(raised, {.raise = 4}), "no raise");
  EXPECT_EQ(planned(raised, {.raise = 3}), "no raise");
  EXPECT_EQ(planned(upgraded(), {.raise = 2}), "no raise") << "older programs could not read it";
}

TEST(Change, TakesNobodyBelowTheLevel) {
  Configuration raised = upgraded();
  raised.level = 3;
  Member below = member(5);
  below.feature_level = 2;
  EXPECT_EQ(planned(raised, {.voters = {below}}), "below level 5");
  EXPECT_EQ(planned(raised, {.learners = {below}}), "below level 5");
  EXPECT_EQ(planned(upgraded(), {.learners = {below}}), "voters 1,2,3 learners 4,5");
  below.feature_level = 3;
  EXPECT_EQ(planned(raised, {.learners = {below}}), "voters 1,2,3 learners 4,5 level 3");
}

TEST(Change, ThatLeavesTheLevelAloneKeepsIt) {
  Configuration raised = upgraded();
  raised.level = 3;
  const ChangePlan plan = plan_change(raised, {.promote = ids({4}), .remove = ids({1})});
  ASSERT_EQ(plan.outcome, Outcome::kAccepted);
  EXPECT_EQ(plan.next.level, 3U);
  EXPECT_EQ(without_outgoing(plan.next).level, 3U);
}

TEST(Change, AMembersLevelIsNotLowered) {
  Member lower = member(2);
  lower.feature_level = 2;
  EXPECT_EQ(planned(upgraded(), {.update = {lower}}), "below level 2");
}

TEST(Change, IsRefusedByName) {
  const Configuration four = of({1, 2, 3}, {4});
  EXPECT_EQ(planned(four, {}), "nothing");
  EXPECT_EQ(planned(four, {.voters = {member(2)}}), "duplicate member 2");
  EXPECT_EQ(planned(four, {.voters = {member(4)}}), "duplicate member 4");
  EXPECT_EQ(planned(four, {.learners = {member(1)}}), "duplicate member 1");
  EXPECT_EQ(planned(four, {.voters = {member(5)}, .learners = {member(5)}}), "duplicate member 5");
  EXPECT_EQ(planned(four, {.demote = ids({3}), .remove = ids({3})}), "duplicate member 3");
  EXPECT_EQ(planned(four, {.promote = ids({3})}), "unknown member 3");
  EXPECT_EQ(planned(four, {.demote = ids({4})}), "unknown member 4");
  EXPECT_EQ(planned(four, {.remove = ids({9})}), "unknown member 9");
  EXPECT_EQ(planned(four, {.remove = ids({1, 2, 3})}), "no voter");
  EXPECT_EQ(planned(of({1}), {.demote = ids({1})}), "no voter");
}

TEST(Change, RefusesMembersThatNoConfigurationCanHold) {
  const Configuration three = of({1, 2, 3});
  Member odd = member(4);
  odd.store = StoreId(103);
  EXPECT_EQ(planned(three, {.voters = {odd}}), "store in use 4");
  odd.store = StoreId();
  EXPECT_EQ(planned(three, {.voters = {odd}}), "malformed member 4");
  odd = member(4);
  odd.client_address.assign(kMaxAddressBytes + 1, 'a');
  EXPECT_EQ(planned(three, {.learners = {odd}}), "malformed member 4");
  odd = member(0);
  EXPECT_EQ(planned(three, {.voters = {odd}}), "malformed member");
}

TEST(Change, RefusesMoreMembersThanAConfigurationHolds) {
  Configuration many;
  for (uint64_t id = 1; id <= kMaxMembers; ++id) {
    many.voters.emplace_back(id);
    many.members.push_back(member(id));
  }
  EXPECT_EQ(planned(many, {.voters = {member(65)}, .remove = ids({1})}), "too many members");
  EXPECT_EQ(planned(many, {.learners = {member(65)}}), "too many members");
  EXPECT_NE(planned(many, {.remove = ids({1})}), "too many members");
}

TEST(Change, OfAnythingLeadsToWhatMayFollow) {
  const Configuration four = of({1, 2, 3}, {4});
  const ConfigurationChange changes[] = {{.voters = {member(5)}},   {.promote = ids({4})},
                                         {.remove = ids({1, 2})},   {.remove = ids({4})},
                                         {.learners = {member(6)}}, {.demote = ids({1})},
                                         {.update = {member(1)}}};
  for (const ConfigurationChange& change : changes) {
    const ChangePlan plan = plan_change(four, change);
    ASSERT_EQ(plan.outcome, Outcome::kAccepted);
    EXPECT_TRUE(well_formed(plan.next));
    EXPECT_TRUE(may_follow(four, plan.next)) << describe(plan.next);
    if (!is_joint(plan.next)) continue;
    EXPECT_TRUE(may_follow(plan.next, without_outgoing(plan.next)));
  }
}

TEST(Change, FollowsNothingThatHasOtherQuorums) {
  const Configuration three = of({1, 2, 3});
  const Configuration other = of({1, 2, 4});
  EXPECT_FALSE(may_follow(three, other));
  Configuration joint = other;
  joint.outgoing = ids({1, 2, 3});
  EXPECT_TRUE(may_follow(three, joint));
  EXPECT_FALSE(may_follow(other, joint));
  EXPECT_FALSE(may_follow(joint, joint)) << "from joint to joint";
  EXPECT_FALSE(may_follow(joint, three));
  EXPECT_TRUE(may_follow(joint, other));
}

TEST(Change, EveryOutcomeHasAName) {
  std::set<std::string> names;
  for (int i = 0; i < kChangeOutcomes; ++i) {
    names.insert(change_outcome_name(static_cast<ChangeOutcome>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kChangeOutcomes));
}

TEST(ConfigurationLog, TheLatestIsInForceAndTruncationGoesBack) {
  ConfigurationLog log({LogIndex(1), of({1})}, {{LogIndex(4), of({1, 2})}});
  EXPECT_EQ(log.latest_index(), LogIndex(4));
  log.append(LogIndex(7), of({1, 2, 3}));
  EXPECT_EQ(describe(log.latest()), "voters 1,2,3");
  EXPECT_FALSE(log.truncate_from(LogIndex(8)));
  EXPECT_TRUE(log.truncate_from(LogIndex(4)));
  EXPECT_EQ(describe(log.latest()), "voters 1");
}

TEST(ConfigurationLog, KnowsWhichWasInForceAnywhereInTheLog) {
  ConfigurationLog log({LogIndex(), of({1})},
                       {{LogIndex(4), of({1, 2})}, {LogIndex(7), of({1, 2, 3})}});
  EXPECT_EQ(describe(log.at(LogIndex(3))), "voters 1");
  EXPECT_EQ(describe(log.at(LogIndex(4))), "voters 1,2");
  EXPECT_EQ(describe(log.at(LogIndex(6))), "voters 1,2");
  EXPECT_EQ(describe(log.at(LogIndex(99))), "voters 1,2,3");
}

TEST(ConfigurationLog, CompactionKeepsTheOneInForce) {
  ConfigurationLog log({LogIndex(), of({1})},
                       {{LogIndex(4), of({1, 2})}, {LogIndex(7), of({1, 2, 3})}});
  log.compact(LogIndex(5));
  EXPECT_EQ(log.all().size(), 2U);
  EXPECT_EQ(describe(log.at(LogIndex(5))), "voters 1,2");
  log.compact(LogIndex(9));
  EXPECT_EQ(log.all().size(), 1U);
  EXPECT_EQ(describe(log.latest()), "voters 1,2,3");
}

TEST(ConfigurationLogDeathTest, TheFirstIsNeverTruncated) {
  ConfigurationLog log({LogIndex(4), of({1})}, {});
  EXPECT_DEATH(log.truncate_from(LogIndex(4)), "first configuration");
  EXPECT_DEATH(log.append(LogIndex(4), of({1, 2})), "order of the log");
}

}  // namespace
}  // namespace holdfast::raft
