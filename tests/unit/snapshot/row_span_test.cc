// What is gathered for the snapshot: of every row its last change, however often rows change, come
// and go.
#include "coordinator/snapshot/row_span.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/entropy.h"
#include "coordinator/tree/rows.h"
#include "lockmgr/rows.h"
#include "tests/counting/counted_new.h"

namespace holdfast::snapshot {
namespace {

RowLog::Change put_of(uint64_t id, std::string_view row) {
  return {RowTable::kKeys, id, false, row};
}

/// A state in rows, and what a snapshot makes of the spans that it is given.
class Rows {
 public:
  using Id = std::tuple<RowTable, uint64_t>;

  void begin_entry() { ++entry_.value; }
  void put(RowTable table, uint64_t id, size_t bytes) {
    const std::string row(bytes, static_cast<char>('a' + ++made_ % 26));
    log_.begin(table, id);
    log_.put_bytes(row);
    log_.finish();
    now_[{table, id}] = std::string(log_[log_.size() - 1].row);
  }
  void erase(Id id) {
    log_.erase(std::get<0>(id), std::get<1>(id));
    now_.erase(id);
  }
  void end_entry(RowSpan& span) {
    span.add(log_, entry_);
    log_.clear();
  }
  /// A row of those in force, and none if there is none.
  const Id* any(SplitMix& random) const {
    if (now_.empty()) return nullptr;
    auto at = now_.lower_bound({RowTable::kResults, random.below(4 * entry_.value)});
    if (random.below(2) == 0) at = now_.lower_bound({RowTable::kKeys, random.below(newest_key())});
    return at == now_.end() ? &now_.begin()->first : &at->first;
  }
  /// Numbers of rows that this entry makes.
  uint64_t key(uint64_t made) const { return tree::make_key_id(entry_, made); }
  uint64_t place(uint64_t claim) const { return lockmgr::make_place_id(entry_, claim); }
  uint64_t result() const { return 2 * entry_.value; }

  void write(const RowSpan& span) {
    for (const RowLog::Change& change : span.latest()) {
      const Id id{change.table, change.id};
      if (change.erased) {
        written_.erase(id);
      } else {
        written_[id] = change.row;
      }
    }
  }
  bool all_written() const { return written_ == now_; }
  LogIndex entry() const { return entry_; }

 private:
  uint64_t newest_key() const { return tree::make_key_id(entry_, 0) + 1; }

  LogIndex entry_;
  RowLog log_;
  uint64_t made_ = 0;
  std::map<Id, std::string> now_, written_;
};

/// Makes rows, changes some that it made and some that stood, removes of both.
void random_entry(Rows& rows, SplitMix& random, RowSpan& span) {
  rows.begin_entry();
  const uint64_t made = random.below(8) == 0 ? 200 : random.below(4);
  std::vector<uint64_t> keys;
  for (uint64_t i = 0; i < made; ++i) keys.push_back(rows.key(i));
  for (const uint64_t key : keys) rows.put(RowTable::kKeys, key, 10 + random.below(90));
  for (const uint64_t key : keys) {
    if (random.below(2) == 0) rows.put(RowTable::kKeys, key, 10 + random.below(900));
    if (random.below(4) == 0) rows.erase({RowTable::kKeys, key});
  }
  rows.put(RowTable::kResults, rows.result(), 50);
  rows.put(RowTable::kLockHolders, rows.place(0), 60);
  rows.put(RowTable::kWindows, 7, 10 + random.below(20));
  for (uint64_t i = random.below(made + 6); i > 0; --i) {
    const auto* some = rows.any(random);
    if (some == nullptr) continue;
    const auto [table, id] = *some;
    if (random.below(3) == 0) {
      rows.put(table, id, 10 + random.below(200));
    } else {
      rows.erase({table, id});
    }
  }
  rows.end_entry(span);
}

TEST(RowSpans, WriteWhatTheStateIsHoweverRowsComeAndGo) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SplitMix random(seed);
    Rows rows;
    RowSpan span;
    for (int i = 0; i < 400; ++i) {
      random_entry(rows, random, span);
      const uint64_t then = random.below(60);
      if (then == 0) {
        rows.write(std::exchange(span, RowSpan()));
        ASSERT_TRUE(rows.all_written()) << "seed " << seed << ", entry " << rows.entry();
      } else if (then == 1) {
        span.keep_latest();
      } else if (then == 2) {
        RowSpan later;
        for (int more = 0; more < 5; ++more) random_entry(rows, random, later);
        span.append(std::move(later));
      }
    }
    rows.write(span);
    ASSERT_TRUE(rows.all_written()) << "seed " << seed;
  }
}

// A database that is asked to remove a row looks for its page: most results of commands would cost
// more for being removed than for being kept.
TEST(RowSpans, HaveNothingOfARowThatComesAndGoes) {
  Rows rows;
  RowSpan span;
  for (int i = 0; i < 1'000; ++i) {
    rows.begin_entry();
    rows.put(RowTable::kResults, rows.result(), 100);
    rows.put(RowTable::kLocks, rows.place(1), 100);
    rows.put(RowTable::kLockHolders, rows.place(0), 100);
    rows.put(RowTable::kKeys, rows.key(3), 100);
    rows.put(RowTable::kKeyChildren, rows.key(3), 30);
    rows.put(RowTable::kLockTenures, rows.entry().value, 80);
    const uint64_t result = rows.result(), place = rows.place(0), key = rows.key(3);
    rows.end_entry(span);
    rows.begin_entry();
    rows.erase({RowTable::kResults, result});
    rows.erase({RowTable::kLocks, place + 1});
    rows.erase({RowTable::kLockHolders, place});
    rows.erase({RowTable::kKeys, key});
    rows.erase({RowTable::kKeyChildren, key});
    rows.erase({RowTable::kLockTenures, rows.entry().value - 1});
    rows.end_entry(span);
  }
  EXPECT_EQ(span.latest().size(), 0U);
  EXPECT_EQ(span.growth_bytes(), 0U);
}

