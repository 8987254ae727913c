// A snapshot that an administrator's calls take piece by piece, beside servers that take it too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "coordinator/server/snapshot_source.h"
#include "coordinator/snapshot/received_file.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/server/host_fakes.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kPieceBytes = snapshot::PieceSum::kPieceBytes;
constexpr Duration kPatience = 2s;

/// Writes nothing; says why if the test gives a reason.
struct TestSpanWriter final : snapshot::SpanWriter {
  void submit(snapshot::Span span) override { submitted.push_back(span.head.applied); }
  std::optional<Result<snapshot::WrittenSpan>> collect() override {
    return std::exchange(outcome, std::nullopt);
  }
  std::optional<Error> obstacle() const override {
    if (!why_not) return std::nullopt;
    return Error{ErrorCode::kNoSpace, *why_not};
  }
  std::optional<snapshot::Span> recall() override { return std::nullopt; }
  void hurry(bool) override {}
  void look() override { ++looks; }
  bool moved() const override { return false; }
  int looks = 0;
  std::vector<LogIndex> submitted;
  std::optional<Result<snapshot::WrittenSpan>> outcome;
  std::optional<std::string> why_not;
};

class SnapshotCalls : public ::testing::Test {
 protected:
  SnapshotCalls() {
    store_ = std::move(*snapshot::SnapshotStore::open(files_, there_.path()));
    host_.host.emplace(HostFakes::options_of(NodeId(1)), host_.clock, entropy_, host_.transport,
                       host_.sink, host_.machine);
    grow(400);
    give_.emplace(*host_.host, host_.codec, *snapshots_,
                  SnapshotSourcePorts{&work_, &files_, store_.get(), [] { return LogIndex(1); },
                                      [this](const std::string& line) { said_.push_back(line); },
                                      [this](const std::string& trace, const std::string& act) {
                                        audits_.push_back(trace + ": " + act);
                                      }});
  }
  /// The state grows and is written; entry 1 is so large that there are several pieces.
  void grow(int entries) {
    state_.apply(entries);
    snapshot::Span span = state_.take_span();
    SplitMix random(1);
    for (int i = 0; i < 100'000; ++i) append_le(span.head.genesis, random.next());
    ASSERT_TRUE(store_->write(span).ok());
    written_ = span.head;
    host_.host->applied = state_.head().applied;
    snapshots_.emplace(*host_.host, &spans_, "", 0);
  }
  /// A call with the number; answered by settle() if it can be.
  void ask(uint32_t call, uint64_t copy = 0, uint64_t offset = 0) {
    give_->ask({.call = {0, call, 0},
                .sequence = 5,
                .trace = "ticket 7",
                .at_least = host_.host->applied,
                .copy = copy,
                .offset = offset,
                .until = host_.clock.now() + kPatience});
  }
  void settle() {
    for (int i = 0; i < 3; ++i) {
      give_->turn_end();
      work_.deliver();
    }
  }
  /// The answer to a call that asks now.
  api::SnapshotPieceResult piece(uint64_t copy = 0, uint64_t offset = 0) {
    ask(1, copy, offset);
    settle();
    EXPECT_THAT(host_.sink.pieces, SizeIs(1));
    auto pieces = std::exchange(host_.sink.pieces, {});
    return pieces.empty() ? api::SnapshotPieceResult() : std::move(pieces.front());
  }
  /// All of it, into a file.
  std::string take() {
    std::string path = here_.file("saved.db");
    snapshot::ReceivedFile file(files_, path);
    api::SnapshotPieceResult last;
    for (int64_t at = 0; at == 0 || at < last.bytes; at += std::ssize(last.data)) {
      last = piece(static_cast<uint64_t>(last.copy), static_cast<uint64_t>(at));
      EXPECT_EQ(last.offset, at);
      EXPECT_TRUE(file.append(last.data).ok());
      pass(5ms);
    }
    EXPECT_TRUE(file.finish(static_cast<uint64_t>(last.sum)).ok());
    return path;
  }
  void pass(Duration time) { host_.clock.advance(time); }
  const api::HoldfastError& refused() {
    EXPECT_THAT(host_.sink.failed, SizeIs(1));
    return host_.sink.failed.back().second;
  }

  snapshot::TemporaryDirectory here_, there_;
  raft::PosixFileSystem files_;
  SystemEntropy entropy_;
  snapshot::WrittenState state_{3};
  std::unique_ptr<snapshot::SnapshotStore> store_;
  snapshot::SnapshotHead written_;
  HostFakes host_;
  TestBackground work_;
  TestSpanWriter spans_;
  std::optional<Snapshots> snapshots_;
  std::optional<SnapshotSource> give_;
  std::vector<std::string> said_, audits_;
};

TEST_F(SnapshotCalls, TheStateComesOverWhole) {
  const auto machine = snapshot::load(take());
  ASSERT_TRUE(machine.ok()) << machine.error().message;
  EXPECT_EQ((*machine)->digest(), state_.head().digest);
  EXPECT_EQ(give_->stats().copies, 1u);
}

TEST_F(SnapshotCalls, APieceNamesItsCopyAndTheStateThere) {
  const auto first = piece();
  EXPECT_NE(first.copy, 0);
  EXPECT_EQ(first.revision, static_cast<int64_t>(state_.head().applied.value));
  EXPECT_EQ(first.term, static_cast<int64_t>(state_.head().applied_term.value));
  EXPECT_EQ(first.header.sequence, 5);
  EXPECT_THAT(first.data, SizeIs(kPieceBytes));
  const auto copy = static_cast<uint64_t>(first.copy);
  const snapshot::SnapshotCopy* file = give_->copy(copy);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->bytes, static_cast<uint64_t>(first.bytes));
  EXPECT_EQ(give_->copy(copy + 1), nullptr);
}

