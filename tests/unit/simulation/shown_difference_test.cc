#include "tests/simulation/shown_difference.h"

#include <gtest/gtest.h>

namespace holdfast::sim {
namespace {

constexpr int64_t kTerm = 4;
constexpr Instant kNow{std::chrono::seconds(100)};
constexpr ShownDifference::Standing kLeads{.now = kNow,
                                           .term = Term(kTerm),
                                           .leads = true,
                                           .loaded = LogIndex(50),
                                           .applied = LogIndex(300)};

class ShownDifferenceTest : public testing::Test {
 protected:
  void report(int64_t index, const ShownDifference::Standing& standing = kLeads) {
    peer::DigestReport report;
    report.term = kTerm;
    report.state = state;
    report.number = ++number;
    report.points.emplace_back();
    report.points.back().index = index;
    server::PeerCodec codec;
    shown.reported(NodeId(2), codec.encode(report), standing);
  }
  bool open(Duration later = Duration(0)) { return shown.open(kNow + later); }

  ShownDifference shown;
  int64_t state = 7;
  int64_t number = 0;
};

TEST_F(ShownDifferenceTest, IsOpenForFiveSeconds) {
  EXPECT_FALSE(open());
  report(290);
  EXPECT_TRUE(open());
  EXPECT_TRUE(open(std::chrono::milliseconds(4'999)));
  EXPECT_FALSE(open(std::chrono::seconds(5)));
}

TEST_F(ShownDifferenceTest, OnlyOfAnEntryWhoseDigestTheServerKeeps) {
  for (const int64_t index : {50, 20, 301, 236}) {
    report(index);
    EXPECT_FALSE(open()) << index;
  }
  report(256);  // every 64th is kept for longer
  EXPECT_TRUE(open());
}

TEST_F(ShownDifferenceTest, TheLastOnesAreAllKept) {
  report(237);
  EXPECT_TRUE(open());
}

TEST_F(ShownDifferenceTest, OnlyToALeaderOfThatTerm) {
  ShownDifference::Standing standing = kLeads;
  standing.leads = false;
  report(290, standing);
  EXPECT_FALSE(open());
  standing.leads = true;
  standing.term = Term(kTerm + 1);
  report(290, standing);
  EXPECT_FALSE(open());
}

TEST_F(ShownDifferenceTest, LateReportsShowNothing) {
  report(20);
  number = 0;
  report(290);
  EXPECT_FALSE(open()) << "overtaken";
  state = 8;
  number = 0;
  report(20);
  state = 7;
  number = 100;
  report(290);
  EXPECT_FALSE(open()) << "of a state that another has replaced";
}

TEST_F(ShownDifferenceTest, AnotherStateWasShownNothing) {
  report(290);
  shown.begin();
  EXPECT_FALSE(open());
}

}  // namespace
}  // namespace holdfast::sim
