// The session table on its own: what is kept, what it costs, and that its rows are all of it.
#include "session/session_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "session/lease_keeper.h"
#include "tests/counting/counts.h"

namespace holdfast::session {
namespace {

SecretHash secret(uint64_t number) {
  SecretHash hash{};
  store_le(hash.data(), number);
  return hash;
}

class SessionTableTest : public testing::Test {
 protected:
  ~SessionTableTest() override { EXPECT_EQ(table_.check_invariants(), ""); }

  void begin() { table_.begin(Revision(++revision_), now_ms_, 1'700'000'000'000); }
  OpenOutcome open(uint64_t number, int64_t ttl_ms = 10'000) {
    begin();
    const OpenOutcome outcome = table_.open({.secret_hash = secret(number),
                                             .ttl_ms = ttl_ms,
                                             .name = "worker-7@host-13",
                                             .attributes = "pid=4711 version=1.2.3"});
    table_.finish();
    return outcome;
  }

  RowLog rows_;
  SessionTable table_{rows_};
  uint64_t revision_ = 0;
  int64_t now_ms_ = 0;
};

TEST_F(SessionTableTest, OpeningIsIdempotentByTheSecretAndTheIdIsTheRevision) {
  const OpenOutcome first = open(1);
  EXPECT_TRUE(first.created);
  EXPECT_EQ(first.id, SessionId(1));
  const OpenOutcome again = open(1, 99'000);
  EXPECT_FALSE(again.created);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.ttl_ms, 10'000);
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_EQ(table_.find_by_secret(secret(1)), first.id);
  EXPECT_EQ(table_.find_by_secret(secret(2)), SessionId{});
}

TEST_F(SessionTableTest, AnEndedSessionLeavesNoRow) {
  const SessionId id = open(1).id;
  begin();
  table_.keep(*table_.find(id), Sequence(3), 77, CommandResult{});
  const SequenceRange range{Sequence(1), Sequence(2)};
  table_.acknowledge(*table_.find(id), {&range, 1}, WindowLimits{});
  table_.finish();
  EXPECT_NE(table_.digest(), Digest{});
  begin();
  EXPECT_TRUE(table_.end(id));
  EXPECT_FALSE(table_.end(id));
  table_.finish();
  EXPECT_EQ(table_.digest(), Digest{});
  EXPECT_EQ(table_.find(id), nullptr);
}

TEST_F(SessionTableTest, WhatComesAndGoesInOneEntryIsNeverWritten) {
  begin();
  const SessionId id =
      table_.open({.secret_hash = secret(1), .ttl_ms = 10'000, .name = "", .attributes = ""}).id;
  table_.end(id);
  table_.finish();
  EXPECT_TRUE(rows_.empty());
}

TEST_F(SessionTableTest, AcknowledgementsStepOverABoundedNumberOfWaits) {
  const SessionId id = open(1).id;
  for (uint64_t i = 1; i <= SessionTable::kSkipsMax + 50; ++i) {
    begin();
    table_.keep_waiting(*table_.find(id), Sequence(2 * i), 5, 0);
    table_.finish();
  }
  begin();
  const SequenceRange all{Sequence(1), Sequence(10'000)};
  table_.acknowledge(*table_.find(id), {&all, 1}, WindowLimits{});
  table_.finish();
  const ResultWindow& window = table_.find(id)->window;
  EXPECT_EQ(window.waiting_count(), SessionTable::kSkipsMax + 50);
  EXPECT_TRUE(window.acknowledged().contains(Sequence(1)));
  EXPECT_FALSE(window.acknowledged().contains(Sequence(2)));
  EXPECT_TRUE(window.acknowledged().contains(Sequence(2 * SessionTable::kSkipsMax - 1)));
  EXPECT_FALSE(window.acknowledged().contains(Sequence(9'999)));
}

TEST_F(SessionTableTest, SessionsAreListedByIdInPages) {
  for (uint64_t i = 1; i <= 5; ++i) open(i);
  std::vector<const Session*> page;
  table_.list(SessionId(2), 2, page);
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0]->id, SessionId(3));
  EXPECT_EQ(page[1]->id, SessionId(4));
}

TEST_F(SessionTableTest, LoadingRefusesRowsThatDoNotFit) {
  RowLog rows;
  SessionTable other(rows);
  EXPECT_EQ(other.load(RowTable::kWindows, 1, std::string(12, '\0')).error().code,
            ErrorCode::kCorrupt);
  EXPECT_EQ(other.load(RowTable::kLocks, 1, "").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(other.load(RowTable::kSessions, 1, "short").error().code, ErrorCode::kCorrupt);
}

TEST(SessionMemory, AnIdleSessionWithItsLeaseIsUnderOneKibibyte) {
  constexpr uint64_t kSessions = 20'000;
  const uint64_t before = counting::live_bytes;
  RowLog rows;
  auto table = std::make_unique<SessionTable>(rows);
  auto keeper = std::make_unique<LeaseKeeper>();
  keeper->lead(Instant(1s), {});
  for (uint64_t i = 1; i <= kSessions; ++i) {
    table->begin(Revision(i), 0, 1'700'000'000'000);
    const std::string attributes(100, 'a');
    table->open({.secret_hash = secret(i),
                 .ttl_ms = 10'000,
                 .name = "billing-worker-7@host-13.example",
                 .attributes = attributes});
    table->finish();
    rows.clear();
    keeper->session_opened(SessionId(i), 10'000, Instant(1s));
  }
  const uint64_t each = (counting::live_bytes - before) / kSessions;
  RecordProperty("bytes_per_session", std::to_string(each));
  EXPECT_LT(each, 1'024u);
  EXPECT_GT(each, 100u);  // the measure measures
}

}  // namespace
}  // namespace holdfast::session
