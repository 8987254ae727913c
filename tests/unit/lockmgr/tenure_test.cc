#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Tenures : public LockTableTest {
 protected:
  std::vector<uint64_t> past(std::string_view path, size_t count = 16) {
    std::vector<uint64_t> ids;
    for (const TenureInfo& tenure : table().describe(path, {.tenures = count}).tenures) {
      ids.push_back(tenure.session.value);
    }
    return ids;
  }
  void hold_and_release(uint64_t session, std::string_view path, uint64_t sequence = 1) {
    release(session, ask({.session = session, .sequence = sequence, .claims = {exclusive(path)}}),
            path);
  }
  void keep(uint64_t tenures) {
    entry([&] { table().set_tenure_capacity(tenures); });
  }
};

TEST_F(Tenures, SayWhoHeldTheLockSinceWhenAndWhyItEnded) {
  const Revision id = ask({.session = 1, .sequence = 9, .claims = {exclusive(kPath)}});
  const int64_t since = unix_ms(now_ms_);
  now_ms_ += 250;
  release(1, id);
  const LockInfo info = table().describe(kPath);
  ASSERT_EQ(info.tenures.size(), 1u);
  const TenureInfo& tenure = info.tenures[0];
  EXPECT_EQ(tenure.session, SessionId(1));
  EXPECT_EQ(tenure.session_name, "worker-1");
  EXPECT_EQ(tenure.owner, "handle");
  EXPECT_EQ(tenure.sequence, Sequence(9));
  EXPECT_EQ(tenure.holder_id, id);
  EXPECT_EQ(tenure.token, id);
  EXPECT_EQ(tenure.since_unix_ms, since);
  EXPECT_EQ(tenure.ended_unix_ms, unix_ms(now_ms_));
  EXPECT_EQ(tenure.end_revision, Revision(revision_));
  EXPECT_EQ(tenure.reason, EndReason::kReleased);
}

TEST_F(Tenures, NameTheReasonOfEveryEnd) {
  uint64_t session = 1;
  for (const EndReason reason : {EndReason::kSessionClosed, EndReason::kSessionExpired,
                                 EndReason::kSessionRevoked, EndReason::kRestored}) {
    ask(session);
    end({session}, reason);
    EXPECT_EQ(table().describe(kPath).tenures[0].reason, reason);
    ++session;
  }
}

TEST_F(Tenures, AreListedLatestFirstAndOnlyOfTheirLock) {
  hold_and_release(1, "/a");
  hold_and_release(2, "/b");
  hold_and_release(3, "/a");
  hold_and_release(4, "/a");
  EXPECT_THAT(past("/a"), ElementsAre(4, 3, 1));
  EXPECT_THAT(past("/b"), ElementsAre(2));
  EXPECT_THAT(past("/c"), IsEmpty());
  EXPECT_THAT(past("/a", 2), ElementsAre(4, 3));
}

TEST_F(Tenures, AnswerARetriedAcquireAfterItsTenureEnded) {
  const Revision id = ask({.session = 1, .sequence = 9, .claims = {exclusive(kPath)}});
  EXPECT_FALSE(table().find_tenure(SessionId(1), Sequence(9))) << "it still holds";
  end({1}, EndReason::kSessionExpired);
  const auto tenure = table().find_tenure(SessionId(1), Sequence(9));
  ASSERT_TRUE(tenure);
  EXPECT_EQ(tenure->token, id);
  EXPECT_EQ(tenure->reason, EndReason::kSessionExpired);
  EXPECT_FALSE(table().find_tenure(SessionId(1), Sequence(8)));
  EXPECT_FALSE(table().find_tenure(SessionId(2), Sequence(9)));
}

TEST_F(Tenures, OfSeveralLocksOfOneAcquireTheLatestEndAnswers) {
  const Revision id = ask({.session = 1, .claims = {exclusive("/a"), exclusive("/b")}});
  release(1, id, "/b");
  EXPECT_EQ(table().find_tenure(SessionId(1), Sequence(1))->path, "/b");
  release(1, id, "/a");
  EXPECT_EQ(table().find_tenure(SessionId(1), Sequence(1))->path, "/a");
}

TEST_F(Tenures, TheOldestLeaveWhenTheRingIsFull) {
  keep(3);
  for (uint64_t s = 1; s <= 5; ++s) hold_and_release(s, s % 2 == 0 ? "/even" : "/odd");
  EXPECT_EQ(table().tenure_count(), 3u);
  EXPECT_EQ(rows_.count(RowTable::kLockTenures), 3u);
  EXPECT_THAT(past("/odd"), ElementsAre(5, 3));
  EXPECT_THAT(past("/even"), ElementsAre(4));
  EXPECT_FALSE(table().find_tenure(SessionId(2), Sequence(1)));
  EXPECT_TRUE(table().find_tenure(SessionId(3), Sequence(1)));
}

TEST_F(Tenures, ASmallerRingKeepsTheLatestAndALargerOneKeepsMoreAgain) {
  for (uint64_t s = 1; s <= 200; ++s) hold_and_release(s, "/a");
  keep(2);
  EXPECT_THAT(past("/a"), ElementsAre(200, 199));
  keep(4);
  for (uint64_t s = 201; s <= 203; ++s) hold_and_release(s, "/a");
  EXPECT_THAT(past("/a"), ElementsAre(203, 202, 201, 200));
}

TEST_F(Tenures, SurviveAReloadInOrderAndGoOnBeingNumbered) {
  keep(3);
  for (uint64_t s = 1; s <= 5; ++s) hold_and_release(s, "/a");
  reload();
  entry([&] { table().set_tenure_capacity(3); });
  EXPECT_THAT(past("/a"), ElementsAre(5, 4, 3));
  hold_and_release(6, "/a");
  EXPECT_THAT(past("/a"), ElementsAre(6, 5, 4));
  EXPECT_EQ(table().find_tenure(SessionId(5), Sequence(1))->session_name, "worker-5");
}

TEST_F(Tenures, ATryThatWasRefusedIsNoTenure) {
  ask(1);
  ask({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 0});
  EXPECT_THAT(past(kPath), IsEmpty());
}

}  // namespace
}  // namespace holdfast::lockmgr