TEST_F(SnapshotCalls, OneAuditLineForACopyThatIsGiven) {
  take();
  ASSERT_THAT(audits_, SizeIs(1));
  EXPECT_THAT(audits_[0], HasSubstr("ticket 7: snapshotPiece copy="));
  EXPECT_THAT(audits_[0],
              HasSubstr(" revision=" + std::to_string(state_.head().applied.value) + " bytes="));
}

TEST_F(SnapshotCalls, WhoeverHasTheBeginningGoesOnThoughTheStateMovesOn) {
  const auto first = piece();
  grow(100);
  const auto second = piece(static_cast<uint64_t>(first.copy), kPieceBytes);
  EXPECT_EQ(second.copy, first.copy);
  EXPECT_EQ(second.offset, static_cast<int64_t>(kPieceBytes));
}

TEST_F(SnapshotCalls, WhoeverBeginsWaitsForALaterCopyUntilTheOldOneIsReadNoMore) {
  const auto first = piece();
  grow(100);
  ask(2);
  settle();
  EXPECT_THAT(host_.sink.pieces, IsEmpty());
  EXPECT_LE(give_->next_wakeup(), host_.clock.now() + SnapshotSource::kForget);
  pass(kPatience);
  settle();
  ASSERT_THAT(host_.sink.pieces, SizeIs(1)) << "asks again";
  const auto not_yet = std::exchange(host_.sink.pieces, {})[0];
  EXPECT_EQ(not_yet.copy, 0);
  EXPECT_EQ(not_yet.revision, static_cast<int64_t>(host_.host->applied.value));
  pass(SnapshotSource::kForget);
  const auto later = piece();
  EXPECT_NE(later.copy, first.copy);
  EXPECT_EQ(later.revision, static_cast<int64_t>(state_.head().applied.value));
  EXPECT_EQ(give_->stats().copies, 2u);
}

TEST_F(SnapshotCalls, ACopyThatIsGoneIsFollowedByTheFirstPieceOfAnother) {
  const auto first = piece();
  pass(SnapshotSource::kIdle);
  settle();
  EXPECT_FALSE(std::filesystem::exists(store_->copy_path()));
  EXPECT_FALSE(give_->pinned().has_value());
  const auto other = piece(static_cast<uint64_t>(first.copy), kPieceBytes);
  EXPECT_NE(other.copy, first.copy);
  EXPECT_EQ(other.offset, 0);
}

TEST_F(SnapshotCalls, SharesOneCopyAndOnePaceWithTheServers) {
  peer::SnapshotAsk message;
  message.request = 9;
  message.minIndex = 1;
  give_->receive(NodeId(2), host_.codec.encode(message));
  ++message.request;  // it asks again: the question before it counts no more
  give_->receive(NodeId(2), host_.codec.encode(message));
  for (uint32_t call = 1; call <= 10; ++call) ask(call);
  settle();
  EXPECT_EQ(give_->stats().copies, 1u);
  EXPECT_EQ(give_->pinned(), state_.head().applied);
  EXPECT_THAT(host_.transport.sent, SizeIs(1));
  EXPECT_THAT(host_.sink.pieces, SizeIs(7)) << "eight at once, then no faster than the rate";
  EXPECT_GT(give_->next_wakeup(), host_.clock.now());
  pass(give_->next_wakeup() - host_.clock.now());
  settle();
  EXPECT_THAT(host_.sink.pieces, SizeIs(8));
}

