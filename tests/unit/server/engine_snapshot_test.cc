// The engine's part in the ways of a state from server to server: who gives it, and which of those
// that come is put in force.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "coordinator/server/peer_codec.h"
#include "coordinator/snapshot/copy.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/server/host_fakes.h"
#include "tests/unit/server/test_cluster.h"
#include "tests/unit/server/test_span_writer.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// Server 2 has a disk for snapshots; what it asks for and what it gives is kept back.
class EngineSnapshotTest : public ThreeServersTest {
 protected:
  EngineSnapshotTest() {
    store_ = std::move(*snapshot::SnapshotStore::open(files_, there_.path()));
    follower.crash();
    follower.snapshots = {.background = &work_,
                          .files = &files_,
                          .store = store_.get(),
                          .log = [](const std::string&) {}};
    follower.start();
    cluster.advance(1s);
    cluster.hold([](const Parcel& parcel) {
      return parcel.is(PeerKind::kSnapshotAsk) || parcel.is(PeerKind::kSnapshotPiece);
    });
  }
  void rebuild_follower() {
    api::RebuildStateRequest rebuild;
    rebuild.force = true;
    const Call rebuilt = follower.ask(&Engine::rebuild_state, {}, rebuild);
    cluster.settle();
    ASSERT_EQ(rebuilt.outcome(), "OK");
  }
  LogIndex applied() { return follower.engine().host().applied; }

  /// The leader offers the state behind the next three entries, which has so much ballast.
  snapshot::SnapshotCopy offer_the_state_three_entries_on(size_t ballast_bytes = 0) {
    snapshot::WrittenState state(3);
    state.apply(static_cast<int>(applied().value) + 3);
    snapshot::Span span = state.take_span();
    span.head.genesis.append(ballast_bytes, 'x');
    EXPECT_TRUE(store_->write(span).ok());
    const auto copy = snapshot::make_copy(files_, store_->path(), here_.file("copy.db"), "");
    EXPECT_TRUE(copy.ok()) << copy.error().message;
    const Term term = leader.engine().host().soft.term;
    follower.engine().on_message({.type = raft::MessageType::kSnapshotRequest,
                                  .from = leader.id(),
                                  .to = follower.id(),
                                  .term = term,
                                  .index = copy->head.applied,
                                  .log_term = term});
    cluster.settle();
    EXPECT_THAT(cluster.held(), SizeIs(1));
    return *copy;
  }
  /// And gives it.
  void receive_the_state_three_entries_on() {
    const snapshot::SnapshotCopy copy = offer_the_state_three_entries_on();
    for (size_t answered = 0; answered < cluster.held().size(); ++answered) {
      give(copy, std::get<AppMessage>(cluster.held()[answered].content));
      cluster.settle();
    }
  }
  void give(const snapshot::SnapshotCopy& copy, const AppMessage& question) {
    peer::SnapshotAsk ask;
    ASSERT_TRUE(codec_.decode(question.bytes, ask));
    auto data = snapshot::read_piece(files_, copy, static_cast<uint64_t>(ask.offset));
    ASSERT_TRUE(data.ok()) << data.error().message;
    peer::SnapshotPiece piece;
    piece.request = ask.request;
    piece.copy = 1;
    piece.appliedIndex = static_cast<int64_t>(copy.head.applied.value);
    piece.appliedTerm = static_cast<int64_t>(copy.head.applied_term.value);
    piece.bytes = static_cast<int64_t>(copy.bytes);
    piece.sum = static_cast<int64_t>(copy.sum);
    piece.offset = ask.offset;
    piece.data = std::move(*data);
    follower.engine().on_app(leader.id(), static_cast<uint8_t>(PeerKind::kSnapshotPiece),
                             codec_.encode(piece));
  }
  api::StatusResult status() {
    return follower.ask(&Engine::status, api::RequestContext{}, api::StatusRequest{})
        .result<api::StatusResult>();
  }
  /// Server 3 asks server 2 for its state, whichever it is.
  void ask_for_its_state() {
    snapshot::WrittenState state(3);
    state.apply(9);
    ASSERT_TRUE(store_->write(state.take_span()).ok());
    ask_again_for_its_state();
    cluster.advance(100ms);
  }
  void ask_again_for_its_state(LogIndex at_least = {}) {
    peer::SnapshotAsk ask;
    ask.request = 5;
    ask.minIndex = static_cast<int64_t>(at_least.value);
    follower.engine().on_app(NodeId(3), static_cast<uint8_t>(PeerKind::kSnapshotAsk),
                             codec_.encode(ask));
  }
  /// The leader tells server 2 that the two have other states after the entry before.
  void tell_of_a_difference() {
    peer::DigestNews news;
    news.term = static_cast<int64_t>(leader.engine().host().soft.term.value);
    news.index = static_cast<int64_t>(applied().value) - 1;
    for (int32_t node : {1, 2}) {
      peer::DigestVote vote;
      vote.nodeId = node;
      vote.low = node;
      news.votes.push_back(vote);
    }
    follower.engine().on_app(leader.id(), static_cast<uint8_t>(PeerKind::kDigestNews),
                             codec_.encode(news));
  }

