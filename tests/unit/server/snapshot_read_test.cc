// Somebody who reads the database of a server keeps what is written from being durable in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/server/alarms.h"
#include "tests/unit/server/spans_by_bytes.h"

namespace holdfast::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kPeriod = 60'000;

class SnapshotReadTest : public testing::Test {
 protected:
  SnapshotReadTest() : cluster(1, spans_by_bytes(kPeriod)) {
    restart_with(cluster.server(1), spans, [this](LogIndex through) {
      cut = through;
      return through.next();
    });
    cluster.lead(1);
    client = cluster.client(1, "a", 86'400'000);
  }
  /// Enough for a span, which is under way then.
  void put() {
    api::PutRequest request;
    request.path = "/k";
    request.value = std::string(kPeriod, 'v');
    const Call call = cluster.server(1).ask(&Engine::put, client.next(), request);
    cluster.settle();
    ASSERT_EQ(call.outcome(), "OK");
  }
  void finish(bool durable, bool anew = false) {
    snapshot::WrittenSpan written;
    written.durable = durable;
    written.anew = anew;
    written.database_bytes = kPeriod;
    written.disk_bytes = kPeriod + (2 << 20);
    spans.finish(written);
    cluster.settle();
  }
  std::vector<api::Alarm> alarms() {
    std::vector<api::Alarm> out;
    add_snapshot_alarms(cluster.server(1).engine().snapshots(), "/data/state-1.db", NodeId(1), out);
    return out;
  }

  SlowSpanWriter spans;
  LogIndex cut;
  TestCluster cluster;
  Client client;
};

TEST_F(SnapshotReadTest, AfterAMinuteItIsAnAlarmThatNamesTheFile) {
  put();
  finish(false);
  cluster.advance(29s);
  put();
  finish(false);
  cluster.advance(30s);
  EXPECT_THAT(alarms(), IsEmpty());
  cluster.advance(2s);
  const auto raised = alarms();
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_EQ(raised[0].name, "SNAPSHOT_READ");
  EXPECT_THAT(raised[0].message, HasSubstr("on /data/state-1.db of node 1 open for 61 s"));
  EXPECT_THAT(raised[0].message, HasSubstr("the -wal, which has 2 MiB, grows"));
}

// Nothing is left to be done about the file then, but whoever removes one removes others.
TEST_F(SnapshotReadTest, ThatItWasRemovedIsAnAlarmForTenMinutes) {
  put();
  finish(true, /*anew=*/true);
  cluster.advance(599s);
  const auto raised = alarms();
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_EQ(raised[0].name, "SNAPSHOT_REMOVED");
  EXPECT_THAT(raised[0].message, HasSubstr("found 599 s ago"));
  EXPECT_THAT(raised[0].message, HasSubstr("written to /data/state-1.db"));
  cluster.advance(2s);
  EXPECT_THAT(alarms(), IsEmpty());
}

// No span comes that would find out. A crash would lose what has no name, and the log is cut for
// it.
TEST_F(SnapshotReadTest, ThoughNothingChangesItIsLookedForAndWrittenAnew) {
  put();
  finish(true);
  for (int i = 0; i < 3; ++i) {
    const int before = spans.looks;
    cluster.advance(5s);
    EXPECT_EQ(spans.looks, before + 1);
    EXPECT_FALSE(spans.under_way);
  }
  spans.gone = true;
  cluster.advance(5s);
  ASSERT_TRUE(spans.under_way);
  EXPECT_TRUE(spans.span.rows.empty());
  const int before = spans.looks;
  cluster.advance(60s);
  EXPECT_EQ(spans.looks, before) << "the span looks by itself";
  finish(true, /*anew=*/true);
  const auto raised = alarms();
  ASSERT_THAT(raised, SizeIs(1));
  EXPECT_EQ(raised[0].name, "SNAPSHOT_REMOVED");
  cluster.advance(60s);
  EXPECT_FALSE(spans.under_way) << "once";
}

TEST_F(SnapshotReadTest, ThoughNothingChangesItIsTriedAgainUntilTheLogCanBeCut) {
  for (int i = 0; i < 4; ++i) {
    put();
    finish(false);
  }
  EXPECT_FALSE(cut);
  cluster.advance(29s);
  EXPECT_FALSE(spans.under_way);
  for (int i = 0; i < 3; ++i) {
    cluster.advance(31s);
    ASSERT_TRUE(spans.under_way);
    EXPECT_TRUE(spans.span.rows.empty());
    finish(i == 2);
  }
  EXPECT_TRUE(cut);
  EXPECT_THAT(alarms(), IsEmpty());
  cluster.advance(600s);
  EXPECT_FALSE(spans.under_way) << "it is whole";
}

TEST_F(SnapshotReadTest, WhoeverComesLaterHasHisMinuteToo) {
  put();
  finish(false);
  cluster.advance(40s);
  ASSERT_TRUE(spans.under_way) << "it is tried again";
  finish(true);
  put();
  finish(false);
  cluster.advance(21s);
  EXPECT_THAT(alarms(), IsEmpty()) << "that one came 21 s ago";
}

}  // namespace
}  // namespace holdfast::server
