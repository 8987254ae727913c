// A change of the members, and a server that dies around each of its disk operations meanwhile, one
// after the other: with every invariant, and with all coming right after it.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/shrink.h"

namespace holdfast::sim {
namespace {

constexpr int64_t kBegin = 1'500;
/// A newcomer has entry 1 by then, and nothing else.
constexpr int64_t kFormed = 1'601;
constexpr Duration kEnd = 3s;
/// The log has been cut behind the change by then.
constexpr int64_t kCut = 3'000;
constexpr int kNewcomer = 4;

/// Three servers, a fourth that may be added, segments and snapshots that change often.
std::string world(const std::string& faults) {
  return "weather length_ms=5000 nodes=3 spares=1 clients=1 segment_bytes=4096 snapshot_ms=150 "
         "snapshot_bytes=2000\n" +
         faults +
         "client 1 hand 1 lock hold=20\nclient 1 hand 1 put path=1 value=300\n"
         "client 1 hand 1 put path=2 value=300 think=2000\n";
}

struct Change {
  const char* name;
  std::string fault;  ///< what an operator asks server 1 for; `other`, `mask`: servers from 0
  std::vector<int> servers;
};

std::string members(const std::string& what) {
  return "members at=" + std::to_string(kBegin) + " node=1 " + what + "\n";
}

std::string crash_at(int64_t from, int node, int operation, bool power) {
  return "crash_at_disk at=" + std::to_string(from) + " node=" + std::to_string(node) +
         " amount=" + std::to_string(operation) + " other=" + (power ? "1" : "0") + "\n";
}

RunResult run(const std::string& text) {
  const auto schedule = parse_schedule(text);
  EXPECT_TRUE(schedule.ok()) << schedule.error().message;
  return run_schedule(*schedule, {.tell = true});
}

/// Several segments, and one entry more when they have been cut off.
const char* const kLater =
    "client 1 hand 2 put path=3 value=4000 think=1700\n"
    "client 1 hand 2 put path=3 value=4000 think=100\n"
    "client 1 hand 2 put path=3 value=4000 think=100\n"
    "client 1 hand 2 put path=3 value=4000 think=200\n"
    "client 1 hand 2 put path=4 value=100 think=1000\n";

std::optional<Duration> death_of(const RunResult& result, int node) {
  const auto at = std::ranges::find_if(result.told, [&](const Told& line) {
    return line.who == "node " + std::to_string(node) &&
           (line.what == "is killed" || line.what == "loses power");
  });
  return at == result.told.end() ? std::nullopt : std::optional(at->at);
}

/// Returns how many moments there were.
int crash_at_every_operation(const Change& change, int node, bool power) {
  constexpr int kAtMost = 1'000;
  for (int operation = 1; operation < kAtMost; ++operation) {
    const int64_t from = node == kNewcomer ? kFormed : kBegin;
    const RunResult result = run(world(change.fault + crash_at(from, node, operation, power)));
    EXPECT_EQ(result.what, "") << "node " << node << ", disk operation " << operation;
    const auto died = death_of(result, node);
    if (!died || *died >= kEnd) return operation - 1;
  }
  return kAtMost;
}

class ReconfigurationCrashes : public testing::TestWithParam<Change> {};

TEST_P(ReconfigurationCrashes, NoDiskOperationIsAWrongMoment) {
  constexpr int kFew = 10;  // the entries of the change are written and synced, at the least
  for (const int node : GetParam().servers) {
    for (const bool power : {false, true}) {
      EXPECT_GT(crash_at_every_operation(GetParam(), node, power), kFew) << "node " << node;
    }
  }
}

// Then the snapshot alone says who the members are.
TEST_P(ReconfigurationCrashes, NorIsOneAfterTheLogIsCutBehindTheChange) {
  constexpr int kSome = 5;
  for (const int node : GetParam().servers) {
    for (int operation = 1; operation <= kSome; ++operation) {
      const RunResult result =
          run(world(GetParam().fault + crash_at(kCut, node, operation, /*power=*/true)) + kLater);
      EXPECT_EQ(result.what, "") << "node " << node << ", disk operation " << operation;
      EXPECT_GT(result.marks.of(Mark::kLogCut), 0U);
      const auto died = death_of(result, node);
      ASSERT_TRUE(died) << "node " << node << ", disk operation " << operation;
      EXPECT_GE(*died, from_ms(kCut));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Changes, ReconfigurationCrashes,
    testing::Values(Change{"Add", members("amount=0 other=3"), {1, 2, 3, kNewcomer}},
                    Change{"Replace", members("amount=7 other=1 mask=3"), {1, 3, kNewcomer}},
                    Change{"Remove", members("amount=5 other=2"), {1, 2}},
                    Change{"RemoveTheAsked", members("amount=5 other=0"), {2, 3}}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace holdfast::sim