  snapshot::TemporaryDirectory here_, there_;
  raft::PosixFileSystem files_;
  std::unique_ptr<snapshot::SnapshotStore> store_;
  TestBackground work_;
  PeerCodec codec_;
};

TEST_F(EngineSnapshotTest, AStateThatIsAheadIsPutInForce) {
  receive_the_state_three_entries_on();
  const auto state = follower.engine().take_received_state();
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->machine->applied().value, applied().value + 3);
}

TEST_F(EngineSnapshotTest, AStateThatTheLogHasOvertakenIsNot) {
  receive_the_state_three_entries_on();
  for (int i = 0; i < 3; ++i) cluster.client(1, "late-session-" + std::to_string(i));
  EXPECT_TRUE(std::filesystem::exists(store_->incoming_path()));
  EXPECT_FALSE(follower.engine().take_received_state().has_value());
  cluster.advance(100ms);
  EXPECT_FALSE(std::filesystem::exists(store_->incoming_path())) << "it takes room";
}

TEST_F(EngineSnapshotTest, TheStatusSaysHowMuchOfAStateHasCome) {
  EXPECT_FALSE(status().__isset.receiving);
  const auto copy = offer_the_state_three_entries_on(2 * snapshot::PieceSum::kPieceBytes);
  auto shown = status();
  ASSERT_TRUE(shown.__isset.receiving);
  EXPECT_EQ(shown.receiving.fromNode, 1);
  EXPECT_EQ(shown.receiving.receivedBytes, 0);
  EXPECT_EQ(shown.receiving.totalBytes, 0) << "only the sender knows yet";
  for (size_t piece = 0; piece < 2; ++piece) {
    ASSERT_GT(cluster.held().size(), piece);
    give(copy, std::get<AppMessage>(cluster.held()[piece].content));
    cluster.settle();
    shown = status();
    ASSERT_TRUE(shown.__isset.receiving);
    EXPECT_EQ(shown.receiving.receivedBytes, (piece + 1) * snapshot::PieceSum::kPieceBytes);
    EXPECT_EQ(shown.receiving.totalBytes, copy.bytes);
  }
}

TEST_F(EngineSnapshotTest, TheStatusOfAServerThatHasTheStateSaysNothingOfIt) {
  receive_the_state_three_entries_on();
  ASSERT_TRUE(follower.engine().take_received_state().has_value());
  EXPECT_FALSE(status().__isset.receiving);
}

TEST_F(EngineSnapshotTest, AServerGivesItsState) {
  ask_for_its_state();
  ASSERT_THAT(cluster.held(), SizeIs(1));
  EXPECT_EQ(cluster.held()[0].to, NodeId(3));
}

TEST_F(EngineSnapshotTest, WhatWasAskedForBeforeADifferenceWasToldIsNotGiven) {
  work_.holds = true;
  ask_for_its_state();  // the copy is being made
  tell_of_a_difference();
  work_.holds = false;
  cluster.advance(100ms);
  EXPECT_THAT(cluster.held(), IsEmpty());
  work_.holds = true;
  cluster.advance(DigestWatch::kFresh);
  ask_again_for_its_state();
  cluster.settle();  // a piece is being read
  tell_of_a_difference();
  work_.holds = false;
  cluster.advance(100ms);
  EXPECT_THAT(cluster.held(), IsEmpty());
  cluster.advance(DigestWatch::kFresh);
  ask_again_for_its_state();
  cluster.advance(100ms);
  EXPECT_THAT(cluster.held(), SizeIs(1)) << "nobody shows it any more";
}

