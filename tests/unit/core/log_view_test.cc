#include "raft/core/log_view.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::raft {
namespace {

Entry entry(uint64_t index, uint64_t term, size_t size = 0) {
  return {Term(term), LogIndex(index), EntryType::kCommand, Blob(std::string(size, 'x'))};
}

LogView log_of(std::initializer_list<uint64_t> terms) {
  LogView log(LogIndex(1), LogIndex(0), {});
  uint64_t index = 0;
  for (uint64_t term : terms) log.append(entry(++index, term));
  return log;
}

TEST(EntryWindow, KeepsARunThroughGrowthAndBothEnds) {
  EntryWindow window(LogIndex(5));
  for (uint64_t i = 5; i < 1000; ++i) window.push(entry(i, 1, i % 7));
  window.drop_below(LogIndex(900));
  window.drop_from(LogIndex(950));
  EXPECT_EQ(window.begin(), LogIndex(900));
  EXPECT_EQ(window.end(), LogIndex(950));
  for (uint64_t i = 900; i < 950; ++i) {
    EXPECT_EQ(window.at(LogIndex(i)).index, LogIndex(i));
    EXPECT_EQ(window.at(LogIndex(i)).data.size(), i % 7);
  }
}

TEST(EntryWindow, KnowsTheSizeOfAnyStretch) {
  EntryWindow window(LogIndex(1));
  for (uint64_t i = 1; i <= 10; ++i) window.push(entry(i, 1, i));
  EXPECT_EQ(window.bytes(LogIndex(3), LogIndex(5)), 3 + 4 + 2 * kEntryOverheadBytes);
  window.drop_below(LogIndex(4));
  EXPECT_EQ(window.bytes(LogIndex(1), LogIndex(5)), 4 + kEntryOverheadBytes);
  window.drop_from(LogIndex(6));
  window.push(entry(6, 2, 100));
  EXPECT_EQ(window.bytes(LogIndex(6), LogIndex(99)), 100 + kEntryOverheadBytes);
  EXPECT_EQ(window.bytes(LogIndex(6), LogIndex(6)), 0U);
}

TEST(LogView, KnowsTheTermOfEveryIndexWithoutReadingEntries) {
  const LogView log(LogIndex(1), LogIndex(9),
                    {{LogIndex(1), Term(1)}, {LogIndex(4), Term(3)}, {LogIndex(9), Term(7)}});
  EXPECT_EQ(log.term(LogIndex(0)), Term(0));
  EXPECT_EQ(log.term(LogIndex(3)), Term(1));
  EXPECT_EQ(log.term(LogIndex(4)), Term(3));
  EXPECT_EQ(log.term(LogIndex(8)), Term(3));
  EXPECT_EQ(log.last_term(), Term(7));
  EXPECT_EQ(log.durable(), LogIndex(9));
  EXPECT_FALSE(log.has_unwritten());
}

TEST(LogView, MatchesOnlyAnIndexItHasInThatTerm) {
  const LogView log = log_of({1, 1, 2});
  EXPECT_TRUE(log.matches(LogIndex(0), Term(0)));
  EXPECT_TRUE(log.matches(LogIndex(3), Term(2)));
  EXPECT_FALSE(log.matches(LogIndex(3), Term(1)));
  EXPECT_FALSE(log.matches(LogIndex(4), Term(2)));
}

TEST(LogView, IsUpToDateByLastTermThenByLength) {
  const LogView log = log_of({1, 1, 2});
  EXPECT_TRUE(log.is_up_to_date(LogIndex(3), Term(2)));
  EXPECT_TRUE(log.is_up_to_date(LogIndex(1), Term(3)));
  EXPECT_FALSE(log.is_up_to_date(LogIndex(2), Term(2)));
  EXPECT_FALSE(log.is_up_to_date(LogIndex(99), Term(1)));
}

TEST(LogView, FindsWhereLogsMayMeetByWholeTerms) {
  const LogView log = log_of({1, 1, 2, 2, 4, 4});
  EXPECT_EQ(log.last_not_above(LogIndex(6), Term(4)), LogIndex(6));
  EXPECT_EQ(log.last_not_above(LogIndex(6), Term(3)), LogIndex(4));
  EXPECT_EQ(log.last_not_above(LogIndex(3), Term(3)), LogIndex(3));
  EXPECT_EQ(log.last_not_above(LogIndex(9), Term(1)), LogIndex(2));
  EXPECT_EQ(log.last_not_above(LogIndex(6), Term(0)), LogIndex(0));
}

TEST(LogView, BecomesDurableInTheOrderOfWrites) {
  LogView log = log_of({1, 1});
  log.written(1);
  log.append(entry(3, 1));
  EXPECT_EQ(log.write_covering(LogIndex(2), 2), 1U);
  EXPECT_EQ(log.write_covering(LogIndex(3), 2), 2U);
  log.written(2);
  log.persisted(1);
  EXPECT_EQ(log.durable(), LogIndex(2));
  EXPECT_EQ(log.write_covering(LogIndex(2), 3), 0U);
  log.persisted(2);
  EXPECT_EQ(log.durable(), LogIndex(3));
}

TEST(LogView, TruncationTakesBackWhatWasDurableAndWhatOutstandingWritesVouchFor) {
  LogView log = log_of({1, 1, 1, 1});
  log.written(1);
  log.persisted(1);
  log.append(entry(5, 1));
  log.append(entry(6, 1));
  log.written(2);
  log.truncate_from(LogIndex(3));
  EXPECT_EQ(log.durable(), LogIndex(2));
  log.append(entry(3, 2));
  log.append(entry(4, 2));
  log.append(entry(5, 2));
  log.append(entry(6, 2));
  log.persisted(2);  // the replaced entries are on disk: that says nothing about their successors
  EXPECT_EQ(log.durable(), LogIndex(2));
  log.written(3);
  EXPECT_EQ(log.write_covering(LogIndex(6), 4), 3U);
  log.persisted(3);
  EXPECT_EQ(log.durable(), LogIndex(6));
  EXPECT_EQ(log.term_runs().size(), 2U);
}

TEST(LogView, TruncatesBelowWhatIsInMemory) {
  LogView log(LogIndex(1), LogIndex(9), {{LogIndex(1), Term(1)}, {LogIndex(6), Term(2)}});
  log.truncate_from(LogIndex(5));
  EXPECT_EQ(log.last(), LogIndex(4));
  EXPECT_EQ(log.last_term(), Term(1));
  log.append(entry(5, 3));
  EXPECT_EQ(log.unwritten(), LogIndex(5));
  EXPECT_EQ(log.durable(), LogIndex(4));
}

TEST(LogView, ForgetsOnlyWhatIsDurableAndMayBeForgotten) {
  LogView log = log_of({1, 1, 1, 1});
  log.evict(LogIndex(5), 0);
  EXPECT_EQ(log.window().begin(), LogIndex(1));
  log.written(1);
  log.persisted(1);
  log.evict(LogIndex(3), 0);
  EXPECT_EQ(log.window().begin(), LogIndex(3));
  log.evict(LogIndex(5), kEntryOverheadBytes);
  EXPECT_EQ(log.window().begin(), LogIndex(4));
}

TEST(LogView, CompactionKeepsTheTermOfTheLastForgottenEntry) {
  LogView log = log_of({1, 1, 2, 2, 4, 4});
  log.written(1);
  log.persisted(1);
  log.compact(LogIndex(3));
  EXPECT_EQ(log.first(), LogIndex(4));
  EXPECT_EQ(log.window().begin(), LogIndex(4));
  EXPECT_EQ(log.term(LogIndex(3)), Term(2));
  EXPECT_EQ(log.term(LogIndex(4)), Term(2));
  ASSERT_EQ(log.term_runs().size(), 2U);
  EXPECT_TRUE(log.matches(LogIndex(3), Term(2)));
  EXPECT_FALSE(log.matches(LogIndex(2), Term(1)));
  EXPECT_EQ(log.last_not_above(LogIndex(6), Term(1)), LogIndex(3));
  log.compact(LogIndex(2));
  EXPECT_EQ(log.first(), LogIndex(4));
}

TEST(LogView, CompactedToItsEndItGoesOn) {
  LogView log = log_of({1, 2});
  log.written(1);
  log.persisted(1);
  log.compact(LogIndex(2));
  EXPECT_EQ(log.last(), LogIndex(2));
  EXPECT_EQ(log.last_term(), Term(2));
  EXPECT_TRUE(log.is_up_to_date(LogIndex(2), Term(2)));
  log.append(entry(3, 2));
  EXPECT_EQ(log.term(LogIndex(3)), Term(2));
  EXPECT_EQ(log.unwritten(), LogIndex(3));
}

TEST(LogView, CompactsWhatIsNoLongerInMemory) {
  LogView log(LogIndex(1), LogIndex(9), {{LogIndex(1), Term(1)}, {LogIndex(6), Term(2)}});
  log.compact(LogIndex(6));
  EXPECT_EQ(log.window().begin(), LogIndex(10));
  EXPECT_EQ(log.term(LogIndex(6)), Term(2));
  EXPECT_EQ(log.term_runs().size(), 1U);
}

}  // namespace
}  // namespace holdfast::raft
