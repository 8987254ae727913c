#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AcquireAll : public LockTableTest {
 protected:
  Revision ask_all(uint64_t session, std::vector<Claim> claims, int64_t wait_ms = -1) {
    return ask({.session = session, .claims = std::move(claims), .wait_ms = wait_ms});
  }
};

TEST_F(AcquireAll, GrantsAllItsLocksInOneEntryUnderOneHolderId) {
  const Revision id = ask_all(1, {exclusive("/b"), shared("/a"), permits("/c", 1, 2)});
  EXPECT_EQ(find(1)->locks, 3u);
  EXPECT_EQ(find(1)->path, "/b") << "its first claim";
  for (const char* path : {"/a", "/b", "/c"}) {
    EXPECT_TRUE(table().holds(path, id, SessionId(1))) << path;
    EXPECT_TRUE(table().check_token(path, id)) << path;
  }
}

TEST_F(AcquireAll, SaysOfEachGrantWhichClaimItAnswers) {
  const Effects& effects = entry([&] {
    put({.session = 1, .claims = {exclusive("/b"), exclusive("/a")}}).ok();
  });
  ASSERT_EQ(effects.granted.size(), 2u);
  EXPECT_EQ(effects.granted[0].path, "/b");
  EXPECT_EQ(effects.granted[0].index, 0u);
  EXPECT_EQ(effects.granted[1].path, "/a");
  EXPECT_EQ(effects.granted[1].index, 1u);
  EXPECT_EQ(effects.granted[1].locks, 2u);
}

TEST_F(AcquireAll, HoldsNothingUntilAllAreFree) {
  const Revision busy = ask({.session = 1, .claims = {exclusive("/b")}});
  ask_all(2, {exclusive("/a"), exclusive("/b"), exclusive("/c")});
  EXPECT_THAT(holders("/a"), IsEmpty());
  EXPECT_THAT(waiters("/a"), ElementsAre(2));
  release(1, busy, "/b");
  for (const char* path : {"/a", "/b", "/c"}) EXPECT_THAT(holders(path), ElementsAre(2)) << path;
}

TEST_F(AcquireAll, IsManyPlacesOfItsSessionAndThenManyLocks) {
  const Revision busy = ask({.session = 1, .claims = {exclusive("/b")}});
  const Revision all = ask_all(2, {exclusive("/a"), exclusive("/b"), exclusive("/c")});
  EXPECT_EQ(table().places_of(SessionId(2)), 3u);
  EXPECT_EQ(table().held_by(SessionId(2)), 0u);
  release(1, busy, "/b");
  EXPECT_EQ(table().places_of(SessionId(2)), 3u);
  EXPECT_EQ(table().held_by(SessionId(2)), 3u);
  release(2, all, "/c");
  EXPECT_EQ(table().held_by(SessionId(2)), 2u);
  EXPECT_EQ(table().held_by(SessionId(3)), 0u);
}

TEST_F(AcquireAll, BlocksThoseBehindItEvenAtLocksThatAreFree) {
  ask({.session = 1, .claims = {exclusive("/b")}});
  ask_all(2, {exclusive("/a"), exclusive("/b")});
  ask({.session = 3, .claims = {exclusive("/a")}});
  EXPECT_FALSE(granted(3));
  EXPECT_EQ(position(3), 2u);
}

TEST_F(AcquireAll, IsGrantedWhenItHeadsItsLastQueue) {
  const Revision a = ask({.session = 1, .claims = {exclusive("/a")}});
  const Revision waiting = ask({.session = 2, .claims = {exclusive("/a")}});
  const Revision b = ask({.session = 3, .claims = {exclusive("/b")}});
  ask_all(4, {exclusive("/a"), exclusive("/b")});
  EXPECT_EQ(position(4), 2u) << "the largest over its queues";
  release(3, b, "/b");
  release(1, a, "/a");
  EXPECT_FALSE(granted(4));
  EXPECT_EQ(position(4), 1u);
  release(2, waiting, "/a");
  EXPECT_TRUE(granted(4));
}

TEST_F(AcquireAll, DoesNotPassAWaiterOfALockThatWouldBeFreeForIt) {
  ask({.session = 1, .claims = {shared("/a")}});
  ask({.session = 2, .claims = {exclusive("/a")}});
  const Revision b = ask({.session = 3, .claims = {exclusive("/b")}});
  ask_all(4, {shared("/a"), exclusive("/b")});
  release(3, b, "/b");
  EXPECT_FALSE(granted(4)) << "it heads the queue of /b only";
  cancel(2, 1, "/a");
  EXPECT_TRUE(granted(4));
}

TEST_F(AcquireAll, TwoThatNameTheSameLocksInOppositeOrderDoNotDeadlock) {
  const Revision first = ask_all(1, {exclusive("/a"), exclusive("/b")});
  ask_all(2, {exclusive("/b"), exclusive("/a")});
  ask_all(3, {exclusive("/a"), exclusive("/b")});
  EXPECT_TRUE(granted(1));
  entry([&] { EXPECT_EQ(table().release_all(first, SessionId(1)), 2u); });
  EXPECT_TRUE(granted(2));
  EXPECT_FALSE(granted(3));
}

TEST_F(AcquireAll, AGrantLetsSharedRequestsBehindItInAtItsOtherLocks) {
  const Revision busy = ask({.session = 1, .claims = {exclusive("/b")}});
  ask_all(2, {shared("/a"), exclusive("/b")});
  ask({.session = 3, .claims = {shared("/a")}});
  EXPECT_THAT(holders("/a"), IsEmpty());
  release(1, busy, "/b");
  EXPECT_THAT(holders("/a"), ElementsAre(2, 3));
}