// It waits for one that has a state to give, if there ever is another.
TEST_F(EngineSnapshotTest, TheOthersMayBeRemovedWhileAServerIsRebuilt) {
  rebuild_follower();
  api::ChangeMembersRequest change;
  change.removed = {1, 3};
  leader.ask(&Engine::change_members, {}, change);
  cluster.advance(1s);
  ASSERT_THAT(follower.engine().node().core().configuration().voters, ElementsAre(NodeId(2)));
  cluster.advance(SnapshotFetch::kGiveUp + SnapshotFetch::kPause);
  EXPECT_THAT(follower.engine().quarantine(), HasSubstr("asked for it to be rebuilt"));
  EXPECT_FALSE(follower.engine().waits_for_state());
}

TEST_F(EngineSnapshotTest, AServerThatLearnsThatItWasRemovedAsksForNoStateAnyMore) {
  rebuild_follower();
  ASSERT_TRUE(follower.engine().waits_for_state());
  follower.engine().retire("node 2 was removed from the cluster at entry 7");
  cluster.advance(SnapshotFetch::kGiveUp + 2 * SnapshotFetch::kPause);
  EXPECT_FALSE(follower.engine().waits_for_state());
  EXPECT_EQ(follower.engine().snapshot_fetch_stats().started, 1u);
}

TEST_F(EngineSnapshotTest, AQuarantinedServerGivesItToNobody) {
  follower.crash();
  follower.quarantine = "after entry 7 it had another state";
  follower.start();
  cluster.advance(1s);
  ask_for_its_state();
  EXPECT_THAT(cluster.held(), IsEmpty());
}

/// Writes a span when it is asked what has come of it.
struct DiskSpanWriter final : snapshot::SpanWriter {
  explicit DiskSpanWriter(snapshot::SnapshotStore& where) : store(where) {}
  void submit(snapshot::Span given) override { span = std::move(given); }
  std::optional<Result<snapshot::WrittenSpan>> collect() override {
    if (!span) return std::nullopt;
    gone = false;
    return store.write(*std::exchange(span, std::nullopt));
  }
  std::optional<Error> obstacle() const override { return std::nullopt; }
  std::optional<snapshot::Span> recall() override { return std::nullopt; }
  void hurry(bool) override {}
  void look() override { gone = store.has_moved(); }
  bool moved() const override { return gone; }
  snapshot::SnapshotStore& store;
  std::optional<snapshot::Span> span;
  bool gone = false;
};

// Of a cluster in which nothing changes, whose next span may never come.
TEST_F(EngineSnapshotTest, AServerWhoseDatabaseWasRemovedWritesItAnewForWhoeverAsks) {
  DiskSpanWriter spans(*store_);
  follower.crash();
  follower.snapshots.spans = &spans;
  follower.snapshots.cut_log = [](LogIndex) { return LogIndex(1); };
  follower.start();
  cluster.advance(1s);
  ask_again_for_its_state(applied());
  cluster.advance(100ms);
  size_t given = 1;
  ASSERT_THAT(cluster.held(), SizeIs(given));
  for (const bool replaced : {false, true}) {
    SCOPED_TRACE(replaced);
    cluster.advance(SnapshotSource::kIdle);
    const std::string before = store_->path();
    const LogIndex written = follower.engine().snapshots().stats().written;
    ASSERT_TRUE(std::filesystem::remove(before));
    if (replaced) std::ofstream(before) << "somebody's own";
    ask_again_for_its_state(written);
    cluster.advance(100ms);
    EXPECT_THAT(cluster.held(), SizeIs(given)) << "of what lies there nothing is given";
    EXPECT_NE(store_->path(), before) << "the next look is not waited for";
    cluster.advance(SnapshotSource::kPause);
    EXPECT_THAT(cluster.held(), SizeIs(++given));
    EXPECT_EQ(follower.engine().snapshots().stats().written, written) << "nothing has changed";
    EXPECT_TRUE(follower.engine().snapshots().removed_for().has_value());
  }
}

