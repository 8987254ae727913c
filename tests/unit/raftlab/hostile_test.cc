// Whatever is typed, raftlab answers with one line that names the word, and goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/entropy.h"
#include "tests/unit/raftlab/script.h"

namespace holdfast::raftlab::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

size_t lines_of(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

struct Refused {
  const char* line;
  const char* word;  ///< that the error names
};

class RefusedLine : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedLine, IsOneErrorThatNamesTheWord) {
  Script s;
  s.run({"nodes 1,2,3 learner 4", "crash 3"});
  const std::string before = s.run("status");
  const std::string said = s.run(GetParam().line);
  EXPECT_THAT(said, StartsWith("error "));
  EXPECT_THAT(said, HasSubstr(GetParam().word));
  EXPECT_EQ(lines_of(said), 1U);
  EXPECT_EQ(s.run("status"), before);
}

INSTANTIATE_TEST_SUITE_P(
    Hostile, RefusedLine,
    ::testing::Values(
        Refused{"frobnicate 1", "frobnicate"}, Refused{"TICK 1 1", "TICK"}, Refused{"tick", "tick"},
        Refused{"tick 1", "tick"}, Refused{"tick 1 0", "'0'"}, Refused{"tick 1 -5", "'-5'"},
        Refused{"tick 1 +5", "'+5'"}, Refused{"tick 1 5x", "'5x'"},
        Refused{"tick 1 10001", "10000"},
        Refused{"tick 1 99999999999999999999999", "'99999999999999999999999'"},
        Refused{"tick 1 1 1", "one word too many"}, Refused{"tick 9 1", "node 9"},
        Refused{"tick 0 1", "'0'"}, Refused{"tick x 1", "'x'"},
        Refused{"tick 3 1", "node 3 is down"}, Refused{"campaign", "campaign"},
        Refused{"campaign 3", "node 3 is down"}, Refused{"propose 1", "propose"},
        Refused{"propose 3 a", "node 3 is down"}, Refused{"read 1", "read"},
        Refused{"read 3 c", "node 3 is down"}, Refused{"read 1 c d", "one word too many"},
        Refused{"transfer 1", "transfer"}, Refused{"transfer 1 7", "node 7"},
        Refused{"deliver", "deliver"}, Refused{"deliver 1", "deliver"},
        Refused{"deliver 1 9", "node 9"}, Refused{"deliver 1 2 letter", "'letter'"},
        Refused{"deliver 1 2 append_request 0", "'0'"},
        Refused{"deliver 1 2 1 append_request", "'append_request'"}, Refused{"drop 1 2 0", "'0'"},
        Refused{"dup 9 1", "node 9"}, Refused{"hold 1", "hold"}, Refused{"hold 1 2 3", "'3'"},
        Refused{"persist", "persist"}, Refused{"persist 3", "node 3 is down"},
        Refused{"persist 1 0", "'0'"}, Refused{"apply 3", "node 3 is down"},
        Refused{"apply 1 x", "'x'"}, Refused{"crash 3", "node 3 is down"},
        Refused{"crash 9", "node 9"}, Refused{"restart 1", "node 1 is up"},
        Refused{"restart 9", "node 9"}, Refused{"status 1", "'1'"}, Refused{"nodes 5,6,7", "nodes"},
        Refused{"snapshot", "snapshot"}, Refused{"snapshot 1", "no index"},
        Refused{"snapshot 1 0", "'0'"}, Refused{"snapshot 1 1", "index 1"},
        Refused{"snapshot 3 1", "node 3 is down"}, Refused{"snapshot 1 x", "'x'"},
        Refused{"compact 1", "no index"}, Refused{"compact 1 1", "index 1"},
        Refused{"compact 3 1", "node 3 is down"}, Refused{"compact 1 1 1", "one word too many"},
        Refused{"conf", "conf"}, Refused{"conf 1", "no change"}, Refused{"conf 1 add", "no node"},
        Refused{"conf 1 add x", "'x'"}, Refused{"conf 1 add 0", "'0'"},
        Refused{"conf 1 frob 4", "'frob'"}, Refused{"conf 3 add 5", "node 3 is down"},
        Refused{"conf 9 add 5", "node 9"}, Refused{"conf 1 add 5 add 6", "one word too many"},
        Refused{"conf 1 joint", "no change"}, Refused{"conf 1 joint add 5 remove", "no node"},
        Refused{"conf 1 leave", "leaves a joint configuration by itself"},
        Refused{"conf 1 force", "no node"}, Refused{"conf 1 add 5", "does not lead"},
        Refused{"conf 1 joint add 5 remove 2 force", "does not lead"}));

class RefusedNodes : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedNodes, LeavesTheLabWithoutNodes) {
  Script s;
  const std::string said = s.run(GetParam().line);
  EXPECT_THAT(said, StartsWith("error nodes: "));
  EXPECT_THAT(said, HasSubstr(GetParam().word));
  EXPECT_THAT(s.run("status"), StartsWith("error status"));
  EXPECT_EQ(s.run("nodes 3,1,2"), "");
}

INSTANTIATE_TEST_SUITE_P(
    Hostile, RefusedNodes,
    ::testing::Values(Refused{"nodes", "no node"}, Refused{"nodes 1,,2", "''"},
                      Refused{"nodes 1,2,", "''"}, Refused{"nodes 0", "'0'"},
                      Refused{"nodes 1,1", "node 1 comes twice"},
                      Refused{"nodes 1000001", "1000000"}, Refused{"nodes 1 2 3", "'2'"},
                      Refused{"nodes 1 learner", "no node"},
                      Refused{"nodes 1 learner 1", "node 1 comes twice"},
                      Refused{"nodes 1 learner 2 learner 2", "node 2 comes twice"},
                      Refused{"nodes 1 inflight 0", "'0'"}, Refused{"nodes 1 maxmsg", "no maxmsg"},
                      Refused{"nodes 1 maxmsg -1", "'-1'"},
                      Refused{"nodes 1 uncommitted 99999999999999", "1099511627776"},
                      Refused{"nodes 1 postvote", "'postvote'"}));