TEST_F(AcquireAll, ATryOfAllTakesAllOrNothing) {
  ask({.session = 1, .claims = {exclusive("/b")}});
  ask_all(2, {exclusive("/a"), exclusive("/b")}, 0);
  EXPECT_FALSE(find(2));
  EXPECT_THAT(waiters("/a"), IsEmpty());
  EXPECT_EQ(table().lock_count(), 1u);
  ask_all(3, {exclusive("/a"), exclusive("/c")}, 0);
  EXPECT_TRUE(granted(3));
}

TEST_F(AcquireAll, AnyOfItsPathsCancelsItWhole) {
  ask({.session = 1, .claims = {exclusive("/b")}});
  ask_all(2, {exclusive("/a"), exclusive("/b"), exclusive("/c")});
  ask({.session = 3, .claims = {exclusive("/a")}});
  EXPECT_EQ(cancel(2, 1, "/c").status, CancelStatus::kCancelled);
  EXPECT_THAT(waiters("/b"), IsEmpty());
  EXPECT_TRUE(granted(3));
  EXPECT_EQ(table().places_of(SessionId(2)), 0u);
}

TEST_F(AcquireAll, TimesOutWholeWithOneAnswer) {
  ask({.session = 1, .claims = {exclusive("/b")}});
  ask_all(2, {exclusive("/a"), exclusive("/b")}, 100);
  ask({.session = 3, .claims = {exclusive("/a")}});
  const Effects& effects = tick_at(now_ms_ + 100);
  ASSERT_EQ(effects.refused.size(), 1u);
  EXPECT_EQ(effects.refused[0].reason, RefusalReason::kTimedOut);
  EXPECT_EQ(effects.refused[0].path, "/a");
  EXPECT_TRUE(granted(3));
  EXPECT_THAT(waiters("/b"), IsEmpty());
}

TEST_F(AcquireAll, ItsLocksAreReleasedOneByOneOrTogether) {
  const Revision id = ask_all(1, {exclusive("/a"), exclusive("/b"), exclusive("/c")});
  EXPECT_EQ(release(1, id, "/a"), ReleaseStatus::kReleased);
  EXPECT_EQ(find(1)->locks, 2u);
  EXPECT_EQ(find(1)->path, "/b");
  EXPECT_FALSE(table().holds("/a", id, SessionId(1)));
  EXPECT_TRUE(table().holds("/c", id, SessionId(1)));
  entry([&] {
    EXPECT_EQ(table().release_all(id, SessionId(2)), 0u) << "another session's";
    EXPECT_EQ(table().release_all(id, SessionId(1)), 2u);
    EXPECT_EQ(table().release_all(id, SessionId(1)), 0u);
  });
  EXPECT_FALSE(find(1));
  EXPECT_EQ(table().lock_count(), 0u);
}

TEST_F(AcquireAll, ReleasesNothingOfAWaitingAcquire) {
  ask({.session = 1, .claims = {exclusive("/b")}});
  const Revision id = ask_all(2, {exclusive("/a"), exclusive("/b")});
  entry([&] { EXPECT_EQ(table().release_all(id, SessionId(2)), 0u); });
  EXPECT_EQ(find(2)->locks, 2u);
}

TEST_F(AcquireAll, NamesOneToSixtyFourDifferentLocks) {
  EXPECT_EQ(try_ask({.session = 1, .claims = {}}).error().code, ErrorCode::kBadArgument);
  EXPECT_EQ(
      try_ask({.session = 1, .claims = {exclusive("/a"), shared("/b"), shared("/a")}}).error().code,
      ErrorCode::kBadArgument);
  std::vector<std::string> paths;
  for (int i = 0; i < 65; ++i) paths.push_back("/lock-" + std::to_string(i));
  std::vector<Claim> claims;
  for (const std::string& path : paths) claims.push_back(exclusive(path));
  const Status status = try_ask({.session = 1, .claims = claims});
  EXPECT_EQ(status.error().code, ErrorCode::kBadArgument);
  EXPECT_THAT(status.error().message, HasSubstr("65"));
  EXPECT_EQ(table().lock_count(), 0u);
  claims.pop_back();
  ask_all(1, claims);
  EXPECT_TRUE(granted(1));
  EXPECT_EQ(table().lock_count(), 64u);
}

TEST_F(AcquireAll, OneBadClaimRefusesAllOfThem) {
  ask({.session = 1, .claims = {permits("/b", 1, 2)}});
  EXPECT_FALSE(try_ask({.session = 2, .claims = {exclusive("/a"), exclusive("/b")}}).ok());
  EXPECT_EQ(table().lock_count(), 1u);
  EXPECT_EQ(table().places_of(SessionId(2)), 0u);
}

TEST_F(AcquireAll, SurvivesAReloadWholeWhetherItWaitsOrHolds) {
  const Revision busy = ask({.session = 1, .claims = {exclusive("/b")}});
  const Revision id = ask_all(2, {exclusive("/a"), exclusive("/b")}, 500);
  reload();
  EXPECT_EQ(find(2)->locks, 2u);
  release(1, busy, "/b");
  EXPECT_EQ(table().next_due_ms(), std::nullopt);
  reload();
  EXPECT_EQ(find(2)->locks, 2u);
  entry([&] { EXPECT_EQ(table().release_all(id, SessionId(2)), 2u); });
}

}  // namespace
}  // namespace holdfast::lockmgr
