// The language of raftlab, verb by verb: docs/raftlab.md promises it to scripts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raftlab/script.h"

namespace holdfast::raftlab::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Json = nlohmann::json;
using Strings = std::vector<std::string>;

Strings keys(const Json& object) {
  Strings all;
  for (const auto& item : object.items()) all.push_back(item.key());
  return all;
}

TEST(Raftlab, StatusHasEveryFieldOfTheGrammar) {
  Script s;
  s.run("nodes 1,2,3 learner 4");
  EXPECT_THAT(keys(s.status(1)),
              ElementsAre("applied", "commit", "config", "digest", "failed_reads", "first", "id",
                          "last", "last_term", "leader", "messages", "pending_reads", "progress",
                          "reads", "role", "term", "vote"));
  EXPECT_EQ(s.status(2)["config"],
            Json::parse(R"({"voters":[1,2,3],"outgoing":[],"learners":[4]})"));
}

TEST(Raftlab, ProgressNamesEveryPeerOfTheLeader) {
  Script s;
  s.elect("nodes 1,2,3 learner 4");
  const Json progress = s.status(1)["progress"];
  EXPECT_THAT(keys(progress), ElementsAre("2", "3", "4"));
  EXPECT_EQ(progress["2"], Json::parse(R"({"match":1,"next":2,"state":"replicate","inflight":0})"));
  EXPECT_EQ(progress["4"], Json::parse(R"({"match":0,"next":1,"state":"probe","inflight":0})"));
  EXPECT_EQ(s.status(2)["progress"], Json::object());
}

TEST(Raftlab, NothingMovesByItself) {
  Script s;
  s.run({"nodes 1,2,3", "tick 1 20"});
  EXPECT_EQ(s.status(1)["role"], "candidate");
  EXPECT_EQ(s.status(2)["term"], 0);
  EXPECT_THAT(s.sent(1), IsEmpty());
  s.run("persist 1");
  EXPECT_THAT(s.sent(1), ElementsAre("vote_request 0", "vote_request 0"));
  EXPECT_EQ(s.status(2)["term"], 0);
}

TEST(Raftlab, ElectionTimeoutsLieBetweenTenAndTwentyTicks) {
  Script s;
  s.run("nodes 1,2,3,4,5,6,7");
  for (int id = 1; id <= 7; ++id) {
    const std::string name = std::to_string(id);
    s.run("tick " + name + " 9");
    EXPECT_EQ(s.status(id)["role"], "follower");
    s.run("tick " + name + " 11");
    EXPECT_EQ(s.status(id)["role"], "candidate");
  }
}

TEST(Raftlab, EachTickOfALeaderIsAHeartbeat) {
  Script s;
  s.elect();
  s.run("tick 1 3");
  EXPECT_EQ(s.sent(1).size(), 6U);
}

TEST(Raftlab, WritesPersistOneAtATimeAndWhatDependsOnThemLeavesThen) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "deliver 1 2", "dup 1 3", "deliver 1 3 1", "propose 1 b", "persist 1"});
  EXPECT_THAT(s.sent(2), IsEmpty());
  s.run("persist 2 1");
  EXPECT_THAT(s.sent(2), ElementsAre("append_response 2"));
  s.run({"deliver 2 1", "deliver 1 2"});
  EXPECT_THAT(s.sent(2), IsEmpty());
  s.run({"persist 2", "deliver 2 1"});
  EXPECT_EQ(s.status(1)["commit"], 3);
}

TEST(Raftlab, ApplyPrintsTheDataOfCommandsInOrder) {
  Script s;
  s.elect();
  s.run({"propose 1 first  word", "propose 1 second", "deliver 1 2", "persist 1", "persist 2"});
  s.run({"deliver 2 1", "deliver 1 2", "persist 2", "deliver 2 1"});
  EXPECT_EQ(s.run("apply 1 1"), "");  // the entry of the election
  EXPECT_EQ(s.run("apply 1 1"), "first  word\n");
  EXPECT_EQ(s.status(1)["applied"], 2);
  EXPECT_EQ(s.run("apply 1"), "second\n");
  EXPECT_EQ(s.run("apply 1"), "");
}

TEST(Raftlab, DigestsAreEqualForTheSameCommandsOnly) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "deliver 1 2", "persist 1", "persist 2", "deliver 2 1", "deliver 1 2"});
  s.run({"apply 1", "apply 2"});
  EXPECT_EQ(s.status(1)["digest"], s.status(2)["digest"]);
  EXPECT_NE(s.status(1)["digest"], s.status(3)["digest"]);
}

