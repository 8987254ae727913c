// The client's own arithmetic of deadlines (PROMISES 5), instant by instant.
#include "clients/cpp/hold.h"

#include <gtest/gtest.h>

#include "clients/cpp/sequence_set.h"
#include "tests/support/cpu_time.h"

namespace holdfast::client {
namespace {

constexpr Instant kStart{1000s};

Instant at_ms(int64_t ms) { return kStart + from_ms(ms); }

class LeaseTest : public testing::Test {
 protected:
  std::shared_ptr<Hold> grant(const std::string& path, int64_t holder_id) {
    auto hold = std::make_shared<Hold>(lease_.clock(), std::vector<std::string>{path}, holder_id,
                                       holder_id + 1, false);
    hold->cap(lease_.cap_for(*hold));
    holds_.push_back(hold);
    return hold;
  }
  void renewed(Instant sent, int64_t lease_ms, const std::vector<Notice>& notices, Instant now) {
    lease_.note(notices, now);
    for (const auto& hold : holds_) hold->cap(lease_.cap_for(*hold));
    lease_.extend(sent, lease_ms);
  }

  Lease lease_;
  std::vector<std::shared_ptr<Hold>> holds_;
};

TEST_F(LeaseTest, ALockMayBeReliedOnUntilTheLeaseCountedFromTheSendingIsOver) {
  renewed(at_ms(0), 9'000, {}, at_ms(400));
  const auto hold = grant("/a", 5);
  EXPECT_TRUE(hold->held(at_ms(8'999)));
  EXPECT_FALSE(hold->held(at_ms(9'000)));
  EXPECT_EQ(hold->lost(at_ms(9'000)), LostReason::kLeaseRanOut);
}

TEST_F(LeaseTest, OneRevocationEndsEveryHolderThatItNames) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  const auto first = grant("/a", 5);
  const auto second = grant("/a", 6);
  const std::vector<Notice> notices = {{70, "/a", 5, 1'000, "drill"},
                                       {70, "/a", 6, 1'000, "drill"}};
  renewed(at_ms(2'000), 9'000, notices, at_ms(2'010));
  EXPECT_TRUE(second->held(at_ms(3'009)));
  EXPECT_FALSE(first->held(at_ms(3'010)));
  EXPECT_FALSE(second->held(at_ms(3'010)));
}

TEST_F(LeaseTest, ANoticeWithoutAPathEndsTheSessionAndOneOfALockDoesNot) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  renewed(at_ms(1'000), 9'000, {{70, "/a", 5, 1'000, "drill"}}, at_ms(1'010));
  EXPECT_EQ(lease_.ended_by_notice(), Instant::max());
  renewed(at_ms(2'000), 9'000, {{71, "", 0, 3'000, "drill"}}, at_ms(2'010));
  EXPECT_EQ(lease_.ended_by_notice(), at_ms(5'010));
}

TEST_F(LeaseTest, ASessionUnderALongNoticeEndsWithTheLeaseThatItHadBefore) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  renewed(at_ms(2'000), 9'000, {{71, "", 0, 30'000, "drill"}}, at_ms(2'010));
  EXPECT_EQ(lease_.ended_by_notice(), at_ms(9'000));
}

TEST_F(LeaseTest, AReplyThatDidNotRenewExtendsNothing) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  renewed(at_ms(5'000), 0, {}, at_ms(5'010));
  EXPECT_EQ(lease_.deadline(), at_ms(9'000));
}

TEST_F(LeaseTest, ALateReplyToAnEarlierPollDoesNotMoveTheDeadlineBack) {
  renewed(at_ms(2'000), 9'000, {}, at_ms(2'010));
  renewed(at_ms(0), 9'000, {}, at_ms(2'020));
  EXPECT_EQ(lease_.deadline(), at_ms(11'000));
}

TEST_F(LeaseTest, ARenewalWithANoticeDoesNotExtendTheLockItNames) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  const auto named = grant("/a", 5);
  const auto other = grant("/b", 6);
  renewed(at_ms(3'000), 9'000, {{1, "/a", 5, 60'000, ""}}, at_ms(3'010));
  EXPECT_EQ(named->deadline(), at_ms(9'000));
  EXPECT_EQ(other->deadline(), at_ms(12'000));
  EXPECT_EQ(named->lost(at_ms(9'000)), LostReason::kRevoked);
}

TEST_F(LeaseTest, AShortNoticeEndsTheLockWhenItRunsOut) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  const auto hold = grant("/a", 5);
  renewed(at_ms(3'000), 9'000, {{1, "/a", 0, 1'000, ""}}, at_ms(3'010));
  EXPECT_EQ(hold->deadline(), at_ms(4'010));
}

TEST_F(LeaseTest, RepeatingANoticeDoesNotGrantMoreTime) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  const auto hold = grant("/a", 5);
  renewed(at_ms(3'000), 9'000, {{1, "/a", 5, 1'000, ""}}, at_ms(3'010));
  renewed(at_ms(3'500), 9'000, {{1, "/a", 5, 1'000, ""}}, at_ms(3'510));
  EXPECT_EQ(hold->deadline(), at_ms(4'010));
}

TEST_F(LeaseTest, ANoticeAgainstAnotherHolderOfThePathIsNotOurs) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  const auto hold = grant("/a", 5);
  renewed(at_ms(3'000), 9'000, {{1, "/a", 4, 0, ""}}, at_ms(3'010));
  EXPECT_EQ(hold->deadline(), at_ms(12'000));
}

TEST_F(LeaseTest, ANoticeAgainstTheSessionNamesAlsoLocksGrantedLater) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  renewed(at_ms(3'000), 9'000, {{1, "", 0, 2'000, ""}}, at_ms(3'010));
  const auto later = grant("/new", 9);
  EXPECT_EQ(later->deadline(), at_ms(5'010));
}

/// Of one holder each, as many as are named, counted on from `first`.
std::vector<Notice> many_notices(int64_t first, int64_t count) {
  std::vector<Notice> notices;
  for (int64_t id = first; id < first + count; ++id) {
    notices.push_back({id, "/n/" + std::to_string(id), id, 1'000, ""});
  }
  return notices;
}

// A session may own 10,000 locks, and each reply tells of all that are being revoked.
TEST_F(LeaseTest, ANoticeCostsTheSameHoweverManyAreInForce) {
  const auto cost = [](int64_t count) {
    Lease lease;
    const auto notices = many_notices(1, count);
    const double before = cpu_seconds();
    for (int reply = 0; reply < 5; ++reply) lease.note(notices, at_ms(10));
    return cpu_seconds() - before;
  };
  const double few = least_of(3, [&] { return cost(500); });
  const double many = least_of(3, [&] { return cost(10'000); });
  EXPECT_LT(many, 80 * few) << few << " s for 500, " << many << " s for 10,000";
}

TEST_F(LeaseTest, AndSoDoesALockThatMayBeNamed) {
  const auto cost = [this](int64_t count) {
    lease_.note(many_notices(1, count), at_ms(10));
    const auto hold = grant("/a", 5);
    const double before = cpu_seconds();
    for (int i = 0; i < 1'000; ++i) hold->cap(lease_.cap_for(*hold));
    return cpu_seconds() - before;
  };
  const double few = least_of(3, [&] { return cost(100); });
  const double many = least_of(3, [&] { return cost(8'000); });
  EXPECT_LT(many, 20 * few) << few << " s for 100, " << many << " s for 8,000";
}

// The answer that grants such a lock may come after all replies that tell of its notice.
TEST_F(LeaseTest, NoticesThatAreOverAreKeptForAWhileAndNotForEver) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  for (int64_t reply = 1; reply <= 100; ++reply) {
    renewed(at_ms(1'000), 9'000, many_notices(1'000 * reply, 1'000), at_ms(1'010));
    EXPECT_LE(lease_.notices(), 2 * Lease::kOverKept + 1'000);
  }
  renewed(at_ms(1'500), 9'000, {}, at_ms(1'510));
  EXPECT_EQ(grant("/n/100999", 100'999)->deadline(), at_ms(2'010));
  EXPECT_EQ(grant("/n/1000", 1'000)->deadline(), at_ms(10'500));
}

TEST_F(LeaseTest, ALockBeingHandedOverIsNotToBeReliedOnUntilTheHandoverIsRefused) {
  renewed(at_ms(0), 9'000, {}, at_ms(10));
  const auto hold = grant("/a", 5);
  hold->begin_giving_up();
  EXPECT_FALSE(hold->held(at_ms(100)));
  hold->keep();
  EXPECT_TRUE(hold->held(at_ms(100)));
}

TEST(SequenceSetTest, KeepsWhatLiesTogetherAsOneRange) {
  using Ranges = std::vector<SequenceSet::Range>;
  SequenceSet set;
  for (const int64_t sequence : {3, 1, 7, 2, 5, 3}) set.add(sequence);
  EXPECT_EQ(set.ranges(), (Ranges{{1, 3}, {5, 5}, {7, 7}}));
  set.add(6);
  EXPECT_EQ(set.ranges(), (Ranges{{1, 3}, {5, 7}}));
  set.add(4);
  EXPECT_EQ(set.ranges(), (Ranges{{1, 7}}));
  EXPECT_TRUE(set.contains(4));
  EXPECT_FALSE(set.contains(8));
}

}  // namespace
}  // namespace holdfast::client