TEST(RowSpans, RemoveARowThatStoodBefore) {
  Rows rows;
  RowSpan span;
  rows.begin_entry();
  const uint64_t key = rows.key(0);
  rows.put(RowTable::kKeys, key, 100);
  rows.end_entry(span);
  rows.write(std::exchange(span, RowSpan()));
  rows.begin_entry();
  rows.put(RowTable::kKeys, key, 50);
  rows.erase({RowTable::kKeys, key});
  rows.end_entry(span);
  ASSERT_EQ(span.latest().size(), 1U);
  rows.write(span);
  EXPECT_TRUE(rows.all_written());
}

// Who does not say which entry it is adds rows of a state that stood.
TEST(RowSpans, RemoveWhatMayHaveStoodWhateverItsNumber) {
  RowSpan span;
  span.add(put_of(1, "a"));
  span.add({RowTable::kKeys, 1, true, {}});
  ASSERT_EQ(span.latest().size(), 1U);
  EXPECT_TRUE(span.latest()[0].erased);
}

TEST(RowSpans, TakeNoMemoryForRowsThatChangeAgainOrComeAndGo) {
  Rows rows;
  RowSpan span;
  RowLog log;
  constexpr uint64_t kWarm = 5'000;
  uint64_t before = 0;
  for (uint64_t entry = 1; entry <= 4 * kWarm; ++entry) {
    if (entry == kWarm) before = counting::allocations;
    log.begin(RowTable::kKeys, entry % 1'000);
    for (int i = 0; i < 30; ++i) log.put64(entry);
    log.finish();
    log.begin(RowTable::kResults, 2 * entry);
    for (int i = 0; i < 20; ++i) log.put64(entry);
    log.finish();
    if (entry > 100) log.erase(RowTable::kResults, 2 * (entry - 100));
    span.add(log, LogIndex(entry));
    log.clear();
  }
  EXPECT_EQ(counting::allocations, before);
  // Of 20,000 that came and went, those whose place another took are removed in the database.
  EXPECT_LE(span.latest().size(), 1'000U + 500U);
}

TEST(RowSpans, OfALaterSpanTheLastChangeCounts) {
  const auto change = [](uint64_t id, std::string_view row) {
    return RowLog::Change{RowTable::kKeys, id, row.empty(), row};
  };
  RowSpan earlier;
  earlier.add(change(1, "a"));
  earlier.add(change(2, "b"));
  earlier.add({RowTable::kMeta, 1, false, "old"});
  RowSpan later;
  later.add(change(2, ""));
  later.add(change(3, "c"));
  later.add({RowTable::kMeta, 1, false, "new"});
  const uint64_t growth = earlier.growth_bytes() + later.growth_bytes();
  earlier.append(std::move(later));
  EXPECT_EQ(earlier.growth_bytes(), growth);
  std::string all;
  for (const RowLog::Change& each : earlier.latest()) {
    all += std::to_string(each.id) + (each.erased ? "-" : std::string(each.row)) + " ";
  }
  EXPECT_EQ(all, "1new 1a 2- 3c ");
}

TEST(RowSpans, AChangeAfterALaterSpanCounts) {
  RowSpan span;
  span.add(put_of(1, "first"));
  RowSpan later;
  later.add(put_of(1, "second"));
  span.append(std::move(later));
  span.add(put_of(1, "third"));
  ASSERT_EQ(span.latest().size(), 1U);
  EXPECT_EQ(span.latest()[0].row, "third");
}

TEST(RowSpans, ARowThatChangesAgainAndAgainIsReckonedOnce) {
  const std::string row(300, 'r');
  RowSpan once;
  once.add({RowTable::kKeyChildren, 7, false, row});
  RowSpan often;
  for (int i = 0; i < 100; ++i) often.add({RowTable::kKeyChildren, 7, false, row});
  EXPECT_EQ(often.growth_bytes(), once.growth_bytes());
  often.add({RowTable::kKeyChildren, 7, false, row + row});
  EXPECT_EQ(often.growth_bytes(), growth_of(row + row));
}

TEST(RowSpans, OfARowThatChangesAgainOnlyTheLastChangeIsKeptIfSoAsked) {
  const std::string row(300, 'r');
  RowSpan once;
  RowSpan often;
  for (uint64_t id = 1; id <= 200; ++id) once.add(put_of(id, row));
  once.add({RowTable::kMeta, 1, false, "meta"});
  once.add({RowTable::kKeys, 7, true, {}});
  for (int i = 0; i < 10; ++i) {
    RowSpan later;
    for (uint64_t id = 1; id <= 200; ++id) later.add(put_of(id, row));
    often.append(std::move(later));
  }
  often.add({RowTable::kMeta, 1, false, "meta"});
  often.add({RowTable::kKeys, 7, true, {}});
  const size_t rows = often.latest().size();
  EXPECT_EQ(rows, once.latest().size());
  often.keep_latest();
  EXPECT_LE(often.growth_bytes(), once.growth_bytes());
  ASSERT_EQ(often.latest().size(), rows);
  for (size_t i = 0; i < rows; ++i) {
    EXPECT_EQ(often.latest()[i].id, once.latest()[i].id);
    EXPECT_EQ(often.latest()[i].row, once.latest()[i].row);
    EXPECT_EQ(often.latest()[i].erased, once.latest()[i].erased);
  }
}

}  // namespace
}  // namespace holdfast::snapshot
