// A snapshot on its way from one server to another: source and fetch over a network that loses,
// repeats and delays, with databases on a real disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "coordinator/server/snapshot_fetch.h"
#include "coordinator/server/snapshot_source.h"
#include "raft/storage/posix_file_system.h"
#include "tests/unit/server/host_fakes.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr NodeId kSource{1}, kTarget{2};

/// The two ends, each with a store, and what is between them.
class SnapshotTransfer : public ::testing::Test {
 protected:
  SnapshotTransfer() {
    store_ = open(there_.path());
    grow(400);
    source_.host.emplace(options_of(kSource), source_.clock, entropy_, source_.transport,
                         source_.sink, source_.machine);
    source_.host->applied = state_.head().applied;
    snapshots_.emplace(*source_.host, nullptr, "", 0);
    give_.emplace(
        *source_.host, source_.codec, *snapshots_,
        SnapshotSourcePorts{&source_work_, &files_, store_.get(), [this] { return first_in_log_; },
                            [this](const std::string& line) { said_.push_back(line); },
                            [](const std::string&, const std::string&) {}});
    begin_anew();
  }
  static EngineOptions options_of(NodeId self) {
    EngineOptions options;
    options.self = self;
    return options;
  }
  std::unique_ptr<snapshot::SnapshotStore> open(const std::string& directory) {
    auto store = snapshot::SnapshotStore::open(files_, directory);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return std::move(*store);
  }
  /// The source's state grows; entry 1 is so large that there are several pieces.
  void grow(int entries) {
    state_.apply(entries);
    snapshot::Span span = state_.take_span();
    SplitMix random(1);
    for (int i = 0; i < 100'000; ++i) append_le(span.head.genesis, random.next());
    ASSERT_TRUE(store_->write(span).ok());
    if (source_.host) {
      source_.host->applied = state_.head().applied;
      snapshots_.emplace(*source_.host, nullptr, "", 0);
    }
  }
  /// The target's process starts.
  void begin_anew() {
    fetch_.reset();
    target_work_.waiting.clear();
    fetch_.emplace(
        SnapshotFetchPorts{target_.clock,
                           entropy_,
                           target_.transport,
                           target_work_,
                           files_,
                           here_.file("state-2.db"),
                           "",
                           {.cluster = ClusterId(77),
                            .node = kTarget,
                            .hash_seed = 1,
                            .log = [this](const std::string& line) { said_.push_back(line); }}});
  }
  void offer() { fetch_->begin(kSource, state_.head().applied); }

  void pass(Duration time) {
    source_.clock.passed += time;
    target_.clock.passed += time;
  }
  /// One exchange; `lost` says of each piece on its way whether it gets lost.
  void exchange(const std::function<bool(TestTransport::Sent&)>& lost = {}) {
    for (auto& m : std::exchange(target_.transport.sent, {})) {
      ASSERT_EQ(m.to, kSource);
      ASSERT_EQ(m.kind, static_cast<uint8_t>(PeerKind::kSnapshotAsk));
      give_->receive(kTarget, m.bytes);
    }
    give_->turn_end();
    source_work_.deliver();
    give_->turn_end();
    source_work_.deliver();
    for (auto& m : std::exchange(source_.transport.sent, {})) {
      ASSERT_EQ(m.to, kTarget);
      if (lost && lost(m)) continue;
      fetch_->receive(kSource, m.bytes);
    }
    target_work_.deliver();
    fetch_->turn_end();
  }
  /// Until the state is there; fails the test if it does not come.
  std::optional<StoredState> run(const std::function<bool(TestTransport::Sent&)>& lost = {}) {
    for (int i = 0; i < 400; ++i) {
      exchange(lost);
      if (auto state = fetch_->take()) return state;
      pass(100ms);
    }
    return std::nullopt;
  }
  void expect_state(const std::optional<StoredState>& state) {
    ASSERT_TRUE(state.has_value());
    EXPECT_EQ(state->machine->digest(), state_.head().digest);
    EXPECT_EQ(state->machine->applied(), state_.head().applied);
    EXPECT_EQ(state->applied_term, state_.head().applied_term);
  }

  snapshot::TemporaryDirectory here_, there_;
  raft::PosixFileSystem files_;
  SystemEntropy entropy_;
  snapshot::WrittenState state_{3};
  std::unique_ptr<snapshot::SnapshotStore> store_;
  HostFakes source_, target_;
  TestBackground source_work_, target_work_;
  LogIndex first_in_log_{1};
  std::optional<Snapshots> snapshots_;
  std::optional<SnapshotSource> give_;
  std::optional<SnapshotFetch> fetch_;
  std::vector<std::string> said_;
};

TEST_F(SnapshotTransfer, TheStateComesOverWhole) {
  offer();
  expect_state(run());
  EXPECT_GT(fetch_->stats().pieces, 3u);
  EXPECT_EQ(fetch_->stats().bytes, give_->stats().bytes);
  EXPECT_FALSE(fetch_->under_way());
}

TEST_F(SnapshotTransfer, WhatIsLostIsAskedForAgainAndNothingElse) {
  int pieces = 0;
  offer();
  expect_state(run([&](TestTransport::Sent&) { return ++pieces % 2 == 1; }));
  EXPECT_EQ(give_->stats().copies, 1u);
  EXPECT_EQ(give_->stats().pieces, 2 * fetch_->stats().pieces);
}

TEST_F(SnapshotTransfer, ALatePieceIsNotTakenTwice) {
  std::vector<TestTransport::Sent> seen;
  offer();
  for (int i = 0; i < 400; ++i) {
    exchange([&](TestTransport::Sent& m) {
      seen.push_back(m);
      return false;
    });
    for (const auto& old : seen) fetch_->receive(kSource, old.bytes);
    if (auto state = fetch_->take()) return expect_state(state);
    pass(10ms);
  }
  FAIL() << "it never came";
}

TEST_F(SnapshotTransfer, AnAlteredPieceEndsItAndTheNextAttemptGoesWell) {
  int pieces = 0;
  const auto alter = [&](TestTransport::Sent& m) {
    if (++pieces == 2) m.bytes[m.bytes.size() / 2] ^= 1;
    return false;
  };
  offer();
  EXPECT_FALSE(run(alter).has_value());
  EXPECT_THAT(said_, Contains(HasSubstr("what was received is not what was sent")));
  EXPECT_EQ(fetch_->stats().abandoned, 1u);
  offer();
  expect_state(run());
}

TEST_F(SnapshotTransfer, ASourceThatDiesIsGivenUp) {
  offer();
  exchange();
  EXPECT_FALSE(run([](TestTransport::Sent&) { return true; }).has_value());
  EXPECT_FALSE(fetch_->under_way());
  EXPECT_THAT(said_, Contains(HasSubstr("it does not answer")));
}

TEST_F(SnapshotTransfer, AnotherCopyIsTakenFromItsBeginning) {
  offer();
  exchange();
  exchange();
  ASSERT_EQ(fetch_->stats().pieces, 2u);
  source_.clock.passed += SnapshotSource::kIdle;
  give_->turn_end();  // nobody asked for long: the copy goes
  source_work_.deliver();
  grow(100);
  expect_state(run());
  EXPECT_EQ(give_->stats().copies, 2u);
}

TEST_F(SnapshotTransfer, AStateThatIsTooOldIsNotTaken) {
  fetch_->begin(kSource, state_.head().applied.next());
  EXPECT_FALSE(run().has_value());
  EXPECT_EQ(give_->stats().copies, 0u);
}

TEST_F(SnapshotTransfer, TheLogIsKeptBehindACopyWhileSomebodyMayReadIt) {
  EXPECT_FALSE(give_->pinned().has_value());
  offer();
  exchange();
  EXPECT_EQ(give_->pinned(), state_.head().applied);
  EXPECT_TRUE(std::filesystem::exists(store_->copy_path()));
  pass(SnapshotSource::kIdle);
  give_->turn_end();
  source_work_.deliver();
  EXPECT_FALSE(give_->pinned().has_value());
  EXPECT_FALSE(std::filesystem::exists(store_->copy_path()));
}

TEST_F(SnapshotTransfer, ACopyWithoutTheLogBehindItIsNotGiven) {
  offer();
  exchange();
  first_in_log_ = state_.head().applied.next().next();
  fetch_.reset();
  begin_anew();
  offer();
  const uint64_t pieces = give_->stats().pieces;
  exchange();
  exchange();
  EXPECT_EQ(give_->stats().pieces, pieces) << "whoever took it would need another one at once";
}

TEST_F(SnapshotTransfer, GoesNoFasterThanTheRate) {
  offer();
  int turns = 0;
  while (!fetch_->take() && ++turns < 10'000) {
    exchange();
    pass(1ms);
  }
  const auto took = std::chrono::duration<double>(1ms * turns).count();
  const auto rate = static_cast<double>(options_of(kSource).snapshot_send_bytes_s);
  const double burst = 8.0 * static_cast<double>(snapshot::PieceSum::kPieceBytes);
  EXPECT_GE(took * rate + burst, static_cast<double>(give_->stats().bytes));
}

TEST_F(SnapshotTransfer, BytesThatAreNoMessageAreNothing) {
  offer();
  exchange();
  const auto before = fetch_->stats().pieces;
  for (const std::string bytes : {"", "\x01", "nonsense"}) {
    fetch_->receive(kSource, bytes);
    give_->receive(kTarget, bytes);
  }
  EXPECT_EQ(fetch_->stats().pieces, before);
  expect_state(run());
}

TEST_F(SnapshotTransfer, WhatLiesAboutItsSizeIsNotTaken) {
  offer();
  exchange([this](TestTransport::Sent& m) {
    peer::SnapshotPiece piece;
    EXPECT_TRUE(source_.codec.decode(m.bytes, piece));
    for (const int64_t bytes : {int64_t{-1}, int64_t{0}, int64_t{10}, int64_t{1} << 62}) {
      peer::SnapshotPiece lie = piece;
      lie.data.pop_back();
      lie.bytes = bytes;
      fetch_->receive(kSource, source_.codec.encode(lie));
    }
    return true;
  });
  EXPECT_EQ(fetch_->stats().pieces, 0u);
  expect_state(run());
}

TEST_F(SnapshotTransfer, ASecondOfferChangesNothing) {
  offer();
  offer();
  fetch_->begin(NodeId(3), LogIndex(1));
  EXPECT_EQ(target_.transport.sent.size(), 1u);
  EXPECT_EQ(fetch_->stats().started, 1u);
}

TEST_F(SnapshotTransfer, AStateOfAnotherClusterIsRefused) {
  fetch_.reset();
  fetch_.emplace(
      SnapshotFetchPorts{target_.clock,
                         entropy_,
                         target_.transport,
                         target_work_,
                         files_,
                         here_.file("state-2.db"),
                         "",
                         {.cluster = ClusterId(78),
                          .node = kTarget,
                          .hash_seed = 1,
                          .log = [this](const std::string& line) { said_.push_back(line); }}});
  offer();
  EXPECT_FALSE(run().has_value());
  EXPECT_THAT(said_, Contains(HasSubstr("is of cluster 77")));
}

}  // namespace
}  // namespace holdfast::server
