#include "lockmgr/rows.h"

#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using ::testing::HasSubstr;

class LockRows : public LockTableTest {
 protected:
  /// The rows as they are now, loaded into a table of their own.
  Status load() {
    LockTable fresh(log_);
    return rows_.load_into(fresh);
  }
  std::string& row(RowTable table) {
    for (auto& [key, bytes] : rows_.rows()) {
      if (key.first == table) return bytes;
    }
    ADD_FAILURE() << "no row";
    return rows_.rows().begin()->second;
  }
  void expect_corrupt(const std::string& what) {
    const Status status = load();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(status.error().message, HasSubstr(what));
  }
};

TEST_F(LockRows, AnAcquireIsOneLockAndOneHolderAndNeverAWaiter) {
  table().begin(Revision(++revision_), now_ms_, 0);
  ASSERT_TRUE(put({.session = 1, .claims = {exclusive(kPath)}}).ok());
  table().settle();
  ASSERT_EQ(log_.size(), 2u);
  EXPECT_EQ(log_[0].table, RowTable::kLocks);
  EXPECT_EQ(log_[1].table, RowTable::kLockHolders);
  EXPECT_EQ(holder_id_of(log_[1].id), Revision(revision_));
  HolderRow holder;
  ASSERT_TRUE(read_row(log_[1].row, holder));
  EXPECT_EQ(holder.place.lock_id, log_[0].id);
  EXPECT_EQ(holder.token, Revision(revision_));
  EXPECT_EQ(holder.place.session_name, "worker-1");
}

TEST_F(LockRows, AGrantMovesTheRowFromWaitersToHolders) {
  const Revision first = ask(1);
  ask(2);
  EXPECT_EQ(rows_.count(RowTable::kLockWaiters), 1u);
  release(1, first);
  EXPECT_EQ(rows_.count(RowTable::kLockWaiters), 0u);
  EXPECT_EQ(rows_.count(RowTable::kLockHolders), 1u);
  EXPECT_EQ(rows_.count(RowTable::kLockTenures), 1u);
}

TEST_F(LockRows, ARefusedTryChangesNoRow) {
  ask(1);
  table().begin(Revision(++revision_), now_ms_, 0);
  ASSERT_TRUE(put({.session = 2, .claims = {exclusive(kPath)}, .wait_ms = 0}).ok());
  table().settle();
  EXPECT_TRUE(log_.empty());
}

TEST_F(LockRows, ACutOrLengthenedRowIsCorrupt) {
  const Revision first = ask(1);
  ask(2);
  release(1, first);
  ask(3);
  for (const RowTable table :
       {RowTable::kLocks, RowTable::kLockHolders, RowTable::kLockWaiters, RowTable::kLockTenures}) {
    std::string& bytes = row(table);
    const std::string good = bytes;
    for (size_t size = 0; size < good.size(); ++size) {
      bytes = good.substr(0, size);
      expect_corrupt("cannot be read");
    }
    bytes = good + '\0';
    expect_corrupt("cannot be read");
    bytes = good;
  }
  EXPECT_TRUE(load().ok());
}

TEST_F(LockRows, APlaceWithoutItsLockIsCorrupt) {
  ask(1);
  std::erase_if(rows_.rows(), [](const auto& r) { return r.first.first == RowTable::kLocks; });
  expect_corrupt("there is no lock");
}

TEST_F(LockRows, ALockThatNothingKeepsIsCorrupt) {
  ask(1);
  std::erase_if(rows_.rows(),
                [](const auto& r) { return r.first.first == RowTable::kLockHolders; });
  expect_corrupt("nothing keeps it");
}

TEST_F(LockRows, AFreeLockWithAWaiterIsCorrupt) {
  ask(1);
  ask(2);
  std::erase_if(rows_.rows(),
                [](const auto& r) { return r.first.first == RowTable::kLockHolders; });
  expect_corrupt("could be granted");
}

TEST_F(LockRows, TwoExclusiveHoldersAreCorrupt) {
  ask(1);
  ask({.session = 2, .claims = {exclusive("/b")}});
  auto& rows = rows_.rows();
  const auto lock = rows.begin();
  auto second = std::prev(rows.end());
  // Point the second holder at the first lock; then its own has nothing to keep it, so drop that.
  store_le(second->second.data(), lock->first.second);
  rows.erase(std::next(lock));
  expect_corrupt("not alone");
}

TEST_F(LockRows, RowsOutOfOrderAreCorrupt) {
  ask(1);
  LockTable fresh(log_);
  const auto last = std::prev(rows_.rows().end());
  const auto first = rows_.rows().begin();
  ASSERT_TRUE(fresh.load(first->first.first, first->first.second, first->second).ok());
  ASSERT_TRUE(fresh.load(last->first.first, last->first.second, last->second).ok());
  const Status status = fresh.load(first->first.first, first->first.second, first->second);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(status.error().message, HasSubstr("ascend"));
  EXPECT_EQ(fresh.load(RowTable::kSessions, 1, "").error().code, ErrorCode::kCorrupt);
}

TEST_F(LockRows, ARevisionAtOrBelowALoadedOneIsOurOwnBug) {
  ask(1);
  reload();
  EXPECT_DEATH(table().begin(Revision(revision_), now_ms_, 0), "ascend");
}

}  // namespace
}  // namespace holdfast::lockmgr
