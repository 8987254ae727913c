// When a list of the members shows that a change whose answer was lost is done.
#include "clients/cli/member_listing.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

api::Member member(int32_t node, bool votes) {
  api::Member m;
  m.nodeId = node;
  m.peerAddress = "10.0.0." + std::to_string(node) + ":7412";
  m.voter = votes;
  m.role = votes ? api::MemberRole::VOTER : api::MemberRole::LEARNER;
  return m;
}

/// Nodes 1 and 2 vote, 3 learns, 4 was removed.
api::MembersResult list() {
  api::MembersResult told;
  told.members = {member(1, true), member(2, true), member(3, false)};
  told.removed.emplace_back().nodeId = 4;
  told.settled = true;
  return told;
}

api::ChangeMembersRequest adding(int32_t node, const std::string& address) {
  api::ChangeMembersRequest change;
  api::NewMember& added = change.added.emplace_back();
  added.nodeId = node;
  added.peerAddress = address;
  return change;
}

api::ChangeMembersRequest promoting(int32_t node) {
  api::ChangeMembersRequest change;
  change.promoted = {node};
  return change;
}

api::ChangeMembersRequest removing(int32_t node) {
  api::ChangeMembersRequest change;
  change.removed = {node};
  return change;
}

TEST(MemberListingTest, AnAdditionIsDoneWhenTheMemberStandsThereAtItsAddress) {
  EXPECT_TRUE(shows(list(), adding(3, "10.0.0.3:7412")));
  EXPECT_FALSE(shows(list(), adding(3, "10.0.0.9:7412")));
  EXPECT_FALSE(shows(list(), adding(5, "10.0.0.5:7412")));
}

TEST(MemberListingTest, APromotionIsDoneWhenTheMemberVotes) {
  EXPECT_TRUE(shows(list(), promoting(2)));
  EXPECT_FALSE(shows(list(), promoting(3)));
  EXPECT_FALSE(shows(list(), promoting(5)));
}

TEST(MemberListingTest, ARemovalIsDoneOnlyWhenTheNodeStandsAmongThoseThatWereRemoved) {
  EXPECT_TRUE(shows(list(), removing(4)));
  EXPECT_FALSE(shows(list(), removing(2)));
  EXPECT_FALSE(shows(list(), removing(5))) << "a server that has not heard of node 5 yet";
}

TEST(MemberListingTest, AReplacementIsDoneWhenBothHalvesAre) {
  api::ChangeMembersRequest change = adding(3, "10.0.0.3:7412");
  change.removed = {2};
  EXPECT_FALSE(shows(list(), change));
  change.removed = {4};
  EXPECT_TRUE(shows(list(), change));
}

TEST(MemberListingTest, WhatIsNotSettledIsNotDone) {
  api::MembersResult told = list();
  told.settled = false;
  EXPECT_FALSE(shows(told, adding(3, "10.0.0.3:7412")));
  EXPECT_FALSE(shows(told, removing(4)));
}

}  // namespace
}  // namespace holdfast::cli
