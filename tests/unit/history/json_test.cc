// Histories as files: what is read, and one clear error for what cannot be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/history/json_lines.h"

namespace holdfast::history {
namespace {

using testing::HasSubstr;

const std::string kAcquire =
    R"({"client":"c1","process":"p","call":"acquire","arguments":{"session":1,"sequence":1,)"
    R"("path":"/a","waitMs":-1,"value":"v"},"invoked":1,"returned":2,)"
    R"("result":{"status":"GRANTED","holderId":5,"token":5},"revision":5})";
const std::string kDescribe =
    R"({"client":"c2","call":"describeLock","arguments":{"path":"/a"},"invoked":3,"returned":4,)"
    R"("result":{"holders":[{"holderId":5,"session":1,"token":5,"value":"v"}],"waiters":[],)"
    R"("tenures":[]},"revision":6})";

std::string fault_of(const std::string& text) {
  std::istringstream in(text);
  History history;
  return read_json_lines(in, history).value_or("");
}

TEST(JsonLines, AHistoryIsReadAndJudged) {
  std::istringstream in(kAcquire + "\n" + kDescribe + "\n");
  History history;
  EXPECT_EQ(read_json_lines(in, history), std::nullopt);
  ASSERT_EQ(history.operations().size(), 2u);
  EXPECT_EQ(history.operations()[1].line, 2u);
  const Verdict verdict = check(history);
  EXPECT_TRUE(verdict.good()) << verdict.explanation;
  EXPECT_EQ(verdict.commands, 1u);
  EXPECT_EQ(verdict.reads, 1u);
}

TEST(JsonLines, CallsWithoutAnswerAndWithErrors) {
  std::istringstream in(
      R"({"client":"c","call":"release","arguments":{"session":1,"sequence":2,"path":"/a",)"
      R"("holderId":5},"invoked":1,"returned":null,"result":"unknown"})"
      "\n"
      R"({"client":"c","call":"renew","arguments":{"session":1},"invoked":1,"returned":2,)"
      R"("result":{"error":"SESSION_EXPIRED","applied":"NO"},"revision":9})"
      "\n"
      R"({"client":"c","call":"renew","arguments":{"session":1},"invoked":1,"returned":2,)"
      R"("result":{"error":"TIMEOUT","applied":"UNKNOWN"},"revision":9})");
  History history;
  EXPECT_EQ(read_json_lines(in, history), std::nullopt);
  EXPECT_FALSE(history.operations()[0].answer.known);
  EXPECT_EQ(history.operations()[0].returned, kNever);
  EXPECT_TRUE(history.operations()[1].answer.known);
  EXPECT_FALSE(history.operations()[2].answer.known);
}

TEST(JsonLines, TheFirstBadLineIsNamed) {
  const std::string good = kAcquire + "\n";
  EXPECT_THAT(fault_of(good + "{"), HasSubstr("line 2: not JSON"));
  EXPECT_THAT(fault_of(good + "\n" + kDescribe), HasSubstr("line 2: not JSON"));
  EXPECT_EQ(fault_of(good + "[]"), "line 2: the line is not an object");
  EXPECT_EQ(fault_of(R"({"call":"fly"})"), "line 1: 'call' is unknown: 'fly'");
  EXPECT_EQ(fault_of(R"({"call":"renew"})"), "line 1: the line has no 'arguments'");
  EXPECT_THAT(fault_of(R"({"call":"renew","arguments":{"session":-5}})"),
              HasSubstr("line 1: 'session' is -5"));
  EXPECT_THAT(fault_of(R"({"call":"acquire","arguments":{"lockDelay":5}})"),
              HasSubstr("'arguments' has a field that this call does not have"));
}

TEST(JsonLines, CallsAboutKeysAreReadAndJudged) {
  const auto line = [](const std::string& call, int at, const std::string& arguments,
                       const std::string& result, int revision) {
    return R"({"client":"c","call":")" + call + R"(","arguments":{)" + arguments +
           R"(},"invoked":)" + std::to_string(at) + R"(,"returned":)" + std::to_string(at + 1) +
           R"(,"result":{)" + result + R"(},"revision":)" + std::to_string(revision) + "}\n";
  };
  const std::string put =
      line("put", 1, R"("session":1,"sequence":1,"writes":[{"act":"put","path":"/k","value":"1"}])",
           R"("writeRevision":5,"results":[{"version":1}])", 5);
  const std::string transact = line(
      "transact", 3,
      R"("session":1,"sequence":2,"compares":[{"target":"VERSION","relation":"GREATER","path":"/k",)"
      R"("number":1}],"writes":[{"act":"remove","path":"/k"}])",
      R"("writeRevision":6,"failed":true)", 6);
  const auto list = [&](const std::string& value) {
    return line("listKeys", 5, R"("path":"/","subtree":true)",
                R"("keys":[{"path":"/k","value":")" + value +
                    R"(","version":1,"createRevision":5,"modifyRevision":5}])",
                7);
  };
  for (const bool good : {true, false}) {
    std::istringstream in(put + transact + list(good ? "1" : "2"));
    History history;
    EXPECT_EQ(read_json_lines(in, history), std::nullopt);
    const Verdict verdict = check(history);
    EXPECT_EQ(verdict.good(), good) << verdict.explanation;
    EXPECT_EQ(verdict.key_groups, 1u);
  }
  EXPECT_THAT(fault_of(line("put", 1, R"("writes":[{"act":"fly","path":"/k"}])", "", 5)),
              HasSubstr("'act' is unknown: 'fly'"));
  EXPECT_THAT(fault_of(line("put", 1, R"("writes":[{"act":"put"}])", "", 5)),
              HasSubstr("a write has no path"));
  EXPECT_THAT(fault_of(line("put", 1, R"("session":1,"writes":[])", "", 5)),
              HasSubstr("has a session or a sequence, but not both"));
}