TEST(Raftlab, ACrashLosesWhatWasNotPersisted) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "deliver 1 2", "crash 2"});
  Json down = s.status(2);
  EXPECT_EQ(down["role"], "down");
  EXPECT_EQ(down["last"], 1);
  EXPECT_EQ(down["applied"], 0);
  s.run("restart 2");
  EXPECT_EQ(s.status(2)["role"], "follower");
  EXPECT_EQ(s.status(2)["last"], 1);
  EXPECT_EQ(s.status(2)["vote"], 1);
}

TEST(Raftlab, MessagesOfACrashedNodeStayInFlightAndThoseToItAreLost) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "crash 1"});
  EXPECT_EQ(s.sent(1).size(), 2U);
  s.run({"deliver 1 2", "crash 3", "deliver 1 3"});
  EXPECT_THAT(s.sent(1), IsEmpty());
  EXPECT_EQ(s.status(2)["last"], 2);
}

TEST(Raftlab, DeliverDropAndDupTakeTheFirstOfATypeOrAll) {
  Script s;
  s.elect();
  s.run({"tick 1 2", "propose 1 a", "tick 1 1", "drop 1 2 heartbeat_request 1"});
  EXPECT_THAT(s.sent(1).size(), 7U);
  s.run({"drop 1 3", "dup 1 2 append_request"});
  EXPECT_THAT(s.sent(1), ElementsAre("heartbeat_request 1", "append_request 1", "append_request 1",
                                     "heartbeat_request 1"));
  s.run("deliver 1 2 heartbeat 1");  // short for the request
  EXPECT_THAT(s.sent(1),
              ElementsAre("append_request 1", "append_request 1", "heartbeat_request 1"));
  s.run("deliver 1 2");
  EXPECT_THAT(s.sent(1), IsEmpty());
}

TEST(Raftlab, HoldMovesTheFirstBehindTheOthersOfItsLink) {
  Script s;
  s.elect();
  s.run({"tick 1 1", "propose 1 a", "drop 1 3", "hold 1 2"});
  EXPECT_THAT(s.sent(1), ElementsAre("append_request 1", "heartbeat_request 1"));
  s.run("hold 1 2 heartbeat_request");
  EXPECT_THAT(s.sent(1), ElementsAre("append_request 1", "heartbeat_request 1"));
  s.run({"hold 1 2 append_request", "hold 2 1"});
  EXPECT_THAT(s.sent(1), ElementsAre("heartbeat_request 1", "append_request 1"));
}

TEST(Raftlab, ReadsCarryTheNamesThatTheScriptGaveThem) {
  Script s;
  s.elect();
  s.run({"read 1 get-x", "read 2 7"});
  EXPECT_EQ(s.status(1)["pending_reads"], 1);
  s.run({"deliver 1 2", "deliver 2 1", "deliver 1 3", "deliver 3 1", "deliver 1 2", "deliver 2 1",
         "deliver 1 2"});
  EXPECT_EQ(s.status(1)["reads"], Json::parse(R"([{"ctx":"get-x","index":1}])"));
  EXPECT_EQ(s.status(2)["reads"], Json::parse(R"([{"ctx":7,"index":1}])"));
  EXPECT_EQ(s.status(1)["pending_reads"], 0);
}

TEST(Raftlab, AReadOfADeposedLeaderFails) {
  Script s;
  s.elect();
  s.run({"read 1 r", "campaign 2", "persist 2", "deliver 2 1"});
  EXPECT_EQ(s.status(1)["failed_reads"], Json::parse(R"(["r"])"));
}

TEST(Raftlab, WhatTheCoreRefusesIsAnErrorLine) {
  Script s;
  s.run("nodes 1,2,3 learner 4 uncommitted 100");
  EXPECT_EQ(s.run("propose 2 a"), "error propose: node 2 does not lead, it follows nobody\n");
  EXPECT_EQ(s.run("read 2 r"), "error read: node 2 knows no leader\n");
  EXPECT_EQ(s.run("transfer 2 1"), "error transfer: node 2 does not lead\n");
  EXPECT_EQ(s.run("campaign 4"), "error campaign: node 4 is no voter\n");
  EXPECT_EQ(s.status(2)["failed_reads"], Json::array());

  Script t;
  t.elect("nodes 1,2,3 learner 4 uncommitted 100");
  EXPECT_EQ(t.run("campaign 1"), "error campaign: node 1 leads already\n");
  EXPECT_EQ(t.run("transfer 1 4"), "error transfer: node 4 is no other voter\n");
  EXPECT_EQ(t.run("transfer 1 1"), "error transfer: node 1 is no other voter\n");
  t.run("propose 1 " + std::string(60, 'x'));
  EXPECT_EQ(t.run("propose 1 y"), "error propose: too many bytes are uncommitted\n");
  t.run("transfer 1 2");
  EXPECT_EQ(t.run("transfer 1 3"), "error transfer: another transfer is under way\n");
  EXPECT_EQ(t.run("propose 1 y"), "error propose: leadership is being transferred to node 2\n");
}

