// The snapshot's thread: one span at a time, its outcome collected once, obstacles waited out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <semaphore>

#include "coordinator/snapshot/threaded_span_writer.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::snapshot {
namespace {

using testing::HasSubstr;

class SpanWriters : public testing::Test {
 protected:
  SpanWriters() {
    auto store = SnapshotStore::open(files_, directory_.path());
    EXPECT_TRUE(store.ok());
    store_ = std::move(*store);
  }
  /// The outcome, when the thread says that there is one.
  Result<WrittenSpan> outcome(ThreadedSpanWriter& writer) {
    told_.acquire();
    const auto outcome = writer.collect();
    EXPECT_TRUE(outcome.has_value());
    EXPECT_FALSE(writer.collect().has_value()) << "an outcome is told once";
    return *outcome;
  }
  /// The first span is written; then somebody holds the database until he commits.
  Database hold_after_a_span(ThreadedSpanWriter& writer) {
    state_.apply(100);
    writer.submit(state_.take_span());
    EXPECT_TRUE(outcome(writer).ok());
    auto other = Database::open(store_->path(), Database::Mode::kModify);
    EXPECT_TRUE(other.ok() && other->run("BEGIN IMMEDIATE").ok());
    return std::move(*other);
  }
  ThreadedSpanWriter::Notify notify() {
    return [this] { told_.release(); };
  }

  TemporaryDirectory directory_;
  raft::PosixFileSystem files_;
  std::unique_ptr<SnapshotStore> store_;
  WrittenState state_{11};
  std::counting_semaphore<16> told_{0};
};

TEST_F(SpanWriters, WriteOneSpanAfterTheOther) {
  ThreadedSpanWriter writer(*store_, notify());
  EXPECT_FALSE(writer.collect().has_value());
  for (int i = 0; i < 5; ++i) {
    state_.apply(100);
    writer.submit(state_.take_span());
    const auto written = outcome(writer);
    ASSERT_TRUE(written.ok()) << written.error().message;
    EXPECT_EQ(written->applied, state_.machine().applied());
  }
  const auto loaded = load(store_->path());
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ((*loaded)->digest(), state_.machine().digest());
}

TEST_F(SpanWriters, EndAfterTheSpanUnderWay) {
  {
    ThreadedSpanWriter writer(*store_, notify());
    state_.apply(500);
    writer.submit(state_.take_span());
  }
  const auto loaded = load(store_->path());
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ((*loaded)->digest(), state_.machine().digest());
}

TEST_F(SpanWriters, WaitForSomebodyWhoHoldsTheDatabase) {
  ThreadedSpanWriter writer(*store_, notify());
  auto other = hold_after_a_span(writer);
  state_.apply(100);
  writer.submit(state_.take_span());
  std::optional<Error> obstacle;
  while (!(obstacle = writer.obstacle())) std::this_thread::yield();
  EXPECT_EQ(obstacle->code, ErrorCode::kOverloaded);
  EXPECT_THAT(obstacle->message, HasSubstr("database is locked"));
  ASSERT_TRUE(other.run("COMMIT").ok());
  const auto written = outcome(writer);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_FALSE(writer.obstacle().has_value());
}

// What was gathered meanwhile goes with it.
TEST_F(SpanWriters, GiveBackWhatWaitsForSomebody) {
  ThreadedSpanWriter writer(*store_, notify());
  EXPECT_FALSE(writer.recall().has_value());
  auto other = hold_after_a_span(writer);
  EXPECT_FALSE(writer.recall().has_value());
  state_.apply(100);
  writer.submit(state_.take_span());
  std::optional<Span> back;
  while (!(back = writer.recall())) std::this_thread::yield();
  EXPECT_FALSE(writer.recall().has_value()) << "it is given once";
  ASSERT_TRUE(other.run("COMMIT").ok());
  state_.apply(100);
  Span later = state_.take_span();
  back->rows.append(std::move(later.rows));
  later.rows = std::move(back->rows);
  writer.submit(std::move(later));
  const auto written = outcome(writer);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written->applied, state_.machine().applied());
  EXPECT_EQ((*load(store_->path()))->digest(), state_.machine().digest());
}

// Else what is wanted of a full disk would grow with every change that is made to the same rows.
TEST_F(SpanWriters, GiveBackOfEveryRowTheLastChange) {
  ThreadedSpanWriter writer(*store_, notify());
  auto other = hold_after_a_span(writer);
  state_.apply(2'000);
  Span span = state_.take_span();
  const uint64_t all = span.rows.growth_bytes();
  uint64_t last = 0;
  for (const RowLog::Change& change : span.rows.latest()) {
    if (!change.erased) last += growth_of(change.row);
  }
  ASSERT_LT(last, all / 2) << "the same rows change again and again";
  writer.submit(std::move(span));
  std::optional<Span> back;
  while (!(back = writer.recall())) std::this_thread::yield();
  EXPECT_LE(back->rows.growth_bytes(), last);
  ASSERT_TRUE(other.run("COMMIT").ok());
}

TEST_F(SpanWriters, FindOutThatTheDatabaseIsGone) {
  ThreadedSpanWriter writer(*store_, notify());
  writer.look();  // there is none yet
  state_.apply(100);
  writer.submit(state_.take_span());
  ASSERT_TRUE(outcome(writer).ok());
  EXPECT_FALSE(writer.moved());
  std::filesystem::remove(store_->path());
  writer.look();
  told_.acquire();
  EXPECT_TRUE(writer.moved());
  writer.submit(state_.take_span());
  const auto written = outcome(writer);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_TRUE(written->anew);
  EXPECT_EQ(written->rows, 0U);
  EXPECT_FALSE(writer.moved());
  EXPECT_EQ((*load(store_->path()))->digest(), state_.machine().digest());
}

TEST_F(SpanWriters, TellOfADatabaseThatCannotBeWritten) {
  state_.apply(100);
  ASSERT_TRUE(store_->write(state_.take_span()).ok());
  auto other = Database::open(store_->path(), Database::Mode::kModify);
  ASSERT_TRUE(other->run("DROP TABLE key_rows").ok());
  ThreadedSpanWriter writer(*store_, notify());
  state_.apply(300);
  writer.submit(state_.take_span());
  const auto written = outcome(writer);
  ASSERT_FALSE(written.ok());
  EXPECT_THAT(written.error().message, HasSubstr("key_rows"));
}

}  // namespace
}  // namespace holdfast::snapshot