TEST(JsonLines, SeveralLocksAtOnceAreReadAndJudged) {
  const std::string all =
      R"({"client":"c1","call":"acquireAll","arguments":{"session":1,"sequence":1,"waitMs":-1,)"
      R"("locks":[{"path":"/a","mode":"EXCLUSIVE"},{"path":"/b","mode":"SHARED"}]},"invoked":1,)"
      R"("returned":2,"result":{"status":"GRANTED","holderId":5,"token":5},"revision":5})";
  const std::string release =
      R"({"client":"c1","call":"releaseAll","arguments":{"session":1,"sequence":2,"holderId":5},)"
      R"("invoked":3,"returned":4,"result":{"release":"RELEASED"},"revision":7})";
  std::istringstream in(all + "\n" + release + "\n");
  History history;
  EXPECT_EQ(read_json_lines(in, history), std::nullopt);
  ASSERT_EQ(history.operations().size(), 2u);
  EXPECT_EQ(history.operations()[0].arguments.locks[1].mode, Mode::kShared);
  const Verdict verdict = check(history);
  EXPECT_TRUE(verdict.good()) << verdict.explanation;
  EXPECT_EQ(verdict.locks, 2u);
}

TEST(JsonLines, HowAKeyEndsIsRead) {
  std::istringstream in(
      R"({"client":"c","call":"create","arguments":{"writes":[{"act":"create","path":"/k","ttlMs":)"
      R"(1500,"makeParents":true}]},"invoked":1,"returned":null,"result":"unknown"})"
      "\n"
      R"({"client":"c","call":"create","arguments":{"writes":[{"act":"create","path":"/k",)"
      R"("container":true}]},"invoked":1,"returned":null,"result":"unknown"})");
  History history;
  EXPECT_EQ(read_json_lines(in, history), std::nullopt);
  const KeyWrite& passing = history.operations()[0].arguments.writes[0];
  EXPECT_EQ(passing.ttl_ms, 1'500);
  EXPECT_TRUE(passing.make_parents);
  EXPECT_TRUE(history.operations()[1].arguments.writes[0].container);
}

TEST(JsonLines, WhatContradictsItselfIsRefused) {
  const auto with = [](const std::string& rest) {
    return R"({"client":"c","call":"release","arguments":{"session":1,"sequence":2,"path":"/a"},)" +
           rest + "}";
  };
  EXPECT_THAT(fault_of(with(R"("invoked":5,"returned":4,"result":"unknown")")),
              HasSubstr("before it was invoked"));
  EXPECT_THAT(fault_of(with(R"("invoked":5,"result":{"release":"RELEASED"},"revision":4)")),
              HasSubstr("no time at which it returned"));
  EXPECT_THAT(fault_of(with(R"("invoked":5,"returned":6,"result":{"release":"RELEASED"})")),
              HasSubstr("without a revision"));
  // But for local reads of a server that has not read its log yet.
  EXPECT_EQ(fault_of(R"({"client":"c","call":"get","arguments":{"path":"/k","local":true},)"
                     R"("invoked":5,"returned":6,"result":{},"revision":0})"),
            "");
  EXPECT_THAT(fault_of(with(R"("invoked":5,"returned":6,"result":{"release":"GONE"})")),
              HasSubstr("'release' is unknown: 'GONE'"));
  EXPECT_THAT(fault_of(with(R"("invoked":5,"returned":6,"result":{"error":"X"})")),
              HasSubstr("an error needs 'applied'"));
}

TEST(JsonLines, NothingToCheckIsAFailure) {
  EXPECT_EQ(check(History()).kind, Verdict::Kind::kEmpty);
  std::istringstream in(
      R"({"client":"c","call":"renew","arguments":{"session":1},"invoked":1,"returned":2,)"
      R"("result":{"leaseMs":5},"revision":3})");
  History history;
  EXPECT_EQ(read_json_lines(in, history), std::nullopt);
  const Verdict verdict = check(history);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kEmpty);
  EXPECT_THAT(verdict.explanation, HasSubstr("nothing to check"));
}

}  // namespace
}  // namespace holdfast::history