TEST(Raftlab, SnapshotsAndCompactionStayWithinWhatIsThere) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "deliver 1 2", "persist 1", "persist 2", "deliver 2 1"});
  EXPECT_EQ(s.run("snapshot 1 1"),
            "error snapshot: index 1 is not from the last snapshot's 0 to 0, the last that is "
            "applied and durable on node 1\n");
  s.run("apply 1");
  EXPECT_EQ(s.run("compact 1 1"),
            "error compact: index 1 is beyond node 1's snapshot, which ends at 0\n");
  EXPECT_EQ(s.run({"snapshot 1 2", "compact 1 1"}), "");
  EXPECT_EQ(s.status(1)["first"], 2);
  EXPECT_EQ(s.run("snapshot 1 1"),
            "error snapshot: index 1 is not from the last snapshot's 2 to 2, the last that is "
            "applied and durable on node 1\n");
  EXPECT_EQ(s.run("compact 1 1"), "") << "it is compacted already";
}

TEST(Raftlab, ANodeRestartsFromItsSnapshotWithItsDigest) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "deliver 1 2", "persist 1", "persist 2", "deliver 2 1", "apply 1"});
  const nlohmann::json before = s.status(1);
  s.run({"snapshot 1 2", "compact 1 2", "crash 1"});
  EXPECT_EQ(s.status(1)["first"], 3);
  EXPECT_EQ(s.status(1)["last"], 2);
  EXPECT_EQ(s.status(1)["last_term"], 1);
  s.run("restart 1");
  EXPECT_EQ(s.status(1)["commit"], 2);
  EXPECT_EQ(s.status(1)["applied"], 2);
  EXPECT_EQ(s.status(1)["digest"], before["digest"]);
}

TEST(Raftlab, AnOfferBringsTheLeadersSnapshotAndItsAnswer) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "drop 1 3", "deliver 1 2", "persist 1", "persist 2", "deliver 2 1"});
  s.run({"apply 1", "snapshot 1 2", "compact 1 2", "drop 1 3", "tick 1 1", "deliver 1 3"});
  s.run({"deliver 3 1", "deliver 1 3", "persist 3", "deliver 3 1"});
  EXPECT_EQ(s.status(1)["progress"]["3"]["state"], "snapshot");
  s.run("deliver 1 3 snapshot");
  EXPECT_EQ(s.status(3)["first"], 3);
  EXPECT_EQ(s.status(3)["digest"], s.status(1)["digest"]);
  EXPECT_THAT(s.sent(3), ElementsAre("snapshot_response 2"));
  s.run("deliver 3 1");
  EXPECT_EQ(s.status(1)["progress"]["3"]["state"], "replicate");
}

TEST(Raftlab, AnOfferWhoseSenderIsDownBringsNothing) {
  Script s;
  s.elect();
  s.run({"propose 1 a", "drop 1 3", "deliver 1 2", "persist 1", "persist 2", "deliver 2 1"});
  s.run({"apply 1", "snapshot 1 2", "compact 1 2", "drop 1 3", "tick 1 1", "deliver 1 3"});
  s.run({"deliver 3 1", "deliver 1 3", "persist 3", "deliver 3 1", "crash 1"});
  s.run("deliver 1 3 snapshot");
  EXPECT_EQ(s.status(3)["first"], 1);
  EXPECT_THAT(s.sent(3), IsEmpty());
}

TEST(Raftlab, AnAddedNodeComesToLifeWithTheGroupsFirstConfiguration) {
  Script s;
  s.elect();
  EXPECT_EQ(s.run("conf 1 add 4"), "");
  EXPECT_EQ(s.run("deliver 1 4"), "") << "it is not there yet: lost";
  EXPECT_EQ(s.run("tick 4 1"), "error tick: node 4 is down\n");
  EXPECT_TRUE(s.status(4).is_null());
  EXPECT_EQ(s.run("restart 4"), "");
  EXPECT_EQ(s.status(4)["config"]["voters"], nlohmann::json({1, 2, 3}));
  EXPECT_EQ(s.status(1)["config"]["voters"], nlohmann::json({1, 2, 3, 4}));
  EXPECT_EQ(s.status(1)["config"]["outgoing"], nlohmann::json({1, 2, 3}));
}

