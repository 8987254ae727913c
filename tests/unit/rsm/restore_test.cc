// The first entry of a cluster that was made from the state of another: all sessions end, and no
// lock is granted before the hold is over (ARCHITECTURE, "Durability").
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/tree/key_tree.h"
#include "tests/unit/rsm/kept_rows.h"
#include "tests/unit/rsm/machine_fixture.h"

namespace holdfast::rsm {
namespace {

using command::CommandKind;

class Restored : public MachineTest {
 protected:
  CommandResult restore(int64_t hold_ms) {
    command::Restore body;
    body.holdMs = hold_ms;
    return run(header(CommandKind::RESTORE), body);
  }
  int64_t held_until() const { return machine_.settings().get(SettingId::kRestoreHoldUntilMs); }

  /// Time passes, and a leader's tick tells it.
  void pass(int64_t ms) {
    now_ms_ += ms;
    tick();
  }
  std::vector<std::string> granted() const {
    std::vector<std::string> paths;
    for (const Effect& effect : effects(EffectKind::kGranted)) paths.emplace_back(effect.path);
    return paths;
  }
};

TEST_F(Restored, AllSessionsEndInThatEntryWithTheirLocksPlacesAndEphemerals) {
  const SessionId one = opened("one");
  const SessionId two = opened("two");
  ASSERT_THAT(acquire(one, 1, "/a"), IsGranted());
  ASSERT_THAT(acquire(two, 1, "/a"), IsWaiting());
  command::CreateKey key;
  key.path = "/here";
  key.kind = api::KeyKind::EPHEMERAL;
  ASSERT_EQ(run(CommandKind::CREATE_KEY, one, 2, key).code, ErrorCode::kOk);

  const CommandResult result = restore(0);
  EXPECT_EQ(result.code, ErrorCode::kOk);
  EXPECT_EQ(result.count, 2U);
  EXPECT_EQ(machine_.sessions().size(), 0U);
  EXPECT_EQ(machine_.locks().waiter_count(), 0U);
  EXPECT_EQ(machine_.keys().key_count(), 0U);
  ASSERT_EQ(effects(EffectKind::kSessionEnded).size(), 2U);
  for (const Effect& ended : effects(EffectKind::kSessionEnded)) {
    EXPECT_EQ(ended.end_reason, lockmgr::EndReason::kRestored);
  }
  EXPECT_THAT(granted(), testing::IsEmpty()) << "the waiter's session has ended too";
  const lockmgr::LockInfo lock = machine_.locks().describe("/a");
  ASSERT_EQ(lock.tenures.size(), 1U);
  EXPECT_EQ(lock.tenures[0].reason, lockmgr::EndReason::kRestored);
  EXPECT_EQ(machine_.presence(one), SessionPresence::kEnded);
}

TEST_F(Restored, KeysAndSettingsStay) {
  command::PutKey put;
  put.path = "/config";
  put.value = "x";
  ASSERT_EQ(run(header(CommandKind::PUT_KEY), put).code, ErrorCode::kOk);
  ASSERT_EQ(change({{"tenures_kept", 7}}).code, ErrorCode::kOk);
  restore(5'000);
  EXPECT_EQ(machine_.keys().key_count(), 1U);
  EXPECT_EQ(machine_.settings().get(SettingId::kTenuresKept), 7);
  put.value = "y";
  EXPECT_EQ(run(header(CommandKind::PUT_KEY), put).code, ErrorCode::kOk) << "and are served";
}

TEST_F(Restored, TheHoldLastsForTheLargestTtlOrForWhatIsAskedIfThatIsLonger) {
  opened("short", 5'000);
  opened("long", 60'000);
  restore(20'000);
  EXPECT_EQ(held_until(), now_ms_ + 60'000);
  opened("later", 5'000);
  restore(70'000);
  EXPECT_EQ(held_until(), now_ms_ + 70'000);
}

TEST_F(Restored, ASecondRestoreShortensNoHold) {
  restore(60'000);
  const int64_t until = held_until();
  restore(1'000);
  EXPECT_EQ(held_until(), until);
}

TEST_F(Restored, ALengthThatIsNoneIsRefused) {
  EXPECT_THAT(restore(-1), IsError(ErrorCode::kBadArgument, "holdMs is -1"));
  EXPECT_THAT(restore(7 * 86'400'000 + 1), IsError(ErrorCode::kBadArgument, "holdMs"));
  EXPECT_EQ(held_until(), 0);
}

TEST_F(Restored, NoLockIsGrantedBeforeTheEndAndWaitersAreGrantedInOrderThen) {
  restore(10'000);
  const SessionId one = opened("one");
  const SessionId two = opened("two");
  EXPECT_THAT(acquire(one, 1, "/a"), IsWaiting());
  EXPECT_THAT(acquire(two, 1, "/a"), IsWaiting());
  EXPECT_THAT(acquire(two, 2, "/b"), IsWaiting());
  pass(9'999);
  EXPECT_THAT(granted(), testing::IsEmpty());
  EXPECT_THAT(acquire(one, 2, "/c"), IsWaiting()) << "one that nobody had asked for";
  EXPECT_EQ(machine_.next_due_ms(), now_ms_ + 1);
  pass(1);
  EXPECT_THAT(granted(), testing::UnorderedElementsAre("/a", "/b", "/c"));
  EXPECT_EQ(holder("/a"), one);
  EXPECT_EQ(machine_.next_due_ms(), std::nullopt);
  EXPECT_THAT(acquire(one, 3, "/d"), IsGranted());
}

TEST_F(Restored, ATryIsRefusedAsUnderALockDelay) {
  restore(10'000);
  const SessionId one = opened("one");
  EXPECT_THAT(acquire(one, 1, "/a", 0), IsNotGranted(lockmgr::RefusalReason::kBusy));
  EXPECT_EQ(machine_.locks().describe("/a").closed_until_ms, held_until());
}

TEST_F(Restored, AWaitEndsInItsOwnTime) {
  restore(10'000);
  const SessionId one = opened("one");
  EXPECT_THAT(acquire(one, 1, "/a", 2'000), IsWaiting());
  pass(2'000);
  EXPECT_THAT(acquire(one, 1, "/a", 2'000), IsNotGranted(lockmgr::RefusalReason::kTimedOut));
}

TEST_F(Restored, TheEndIsTickedEvenIfNobodyWaits) {
  restore(10'000);
  EXPECT_EQ(machine_.next_due_ms(), now_ms_ + 10'000);
  pass(10'000);
  EXPECT_EQ(machine_.next_due_ms(), std::nullopt);
}

TEST_F(Restored, AnOperatorMayShortenItButNotLengthenIt) {
  restore(60'000);
  const SessionId one = opened("one");
  acquire(one, 1, "/a");
  const int64_t until = held_until();
  EXPECT_THAT(change({{"restore_hold_until_ms", until + 1}}),
              IsError(ErrorCode::kBadArgument, "it can only be lowered"));
  ASSERT_EQ(change({{"restore_hold_until_ms", until - 50'000}}).code, ErrorCode::kOk);
  EXPECT_THAT(acquire(one, 2, "/b"), IsWaiting());
  EXPECT_EQ(machine_.next_due_ms(), until - 50'000);
  pass(10'000);
  EXPECT_THAT(granted(), testing::UnorderedElementsAre("/a", "/b"));
}

TEST_F(Restored, AnOperatorMayEndIt) {
  restore(60'000);
  const SessionId one = opened("one");
  acquire(one, 1, "/a");
  ASSERT_EQ(change({{"restore_hold_until_ms", 0}}).code, ErrorCode::kOk);
  EXPECT_THAT(granted(), testing::IsEmpty()) << "what is due is done at the begin of an entry";
  EXPECT_LE(machine_.next_due_ms().value_or(INT64_MAX), now_ms_) << "a tick is due at once";
  tick();
  EXPECT_THAT(granted(), testing::ElementsAre("/a"));
  EXPECT_THAT(acquire(one, 2, "/b"), IsGranted());
  EXPECT_THAT(change({{"restore_hold_until_ms", 0}}),
              IsError(ErrorCode::kBadArgument, "it can only be lowered, and is 0"));
}

TEST_F(Restored, ALockDelayThatIsLongerThanTheHoldStays) {
  const SessionId one = opened("one");
  command::Acquire delayed = acquire_of("/a");
  delayed.lockDelayMs = 30'000;
  run(CommandKind::ACQUIRE, one, 1, delayed);
  expire({one});
  const int64_t closed = machine_.locks().describe("/a").closed_until_ms;
  ASSERT_EQ(closed, now_ms_ + 30'000);
  restore(5'000);
  const SessionId two = opened("two");
  acquire(two, 1, "/a");
  EXPECT_EQ(machine_.locks().describe("/a").closed_until_ms, closed);
}

TEST_F(Restored, AStateUnderHoldIsRebuiltFromItsRows) {
  KeptRows rows;
  const auto take = [&] { rows.take(machine_.row_changes()); };
  opened("old");
  take();
  restore(10'000);
  take();
  const SessionId one = opened("one");
  take();
  acquire(one, 1, "/a");
  take();
  const std::unique_ptr<StateMachine> rebuilt = rows.load();
  EXPECT_EQ(rebuilt->digest(), machine_.digest());
  EXPECT_EQ(rebuilt->next_due_ms(), machine_.next_due_ms());
  const auto both = [&](const std::string& payload) {
    Effects again;
    apply_bytes(payload);
    rebuilt->apply(index_, term_, payload, again);
    EXPECT_EQ(rebuilt->digest(), machine_.digest());
    EXPECT_EQ(again.size(), effects_.size());
  };
  both(std::string(
      encoder_.entry_of(header(CommandKind::ACQUIRE, one, 2), acquire_of("/b")).view()));
  EXPECT_THAT(reply(), IsWaiting());
  now_ms_ += 10'000;
  both(std::string(encoder_.entry_of(header(CommandKind::TICK), command::Tick{}).view()));
  EXPECT_THAT(granted(), testing::UnorderedElementsAre("/a", "/b"));
}

TEST_F(Restored, OnlyAStateThatHasMetItNeedsItsLevel) {
  const auto level_of_state = [this] {
    const RowLog& rows = machine_.row_changes();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].table == RowTable::kMeta) return static_cast<int>(rows[i].row[16]);
    }
    return 0;
  };
  command::CommandHeader plain = header(CommandKind::TICK);
  plain.level = level_of(CommandKind::TICK);
  run(plain, command::Tick{});
  EXPECT_EQ(level_of_state(), 1);
  command::CommandHeader written = header(CommandKind::RESTORE);
  written.level = level_of(CommandKind::RESTORE);
  run(written, command::Restore{});
  EXPECT_EQ(level_of_state(), 2);
  plain.clusterTimeMs = now_ms_;
  run(plain, command::Tick{});
  EXPECT_EQ(level_of_state(), 2) << "it is never lowered";
}

TEST_F(Restored, AtALevelThatHasNoneThereIsNone) {
  opened("one");
  command::CommandHeader early = header(CommandKind::RESTORE);
  early.level = 1;
  EXPECT_THAT(run(early, command::Restore{}), IsError(ErrorCode::kUnsupported, "kind 21"));
  EXPECT_EQ(machine_.sessions().size(), 1U);
}

}  // namespace
}  // namespace holdfast::rsm
