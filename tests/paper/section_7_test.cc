// Log compaction: section 7 of the Raft paper (extended version), one test per sentence that binds
// the core. What a snapshot contains, and its way to a follower, are not the core's.
#include <gtest/gtest.h>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

Config plain() {
  Config config;
  config.pre_vote = false;
  config.check_quorum = false;
  config.fast_failover = false;
  return config;
}

/// Entries 1 to 4 are committed; `lagging` has only the first.
CoreCluster led(int lagging = 0) {
  CoreCluster c = CoreCluster::of(3, plain());
  c.elect(1);
  if (lagging != 0) c.isolate(lagging);
  for (const char* data : {"a", "b", "c"}) c.propose(1, data);
  c.settle();
  c.advance(200ms);
  c.heal();
  return c;
}

// "Each server takes snapshots independently, covering just the committed entries in its log."
TEST(Section7, EachServerCompactsItsOwnLog) {
  CoreCluster c = led();
  c.snapshot(2, LogIndex(3));
  c.compact(2, LogIndex(3));
  EXPECT_EQ(c.core(1).log().first(), LogIndex(1));
  EXPECT_EQ(c.core(2).log().first(), LogIndex(4));
  EXPECT_EQ(c.core(3).log().first(), LogIndex(1));
}

TEST(Section7DeathTest, UncommittedEntriesAreNotCovered) {
  CoreCluster c = led();
  c.isolate(1);
  c.propose(1, "uncommitted");
  ASSERT_EQ(c.core(1).log().durable(), LogIndex(5));
  EXPECT_DEATH(c.core(1).compact(LogIndex(5)), "state machine does not have");
}

// "The last included index and term are preserved to support the AppendEntries consistency check
// for the first log entry following the snapshot, since that entry needs a previous log index and
// term."
TEST(Section7, TheFirstEntryAfterTheSnapshotIsCheckedAgainstTheLastIncluded) {
  CoreCluster c = led();
  for (int id : {1, 2, 3}) c.shorten(id);
  c.propose(1, "d");
  const std::vector<Message> appends = c.take(CoreCluster::link(1, 2, MT::kAppendRequest));
  ASSERT_EQ(appends.size(), 1U);
  EXPECT_EQ(appends[0].index, LogIndex(4));
  EXPECT_EQ(appends[0].log_term, Term(1));
  c.step(2, append(1, 2, 1, 5, 1, 4, {entry(6, 1)}));
  EXPECT_TRUE(c.take(CoreCluster::link(2, 1))[0].reject) << "entry 5 is missing";
  c.step(2, appends[0]);
  EXPECT_FALSE(c.take(CoreCluster::link(2, 1))[0].reject);
  EXPECT_EQ(c.core(2).log().last(), LogIndex(5));
}

// "Once a server completes writing a snapshot, it may delete all log entries up through the last
// included index."
TEST(Section7, EntriesUpThroughTheLastIncludedIndexAreGone) {
  CoreCluster c = led();
  c.shorten(1);
  EXPECT_EQ(c.core(1).log().first(), LogIndex(5));
  EXPECT_EQ(c.core(1).log().window().begin(), LogIndex(5));
  EXPECT_EQ(c.core(1).log().term(LogIndex(4)), Term(1));
}

// "Although servers normally take snapshots independently, the leader must occasionally send
// snapshots to followers that lag behind. This happens when the leader has already discarded the
// next log entry that it needs to send to a follower."
TEST(Section7, TheLeaderOffersASnapshotWhenTheNextEntryIsDiscarded) {
  CoreCluster c = led(3);
  c.snapshot(1, LogIndex(4));
  c.compact(1, LogIndex(1));  // the follower's next entry is still there
  c.advance(200ms);
  EXPECT_EQ(c.core(1).counters().snapshots_needed, 0U);
  EXPECT_EQ(c.commands(3).size(), 3U);

  CoreCluster d = led(3);
  d.snapshot(1, LogIndex(4));
  d.compact(1, LogIndex(2));
  d.advance(200ms);
  EXPECT_EQ(d.core(1).counters().snapshots_needed, 1U);
  ASSERT_FALSE(d.node(3).offers.empty());
  EXPECT_EQ(d.node(3).offers[0], (SnapshotOffer{NodeId(1), LogIndex(2), Term(1)}));
}

// "If instead the follower receives a snapshot that describes a prefix of its log (due to
// retransmission or by mistake), then log entries covered by the snapshot are deleted but entries
// following the snapshot are still valid and must be retained." Here nothing is deleted either: the
// follower only says how far it is.
TEST(Section7, AnOfferOfAPrefixOfTheLogLeavesTheLogAsItIs) {
  CoreCluster c = led();
  c.step(2, snapshot_offer(1, 2, 1, 2, 1));
  EXPECT_TRUE(c.node(2).offers.empty());
  EXPECT_EQ(c.core(2).log().first(), LogIndex(1));
  EXPECT_EQ(c.core(2).log().last(), LogIndex(4));
  const std::vector<Message> said = c.take(CoreCluster::link(2, 1));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, MT::kSnapshotResponse);
  EXPECT_EQ(said[0].index, LogIndex(4));
}

// Figure 13, 1: "Reply immediately if term < currentTerm". An offer comes with a heartbeat, whose
// answer carries the term.
TEST(Section7, AnOfferOfAPastTermIsIgnored) {
  CoreCluster c = led();
  c.step_down(1);
  c.elect(1);
  ASSERT_EQ(c.core(2).term(), Term(2));
  c.step(2, snapshot_offer(3, 2, 1, 99, 1));
  EXPECT_TRUE(c.node(2).offers.empty());
  EXPECT_EQ(c.core(2).leader(), NodeId(1));
}

// Figure 13, 8: "Reset state machine using snapshot contents" (and 7: "discard the entire log").
TEST(Section7, AfterTheSnapshotTheLogGoesOnBehindIt) {
  CoreCluster c = led(3);
  c.shorten(1);
  c.advance(200ms);
  ASSERT_TRUE(c.install(3, 1));
  EXPECT_EQ(c.core(3).log().first(), LogIndex(5));
  EXPECT_EQ(c.core(3).commit(), LogIndex(4));
  c.propose(1, "d");
  c.settle();
  c.advance(200ms);
  EXPECT_EQ(c.commands(3), c.commands(1));
}

}  // namespace
}  // namespace holdfast::raft::testing
