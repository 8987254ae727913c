// Several servers that a state may come from: who is asked, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/server/snapshot_fetch.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/server/host_fakes.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kA{3}, kB{4}, kC{5};
constexpr LogIndex kAtLeast{100};
const std::vector<NodeId> kAll{kA, kB, kC};
constexpr Duration kStep = 500ms;

class SnapshotSources : public ::testing::Test {
 protected:
  /// All of them make their copies: those that are asked say so, and no more.
  void wait_for(Duration time) {
    for (Duration passed{}; passed < time; passed += kStep) {
      here_.clock.advance(kStep);
      for (const auto& ask : std::exchange(here_.transport.sent, {})) {
        note(ask);
        peer::SnapshotPiece none;
        none.request = static_cast<int64_t>(request_);
        fetch_.receive(ask.to, here_.codec.encode(none));
      }
      turn();
    }
    for (const auto& ask : here_.transport.sent) note(ask);
  }
  void turn() {
    work_.deliver();
    fetch_.turn_end();
    fetch_.begin_any(kAll, kAtLeast);
  }
  void note(const TestTransport::Sent& sent) {
    peer::SnapshotAsk ask;
    ASSERT_TRUE(here_.codec.decode(sent.bytes, ask));
    request_ = static_cast<uint64_t>(ask.request);
    if (asked_.empty() || asked_.back() != sent.to) asked_.push_back(sent.to);
  }
  /// The piece at `offset` of a copy of five.
  std::string piece(int64_t copy, size_t offset = 0) {
    peer::SnapshotPiece out;
    out.request = static_cast<int64_t>(request_);
    out.copy = copy;
    out.appliedIndex = static_cast<int64_t>(kAtLeast.value);
    out.offset = static_cast<int64_t>(offset);
    out.bytes = static_cast<int64_t>(5 * snapshot::PieceSum::kPieceBytes);
    out.data.assign(snapshot::PieceSum::kPieceBytes, 'x');
    return std::string(here_.codec.encode(out));
  }
  /// Whom the last question went to.
  std::vector<NodeId> just_asked() {
    std::vector<NodeId> out;
    for (const auto& ask : here_.transport.sent) out.push_back(ask.to);
    return out;
  }

  snapshot::TemporaryDirectory folder_;
  raft::PosixFileSystem files_;
  SystemEntropy entropy_;
  HostFakes here_;
  TestBackground work_;
  uint64_t request_ = 0;
  std::vector<NodeId> asked_;
  SnapshotFetch fetch_{SnapshotFetchPorts{.clock = here_.clock,
                                          .entropy = entropy_,
                                          .transport = here_.transport,
                                          .background = work_,
                                          .files = files_,
                                          .path = folder_.file("state-2.db"),
                                          .vfs = "",
                                          .question = {.log = [](const std::string&) {}},
                                          .no_room = {}}};
};

TEST_F(SnapshotSources, AnotherIsAskedBesidesOneThatMakesItsAskerWait) {
  turn();
  wait_for(SnapshotFetch::kAskBesides - kStep);
  EXPECT_THAT(asked_, ElementsAre(kA)) << "its copy may be about to come";
  here_.transport.sent.clear();
  wait_for(kStep);
  EXPECT_THAT(just_asked(), ElementsAre(kA, kB));
  wait_for(SnapshotFetch::kAskBesides - kStep);
  here_.transport.sent.clear();
  wait_for(kStep);
  EXPECT_THAT(just_asked(), ElementsAre(kA, kB, kC));
  EXPECT_EQ(fetch_.stats().started, 1u);
  EXPECT_EQ(fetch_.stats().abandoned, 0u);
}

TEST_F(SnapshotSources, WhoSendsFirstIsTheSource) {
  turn();
  wait_for(SnapshotFetch::kAskBesides);
  here_.transport.sent.clear();
  fetch_.receive(kB, piece(11));
  fetch_.receive(kA, piece(10));
  turn();
  EXPECT_EQ(fetch_.stats().pieces, 1u);
  EXPECT_THAT(just_asked(), ElementsAre(kB));
  for (const auto& ask : here_.transport.sent) note(ask);
  fetch_.receive(kA, piece(10, snapshot::PieceSum::kPieceBytes));
  EXPECT_EQ(fetch_.stats().pieces, 1u) << "the copy of another";
  fetch_.receive(kB, piece(11, snapshot::PieceSum::kPieceBytes));
  EXPECT_EQ(fetch_.stats().pieces, 2u);
}

TEST_F(SnapshotSources, HowMuchIsToComeIsSaidFromTheFirstPieceOn) {
  EXPECT_EQ(fetch_.progress(), "");
  turn();
  wait_for(kStep);
  EXPECT_EQ(fetch_.progress(), "waiting for the state of node " + std::to_string(kA.value));
  fetch_.receive(kA, piece(10));
  turn();
  EXPECT_THAT(fetch_.progress(), testing::HasSubstr(" of "));
  EXPECT_THAT(fetch_.progress(),
              testing::StartsWith("receiving the state of node " + std::to_string(kA.value)));
  for (size_t next = 1; next < 5; ++next) {
    for (const auto& ask : here_.transport.sent) note(ask);
    fetch_.receive(kA, piece(10, next * snapshot::PieceSum::kPieceBytes));
    if (next < 4) turn();
  }
  EXPECT_THAT(fetch_.progress(), testing::StartsWith("verifying and loading the state of node " +
                                                     std::to_string(kA.value)));
}

TEST_F(SnapshotSources, TheFirstThatWasAskedMayStillSend) {
  turn();
  wait_for(SnapshotFetch::kAskBesides);
  here_.transport.sent.clear();
  fetch_.receive(kA, piece(10));
  turn();
  EXPECT_EQ(fetch_.stats().pieces, 1u);
  EXPECT_THAT(just_asked(), ElementsAre(kA));
}

// Else a server whose pieces come slowly would never have the whole.
TEST_F(SnapshotSources, OnceSomethingHasComeNobodyElseIsAsked) {
  turn();
  wait_for(kStep);
  fetch_.receive(kA, piece(10));
  turn();
  asked_.clear();
  wait_for(2 * SnapshotFetch::kAskBesides);
  EXPECT_THAT(asked_, ElementsAre(kA));
  EXPECT_EQ(fetch_.stats().abandoned, 0u);
}

TEST_F(SnapshotSources, AnOfferOfOneThatIsAskedAlreadyChangesNothing) {
  turn();
  wait_for(SnapshotFetch::kAskBesides);
  here_.transport.sent.clear();
  fetch_.begin(kB, kAtLeast);
  EXPECT_THAT(just_asked(), IsEmpty());
  EXPECT_EQ(fetch_.stats().abandoned, 0u);
}

TEST_F(SnapshotSources, WhenNoneHasACopyInTimeAnotherIsAskedFirst) {
  turn();
  wait_for(SnapshotFetch::kCopyMax);
  EXPECT_EQ(fetch_.stats().abandoned, 1u);
  here_.transport.sent.clear();
  here_.clock.advance(SnapshotFetch::kPause);
  turn();
  EXPECT_THAT(just_asked(), ElementsAre(kB));
}

}  // namespace
}  // namespace holdfast::server