TEST(Hostile, MoreNodesThanAConfigurationHoldsAreRefused) {
  std::string line = "nodes 1";
  for (int id = 2; id <= 65; ++id) line += "," + std::to_string(id);
  Script s;
  EXPECT_THAT(s.run(line), HasSubstr("64"));
}

TEST(Hostile, EveryVerbWantsNodesFirst) {
  Script s;
  for (const char* line :
       {"tick 1 1", "campaign 1", "propose 1 a", "read 1 c", "transfer 1 2", "conf 1 add 4",
        "deliver 1 2", "drop 1 2", "dup 1 2", "hold 1 2", "persist 1", "apply 1", "snapshot 1 1",
        "compact 1 1", "crash 1", "restart 1", "status"}) {
    EXPECT_THAT(s.run(line), MatchesRegex("error [a-z]+: there are no nodes yet\n")) << line;
  }
}

TEST(Hostile, AnOverlongLineIsRefusedAndItsWordCut) {
  Script s;
  s.elect();
  const std::string longest = "propose 1 " + std::string(kLineBytesMax - 10, 'x');
  EXPECT_EQ(s.run(longest), "");
  EXPECT_THAT(s.run(longest + "x"), MatchesRegex("error propose: .* 1048576 bytes\n"));
  EXPECT_LT(s.run(std::string(5000, 'y')).size(), 100U);
}

TEST(Hostile, BytesThatAreNoTextArePrintedAsQuestionMarks) {
  Script s;
  EXPECT_EQ(s.run(std::string_view("\x1b[2J\0\xff", 6)), "error unknown ?[2J??\n");
  s.elect();
  s.run({"propose 1 \xff\xfe", "deliver 1 2"});
  EXPECT_EQ(lines_of(s.run("status")), 3U);
}

TEST(Hostile, MessagesInFlightAreBounded) {
  Script s;
  s.elect();
  std::string said;
  for (int i = 0; i < 10 && said.empty(); ++i) said = s.run("tick 1 10000");
  EXPECT_THAT(said, HasSubstr("the limit is 100000"));
  EXPECT_THAT(s.run("dup 1 2"), HasSubstr("the limit is 100000"));
  EXPECT_EQ(s.run({"drop 1 2", "drop 1 3", "tick 1 1"}), "");
}

std::string pick(SplitMix& random, const std::vector<std::string>& from) {
  return from[random.below(from.size())];
}

/// Mostly near the grammar: words of it in any order, with numbers at the edges.
std::string hostile_line(SplitMix& random) {
  static const std::vector<std::string> words = {"nodes",
                                                 "tick",
                                                 "campaign",
                                                 "propose",
                                                 "read",
                                                 "transfer",
                                                 "conf",
                                                 "deliver",
                                                 "drop",
                                                 "dup",
                                                 "hold",
                                                 "persist",
                                                 "apply",
                                                 "snapshot",
                                                 "compact",
                                                 "crash",
                                                 "restart",
                                                 "status",
                                                 "1",
                                                 "2",
                                                 "3",
                                                 "4",
                                                 "0",
                                                 "-1",
                                                 "18446744073709551616",
                                                 "1,2,3",
                                                 ",",
                                                 "append",
                                                 "vote_response",
                                                 "learner",
                                                 "prevote",
                                                 "maxmsg",
                                                 "x",
                                                 "#",
                                                 "\t",
                                                 "\xff",
                                                 "joint",
                                                 "add"};
  static const std::vector<std::string> beginnings = {
      "tick 1", "persist", "deliver 1", "deliver 2", "deliver 3", "propose 1", "campaign", "apply",
      "crash",  "restart", "read",      "dup 1",     "hold 2",    "drop 3",    "transfer"};
  std::string line = pick(random, random.below(4) == 0 ? words : beginnings);
  for (uint64_t n = random.below(4); n > 0; --n) line += " " + pick(random, words);
  return line;
}

TEST(Hostile, ThousandsOfRandomLinesNeitherCrashItNorBreakAnInvariant) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SplitMix random(seed);
    Script s;
    s.elect(seed % 2 == 0 ? "nodes 1,2,3 prevote checkquorum" : "nodes 1,2,3 learner 4");
    for (int i = 0; i < 1000; ++i) {
      const std::string line = hostile_line(random);
      const std::string said = s.run(line);
      ASSERT_EQ(said.find("violation"), std::string::npos) << "seed " << seed << ": " << line;
      if (said.starts_with("error")) {
        ASSERT_EQ(lines_of(said), 1U) << line;
      }
    }
    EXPECT_EQ(lines_of(s.run("status")), seed % 2 == 0 ? 3U : 4U);
  }
}

TEST(Hostile, RandomBytesAreRefused) {
  SplitMix random(7);
  Script s;
  s.elect();
  for (int i = 0; i < 5000; ++i) {
    std::string line;
    for (uint64_t n = random.below(30); n > 0; --n) {
      line.push_back(static_cast<char>(random.below(256)));
    }
    const std::string said = s.run(line);
    ASSERT_TRUE(said.empty() || said.starts_with("error unknown ")) << said;
  }
}

}  // namespace
}  // namespace holdfast::raftlab::testing
