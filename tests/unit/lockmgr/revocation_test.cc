#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Revocations : public LockTableTest {
 protected:
  std::vector<Notice> notices(uint64_t session) {
    std::vector<Notice> found;
    table().notices_of(SessionId(session), found);
    return found;
  }
  size_t acknowledge(uint64_t session, std::vector<Revision> ids) {
    size_t concerned = 0;
    entry([&] { concerned = table().acknowledge_notices(SessionId(session), ids); });
    return concerned;
  }
  /// A tick of a leader that has applied everything so far.
  const Effects& start_clocks() {
    return entry([&] { table().start_revocation_clocks(Revision(revision_ - 1)); });
  }
};

TEST_F(Revocations, AnnounceThemselvesAndTakeNothingYet) {
  const Revision id = ask(1);
  const Effects& effects = entry([&] {
    EXPECT_EQ(table().revoke({.path = kPath, .notice_ms = 3'000, .reason = "maintenance"}), 1u);
  });
  ASSERT_EQ(effects.notices.size(), 1u);
  EXPECT_EQ(effects.notices[0].holder_id, id);
  EXPECT_THAT(holders(), ElementsAre(1));
  EXPECT_TRUE(table().describe(kPath).holders[0].revoking);
  const auto found = notices(1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].notice_id, Revision(revision_));
  EXPECT_EQ(found[0].path, kPath);
  EXPECT_EQ(found[0].notice_ms, 3'000);
  EXPECT_EQ(found[0].reason, "maintenance");
  EXPECT_FALSE(found[0].acknowledged);
}

TEST_F(Revocations, EndNoticeMsAfterTheClientAcknowledged) {
  ask(1);
  ask(2);
  revoke({.path = kPath, .notice_ms = 3'000, .reason = "maintenance"});
  const Revision notice(revision_);
  start_clocks();
  now_ms_ += 1'000;
  EXPECT_EQ(acknowledge(1, {notice}), 1u);
  EXPECT_TRUE(notices(1)[0].acknowledged);
  const int64_t due = now_ms_ + 3'000;
  EXPECT_EQ(table().next_due_ms(), due);
  tick_at(due - 1);
  EXPECT_THAT(holders(), ElementsAre(1));
  const Effects& effects = tick_at(due);
  EXPECT_THAT(holders(), ElementsAre(2));
  ASSERT_EQ(effects.ended.size(), 1u);
  EXPECT_EQ(effects.ended[0].reason, EndReason::kRevoked);
  EXPECT_EQ(table().describe(kPath).tenures[0].reason, EndReason::kRevoked);
  EXPECT_EQ(table().describe(kPath).tenures[0].note, "maintenance");
  EXPECT_THAT(notices(1), IsEmpty());
}

TEST_F(Revocations, EndOneTtlAfterTheLeaderAppliedThemWhenNobodyAcknowledges) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .ttl_ms = 10'000});
  revoke({.path = kPath, .notice_ms = 60'000});
  start_clocks();
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 10'000);
  tick_at(now_ms_ + 10'000);
  EXPECT_THAT(holders(), IsEmpty());
}

// An entry stamped before the leader had applied the announcement must not start the count: until
// then it acknowledged renewals without the notice.
TEST_F(Revocations, AreNotCountedBeforeALeaderHasAppliedThem) {
  ask(1);
  revoke({.path = kPath, .notice_ms = 60'000});
  const Revision announced(revision_);
  EXPECT_EQ(table().next_due_ms(), now_ms_) << "the leader is to tick at once";
  const int64_t announced_ms = now_ms_;
  now_ms_ += 700;
  entry([&] { table().start_revocation_clocks(Revision(announced.value - 1)); });
  EXPECT_EQ(table().next_due_ms(), announced_ms);
  tick_at(now_ms_ + 60'000);
  EXPECT_THAT(holders(), ElementsAre(1));
  entry([&] { table().start_revocation_clocks(announced); });
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 10'000);
}

TEST_F(Revocations, AnAcknowledgementNeverLengthensTheTime) {
  ask({.session = 1, .claims = {exclusive(kPath)}, .ttl_ms = 10'000});
  revoke({.path = kPath, .notice_ms = 60'000});
  const Revision notice(revision_);
  start_clocks();
  const int64_t due = now_ms_ + 10'000;
  acknowledge(1, {notice});
  EXPECT_EQ(table().next_due_ms(), due);
}

TEST_F(Revocations, AnAcknowledgementBeforeTheCountStartsStillEndsThem) {
  ask(1);
  revoke({.path = kPath, .notice_ms = 500});
  acknowledge(1, {Revision(revision_)});
  start_clocks();
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 500);
}

TEST_F(Revocations, AcknowledgementsAreIdempotentAndOnlyForTheirSession) {
  ask(1);
  revoke({.path = kPath, .notice_ms = 500});
  const Revision notice(revision_);
  EXPECT_EQ(acknowledge(2, {notice}), 0u);
  EXPECT_EQ(acknowledge(1, {Revision(7)}), 0u);
  EXPECT_EQ(acknowledge(1, {notice}), 1u);
  const int64_t due = now_ms_ + 500;
  now_ms_ += 100;
  start_clocks();
  EXPECT_EQ(acknowledge(1, {notice}), 0u);
  EXPECT_EQ(table().next_due_ms(), due);
}

TEST_F(Revocations, ByForceEndTheTenureInTheirOwnEntry) {
  ask(1);
  ask(2);
  EXPECT_EQ(revoke({.path = kPath, .notice_ms = 9, .reason = "stuck", .force = true}), 1u);
  EXPECT_THAT(holders(), ElementsAre(2));
  EXPECT_EQ(table().describe(kPath).tenures[0].reason, EndReason::kRevoked);
  EXPECT_EQ(table().describe(kPath).tenures[0].note, "stuck");
}

TEST_F(Revocations, ByForceAlsoEndOnesAnnouncedBefore) {
  ask(1);
  revoke({.path = kPath, .notice_ms = 60'000});
  revoke({.path = kPath, .force = true});
  EXPECT_THAT(holders(), IsEmpty());
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
}

TEST_F(Revocations, ConcernOneHolderOrAllPresentOnes) {
  ask({.session = 1, .claims = {shared(kPath)}});
  const Revision second = ask({.session = 2, .claims = {shared(kPath)}});
  EXPECT_EQ(revoke({.path = kPath, .holder_id = second, .notice_ms = 5}), 1u);
  EXPECT_THAT(notices(1), IsEmpty());
  EXPECT_EQ(notices(2).size(), 1u);
  EXPECT_EQ(revoke({.path = kPath, .notice_ms = 5}), 2u);
  EXPECT_EQ(notices(1).size(), 1u);
  EXPECT_EQ(notices(2).size(), 1u) << "it keeps its first notice";
  EXPECT_EQ(revoke({.path = kPath, .holder_id = Revision(7)}), 0u);
  EXPECT_EQ(revoke({.path = "/other"}), 0u);
}

TEST_F(Revocations, DoNotConcernThoseWhoAreGrantedLater) {
  const Revision id = ask(1);
  ask(2);
  revoke({.path = kPath, .notice_ms = 5'000});
  start_clocks();
  release(1, id);
  EXPECT_THAT(notices(2), IsEmpty());
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
  tick_at(now_ms_ + 100'000);
  EXPECT_THAT(holders(), ElementsAre(2));
}

TEST_F(Revocations, AReleaseUnderNoticeIsAReleaseForTheOperatorsReason) {
  const Revision id = ask(1);
  revoke({.path = kPath, .notice_ms = 5'000, .reason = "maintenance"});
  release(1, id);
  EXPECT_EQ(table().describe(kPath).tenures[0].reason, EndReason::kReleased);
  EXPECT_EQ(table().describe(kPath).tenures[0].note, "maintenance");
}

TEST_F(Revocations, ASessionThatEndsUnderNoticeKeepsTheReasonWithTheLockItConcerned) {
  ask({.session = 1, .sequence = 1, .claims = {exclusive("/a")}});
  ask({.session = 1, .sequence = 2, .claims = {exclusive("/b")}});
  revoke({.path = "/a", .notice_ms = 5'000, .reason = "maintenance"});
  end({1}, EndReason::kSessionClosed);
  EXPECT_EQ(table().describe("/a").tenures[0].note, "maintenance");
  EXPECT_EQ(table().describe("/b").tenures[0].note, "");
}

TEST_F(Revocations, SurviveAReloadAtEveryStage) {
  ask(1);
  revoke({.path = kPath, .notice_ms = 3'000, .reason = "maintenance"});
  const Revision notice(revision_);
  reload();
  EXPECT_EQ(table().next_due_ms(), now_ms_);
  start_clocks();
  reload();
  EXPECT_EQ(table().next_due_ms(), now_ms_ + 10'000);
  acknowledge(1, {notice});
  reload();
  EXPECT_TRUE(notices(1)[0].acknowledged);
  tick_at(now_ms_ + 3'000);
  EXPECT_EQ(table().describe(kPath).tenures[0].note, "maintenance");
}

}  // namespace
}  // namespace holdfast::lockmgr