TEST(Raftlab, RefusedChangesAreNamed) {
  Script s;
  s.elect("nodes 1,2,3 learner 4");
  EXPECT_EQ(s.run("conf 2 add 5"), "error conf: node 2 does not lead, it follows node 1\n");
  EXPECT_EQ(s.run("conf 1 add 2"), "error conf: node 2 is not a member in that role\n");
  EXPECT_EQ(s.run("conf 1 remove 9"), "error conf: node 9 is not a member in that role\n");
  EXPECT_EQ(s.run("conf 1 joint add 5 add 5"),
            "error conf: node 5 is a member already, or named twice\n");
  EXPECT_EQ(s.run("conf 1 joint remove 1 remove 2 remove 3"),
            "error conf: there would be no voter\n");
  EXPECT_EQ(s.run("conf 1 add 4"),
            "error conf: node 4 is not caught up; 'force' promotes it all the same\n");
  EXPECT_EQ(s.run("conf 1 joint add 5 add 6 add 7 add 8"),
            "error conf: no quorum of the new voters has been heard of lately; 'force' does it all "
            "the same\n");
  EXPECT_EQ(s.run("conf 1 add 4 force"), "");
  EXPECT_EQ(s.run("conf 1 add 5"), "error conf: another change is under way\n");
  Script t;
  t.run({"nodes 1,2,3", "campaign 1", "persist 1", "deliver 1 2", "persist 2", "deliver 2 1"});
  EXPECT_EQ(t.run("conf 1 add 4"), "error conf: no entry of this leader's term is committed yet\n");
}

TEST(Raftlab, VotersWithoutCheckQuorumDoNotRefuseBecauseTheyHeardALeaderLately) {
  for (const bool check_quorum : {false, true}) {
    Script s;
    s.elect(check_quorum ? "nodes 1,2,3 checkquorum" : "nodes 1,2,3");
    s.run({"campaign 3", "persist 3", "deliver 3 2"});
    EXPECT_EQ(s.status(2)["term"], check_quorum ? 1 : 2);
  }
}

TEST(Raftlab, PreVoteIsAnOption) {
  Script s;
  s.run({"nodes 1,2,3 prevote", "campaign 1"});
  EXPECT_EQ(s.status(1)["role"], "pre-candidate");
  EXPECT_THAT(s.sent(1), ElementsAre("pre_vote_request 0", "pre_vote_request 0"));
}

TEST(Raftlab, MaxmsgSplitsAppendsAndInflightBoundsThem) {
  Script s;
  s.elect("nodes 1,2,3 inflight 2 maxmsg 40");
  for (const char* line : {"propose 1 a", "propose 1 b", "propose 1 c"}) s.run(line);
  EXPECT_EQ(s.status(1)["progress"]["2"]["inflight"], 2);
  EXPECT_EQ(s.status(1)["messages"][0]["entries"].size(), 1U);
}

TEST(Raftlab, ABrokenPropertyIsPrintedAndEndsTheLab) {
  Script s;
  s.elect();
  s.run("crash 2");
  s.lab().cluster()->node(2).disk = {};  // which no crash does: it had synced what it acknowledged
  EXPECT_EQ(s.run({"restart 2", "tick 1 1"}), "");
  EXPECT_THAT(s.run("deliver 1 2"), StartsWith("violation node 2 stops: "));
  EXPECT_TRUE(s.lab().broken());
  EXPECT_EQ(s.run("status"), "");
}

TEST(Raftlab, CommentsAndBlankLinesPrintNothing) {
  Script s;
  EXPECT_EQ(s.run({"", "   ", "# a story", "  # indented", "\r"}), "");
}

TEST(Raftlab, TheSameScriptPrintsTheSame) {
  Strings printed;
  for (int i = 0; i < 2; ++i) {
    Script s;
    s.run({"nodes 1,2,3", "tick 1 20", "tick 2 15", "persist 1", "crash 2", "restart 2"});
    s.run({"deliver 1 2", "tick 2 13", "persist 2", "read 2 x"});
    printed.push_back(s.run("status"));
  }
  EXPECT_EQ(printed[0], printed[1]);
}

}  // namespace
}  // namespace holdfast::raftlab::testing