/// The disk of server 2 is not full, and has less than is to stay free.
class CrowdedDiskTest : public EngineSnapshotTest {
 protected:
  CrowdedDiskTest() {
    follower.crash();
    follower.disk_room = {.state = raft::DiskRoom::State::kLow,
                          .path = "/data",
                          .free_bytes = 1'000,
                          .needed_bytes = 1'001};
    follower.start();
    cluster.advance(1s);
  }
};

TEST_F(CrowdedDiskTest, AStateIsNotReceivedAndThatIsToldOf) {
  receive_the_state_three_entries_on();
  EXPECT_FALSE(follower.engine().take_received_state().has_value());
  EXPECT_TRUE(follower.engine().room().refused_copy().has_value());
}

TEST_F(CrowdedDiskTest, ACopyIsNotMadeForOthersAndThatIsToldOf) {
  ask_for_its_state();
  EXPECT_THAT(cluster.held(), IsEmpty());
  EXPECT_TRUE(follower.engine().room().refused_copy().has_value());
}

/// Server 2 writes snapshots, and its log goes as soon as one covers it.
class PinnedLogTest : public EngineSnapshotTest {
 protected:
  PinnedLogTest() {
    cluster.options.snapshot_log_bytes = 1'000;
    follower.crash();
    follower.snapshots.spans = &spans_;
    follower.snapshots.cut_log = [this](LogIndex through) { return cut_through_ = through; };
    follower.disk_room = {.path = "/data", .free_bytes = 1 << 30, .needed_bytes = 1'000};
    follower.start();
    cluster.advance(1s);
  }
  /// Where the log goes on from the copy that another server asked for.
  LogIndex copied_for_another() {
    ask_for_its_state();
    EXPECT_THAT(cluster.held(), SizeIs(1));
    peer::SnapshotPiece piece;
    EXPECT_TRUE(codec_.decode(std::get<AppMessage>(cluster.held().at(0).content).bytes, piece));
    return LogIndex(static_cast<uint64_t>(piece.appliedIndex));
  }
  void write_entries(int count) {
    for (int i = 0; i < count; ++i) {
      cluster.client(1, "session-" + std::to_string(++clients_));
      cluster.advance(10ms);
    }
  }

  PromptSpanWriter spans_;
  LogIndex cut_through_;
  int clients_ = 0;
};

// Whoever loads the copy needs the log from there.
TEST_F(PinnedLogTest, WhatFollowsACopyStaysInTheLogUntilTheCopyIsGone) {
  const LogIndex copied = copied_for_another();
  write_entries(60);
  ASSERT_GT(applied().value, copied.value + 50);
  EXPECT_EQ(cut_through_, copied);
  cluster.advance(SnapshotSource::kIdle);
  write_entries(1);
  EXPECT_GT(cut_through_, copied);
}

// Else the log that piles up behind the copy keeps the disk full, and the cluster refuses writes.
TEST_F(PinnedLogTest, OnAFullDiskTheLogDoesNotWaitForACopy) {
  const LogIndex copied = copied_for_another();
  write_entries(60);
  ASSERT_EQ(cut_through_, copied);
  follower.disk_room->state = raft::DiskRoom::State::kFull;
  cluster.advance(Room::kLookEvery);
  write_entries(1);
  EXPECT_GT(cut_through_, copied);
}

// It would be put in force, and no start would find the log behind it.
TEST_F(PinnedLogTest, AStateThatTheLogDoesNotGoOnBehindIsNotPutInForceOfAQuarantinedServerEither) {
  const snapshot::SnapshotCopy copy = offer_the_state_three_entries_on();
  write_entries(60);
  ASSERT_GT(follower.engine().node().core().log().first(), copy.head.applied.next());
  rebuild_follower();
  give(copy, std::get<AppMessage>(cluster.held()[0].content));
  cluster.settle();
  EXPECT_FALSE(follower.engine().take_received_state().has_value());
}

}  // namespace
}  // namespace holdfast::server