TEST_F(SnapshotCalls, NoCopyIsMadeBeforeTheSnapshotHasTheState) {
  host_.host->applied = host_.host->applied.next();
  ask(1);
  settle();
  EXPECT_EQ(give_->stats().copies, 0u);
  EXPECT_THAT(host_.sink.pieces, IsEmpty());
}

TEST_F(SnapshotCalls, WhatHoldsTheSnapshotUpIsSaid) {
  spans_.why_not = "state-1.db: database or disk is full";
  host_.host->applied = host_.host->applied.next();
  ask(1);
  settle();
  EXPECT_EQ(refused().code, api::ErrorCode::NO_SPACE);
  EXPECT_TRUE(refused().retryable);
  EXPECT_THAT(refused().message, HasSubstr("database or disk is full"));
}

TEST_F(SnapshotCalls, ACopyThatCannotBeMadeIsAnErrorForAllWhoWaitForIt) {
  std::filesystem::create_directory(store_->copy_path());
  ask(1);
  ask(2);
  settle();
  EXPECT_THAT(host_.sink.failed, SizeIs(2));
  EXPECT_EQ(host_.sink.failed[0].second.code, api::ErrorCode::INTERNAL);
  EXPECT_THAT(host_.sink.failed[0].second.message, HasSubstr("copy.db"));
  std::filesystem::remove(store_->copy_path());
  pass(SnapshotSource::kPause);
  EXPECT_NE(piece().copy, 0);
}

TEST_F(SnapshotCalls, WhoeverAsksWaitsForADatabaseThatIsWrittenAnew) {
  std::filesystem::remove(store_->path());
  ask(1);
  settle();
  EXPECT_THAT(host_.sink.failed, IsEmpty());
  EXPECT_THAT(host_.sink.pieces, IsEmpty());
  EXPECT_THAT(said_, ElementsAre(HasSubstr("somebody has removed or replaced it")));
  ASSERT_TRUE(snapshots_->turn_end().ok());
  EXPECT_EQ(spans_.looks, 1) << "it is not waited for";
  snapshot::Span none = state_.take_span();
  none.head = written_;
  ASSERT_TRUE(store_->write(none).ok());
  pass(SnapshotSource::kPause);
  settle();
  EXPECT_THAT(host_.sink.failed, IsEmpty());
  EXPECT_THAT(host_.sink.pieces, SizeIs(1));
}

TEST_F(SnapshotCalls, ACopyThatWasCutShortIsGivenToNobody) {
  const auto first = piece();
  std::filesystem::resize_file(store_->copy_path(), kPieceBytes + 10);
  ask(2, static_cast<uint64_t>(first.copy), kPieceBytes);
  settle();
  EXPECT_EQ(refused().code, api::ErrorCode::INTERNAL);
  EXPECT_EQ(give_->copy(static_cast<uint64_t>(first.copy)), nullptr);
}

TEST_F(SnapshotCalls, SoManyWaitAndNoMore) {
  for (uint32_t call = 0; call <= SnapshotSource::kCallsMax; ++call) ask(call);
  EXPECT_EQ(refused().code, api::ErrorCode::OVERLOADED);
  EXPECT_THAT(refused().message, HasSubstr("to 16 callers already"));
}

TEST_F(SnapshotCalls, AStopAnswersThoseWhoWaitAndThoseWhosePieceIsBeingRead) {
  piece();
  ask(2);
  give_->turn_end();  // its piece is being read
  ask(3);
  give_->shut_down();
  ASSERT_THAT(host_.sink.failed, SizeIs(2));
  for (const auto& [call, error] : host_.sink.failed) {
    EXPECT_EQ(error.code, api::ErrorCode::SHUTTING_DOWN);
  }
  settle();
  EXPECT_THAT(host_.sink.pieces, IsEmpty());
  EXPECT_THAT(host_.sink.failed, SizeIs(2));
}

TEST_F(SnapshotCalls, WithoutADiskThereIsNothingToGive) {
  SnapshotSource none(*host_.host, host_.codec, *snapshots_, {});
  none.ask({.call = {0, 1, 0}});
  EXPECT_EQ(refused().code, api::ErrorCode::UNSUPPORTED);
}

}  // namespace
}  // namespace holdfast::server
