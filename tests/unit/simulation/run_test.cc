// Whole runs: the same again, from a seed, from a recording, from bytes; made small; refused.
#include <gtest/gtest.h>

#include "tests/simulation/rpc.h"
#include "tests/simulation/shrink.h"
#include "tests/simulation/swarm.h"
#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

constexpr int64_t kShort = 5'000;

Schedule parsed(const std::string& text) {
  auto schedule = parse_schedule(text);
  EXPECT_TRUE(schedule.ok()) << (schedule.ok() ? "" : schedule.error().message);
  return std::move(*schedule);
}

std::string refusal(const std::string& text) {
  const auto schedule = parse_schedule(text);
  return schedule.ok() ? "" : schedule.error().message;
}

TEST(Runs, ASeedGivesTheSameRunAgain) {
  for (const bool thrift : {false, true}) {
    const Schedule schedule = schedule_of_seed(11, kShort, thrift);
    const RunResult one = run_schedule(schedule, {});
    const RunResult two = run_schedule(schedule, {});
    EXPECT_EQ(one.what, "");
    EXPECT_EQ(one.trace, two.trace);
    EXPECT_GT(one.answers, 0u);
  }
}

TEST(Runs, WhatARunDrewReplaysItWithoutItsSeed) {
  Schedule schedule = schedule_of_seed(12, kShort, false);
  Draws draws(12);
  draws.record();
  const RunResult first = Simulation(schedule.plan, draws, {}).run();
  schedule.draws_of_seed.reset();
  schedule.draws = draws.recorded();
  const Schedule again = parsed(to_text(schedule));
  EXPECT_EQ(again.plan, schedule.plan);
  EXPECT_EQ(to_text(again), to_text(schedule));
  EXPECT_EQ(run_schedule(again, {}).trace, first.trace);
}

TEST(Runs, BytesAreAPlanAndDrawsToo) {
  std::string bytes;
  for (int i = 0; i < 4'000; ++i) bytes.push_back(static_cast<char>(i * 37));
  Draws draws = Draws::from_bytes(bytes);
  const Plan plan = draw_plan(draws, {.length_ms = kShort, .thrift = false});
  EXPECT_EQ(Simulation(plan, draws, {}).run().what, "");
}

TEST(Runs, AFurtherDrawInOneStreamLeavesTheOthersAlone) {
  Draws a(5);
  Draws b(5);
  a.stream("net").below(100);
  a.stream("net").below(100);
  b.stream("net").below(100);
  EXPECT_EQ(a.stream("disk").below(1'000'000), b.stream("disk").below(1'000'000));
}

TEST(Runs, ARunThatChecksNothingFails) {
  EXPECT_EQ(run_schedule(parsed("weather length_ms=500\n"), {}).rule, Rule::kVacuous);
}

TEST(Runs, AQuorumThatFindsNoLeaderBreaksLive) {
  // No message arrives within an election timeout.
  const Schedule slow = parsed(
      "weather length_ms=500 delay_us=9000000 election_min_ms=50 election_max_ms=100 "
      "heartbeat_ms=10 ttl_ms=500\nclient 1 hand 1 lock\ndraws_of_seed 1\n");
  EXPECT_EQ(run_schedule(slow, {}).rule, Rule::kLive);
}

TEST(Runs, AFailingRunIsMadeSmall) {
  Schedule failing = schedule_of_seed(13, kShort, false);
  failing.plan.weather.delay_us = 9'000'000;
  failing.breaks = run_schedule(failing, {}).rule;
  ASSERT_TRUE(failing.breaks.has_value());
  const size_t before = size_of(failing);
  SystemClock clock;
  Shrinker shrinker(clock, 600s);  // it ends when nothing more can be dropped, within seconds
  const Schedule small = shrinker.shrink(failing);
  EXPECT_LT(size_of(small), before);
  EXPECT_LE(size_of(small), 30u);
  EXPECT_EQ(run_schedule(small, {}).rule, failing.breaks);
}

TEST(Runs, AClientsBytesThatAreNoCallBreakStops) {
  RpcServer server;
  Call call;
  call.frame = "GET / HTTP/1.1";
  EXPECT_EQ(broken_by([&] { server.take(call, nullptr, {}); }), "STOPS");
}

TEST(Schedules, AHandWithoutOperationsIsWrittenToo) {
  const Schedule idle = parsed("client 2 hand 1\n");
  ASSERT_EQ(idle.plan.scripts.size(), 1u);
  EXPECT_EQ(parsed(to_text(idle)).plan, idle.plan);
}

TEST(Schedules, WhatARunIsThereForIsWrittenTooAndMissed) {
  const Schedule calm = parsed("weather length_ms=500\nclient 1 hand 1\nmeets LogCut\n");
  ASSERT_EQ(parsed(to_text(calm)).meets, std::vector<Mark>{Mark::kLogCut});
  RunResult result;
  EXPECT_EQ(never_met(calm, result), Mark::kLogCut);
  result.marks.hit(Mark::kLogCut);
  EXPECT_EQ(never_met(calm, result), std::nullopt);
}

TEST(Schedules, AnErrorNamesTheLineAndTheWord) {
  EXPECT_EQ(refusal("weather nodes=9\n"), "line 1: nodes: 9 is not within 1 and 7");
  EXPECT_EQ(refusal("# fine\nexplode at=3\n"), "line 2: there is no fault or line named 'explode'");
  EXPECT_EQ(refusal("kill at=x\n"), "line 1: at: 'x' is no number");
  EXPECT_EQ(refusal("kill when=3\n"), "line 1: there is no field 'when=3' in 'kill'");
  EXPECT_EQ(refusal("client 9 hand 1 lock\n"), "client 9 of 4");
  EXPECT_EQ(refusal("breaks I99\n"), "line 1: 'breaks' names one invariant, such as I22");
  EXPECT_EQ(refusal("meets Nothing\n"), "line 1: 'meets' names one rare state, such as LogCut");
  EXPECT_EQ(refusal("weather heartbeat_ms=600\n"),
            "heartbeat_ms 600 is above half of election_min_ms 500");
}

TEST(Schedules, TheSentencesOfTheCoreAreKnownByTheirRule) {
  // The sentences are those that tests/unit/core/invariants_test.cc provokes.
  EXPECT_EQ(rule_of_core("node 2 term 1: second leader beside 1"), Rule::kI1);
  EXPECT_EQ(rule_of_core("node 1 term 2: a leader deleted entries"), Rule::kI2);
  EXPECT_EQ(rule_of_core("node 3 term 1: two entries 1 of one term"), Rule::kI3);
  EXPECT_EQ(rule_of_core("node 3 term 2: leads without committed entry 1"), Rule::kI4);
  EXPECT_EQ(rule_of_core("node 3 term 2: committed another entry at 1"), Rule::kI5);
  EXPECT_EQ(rule_of_core("node 2 term 1: committed 1 without a durable quorum"), Rule::kI6);
  EXPECT_EQ(rule_of_core("node 2 term 4: term went back from 5"), Rule::kI6);
  EXPECT_EQ(rule_of_core("node 2 term 4: voted before for 1"), Rule::kI7);
  EXPECT_EQ(rule_of_core("node 1 term 1: too many appends in flight to 2"), Rule::kI21);
}

}  // namespace
}  // namespace holdfast::sim
