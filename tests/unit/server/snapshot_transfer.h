// Source and fetch of a snapshot with what is between them, over a network that loses, repeats and
// delays, with databases on a real disk.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

inline constexpr NodeId kSource{1}, kTarget{2};
/// Several pieces a second, and more than its burst in one state.
inline constexpr uint64_t kRate = 4 << 20;

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
                            [](const std::string&, const std::string&) {},
                            [this](uint64_t) { return no_room_there_; }});
    begin_anew();
  }
  static EngineOptions options_of(NodeId self) {
    EngineOptions options;
    options.self = self;
    options.snapshot_send_bytes_s = kRate;
    return options;
  }
  std::unique_ptr<snapshot::SnapshotStore> open(const std::string& directory) {
    auto store = snapshot::SnapshotStore::open(files_, directory);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return std::move(*store);
  }
  /// The source's state grows; entry 1 is so large that there are some ten pieces.
  void grow(int entries) {
    state_.apply(entries);
    snapshot::Span span = state_.take_span();
    SplitMix random(1);
    for (int i = 0; i < 300'000; ++i) append_le(span.head.genesis, random.next());
    ASSERT_TRUE(store_->write(span).ok());
    if (source_.host) {
      source_.host->applied = state_.head().applied;
      snapshots_.emplace(*source_.host, nullptr, "", 0);
    }
  }
  /// The target's process starts.
  void begin_anew(ClusterId cluster = ClusterId(77)) {
    fetch_.reset();
    target_work_.waiting.clear();
    fetch_.emplace(
        SnapshotFetchPorts{target_.clock,
                           entropy_,
                           target_.transport,
                           target_work_,
                           files_,
                           incoming(),
                           "",
                           {.cluster = cluster,
                            .node = kTarget,
                            .hash_seed = 1,
                            .log = [this](const std::string& line) { said_.push_back(line); }},
                           [this](uint64_t bytes) -> std::optional<std::string> {
                             if (bytes > room_here_) return "too large";
                             return no_room_here_;
                           }});
  }
  std::string incoming() const { return here_.file("state-2.db"); }
  /// Files of what is being received.
  std::vector<std::string> parts() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(here_.path())) {
      if (entry.path().extension() == ".part") found.push_back(entry.path());
    }
    return found;
  }
  uint64_t bytes_sent() const { return give_->stats().bytes; }
  /// So many pieces of the state come, and the process is killed.
  void die_after(size_t pieces) {
    offer();
    for (int i = 0; i < 100 && fetch_->stats().pieces < pieces; ++i) {
      exchange();
      pass(10ms);
    }
    ASSERT_EQ(fetch_->stats().pieces, pieces);
    ASSERT_THAT(parts(), ::testing::SizeIs(1));
    had_come_ = pieces;
    begin_anew();
    target_.transport.sent.clear();
  }
  void offer() { fetch_->begin(kSource, state_.head().applied); }

  void pass(Duration time) {
    source_.clock.advance(time);
    target_.clock.advance(time);
  }
  /// One exchange; `lost` says of each piece on its way whether it gets lost.
  void exchange(const std::function<bool(TestTransport::Sent&)>& lost = {}) {
    for (auto& m : std::exchange(target_.transport.sent, {})) {
      ASSERT_EQ(m.to, kSource);
      ASSERT_EQ(m.kind, static_cast<uint8_t>(PeerKind::kSnapshotAsk));
      give_->receive(kTarget, m.bytes);
    }
    give_->turn_end();
    if (source_disk_works_) source_work_.deliver();
    give_->turn_end();
    if (source_disk_works_) source_work_.deliver();
    for (auto& m : std::exchange(source_.transport.sent, {})) {
      if (lost && lost(m)) continue;
      ASSERT_EQ(m.to, kTarget);
      fetch_->receive(kSource, m.bytes);
    }
    target_work_.deliver();
    fetch_->turn_end();
  }
  void exchange_for(Duration time) {
    for (Duration passed{}; passed < time; passed += 500ms) {
      pass(500ms);
      exchange();
    }
  }
  peer::SnapshotPiece piece_of(const TestTransport::Sent& m) {
    peer::SnapshotPiece piece;
    EXPECT_TRUE(source_.codec.decode(m.bytes, piece));
    return piece;
  }
  /// Asks for a later state than there is; the source hears of no such wish, and says that its
  /// state is so much later than it is.
  void ask_for_a_later_one(int64_t lie) {
    fetch_->begin(kSource, state_.head().applied.next());
    for (int i = 0; i < 20; ++i) {
      for (auto& m : target_.transport.sent) {
        peer::SnapshotAsk ask;
        ASSERT_TRUE(target_.codec.decode(m.bytes, ask));
        ask.minIndex = 1;
        m.bytes = target_.codec.encode(ask);
      }
      exchange([&](TestTransport::Sent& m) {
        peer::SnapshotPiece piece = piece_of(m);
        piece.appliedIndex += lie;
        m.bytes = source_.codec.encode(piece);
        return false;
      });
      pass(100ms);
    }
    EXPECT_GT(give_->stats().pieces, 0u);
    EXPECT_FALSE(fetch_->take().has_value());
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
  bool source_disk_works_ = true;
  LogIndex first_in_log_{1};
  std::optional<std::string> no_room_here_, no_room_there_;
  uint64_t room_here_ = ~uint64_t{0};
  std::optional<Snapshots> snapshots_;
  std::optional<SnapshotSource> give_;
  std::optional<SnapshotFetch> fetch_;
  std::vector<std::string> said_;
  size_t had_come_ = 0;
};

}  // namespace holdfast::server
